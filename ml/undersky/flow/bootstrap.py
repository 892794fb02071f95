"""`model bootstrap`: the shipped model is released where none ever was, with a verdict of its own.

    nothing released?  --a champion in the registry?--> it is released
                       --no--> judged --register--> version --promote--> release set, champion

Whoever comes second finds a release and changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undersky.flow.promote import promote

if TYPE_CHECKING:
    from undersky.judgement import Verdict
    from undersky.refs import ModelRef
    from undersky.services.ledger import Actor, Ledger
    from undersky.services.registry import Registry
    from undersky.services.store import Store


@dataclass(frozen=True, slots=True)
class FirstJudged:
    """A package that was judged alone, because there is no champion to hold it against."""

    folder: Path
    """Holds the package."""
    verdict: "Verdict"
    report: str
    """Tables for people, Markdown."""


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What there is now."""

    champion: "ModelRef"
    changed: bool
    """False where there was one already."""
    sentence: str
    """What happened, for people."""
    verdict: "Verdict | None" = None
    """Why; None where nothing was judged."""


def bootstrap(
    registry: "Registry",
    ledger: "Ledger",
    store: "Store",
    name: str,
    *,
    judge: Callable[[], FirstJudged],
    by: "Actor",
) -> Bootstrapped:
    """The model is released; the one that `judge` brings where there was none.

    Args:
        registry: Opened as the account that may register and move aliases.
        ledger: Holds the release sets.
        store: The own bucket.
        name: `correction`.
        judge: Called where there is none; it takes minutes.
        by: Who.

    Raises:
        ConfigError: The account may not register.
        DataError: The package is refused.
        ServiceError: A service failed; the same call goes on where it stopped.
    """
    record = ledger.release()
    released = next((m for m in record.release.models if m.name == name), None) if record else None
    if released is not None:
        sentence = f"{released.label} is champion of {name}, version {released.version}: nothing was changed"
        return Bootstrapped(released, False, sentence)
    version, verdict = registry.champion(name), None
    if version is None:
        judged = judge()
        verdict = judged.verdict
        version = registry.register(judged.folder, verdict, report=judged.report)
    done = promote(registry, ledger, store, version, by=by, why=verdict.decision if verdict else "")
    sentence = f"{done.model.label} is champion of {name} now, version {done.model.version}"
    return Bootstrapped(done.model, True, sentence, verdict)
