"""Scenes as pictures: above the sky, corrected, as they should be, and where the two differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from undersky.datasets.design import MAIN
from undersky.datasets.observation import Observation
from undersky.evaluation.correctors import Corrected, Corrector
from undersky.evaluation.real import PairResult
from undersky.evaluation.score import SceneScore, Score
from undersky.evaluation.seen import AnyScene, look
from undersky.grid import Floats
from undersky.raster.browse import DIFFERENCE_END, Picture, difference, true_colour

_COLOURS = ("red", "green", "blue")
_QUANTILES: Mapping[str, float] = {"the worst": 0.0, "worse than nine in ten": 0.1, "the median": 0.5}


@dataclass(frozen=True, slots=True)
class View:
    """One scene as pictures of one size."""

    caption: str
    """Which scene, why it is shown, how well it went."""
    panels: Mapping[str, Picture]
    """Caption to bytes, (y, x, 3)."""


def suite_views(scenes: Sequence[AnyScene], score: Score, method: Corrector) -> Iterator[View]:
    """A few of the suite's main scenes, the worst first; each is corrected once more by the same method."""
    for why, scene in chosen(score).items():
        seen = look(scenes[scene.index])
        corrected = method.correct(seen.observation)
        panels = panels_of(seen.observation, corrected, (score.method, "truth", seen.truth.surface))
        share = f"{scene.in_spec_percent:.1f} % in spec"
        if panels:
            yield View(f"{why[0].upper()}{why[1:]}: {seen.sentence()}. {share}.", panels)


def chosen(score: Score) -> dict[str, SceneScore]:
    """Which scenes are shown, by the reason: the worst, one at the tenth percentile, the median."""
    ranked = sorted(
        (scene for scene in score.scenes if scene.part == MAIN and np.isfinite(scene.in_spec_percent)),
        key=lambda scene: (scene.in_spec_percent, scene.index),
    )
    found: dict[str, SceneScore] = {}
    for why, quantile in _QUANTILES.items():
        at = round(quantile * (len(ranked) - 1))
        if ranked and ranked[at] not in found.values():
            found[why] = ranked[at]
    return found


def pair_view(result: PairResult) -> View | None:
    """The pair beside the agency's product; None where a visible band is missing."""
    pair = result.pair
    reference = (result.scores[0].method, pair.processor, pair.agency)
    panels = panels_of(pair.observation, result.corrected, reference)
    return View(f"{pair.name}, beside {pair.processor}.", panels) if panels else None


def panels_of(
    observation: Observation, corrected: Corrected, reference: tuple[str, str, Floats]
) -> dict[str, Picture]:
    """Before, after, reference at the same stretch, and the blue band's difference; empty without colours.

    Args:
        observation: The top of the atmosphere.
        corrected: The same without its atmosphere.
        reference: The method's name, the reference's name and its reflectance, (band, y, x).
    """
    named = {observation.sensor.band(name).common_name: i for i, name in enumerate(observation.bands)}
    if any(colour not in named for colour in _COLOURS):
        return {}
    rows = [named[colour] for colour in _COLOURS]
    method, name, expected = reference
    blue = rows[-1]
    return {
        "top of the atmosphere": true_colour(*observation.toa[rows]),
        method: true_colour(*corrected.surface[rows]),
        name: true_colour(*expected[rows]),
        f"blue: {method} - {name}, red brighter, full at {DIFFERENCE_END:g}": difference(
            corrected.surface[blue], expected[blue]
        ),
    }
