"""Sentinel-2's twelve detectors: who sees what, from where, as geometry and real metadata have it."""

from itertools import pairwise

import numpy as np
import pytest
import shapely
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.synth.detectors import (
    COUNT,
    OVERLAP_KM,
    ahead_deg,
    band_angles,
    footprint,
    strips,
    tile_detectors,
)
from undersky.synth.geometry import HALF_SWATH_KM, grid_at, node_positions, track_over
from undersky.synth.tile_angles import NODES, STEP_M
from undersky.tiles import Site

HERE = Site(32632, 600_000.0, 5_000_040.0)
SIZE_M = 10_980
GRID = grid_at(HERE, resolution_m=60, size_m=SIZE_M)
S2A = SENSORS["S2A"]
QUICK = settings(max_examples=25, deadline=None)


def pass_over(across_km: float, constellation: str = "sentinel-2"):
    middle = HERE.left_m + SIZE_M / 2, HERE.top_m - SIZE_M / 2
    return track_over(*middle, latitude=45.0, across_km=across_km, constellation=constellation)


def box() -> shapely.Polygon:
    return shapely.box(HERE.left_m, HERE.top_m - SIZE_M, HERE.left_m + SIZE_M, HERE.top_m)


def slab(track, west_km: float, east_km: float) -> shapely.Polygon:
    """The ground between two lines along the track, made without the code under test."""
    turn = np.radians(track.heading)
    # across_km grows against the heading's right: see Track.across_km
    right = np.array([-np.cos(turn), np.sin(turn)]) * 1000.0
    along = np.array([np.sin(turn), np.cos(turn)]) * 500_000.0
    origin = np.array([track.x_m, track.y_m])
    corners = [origin + west_km * right - along, origin + west_km * right + along]
    corners += [origin + east_km * right + along, origin + east_km * right - along]
    return shapely.Polygon([tuple(corner) for corner in corners])


# strips -------------------------------------------------------------------------------------------------


def test_strips_are_equally_wide_and_lie_mirrored_about_the_track():
    found = strips(pass_over(0.0))
    widths = [strip.east_km - strip.west_km for strip in found]
    np.testing.assert_allclose(widths, 2 * HALF_SWATH_KM["sentinel-2"] / COUNT + OVERLAP_KM)
    for one, other in zip(found, reversed(found), strict=True):
        assert one.west_km == pytest.approx(-other.east_km)


def test_every_overlap_is_shared_by_two_neighbours_and_no_place_by_three():
    found = strips(pass_over(0.0))
    across = np.linspace(-144.9, 144.9, 4001)
    seen = sum(((across > strip.west_km) & (across < strip.east_km)).astype(int) for strip in found)
    assert set(np.unique(seen)) == {1, 2}
    assert (seen == 2).mean() == pytest.approx((COUNT - 1) * OVERLAP_KM / 290, rel=0.05)


def test_odd_detectors_look_ahead_and_even_ones_back_in_every_band():
    for strip in strips(pass_over(0.0)):
        tilts = [ahead_deg(strip, band) for band in range(13)]
        assert all(tilt > 0 for tilt in tilts) == bool(strip.number % 2)
        assert all(tilt < 0 for tilt in tilts) == (strip.number % 2 == 0)
        assert len(set(tilts)) == 13


# angles -------------------------------------------------------------------------------------------------


@QUICK
@given(st.floats(-144, 144))
def test_no_detector_looks_steeper_than_the_distance_to_the_track_demands(across):
    track = pass_over(across)
    x, y = node_positions(GRID, (3, 3))
    zenith, _ = band_angles(S2A, track, x=x, y=y)
    floor = np.degrees(np.arctan(np.abs(track.across_km(x, y)) / track.altitude_km))
    assert (zenith >= floor - 1e-6).all()
    assert (zenith <= floor * 1.15 + 2.2).all()


@QUICK
@given(st.integers(1, COUNT), st.integers(0, 12))
def test_in_a_detectors_middle_its_own_direction_is_given(number, band):
    strip = strips(pass_over(0.0))[number - 1]
    track = pass_over(0.5 * (strip.west_km + strip.east_km))
    x, y = np.array([[HERE.left_m + SIZE_M / 2]]), np.array([[HERE.top_m - SIZE_M / 2]])
    zenith, azimuth = band_angles(S2A, track, x=x, y=y)
    expected = track.looking(x, y, ahead_deg=ahead_deg(strip, band))
    assert zenith[band] == expected[0]
    assert azimuth[band] == expected[1]


def test_beyond_the_swath_the_outermost_detector_is_continued():
    track = pass_over(160.0)
    x, y = node_positions(GRID, (2, 2))
    zenith, _ = band_angles(S2A, track, x=x, y=y)
    last = strips(track)[-1]
    np.testing.assert_allclose(zenith[3], track.looking(x, y, ahead_deg=ahead_deg(last, 3))[0])


def test_landsat_looks_straight_across_its_track():
    track = pass_over(60.0, "landsat")
    x, y = node_positions(GRID, (2, 3))
    zenith, azimuth = band_angles(SENSORS["L9"], track, x=x, y=y)
    assert zenith.shape == (9, 2, 3)
    off = (azimuth - (track.heading + 90.0) + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(off, 0.0, atol=1e-6)


# footprints ---------------------------------------------------------------------------------------------


@pytest.mark.oracle
@QUICK
@given(st.floats(-150, 150))
def test_a_footprint_is_the_box_cut_by_the_strip_as_shapely_cuts_it(across):
    track = pass_over(across)
    half = HALF_SWATH_KM["sentinel-2"]
    for strip in strips(track):
        ring = footprint(strip, track, grid=GRID)
        cut = slab(track, max(strip.west_km, -half), min(strip.east_km, half)).intersection(box())
        mine = shapely.Polygon(ring) if len(ring) > 3 else shapely.Polygon()
        assert mine.is_valid
        assert mine.symmetric_difference(cut).area < 1.0 + 1e-6 * cut.area


@QUICK
@given(st.floats(-138, 138))
def test_detectors_together_see_all_of_a_footprint_inside_the_swath(across):
    track = pass_over(across)
    rings = [footprint(strip, track, grid=GRID) for strip in strips(track)]
    union = shapely.union_all([shapely.Polygon(ring) for ring in rings if len(ring) > 3])
    assert box().difference(union).area < 1.0


def test_beyond_the_swaths_edge_nobody_sees():
    track = pass_over(HALF_SWATH_KM["sentinel-2"])
    rings = [footprint(strip, track, grid=GRID) for strip in strips(track)]
    seen = shapely.union_all([shapely.Polygon(ring) for ring in rings if len(ring) > 3])
    assert seen.area == pytest.approx(0.5 * SIZE_M**2, rel=0.02)


# angle grids of the tile --------------------------------------------------------------------------------


@QUICK
@given(st.floats(-140, 140))
def test_a_tile_lists_neighbouring_detectors_from_west_to_east_alike_in_every_band(across):
    found = tile_detectors(S2A, pass_over(across), site=HERE, grid=GRID)
    numbers = {tuple(detector.number for detector in detectors) for detectors in found.values()}
    assert len(numbers) == 1
    (listed,) = numbers
    assert all(b - a == 1 for a, b in pairwise(listed))
    assert 1 <= len(listed) <= 7


@QUICK
@given(st.floats(-140, 140))
def test_every_detector_that_sees_the_footprint_is_listed_and_has_numbers_at_nodes_there(across):
    track = pass_over(across)
    found = {d.number: d for d in tile_detectors(S2A, track, site=HERE, grid=GRID)["B02"]}
    for strip in strips(track):
        ring = footprint(strip, track, grid=GRID)
        if not ring:
            continue
        assert found[strip.number].footprint == ring
        assert np.isfinite(found[strip.number].view_zenith[:4, :4]).any()


def test_at_finite_nodes_the_grid_holds_the_detectors_own_direction():
    track = pass_over(30.0)
    steps = STEP_M * np.arange(NODES)
    x, y = np.meshgrid(HERE.left_m + steps, HERE.top_m - steps)
    for index, name in ((1, "B02"), (10, "B10")):
        for detector in tile_detectors(S2A, track, site=HERE, grid=GRID)[name]:
            strip = strips(track)[detector.number - 1]
            zenith, azimuth = track.looking(x, y, ahead_deg=ahead_deg(strip, index))
            seen = np.isfinite(detector.view_zenith)
            assert (seen == np.isfinite(detector.view_azimuth)).all()
            np.testing.assert_allclose(detector.view_zenith[seen], zenith[seen], atol=1e-4)
            np.testing.assert_allclose(detector.view_azimuth[seen], azimuth[seen], atol=1e-3)


@pytest.mark.oracle
def test_grids_are_as_wide_and_jump_as_far_between_neighbours_as_in_a_real_product(samples):
    document = next((samples / "s2-l1c-safe-t51mup-20230804-metadata").glob("*.SAFE/GRANULE/*/MTD_TL.xml"))
    theirs = {}
    for grid in ElementTree.parse(document).getroot().iter("Viewing_Incidence_Angles_Grids"):
        if grid.get("bandId") == "1":
            fields = [
                np.array([[float(v) for v in row.text.split()] for row in grid.find(name).iter("VALUES")])
                for name in ("Zenith", "Azimuth")
            ]
            theirs[int(grid.get("detectorId"))] = fields
    widest = max(np.isfinite(zenith).sum(axis=1).max() for zenith, _ in theirs.values())
    ours = tile_detectors(S2A, pass_over(0.0), site=HERE, grid=GRID)["B02"]
    assert abs(max(np.isfinite(d.view_zenith).sum(axis=1).max() for d in ours) - widest) <= 2
    for zenith, _ in theirs.values():
        assert 0 <= np.nanmin(zenith) <= np.nanmax(zenith) < 13
    assert set(theirs) <= set(range(1, COUNT + 1))
