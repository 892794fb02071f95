"""Scores as JSON and as Markdown tables. Simulated and real results never share a table."""

import math
from collections.abc import Mapping, Sequence

from undersky.evaluation.metrics import Tally
from undersky.evaluation.score import Score
from undersky.evaluation.tables import bands_table, methods_table, slice_tables

Json = float | int | str | bool | None | Mapping[str, "Json"]


def suite_json(scores: Sequence[Score]) -> dict[str, Json]:
    """One suite: the first score is the result, the others are its peers. Percent and reflectance units."""
    result, *others = scores
    pooled = result.pooled()
    bands = result.by_band()
    return {
        "in_spec": _in_spec(result) | {"by_band": {b: _percent(t) for b, t in bands.items()}},
        "bias": {band: number(found.bias, 5) for band, found in bands.items()},
        "rmse": {band: number(found.rmse, 5) for band, found in bands.items()},
        "aod_rmse": number(result.aot_550["main"].rmse, 4),
        "water_vapour_rmse": number(result.water_vapour["main"].rmse, 4),
        "coverage": {
            "1sigma": number(pooled.coverage_1sigma, 2),
            "2sigma": number(pooled.coverage_2sigma, 2),
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
    return number(found.in_spec_percent, 2)


def number(value: float, digits: int) -> float | None:
    """Rounded; JSON knows no NaN."""
    return round(value, digits) if math.isfinite(value) else None


def suite_markdown(name: str, scores: Sequence[Score], *, origin: str = "simulated: direct 6S") -> str:
    """One suite as tables: methods side by side, then bands and slices of the first."""
    tables = (methods_table(scores), bands_table(scores[0]), *slice_tables(scores))
    return "\n\n".join([f"### {name} ({origin})", *(table.as_markdown() for table in tables)]) + "\n"
