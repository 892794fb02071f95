"""COCO: boxes, polygons and masks, on the globe where a GeoTIFF says so, else on their images."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.errors import ConfigError, DataError, Reason
from undersky.labels import TASKS, read_class_map
from undersky.labels.coco import looks_like_coco, read_coco
from undersky.labels.run_lengths import outline_of_runs
from undersky.labels.tasks import IGNORE

VESSELS = TASKS["vessels"]


@pytest.fixture
def ships(tmp_path):
    path = tmp_path / "vessels.yaml"
    path.write_text("classes: {vessel: vessel}\nignore: [buoy]\n")
    return read_class_map(path)


@pytest.fixture
def coco(tmp_path):
    def write(*annotations, images=((1, "port.png"),), size=(40, 50)):
        fields = {
            "images": [{"id": i, "file_name": n, "height": size[0], "width": size[1]} for i, n in images],
            "categories": [{"id": 1, "name": "vessel"}, {"id": 2, "name": "buoy"}],
            "annotations": [
                {"id": number, "image_id": 1, "category_id": 1} | each
                for number, each in enumerate(annotations)
            ],
        }
        path = tmp_path / "port.json"
        path.write_text(json.dumps(fields))
        return path

    return write


def runs_of(mask):
    flat = np.asarray(mask, dtype=int).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs


def packed(counts):
    """cocoapi's rleToString, written from its description."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | (0x20 if more else 0)) + 48)
    return text


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_mask_becomes_the_outline_of_its_pixels(seed, height, width, compressed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    counts = runs_of(mask)
    shape = outline_of_runs(packed(counts) if compressed else counts, (height, width))
    assert shape.area == pytest.approx(mask.sum())
    rows, cols = np.indices(mask.shape)
    inside = shapely.contains_xy(shape, cols + 0.5, rows + 0.5)
    assert np.array_equal(inside, mask)


@pytest.mark.parametrize("counts", [[3, 2], [9, -1, 1], "0", "~~"])
def test_runs_that_are_no_mask_are_refused(counts):
    with pytest.raises(ValueError, match=r"runs|letter|length|number"):
        outline_of_runs(counts, (3, 3))


def test_boxes_polygons_and_masks_lie_where_the_image_lies(tmp_path, coco, ships, tiff):
    tiff(np.zeros((40, 50), dtype="uint8"), "port.tif")
    mask = np.zeros((40, 50))
    mask[2:5, 3:7] = 1
    path = coco(
        {"bbox": [3, 2, 4, 3]},
        {"segmentation": [[3, 2, 7, 2, 7, 5, 3, 5]]},
        {"segmentation": {"counts": runs_of(mask), "size": [40, 50]}, "bbox": [0, 0, 1, 1]},
    )
    found, tally, backdrop = read_coco(path, ships, task=VESSELS)
    assert found.images is None
    assert backdrop == tmp_path / "port.tif"
    assert tally.met == {"vessel": 3}
    with rasterio.open(backdrop) as dataset:
        corner = dataset.transform @ (3, 2)
    lonlat = geopandas.GeoSeries([shapely.Point(corner)], crs="EPSG:32633").to_crs("EPSG:4326")[0]
    west, _, _, north = found.bounds
    assert (west, north) == pytest.approx((lonlat.x, lonlat.y), abs=1e-6)
    areas = shapely.area(found.shapes)
    assert areas == pytest.approx(np.full(3, areas[0]))


def test_images_without_a_place_keep_their_pixels_and_names(coco, ships):
    path = coco(
        {"bbox": [3, 2, 4, 3]}, {"bbox": [1, 1, 2, 2], "image_id": 2}, images=((1, "a.png"), (2, "b.png"))
    )
    found, tally, backdrop = read_coco(path, ships, task=VESSELS)
    assert found.images == ("a.png", "b.png")
    assert shapely.bounds(found.shapes)[0] == pytest.approx((3, 2, 7, 5))
    assert backdrop is None
    assert found.bounds is None
    assert any("lie nowhere" in note for note in tally.notes)


def test_ignored_categories_and_crowds_are_regions_not_objects(tmp_path, coco, ships):
    path = coco(
        {"bbox": [1, 1, 2, 2]}, {"bbox": [5, 5, 2, 2], "category_id": 2}, {"bbox": [9, 9, 5, 5], "iscrowd": 1}
    )
    found, tally, _ = read_coco(path, ships, task=VESSELS)
    assert found.ignored == 1
    assert any("iscrowd and taken as objects" in note for note in tally.notes)
    (tmp_path / "strict.yaml").write_text("classes: {vessel: vessel}\nignore: [buoy]\ncrowds: ignore\n")
    found, tally, _ = read_coco(path, read_class_map(tmp_path / "strict.yaml"), task=VESSELS)
    assert found.ignored == 2
    assert (found.codes == IGNORE).sum() == 2


def test_annotations_of_unlisted_images_need_one_grid(tmp_path, coco, ships, tiff):
    path = coco({"bbox": [1, 1, 2, 2], "image_id": 12}, images=((1, "a.png"), (2, "b.png")))
    with pytest.raises(DataError, match="annotation on image 12, which it does not list"):
        read_coco(path, ships, task=VESSELS)
    tiff(np.zeros((40, 50), dtype="uint8"), "B02.tif")
    tiff(np.zeros((40, 50), dtype="uint8"), "B03.tif")
    found, tally, _ = read_coco(path, ships, task=VESSELS)
    assert len(found) == 1
    assert any("not listed" in note for note in tally.notes)


def test_an_image_of_another_size_is_refused(coco, ships, tiff):
    tiff(np.zeros((41, 50), dtype="uint8"), "port.tif")
    with pytest.raises(DataError, match="41 x 50 pixels, the annotations say 40 x 50") as caught:
        read_coco(coco({"bbox": [1, 1, 2, 2]}), ships, task=VESSELS)
    assert caught.value.reason is Reason.GRID_MISMATCH


def test_a_name_that_leads_elsewhere_is_looked_for_beside_the_file_only(tmp_path, coco, ships, tiff):
    (tmp_path / "deep").mkdir()
    tiff(np.zeros((40, 50), dtype="uint8"), "deep/port.tif")
    found, _, _ = read_coco(coco({"bbox": [1, 1, 2, 2]}, images=((1, "deep/port.tif"),)), ships, task=VESSELS)
    assert found.images == ("deep/port.tif",)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"bbox": [1, 2]}, "cannot be drawn"),
        ({"segmentation": {"counts": [5], "size": [40, 50]}}, "cannot be drawn"),
        ({"segmentation": {"counts": [5], "size": [4, 5]}}, "a mask of"),
        ({"segmentation": [[1, 2, 3]]}, "cannot be drawn"),
    ],
)
def test_annotations_that_cannot_be_drawn_are_refused(coco, ships, annotation, message):
    with pytest.raises(DataError, match=message):
        read_coco(coco(annotation), ships, task=VESSELS)


def test_what_has_no_shape_is_counted(coco, ships):
    _, tally, _ = read_coco(coco({}, {"bbox": [1, 1, 0, 2]}, {"bbox": [1, 1, 2, 2]}), ships, task=VESSELS)
    assert dict(tally.left_out) == {"empty": 1, "no area": 1}


def test_unmapped_categories_are_refused(tmp_path, coco):
    (tmp_path / "m.yaml").write_text("classes: {ship: vessel}\n")
    with pytest.raises(ConfigError, match=r"vessel \(1\)"):
        read_coco(coco({"bbox": [1, 1, 2, 2]}), read_class_map(tmp_path / "m.yaml"), task=VESSELS)


def test_geojson_is_not_taken_for_coco(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    assert not looks_like_coco(path)


@pytest.mark.oracle
def test_every_vessel_of_the_real_harbours_is_read(samples, ships):
    """Boxes that the annotator's tool wrote against the outlines that are drawn from its masks."""
    total = 0
    for port in sorted((samples / "s2-ships").iterdir()):
        if not port.is_dir():
            continue
        path = next(port.glob("*_coco.json"))
        fields = json.loads(path.read_text())
        found, tally, backdrop = read_coco(path, ships, task=VESSELS)
        assert len(found) == len(fields["annotations"])
        assert not tally.left_out
        with rasterio.open(backdrop) as dataset:
            back, crs = ~dataset.transform, dataset.crs
        on_map = geopandas.GeoSeries(found.shapes, crs="EPSG:4326").to_crs(crs)
        pixels = [
            shapely.transform(s, lambda c, a=back: np.column_stack(a @ (c[:, 0], c[:, 1]))) for s in on_map
        ]
        ours = sorted(tuple(np.rint(shape.bounds)) for shape in pixels)
        theirs = sorted(
            (x, y, x + w, y + h) for x, y, w, h in (each["bbox"] for each in fields["annotations"])
        )
        assert np.abs(np.array(ours) - np.array(theirs)).max() <= 1
        total += len(found)
    assert total > 100
