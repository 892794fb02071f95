"""`judge`: a package's verdict where there is no champion to hold it against, for `model bootstrap`.

shipped package --score on the suite of its kind--> figures --> Verdict
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from undersky import __version__
from undersky.datasets.suites import DATA, Suite, load_suite
from undersky.errors import ConfigError
from undersky.evaluation.correctors import ModelCorrector
from undersky.evaluation.evaluating import CORRECTION, EVALUATORS, SHIPPED, evaluate_model
from undersky.evaluation.judging import headlines, scene_counts
from undersky.evaluation.maps import MapsOptions
from undersky.evaluation.report import suite_markdown
from undersky.evaluation.score import Score, score_suite
from undersky.judgement import Verdict
from undersky.models.package import ModelPackage, load_package, package_folder

DECISION = "bootstrap: no champion existed"


@dataclass(frozen=True, slots=True)
class FirstOptions:
    """What is evaluated, and who says so."""

    by: str
    """Account or person."""
    suite: str = "direct-6s"
    """Frozen suite of a correction; a map model has one simulated suite."""
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


def judge(options: FirstOptions) -> tuple[Verdict, str]:
    """The package's verdict on the suite, and the same as tables for people.

    Raises:
        ConfigError: An unknown suite, or no scene left.
        DataError: The package is refused.
    """
    package = load_package(package_folder(options.model))
    if package.name in EVALUATORS:
        return _judge_maps(package, options)
    if package.name != CORRECTION:
        raise ConfigError(f"a package of the model {package.name}; there are {' '.join(SHIPPED)}")
    suite = _limited(load_suite(options.suite, options.suites_folder), options.limit)
    tell = options.progress

    def progress(done: int, of: int) -> None:
        if tell is not None:
            tell(done / of, options.suite)

    method = ModelCorrector(package.version, options.model)
    scores = score_suite(suite, [method], workers=options.workers, progress=progress)
    text = (options.suites_folder / f"{options.suite}.json").read_bytes()
    verdict = _verdict(
        package,
        options,
        suites={suite.name: hashlib.sha256(text).hexdigest()},
        scenes={suite.name: len(suite.scenes)},
        metrics={suite.name: dict(_headline(scores[0]))},
    )
    return verdict, suite_markdown(suite.name, scores)


def judged_folder(options: FirstOptions) -> Path:
    """Where the package lies that `judge` judges."""
    return package_folder(options.model)


def judged_model(model: str | Path) -> str:
    """What a package is for: a shipped one by its name, any other by its folder.

    Raises:
        DataError: The package is refused.
    """
    return load_package(package_folder(model)).name


def _judge_maps(package: ModelPackage, options: FirstOptions) -> tuple[Verdict, str]:
    asked = MapsOptions(model=options.model, scenes=options.limit, progress=options.progress)
    score = evaluate_model(package.name, asked)
    verdict = _verdict(
        package,
        options,
        suites=score.digests(),
        scenes=scene_counts(score.rows),
        metrics=headlines(score.rows),
    )
    return verdict, score.markdown


def _verdict(
    package: ModelPackage,
    options: FirstOptions,
    *,
    suites: dict[str, str],
    scenes: dict[str, int],
    metrics: dict[str, dict[str, float]],
) -> Verdict:
    return Verdict(
        name=package.name,
        label=package.version,
        package=package.digest,
        decision=DECISION,
        by=options.by,
        at=options.clock(),
        suites=suites,
        scenes=scenes,
        metrics=metrics,
        code_version=__version__,
    )


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
