"""`evaluate`: how good the correction is, on frozen suites, laws, real pairs and a user's own scenes.

    suite, folder --look--> pixels --every method--> tallies, counts --> JSON, Markdown, one page
    laws --emulator--> scenes and what must not change them --the model--> figures and bars
    samples --pairs--> pixels --every method--> differences to the agency

Simulated and real results never share a table. Evaluating runs no radiative transfer code.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from undersky.datasets.design import SUITES
from undersky.datasets.folders import Folder, Origin, load_folder
from undersky.datasets.pairs import load_pairs
from undersky.datasets.suites import DATA, Suite, load_suite
from undersky.errors import ConfigError, DataError, Reason
from undersky.evaluation.correctors import Corrector, ModelCorrector
from undersky.evaluation.laws import keep_laws, laws_json, laws_markdown
from undersky.evaluation.peers import peers
from undersky.evaluation.real import pair_json, pair_markdown, score_pair
from undersky.evaluation.report import Json, suite_json, suite_markdown
from undersky.evaluation.score import score_suite
from undersky.models.package import package_folder

if TYPE_CHECKING:
    from undersky.evaluation.page import Section

PAIRS, LAWS = "pairs", "laws"
"""The names under which the real pairs and the physical laws are asked for."""

REPORT = "index.html"
"""The page in the folder of a report."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What is evaluated, and with how much of the machine."""

    model: str | Path | None = None
    """A shipped model by its name, or the folder of a package; the shipped learned model when None."""
    samples: Path | None = None
    """Folder of real scenes, for `pairs`."""
    suites_folder: Path = DATA
    """Where the frozen suites lie."""
    workers: int = 2
    """Processes for the suites; the figures do not depend on it."""
    report: Path | None = None
    """Folder in which one page of tables and figures is written; none when None."""
    progress: Progress | None = None
    """Told the done fraction of each part, 0 .. 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out, for machines and for people."""

    result: Mapping[str, Json]
    """By suite: percent and reflectance units."""
    markdown: str
    """The same as tables, with more slices."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall clock by suite."""
    page: Path | None = None
    """The report, where one was asked for."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One suite, measured."""

    result: Json
    markdown: str
    sections: Callable[[], "Sequence[Section]"]
    """Draws what the page shows of it; loads what draws."""


def default_suites(samples: Path | None) -> tuple[str, ...]:
    """What is evaluated when nobody names a suite."""
    return (*SUITES, LAWS, *([PAIRS] if samples else []))


def evaluate(names: Sequence[str], options: EvaluateOptions | None = None) -> Evaluation:
    """The model's scores on each named suite, beside its peers on the same pixels.

    Args:
        names: `direct-6s`, `direct-6s-stress`, `laws`, `pairs`, or folders of a user's own.
        options: Model, samples, processes, report.

    Raises:
        ConfigError: An unknown suite, a folder without scenes, or `pairs` without a folder of samples that
            holds any.
        DataError: The model is refused, or a pair or a scene is damaged.
    """
    options = options or EvaluateOptions()
    named = _named(names)
    title = package_folder(options.model).name
    methods: list[Corrector] = [ModelCorrector(title, options.model), *peers()]
    parts: dict[str, _Part] = {}
    seconds = {}
    for name, measure in named.items():
        began = time.monotonic()
        parts[name] = measure(methods, options)
        seconds[name] = round(time.monotonic() - began, 1)
    page = None if options.report is None else _write_page(options.report, title, list(parts.values()))
    result = {name: part.result for name, part in parts.items()}
    return Evaluation(result, "\n".join(part.markdown for part in parts.values()), seconds, page)


_Measure = Callable[[Sequence[Corrector], EvaluateOptions], _Part]


def _named(names: Sequence[str]) -> dict[str, _Measure]:
    """What each name stands for, a user's folders already read, so that nothing is measured in vain."""
    found: dict[str, _Measure] = {}
    for name in names:
        title, measure = _meant(name)
        if title in found:
            raise ConfigError(f"two suites are called {title!r}; name each once, rename a folder if need be")
        found[title] = measure
    if not found:
        raise ConfigError(f"no suite was named; there are {' '.join((*SUITES, LAWS, PAIRS))}")
    return found


def _meant(name: str) -> tuple[str, _Measure]:
    if name in SUITES:
        return name, lambda methods, options: _suite(
            name, load_suite(name, options.suites_folder), methods, options
        )
    if name in (LAWS, PAIRS):
        return name, _laws if name == LAWS else _pairs
    folder = Path(name)
    if not folder.is_dir():
        known = " ".join((*SUITES, LAWS, PAIRS))
        raise ConfigError(f"no suite {name!r}; there are {known}, and any folder of scenes")
    own = open_folder(folder)
    title = folder.resolve().name
    return title, lambda methods, options: _suite(title, own, methods, options)


def open_folder(folder: Path) -> Suite | Folder:
    """A user's folder: one suite with 6S's coefficients as `.json`, or observations as `.npz`.

    Raises:
        ConfigError: Neither, both, or several suites.
        DataError: `metadata_invalid`, and what `read_scene` says of a scene.
    """
    suites, scenes = (sorted(folder.glob(pattern)) for pattern in ("*.json", "*.npz"))
    if not suites:
        return load_folder(folder)
    if scenes or len(suites) > 1:
        raise ConfigError(
            f"{folder} holds {len(suites)} .json and {len(scenes)} .npz; a folder is one suite as .json, or "
            "scenes as .npz"
        )
    try:
        return load_suite(suites[0].stem, folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            Reason.METADATA_INVALID,
            f"{suites[0]} is no suite ({type(error).__name__}: {error}); `python -m "
            "undersky.datasets.direct6s` writes one",
        ) from error


def _suite(name: str, suite: Suite | Folder, methods: Sequence[Corrector], options: EvaluateOptions) -> _Part:
    tell = options.progress

    def progress(done: int, of: int) -> None:
        if tell is not None:
            tell(done / of, name)

    scores = score_suite(suite, methods, workers=options.workers, progress=progress)
    origin: Origin = suite.origin if isinstance(suite, Folder) else "simulated"
    made = "a user's own scenes" if isinstance(suite, Folder) else "direct 6S"
    result: dict[str, Json] = suite_json(scores)
    if isinstance(suite, Folder):
        result["origin"] = origin

    def sections() -> "list[Section]":
        from undersky.evaluation.page import suite_section  # noqa: PLC0415  loads matplotlib
        from undersky.evaluation.views import suite_views  # noqa: PLC0415  the same

        views = list(suite_views(suite.scenes, scores[0], methods[0]))
        return [suite_section(name, scores, views, origin=origin, lead=f"{origin.capitalize()}: {made}.")]

    return _Part(result, suite_markdown(name, scores, origin=f"{origin}: {made}"), sections)


def _laws(methods: Sequence[Corrector], options: EvaluateOptions) -> _Part:  # noqa: ARG001  one signature
    findings = keep_laws(methods[0])

    def sections() -> "list[Section]":
        from undersky.evaluation.page import laws_section  # noqa: PLC0415  loads matplotlib

        return [laws_section(findings)]

    return _Part(laws_json(findings), laws_markdown(findings), sections)


def _pairs(methods: Sequence[Corrector], options: EvaluateOptions) -> _Part:
    if options.samples is None:
        raise ConfigError("real pairs are not part of the package: set UNDERSKY_SAMPLES to a folder of them")
    results = [score_pair(pair, methods) for pair in load_pairs(options.samples)]
    if not results:
        raise ConfigError(
            f"{options.samples} holds none of the known pairs; set UNDERSKY_SAMPLES to where they lie"
        )

    def sections() -> "list[Section]":
        from undersky.evaluation.page import pair_section  # noqa: PLC0415  loads matplotlib

        return [pair_section(result) for result in results]

    found: dict[str, Json] = {result.pair.name: pair_json(result) for result in results}
    return _Part(found, "\n".join(pair_markdown(result) for result in results), sections)


def _write_page(folder: Path, model: str, parts: Sequence[_Part]) -> Path:
    from undersky.evaluation.page import page  # noqa: PLC0415  loads matplotlib

    text = page([section for part in parts for section in part.sections()], model=model)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(text, encoding="utf-8")
    return folder / REPORT
