"""Everything the flow stands on, looked at: each check by itself, each failure with its cure."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from undersky.errors import ServiceError, UnderskyError
from undersky.flow import doctor_checks as checks
from undersky.flow.doctor_checks import Found
from undersky.settings import Settings

DEADLINE_S = 90.0
"""What does not answer by then counts as failed."""


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    OFF = "off"
    """Not set, and not needed."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    sentence: str
    """What was found."""
    cure: str | None = None
    """What to do about it; None where nothing is to be done."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was looked at."""

    checks: tuple[Check, ...]
    settings: tuple[tuple[str, str], ...]
    """Name and value of every setting that is set, secrets hidden."""

    @property
    def is_healthy(self) -> bool:
        """Whether nothing failed."""
        return all(check.verdict is not Verdict.FAILED for check in self.checks)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "healthy": self.is_healthy,
            "settings": dict(self.settings),
            "checks": [asdict(check) for check in self.checks],
        }


Look = Callable[[Settings], Found]

LOOKS: tuple[tuple[str, Look], ...] = (
    ("disk", checks.disk),
    ("versions", checks.versions),
    ("ledger", checks.ledger),
    ("migrations", checks.migrations),
    ("store", checks.store),
    ("conditional puts", checks.conditional_puts),
    ("registry", checks.registry),
    ("release", checks.released),
    ("providers", checks.providers),
    ("catalog", checks.catalog),
    ("airflow", checks.airflow),
    ("clock", checks.clock),
)


def examine(
    settings: Settings, *, looks: Sequence[tuple[str, Look]] = LOOKS, deadline_s: float = DEADLINE_S
) -> Examination:
    """Looks at everything at once; a service that fails or hangs hides none of the others."""
    found: dict[str, Check] = {}
    threads = [
        # A daemon: a service that hangs for ever does not keep the process alive.
        threading.Thread(target=_look, args=(name, look, settings, found), daemon=True)
        for name, look in looks
    ]
    end = time.monotonic() + deadline_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    ended = dict(found)
    return Examination(
        tuple(ended.get(name) or _silent(name, deadline_s) for name, _ in looks),
        checks.settings_set(settings),
    )


def _look(name: str, look: Look, settings: Settings, found: dict[str, Check]) -> None:
    begin = time.monotonic()
    try:
        seen = look(settings)
        verdict = Verdict.FAILED if seen.cure else Verdict.OFF if seen.is_off else Verdict.OK
        check = Check(name, verdict, seen.sentence, seen.cure)
    except UnderskyError as error:
        check = Check(name, Verdict.FAILED, *_parted(error))
    except Exception as error:  # noqa: BLE001  a fault in one check must not hide the others
        sentence = f"the check itself failed: {type(error).__name__}: {error}"
        check = Check(
            name, Verdict.FAILED, sentence, "a fault of Undersky: please report it with this sentence"
        )
    found[name] = replace(check, seconds=round(time.monotonic() - begin, 3))


def _parted(error: UnderskyError) -> tuple[str, str]:
    """What was found, and the cure, which messages of ours end with."""
    found, colon, cure = str(error).rpartition(": ")
    if not colon:
        found, colon, cure = str(error).rpartition("; ")
    if not colon:
        return str(error), "try again" if isinstance(error, ServiceError) else "see the sentence"
    return found, cure


def _silent(name: str, deadline_s: float) -> Check:
    sentence = f"no answer in {deadline_s:g} s"
    return Check(name, Verdict.FAILED, sentence, "look at that server: it takes calls and does not answer")
