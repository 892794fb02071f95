"""Directions from the agencies' tables to nodes over a footprint: merged, filled, turned through north."""

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from undersky.errors import DataError, Reason
from undersky.grid import Grid, Window, whole
from undersky.scene import Finding
from undersky.sensors import open_scene
from undersky.sensors.coarse import _nearest, fill_gaps, merge, nodes_xy, sample, to_angles, to_vector
from undersky.sensors.gml import Polygon
from undersky.sensors.landsat_angles import _at_nodes, _centres
from undersky.sensors.sentinel2_angles import AngleGrid, TileAngles, angles_over, read_tile_angles
from undersky.sensors.sentinel2_detectors import Detectors, Footprint

CORNER = (499980.0, 6900040.0)
GRID = Grid((200, 200), Affine(50, 0, CORNER[0], 0, -50, CORNER[1]), "EPSG:32755")
"""10 km: with a step of 5 km the nodes are the table's own."""
T55 = "s2-l1c-safe-t55jej-20171207-decimated"


def _table(zenith: object, azimuth: object) -> AngleGrid:
    parts = [np.array(np.broadcast_to(np.asarray(v, dtype=np.float64), (3, 3))) for v in (zenith, azimuth)]
    return AngleGrid(parts[0], parts[1], (5000.0, 5000.0))


def _tile(view: Mapping[int, AngleGrid] | None = None, **changes: object) -> TileAngles:
    values = {"sun": _table(40.0, 30.0), "mean_sun": (41.0, 31.0), "mean_view": {}} | changes
    return TileAngles(corner=CORNER, view={"B02": view} if view else {}, **values)


def _turned(one: np.ndarray, other: float) -> np.ndarray:
    return np.abs((np.asarray(one, dtype=np.float64) - other + 180.0) % 360.0 - 180.0)


@given(st.floats(0, 359.99), st.floats(0.5, 170.0), st.floats(1.0, 12.0))
def test_two_detectors_meet_half_way_round_the_shorter_arc(
    middle: float, apart: float, zenith: float
) -> None:
    sides = [(middle + sign * apart / 2) % 360.0 for sign in (-1, 1)]
    tile = _tile({number: _table(zenith, side) for number, side in enumerate(sides, 5)})
    angles, notes = angles_over(tile, GRID, ("B02",), where="X")
    assert notes == ()
    assert _turned(angles.view_azimuth["B02"], middle).max() < 0.02
    assert (angles.view_zenith["B02"] <= zenith + 1e-3).all()


@pytest.mark.oracle
@given(st.lists(st.tuples(st.floats(0.0, 80.0), st.floats(0.0, 359.99)), min_size=1, max_size=4))
def test_merging_is_the_mean_direction_of_scipys_rotated_vectors(
    directions: list[tuple[float, float]],
) -> None:
    up = [
        Rotation.from_euler("xz", [-zenith, -azimuth], degrees=True).apply([0.0, 0.0, 1.0])
        for zenith, azimuth in directions
    ]
    mean = np.sum(up, axis=0)
    expected = mean[:2] / np.linalg.norm(mean)
    found = merge([to_vector(np.array(zenith), np.array(azimuth))[:, None] for zenith, azimuth in directions])
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-9)


@given(st.floats(0.0, 359.99))
def test_a_sun_near_north_never_passes_through_south(first: float) -> None:
    azimuth = (first + np.arange(3.0) * 4.0) % 360.0
    angles, _ = angles_over(_tile(sun=_table(35.0, azimuth)), GRID, (), where="X")
    assert _turned(angles.sun_azimuth, first + 4.0).max() < 4.05
    assert np.abs(angles.sun_zenith - 35.0).max() < 0.06


def test_a_detector_speaks_only_where_it_saw_something() -> None:
    left, right = np.full((3, 3), np.nan), np.full((3, 3), np.nan)
    left[:, :2], right[:, 1:] = 4.0, 8.0
    tile = _tile({5: _table(left, np.where(np.isnan(left), np.nan, 100.0)), 6: _table(right, 100.0)})
    zenith = angles_over(tile, GRID, ("B02",), where="X")[0].view_zenith["B02"]
    np.testing.assert_allclose(zenith, np.broadcast_to([4.0, 6.0, 8.0], (3, 3)), atol=0.01)


@settings(deadline=None)
@given(st.integers(0, 2**9 - 2), st.floats(0, 359), st.floats(1, 11))
def test_one_known_node_is_enough_for_a_whole_tile(missing: int, azimuth: float, zenith: float) -> None:
    gaps = np.array([missing >> bit & 1 for bit in range(9)], dtype=bool).reshape(3, 3)
    tile = _tile({5: _table(np.where(gaps, np.nan, zenith), azimuth)})
    angles, notes = angles_over(tile, GRID, ("B02",), where="X")
    assert notes == ()
    assert np.abs(angles.view_zenith["B02"] - zenith).max() < 0.01
    assert _turned(angles.view_azimuth["B02"], azimuth).max() < 0.1


def test_a_missing_band_takes_its_own_mean_before_that_of_another() -> None:
    tile = _tile(mean_view={"B01": (2.0, 10.0), "B02": (3.0, 20.0)})
    angles, notes = angles_over(tile, GRID, ("B02", "B8A"), where="X")
    assert angles.view_zenith["B02"] == pytest.approx(3.0, abs=1e-3)
    assert angles.view_zenith["B8A"] == pytest.approx(2.0, abs=1e-3)
    assert [note.finding for note in notes] == [Finding.VIEW_ANGLES_FROM_SCENE_MEAN] * 2


@pytest.mark.parametrize(
    "sun",
    [None, _table(np.nan, np.nan), _table(np.nan, 30.0), _table(30.0, np.nan)],
    ids=["absent", "no number", "no zenith", "no azimuth"],
)
def test_a_sun_table_without_a_direction_is_replaced_by_the_mean_sun(sun: AngleGrid | None) -> None:
    angles, notes = angles_over(_tile(sun=sun), GRID, (), where="X")
    assert {note.finding for note in notes} == {Finding.SUN_ANGLES_FROM_SCENE_CENTRE}
    assert angles.sun_zenith == pytest.approx(41.0, abs=1e-3)
    with pytest.raises(DataError, match="no sun angles") as caught:
        angles_over(_tile(sun=sun, mean_sun=None), GRID, (), where="X")
    assert caught.value.reason is Reason.METADATA_INVALID


def test_detectors_of_unequal_tables_are_not_mixed() -> None:
    other = AngleGrid(np.full((4, 4), 5.0), np.full((4, 4), 100.0), (5000.0, 5000.0))
    _, notes = angles_over(_tile({5: _table(4.0, 100.0), 6: other}), GRID, ("B02",), where="X")
    assert {note.finding for note in notes} == {Finding.VIEW_ANGLES_ASSUMED_NADIR}


@pytest.mark.oracle
@settings(deadline=None)
@given(st.integers(1, 2**30 - 1))
def test_the_nearest_known_node_is_as_near_as_scipys_distance_transform_says(known: int) -> None:
    valid = np.array([known >> bit & 1 for bit in range(30)], dtype=bool).reshape(5, 6)
    rows, cols = _nearest(valid)
    assert valid[rows, cols].all()
    here = np.indices(valid.shape)
    np.testing.assert_allclose(np.hypot(here[0] - rows, here[1] - cols), distance_transform_edt(~valid))


@given(st.integers(0, 99), st.floats(-50, 50))
def test_filling_follows_a_shift_of_all_known_values(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    field = np.where(rng.random((6, 7)) < 0.5, rng.normal(size=(6, 7)), np.nan)
    field[2, 3] = 1.0
    np.testing.assert_allclose(fill_gaps(field + shift), fill_gaps(field) + shift, atol=1e-9)


@pytest.mark.oracle
@given(st.integers(0, 99))
def test_sampling_is_scipys_linear_interpolation_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = np.cumsum(rng.uniform(0.5, 9, 5)), np.cumsum(rng.uniform(0.5, 9, 6))
    field = rng.normal(size=(5, 6))
    rows, cols = (rng.uniform(axis[0], axis[-1], 40) for axis in axes)
    expected = RegularGridInterpolator(axes, field)(np.stack([rows, cols], axis=1))
    np.testing.assert_allclose(sample(field, axes, rows=rows, cols=cols), expected, atol=1e-12)


def _xml(rows: str, *, step: str = "5000", band: str = "1") -> str:
    part = f"<COL_STEP>5000</COL_STEP><ROW_STEP>{step}</ROW_STEP><Values_List>{rows}</Values_List>"
    return (
        f'<T><Viewing_Incidence_Angles_Grids bandId="{band}" detectorId="3"><Zenith>{part}</Zenith>'
        f"<Azimuth>{part}</Azimuth></Viewing_Incidence_Angles_Grids></T>"
    )


GOOD = "<VALUES>1 NaN 3</VALUES><VALUES>4 5 6</VALUES>"


def test_a_table_is_read_row_by_row_with_its_gaps() -> None:
    tile = read_tile_angles(fromstring(_xml(GOOD)), ("B01", "B02"), corner=CORNER, where="MTD_TL.xml")
    table = tile.view["B02"][3]
    np.testing.assert_array_equal(table.zenith, [[1, np.nan, 3], [4, 5, 6]])
    assert table.step_m == (5000.0, 5000.0)
    assert tile.sun is None
    assert tile.mean_sun is None


@pytest.mark.faults
@pytest.mark.parametrize(
    "document",
    [
        _xml("<VALUES>1 2</VALUES><VALUES>1 2 3</VALUES>"),
        _xml("<VALUES>1 2</VALUES>"),
        _xml("<VALUES>1</VALUES><VALUES>2</VALUES>"),
        _xml("<VALUES>1 x</VALUES><VALUES>1 2</VALUES>"),
        _xml("<VALUES>1 inf</VALUES><VALUES>1 2</VALUES>"),
        _xml("<VALUES>1 361</VALUES><VALUES>1 2</VALUES>"),
        _xml("<VALUES>1 2</VALUES>" * 513),
        _xml(GOOD, step="0"),
        _xml(GOOD, step="-5000"),
        _xml(GOOD, step=""),
        _xml(GOOD, band="2"),
        _xml(GOOD, band="-1"),
        _xml(GOOD, band="nan"),
        _xml(GOOD).replace("Azimuth>", "Azimut>"),
        _xml(GOOD).replace("<VALUES>4 5 6</VALUES>", "<VALUES>4 5 6</VALUES><VALUES>7 8 9</VALUES>", 1),
    ],
)  # fmt: skip
def test_a_table_that_makes_no_sense_is_invalid_and_names_its_file(document: str) -> None:
    with pytest.raises(DataError, match=r"MTD_TL\.xml is not usable") as caught:
        read_tile_angles(fromstring(document), ("B01", "B02"), corner=CORNER, where="MTD_TL.xml")
    assert caught.value.reason is Reason.METADATA_INVALID


@pytest.mark.oracle
def test_the_real_sun_table_found_by_regex_is_the_scenes_at_its_own_nodes(samples: Path) -> None:
    text = next((samples / T55).glob("*.SAFE/GRANULE/*/MTD_TL.xml")).read_text()
    sun = re.search(r"<Sun_Angles_Grid>(.*?)</Sun_Angles_Grid>", text, re.DOTALL)[1]
    tables = [
        np.array([row.split() for row in re.findall(r"<VALUES>(.*?)</VALUES>", part)], dtype=float)
        for part in (sun.split("<Azimuth>")[0], sun.split("<Azimuth>")[1])
    ]
    scene = open_scene(next((samples / T55).glob("*.SAFE")))
    columns, rows = nodes_xy(scene.grid)
    left, top = (float(re.search(rf"<{axis}>(\d+)</{axis}>", text)[1]) for axis in ("ULX", "ULY"))
    down, right = np.meshgrid((top - rows) / 5000, (columns - left) / 5000, indexing="ij")
    near = np.rint(down).astype(int), np.rint(right).astype(int)
    away = np.hypot(down - near[0], right - near[1])
    # the sun turns by some hundredths of a degree a node: half a node's walk is all that may lie between
    assert np.abs(scene.angles.sun_zenith - tables[0][near])[away < 0.2].max() < 0.02
    assert _turned(scene.angles.sun_azimuth, tables[1][near])[away < 0.2].max() < 0.05


@pytest.mark.oracle
def test_the_real_view_stays_within_what_its_detectors_say(samples: Path) -> None:
    safe = next((samples / T55).glob("*.SAFE"))
    text = next(safe.glob("GRANULE/*/MTD_TL.xml")).read_text()
    angles = open_scene(safe).angles
    for index, band in ((1, "B02"), (8, "B8A"), (10, "B10")):
        blocks = re.findall(
            rf'<Viewing_Incidence_Angles_Grids bandId="{index}".*?<Zenith>(.*?)</Zenith>', text, re.DOTALL
        )
        numbers = [float(word) for block in blocks for row in re.findall(r"<VALUES>(.*?)</", block)
                   for word in row.split()]  # fmt: skip
        seen = np.array(numbers)[np.isfinite(numbers)]
        assert len(blocks) >= 6
        zenith = angles.view_zenith[band]
        assert np.percentile(zenith, 5) >= seen.min() - 0.05
        assert np.percentile(zenith, 95) <= seen.max() + 0.05
        assert zenith.max() < seen.max() + 1.0, "a corner without data ran away from its neighbours"


@pytest.mark.oracle
def test_a_footprint_from_polygons_is_shapelys_point_in_polygon() -> None:
    import shapely

    rng = np.random.default_rng(4)
    grid = Grid((40, 30), Affine(20, 0, CORNER[0], 0, -20, CORNER[1]), "EPSG:32755")
    pairs = []
    for number in (3, 4):
        points = rng.uniform([CORNER[0] - 50, CORNER[1] - 850], [CORNER[0] + 650, CORNER[1] + 50], (8, 2))
        ring = list(shapely.MultiPoint(points).convex_hull.exterior.coords)
        pairs.append((Polygon(f"f-B02-{number:02d}-0", "F", (ring,), shapely.Polygon(ring).bounds), number))
    detectors = Detectors(_tile(), {"B02": Footprint(grid, tuple(pairs))})
    window = Window(5, 3, 30, 25)
    rows, cols = np.mgrid[5:35, 3:28]
    x, y = CORNER[0] + (cols + 0.5) * 20, CORNER[1] - (rows + 0.5) * 20
    expected = np.zeros(window.shape, dtype=np.uint8)
    for polygon, number in pairs:
        expected[shapely.contains_xy(shapely.Polygon(polygon.rings[0]), x, y)] = number
    np.testing.assert_array_equal(detectors.detector_index("B02", window), expected)
    assert set(np.unique(expected)) == {0, 3, 4}


def test_a_band_without_footprint_is_named() -> None:
    with pytest.raises(DataError, match="MSK_DETFOO") as caught:
        Detectors(_tile(), {}).detector_index("B8A", whole(GRID))
    assert caught.value.reason is Reason.METADATA_MISSING


@given(st.floats(1, 60), st.floats(0, 359.9), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02))
def test_landsat_samples_of_a_plane_reach_the_footprints_edge_on_that_plane(
    zenith: float, azimuth: float, down: float, right: float
) -> None:
    xs, ys = _centres(GRID, (12, 15))
    rows, cols = np.indices((12, 15))
    flat = to_vector(np.array(zenith), np.array(azimuth))[:, None, None]
    vector = flat + np.array([down, right])[:, None, None] * 0.1 * (rows + 2 * cols)
    gaps = vector.copy()
    gaps[:, :3, :4] = np.nan
    columns, lines = nodes_xy(GRID)
    found = _at_nodes(gaps, (xs, ys), (columns, lines))
    assert found is not None
    at_rows = (CORNER[1] - lines) / (10_000 / 12) - 0.5
    at_cols = (columns - CORNER[0]) / (10_000 / 15) - 0.5
    trend = at_rows[:, None] + 2 * at_cols[None, :]
    expected = flat + np.array([down, right])[:, None, None] * 0.1 * trend
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert _at_nodes(np.full((2, 12, 15), np.nan), (xs, ys), (columns, lines)) is None


@pytest.mark.oracle
def test_the_cosine_of_every_node_survives_the_coarse_view(samples: Path) -> None:
    # the means of real decimated tables: what float32 angles lose is far below what a cosine can feel
    folder = next((samples / "landsat8-l1tp-c2-decimated-20201029").rglob("*_B4.TIF")).parent
    scene = open_scene(folder)
    text = next(folder.rglob("*_MTL.txt")).read_text()
    elevation = float(re.search(r"SUN_ELEVATION = ([\d.]+)", text)[1])
    with rasterio.open(next(folder.glob("*_B4.TIF"))) as dataset:
        assert scene.bands["B4"].grid.shape == dataset.shape
    assert float(scene.angles.sun_zenith.mean()) == pytest.approx(90.0 - elevation, abs=1.0)
    zenith, azimuth = scene.angles.sun_zenith, scene.angles.sun_azimuth
    back = to_angles(to_vector(zenith.astype(np.float64), azimuth.astype(np.float64)))
    np.testing.assert_allclose(back[0], zenith, atol=1e-4)
