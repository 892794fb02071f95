"""Methods beside an agency's product on real pixels: a difference, no error: nobody knows the truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from undersky.datasets.observation import as_scene
from undersky.datasets.pairs import Pair
from undersky.evaluation.correctors import Corrected, Corrector
from undersky.evaluation.histograms import Histograms, count_ratios, count_scatter
from undersky.evaluation.metrics import Tally, tally
from undersky.evaluation.report import Json
from undersky.evaluation.tables import Table, accuracy_cells
from undersky.inference.quality import scene_mask
from undersky.quality import is_clear
from undersky.raster.planes import nearest
from undersky.scene import Bools

_VISIBLE_NM = (400.0, 700.0)


@dataclass(frozen=True, slots=True)
class PairScore:
    """One method beside one agency's product."""

    method: str
    """Name of the corrector."""
    bands: dict[str, Tally]
    """Method minus agency, by band; only `surface` bands."""


@dataclass(frozen=True, slots=True)
class PairResult:
    """All methods on one pair."""

    pair: Pair
    """The acquisition, with what was assumed of it."""
    pixels: int
    """Clear pixels that were compared."""
    scores: tuple[PairScore, ...]
    """In the order of the methods."""
    corrected: Corrected
    """What the first of them made of the pair."""
    histograms: Histograms
    """The first method beside the agency over the clear pixels."""


def score_pair(pair: Pair, methods: Sequence[Corrector]) -> PairResult:
    """Every method on the pixels that both the agency and our own tests call clear."""
    clear = pair.clear & our_clear(pair)
    corrected = [method.correct(pair.observation) for method in methods]
    scores = tuple(
        PairScore(method.name, _tallies(pair, found, clear))
        for method, found in zip(methods, corrected, strict=True)
    )
    histograms = _histograms(pair, corrected[0], clear)
    return PairResult(pair, int(np.count_nonzero(clear)), scores, corrected[0], histograms)


def our_clear(pair: Pair) -> Bools:
    """Where our own tests, which look at a reduced resolution, see clear ground, at the pair's pixels."""
    coarse = is_clear(scene_mask(as_scene(pair.observation)))
    rows, cols = (nearest(size, onto) for size, onto in zip(coarse.shape, pair.clear.shape, strict=True))
    return coarse[np.ix_(rows, cols)]


def _tallies(pair: Pair, corrected: Corrected, clear: Bools) -> dict[str, Tally]:
    return {
        name: tally(
            corrected.surface[index][clear],
            pair.agency[index][clear],
            sigma=None if corrected.sigma is None else corrected.sigma[index][clear],
        )
        for index, name in _scored(pair)
    }


def _histograms(pair: Pair, corrected: Corrected, clear: Bools) -> Histograms:
    both = {
        name: (corrected.surface[index][clear], pair.agency[index][clear]) for index, name in _scored(pair)
    }
    scatter = {name: count_scatter(ours, theirs) for name, (ours, theirs) in both.items()}
    if corrected.sigma is None:
        return Histograms(scatter)
    rows = [index for index, _ in _scored(pair)]
    difference = (corrected.surface - pair.agency)[rows][:, clear]
    return Histograms(scatter, {"all": count_ratios(difference, corrected.sigma[rows][:, clear])})


def _scored(pair: Pair) -> list[tuple[int, str]]:
    """Position and name of the bands that are compared."""
    known = pair.observation.sensor
    bands = enumerate(pair.observation.bands)
    return [(index, name) for index, name in bands if known.band(name).role == "surface"]


def pair_json(result: PairResult) -> dict[str, Json]:
    """Per method and band: A, P and U, in reflectance units."""
    return {
        "agency": result.pair.processor,
        "pixels": result.pixels,
        "methods": {
            score.method: {
                name: {
                    "bias": round(found.bias, 5),
                    "spread": round(found.spread, 5),
                    "rmse": round(found.rmse, 5),
                }
                for name, found in score.bands.items()
                if found.count > 1
            }
            for score in result.scores
        },
    }


def pair_markdown(result: PairResult) -> str:
    """One pair as a table: bands down, methods across, A / P / U in each cell."""
    pair = result.pair
    title = f"### {pair.name} (real: beside {pair.processor}, {result.pixels} clear pixels)"
    assumed = "\n".join(f"- {assumption}" for assumption in pair.assumptions)
    return f"{title}\n\n{pair_table(result).as_markdown()}\n\n{assumed}\n"


def pair_table(result: PairResult) -> Table:
    """Bands down, methods across, A / P / U in each cell; the visible bands together at the bottom."""
    head = ("band", *(f"{score.method} A / P / U" for score in result.scores))
    return Table(head, tuple(_rows(result)))


def _rows(result: PairResult) -> Iterator[tuple[str, ...]]:
    for name in result.scores[0].bands:
        yield (name, *(" / ".join(accuracy_cells(score.bands[name])) for score in result.scores))
    visible = [
        name
        for name in result.scores[0].bands
        if _VISIBLE_NM[0] < result.pair.observation.sensor.band(name).wavelength_nm < _VISIBLE_NM[1]
    ]
    pooled = (sum((score.bands[name] for name in visible), Tally()) for score in result.scores)
    yield ("visible", *(" / ".join(accuracy_cells(found)) for found in pooled))
