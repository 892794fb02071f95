"""Planes, joined layers and files against numpy and rasterio, over whatever shapes hypothesis finds."""

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.io import MemoryFile
from rasterio.warp import Resampling, reproject

from undersky.bands import SENSORS
from undersky.grid import Grid, Window, node_grid, strips, upsample, whole
from undersky.quality import Quality
from undersky.raster import encoding as enc
from undersky.raster.cog import CoarseGrid, cog_stream, read_reduced, stored_statistics, write_cog
from undersky.raster.fields import FieldStack, blocks
from undersky.raster.joined import FlagCounter, Judgement, quality_strip, saturation_strip
from undersky.raster.planes import BandPlanes, BitPlane, nearest

RELAXED = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SIDES = st.integers(1, 33)
SHAPES = st.tuples(SIDES, SIDES)
LAYER = enc.reflectance_layer(SENSORS["S2A"].corrected_bands[0])


def _grid(shape: tuple[int, int], size: float = 20.0) -> Grid:
    return Grid(shape, Affine(size, 0, 600000, 0, -size, 5300040), "EPSG:32633")


@pytest.mark.oracle
@given(st.integers(1, 500), st.integers(1, 500))
def test_nearest_is_exact_arithmetic_on_pixel_centres(size: int, onto: int) -> None:
    exact = [int((Fraction(2 * i + 1, 2) * size) / onto) for i in range(onto)]
    np.testing.assert_array_equal(nearest(size, onto), exact)
    half = onto // 2
    np.testing.assert_array_equal(nearest(size, onto, start=half, count=onto - half), exact[half:])


@pytest.mark.oracle
@RELAXED
@given(SHAPES, SHAPES, st.integers(1, 9), st.integers(0, 999))
def test_a_plane_read_onto_another_grid_is_plain_indexing(
    tmp_path: Path, mine: tuple[int, int], theirs: tuple[int, int], rows: int, seed: int
) -> None:
    bits = np.random.default_rng(seed).random(mine) < 0.3
    i = np.minimum(((np.arange(theirs[0]) + 0.5) * mine[0] / theirs[0]).astype(int), mine[0] - 1)
    j = np.minimum(((np.arange(theirs[1]) + 0.5) * mine[1] / theirs[1]).astype(int), mine[1] - 1)
    expected = bits[np.ix_(i, j)]
    with BitPlane(tmp_path / "p.bits", mine) as plane:
        plane.write(0, bits)
        for window in strips(_grid(theirs), rows=rows):
            found = plane.read_onto(window, theirs)
            part = expected[window.row : window.row + window.height]
            np.testing.assert_array_equal(np.zeros_like(part) if found is None else found, part)
    assert not list(tmp_path.iterdir())


@RELAXED
@given(SHAPES, st.lists(st.tuples(st.integers(0, 32), st.integers(1, 9), st.booleans()), max_size=8))
def test_the_last_writing_of_a_row_is_what_is_read(
    tmp_path: Path, shape: tuple[int, int], writings: list[tuple[int, int, bool]]
) -> None:
    expected = np.zeros(shape, dtype=bool)
    with BitPlane(tmp_path / "p.bits", shape) as plane:
        for number, (row, rows, some) in enumerate(writings):
            if row + rows > shape[0]:
                continue
            bits = (np.random.default_rng(number).random((rows, shape[1])) < 0.5) & some
            plane.write(row, bits)
            expected[row : row + rows] = bits
        found = plane.read(0, shape[0])
    assert (found is None) == (not expected.any())
    if found is not None:
        np.testing.assert_array_equal(found, expected)


def _slow_quality(
    judgement: Judgement, planes: dict[str, list[np.ndarray]], shape: tuple[int, int]
) -> np.ndarray:
    """Pixel by pixel, as a person would look it up."""
    result = np.zeros(shape, dtype=np.uint16)
    for row, col in np.ndindex(shape):
        y, x = (row + 0.5) / shape[0], (col + 0.5) / shape[1]

        def cell(values: np.ndarray, y: float = y, x: float = x) -> int:
            rows, cols = values.shape
            return int(values[min(int(y * rows), rows - 1), min(int(x * cols), cols - 1)])

        def node(values: np.ndarray, y: float = y, x: float = x) -> bool:
            return bool(values[round(y * (values.shape[0] - 1)), round(x * (values.shape[1] - 1))])

        code = cell(judgement.mask)
        code |= Quality.INCOMPLETE_TESTING if judgement.is_incomplete else 0
        code |= Quality.FALLBACK if node(judgement.fallback) else 0
        code |= Quality.OUTSIDE_TABLES if node(judgement.outside) else 0
        code |= Quality.NODATA if any(cell(plane) for plane in planes["nodata"]) else 0
        code |= Quality.SATURATED if any(cell(plane) for plane in planes["saturated"]) else 0
        result[row, col] = code
    return result


@pytest.mark.oracle
@RELAXED
@given(st.integers(0, 9999), st.integers(1, 9), st.booleans())
def test_joined_layers_are_what_a_look_at_every_pixel_gives(
    tmp_path: Path,
    seed: int,
    rows: int,
    incomplete: bool,  # noqa: FBT001  # hypothesis gives them by position
) -> None:
    rng = np.random.default_rng(seed)
    shape = (16, 32)
    shapes = {"fine": shape, "half": (8, 16), "quarter": (4, 8)}
    flags = sum((Quality.CLOUD, Quality.CIRRUS, Quality.WATER), Quality(0))
    judgement = Judgement(
        (rng.integers(0, 1 << 11, (4, 8)) & int(flags)).astype(np.uint16),
        rng.random((4, 6)) < 0.3,
        rng.random((3, 3)) < 0.3,
        is_incomplete=incomplete,
    )
    planes, known = [], {"nodata": [], "saturated": []}
    for name, size in shapes.items():
        band = BandPlanes(tmp_path, name, size)
        for kind, plane in (("nodata", band.nodata), ("saturated", band.saturated)):
            known[kind].append(rng.random(size) < 0.2)
            plane.write(0, known[kind][-1])
        planes.append(band)
    parts = [quality_strip(judgement, planes, window=w, shape=shape) for w in strips(_grid(shape), rows=rows)]
    np.testing.assert_array_equal(np.concatenate(parts), _slow_quality(judgement, known, shape))
    found = [saturation_strip(planes, window=w, shape=shape) for w in strips(_grid(shape), rows=rows)]
    for number, plane in enumerate(known["saturated"]):
        factor = shape[0] // plane.shape[0]
        expected = plane.repeat(factor, 0).repeat(factor, 1)
        np.testing.assert_array_equal((np.concatenate(found) >> number) & 1, expected)
    assert not (np.concatenate(found) >> len(planes)).any()
    for band in planes:
        band.__exit__()


@pytest.mark.oracle
@given(st.lists(arrays(np.uint16, (3, 5), elements=st.integers(0, (1 << 11) - 1)), min_size=1, max_size=4))
def test_percentages_are_numpys_means_over_the_pixels_with_data(codes: list[np.ndarray]) -> None:
    counter = FlagCounter()
    for strip in codes:
        counter.add(strip)
    everything = np.concatenate(codes)
    seen = everything[everything & Quality.NODATA == 0]
    percent = counter.percent()
    assert set(percent) == {str(flag.name).lower() for flag in Quality}
    for flag in Quality:
        among = everything if flag is Quality.NODATA else seen
        expected = 100.0 * np.mean(among & np.uint16(flag) != 0) if among.size else 0.0
        assert percent[str(flag.name).lower()] == pytest.approx(expected)


@given(
    st.tuples(st.integers(2, 20), st.integers(2, 20)), st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.floats(-3, 3, width=32), st.floats(-3, 3, width=32),
)  # fmt: skip
def test_a_stack_is_linear_and_never_leaves_the_range_of_its_nodes(
    nodes: tuple[int, int], shape: tuple[int, int], one: float, other: float
) -> None:
    rng = np.random.default_rng(nodes[0] * 31 + nodes[1])
    fields = rng.normal(size=(2, *nodes)).astype(np.float32)
    window = Window(shape[0] // 3, shape[1] // 3, shape[0] - shape[0] // 3, shape[1] - shape[1] // 3)
    seen = FieldStack(fields, shape).at(window)
    mixed = FieldStack((one * fields[0] + other * fields[1])[None], shape).at(window)[0]
    np.testing.assert_allclose(mixed, one * seen[0] + other * seen[1], atol=1e-4)
    low, high = fields.min(axis=(1, 2)), fields.max(axis=(1, 2))
    assert (seen.min(axis=(1, 2)) >= low - 1e-5).all()
    assert (seen.max(axis=(1, 2)) <= high + 1e-5).all()


@given(st.integers(1, 300), st.integers(1, 700), st.integers(0, 99))
def test_blocks_put_together_are_the_field_of_the_whole_window(rows: int, cols: int, seed: int) -> None:
    field = np.random.default_rng(seed).normal(size=(1, 5, 7)).astype(np.float32)
    shape, stack = (rows + 7, cols + 11), FieldStack(field, (rows + 7, cols + 11))
    window = Window(3, 5, rows, cols)
    together = np.full(shape, np.nan, dtype=np.float32)
    for block in blocks(window, rows=64, cols=200):
        assert max(block.height / 64, block.width / 200) <= 1
        together[block.row : block.row + block.height, block.col : block.col + block.width] = stack.at(block)
    inside = together[3 : 3 + rows, 5 : 5 + cols]
    np.testing.assert_allclose(inside, upsample(field[0], shape, window), atol=2e-5)
    assert np.isnan(together).sum() == together.size - inside.size


@given(SHAPES, st.tuples(st.integers(2, 30), st.integers(2, 30)))
def test_two_ways_to_the_grid_of_nodes_agree_and_centre_them_on_the_edges(
    shape: tuple[int, int], nodes: tuple[int, int]
) -> None:
    footprint = _grid(shape)
    cells = CoarseGrid(footprint, nodes).grid
    np.testing.assert_allclose(tuple(cells.affine), tuple(node_grid(footprint, nodes).affine), rtol=1e-12)
    box = footprint.boundingbox
    assert cells.affine @ (0.5, 0.5) == pytest.approx((box.left, box.top))
    assert cells.affine @ (nodes[1] - 0.5, nodes[0] - 0.5) == pytest.approx((box.right, box.bottom))


@pytest.mark.oracle
@RELAXED
@given(st.integers(2, 12), st.integers(2, 12))
def test_coarse_cells_on_disk_warp_to_what_the_nodes_mean(rows: int, cols: int) -> None:
    # GDAL's bilinear warp of the stored cells is the edge-to-edge interpolation the correction used
    footprint = _grid((60, 80))
    cells = CoarseGrid(footprint, (rows, cols)).grid
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : cols * 1j]
    field = (0.3 + 0.5 * y - 0.2 * x).astype(np.float32)
    warped = np.zeros((60, 80), dtype=np.float32)
    reproject(
        field, warped, src_transform=cells.affine, dst_transform=footprint.affine, src_crs="EPSG:32633",
        dst_crs="EPSG:32633", resampling=Resampling.bilinear,
    )  # fmt: skip
    np.testing.assert_allclose(warped, upsample(field, (60, 80), whole(footprint)), atol=2e-3)


@RELAXED
@given(
    arrays(np.int16, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(-9999, 32767))
)
def test_whatever_is_stored_comes_back_bit_by_bit(tmp_path: Path, stored: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    write_cog(path, stored, grid=_grid(stored.shape), layer=LAYER)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), stored)
        assert dataset.nodata == LAYER.nodata
    values = read_reduced(path, layer=LAYER, shape=stored.shape)
    np.testing.assert_array_equal(np.isnan(values), stored == LAYER.nodata)
    statistics = stored_statistics(path)
    valid = stored[stored != LAYER.nodata]
    assert (not statistics) == (valid.size == 0)
    if valid.size:
        assert (statistics["minimum"], statistics["maximum"]) == (valid.min(), valid.max())
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.oracle
@pytest.mark.parametrize("layer", enc.layers_of(SENSORS["L8"]), ids=lambda layer: layer.key)
def test_gdals_own_unscaling_gives_the_value_where_the_curve_is_a_line(layer: enc.Layer) -> None:
    low, high = layer.codes
    codes = np.unique(np.linspace(low, high, 300).astype(layer.dtype)).reshape(1, -1)
    decoded = enc.decode(codes, layer).astype(float)
    if layer.curve == "square":
        np.testing.assert_allclose(decoded, (codes.astype(float) / 800) ** 2, rtol=1e-6)
    else:
        profile = {"driver": "GTiff", "count": 1, "height": 1, "width": codes.size, "dtype": layer.dtype}
        place = {"crs": "EPSG:32633", "transform": _grid((1, 1)).affine}
        with MemoryFile() as memory:
            with memory.open(**profile, **place) as out:
                out.write(codes, 1)
                out.scales, out.offsets = (layer.scale,), (layer.offset,)
            with memory.open() as dataset:
                expected = dataset.read(1) * dataset.scales[0] + dataset.offsets[0]
        np.testing.assert_allclose(decoded, expected, rtol=1e-6, atol=1e-7)
    assert (decoded.min(), decoded.max()) == pytest.approx(layer.range)


def _cut_stream(path: Path) -> None:
    with cog_stream(path, _grid((64, 64)), layer=LAYER) as stream:
        stream.write(Window(0, 0, 32, 64), np.ones((32, 64), np.int16))
        raise RuntimeError("cut")


@pytest.mark.faults
@pytest.mark.parametrize("earlier", [b"", b"yesterday's file"])
def test_a_stream_that_fails_leaves_what_was_there_before(tmp_path: Path, earlier: bytes) -> None:
    path = tmp_path / "a.tif"
    if earlier:
        path.write_bytes(earlier)
    with pytest.raises(RuntimeError, match="cut"):
        _cut_stream(path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([earlier] if earlier else [])


@pytest.mark.oracle
def test_windows_in_any_order_land_where_rasterio_finds_them(tmp_path: Path) -> None:
    stored = np.random.default_rng(5).integers(-100, 9000, (70, 50)).astype(np.int16)
    path, grid = tmp_path / "a.tif", _grid((70, 50))
    windows = [
        Window(row, col, min(16, 70 - row), min(30, 50 - col))
        for row, col in itertools.product(range(0, 70, 16), range(0, 50, 30))
    ]
    with cog_stream(path, grid, layer=LAYER) as stream:
        for window in reversed(windows):
            rows = slice(window.row, window.row + window.height)
            stream.write(window, stored[rows, window.col : window.col + window.width])
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), stored)
        assert dataset.transform == grid.affine
        assert dataset.crs.to_epsg() == 32633
        assert dataset.scales == (pytest.approx(LAYER.scale),)
