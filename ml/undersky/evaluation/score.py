"""Runs methods over a suite and adds up what came out, once per slice and band.

B09 and B10 are corrected, or read, but never scored: only `surface` bands enter a tally.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch

from undersky.bands import Sensor
from undersky.datasets.design import MAIN
from undersky.datasets.ground import COVERS
from undersky.datasets.suites import Suite, SuiteScene, Truth, render
from undersky.evaluation.correctors import Corrected, Corrector
from undersky.evaluation.metrics import Tally, tally
from undersky.evaluation.slices import MINIMUM_PIXELS, Dimension, scene_slices

Key = tuple[str, Dimension, str, str]
"""Slice of the suite (`main`, `snow`, ..), dimension, value along it, band."""


@dataclass(frozen=True, slots=True)
class StateError:
    """Squared errors of one scalar of the state over the scenes of one slice of the suite."""

    count: int = 0
    """Scenes for which the method stated a value."""
    total_squared: float = 0.0
    """Sum over them."""

    def plus(self, estimate: float | None, truth: float) -> "StateError":
        """One scene more; nothing if the method states no value."""
        if estimate is None:
            return self
        return StateError(self.count + 1, self.total_squared + (estimate - truth) ** 2)

    def __add__(self, other: "StateError") -> "StateError":
        """The errors over both sets of scenes."""
        return StateError(self.count + other.count, self.total_squared + other.total_squared)

    @property
    def rmse(self) -> float:
        """Root mean square error; NaN of nothing."""
        return float(np.sqrt(self.total_squared / self.count)) if self.count else np.nan


@dataclass(frozen=True, slots=True)
class Score:
    """What one method did on one suite."""

    method: str
    """Name of the corrector."""
    tallies: Mapping[Key, Tally]
    """By suite slice, dimension, value and band."""
    aot_550: Mapping[str, StateError]
    """By suite slice."""
    water_vapour: Mapping[str, StateError]
    """By suite slice."""

    def pooled(self, dimension: Dimension = "all", value: str = "all", *, slice_name: str = MAIN) -> Tally:
        """All bands of one slice together: pairs of pixel and band."""
        return sum(self.by_band(dimension, value, slice_name=slice_name).values(), Tally())

    def by_band(
        self, dimension: Dimension = "all", value: str = "all", *, slice_name: str = MAIN
    ) -> dict[str, Tally]:
        """Band to tally of one slice, in the order met."""
        return {
            band: found
            for (part, along, at, band), found in self.tallies.items()
            if (part, along, at) == (slice_name, dimension, value)
        }

    def values(self, dimension: Dimension, *, slice_name: str = MAIN) -> list[str]:
        """The values along a dimension that have pixels enough to be shown, in the order met."""
        names = dict.fromkeys(
            at for part, along, at, _ in self.tallies if (part, along) == (slice_name, dimension)
        )
        return [name for name in names if self._pixels(dimension, name, slice_name) >= MINIMUM_PIXELS]

    def slices(self) -> list[str]:
        """Names of the suite's slices that have pixels enough, `main` first."""
        names = dict.fromkeys(part for part, *_ in self.tallies)
        return [name for name in names if self._pixels("all", "all", name) >= MINIMUM_PIXELS]

    def _pixels(self, dimension: Dimension, value: str, slice_name: str) -> int:
        # every scene of one constellation carries the same bands: its first band counts its pixels
        bands = self.by_band(dimension, value, slice_name=slice_name)
        return sum(bands[name].count for name in ("B02", "B2") if name in bands)


def score_suite(
    suite: Suite,
    methods: Sequence[Corrector],
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """The scores of all methods on the same pixels, in their order; they do not depend on `workers`.

    Args:
        suite: Frozen scenes.
        methods: What is compared.
        workers: Processes; with one, everything happens in this one.
        progress: Called after every scene with how many are done, and of how many.
    """
    scored: list[list[Score]] = []
    for found in _each(partial(score_scene, methods=methods), suite.scenes, workers=workers):
        scored.append(found)
        if progress is not None:
            progress(len(scored), len(suite.scenes))
    return [_added(of_method) for of_method in zip(*scored, strict=True)]


def score_scene(scene: SuiteScene, methods: Sequence[Corrector]) -> list[Score]:
    """The scores of all methods on one scene, in their order."""
    observation, truth = render(scene)
    scores = []
    for method in methods:
        corrected = method.correct(observation)
        keyed = scene_tallies(scene, corrected, truth)
        part = scene.design.slice
        scores.append(
            Score(
                method.name,
                {(part, dimension, value, band): found for (dimension, value, band), found in keyed},
                {part: StateError().plus(corrected.aot_550, truth.aot_550)},
                {part: StateError().plus(corrected.water_vapour, truth.water_vapour)},
            )
        )
    return scores


def _each(
    task: Callable[[SuiteScene], list[Score]], scenes: Sequence[SuiteScene], *, workers: int
) -> Iterator[list[Score]]:
    if workers == 1:
        with _one_thread():
            yield from map(task, scenes)
        return
    # forked children of a process that has used torch's threads may hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_alone) as pool:
        yield from pool.map(task, scenes, chunksize=4)


def _alone() -> None:
    """One thread a process: the arrays are too small to share, and waiting for each other costs far more."""
    torch.set_num_threads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    _alone()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _added(scores: Sequence[Score]) -> Score:
    """The score of one method on the scenes of all of these."""
    tallies: dict[Key, Tally] = defaultdict(Tally)
    aot_550: dict[str, StateError] = defaultdict(StateError)
    water_vapour: dict[str, StateError] = defaultdict(StateError)
    for score in scores:
        for key, found in score.tallies.items():
            tallies[key] = tallies[key] + found
        for part, error in score.aot_550.items():
            aot_550[part] = aot_550[part] + error
        for part, error in score.water_vapour.items():
            water_vapour[part] = water_vapour[part] + error
    return Score(scores[0].method, dict(tallies), dict(aot_550), dict(water_vapour))


def scene_tallies(
    scene: SuiteScene, corrected: Corrected, truth: Truth
) -> list[tuple[tuple[Dimension, str, str], Tally]]:
    """Every (dimension, value, band) that this scene adds to, with what it adds."""
    case = scene.design.case
    whole_scene = list(
        scene_slices(
            aerosol=case.aerosol, sensor=scene.design.sensor, sun_zenith=case.sun_zenith, aot_550=case.aot_550
        )
    )
    found: list[tuple[tuple[Dimension, str, str], Tally]] = []
    for index in scored_bands(scene.sensor):
        band = scene.sensor.corrected_bands[index].name
        parts = _by_cover(index, corrected, truth)
        found += [(("surface", COVERS[code], band), part) for code, part in parts.items()]
        everything = sum(parts.values(), Tally())
        found += [((dimension, value, band), everything) for dimension, value in whole_scene]
    return found


def scored_bands(sensor: Sensor) -> list[int]:
    """Positions among the corrected bands of those that enter a score."""
    return [index for index, band in enumerate(sensor.corrected_bands) if band.role == "surface"]


def _by_cover(index: int, corrected: Corrected, truth: Truth) -> dict[int, Tally]:
    """One band's tally for every class of ground in the scene."""
    parts = {}
    for code in np.unique(truth.cover):
        here = truth.cover == code
        sigma = None if corrected.sigma is None else corrected.sigma[index][here]
        parts[int(code)] = tally(corrected.surface[index][here], truth.surface[index][here], sigma=sigma)
    return parts
