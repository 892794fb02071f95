"""What was measured as tables, written as Markdown for a terminal and as HTML for a page."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from undersky.evaluation.metrics import Tally
from undersky.evaluation.score import Score
from undersky.evaluation.slices import DIMENSIONS, Dimension

TITLES: dict[Dimension, str] = {
    "all": "All",
    "aerosol": "Aerosol",
    "surface": "Surface",
    "sensor": "Sensor",
    "sun_zenith": "Sun zenith, degrees",
    "aot_550": "AOD at 550 nm",
}
"""What a dimension is called."""

_STATED = ("A bias", "P spread", "U RMSE", "in 1 sigma %", "in 2 sigma %")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a head; the first column names the row."""

    head: tuple[str, ...]
    """One title a column."""
    rows: tuple[tuple[str, ...], ...]
    """As many cells each."""

    def as_markdown(self) -> str:
        """The table with pipes, without a newline at its end."""
        rule = "|---" * len(self.head) + "|"
        return "\n".join([_row(self.head), rule, *map(_row, self.rows)])


def methods_table(scores: Sequence[Score]) -> Table:
    """All methods side by side."""
    head = (
        *("method", "in spec %", "bias", "RMSE", "AOD RMSE", "water RMSE g/cm2"),
        *("in 1 sigma %", "in 2 sigma %"),
    )
    return Table(head, tuple(_method(score) for score in scores))


def _method(score: Score) -> tuple[str, ...]:
    found = score.pooled()
    aot, water = (errors.get("main") for errors in (score.aot_550, score.water_vapour))
    return (
        score.method,
        cell(found.in_spec_percent, 1),
        cell(found.bias, 4),
        cell(found.rmse, 4),
        cell(math.nan if aot is None else aot.rmse, 3),
        cell(math.nan if water is None else water.rmse, 2),
        cell(found.coverage_1sigma, 1),
        cell(found.coverage_2sigma, 1),
    )


def bands_table(score: Score) -> Table:
    """Every band of one method."""
    head = (f"band ({score.method})", *_STATED[:3], "in spec %", *_STATED[3:])
    rows = (
        (band, *accuracy_cells(found), cell(found.in_spec_percent, 1), *_coverage_cells(found))
        for band, found in score.by_band().items()
    )
    return Table(head, tuple(rows))


def slice_tables(scores: Sequence[Score]) -> Iterator[Table]:
    """One table a dimension that has anything to show, then one of the suite's slices of their own."""
    first = scores[0]
    for dimension in DIMENSIONS[1:]:
        values = sorted(first.values(dimension))
        rows = (_slice(value, scores, dimension=dimension, value=value) for value in values)
        if values:
            yield Table(_slice_head(TITLES[dimension], scores), tuple(rows))
    parts = [part for part in first.slices() if part != "main"]
    if parts:
        rows = (_slice(part, scores, part=part) for part in parts)
        yield Table(_slice_head("Slice of its own", scores), tuple(rows))


def _slice_head(title: str, scores: Sequence[Score]) -> tuple[str, ...]:
    return (title, *(f"{score.method} in spec %" for score in scores), *_STATED, "AOD RMSE")


def _slice(
    name: str,
    scores: Sequence[Score],
    *,
    dimension: Dimension = "all",
    value: str = "all",
    part: str = "main",
) -> tuple[str, ...]:
    """In spec of every method; the rest is of the first."""
    shares = [cell(score.pooled(dimension, value, slice_name=part).in_spec_percent, 1) for score in scores]
    found = scores[0].pooled(dimension, value, slice_name=part)
    aot = scores[0].aot_rmse(dimension, value, slice_name=part)
    return (name, *shares, *accuracy_cells(found), *_coverage_cells(found), cell(aot, 3))


def band_by_slice_tables(score: Score) -> Iterator[tuple[Dimension, Table]]:
    """Of one method, every band in every slice: percent in spec, and A, P and U below each other."""
    for dimension in DIMENSIONS[1:]:
        values = sorted(score.values(dimension))
        if not values:
            continue
        columns = [score.by_band(dimension, value) for value in values]
        rows = (
            (band, *(_one_cell(column[band]) if band in column else "-" for column in columns))
            for band in score.by_band()
        )
        yield dimension, Table((f"band, by {TITLES[dimension].lower()}", *values), tuple(rows))


def _one_cell(found: Tally) -> str:
    return f"{cell(found.in_spec_percent, 1)} % · {' / '.join(accuracy_cells(found))}"


def accuracy_cells(found: Tally) -> tuple[str, str, str]:
    """A, P and U as a table prints them."""
    return cell(found.bias, 4), cell(found.spread, 4), cell(found.rmse, 4)


def _coverage_cells(found: Tally) -> tuple[str, str]:
    return cell(found.coverage_1sigma, 1), cell(found.coverage_2sigma, 1)


def cell(value: float, digits: int) -> str:
    """A number with that many digits; a dash where nothing is known."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
