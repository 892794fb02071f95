import itertools

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from undersky.grid import (
    Window,
    footprint_lonlat,
    interpolation_weights,
    node_count,
    node_grid,
    resample_nodes,
    resolution_m,
    strips,
    upsample,
    whole,
)

sizes = st.integers(1, 60)
nodes = st.integers(2, 9)


def grid(rows=100, cols=120, size=10.0, crs="EPSG:32755"):
    return GeoBox((rows, cols), Affine(size, 0, 499980, 0, -size, 6900040), crs)


@given(sizes, nodes)
def test_interpolation_weights_are_shares_of_one(size, count):
    weights = interpolation_weights(size, count)
    assert weights.shape == (size, count)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)


@given(sizes, nodes, st.floats(-5, 5), st.floats(-5, 5))
def test_a_plane_is_interpolated_exactly(size, count, level, slope):
    at_nodes = level + slope * np.linspace(0, 1, count)
    at_pixels = level + slope * (np.arange(size) + 0.5) / size
    np.testing.assert_allclose(interpolation_weights(size, count) @ at_nodes, at_pixels, atol=1e-4)


@given(st.integers(0, 40), st.integers(1, 20), nodes)
def test_weights_of_a_part_are_a_part_of_the_weights(start, count, coarse):
    everything = interpolation_weights(60, coarse)
    part = interpolation_weights(60, coarse, start=start, count=count)
    np.testing.assert_array_equal(part, everything[start : start + count])


def test_windows_of_an_upsampled_field_fit_together():
    field = np.random.default_rng(1).random((4, 5))
    space = grid()
    full = upsample(field, space.shape, whole(space))
    parts = [upsample(field, space.shape, window) for window in strips(space, rows=33)]
    np.testing.assert_allclose(np.vstack(parts), full, rtol=1e-6)
    assert full.dtype == np.float32


def test_an_upsampled_field_stays_within_its_nodes():
    field = np.random.default_rng(2).random((3, 6))
    full = upsample(field, (50, 70), Window(0, 0, 50, 70))
    assert field.min() - 1e-6 <= full.min() <= full.max() <= field.max() + 1e-6


def test_strips_cover_every_row_once():
    windows = list(strips(grid(rows=103), rows=25))
    rows = np.concatenate([np.arange(w.row, w.row + w.height) for w in windows])
    np.testing.assert_array_equal(rows, np.arange(103))
    assert all(w.shape == (w.height, 120) for w in windows)


@pytest.mark.parametrize("bad", [(-1, 0, 5, 5), (0, -1, 5, 5), (0, 0, 0, 5), (0, 0, 5, -2)])
def test_a_window_outside_the_raster_is_refused(bad):
    with pytest.raises(ValueError, match="not a window"):
        Window(*bad)


def test_footprint_runs_counter_clockwise_and_closes():
    ring = footprint_lonlat(grid())
    assert ring[0] == ring[-1]
    assert len(ring) == 5
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
    assert area > 0


@pytest.mark.oracle
def test_footprint_corners_agree_with_rasterio():
    from rasterio.warp import transform

    space = grid()
    left, bottom, right, top = space.boundingbox.bbox
    lon, lat = transform("EPSG:32755", "EPSG:4326", [left, left, right, right], [top, bottom, bottom, top])
    corners = {(round(x, 9), round(y, 9)) for x, y in footprint_lonlat(space)}
    assert corners == {(round(x, 9), round(y, 9)) for x, y in zip(lon, lat, strict=True)}


def test_nodes_span_a_whole_tile_every_five_kilometres():
    assert node_count(grid(10980, 10980), spacing_m=5000) == (23, 23)
    assert node_count(grid(3, 3), spacing_m=5000) == (2, 2)
    assert resolution_m(grid()) == 10.0


def test_node_grid_puts_pixel_centres_on_the_footprint_edge():
    space = grid()
    coarse = node_grid(space, (5, 7))
    left, bottom, right, top = space.boundingbox.bbox
    first = coarse.affine @ (0.5, 0.5)
    last = coarse.affine @ (6.5, 4.5)
    assert first == pytest.approx((left, top))
    assert last == pytest.approx((right, bottom))


@given(nodes, nodes, nodes, nodes)
def test_resampling_nodes_keeps_a_plane(rows, cols, new_rows, new_cols):
    plane = np.linspace(0, 1, rows)[:, None] + 2 * np.linspace(0, 1, cols)[None, :]
    expected = np.linspace(0, 1, new_rows)[:, None] + 2 * np.linspace(0, 1, new_cols)[None, :]
    np.testing.assert_allclose(resample_nodes(plane, (new_rows, new_cols)), expected, atol=1e-5)
