"""Labelled scenes: COCO on a stretched raster becomes oriented boxes in metres on a UTM grid."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.crs import CRS

from undersky.datasets.objects import (
    SceneFiles,
    coco_boxes,
    files_digest,
    object_targets,
    read_object_scene,
    scene_folders,
    split_scene,
)
from undersky.errors import ConfigError, DataError, Reason

SHAPE = (160, 200)
FILES = SceneFiles("ports")
LATITUDE = 36.8


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed COCO: runs down the columns, zeros first."""
    flat = mask.ravel(order="F").astype(np.int8)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"counts": counts if flat[0] == 0 else [0, *counts], "size": list(mask.shape)}


def rectangle(row: int, col: int, rows: int, cols: int) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[row : row + rows, col : col + cols] = True
    return mask


def labels(*segmentations: Any, category: str = "vessel") -> dict[str, Any]:
    return {
        "categories": [{"id": 7, "name": category}, {"id": 8, "name": "buoy"}],
        "images": [{"id": 1}],
        "annotations": [
            {"id": number, "image_id": 99, "category_id": 7, "bbox": [10, 20, 5, 9], "segmentation": one}
            for number, one in enumerate(segmentations)
        ],
    }


def write_port(root: Path, name: str = "algiers", document: dict[str, Any] | None = None) -> Path:
    """A port as the browser exports it: Web Mercator, 10 m there, 8 m on the ground."""
    folder = root / "ports" / name
    folder.mkdir(parents=True)
    x, y = CRS("EPSG:4326").transformer_to_crs("EPSG:3857")(5.5, LATITUDE)
    transform = Affine(10, 0, x, 0, -10, y)
    for number, band in enumerate(("B02", "B03", "B04", "B08", "B11")):
        path = folder / f"2023_L2A_{band}_Raw.tiff"
        with rasterio.open(
            path, "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=1, dtype="uint16",
            crs="EPSG:3857", transform=transform,
        ) as dataset:  # fmt: skip
            stored = np.full(SHAPE, 655 * (number + 1), dtype=np.uint16)
            stored[rectangle(60, 80, 40, 10)] = 30_000
            dataset.write(stored, 1)
    document = document or labels(run_lengths(rectangle(60, 80, 40, 10)))
    (folder / f"{name}_coco.json").write_text(json.dumps(document))
    return folder


def test_lengths_are_those_on_the_ground_not_those_of_web_mercator(tmp_path: Path) -> None:
    scene = read_object_scene(write_port(tmp_path), FILES, pixel_m=10.0)
    (ship,) = scene.objects
    corners = np.asarray(ship.box.exterior.coords)[:3]
    sides = sorted(np.hypot(*np.diff(corners, axis=0).T) * 10.0)
    shrink = np.cos(np.radians(LATITUDE))
    assert sides == pytest.approx([100.0 * shrink, 400.0 * shrink], rel=0.01)
    assert str(scene.grid.crs) == "EPSG:32631"


def test_boxes_lie_on_what_they_mark_in_the_resampled_bands(tmp_path: Path) -> None:
    scene = read_object_scene(write_port(tmp_path), FILES, pixel_m=10.0)
    inside = object_targets(scene, centre_m=20.0)[0].astype(bool)
    nir = scene.values[3]
    assert np.median(nir[inside]) == pytest.approx(30_000 / 65_535, abs=0.01)
    bright = np.nan_to_num(nir) > 0.3
    assert (bright & inside).sum() / (bright | inside).sum() > 0.8


def test_reflectance_is_the_number_over_the_scale_and_nan_beyond_the_raster(tmp_path: Path) -> None:
    scene = read_object_scene(write_port(tmp_path), FILES, pixel_m=10.0)
    assert scene.values.dtype == np.float32
    assert np.nanmin(scene.values[0]) == pytest.approx(655 / 65_535, abs=1e-4)
    assert np.isnan(scene.values).any()


def test_run_lengths_polygons_and_plain_boxes_mark_the_same(tmp_path: Path) -> None:
    polygon = [[80, 60, 90, 60, 90, 100, 80, 100]]
    document = labels(run_lengths(rectangle(60, 80, 40, 10)), polygon, None)
    document["annotations"][2]["bbox"] = [80, 60, 10, 40]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    boxes = coco_boxes(path, "vessel", shape=SHAPE)
    for box in boxes:
        assert box.symmetric_difference(shapely.box(80, 60, 90, 100)).area < 1e-6


def test_other_categories_are_passed_over(tmp_path: Path) -> None:
    document = labels(run_lengths(rectangle(60, 80, 40, 10)), run_lengths(rectangle(5, 5, 9, 9)))
    document["annotations"][1]["category_id"] = 8
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    assert len(coco_boxes(path, "vessel", shape=SHAPE)) == 1
    assert len(coco_boxes(path, "buoy", shape=SHAPE)) == 1


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: d.pop("categories"), "categories"),
        (lambda d: d["annotations"][0]["segmentation"].update(size=[3, 4]), "mask of"),
        (lambda d: d["annotations"][0]["segmentation"]["counts"].append(5), "fill the raster"),
        (lambda d: d["annotations"][0].update(segmentation=[[1, 1, 1, 1, 1, 1]]), "no area"),
        (lambda d: d["categories"].clear(), "no category"),
    ],
)
def test_labels_that_are_no_use_are_refused_with_their_file(spoil: Any, told: str, tmp_path: Path) -> None:
    document = labels(run_lengths(rectangle(60, 80, 40, 10)))
    spoil(document)
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=told) as caught:
        coco_boxes(path, "vessel", shape=SHAPE)
    assert caught.value.reason is Reason.DATASET_DAMAGED
    assert "coco.json" in str(caught.value)


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"coco\.json"):
        coco_boxes(tmp_path / "coco.json", "vessel", shape=SHAPE)


def test_a_missing_band_and_a_second_one_are_told_by_name(tmp_path: Path) -> None:
    folder = write_port(tmp_path)
    extra = folder / "2024_L2A_B08_Raw.tiff"
    extra.write_bytes(b"")
    with pytest.raises(ConfigError, match="2 files"):
        read_object_scene(folder, FILES, pixel_m=10.0)
    extra.unlink()
    (folder / "2023_L2A_B08_Raw.tiff").unlink()
    with pytest.raises(ConfigError, match="0 files"):
        read_object_scene(folder, FILES, pixel_m=10.0)


def test_a_damaged_band_is_told_by_scene(tmp_path: Path) -> None:
    folder = write_port(tmp_path)
    (folder / "2023_L2A_B08_Raw.tiff").write_bytes(b"no tiff")
    with pytest.raises(DataError, match="algiers") as caught:
        read_object_scene(folder, FILES, pixel_m=10.0)
    assert caught.value.reason is Reason.RASTER_UNREADABLE


def test_scenes_are_found_by_their_labels_and_none_is_an_error(tmp_path: Path) -> None:
    for name in ("busan", "algiers"):
        write_port(tmp_path, name)
    (tmp_path / "ports" / "notes").mkdir()
    assert [folder.name for folder in scene_folders(tmp_path, FILES)] == ["algiers", "busan"]
    with pytest.raises(ConfigError, match="no labelled scene"):
        scene_folders(tmp_path, SceneFiles("planes"))


def test_the_digest_changes_with_a_pixel_or_a_label(tmp_path: Path) -> None:
    folder = write_port(tmp_path)
    first = files_digest([folder], FILES)
    assert files_digest([folder], FILES) == first
    path = folder / "algiers_coco.json"
    path.write_text(path.read_text() + " ")
    assert files_digest([folder], FILES) != first


def test_the_two_parts_of_a_scene_share_no_pixel_and_no_object(tmp_path: Path) -> None:
    masks = [run_lengths(rectangle(20 * number + 10, 30 * number + 10, 12, 5)) for number in range(5)]
    scene = read_object_scene(write_port(tmp_path, document=labels(*masks)), FILES, pixel_m=10.0)
    west, east = split_scene(scene, share=0.4)
    assert (len(west.objects), len(east.objects)) == (3, 2)
    np.testing.assert_array_equal(np.concatenate([west.values, east.values], axis=2), scene.values)
    joined = {(round(one.row, 6), round(one.col, 6)) for one in scene.objects}
    shift = west.values.shape[2]
    moved = {(round(one.row, 6), round(one.col + shift, 6)) for one in east.objects}
    assert moved | {(round(one.row, 6), round(one.col, 6)) for one in west.objects} == joined


def test_neighbours_along_a_quay_have_centres_of_their_own(tmp_path: Path) -> None:
    masks = [run_lengths(rectangle(40, 50 + 6 * number, 20, 5)) for number in range(3)]
    scene = read_object_scene(write_port(tmp_path, document=labels(*masks)), FILES, pixel_m=10.0)
    centres = object_targets(scene, centre_m=20.0)[1]
    for one in scene.objects:
        assert centres[int(one.row), int(one.col)] == 1
    assert centres.sum() <= 3 * 16


@pytest.mark.oracle
def test_the_real_ports_hold_their_132_vessels_where_the_near_infrared_is_bright(samples: Path) -> None:
    files = SceneFiles("s2-ships")
    folders = scene_folders(samples, files)
    assert [folder.name for folder in folders] == ["algiers", "busan", "cartagena", "casablanca", "klang"]
    scene = read_object_scene(folders[0], files, pixel_m=10.0)
    assert len(scene.objects) == 27
    inside = object_targets(scene, centre_m=20.0)[0] > 0
    assert np.nanmedian(scene.values[3][inside]) > 2 * np.nanmedian(scene.values[3])
