"""The shortcut through constant tiles never changes what a mask says."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import undersky.sensors.flat_tiles as module
from undersky.grid import Grid, Window
from undersky.sensors.archive import open_files
from undersky.sensors.flat_tiles import FlatTiles
from undersky.sensors.headers import tile_parts
from undersky.sensors.rasters import JPEG_2000, open_raster, read_nearest

SIDE = 200


@pytest.fixture(scope="module")
def mask_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import rasterio
    from rasterio.transform import Affine

    layers = np.zeros((3, SIDE, SIDE), np.uint8)
    layers[0, 70:75, 80:90] = 1
    layers[1, :64, :64] = 1  # a whole tile
    layers[2] = 1
    path = tmp_path_factory.mktemp("mask") / "MSK.jp2"
    profile = {"driver": "JP2OpenJPEG", "count": 3, "height": SIDE, "width": SIDE, "dtype": "uint8"}
    lossless = {"quality": 100, "reversible": "YES", "blockxsize": 64, "blockysize": 64, "ycc": "NO"}
    place = {"crs": "EPSG:32755", "transform": Affine(60, 0, 0, 0, -60, 0)}
    with rasterio.open(path, "w", **profile, **lossless, **place) as out:
        out.write(layers)
    path.with_name("MSK.jp2.aux.xml").unlink(missing_ok=True)
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 1199), st.integers(0, 1199), st.integers(1, 400), st.integers(1, 400), st.integers(1, 3)
)
def test_every_window_is_what_the_plain_way_reads(  # noqa: PLR0917  # hypothesis gives them by position
    mask_file: Path, row: int, col: int, rows: int, cols: int, band: int
) -> None:
    files = open_files(mask_file.parent)
    raster = open_raster(files, "MSK.jp2", driver=JPEG_2000)
    own = Grid(raster.shape, raster.transform, raster.crs)
    fine = Grid((SIDE * 6, SIDE * 6), own.affine @ own.affine.scale(1 / 6), "EPSG:32755")
    window = Window(row, col, min(rows, 1200 - row), min(cols, 1200 - col))
    flat = FlatTiles.of(files, "MSK.jp2", raster)
    expected = read_nearest(raster, own, at=fine, window=window, band=band)
    np.testing.assert_array_equal(flat.read_nearest(own, at=fine, window=window, band=band), expected)
    np.testing.assert_array_equal(flat.read_nearest(own, at=fine, window=window, band=band), expected)


def test_equal_tiles_are_decoded_once(mask_file: Path) -> None:
    files = open_files(mask_file.parent)
    raster = open_raster(files, "MSK.jp2", driver=JPEG_2000)
    own = Grid(raster.shape, raster.transform, raster.crs)
    flat = FlatTiles.of(files, "MSK.jp2", raster)
    assert flat.tile_shape == (64, 64)
    assert len(flat.digests) == 16
    flat.read_nearest(own, at=own, window=Window(0, 64, 64, 128), band=1)
    # two tiles without anything in them are one entry
    assert len(flat.known) == 1
    assert set(flat.known.values()) == {0}


def test_a_window_that_leaves_the_mask_is_zero_outside(mask_file: Path) -> None:
    files = open_files(mask_file.parent)
    raster = open_raster(files, "MSK.jp2", driver=JPEG_2000)
    own = Grid(raster.shape, raster.transform, raster.crs)
    wider = Grid((SIDE + 40, SIDE + 40), own.affine.translation(-20 * 60, 20 * 60) @ own.affine, "EPSG:32755")
    seen = FlatTiles.of(files, "MSK.jp2", raster).read_nearest(
        own, at=wider, window=Window(0, 0, 240, 240), band=3
    )
    assert seen[20:220, 20:220].all()
    assert seen.sum() == SIDE * SIDE


def test_a_file_too_large_to_list_is_read_the_plain_way(mask_file: Path) -> None:
    assert mask_file.stat().st_size < module.MAX_MASK_BYTES
    files = open_files(mask_file.parent)
    raster = open_raster(files, "MSK.jp2", driver=JPEG_2000)
    own = Grid(raster.shape, raster.transform, raster.crs)
    plain = FlatTiles(raster, raster.shape, {})
    window = Window(60, 60, 40, 40)
    np.testing.assert_array_equal(
        plain.read_nearest(own, at=own, window=window, band=1),
        FlatTiles.of(files, "MSK.jp2", raster).read_nearest(own, at=own, window=window, band=1),
    )
    assert not plain.known


def test_tile_parts_cover_every_tile_once(mask_file: Path) -> None:
    shape, parts = tile_parts(mask_file.read_bytes())
    assert shape == (64, 64)
    assert sorted(tile for tile, _, _ in parts) == list(range(16))
    assert all(end > start for _, start, end in parts)
