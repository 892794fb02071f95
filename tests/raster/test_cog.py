"""COGs as other people's software sees them."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rio_cogeo import cog_info, cog_validate
from rio_tiler.io import Reader

from undersky.bands import SENSORS
from undersky.grid import Grid, Window, strips
from undersky.raster import encoding as enc
from undersky.raster.cog import CoarseGrid, cog_stream, read_reduced, write_cog

BAND = enc.reflectance_layer(SENSORS["S2A"].band("B03"))
UNC = enc.uncertainty_layer(SENSORS["S2A"].band("B03"))


def _grid(rows: int, cols: int, size: float = 10.0) -> Grid:
    return GeoBox((rows, cols), Affine(size, 0, 600000, 0, -size, 5300040), "EPSG:32633")


def _texture(shape: tuple[int, int]) -> np.ndarray:
    generator = np.random.default_rng(7)
    rho = 0.1 + 0.05 * generator.standard_normal(shape)
    rho[: shape[0] // 5] = np.nan
    return rho


def _write(path: Path, grid: Grid, stored: np.ndarray, layer: enc.Layer, *, rows: int = 100) -> None:
    with cog_stream(path, grid, layer=layer) as stream:
        for strip in strips(grid, rows=rows):
            stream.write(strip, stored[strip.row : strip.row + strip.height])


@pytest.mark.oracle
@pytest.mark.parametrize("layer", [BAND, UNC, enc.QUALITY], ids=lambda layer: layer.key)
def test_a_streamed_layer_is_a_valid_cog_with_the_frozen_encoding(tmp_path: Path, layer: enc.Layer) -> None:
    grid, path = _grid(1300, 1100), tmp_path / f"{layer.key}.tif"
    stored = np.random.default_rng(1).integers(0, 250, grid.shape).astype(layer.dtype)
    _write(path, grid, stored, layer)
    valid, errors, warnings = cog_validate(path, strict=True, quiet=True)
    assert (valid, errors, warnings) == (True, [], [])
    info = cog_info(path)
    assert info.Compression == "ZSTD"
    assert info.Profile.Dtype == layer.dtype
    with rasterio.open(path) as dataset:
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.overviews(1) == [2, 4]
        assert dataset.nodata == layer.nodata
        assert dataset.crs.to_epsg() == 32633
        assert dataset.transform == grid.affine
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
        assert {"STATISTICS_MEAN", "STATISTICS_MINIMUM"} <= dataset.tags(1).keys()
        assert (dataset.read(1) == stored).all()


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(2, 2), (23, 23), (1, 700), (512, 512), (513, 511)])
def test_rasters_of_any_size_come_out_whole(tmp_path: Path, shape: tuple[int, int]) -> None:
    path, grid = tmp_path / "aot_550.tif", _grid(*shape, 5000.0)
    stored = np.arange(shape[0] * shape[1]).reshape(shape).astype(np.int16)
    write_cog(path, stored, grid=grid, layer=enc.AOT)
    assert cog_validate(path, quiet=True)[0]
    with rasterio.open(path) as dataset:
        assert (dataset.read(1) == stored).all()
    assert [p.name for p in tmp_path.iterdir()] == ["aot_550.tif"]


@pytest.mark.oracle
def test_rio_tiler_applies_our_scale_and_masks_our_nodata(tmp_path: Path) -> None:
    path, grid = tmp_path / "B03.tif", _grid(600, 600)
    rho = _texture((600, 600))
    _write(path, grid, enc.encode(rho, BAND), BAND)
    with Reader(str(path)) as reader:
        image = reader.read(unscale=True)
    assert np.ma.getmaskarray(image.array)[0][:100].all()
    np.testing.assert_allclose(image.array[0][200:].filled(np.nan), rho[200:], atol=6e-5)


def test_overviews_of_bits_hold_only_codes_that_exist(tmp_path: Path) -> None:
    path, grid = tmp_path / "quality.tif", _grid(1200, 1200)
    stored = np.random.default_rng(3).choice([0, 2, 4, 32, 513], grid.shape).astype(np.uint16)
    _write(path, grid, stored, enc.QUALITY)
    with rasterio.open(path, overview_level=0) as dataset:
        assert set(np.unique(dataset.read(1))) <= {0, 2, 4, 32, 513}


def test_overviews_of_reflectance_are_means_that_ignore_nodata(tmp_path: Path) -> None:
    path, grid = tmp_path / "B03.tif", _grid(1024, 1024)
    stored = np.tile(np.array([[100, 300], [-9999, 200]], dtype=np.int16), (512, 512))
    _write(path, grid, stored, BAND)
    with rasterio.open(path, overview_level=0) as dataset:
        assert (dataset.read(1) == 200).all()


def test_the_same_windows_in_any_order_and_with_any_threads_give_the_same_bytes(tmp_path: Path) -> None:
    grid = _grid(1500, 1500)
    stored = enc.encode(_texture((1500, 1500)), BAND)
    for name, order, threads in (("one", 1, 1), ("two", -1, 2)):
        (tmp_path / name).mkdir()
        with cog_stream(tmp_path / name / "B03.tif", grid, layer=BAND, threads=threads) as stream:
            for strip in list(strips(grid, rows=256))[::order]:
                stream.write(strip, stored[strip.row : strip.row + strip.height])
    assert (tmp_path / "one" / "B03.tif").read_bytes() == (tmp_path / "two" / "B03.tif").read_bytes()


def test_an_interrupted_stream_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), cog_stream(tmp_path / "B03.tif", _grid(64, 64), layer=BAND):
        raise RuntimeError("killed between two strips")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), dtype=np.float32), np.zeros((4, 5), dtype=np.int16)])
def test_a_window_of_another_type_or_shape_is_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    with (
        pytest.raises(TypeError, match="expected"),
        cog_stream(tmp_path / "b.tif", _grid(8, 8), layer=BAND) as s,
    ):
        s.write(Window(0, 0, 4, 4), wrong)


def test_the_nodes_of_a_coarse_grid_sit_on_the_footprints_edges() -> None:
    footprint = _grid(1098, 1098)
    nodes = CoarseGrid(footprint, (23, 23)).grid
    left, top = footprint.affine @ (0, 0)
    right, bottom = footprint.affine @ (1098, 1098)
    assert nodes.affine @ (0.5, 0.5) == pytest.approx((left, top))
    assert nodes.affine @ (22.5, 22.5) == pytest.approx((right, bottom))


def test_a_reduced_read_returns_values_not_codes(tmp_path: Path) -> None:
    grid = _grid(1024, 1024)
    _write(tmp_path / "b.tif", grid, enc.encode(np.full((1024, 1024), 0.25), BAND), BAND)
    np.testing.assert_allclose(
        read_reduced(tmp_path / "b.tif", layer=BAND, shape=(128, 128)), 0.25, atol=1e-6
    )
