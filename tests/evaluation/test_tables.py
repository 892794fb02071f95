"""Tables hold the figures of the scores, cell by cell."""

import pytest

from undersky.evaluation.metrics import Tally
from undersky.evaluation.score import Score, StateError
from undersky.evaluation.tables import (
    Table,
    accuracy_cells,
    band_by_slice_tables,
    bands_table,
    cell,
    methods_table,
    slice_tables,
)

PIXELS = 20_000


def tally(percent, bias=0.001):
    return Tally(
        PIXELS, int(percent / 100 * PIXELS), bias * PIXELS, 1e-4 * PIXELS, PIXELS, PIXELS // 2, PIXELS
    )


@pytest.fixture
def score():
    tallies = {
        ("main", "all", "all", "B02"): tally(80),
        ("main", "all", "all", "B04"): tally(90),
        ("main", "sensor", "S2A", "B02"): tally(70, bias=-0.002),
        ("main", "sensor", "S2A", "B04"): tally(75),
        ("main", "sensor", "S2B", "B02"): tally(60),
    }
    return Score("mine", tallies, {"main": StateError(4, 0.01)}, {"main": StateError()})


def test_a_table_is_markdown_with_one_rule():
    table = Table(("a", "b"), (("1", "2"), ("3", "4")))
    assert table.as_markdown() == "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"


def test_what_is_not_known_is_a_dash():
    assert cell(float("nan"), 2) == cell(float("inf"), 2) == "-"
    assert cell(1.005, 1) == "1.0"


def test_accuracy_is_bias_spread_and_rmse():
    assert accuracy_cells(tally(50, bias=0.006)) == ("0.0060", "0.0080", "0.0100")


def test_every_row_is_as_wide_as_its_head(score):
    tables = [methods_table([score, score]), bands_table(score), *slice_tables([score, score])]
    tables += [table for _, table in band_by_slice_tables(score)]
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_a_dimension_without_pixels_has_no_table(score):
    assert [table.head[0] for table in slice_tables([score])] == ["Sensor"]


def test_a_slice_shows_its_own_accuracy(score):
    [table] = slice_tables([score])
    assert [row[0] for row in table.rows] == ["S2A", "S2B"]
    assert table.rows[0][1] == "72.5"
    assert table.rows[0][2] == "-0.0005"


def test_every_band_is_shown_in_every_slice(score):
    [(dimension, table)] = band_by_slice_tables(score)
    assert dimension == "sensor"
    assert table.head == ("band, by sensor", "S2A", "S2B")
    assert table.rows[0][1].startswith("70.0 % · -0.0020 / ")
    assert table.rows[1] == ("B04", table.rows[1][1], "-")


def test_a_method_shows_depth_and_coverage(score):
    [row] = methods_table([score]).rows
    assert row == ("mine", "85.0", "0.0010", "0.0100", "0.050", "-", "50.0", "100.0")


def test_a_method_without_scenes_of_the_main_slice_has_dashes():
    [row] = methods_table([Score("none", {}, {}, {})]).rows
    assert row == ("none", *["-"] * 7)
