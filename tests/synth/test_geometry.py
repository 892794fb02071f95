"""Tiles, sun, and lines of sight, against what the agencies' own products say."""

from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from defusedxml.ElementTree import parse
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.synth.detectors import COUNT, band_angles, footprint, strips, tile_detectors
from undersky.synth.geometry import (
    earth_sun_distance_au,
    grid_at,
    lonlat,
    node_positions,
    overpass_time,
    sun_position,
    track_over,
)
from undersky.tiles import Site, site

HERE = Site(32632, 600_000.0, 5_000_040.0)
GRID = grid_at(HERE, resolution_m=60, size_m=10_980)
NINTH_MIDDLE_KM = 2.5 * 290.0 / 12


def pass_over(across_km: float, constellation: str = "sentinel-2"):
    return track_over(605_490.0, 4_994_550.0, latitude=45.0, across_km=across_km, constellation=constellation)


def test_grids_of_all_resolutions_share_their_footprint():
    boxes = {grid_at(HERE, resolution_m=r, size_m=10_980).boundingbox.bbox for r in (10, 15, 20, 30, 60)}
    assert len(boxes) == 1
    assert grid_at(HERE, resolution_m=10, size_m=10_980).shape == (1098, 1098)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("time", "longitude", "latitude", "elevation", "azimuth"),
    [
        # Scene centre time, SUN_ELEVATION and SUN_AZIMUTH of a real MTL; the place is the scene's centre.
        ("2019-08-09T13:53:06.436+00:00", -58.195, -20.227, 42.617, 42.768),
        ("2020-10-29T00:02:59.027+00:00", 146.72, -34.61, 56.778, 57.655),
    ],
)
def test_the_sun_stands_where_landsat_says(time, longitude, latitude, elevation, azimuth):
    zenith, turn = sun_position(datetime.fromisoformat(time), np.array(longitude), np.array(latitude))
    assert abs(90 - float(zenith) - elevation) < 0.3
    assert abs(float(turn) - azimuth) < 0.6


@pytest.mark.oracle
@pytest.mark.parametrize("tile", ["T46RER", "T01WCP", "T51MUP"])
def test_the_sun_stands_where_sentinel_2_says_on_every_node(samples: Path, tile: str):
    # In the two products of baseline 02.06 at hand the sun grid belongs to a moment minutes apart from their
    # SENSING_TIME, so they are left out; why, and whether others do the same, was not looked into.
    document = next(samples.glob(f"s2-*/**/L*_{tile}_*/MTD_TL.xml"))
    root = parse(document).getroot()
    time, crs, left, top = (
        next(root.iter(tag)).text for tag in ("SENSING_TIME", "HORIZONTAL_CS_CODE", "ULX", "ULY")
    )
    steps = 5000.0 * np.arange(23)
    x, y = np.meshgrid(float(left) + steps, float(top) - steps)
    place = lonlat(int(crs.removeprefix("EPSG:")), x, y)
    found = sun_position(datetime.fromisoformat(time), *place)
    grid = next(root.iter("Sun_Angles_Grid"))
    for angle, name, tolerance in zip(found, ("Zenith", "Azimuth"), (0.035, 0.1), strict=True):
        rows = [[float(v) for v in row.text.split()] for row in grid.find(name).iter("VALUES")]
        assert np.abs(angle - np.array(rows)).max() < tolerance


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("day", "distance"), [("2019-08-09", 1.0138766), ("2023-07-14", 1.0165335), ("2020-10-29", 0.9932781)]
)
def test_the_sun_is_as_far_as_landsat_says(day, distance):
    assert abs(earth_sun_distance_au(datetime.fromisoformat(f"{day}T14:00:00+00:00")) - distance) < 2e-4


@settings(max_examples=60)
@given(st.floats(-180, 180), st.floats(-80, 80), st.integers(0, 364), st.floats(0, 24))
def test_the_sun_is_never_out_of_the_sky_and_due_south_or_north_at_its_highest(
    longitude, latitude, day, hour
):
    time = datetime.fromtimestamp(1_700_000_000 + 86400 * day + 3600 * hour, tz=UTC)
    zenith, azimuth = sun_position(time, np.array(longitude), np.array(latitude))
    assert 0 <= zenith <= 180
    assert 0 <= azimuth <= 360
    assert float(zenith) >= abs(latitude) - 23.5


@pytest.mark.parametrize("tile", ["32TQM", "55JEJ", "195028", "227074"])
def test_an_overpass_is_in_the_local_morning(tile):
    time = overpass_time(tile, date(2023, 3, 20))
    place = site(tile)
    longitude, latitude = lonlat(place.epsg, np.array([place.left_m]), np.array([place.top_m]))
    local = (time.hour + time.minute / 60 + longitude[0] / 15) % 24
    assert 9.5 < local < 11.5
    assert sun_position(time, longitude, latitude)[0][0] < 70


def test_a_satellite_flies_south_south_west():
    for constellation in ("sentinel-2", "landsat"):
        assert 185 < pass_over(0.0, constellation).heading < 205


@given(st.floats(-140, 140))
def test_a_place_lies_as_far_from_the_track_as_was_asked(across):
    track = pass_over(across)
    assert abs(float(track.across_km(np.array(605_490.0), np.array(4_994_550.0))) - across) < 1e-6


@given(st.floats(5, 140))
def test_view_zenith_grows_with_the_distance_and_the_sensor_stands_back_at_the_track(across):
    at = np.array(605_490.0), np.array(4_994_550.0)
    near, far = pass_over(across - 4).looking(*at), pass_over(across).looking(*at)
    assert far[0] > near[0]
    assert abs((float(far[1]) - (pass_over(across).heading + 90) + 180) % 360 - 180) < 1e-6
    west = pass_over(-across).looking(*at)
    assert abs(abs(float(far[1]) - float(west[1])) - 180) < 1e-6


def test_view_angles_reach_what_the_sensors_reach():
    edge = pass_over(145.0).looking(np.array(605_490.0), np.array(4_994_550.0))
    assert 10.5 < edge[0] < 12
    landsat = pass_over(92.5, "landsat").looking(np.array(605_490.0), np.array(4_994_550.0))
    assert 7 < landsat[0] < 8.6


def test_twelve_strips_cover_the_swath_and_overlap_a_little():
    found = strips(pass_over(0.0))
    assert [strip.number for strip in found] == list(range(1, COUNT + 1))
    for west, east in pairwise(found):
        assert 0.5 < west.east_km - east.west_km < 2


def test_neighbouring_detectors_look_ahead_and_back():
    track = pass_over(0.0)
    x, y = node_positions(GRID, (8, 8))
    zenith, azimuth = band_angles(SENSORS["S2A"], track, x=x, y=y)
    assert zenith.shape == (13, 8, 8)
    assert zenith.max() < 3
    jumps = np.abs((np.diff(azimuth[1], axis=1) + 180) % 360 - 180)
    assert jumps.max() > 60


def test_inside_one_detector_angles_are_smooth():
    track = pass_over(NINTH_MIDDLE_KM)
    x, y = node_positions(GRID, (8, 8))
    zenith, azimuth = band_angles(SENSORS["S2A"], track, x=x, y=y)
    assert np.abs(np.diff(zenith, axis=2)).max() < 0.3
    assert np.abs(np.diff(azimuth, axis=2)).max() < 3


def test_landsat_bands_share_their_angles_and_have_no_detectors():
    x, y = node_positions(GRID, (3, 3))
    track = pass_over(40.0, "landsat")
    zenith, azimuth = band_angles(SENSORS["L8"], track, x=x, y=y)
    assert (zenith == zenith[0]).all()
    assert (azimuth == azimuth[0]).all()
    assert tile_detectors(SENSORS["L8"], track, site=HERE, grid=GRID) == {}


def test_detector_grids_agree_with_the_angles_of_the_footprint():
    track = pass_over(NINTH_MIDDLE_KM)
    found = tile_detectors(SENSORS["S2B"], track, site=HERE, grid=GRID)
    assert set(found) == {band.name for band in SENSORS["S2B"].bands}
    zenith, azimuth = band_angles(
        SENSORS["S2B"], track, x=np.array([[605_000.0]]), y=np.array([[4_995_040.0]])
    )
    mine = next(d for d in found["B03"] if d.number == 9)
    assert abs(mine.view_zenith[1, 1] - zenith[2, 0, 0]) < 1e-4
    assert abs(mine.view_azimuth[1, 1] - azimuth[2, 0, 0]) < 1e-3
    assert np.isnan(mine.view_zenith).any()
    assert np.isfinite(mine.view_zenith[:3, :3]).all()


def test_footprints_of_neighbours_cover_the_grid_once_but_for_their_overlap():
    track = pass_over(0.0)
    areas = []
    for strip in strips(track):
        ring = footprint(strip, track, grid=GRID)
        if ring:
            assert ring[0] == ring[-1]
            points = np.array(ring)
            x, y = points[:, 0] - 600_000, points[:, 1] - 5_000_000
            areas.append(abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2)
    whole = 10_980.0**2
    assert len(areas) == 2
    assert whole < sum(areas) < 1.15 * whole


def test_no_detector_sees_beyond_the_swath():
    track = pass_over(-400.0)
    assert all(footprint(strip, track, grid=GRID) == () for strip in strips(track))
