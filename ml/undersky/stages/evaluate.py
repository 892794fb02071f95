"""`evaluate`: how good the correction is, on frozen simulated suites and on real pairs, beside its peers.

    suite --render--> pixels --every method--> tallies --> JSON, Markdown
    samples --pairs--> pixels --every method--> differences to the agency --> JSON, Markdown

Simulated and real results never share a table. Evaluating runs no radiative transfer code.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from undersky.datasets.design import SUITES
from undersky.datasets.pairs import load_pairs
from undersky.datasets.suites import DATA, load_suite
from undersky.errors import ConfigError
from undersky.evaluation.correctors import Corrector, ModelCorrector
from undersky.evaluation.peers import peers
from undersky.evaluation.real import pair_json, pair_markdown, score_pair
from undersky.evaluation.report import Json, suite_json, suite_markdown
from undersky.evaluation.score import score_suite

PAIRS = "pairs"
"""The name under which the real pairs are asked for."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What is evaluated, and with how much of the machine."""

    model: Path | None = None
    """Folder of a correction model; the shipped physics baseline when None."""
    samples: Path | None = None
    """Folder of real scenes, for `pairs`."""
    suites_folder: Path = DATA
    """Where the frozen suites lie."""
    workers: int = 2
    """Processes for the suites; the figures do not depend on it."""
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


def evaluate(names: Sequence[str], options: EvaluateOptions | None = None) -> Evaluation:
    """The model's scores on each named suite, beside its peers on the same pixels.

    Args:
        names: `direct-6s`, `direct-6s-stress`, `pairs`.
        options: Model, samples, processes.

    Raises:
        ConfigError: An unknown suite, or `pairs` without a folder of samples that holds any.
        DataError: The model is refused, or a pair is damaged.
    """
    options = options or EvaluateOptions()
    unknown = [name for name in names if name not in (*SUITES, PAIRS)]
    if unknown or not names:
        what = f"no suite {unknown[0]!r}" if unknown else "no suite was named"
        raise ConfigError(f"{what}; there are {' '.join((*SUITES, PAIRS))}")
    title = "physics" if options.model is None else options.model.name
    methods: list[Corrector] = [ModelCorrector(title, options.model), *peers()]
    result: dict[str, Json] = {}
    tables, seconds = [], {}
    for name in names:
        began = time.monotonic()
        part, table = _pairs(methods, options) if name == PAIRS else _suite(name, methods, options)
        result[name] = part
        tables.append(table)
        seconds[name] = round(time.monotonic() - began, 1)
    return Evaluation(result, "\n".join(tables), seconds)


def _suite(name: str, methods: Sequence[Corrector], options: EvaluateOptions) -> tuple[Json, str]:
    suite = load_suite(name, options.suites_folder)
    tell = options.progress

    def progress(done: int, of: int) -> None:
        if tell is not None:
            tell(done / of, name)

    scores = score_suite(suite, methods, workers=options.workers, progress=progress)
    return suite_json(scores), suite_markdown(name, scores)


def _pairs(methods: Sequence[Corrector], options: EvaluateOptions) -> tuple[Json, str]:
    if options.samples is None:
        raise ConfigError("real pairs are not part of the package: set UNDERSKY_SAMPLES to a folder of them")
    results = [score_pair(pair, methods) for pair in load_pairs(options.samples)]
    if not results:
        raise ConfigError(
            f"{options.samples} holds none of the known pairs; set UNDERSKY_SAMPLES to where they lie"
        )
    found: dict[str, Json] = {result.pair.name: pair_json(result) for result in results}
    return found, "\n".join(pair_markdown(result) for result in results)
