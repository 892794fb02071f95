"""Scores as JSON and as Markdown tables. Simulated and real results never share a table."""

import math
from collections.abc import Iterator, Mapping, Sequence

from undersky.evaluation.metrics import Tally
from undersky.evaluation.score import Score
from undersky.evaluation.slices import DIMENSIONS, Dimension

Json = float | int | str | None | Mapping[str, "Json"]

_TITLES: dict[Dimension, str] = {
    "all": "All",
    "aerosol": "Aerosol",
    "surface": "Surface",
    "sensor": "Sensor",
    "sun_zenith": "Sun zenith, degrees",
    "aot_550": "AOD at 550 nm",
}


def suite_json(scores: Sequence[Score]) -> dict[str, Json]:
    """One suite: the first score is the result, the others are its peers. Percent and reflectance units."""
    result, *others = scores
    pooled = result.pooled()
    bands = result.by_band()
    return {
        "in_spec": _in_spec(result) | {"by_band": {b: _percent(t) for b, t in bands.items()}},
        "bias": {band: _number(found.bias, 5) for band, found in bands.items()},
        "rmse": {band: _number(found.rmse, 5) for band, found in bands.items()},
        "aod_rmse": _number(result.aot_550["main"].rmse, 4),
        "water_vapour_rmse": _number(result.water_vapour["main"].rmse, 4),
        "coverage": {
            "1sigma": _number(pooled.coverage_1sigma, 2),
            "2sigma": _number(pooled.coverage_2sigma, 2),
        },
        "peers": {peer.method: {"in_spec": _in_spec(peer)} for peer in others},
    }


def _in_spec(score: Score) -> dict[str, Json]:
    """Overall, by aerosol type, and for the suite's slices of their own."""
    return {
        "all": _percent(score.pooled()),
        "by_aerosol": {name: _percent(score.pooled("aerosol", name)) for name in score.values("aerosol")},
        "by_slice": {
            name: _percent(score.pooled(slice_name=name)) for name in score.slices() if name != "main"
        },
    }


def _percent(found: Tally) -> float | None:
    return _number(found.in_spec_percent, 2)


def _number(value: float, digits: int) -> float | None:
    """Rounded; JSON knows no NaN."""
    return round(value, digits) if math.isfinite(value) else None


def suite_markdown(name: str, scores: Sequence[Score]) -> str:
    """One suite as tables: methods side by side, then bands and slices of the first."""
    result = scores[0]
    lines = [f"### {name} (simulated: direct 6S)", "", *_methods_table(scores), "", *_bands_table(result)]
    for dimension in DIMENSIONS[1:]:
        lines += ["", *_slice_table(dimension, scores)]
    parts = [part for part in result.slices() if part != "main"]
    if parts:
        lines += ["", *_own_slices_table(parts, scores)]
    return "\n".join(lines) + "\n"


def _methods_table(scores: Sequence[Score]) -> Iterator[str]:
    yield "| method | in spec % | bias | RMSE | AOD RMSE | water RMSE g/cm2 | in 1 sigma % | in 2 sigma % |"
    yield "|---|---|---|---|---|---|---|---|"
    for score in scores:
        found = score.pooled()
        cells = (
            score.method,
            _cell(found.in_spec_percent, 1),
            _cell(found.bias, 4),
            _cell(found.rmse, 4),
            _cell(score.aot_550["main"].rmse, 3),
            _cell(score.water_vapour["main"].rmse, 2),
            _cell(found.coverage_1sigma, 1),
            _cell(found.coverage_2sigma, 1),
        )
        yield _row(cells)


def _bands_table(score: Score) -> Iterator[str]:
    yield f"| band ({score.method}) | A bias | P spread | U RMSE | in spec % | in 1 sigma % | in 2 sigma % |"
    yield "|---|---|---|---|---|---|---|"
    for band, found in score.by_band().items():
        coverage = (_cell(found.coverage_1sigma, 1), _cell(found.coverage_2sigma, 1))
        yield _row((band, *accuracy_cells(found), _cell(found.in_spec_percent, 1), *coverage))


def accuracy_cells(found: Tally) -> tuple[str, str, str]:
    """A, P and U as a table prints them."""
    return _cell(found.bias, 4), _cell(found.spread, 4), _cell(found.rmse, 4)


def _slice_table(dimension: Dimension, scores: Sequence[Score]) -> Iterator[str]:
    first = scores[0]
    yield _row((_TITLES[dimension], *(f"{score.method} in spec %" for score in scores), "in 1 sigma %"))
    yield "|---" * (len(scores) + 2) + "|"
    for value in sorted(first.values(dimension)):
        cells = [_cell(score.pooled(dimension, value).in_spec_percent, 1) for score in scores]
        yield _row((value, *cells, _cell(first.pooled(dimension, value).coverage_1sigma, 1)))


def _own_slices_table(parts: Sequence[str], scores: Sequence[Score]) -> Iterator[str]:
    yield _row(("Slice of its own", *(f"{score.method} in spec %" for score in scores), "in 1 sigma %"))
    yield "|---" * (len(scores) + 2) + "|"
    for part in parts:
        cells = [_cell(score.pooled(slice_name=part).in_spec_percent, 1) for score in scores]
        yield _row((part, *cells, _cell(scores[0].pooled(slice_name=part).coverage_1sigma, 1)))


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
