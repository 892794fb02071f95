"""One stage over one batch: scene by scene, each ending by itself, whatever happens to the others.

    batch.json, earlier stage's manifest -> for each scene: marker -> work -> outcome -> manifest -> exit code

A killed run is taken up where it stopped: final outcomes stay, `retry` and what never ended is done again.
A scene that began twice without an end killed its process: it fails, so that it cannot hold up the others.
"""

import errno
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from undersky.batch.journal import Journal, prefix_of, read_batch, read_outcomes
from undersky.batch.scratch import working_folder
from undersky.batch.stopping import Stop, Stopped, stopping
from undersky.errors import ConfigError, DataError, ServiceError
from undersky.refs import (
    Batch,
    Ending,
    Ingested,
    Judged,
    Made,
    Manifest,
    Outcome,
    SceneRef,
    Stage,
)

if TYPE_CHECKING:
    from undersky.services.store import Store

BEFORE = {
    Stage.VALIDATE_L1: Stage.INGEST,
    Stage.VALIDATE_SURFACE: Stage.CORRECT,
    Stage.VALIDATE_MAP: Stage.MAP,
    Stage.VALIDATE_OBJECTS: Stage.DETECT,
}
"""The stage whose `done` scenes a stage takes up; the others start from the batch alone."""

CRASHES = 2
"""So often may a scene begin without an end."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}


class Trouble(StrEnum):
    """Reason codes of scenes whose stage went wrong, beside those of `errors.Reason`."""

    SERVICE = "service_failed"
    """RETRY: a server or the network."""
    SCRATCH = "scratch_full"
    """RETRY: no room, or no handle left, on this machine."""
    STOPPED = "stopped"
    """RETRY: the process was asked to end."""
    CONFIG = "config"
    """RETRY: a setting is wrong; the same work may be done once it is right."""
    CRASHED = "crashed"
    """FAILED: the scene killed its process twice."""
    MEMORY = "out_of_memory"
    """FAILED: the scene needs more memory than there is."""
    UNEXPECTED = "unexpected"
    """FAILED: a fault of ours; the traceback is in the log."""


class Tell(Protocol):
    """Takes one log event, and facts as fields."""

    def __call__(self, event: str, /, *, level: str = "info", **facts: object) -> None:
        """The event is logged at `level`: info, warning or error."""


def silent(event: str, /, *, level: str = "info", **facts: object) -> None:
    """Logs nothing."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the work on one scene may use."""

    store: "Store"
    """The own bucket."""
    batch: Batch
    """The whole batch, with its release."""
    place: str
    """`<run>/<batch>` as it stands in keys: a place of this batch's own below any prefix."""
    stage: Stage
    """Which stage this is."""
    scratch: Path
    """An empty folder for this scene alone; it is removed when the scene ends."""
    earlier: Outcome | None = None
    """How the scene left the stage before, always `done`; None where there is none before."""
    tell: Tell = silent
    """For log events within the work."""

    def ended(
        self,
        ref: SceneRef,
        ending: Ending = Ending.DONE,
        reason: str = "ok",
        sentence: str = "",
        *,
        ingested: Ingested | None = None,
        judged: Judged | None = None,
        made: Made | None = None,
    ) -> Outcome:
        """The scene's outcome; the driver adds seconds, tries and what earlier stages said."""
        return Outcome(
            acquisition=ref.acquisition, scene=ref.scene, stage=self.stage, ending=ending, reason=str(reason),
            sentence=sentence, ingested=ingested, judged=judged, made=made,
        )  # fmt: skip


Work = Callable[[SceneRef, Context], Outcome]


@dataclass(frozen=True, slots=True)
class Running:
    """How a stage runs; nothing here changes a result."""

    scratch: Path | None = None
    """Folder for working files; the system's when None."""
    tell: Tell = silent
    """Where log events go."""


def run_batch(
    store: "Store", href: str, stage: Stage, work: Work, *, running: Running | None = None
) -> Manifest:
    """Every scene of the batch has left the stage, and its manifest lies in the store.

    Scenes that the stage before did not leave `done` are carried into the manifest as they are. What the
    stages before made (`ingested`, `made`, `judged`) is carried along, so that the last manifest tells all.

    Args:
        store: The own bucket.
        href: Of `batch.json`.
        stage: Which stage.
        work: Does one scene. It may raise: DataError quarantines the scene, ServiceError leaves it to a later
            run, anything unexpected fails it. ConfigError leaves it to a later run, and is raised once every
            scene had its turn: one provider's login is no other's.
        running: Scratch folder, log.

    Raises:
        ConfigError: Not a batch, the stage before is missing, or a setting that the work cannot do without.
            Outcomes and manifest are written first.
        ServiceError: The store does not answer.
    """
    running = running or Running()
    batch = read_batch(store, href)
    journal = Journal(store, prefix_of(store, href), stage)
    earlier = read_outcomes(replace(journal, stage=BEFORE[stage])) if stage in BEFORE else None
    if earlier == {} and batch.scenes:
        raise ConfigError(f"{href} has no outcome of stage {BEFORE[stage]}: run that stage first")
    running.tell("stage begins", stage=stage, run=batch.run, batch=batch.name, scenes=len(batch.scenes))
    with working_folder(running.scratch) as folder, stopping() as stop:
        return _Shift(store, batch, stage, work, journal, running.tell, folder, earlier, stop).run()


def exit_code(manifest: Manifest) -> int:
    """0 when every scene has its final outcome in this stage, 75 when some are to be tried again."""
    mine = (outcome for outcome in manifest.outcomes if outcome.stage == manifest.stage)
    return ServiceError.exit_code if any(outcome.ending == Ending.RETRY for outcome in mine) else 0


@dataclass(frozen=True, slots=True)
class _Shift:
    """One process at work on one batch."""

    store: "Store"
    batch: Batch
    stage: Stage
    work: Work
    journal: Journal
    tell: Tell
    folder: Path
    earlier: Mapping[str, Outcome] | None
    stop: Stop

    def run(self) -> Manifest:
        known, begun = self.journal.read()
        ended: list[Outcome] = []
        wrong: ConfigError | None = None
        for ref in self.batch.scenes:
            outcome = self._settled(ref, known.get(ref.acquisition))
            if outcome is None and self.stop.asked:
                outcome = known.get(ref.acquisition) or self._untouched(ref)
            if outcome is None:
                last, tries = known.get(ref.acquisition), begun.get(ref.acquisition, 0)
                outcome, trouble = self._scene(ref, last.tries if last else 0, tries)
                wrong = wrong or trouble
            ended.append(outcome)
        manifest = Manifest(
            run=self.batch.run, batch=self.batch.name, stage=self.stage, outcomes=tuple(ended)
        )
        self.journal.close(manifest)
        counts = dict(Counter(str(outcome.ending) for outcome in ended))
        self.tell("stage ended", stage=self.stage, run=self.batch.run, batch=self.batch.name, endings=counts)
        if wrong is not None:
            raise wrong
        return manifest

    def _settled(self, ref: SceneRef, last: Outcome | None) -> Outcome | None:
        """The scene's outcome where nothing is to be done for it in this stage."""
        if self.earlier is not None:
            before = self.earlier.get(ref.acquisition)
            if before is None:
                return _outcome(ref, BEFORE[self.stage], Ending.RETRY, Trouble.STOPPED, "it never got there")
            if before.ending != Ending.DONE:
                return before
        return last if last is not None and last.ending != Ending.RETRY else None

    def _untouched(self, ref: SceneRef) -> Outcome:
        sentence = f"stage {self.stage} ended before {ref.scene} had its turn: it is taken up by the next try"
        return _outcome(ref, self.stage, Ending.RETRY, Trouble.STOPPED, sentence)

    def _scene(self, ref: SceneRef, ended: int, begun: int) -> tuple[Outcome, ConfigError | None]:
        """The scene's outcome, written down; and what is wrong with a setting, where that ended it.

        Args:
            ref: The scene.
            ended: Its tries that have an outcome.
            begun: Its tries that have a marker.
        """
        if begun - ended >= CRASHES:
            outcome, wrong = self._crashed(ref), None
            tries, seconds = begun, 0.0
        else:
            tries, clock = begun + 1, time.monotonic()
            self.journal.begin(ref.acquisition, tries)
            self.tell("scene begins", stage=self.stage, acquisition=ref.acquisition, tries=tries)
            outcome, wrong = self._guarded(ref)
            seconds = round(time.monotonic() - clock, 3)
        before = self.earlier[ref.acquisition] if self.earlier is not None else None
        outcome = _carried(outcome, before).model_copy(update={"tries": tries, "seconds": seconds})
        self.journal.end(outcome)
        facts = {
            "ending": str(outcome.ending),
            "reason": outcome.reason,
            "sentence": outcome.sentence or None,
        }
        level = {Ending.RETRY: "warning", Ending.FAILED: "error"}.get(outcome.ending, "info")
        self.tell(
            "scene ended", level=level, stage=self.stage, acquisition=ref.acquisition, tile=ref.tile,
            seconds=seconds, tries=tries, **{name: fact for name, fact in facts.items() if fact},
        )  # fmt: skip
        return outcome, wrong

    def _guarded(self, ref: SceneRef) -> tuple[Outcome, ConfigError | None]:
        """What the work says, or what its error means."""
        scratch = self.folder / ref.acquisition
        scratch.mkdir()
        before = self.earlier[ref.acquisition] if self.earlier is not None else None
        context = Context(self.store, self.batch, self.journal.place, self.stage, scratch, before, self.tell)
        try:
            with self.stop.interrupting():
                return self.work(ref, context), None
        except ConfigError as error:
            return self._ended(ref, Ending.RETRY, Trouble.CONFIG, str(error)), error
        except (Exception, Stopped) as error:  # noqa: BLE001  one scene's fault is no other scene's
            return self._meant(ref, error), None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _meant(self, ref: SceneRef, error: BaseException) -> Outcome:
        match error:
            case DataError():
                return self._ended(ref, Ending.QUARANTINED, error.reason, str(error))
            case ServiceError():
                return self._ended(ref, Ending.RETRY, Trouble.SERVICE, str(error))
            case Stopped():
                return self._ended(ref, Ending.RETRY, Trouble.STOPPED, f"stage {self.stage} was asked to end")
            case OSError(errno=number) if number in _FULL:
                sentence = f"{error.strerror} while working on {ref.scene}: free it in UNDERSKY_SCRATCH"
                return self._ended(ref, Ending.RETRY, Trouble.SCRATCH, sentence)
        self.tell(
            "unexpected error", level="error", stage=self.stage, acquisition=ref.acquisition, exc_info=error
        )
        if isinstance(error, MemoryError):
            sentence = f"{ref.scene} needs more memory than there is: give the stage more, or fewer threads"
            return self._ended(ref, Ending.FAILED, Trouble.MEMORY, sentence)
        sentence = (
            f"{type(error).__name__} at stage {self.stage}: {error}. This is a fault of Undersky: report it "
            "with the traceback in the log"
        )
        return self._ended(ref, Ending.FAILED, Trouble.UNEXPECTED, sentence)

    def _crashed(self, ref: SceneRef) -> Outcome:
        sentence = (
            f"{ref.scene} began {CRASHES} times at stage {self.stage} and never ended: it, or the machine's "
            "memory limit, killed its process; look at the logs, then `undersky retry` it"
        )
        return self._ended(ref, Ending.FAILED, Trouble.CRASHED, sentence)

    def _ended(self, ref: SceneRef, ending: Ending, reason: str, sentence: str) -> Outcome:
        return _outcome(ref, self.stage, ending, reason, sentence)


def _outcome(ref: SceneRef, stage: Stage, ending: Ending, reason: str, sentence: str) -> Outcome:
    return Outcome(
        acquisition=ref.acquisition, scene=ref.scene, stage=stage, ending=ending, reason=str(reason),
        sentence=sentence, tries=0,
    )  # fmt: skip


def _carried(outcome: Outcome, before: Outcome | None) -> Outcome:
    """The outcome with what the stages before made, where this stage made no other."""
    if before is None:
        return outcome
    names = ("ingested", "judged", "made")
    return outcome.model_copy(update={n: getattr(outcome, n) or getattr(before, n) for n in names})
