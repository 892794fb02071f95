"""Every scene falls into exactly one value of each dimension."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.evaluation.slices import (
    AOT_EDGES,
    DIMENSIONS,
    SUN_ZENITH_EDGES,
    interval,
    scene_slices,
)


@given(st.floats(0.001, 1.0))
def test_an_interval_holds_its_value(value):
    low, high = map(float, interval(value, AOT_EDGES).split("-"))
    assert low < value <= high


@pytest.mark.parametrize(
    ("value", "name"),
    [(0.05, "0-0.1"), (0.1, "0-0.1"), (0.1001, "0.1-0.2"), (0.6, "0.4-0.6"), (0.61, "0.6-1"), (1.0, "0.6-1")],
)
def test_an_upper_edge_belongs_below_it(value, name):
    assert interval(value, AOT_EDGES) == name


def test_values_beyond_the_edges_belong_to_the_outermost_intervals():
    assert interval(3.0, AOT_EDGES) == "0.6-1"
    assert interval(0.0, AOT_EDGES) == "0-0.1"
    assert interval(5.0, SUN_ZENITH_EDGES) == "15-35"


@given(st.floats(15, 70), st.floats(0.01, 1.0), st.sampled_from(["continental", "urban"]))
def test_a_scene_has_one_value_of_each_scene_dimension(zenith, aot, aerosol):
    found = list(scene_slices(aerosol=aerosol, sensor="S2B", sun_zenith=zenith, aot_550=aot))
    counts = Counter(dimension for dimension, _ in found)
    assert set(counts) == set(DIMENSIONS) - {"surface"}
    assert set(counts.values()) == {1}
    assert dict(found)["aerosol"] == aerosol
    assert dict(found)["sensor"] == "S2B"
    assert dict(found)["all"] == "all"


def test_a_scene_of_unknown_sky_belongs_to_no_slice_of_it():
    found = dict(scene_slices(aerosol=None, sensor="L8", sun_zenith=30.0, aot_550=float("nan")))
    assert set(found) == {"all", "sensor", "sun_zenith"}
