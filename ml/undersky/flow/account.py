"""`account`: the last word of a run. What it still holds is given back; what went wrong is named.

Expected endings are counted: published, valid, skipped, quarantined, held, and tries that a later run repeats
because a service failed. Everything else is unexpected and has a name and a sentence, so that nothing bad
looks green.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undersky.flow.claim import laid_down
from undersky.flow.publish import outcomes
from undersky.refs import Kind, Outcome, SceneRef, Stage
from undersky.services.ledger import OPEN_ACQUISITION, OPEN_PRODUCT, AcquisitionState

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Event, Ledger
    from undersky.services.store import Store
    from undersky.tile_refs import TileRef

ABANDONED = "abandoned"
"""Reason code of a scene that a run held to its end."""

CLAIMS = ("claimed", "lease_expired")
"""Reasons under which a run takes a lease."""

EXPECTED_RETRIES = ("service_failed", "stopped")
"""Reasons of another try that need nobody's attention."""

_REFUSED = (str(AcquisitionState.SKIPPED), str(AcquisitionState.QUARANTINED))
OPEN = frozenset(map(str, (*OPEN_ACQUISITION, *OPEN_PRODUCT)))


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a run's scenes."""

    run: str
    counts: dict[str, int]
    """Scenes by the state in which the run left them; `given_back` are tried again by a later run."""
    unexpected: tuple[str, ...]
    """A line for each scene that failed or was abandoned: its name and what happened."""
    given_back: tuple[str, ...]
    """Acquisitions and tiles that the run still held and that were given back now."""


def account(ledger: "Ledger", store: "Store", *, run: str, by: "Actor") -> Account:
    """Nothing is held by the run any more, and every unexpected failure of it is named.

    Saying it again gives the same names. Leases of other runs are not touched.

    Raises:
        ServiceError: Ledger or store failed; the same call may succeed later.
    """
    held = ledger.holding(run)
    lost: list[SceneRef] = []
    if held:
        said = _last_words(store, run, {ref.acquisition for ref in held})
        for ref in held:
            sentence = _sentence(ref, said.get((ref.acquisition, ref.kind)))
            lost += ledger.give_back([ref], by, ABANDONED, sentence)
    tiles = [each for each in ledger.holding_tiles(run) if _left(ledger, each, by)]
    events = ledger.events(run)
    last = _last_events(events)
    refused = refusals(events)
    counts = Counter(_ending(event, refused) for event in last)
    return Account(
        run=run,
        counts=dict(sorted(counts.items())),
        unexpected=tuple(_named(event) for event in last if _is_unexpected(event)),
        given_back=(
            *(ref.acquisition for ref in held if ref not in lost),
            *(each.tile for each in tiles),
        ),
    )


def _left(ledger: "Ledger", tile: "TileRef", by: "Actor") -> bool:
    """Whether the run still held the tile, which waits for another now."""
    sentence = f"the run ended before the rolling map of {tile.tile} was published"
    return ledger.give_back_tile(tile, by, ABANDONED, sentence)


def _last_events(events: Iterable["Event"]) -> Sequence["Event"]:
    """What the run did last to each acquisition and product that it had claimed, or that it saw fail."""
    last: dict[tuple[str, int | None], Event] = {}
    claimed: set[tuple[str, int | None]] = set()
    for event in events:
        row = event.acquisition, event.product
        last[row] = event
        if event.reason in CLAIMS:
            claimed.add(row)
    return [event for row, event in last.items() if row in claimed or event.after == "failed"]


def refusals(events: Iterable["Event"]) -> Mapping[str, "Event"]:
    """Acquisition to what the run last said of it, where that is that nothing can be made of it."""
    last = {event.acquisition: event for event in events if event.product is None}
    return {key: event for key, event in last.items() if event.after in _REFUSED}


def _ending(event: "Event", refused: Mapping[str, "Event"]) -> str:
    """State in which the run left a scene."""
    if event.reason in CLAIMS:
        return "lost"
    if event.after in OPEN:
        return "given_back"
    if event.after == "withdrawn" and event.product is not None:
        # The correction found it too cloudy, or unusable after all: so says the acquisition.
        return refused.get(event.acquisition, event).after
    return event.after


def _is_unexpected(event: "Event") -> bool:
    again = event.after in OPEN and event.reason not in (*CLAIMS, *EXPECTED_RETRIES)
    return event.after == "failed" or again


def _named(event: "Event") -> str:
    log = f" (log: {event.log})" if event.log else ""
    return f"{event.acquisition} {event.after}, {event.reason}: {event.sentence or 'nothing was said'}{log}"


def _last_words(store: "Store", run: str, wanted: set[str]) -> dict[tuple[str, Kind], Outcome]:
    """What the latest stage said about each of these scenes, in each kind of work, where any did."""
    said: dict[tuple[str, Kind], Outcome] = {}
    for href, batch in laid_down(store, run):
        if any(ref.acquisition in wanted for ref in batch.scenes):
            folder = store.key(href).rpartition("/")[0]
            for stage in Stage:
                found = outcomes(store, folder, stage)
                said |= {(acquisition, batch.kind): outcome for acquisition, outcome in found.items()}
    return said


def _sentence(ref: SceneRef, outcome: Outcome | None) -> str:
    if outcome is None:
        return f"the run ended and no stage had said how {ref.scene} ended: its stage died or never began"
    said = f"{outcome.ending}{f' ({outcome.reason})' if outcome.reason != 'ok' else ''} {outcome.sentence}"
    return f"the run ended before {ref.scene} was settled; stage {outcome.stage} had left it {said.strip()}"
