"""Methods beside an agency's product on real pixels: a difference, no error: nobody knows the truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from undersky.datasets.observation import as_scene
from undersky.datasets.pairs import Pair
from undersky.evaluation.correctors import Corrector
from undersky.evaluation.metrics import Tally, tally
from undersky.evaluation.report import Json, accuracy_cells
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


def score_pair(pair: Pair, methods: Sequence[Corrector]) -> PairResult:
    """Every method on the pixels that both the agency and our own tests call clear."""
    clear = pair.clear & our_clear(pair)
    scores = tuple(_score(pair, method, clear) for method in methods)
    return PairResult(pair, int(np.count_nonzero(clear)), scores)


def our_clear(pair: Pair) -> Bools:
    """Where our own tests, which look at a reduced resolution, see clear ground, at the pair's pixels."""
    coarse = is_clear(scene_mask(as_scene(pair.observation)))
    rows, cols = (nearest(size, onto) for size, onto in zip(coarse.shape, pair.clear.shape, strict=True))
    return coarse[np.ix_(rows, cols)]


def _score(pair: Pair, method: Corrector, clear: Bools) -> PairScore:
    corrected = method.correct(pair.observation)
    scored = {band.name for band in pair.observation.sensor.corrected_bands if band.role == "surface"}
    return PairScore(
        method.name,
        {
            name: tally(
                corrected.surface[index][clear],
                pair.agency[index][clear],
                sigma=None if corrected.sigma is None else corrected.sigma[index][clear],
            )
            for index, name in enumerate(pair.observation.bands)
            if name in scored
        },
    )


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
    lines = [
        f"### {pair.name} (real: beside {pair.processor}, {result.pixels} clear pixels)",
        "",
        f"| band | {' | '.join(f'{score.method} A / P / U' for score in result.scores)} |",
        "|---" * (len(result.scores) + 1) + "|",
        *_rows(result),
        "",
        *(f"- {assumption}" for assumption in pair.assumptions),
    ]
    return "\n".join(lines) + "\n"


def _rows(result: PairResult) -> Iterator[str]:
    for name in result.scores[0].bands:
        cells = (" / ".join(accuracy_cells(score.bands[name])) for score in result.scores)
        yield f"| {name} | {' | '.join(cells)} |"
    visible = [
        name
        for name in result.scores[0].bands
        if _VISIBLE_NM[0] < result.pair.observation.sensor.band(name).wavelength_nm < _VISIBLE_NM[1]
    ]
    pooled = (sum((score.bands[name] for name in visible), Tally()) for score in result.scores)
    yield f"| visible | {' | '.join(' / '.join(accuracy_cells(found)) for found in pooled)} |"
