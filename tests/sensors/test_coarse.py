"""Laws of coarse fields, averages and windows, for whatever numbers hypothesis finds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.transform import Affine

from undersky.grid import Grid, Window, upsample, whole
from undersky.sensors import open_scene
from undersky.sensors.coarse import field_at, fill_gaps, merge, nodes_xy, sample, to_angles, to_vector

ZENITHS = st.floats(0.0, 85.0)
AZIMUTHS = st.floats(0.0, 359.99)


@given(ZENITHS, AZIMUTHS)
def test_a_direction_survives_the_way_through_vectors(zenith: float, azimuth: float) -> None:
    back, turned = to_angles(to_vector(np.array([zenith]), np.array([azimuth])))
    assert back[0] == pytest.approx(zenith, abs=2e-3)
    if zenith > 0.1:
        assert abs((turned[0] - azimuth + 180.0) % 360.0 - 180.0) < 1e-3


@given(ZENITHS, AZIMUTHS, st.integers(1, 5))
def test_merging_a_direction_with_itself_changes_nothing(zenith: float, azimuth: float, count: int) -> None:
    vector = to_vector(np.full((2, 2), zenith), np.full((2, 2), azimuth))
    np.testing.assert_allclose(merge([vector] * count), vector, atol=1e-12)


@given(ZENITHS, AZIMUTHS, ZENITHS, AZIMUTHS)
def test_merging_does_not_depend_on_order_and_lies_between(
    z1: float, a1: float, z2: float, a2: float
) -> None:
    one, two = (to_vector(np.array([z]), np.array([a])) for z, a in ((z1, a1), (z2, a2)))
    both = merge([one, two])
    np.testing.assert_allclose(both, merge([two, one]), atol=1e-12)
    assert to_angles(both)[0][0] <= max(z1, z2) + 1e-3


def test_merging_ignores_what_is_missing() -> None:
    seen, unseen = to_vector(np.array([5.0]), np.array([90.0])), np.full((2, 1), np.nan)
    np.testing.assert_allclose(merge([seen, unseen]), seen)
    assert np.isnan(merge([unseen, unseen])).all()


@given(
    arrays(np.bool_, (7, 9)).filter(lambda known: known.sum() >= 1),
    st.floats(-5, 5),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_gaps_in_a_plane_are_filled_with_the_plane(
    known: np.ndarray, level: float, down: float, right: float
) -> None:
    rows, cols = np.indices(known.shape)
    plane = level + down * rows + right * cols
    filled = fill_gaps(np.where(known, plane, np.nan))
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[known], plane[known])
    offsets = np.stack([rows[known] - rows[known][0], cols[known] - cols[known][0]])
    if np.linalg.matrix_rank(offsets) == 2:  # three values not in a line tell the plane
        np.testing.assert_allclose(filled, plane, atol=1e-6)


def test_a_field_without_gaps_stays_as_it_is() -> None:
    field = np.random.default_rng(1).normal(size=(4, 5))
    assert fill_gaps(field) is field


@given(st.integers(2, 400), st.integers(2, 400), st.floats(10, 3840))
def test_nodes_span_the_footprint_edge_to_edge(rows: int, cols: int, size: float) -> None:
    grid = Grid((rows, cols), Affine(size, 0, 499_980, 0, -size, 6_900_040), "EPSG:32755")
    columns, lines = nodes_xy(grid)
    box = grid.boundingbox
    assert (columns[0], columns[-1]) == (pytest.approx(box.left), pytest.approx(box.right))
    assert (lines[0], lines[-1]) == (pytest.approx(box.top), pytest.approx(box.bottom))
    assert min(len(columns), len(lines)) >= 2
    assert max(np.abs(np.diff(columns)).max(), np.abs(np.diff(lines)).max()) <= 5000.001


def test_sampling_is_exact_at_the_values_and_never_leaves_their_range() -> None:
    field = np.random.default_rng(2).normal(size=(5, 6))
    axes = (np.arange(5.0) * 10, np.arange(6.0) * 20)
    rows, cols = np.meshgrid(*axes, indexing="ij")
    np.testing.assert_allclose(sample(field, axes, rows=rows, cols=cols), field)
    far = sample(field, axes, rows=np.array([-100.0, 1e6]), cols=np.array([-3.0, 1e6]))
    np.testing.assert_allclose(far, [field[0, 0], field[-1, -1]])


@given(
    arrays(np.float32, (3, 4), elements=st.floats(-2, 2, width=32)), st.integers(0, 20), st.integers(0, 30)
)
def test_a_coarse_field_at_full_shape_is_the_cores_upsampling(field: np.ndarray, row: int, col: int) -> None:
    window = Window(row, col, 7, 5)
    np.testing.assert_allclose(
        field_at(field, (40, 50), window, (7, 5)), upsample(field, (40, 50), window), atol=1e-5
    )


def test_a_coarse_field_averaged_down_is_close_to_its_mean() -> None:
    field = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
    window = Window(0, 0, 40, 60)
    fine = upsample(field, (40, 60), window)
    coarse = field_at(field, (40, 60), window, (10, 15))
    np.testing.assert_allclose(coarse, fine.reshape(10, 4, 15, 4).mean(axis=(1, 3)), atol=0.05)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.data())
def test_windows_of_a_band_are_parts_of_the_whole(
    make_landsat: Callable[..., Path], data: st.DataObject
) -> None:
    # one product for all examples: the fixture's folder is made once
    root = _once(make_landsat)
    band = open_scene(root).bands["B2"]
    row, col = data.draw(st.integers(0, 79)), data.draw(st.integers(0, 99))
    window = Window(row, col, data.draw(st.integers(1, 80 - row)), data.draw(st.integers(1, 100 - col)))
    everything = band.toa_reflectance(whole(band.grid))
    part = band.toa_reflectance(window)
    # the cosine's field is evaluated window by window: equal to the last bits of float32
    np.testing.assert_allclose(
        part, everything[row : row + window.height, col : col + window.width], rtol=1e-5
    )


def _once(make: Callable[..., Path]) -> Path:
    try:
        return make()
    except FileExistsError as error:
        return Path(error.filename)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.integers(1, 80), st.integers(1, 100))
def test_averages_keep_the_mean_of_the_whole(make_landsat: Callable[..., Path], rows: int, cols: int) -> None:
    band = open_scene(_once(make_landsat)).bands["B8"]
    window = Window(2, 0, 158, 200)
    coarse = band.toa_reflectance(window, shape=(rows, cols))
    assert coarse.shape == (rows, cols)
    assert np.nanmean(coarse) == pytest.approx(np.nanmean(band.toa_reflectance(window)), rel=2e-3)
