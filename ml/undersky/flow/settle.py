"""`settle`: the ledger learns how the scenes of an ingest batch ended.

    batches/<run>/<batch>/ingest, validate-l1 --> valid | quarantined | skipped | failed | given back

Scene by scene, each in one transaction; saying it again changes nothing. A scene of which no stage said how
it ended, because the stage died, is given back and tried again by a later run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undersky.flow.claim import read_batch
from undersky.flow.publish import outcomes
from undersky.refs import Ending, Outcome, SceneRef, Stage
from undersky.services.ledger import LeaseLost

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Ledger
    from undersky.services.store import Store

LOST = "lost"
GIVEN_BACK = "given_back"


@dataclass(frozen=True, slots=True)
class Settled:
    """How one scene stands after `settle`."""

    acquisition: str
    scene: str
    tile: str
    state: str
    """State of the acquisition; `given_back` where it waits for another try, `lost` where the lease has
    ended and nothing was written."""
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SettleReport:
    """How every scene of the batch stands."""

    run: str
    batch: str
    scenes: tuple[Settled, ...]

    def counts(self) -> dict[str, int]:
        """Scenes by state."""
        states = [scene.state for scene in self.scenes]
        return {state: states.count(state) for state in sorted(set(states))}


def settle(ledger: "Ledger", store: "Store", batch_href: str, by: "Actor") -> SettleReport:
    """Every scene of the batch stands in the ledger where its last outcome puts it.

    Raises:
        ConfigError: No such batch, or a document of another version.
        ServiceError: A service failed; the scenes before are settled, the same call settles the rest.
    """
    batch = read_batch(store, batch_href)
    folder = store.key(batch_href).rpartition("/")[0]
    fetched = outcomes(store, folder, Stage.INGEST)
    judged = outcomes(store, folder, Stage.VALIDATE_L1)
    scenes = tuple(
        _settle_one(ledger, ref, last_outcome(fetched.get(ref.acquisition), judged.get(ref.acquisition)), by)
        for ref in batch.scenes
    )
    return SettleReport(run=batch.run, batch=batch.name, scenes=scenes)


def last_outcome(fetched: Outcome | None, judged: Outcome | None) -> Outcome | None:
    """What the ledger is told: the judgement with the files it is about; None if no stage said anything.

    A judgement counts only after a `done` of ingest: one that lies there from before another try does not.
    """
    if fetched is None or fetched.ending != Ending.DONE:
        return fetched
    if judged is None:
        sentence = f"{fetched.scene} is in the store but was not judged: its validation died; see its log"
        died = {"ending": Ending.RETRY, "reason": "stage_died", "sentence": sentence}
        return fetched.model_copy(update=died)
    return judged.model_copy(update={"ingested": fetched.ingested})


def _settle_one(ledger: "Ledger", ref: SceneRef, outcome: Outcome | None, by: "Actor") -> Settled:
    if outcome is None:
        sentence = f"no stage said how {ref.scene} ended: the ingest died; see its log"
        lost = ledger.give_back([ref], by, "stage_died", sentence)
        return _settled(ref, LOST if lost else GIVEN_BACK, "stage_died", sentence)
    try:
        state = ledger.settle(ref, outcome, by)
    except LeaseLost as error:
        return _settled(ref, LOST, "lease_lost", str(error))
    given_back = outcome.ending == Ending.RETRY and state != "failed"
    return _settled(ref, GIVEN_BACK if given_back else str(state), outcome.reason, outcome.sentence)


def _settled(ref: SceneRef, state: str, reason: str, sentence: str) -> Settled:
    return Settled(ref.acquisition, ref.scene, ref.tile, state, reason, sentence)
