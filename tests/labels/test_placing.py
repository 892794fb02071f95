"""Labels on a scene: edges belong to nobody, contradictions do not count, days are kept."""

from datetime import date

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky.errors import ConfigError, DataError
from undersky.labels import TASKS, UNLABELLED, FolderShelf, boxes_of_image, boxes_on, labels_on
from undersky.labels.drawn import drawn
from undersky.labels.tasks import IGNORE
from undersky.labels.version import Manifest, Version, digested, write_outlines

UTM33 = "EPSG:32633"
LEFT, TOP = 500_000.0, 5_100_000.0
DAY = date(2021, 6, 1)
GRID = GeoBox((20, 30), Affine(10, 0, LEFT, 0, -10, TOP), UTM33)


def manifest(task="landcover", form="outlines", *, placed=True, digest="0" * 64):
    return Manifest(
        task, "test", digest, form, placed, "2021-05-01", "2021-09-30", "", "a.gpkg", None,
        {}, {}, None, 0, None, {},
        "undersky",
    )  # fmt: skip


@pytest.fixture
def version(tmp_path):
    """A version of outlines: (shape in UTM, code)."""

    def make(*pairs, task="landcover", images=None):
        shapes = [shape for shape, _ in pairs]
        if images is None:
            shapes = geopandas.GeoSeries(shapes, crs=UTM33).to_crs("EPSG:4326").array
        outlines = drawn(np.asarray(shapes, dtype=object), [code for _, code in pairs], images)
        told = manifest(task, placed=images is None)
        digest = outlines.digest(digested(told))
        write_outlines(tmp_path / "labels.parquet", outlines, task=TASKS[task], days=told.days)
        return Version(tmp_path, manifest(task, placed=images is None, digest=digest))

    return make


def box(col0, row0, col1, row1):
    return shapely.box(LEFT + 10 * col0, TOP - 10 * row1, LEFT + 10 * col1, TOP - 10 * row0)


def test_pixels_inside_a_class_carry_its_number_and_its_edge_carries_none(version):
    labels = labels_on(version((box(2.5, 3.5, 12.5, 13.5), 40)), GRID, sensed=DAY)
    number = TASKS["landcover"].codes.index(40)
    assert (labels[4:13, 3:12] == number).all()
    assert (labels == number).sum() == 81  # pixels whose centre is on the edge itself are out
    assert (labels[labels != number] == UNLABELLED).all()


def test_neighbours_of_one_class_have_no_edge_between_them(version):
    labels = labels_on(version((box(2, 2, 10, 10), 10), (box(10, 2, 18, 10), 10)), GRID, sensed=DAY)
    assert (labels[2:10, 2:18] == 0).all()


def test_neighbours_of_two_classes_keep_half_a_pixel_apart(version):
    """The common edge runs through pixel column 10: it belongs to neither."""
    labels = labels_on(version((box(2, 2, 10.3, 10), 10), (box(10.3, 2, 18, 10), 80)), GRID, sensed=DAY)
    assert (labels[2:10, 2:10] == 0).all()
    assert (labels[2:10, 10] == UNLABELLED).all()
    assert (labels[2:10, 11:18] == TASKS["landcover"].codes.index(80)).all()


def test_two_classes_on_one_pixel_do_not_count_whatever_their_order(version):
    pairs = [(box(2, 2, 12, 12), 10), (box(8, 2, 18, 12), 80)]
    first = labels_on(version(*pairs), GRID, sensed=DAY)
    second = labels_on(version(*reversed(pairs)), GRID, sensed=DAY)
    assert np.array_equal(first, second)
    assert (first[2:12, 8:12] == UNLABELLED).all()
    assert (first[3:11, 3:8] == 0).all()


def test_ignored_regions_win_and_take_every_pixel_they_touch(version):
    labels = labels_on(version((box(0, 0, 30, 20), 10), (box(5.4, 5.4, 7.6, 7.6), IGNORE)), GRID, sensed=DAY)
    assert (labels[5:8, 5:8] == UNLABELLED).all()
    assert labels[5, 4] == labels[8, 8] == 0


def test_labels_hold_from_a_day_to_a_day(version):
    made = version((box(2, 2, 12, 12), 10))
    assert (labels_on(made, GRID, sensed=date(2021, 5, 1)) >= 0).any()
    assert (labels_on(made, GRID, sensed=date(2021, 9, 30)) >= 0).any()
    assert (labels_on(made, GRID, sensed=date(2021, 10, 1)) == UNLABELLED).all()
    assert not len(boxes_on(made, GRID, sensed=date(2020, 5, 1)).boxes)


@pytest.mark.oracle
def test_a_turned_parcel_agrees_with_the_geometry(version):
    shape = shapely.affinity.rotate(box(6, 4, 20, 14), 27)
    labels = labels_on(version((shape, 40)), GRID, sensed=DAY)
    rows, cols = np.indices(GRID.shape)
    centres = shapely.points(LEFT + 10 * (cols + 0.5), TOP - 10 * (rows + 0.5))
    inside = shapely.contains(shape, centres)
    distance = shapely.distance(shapely.boundary(shape), centres)
    clear = np.abs(distance - 4.9) > 0.01
    assert np.array_equal((labels >= 0)[clear], (inside & (distance >= 4.9))[clear])


def raster_version(tmp_path, codes, *, pixel, crs=UTM33, left=LEFT, top=TOP):
    codes = np.asarray(codes, dtype="uint8")
    with rasterio.open(
        tmp_path / "labels.tif", "w", driver="GTiff", height=codes.shape[0], width=codes.shape[1], count=1,
        dtype="uint8", crs=crs, transform=Affine(pixel, 0, left, 0, -pixel, top), nodata=0,
    ) as dataset:  # fmt: skip
        dataset.write(codes, 1)
    return Version(tmp_path, manifest(form="pixels"))


def test_pixels_on_their_own_grid_come_back_as_class_numbers(tmp_path):
    codes = np.random.default_rng(0).choice([0, 10, 40, 255], GRID.shape).astype("uint8")
    labels = labels_on(raster_version(tmp_path, codes, pixel=10), GRID, sensed=DAY)
    assert np.array_equal(labels, np.select([codes == 10, codes == 40], [0, 3], UNLABELLED))


def test_finer_labels_give_the_class_that_covers_most(tmp_path):
    codes = np.full((60, 90), 10)
    codes[0:3, 0:2] = 40  # six of nine
    codes[0:3, 3:4] = 40  # three of nine
    codes[3:6, 0:2] = 0  # nothing said of most of it
    codes[3:6, 3:5] = 255
    grid = GeoBox((20, 30), Affine(30, 0, LEFT, 0, -30, TOP), UTM33)
    labels = labels_on(raster_version(tmp_path, codes, pixel=10), grid, sensed=DAY)
    assert labels[:2, :2].tolist() == [[3, 0], [UNLABELLED, UNLABELLED]]
    assert (labels[2:] == 0).all()


def test_a_finer_pixel_to_ignore_takes_the_whole_pixel_that_it_touches(tmp_path):
    codes = np.full((60, 90), 10)
    codes[4, 4] = IGNORE  # one of nine
    grid = GeoBox((20, 30), Affine(30, 0, LEFT, 0, -30, TOP), UTM33)
    labels = labels_on(raster_version(tmp_path, codes, pixel=10), grid, sensed=DAY)
    assert np.argwhere(labels == UNLABELLED).tolist() == [[1, 1]]


def test_labels_in_degrees_reach_a_scene_in_metres(tmp_path):
    west, north = geopandas.GeoSeries([shapely.Point(LEFT, TOP)], crs=UTM33).to_crs("EPSG:4326")[0].coords[0]
    codes = np.full((400, 400), 10)
    codes[:, 130:] = 40
    made = raster_version(
        tmp_path, codes, pixel=1 / 12000, crs="EPSG:4326", left=west - 0.01, top=north + 0.01
    )
    labels = labels_on(made, GRID, sensed=DAY)
    assert labels.min() >= 0
    edge = geopandas.GeoSeries([shapely.Point(west - 0.01 + 130 / 12000, north)], crs="EPSG:4326").to_crs(
        UTM33
    )
    col = (edge[0].x - LEFT) / 10
    assert np.flatnonzero(labels[0] == 3).min() == pytest.approx(col, abs=1.5)


def test_ground_without_labels_is_unlabelled(tmp_path):
    made = raster_version(tmp_path, np.full((4, 4), 10), pixel=10, left=LEFT + 10_000)
    assert (labels_on(made, GRID, sensed=DAY) == UNLABELLED).all()


def test_objects_become_boxes_in_pixels(version):
    made = version(
        (box(2, 3, 5, 9), 1), (box(28, 18, 34, 26), 1), (box(40, 3, 45, 9), 1), (box(10, 10, 14, 12), IGNORE),
        task="vessels",
    )  # fmt: skip
    found = boxes_on(made, GRID, sensed=DAY)
    assert found.boxes == pytest.approx(np.array([[3, 2, 9, 5]]), abs=0.01)
    assert found.ignored == pytest.approx(np.array([[10, 10, 12, 14]]), abs=0.01)
    assert found.classes.tolist() == [0]


def test_objects_of_an_image_are_asked_for_by_its_name(version):
    made = version(
        (shapely.box(3, 2, 7, 5), 1), (shapely.box(1, 1, 2, 2), 1), task="vessels", images=("a.png", "b.png")
    )
    assert boxes_of_image(made, "a.png").boxes.tolist() == [[2, 3, 5, 7]]
    with pytest.raises(ConfigError, match=r"no label lies on 'c\.png'; there are a\.png b\.png"):
        boxes_of_image(made, "c.png")
    with pytest.raises(ConfigError, match="without a place"):
        labels_on(made, GRID, sensed=DAY)


def test_a_grid_without_a_place_is_refused(version):
    with pytest.raises(DataError, match="meets no labels"):
        labels_on(version((box(1, 1, 5, 5), 10)), GeoBox((4, 4), Affine.identity(), None), sensed=DAY)


def test_outlines_that_were_changed_afterwards_are_refused(version, tmp_path):
    made = version((box(1, 1, 5, 5), 10))
    table = geopandas.read_parquet(tmp_path / "labels.parquet")
    table["code"] = np.uint8(80)
    table.to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(DataError, match="not that of its digest"):
        labels_on(made, GRID, sensed=DAY)


def test_the_parquet_is_plain_geoparquet(version, tmp_path):
    version((box(1, 1, 5, 5), 10), (box(6, 6, 8, 8), IGNORE))
    table = geopandas.read_parquet(tmp_path / "labels.parquet")
    assert table.crs.to_epsg() == 4326
    assert sorted(table["class"]) == ["", "tree_cover"]
    assert sorted(table["ignore"]) == [False, True]
    assert {str(day) for day in table["valid_from"]} == {"2021-05-01"}


def test_a_shelf_lists_no_half_written_version(tmp_path):
    hidden = tmp_path / "landcover" / "a" / ".abc.partial-1"
    hidden.mkdir(parents=True)
    (hidden / "manifest.json").write_text("{")
    assert list(FolderShelf(tmp_path).manifests()) == []
