"""When satellites pass, against when real scenes were sensed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.flow.overpass import LANDSAT_REPEAT, SENTINEL_2_REPEAT, passes

NOW = datetime(2025, 6, 20, tzinfo=UTC)
MONTH = {"begin": NOW, "end": NOW + timedelta(days=30)}


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("platform", "tile", "sensed"),
    [
        # SCENE_CENTER_TIME of real MTL files.
        ("LC08", "195025", "2013-07-07T10:17:42"),
        ("LC08", "017051", "2015-12-05T16:06:06"),
        ("LC08", "218074", "2019-01-14T12:57:13"),
        ("LC08", "227074", "2019-08-09T13:53:06"),
        ("LC08", "092084", "2020-10-29T00:02:59"),
        ("LC09", "063046", "2023-07-14T20:47:53"),
        ("LC09", "231062", "2023-07-23T14:12:31"),
    ],
)
def test_landsats_nominal_orbit_meets_real_scenes_within_five_minutes(platform, tile, sensed):
    time = datetime.fromisoformat(sensed).replace(tzinfo=UTC)
    day = timedelta(hours=12)
    (found,) = [p for p in passes(tile, [], begin=time - day, end=time + day) if p.platform == platform]
    assert abs(found.time - time) < timedelta(minutes=5)


def test_both_landsats_come_every_sixteen_days_and_alternate():
    found = passes("192029", [], **MONTH)
    assert {p.platform for p in found} == {"LC08", "LC09"}
    assert all(b.platform != a.platform for a, b in pairwise(found))
    assert all(timedelta(days=7) < b.time - a.time < timedelta(days=9) for a, b in pairwise(found))


def test_a_seen_satellite_comes_back_after_its_cycle():
    seen = [("S2B", NOW - timedelta(days=1))]
    found = passes("32TQM", seen, **MONTH)
    assert [p.time for p in found] == [
        NOW + timedelta(days=9),
        NOW + timedelta(days=19),
        NOW + timedelta(days=29),
    ]
    assert "it passed on 2025-06-19" in found[0].source


def test_several_sightings_of_one_orbit_are_one_passage():
    # Datastrips slice a datatake at other lines every time.
    slices = [("S2B", NOW - timedelta(days=10 * n, minutes=2 * n - 10)) for n in range(1, 5)]
    assert len(passes("32TQM", slices, **MONTH)) == 3


def test_two_orbits_over_one_tile_are_two_passages():
    seen = [("S2B", NOW - timedelta(days=1)), ("S2B", NOW - timedelta(days=4))]
    assert len(passes("32TQM", seen, **MONTH)) == 6


def test_a_sighting_goes_before_the_nominal_orbit():
    seen = [("LC09", NOW - timedelta(days=2))]
    found = [p for p in passes("192029", seen, **MONTH) if p.platform == "LC09"]
    assert found[0].time == NOW + timedelta(days=14)


def test_an_old_sighting_proves_nothing():
    assert passes("32TQM", [("S2A", NOW - timedelta(days=400))], **MONTH) == ()


@given(st.integers(-100, 100), st.sampled_from(["32TQM", "192029"]))
def test_every_passage_lies_in_the_span_and_on_the_cycle(days, tile):
    sensed = NOW + timedelta(days=days, hours=10)
    found = [p for p in passes(tile, [("S2B", sensed)], **MONTH) if p.platform == "S2B"]
    repeat = LANDSAT_REPEAT if tile.isdigit() else SENTINEL_2_REPEAT
    assert all(MONTH["begin"] <= p.time <= MONTH["end"] for p in found)
    assert all((p.time - sensed) % repeat == timedelta() for p in found)
    assert len(found) in (30 // repeat.days, 30 // repeat.days + 1)
