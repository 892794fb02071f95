"""Evidence is sums by scene: it adds up to the score, and travels as files."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from scenes import Offset

from undersky.datasets.design import MAIN
from undersky.datasets.suites import load_suite
from undersky.evaluation.correctors import Corrected
from undersky.evaluation.evidence import METRICS, from_table, pooled, rows_of, slice_table, sliced, to_table
from undersky.evaluation.score import score_suite


class Silent(Offset):
    """Leaves the left half of every scene without an answer."""

    def correct(self, seen):
        surface = np.array(seen.toa)
        surface[:, :, : surface.shape[2] // 2] = np.nan
        return Corrected(surface)


@pytest.fixture(scope="module")
def scores():
    whole = load_suite("direct-6s")
    suite = replace(whole, scenes=(*whole.scenes[:8], *whole.scenes[-3:]))
    methods = [Offset(0.0, name="mine"), Offset(0.01, name="theirs"), Silent(0.0, name="silent")]
    return score_suite(suite, methods)


@pytest.fixture(scope="module")
def rows(scores):
    return [rows_of("direct-6s", score) for score in scores]


@pytest.mark.parametrize("dimension", ["all", "aerosol", "sensor", "sun_zenith", "aot_550", "surface"])
def test_rows_add_up_to_the_score(scores, rows, dimension):
    found = sliced(rows[0])
    values = {at for part, along, at, _ in scores[0].tallies if (part, along) == (MAIN, dimension)}
    assert {key[2] for key in found if key[1] == dimension} == values
    for value in values:
        tally = scores[0].pooled(dimension, value)
        for metric, expected in (
            ("in_spec_percent", tally.in_spec_percent),
            ("rmse", tally.rmse),
            ("bias", abs(tally.bias)),
        ):
            key = ("direct-6s", dimension, value, metric)
            assert pooled(metric, found[key]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_bands_add_up_to_the_score(scores, rows):
    found = sliced(rows[0])
    for band, tally in scores[0].by_band().items():
        sums = found["direct-6s", "band", band, "in_spec_percent"]
        assert pooled("in_spec_percent", sums) == pytest.approx(tally.in_spec_percent)


def test_slices_of_their_own_are_parts_and_enter_nothing_else(scores, rows):
    found = sliced(rows[0])
    sums = found["direct-6s", "part", "mixture", "in_spec_percent"]
    assert len(sums) == 3
    expected = scores[0].pooled(slice_name="mixture").in_spec_percent
    assert pooled("in_spec_percent", sums) == pytest.approx(expected)
    assert all(scene.startswith("main") for key, sums in found.items() if key[1] != "part" for scene in sums)


def test_what_is_not_answered_is_counted(rows):
    key = ("direct-6s", "all", "all", "answered_percent")
    answered = [pooled(key[3], sliced(found)[key]) for found in rows]
    assert answered == [100.0, 100.0, 50.0]


def test_a_table_reads_back_and_the_same_rows_give_the_same_bytes(rows):
    both = {"mine": rows[0], "theirs": rows[1]}
    table = to_table(both)
    assert from_table(table) == both
    assert to_table(both) == table


def test_the_csv_says_who_is_better_in_every_slice(rows):
    lines = list(csv.DictReader(io.StringIO(slice_table(rows[0], rows[1]))))
    assert len(lines) == len(sliced(rows[0]))
    for line in lines:
        sign = 1.0 if METRICS[line["metric"]].better == "higher" else -1.0
        expected = sign * (float(line["candidate"]) - float(line["champion"]))
        assert float(line["difference"]) == pytest.approx(expected, abs=1e-3)
    [overall] = [line for line in lines if (line["dimension"], line["metric"]) == ("all", "rmse")]
    assert overall["scenes"] == "8"


def test_a_metric_of_nothing_is_no_number():
    assert np.isnan(METRICS["rmse"].of(0.0, 0.0))
    assert np.isnan(pooled("rmse", {}))
    assert METRICS["rmse"].shown(float("nan")) == "nothing"
