"""Counts by class and scene are the evidence of a map, and every figure is a ratio of their sums."""

import pytest

from undersky.errors import ConfigError
from undersky.evaluation.evidence import DIMENSIONS, METRICS, pooled, sliced
from undersky.evaluation.maps import Counted, MapsScore, calibration_rows, class_rows, spread

COUNTED = {"trees": Counted(60.0, 20.0, 10.0), "water": Counted(30.0, 0.0, 10.0), "snow": Counted(0, 0, 0)}


def figures(rows):
    return {
        (dimension, value, metric): pooled(metric, sums)
        for (_, dimension, value, metric), sums in sliced(rows).items()
    }


def test_the_figures_of_a_class_are_those_of_the_textbook():
    found = figures(class_rows("s", "one", counted=COUNTED))
    assert found["class", "trees", "iou_percent"] == pytest.approx(100 * 60 / 90)
    assert found["class", "trees", "f1_percent"] == pytest.approx(100 * 120 / 150)
    assert found["class", "trees", "precision_percent"] == pytest.approx(75.0)
    assert found["class", "trees", "recall_percent"] == pytest.approx(100 * 60 / 70)


def test_all_classes_together_stand_in_every_slice_of_the_scene():
    rows = list(class_rows("s", "one", counted=COUNTED, slices=(("all", "all"), ("season", "summer"))))
    found = figures(rows)
    assert found["all", "all", "accuracy_percent"] == pytest.approx(100 * 90 / 110)
    assert found["season", "summer", "iou_percent"] == found["all", "all", "iou_percent"]
    assert ("class", "trees", "accuracy_percent") not in found


def test_a_class_that_is_nowhere_is_a_row_of_nothing():
    rows = [row for row in class_rows("s", "one", counted=COUNTED) if row.value == "snow"]
    assert {row.metric for row in rows} == {
        "iou_percent",
        "f1_percent",
        "precision_percent",
        "recall_percent",
    }
    assert all(row.bottom == 0.0 for row in rows)


def test_every_row_names_a_metric_and_a_dimension_that_a_gate_may_name():
    rows = [
        *class_rows("s", "one", counted=COUNTED),
        *calibration_rows("s", "one", confidence=80.0, right=70.0, pixels=100.0),
    ]
    assert {row.metric for row in rows} <= METRICS.keys()
    assert {row.dimension for row in rows} <= DIMENSIONS.keys()


def test_a_model_that_is_too_sure_in_one_scene_and_too_shy_in_another_is_calibrated():
    rows = [
        *calibration_rows("s", "one", confidence=80.0, right=70.0, pixels=100.0),
        *calibration_rows("s", "two", confidence=60.0, right=70.0, pixels=100.0),
    ]
    assert figures(rows)["all", "all", "calibration_gap"] == 0.0
    assert figures(rows[:1])["all", "all", "calibration_gap"] == pytest.approx(0.1)


def test_a_suite_without_a_digest_of_its_own_is_known_by_its_scenes():
    rows = tuple(class_rows("s", "one", counted=COUNTED))
    more = (*rows, *class_rows("s", "two", counted=COUNTED), *class_rows("real", "x", counted=COUNTED))
    few, many = (MapsScore({}, "", found, suites={"real": "d" * 64}).digests() for found in (rows, more))
    assert few["s"] != many["s"]
    assert many["real"] == "d" * 64
    assert few.keys() == {"s"}


@pytest.mark.parametrize(
    ("limit", "places"), [(None, (0, 1, 2, 3)), (9, (0, 1, 2, 3)), (2, (0, 2)), (1, (0,))]
)
def test_fewer_scenes_are_spread_over_the_suite(limit, places):
    assert spread(4, limit) == places


def test_no_scene_is_refused():
    with pytest.raises(ConfigError, match="give 1 or more"):
        spread(4, 0)
