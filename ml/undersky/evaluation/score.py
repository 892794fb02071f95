"""Runs methods over a suite and adds up what came out, once per slice and band.

B09 and B10 are corrected, or read, but never scored: only `surface` bands enter a tally.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
import torch

from undersky.datasets.design import MAIN
from undersky.datasets.folders import Folder
from undersky.datasets.ground import COVERS
from undersky.datasets.suites import Suite, Truth
from undersky.evaluation.correctors import Corrected, Corrector
from undersky.evaluation.histograms import Histograms, count_ratios, count_scatter
from undersky.evaluation.metrics import Tally, tally
from undersky.evaluation.seen import AnyScene, Seen, look
from undersky.evaluation.slices import MINIMUM_PIXELS, Dimension
from undersky.inference.air import one_thread

K = TypeVar("K")
Added = TypeVar("Added", Tally, "StateError")

Key = tuple[str, Dimension, str, str]
"""Slice of the suite (`main`, `snow`, ..), dimension, value along it, band."""

Cover = tuple[str, str]
"""Ground cover, band."""

UNKNOWN = "unknown"
"""The aerosol, or the cover of the ground, of which nobody says what it is."""


@dataclass(frozen=True, slots=True)
class StateError:
    """Squared errors of one scalar of the state over the scenes of one slice of the suite."""

    count: int = 0
    """Scenes for which the method stated a value."""
    total_squared: float = 0.0
    """Sum over them."""

    def plus(self, estimate: float | None, truth: float) -> "StateError":
        """One scene more; nothing if the method states no value, or nobody knows the true one (NaN)."""
        if estimate is None or not np.isfinite(truth):
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
class SceneScore:
    """What one method did on one scene."""

    index: int
    """Of the scene in its suite."""
    part: str
    """Slice of the suite."""
    slices: tuple[tuple[Dimension, str], ...]
    """Every slice that the whole scene belongs to."""
    aerosol: str
    """Its type; `unknown` where nobody says."""
    aot_550: float | None
    """True optical depth; None where nobody knows."""
    aot_found: float | None
    """What the method found or assumed; None from one that states none."""
    in_spec_percent: float
    """Of all its pixels and scored bands."""
    id: str = ""
    """`main-017`, or the name of a user's file."""
    pixels: int = 0
    """Pairs of pixel and scored band with a measurement and a truth, whether the method answers or not."""
    tallies: Mapping[Cover, Tally] = field(default_factory=dict)
    """By ground cover and band; the cover is `unknown` where nobody says."""


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
    scenes: tuple[SceneScore, ...] = ()
    """One by one, in the order of the suite."""
    histograms: Histograms = field(default_factory=Histograms, compare=False)
    """Of the slice `main`; counted for the first method of a run only, whose figures are drawn."""

    def __add__(self, other: "Score") -> "Score":
        """The score of one method on both sets of scenes."""
        return Score(
            self.method,
            _summed(self.tallies, other.tallies),
            _summed(self.aot_550, other.aot_550),
            _summed(self.water_vapour, other.water_vapour),
            self.scenes + other.scenes,
            self.histograms + other.histograms,
        )

    def aot_rmse(self, dimension: Dimension = "all", value: str = "all", *, slice_name: str = MAIN) -> float:
        """Root mean square error of the optical depth over the whole scenes of one slice; NaN of none."""
        here = [
            scene
            for scene in self.scenes
            if scene.part == slice_name and (dimension, value) in scene.slices and scene.aot_550 is not None
        ]
        errors = (StateError().plus(scene.aot_found, scene.aot_550 or 0.0) for scene in here)
        return sum(errors, StateError()).rmse

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
        # scenes of one constellation carry nearly the same bands: its fullest band counts its pixels
        bands = self.by_band(dimension, value, slice_name=slice_name)
        return sum(
            max((found.count for name, found in bands.items() if len(name) == letters), default=0)
            for letters in (len("B02"), len("B2"))
        )


def _summed(mine: Mapping[K, Added], theirs: Mapping[K, Added]) -> dict[K, Added]:
    together = dict(mine)
    for key, found in theirs.items():
        together[key] = together[key] + found if key in together else found
    return together


def score_suite(
    suite: Suite | Folder,
    methods: Sequence[Corrector],
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """The scores of all methods on the same pixels, in their order; they do not depend on `workers`.

    Args:
        suite: Frozen scenes, or a user's.
        methods: What is compared; histograms are counted for the first.
        workers: Processes; with one, everything happens in this one.
        progress: Called after every scene with how many are done, and of how many.
    """
    scores: list[Score] = []
    numbered: list[tuple[int, AnyScene]] = list(enumerate(suite.scenes))
    for done, found in enumerate(_each(partial(_score, methods=methods), numbered, workers=workers), start=1):
        scores = [a + b for a, b in zip(scores, found, strict=True)] if scores else found
        if progress is not None:
            progress(done, len(numbered))
    return scores


def _score(numbered: tuple[int, AnyScene], methods: Sequence[Corrector]) -> list[Score]:
    index, scene = numbered
    return score_scene(scene, methods, index=index)


def score_scene(scene: AnyScene, methods: Sequence[Corrector], *, index: int = 0) -> list[Score]:
    """The scores of all methods on one scene, in their order; `index` is its place in the suite."""
    seen = look(scene)
    scores = []
    for method in methods:
        corrected = method.correct(seen.observation)
        tallies = cover_tallies(seen, corrected)
        keyed = {(seen.part, *key): found for key, found in scene_tallies(seen, tallies)}
        counted = seen.part == MAIN and method is methods[0]
        score = Score(
            method.name,
            keyed,
            {seen.part: StateError().plus(corrected.aot_550, seen.truth.aot_550)},
            {seen.part: StateError().plus(corrected.water_vapour, seen.truth.water_vapour)},
            histograms=scene_histograms(seen, corrected) if counted else Histograms(),
        )
        scores.append(replace(score, scenes=(_one(seen, corrected, tallies, index=index),)))
    return scores


def _one(seen: Seen, corrected: Corrected, tallies: Mapping[Cover, Tally], *, index: int) -> SceneScore:
    return SceneScore(
        index=index,
        part=seen.part,
        slices=tuple(seen.slices()),
        aerosol=seen.aerosol or UNKNOWN,
        aot_550=seen.truth.aot_550 if np.isfinite(seen.truth.aot_550) else None,
        aot_found=corrected.aot_550,
        in_spec_percent=sum(tallies.values(), Tally()).in_spec_percent,
        id=seen.observation.id,
        pixels=_answerable(seen),
        tallies=tallies,
    )


def _answerable(seen: Seen) -> int:
    rows = [index for index, _ in scored(seen)]
    known = np.isfinite(seen.observation.toa[rows]) & np.isfinite(seen.truth.surface[rows])
    return int(np.count_nonzero(known))


def _each(
    task: Callable[[tuple[int, AnyScene]], list[Score]],
    scenes: Sequence[tuple[int, AnyScene]],
    *,
    workers: int,
) -> Iterator[list[Score]]:
    if workers == 1:
        with one_thread():
            yield from map(task, scenes)
        return
    # forked children of a process that has used torch's threads may hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_alone) as pool:
        yield from pool.map(task, scenes, chunksize=4)


def _alone() -> None:
    """One thread a process: the arrays are too small to share, and waiting for each other costs far more."""
    torch.set_num_threads(1)


def cover_tallies(seen: Seen, corrected: Corrected) -> dict[Cover, Tally]:
    """The scene's pixels, each once, by what covers the ground and by band."""
    return {
        (COVERS[code] if code < len(COVERS) else UNKNOWN, band): part
        for index, band in scored(seen)
        for code, part in _by_cover(index, corrected, seen.truth).items()
    }


def scene_tallies(
    seen: Seen, tallies: Mapping[Cover, Tally]
) -> Iterator[tuple[tuple[Dimension, str, str], Tally]]:
    """Every (dimension, value, band) that this scene adds to, with what it adds."""
    whole_scene = list(seen.slices())
    for _, band in scored(seen):
        parts = {cover: part for (cover, of), part in tallies.items() if of == band}
        yield from ((("surface", cover, band), part) for cover, part in parts.items() if cover != UNKNOWN)
        everything = sum(parts.values(), Tally())
        yield from (((dimension, value, band), everything) for dimension, value in whole_scene)


def scene_histograms(seen: Seen, corrected: Corrected) -> Histograms:
    """What this scene adds to the figures."""
    rows = [index for index, _ in scored(seen)]
    estimate, truth = corrected.surface[rows], seen.truth.surface[rows]
    names = [name for _, name in scored(seen)]
    scatter = {name: count_scatter(estimate[row], truth[row]) for row, name in enumerate(names)}
    if corrected.sigma is None:
        return Histograms(scatter)
    ratios = count_ratios(estimate - truth, corrected.sigma[rows])
    return Histograms(scatter, {seen.aerosol or UNKNOWN: ratios})


def scored(seen: Seen) -> list[tuple[int, str]]:
    """Position and name of the observation's bands that enter a score."""
    known = seen.observation.sensor
    bands = enumerate(seen.observation.bands)
    return [(index, name) for index, name in bands if known.band(name).role == "surface"]


def _by_cover(index: int, corrected: Corrected, truth: Truth) -> dict[int, Tally]:
    """One band's tally for every class of ground in the scene."""
    parts = {}
    for code in np.unique(truth.cover):
        here = truth.cover == code
        sigma = None if corrected.sigma is None else corrected.sigma[index][here]
        parts[int(code)] = tally(corrected.surface[index][here], truth.surface[index][here], sigma=sigma)
    return parts
