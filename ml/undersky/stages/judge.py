"""`model bootstrap`: the shipped model becomes the champion where there is none, with a verdict.

    shipped package --score--> figures --> Verdict --register--> version --no champion?--> champion

Whoever comes second finds a champion and changes nothing. Two at once end with one version: see `register`.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from undersky import __version__
from undersky.datasets.suites import DATA, Suite, load_suite
from undersky.errors import ConfigError
from undersky.evaluation.correctors import ModelCorrector
from undersky.evaluation.report import suite_markdown
from undersky.evaluation.score import Score, score_suite
from undersky.models.package import load_package, package_folder
from undersky.services.registry import CHAMPION, Verdict

if TYPE_CHECKING:
    from undersky.services.registry import Registry, Version

MODEL = "correction"
DECISION = "bootstrap: no champion existed"


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """What is evaluated, and who says so."""

    by: str
    """Account or person."""
    suite: str = "direct-6s"
    """Frozen suite."""
    limit: int | None = None
    """Scenes of it that are evaluated, evenly spread; all when None."""
    workers: int = 1
    """Processes; the figures do not depend on it."""
    model: str | Path | None = None
    """A shipped model by its name, or the folder of a package; the shipped learned model when None."""
    suites_folder: Path = DATA
    """Where the frozen suites lie."""
    progress: Callable[[float, str], None] | None = None
    """Told the done fraction, 0 .. 1, and what is being done."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    """What time it is (aware)."""


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What there is now."""

    champion: "Version"
    """The champion."""
    changed: bool
    """False where there was a champion already."""
    page: str
    """Where people look at it."""
    sentence: str
    """What happened, for people."""
    verdict: Verdict | None = None
    """Why; None where nothing was evaluated."""
    seconds: float = 0.0
    """Wall clock of the evaluation."""


def bootstrap(registry: "Registry", options: BootstrapOptions) -> Bootstrapped:
    """The model has a champion; the shipped model where there was none.

    Args:
        registry: Opened as an account that may register.
        options: Suite, scenes, who.

    Raises:
        ConfigError: An unknown suite, no scene left, or an account that may not register.
        DataError: The package is refused.
        ServiceError: The registry failed; the same call goes on where it stopped.
    """
    there = registry.champion(MODEL)
    if there is not None:
        return _unchanged(registry, there)
    began = time.monotonic()
    verdict, report = judge(options)
    seconds = round(time.monotonic() - began, 1)
    version = registry.register(package_folder(options.model), verdict, report=report)
    there = registry.champion(MODEL)
    if there is not None:
        return _unchanged(registry, there)
    registry.set_alias(version, CHAMPION)
    champion = registry.champion(MODEL) or version
    sentence = f"{champion.label} is champion of {MODEL} now, version {champion.number}"
    return Bootstrapped(champion, True, registry.page(champion), sentence, verdict, seconds)


def judge(options: BootstrapOptions) -> tuple[Verdict, str]:
    """The package's verdict on the suite, and the same as tables for people.

    Raises:
        ConfigError: An unknown suite, or no scene left.
        DataError: The package is refused.
    """
    package = load_package(package_folder(options.model))
    if package.name != MODEL:
        raise ConfigError(f"the package is of the model {package.name}, expected {MODEL}")
    suite = _limited(load_suite(options.suite, options.suites_folder), options.limit)
    tell = options.progress

    def progress(done: int, of: int) -> None:
        if tell is not None:
            tell(done / of, options.suite)

    method = ModelCorrector(package.version, options.model)
    scores = score_suite(suite, [method], workers=options.workers, progress=progress)
    text = (options.suites_folder / f"{options.suite}.json").read_bytes()
    verdict = Verdict(
        name=package.name,
        label=package.version,
        package=package.digest,
        decision=DECISION,
        by=options.by,
        at=options.clock(),
        suites={suite.name: hashlib.sha256(text).hexdigest()},
        scenes={suite.name: len(suite.scenes)},
        metrics={suite.name: dict(_headline(scores[0]))},
        code_version=__version__,
    )
    return verdict, suite_markdown(suite.name, scores)


def _limited(suite: Suite, limit: int | None) -> Suite:
    """The suite with at most that many scenes, evenly spread over it."""
    if limit is None or limit >= len(suite.scenes):
        return suite
    if limit < 1:
        raise ConfigError(f"--limit {limit} leaves no scene to evaluate: give 1 or more, or leave it out")
    step = len(suite.scenes) / limit
    return replace(suite, scenes=tuple(suite.scenes[int(number * step)] for number in range(limit)))


def _headline(score: Score) -> Mapping[str, float]:
    """The figures that a verdict names; those of nothing are left out."""
    found = score.pooled()
    figures = {
        "in_spec_percent": (found.in_spec_percent, 2),
        "bias": (found.bias, 5),
        "rmse": (found.rmse, 5),
        "coverage_1sigma_percent": (found.coverage_1sigma, 2),
        "coverage_2sigma_percent": (found.coverage_2sigma, 2),
    }
    return {
        name: round(float(value), digits) for name, (value, digits) in figures.items() if math.isfinite(value)
    }


def _unchanged(registry: "Registry", there: "Version") -> Bootstrapped:
    what = there.label or there.digest[:12] or "a version"
    sentence = f"{what} is champion of {MODEL}, version {there.number}: nothing was changed"
    return Bootstrapped(there, False, registry.page(there), sentence)
