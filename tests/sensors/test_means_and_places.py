"""Means, nearest pixels and places, each against a slow and obvious way of getting them."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window as RasterioWindow

from undersky.errors import DataError, Reason
from undersky.grid import Grid, Window, whole
from undersky.scene import Finding
from undersky.sensors.archive import open_files
from undersky.sensors.placement import Declared, Placed, check_together, place
from undersky.sensors.rasters import (
    GEOTIFF,
    JPEG_2000,
    RasterFile,
    open_raster,
    own_pixels,
    read_average,
    read_nearest,
    read_sampled,
    read_window,
)

LEFT, TOP = 499980.0, 6900040.0
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _write(folder: Path, name: str, pixels: np.ndarray, **changes: object) -> RasterFile:
    profile = {
        "driver": JPEG_2000 if name.endswith("jp2") else GEOTIFF,
        "count": 1,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "dtype": pixels.dtype,
        "crs": "EPSG:32755",
        "transform": Affine(10, 0, LEFT, 0, -10, TOP),
    }
    if profile["driver"] == JPEG_2000:
        profile |= {"quality": 100, "reversible": "YES", "resolutions": 4}
    with rasterio.open(folder / name, "w", **(profile | changes)) as out:
        out.write(pixels, 1)
    return open_raster(open_files(folder), name, driver=profile["driver"])


def _brute_mean(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Every pixel cut by hand into the cells it lies in; cell by cell, no matrices."""
    rows, cols = pixels.shape
    result = np.full(shape, np.nan)
    for i in range(shape[0]):
        top, bottom = i * rows / shape[0], (i + 1) * rows / shape[0]
        for j in range(shape[1]):
            left, right = j * cols / shape[1], (j + 1) * cols / shape[1]
            total = weight = 0.0
            for row in range(int(top), min(rows, math.ceil(bottom - 1e-9))):
                for col in range(int(left), min(cols, math.ceil(right - 1e-9))):
                    down = min(bottom, row + 1) - max(top, row)
                    across = min(right, col + 1) - max(left, col)
                    if pixels[row, col] != 0 and min(down, across) > 1e-9:
                        total += pixels[row, col] * down * across
                        weight += down * across
            result[i, j] = total / weight if weight else np.nan
    return result


@pytest.fixture(scope="module")
def spotted(tmp_path_factory: pytest.TempPathFactory) -> tuple[RasterFile, np.ndarray]:
    """Random numbers of an odd size, a third of them nodata, and a corner that is all nodata."""
    rng = np.random.default_rng(11)
    pixels = rng.integers(1, 65535, (37, 53)).astype(np.uint16)
    pixels[rng.random(pixels.shape) < 0.33] = 0
    pixels[:9, :11] = 0
    return _write(tmp_path_factory.mktemp("spotted"), "a.tif", pixels), pixels


@pytest.mark.oracle
@FEW
@given(st.data())
def test_an_average_is_the_area_weighted_mean_of_the_valid_pixels(
    spotted: tuple[RasterFile, np.ndarray], data: st.DataObject
) -> None:
    raster, pixels = spotted
    row, col = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 45))
    window = Window(row, col, data.draw(st.integers(1, 37 - row)), data.draw(st.integers(1, 53 - col)))
    shape = data.draw(st.integers(1, window.height)), data.draw(st.integers(1, window.width))
    found = read_average(raster, window, shape=shape, nodata=(0.0,))
    block = pixels[row : row + window.height, col : col + window.width].astype(float)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _brute_mean(block, shape), rtol=2e-5)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_whole_factors_are_plain_block_means(tmp_path: Path, factor: int) -> None:
    pixels = np.random.default_rng(factor).integers(1, 9999, (30, 60)).astype(np.uint16)
    raster = _write(tmp_path, "a.tif", pixels)
    shape = 30 // factor, 60 // factor
    expected = pixels.reshape(shape[0], factor, shape[1], factor).mean(axis=(1, 3))
    found = read_average(raster, Window(0, 0, 30, 60), shape=shape, nodata=(0.0,))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@FEW
@given(st.integers(1, 37), st.integers(1, 53), st.integers(1, 65535))
def test_the_mean_of_one_number_is_that_number_whatever_is_missing(
    spotted: tuple[RasterFile, np.ndarray], rows: int, cols: int, nodata: int
) -> None:
    # all but the numbers above a threshold are left out: what remains cannot leave their range
    raster, pixels = spotted
    dropped = tuple(float(value) for value in np.unique(pixels) if value < nodata)
    found = read_average(raster, Window(0, 0, 37, 53), shape=(rows, cols), nodata=dropped)
    kept = pixels[pixels >= nodata]
    if kept.size == 0:
        assert np.isnan(found).all()
        return
    seen = found[np.isfinite(found)]
    assert seen.size
    assert seen.min() >= kept.min() * (1 - 1e-5)
    assert seen.max() <= kept.max() * (1 + 1e-5)


def test_a_cell_of_nodata_alone_is_nan_and_its_neighbours_are_not(
    spotted: tuple[RasterFile, np.ndarray],
) -> None:
    raster, _ = spotted
    found = read_average(raster, Window(0, 0, 36, 44), shape=(4, 4), nodata=(0.0,))
    assert np.isnan(found[0, 0])
    assert np.isfinite(found).sum() == 15


def test_a_mean_finer_than_the_pixels_repeats_them(tmp_path: Path) -> None:
    pixels = np.array([[100, 200], [300, 0]], np.uint16)
    raster = _write(tmp_path, "a.tif", pixels)
    found = read_average(raster, Window(0, 0, 2, 2), shape=(6, 6), nodata=(0.0,))
    expected = np.where(pixels == 0, np.nan, pixels.astype(float)).repeat(3, 0).repeat(3, 1)
    np.testing.assert_allclose(found, expected)


@pytest.mark.oracle
def test_a_reduced_jpeg_2000_keeps_the_mean_and_leaves_nodata_out(tmp_path: Path) -> None:
    rows, cols = np.indices((520, 560))
    pixels = (3000 + 4 * rows + 3 * cols).astype(np.uint16)
    pixels[:, :105] = 0
    raster = _write(tmp_path, "a.jp2", pixels)
    assert raster.reductions, "the file has no reduced resolutions: nothing would be tried"
    found = read_average(raster, Window(0, 0, 520, 560), shape=(13, 21), nodata=(0.0,))
    expected = _brute_mean(pixels.astype(float), (13, 21))
    inner = np.s_[:, 5:]
    np.testing.assert_allclose(found[inner], expected[inner], rtol=5e-3)
    assert np.isnan(found[:, :4]).all()
    # beside nodata a low-pass filter rings: what is left there still is no blend with zero
    edge = found[:, 4][np.isfinite(found[:, 4])]
    assert edge.size == 0 or edge.min() > 3000


@FEW
@given(st.data())
def test_nearest_pixels_are_those_under_the_centres_found_one_by_one(
    spotted: tuple[RasterFile, np.ndarray], data: st.DataObject
) -> None:
    raster, pixels = spotted
    own = Grid(raster.shape, raster.transform, raster.crs)
    size = data.draw(st.sampled_from([2.5, 5.0, 10.0, 15.0, 20.0, 40.0, 60.0]))
    shift = data.draw(st.integers(-80, 80)), data.draw(st.integers(-80, 80))
    at = Grid((40, 40), Affine(size, 0, LEFT + shift[0] + 0.3, 0, -size, TOP + shift[1] + 0.3), own.crs)
    row, col = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 39))
    window = Window(row, col, data.draw(st.integers(1, 40 - row)), data.draw(st.integers(1, 40 - col)))
    found = read_nearest(raster, own, at=at, window=window)
    for i in range(window.height):
        for j in range(window.width):
            x, y = at.affine @ (col + j + 0.5, row + i + 0.5)
            c, r = (math.floor(value) for value in ~own.affine @ (x, y))
            inside = 0 <= r < 37 and 0 <= c < 53
            assert found[i, j] == (pixels[r, c] if inside else 0), (i, j)


def test_a_finer_mask_half_outside_is_sampled_not_copied(tmp_path: Path) -> None:
    # two of three rows lie on the mask and span three of its rows: as many as were asked for
    raster = _write(tmp_path, "a.tif", np.arange(1, 17, dtype=np.uint8).reshape(4, 4))
    own = Grid(raster.shape, raster.transform, raster.crs)
    at = Grid((3, 3), Affine(20, 0, LEFT - 20, 0, -20, TOP + 20), own.crs)
    found = read_nearest(raster, own, at=at, window=whole(at))
    np.testing.assert_array_equal(found, [[0, 0, 0], [0, 6, 8], [0, 14, 16]])


@given(
    st.integers(-500, 500), st.sampled_from([10.0, 20.0, 60.0, 640.0]), st.integers(0, 50), st.integers(1, 50)
)
def test_own_pixels_of_ones_own_axis_are_the_pixels_themselves(
    origin: int, step: float, start: int, count: int
) -> None:
    for sign in (1.0, -1.0):
        axis = (origin * step, sign * step)
        np.testing.assert_array_equal(own_pixels(axis, axis, start, count), np.arange(start, start + count))


@pytest.mark.oracle
def test_sampled_and_window_reads_are_rasterios_own(spotted: tuple[RasterFile, np.ndarray]) -> None:
    raster, pixels = spotted
    with rasterio.open(raster.path) as dataset:
        expected = dataset.read(1, window=RasterioWindow(7, 3, 20, 11))
        coarse = dataset.read(1, out_shape=(5, 6))
    np.testing.assert_array_equal(read_window(raster, Window(3, 7, 11, 20)), expected)
    np.testing.assert_array_equal(read_sampled(raster, shape=(5, 6)), coarse)
    assert np.isin(coarse, pixels).all()


@pytest.mark.faults
def test_a_window_beyond_the_file_is_refused_by_name(spotted: tuple[RasterFile, np.ndarray]) -> None:
    raster, _ = spotted
    broken = RasterFile(
        f"{raster.path}.gone", "a.tif of nowhere", raster.driver, raster.shape, 1, raster.dtype, None, None,
        None, (),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"a\.tif of nowhere cannot be decoded") as caught:
        read_window(broken, Window(0, 0, 1, 1))
    assert caught.value.reason is Reason.RASTER_UNREADABLE


def _raster(
    *, size: float = 10.0, shape: tuple[int, int] = (240, 240), crs: str | None = "EPSG:32755",
    corner: tuple[float, float] = (LEFT, TOP), transform: Affine | None = None,
) -> RasterFile:  # fmt: skip
    lies = transform or Affine(size, 0, corner[0], 0, -size, corner[1])
    return RasterFile(
        "", "B02 of X", GEOTIFF, shape, 1, "uint16", None, crs, lies if crs else None, reductions=()
    )


def _declared(crs: str = "EPSG:32755") -> Declared:
    return Declared(crs, (LEFT, TOP - 2400, LEFT + 2400, TOP), 10.0, "MTD_TL.xml")


def _codes(placed: Placed) -> set[Finding]:
    return {note.finding for note in placed.notes}


def test_a_raster_where_it_should_be_is_not_remarked_upon() -> None:
    placed = place(_raster(), _declared())
    assert placed.notes == ()
    assert placed.grid == _declared().grid()


@given(st.integers(1, 240), st.integers(1, 240))
def test_any_whole_division_of_the_footprint_is_noted_and_keeps_its_own_pixels(rows: int, cols: int) -> None:
    assume(abs(rows - cols) / cols < 0.3)
    affine = Affine(2400 / cols, 0, LEFT, 0, -2400 / rows, TOP)
    placed = place(_raster(shape=(rows, cols), transform=affine), _declared())
    assert placed.grid.shape == (rows, cols)
    assert placed.grid.affine == affine
    if abs(cols - 240) > 3:
        assert _codes(placed) == {Finding.GRID_SIZE_DIFFERS}


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_a_displacement_is_tolerated_for_one_pixel_and_refused_beyond(dx: float, dy: float) -> None:
    apart = max(abs(dx), abs(dy))
    assume(abs(apart - 10.0) > 1e-3)
    moved = _raster(corner=(LEFT + dx, TOP + dy))
    if apart < 10.0:
        assert place(moved, _declared()).notes == ()
        return
    with pytest.raises(DataError, match=r"up to [\d,]+ m from where MTD_TL\.xml") as caught:
        place(moved, _declared())
    assert caught.value.reason is Reason.GRID_MISMATCH


def test_a_crop_is_part_of_its_scene_wherever_it_lies_inside() -> None:
    placed = place(_raster(shape=(30, 40), corner=(LEFT + 1000, TOP - 500)), _declared())
    assert _codes(placed) == {Finding.GRID_SIZE_DIFFERS}
    assert "is a part of its scene" in placed.notes[0].sentence


def test_only_a_regridded_raster_of_another_place_is_trusted_and_only_when_asked() -> None:
    far = {"corner": (LEFT + 900, TOP + 900)}
    regridded = _raster(size=100.0, shape=(24, 24), **far)
    assert _codes(place(regridded, _declared(), trust_regridded=True)) == {Finding.FOOTPRINT_DIFFERS}
    for raster, trust in ((regridded, False), (_raster(**far), True)):
        with pytest.raises(DataError) as caught:
            place(raster, _declared(), trust_regridded=trust)
        assert caught.value.reason is Reason.GRID_MISMATCH


@pytest.mark.oracle
@pytest.mark.parametrize("realisation", ["EPSG:32655", "EPSG:7855"])
def test_another_hemisphere_or_realisation_of_one_projection_keeps_the_rasters_grid(realisation: str) -> None:
    north = pyproj.Transformer.from_crs("EPSG:32755", realisation, always_xy=True)
    corner = north.transform(LEFT, TOP)
    placed = place(_raster(crs=realisation, corner=corner), _declared())
    assert Finding.DATUM_REALISATION_DIFFERS in _codes(placed)
    assert placed.grid.crs.epsg == int(realisation[5:])
    back = pyproj.Transformer.from_crs(realisation, "EPSG:32755", always_xy=True)
    assert back.transform(*corner) == pytest.approx((LEFT, TOP), abs=0.01)


@given(st.integers(1, 60).filter(lambda zone: zone != 55))
def test_every_other_zone_is_another_projection(zone: int) -> None:
    with pytest.raises(DataError, match="one of them is wrong") as caught:
        place(_raster(crs=f"EPSG:{32700 + zone}"), _declared())
    assert caught.value.reason is Reason.CRS_MISMATCH


@pytest.mark.parametrize(
    "transform",
    [
        Affine(10, 1, LEFT, 0, -10, TOP),
        Affine(10, 0, LEFT, 1, -10, TOP),
        Affine(-10, 0, LEFT, 0, -10, TOP),
        Affine(10, 0, LEFT, 0, 10, TOP),
    ],
)
def test_sheared_and_flipped_rasters_are_refused(transform: Affine) -> None:
    with pytest.raises(DataError, match="not north-up") as caught:
        place(_raster(transform=transform), _declared())
    assert caught.value.reason is Reason.GRID_MISMATCH


@given(st.integers(1, 300))
def test_a_raster_without_crs_spans_the_declared_corners(side: int) -> None:
    placed = place(_raster(shape=(side, side), crs=None), _declared())
    assert _codes(placed) == {Finding.CRS_FROM_METADATA}
    assert placed.grid.boundingbox.bbox == pytest.approx((LEFT, TOP - 2400, LEFT + 2400, TOP))


def test_a_raster_without_crs_that_does_not_fit_the_corners_is_refused() -> None:
    with pytest.raises(DataError, match="georeference it") as caught:
        place(_raster(shape=(240, 200), crs=None), _declared())
    assert caught.value.reason is Reason.GRID_MISMATCH


def _bands(**sizes: float) -> dict[str, tuple[Grid, int]]:
    native = {"B02": 10, "B05": 20, "B09": 60}
    return {
        name: (
            Grid((int(2400 / size),) * 2, Affine(size, 0, LEFT, 0, -size, TOP), "EPSG:32755"),
            native[name],
        )
        for name, size in sizes.items()
    }


@pytest.mark.parametrize("factor", [1.0, 2.0, 10.0])
def test_bands_in_their_native_ratio_belong_together_at_any_decimation(factor: float) -> None:
    check_together(_bands(B02=10 * factor, B05=20 * factor, B09=60 * factor), "X")
    check_together({}, "X")


def test_a_band_of_another_pixel_size_holds_another_band() -> None:
    with pytest.raises(DataError, match="B09 of X has pixels of 20 m where 60 m") as caught:
        check_together(_bands(B02=10, B05=20, B09=20), "X")
    assert caught.value.reason is Reason.BAND_SWAPPED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda grid: Grid(grid.shape, Affine.translation(100, 0) @ grid.affine, grid.crs),
        lambda grid: Grid(grid.shape, grid.affine, "EPSG:32655"),
    ],
    ids=["moved", "other CRS"],
)
def test_bands_of_different_ground_are_refused(spoil: Callable[[Grid], Grid]) -> None:
    bands = _bands(B02=10, B05=20)
    bands["B05"] = (spoil(bands["B05"][0]), 20)
    with pytest.raises(DataError, match="different ground") as caught:
        check_together(bands, "X")
    assert caught.value.reason is Reason.GRID_MISMATCH


@pytest.mark.oracle
def test_a_reduced_real_band_is_not_shifted_against_its_true_means(samples: Path) -> None:
    path = next((samples / "s2-l1c-safe-t31tdh-20180101").rglob("*_B01.jp2"))
    raster = open_raster(open_files(path.parent), path.name, driver=JPEG_2000)
    pixels = read_window(raster, Window(0, 0, 1830, 1830)).astype(np.float64)
    pixels[pixels == 0] = np.nan
    true = pixels.reshape(61, 30, 61, 30).mean(axis=(1, 3))
    found = read_average(raster, Window(0, 0, 1830, 1830), shape=(61, 61), nodata=(0.0,))
    within = np.isfinite(true) & np.isfinite(found)
    assert within.sum() > 1500
    # a quarter of a cell off, as plain reduced pixels are, the difference is nearly four times as large
    assert np.std((found - true)[within]) < 0.05 * np.std(true[within])
