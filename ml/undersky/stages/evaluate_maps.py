"""`evaluate quality landcover vessels`: how good the map models are, simulated and, with samples, real.

model --its own evaluation--> headline figures, tables
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from undersky.errors import ConfigError
from undersky.evaluation.evaluating import EVALUATORS, evaluate_model
from undersky.evaluation.maps import MapsOptions, Progress
from undersky.evaluation.report import Json

MAPS = tuple(EVALUATORS)
"""The map models, in the order of the flow."""


@dataclass(frozen=True, slots=True)
class MapsEvaluation:
    """What came out, for machines and for people."""

    result: Mapping[str, Json]
    """By model: its headline figures, None where one cannot be measured without samples."""
    markdown: str
    """The same as tables, with classes, places and baselines."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall clock by model."""


def evaluate_maps(
    names: Sequence[str],
    *,
    model: str | Path | None = None,
    samples: Path | None = None,
    scenes: int | None = None,
    progress: Progress | None = None,
) -> MapsEvaluation:
    """The scores of the named map models.

    Args:
        names: Of MAPS, each once.
        model: A shipped package by its name, or a folder, for one model alone; the shipped ones when None.
        samples: Folder of real labelled data; without it nothing real is measured.
        scenes: Of each simulated suite, evenly spread; all when None.
        progress: Told the done fraction, 0 .. 1, and what is being done.

    Raises:
        ConfigError: No model, an unknown one, or one package for several models.
        DataError: A package is refused, or a sample is damaged.
    """
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"found the models {' '.join(names) or '(none)'}; name one or more, each once")
    if model is not None and len(names) > 1:
        raise ConfigError(f"{model} is a package of one model, and {len(names)} are named; name one")
    result: dict[str, Json] = {}
    tables, seconds = [], {}
    for place, name in enumerate(names):
        began = time.monotonic()
        told = _part(progress, name, place=place, of=len(names))
        options = MapsOptions(model=model, samples=samples, scenes=scenes, progress=told)
        score = evaluate_model(name, options)
        result[name] = score.result
        tables.append(score.markdown)
        seconds[name] = round(time.monotonic() - began, 1)
    return MapsEvaluation(result, "\n".join(tables), seconds)


def _part(progress: Progress | None, name: str, *, place: int, of: int) -> Progress | None:
    """The progress of one model, as part of all of them."""
    if progress is None:
        return None
    return lambda done, what: progress((place + done) / of, f"{name}: {what}")
