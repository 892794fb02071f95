"""The two image formats: no pixel is lost, and files are built as the agencies build theirs."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from undersky.grid import Grid
from undersky.synth.geotiff import write_geotiff
from undersky.synth.jp2 import write_jp2

FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def on(shape: tuple[int, int], step: float = 10.0) -> Grid:
    return Grid(shape, Affine(step, 0, 600_000, 0, -step, 5_000_040), "EPSG:32632")


def reread(path) -> tuple[np.ndarray, dict]:
    with rasterio.open(path) as raster:
        facts = {
            "crs": raster.crs.to_epsg() if raster.crs else None,
            "transform": raster.transform,
            "blocks": raster.block_shapes[0],
            "structure": raster.tags(ns="IMAGE_STRUCTURE"),
            "band": raster.tags(1, ns="IMAGE_STRUCTURE"),
            "overviews": raster.overviews(1),
        }
        return raster.read(), facts


# JPEG 2000 ----------------------------------------------------------------------------------------------


@pytest.mark.oracle
@FEW
@given(
    numbers=hnp.arrays(np.uint16, SHAPES, elements=st.integers(0, 32767)),
    step=st.sampled_from([10.0, 20.0, 60.0]),
)
def test_numbers_of_15_bits_come_back_from_jp2_unchanged(numbers, step, tmp_path_factory):
    path = tmp_path_factory.mktemp("jp2") / "B.jp2"
    write_jp2(path, numbers, grid=on(numbers.shape, step))
    read, facts = reread(path)
    np.testing.assert_array_equal(read[0], numbers)
    assert facts["crs"] == 32632
    assert facts["transform"] == on(numbers.shape, step).affine
    assert [child.name for child in path.parent.iterdir()] == ["B.jp2"]


@pytest.mark.oracle
@FEW
@given(picture=hnp.arrays(np.uint8, SHAPES.map(lambda shape: (3, *shape)), elements=st.integers(0, 255)))
def test_pictures_come_back_without_a_change_of_colour_and_without_a_map(picture, tmp_path_factory):
    path = tmp_path_factory.mktemp("jp2") / "PVI.jp2"
    write_jp2(path, picture, grid=None)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        read, facts = reread(path)
    np.testing.assert_array_equal(read, picture)
    assert facts["crs"] is None


@pytest.mark.oracle
def test_a_number_beyond_15_bits_is_kept_too(tmp_path):
    samples = np.array([[0, 32768], [65535, 1]], np.uint16)
    write_jp2(tmp_path / "B.jp2", samples, grid=on((2, 2)))
    np.testing.assert_array_equal(reread(tmp_path / "B.jp2")[0][0], samples)


@pytest.mark.oracle
def test_a_60_metre_band_is_tiled_and_coded_like_a_real_one(samples, tmp_path):
    real = next((samples / "s2-l1c-safe-t31tdh-20180101").rglob("*B01.jp2"))
    with rasterio.open(real) as raster:
        part = raster.read(1, window=((0, 400), (0, 400)))
    write_jp2(tmp_path / "B01.jp2", part, grid=on((400, 400), 60.0))
    _, theirs = reread(real)
    read, ours = reread(tmp_path / "B01.jp2")
    np.testing.assert_array_equal(read[0], part)
    assert ours["blocks"] == theirs["blocks"]
    assert ours["band"].get("NBITS") == theirs["band"].get("NBITS")
    assert ours["structure"]["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"


def test_equal_pixels_make_equal_files_and_an_older_one_is_replaced(tmp_path):
    rng = np.random.default_rng(1)
    one, other = (rng.integers(0, 9000, (64, 64)).astype(np.uint16) for _ in range(2))
    for write, name in ((write_jp2, "a.jp2"), (write_geotiff, "a.tif")):
        path = tmp_path / name
        write(path, one, grid=on((64, 64)))
        first = path.read_bytes()
        write(path, other, grid=on((64, 64)))
        assert path.read_bytes() != first
        write(path, one, grid=on((64, 64)))
        assert path.read_bytes() == first


# GeoTIFF ------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@FEW
@given(
    numbers=st.sampled_from([np.uint16, np.int16, np.float32]).flatmap(
        lambda kind: hnp.arrays(
            kind, SHAPES,
            elements=st.floats(-10, 10, width=32) if kind is np.float32 else st.integers(0, 32767),
        )
    )
)  # fmt: skip
def test_any_sample_comes_back_from_geotiff_unchanged(numbers, tmp_path_factory):
    path = tmp_path_factory.mktemp("tif") / "B.TIF"
    write_geotiff(path, numbers, grid=on(numbers.shape, 30.0))
    read, facts = reread(path)
    np.testing.assert_array_equal(read[0], numbers)
    assert read.dtype == numbers.dtype
    assert facts["transform"] == on(numbers.shape, 30.0).affine


@pytest.mark.oracle
def test_layout_is_that_of_a_cloud_optimised_landsat_band(tmp_path):
    samples = np.random.default_rng(2).integers(1, 60_000, (600, 700)).astype(np.uint16)
    write_geotiff(tmp_path / "B4.TIF", samples, grid=on((600, 700), 30.0))
    _, facts = reread(tmp_path / "B4.TIF")
    assert facts["blocks"] == (256, 256)
    assert facts["structure"]["COMPRESSION"] == "DEFLATE"
    assert facts["structure"]["LAYOUT"] == "COG"
    assert facts["overviews"] == [2, 4]


@pytest.mark.oracle
def test_overviews_average_quantities_and_pick_classes(tmp_path):
    board = (np.indices((600, 600)).sum(axis=0) % 2 * 1000).astype(np.uint16)
    for classes in (False, True):
        path = tmp_path / f"{classes}.TIF"
        write_geotiff(path, board, grid=on((600, 600), 30.0), classes=classes)
        with rasterio.open(path, overview_level=0) as overview:
            values = set(np.unique(overview.read(1)).tolist())
        assert values <= {0, 1000} if classes else values == {500}


def test_nan_is_kept_where_reflectance_was_not_measured(tmp_path):
    samples = np.full((20, 20), 0.25, np.float32)
    samples[3, 4] = np.nan
    write_geotiff(tmp_path / "S.tif", samples, grid=on((20, 20)))
    read, _ = reread(tmp_path / "S.tif")
    np.testing.assert_array_equal(read[0], samples)
