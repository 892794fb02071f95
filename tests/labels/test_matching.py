"""Which scenes labels meet, and how much of each class is on them; and the picture of it all."""

import json
from datetime import date

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image

from undersky.errors import ConfigError, DataError
from undersky.labels import FolderShelf
from undersky.labels.matching import items_in, scene_of
from undersky.labels.version import open_version
from undersky.stages.labels import AddOptions, add

UTM33 = "EPSG:32633"
LEFT, TOP = 500_000.0, 5_100_000.0


def item(name, day, *, left=LEFT, top=TOP, size=60, pixel=10.0):
    ring = shapely.box(left, top - size * pixel, left + size * pixel, top)
    footprint = geopandas.GeoSeries([ring], crs=UTM33).to_crs("EPSG:4326")[0]

    def asset(step):
        return {"proj:shape": [size // step, size // step], "proj:transform": [pixel * step, 0, left, 0, -pixel * step, top]}  # noqa: E501  # fmt: skip

    return {
        "type": "Feature", "stac_version": "1.1.0", "id": name,
        "geometry": shapely.geometry.mapping(footprint),
        "properties": {"datetime": f"{day}T10:15:00Z", "proj:code": UTM33},
        "assets": {"aot": asset(6), "B02": asset(1), "thumbnail": {}},
    }  # fmt: skip


@pytest.fixture
def products(tmp_path):
    folder = tmp_path / "products"
    for each in (
        item("S2_june", "2021-06-01"),
        item("S2_july", "2021-07-01"),
        item("S2_winter", "2021-12-01"),
        item("S2_elsewhere", "2021-06-01", left=LEFT + 50_000),
        item("L9_june", "2021-06-02", pixel=30.0, size=20),
    ):
        (folder / each["id"]).mkdir(parents=True)
        (folder / each["id"] / f"{each['id']}.json").write_text(json.dumps(each))
    (folder / "notes.json").write_text("[]")
    (folder / "broken.json").write_text("{")
    return folder


@pytest.fixture
def labels(tmp_path, fields):
    fields.to_file(tmp_path / "fields.gpkg")
    return str(tmp_path / "fields.gpkg")


@pytest.fixture
def options(tmp_path, class_map, products):
    return AddOptions(
        task="landcover", classes=str(tmp_path / "fields.yaml"), valid_from=date(2021, 5, 1),
        valid_to=date(2021, 9, 30), scenes=products,
    )  # fmt: skip


def test_scenes_are_met_where_ground_and_days_are_shared(tmp_path, labels, options):
    made = add(labels, FolderShelf(tmp_path / "labels"), options=options)
    assert made.scenes_seen == 5
    assert [match.scene for match in made.matches] == ["S2_june", "L9_june", "S2_july"]
    # parcels of 100 m along the pixels: all ten by ten; of Landsat's, which lie across, fewer
    june = dict(made.matches[0].counts)
    assert set(june) == {"cropland", "tree_cover"}
    assert june["cropland"] == june["tree_cover"] == 100
    assert made.matches[0].counts == made.matches[2].counts
    assert sum(made.matches[1].counts.values()) < 20
    assert made.hint == ""


def test_objects_are_counted_by_their_middle(tmp_path, options, fields):
    fields["use"] = ["ship", "ship", "buoy"]
    fields.to_file(tmp_path / "ships.gpkg")
    (tmp_path / "ships.yaml").write_text("attribute: use\nclasses: {ship: vessel}\nignore: [buoy]\n")
    from dataclasses import replace

    asked = replace(options, task="vessels", classes=str(tmp_path / "ships.yaml"))
    made = add(str(tmp_path / "ships.gpkg"), FolderShelf(tmp_path / "labels"), options=asked)
    assert [dict(match.counts) for match in made.matches] == [{"vessel": 2}] * 3


def test_nothing_met_is_explained(tmp_path, labels, options, products):
    from dataclasses import replace

    late = replace(options, valid_from=date(2022, 1, 1), valid_to=date(2022, 12, 31))
    assert "none was sensed from 2022-01-01" in add(labels, FolderShelf(tmp_path / "a"), options=late).hint
    swapped = geopandas.read_file(labels).to_crs("EPSG:4326")
    swapped.geometry = shapely.transform(swapped.geometry.array, lambda c: c[:, ::-1])
    swapped.to_file(tmp_path / "swapped.geojson")
    made = add(str(tmp_path / "swapped.geojson"), FolderShelf(tmp_path / "b"), options=options)
    assert "longitude and latitude traded" in made.hint


def test_a_raster_is_matched_like_outlines(tmp_path, options, tiff):
    from dataclasses import replace

    (tmp_path / "codes.yaml").write_text("classes: {1: tree_cover, 2: water}\n")
    values = np.full((20, 20), 1, dtype="uint8")
    values[:, 10:] = 2
    made = add(
        str(tiff(values, "classes.tif")),
        FolderShelf(tmp_path / "labels"),
        options=replace(options, classes=str(tmp_path / "codes.yaml")),
    )
    assert dict(made.matches[0].counts) == {"tree_cover": 200, "water": 200}
    assert made.manifest.form == "pixels"


def test_a_scene_is_its_finest_layer():
    scene = scene_of(item("S2", "2021-06-01"))
    assert scene.grid.shape == (60, 60)
    assert scene.sensed == date(2021, 6, 1)
    assert scene_of({"type": "Feature", "id": "x", "properties": {}, "assets": {}}) is None
    with pytest.raises(DataError, match="cannot be read as a scene"):
        scene_of(item("S2", "some day"))


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no folder of products"):
        list(items_in(tmp_path / "nothing"))


def test_the_preview_shows_every_class_and_what_is_ignored(tmp_path, labels, options):
    made = add(labels, FolderShelf(tmp_path / "labels"), options=options)
    path = open_version(tmp_path / "labels" / made.key).folder / "preview.png"
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert picture.shape[1] > 700
    map_part = picture[:, :750]
    for colour in ((240, 150, 255), (0, 100, 0)):  # cropland, tree cover: three quarters over light grey
        shown = 0.75 * np.array(colour) + 0.25 * 232
        assert (np.abs(map_part - shown).max(axis=-1) <= 2).sum() > 5_000
    assert (np.abs(map_part - 120).max(axis=-1) < 20).sum() > 500  # the hatching


def test_the_preview_of_the_same_labels_is_the_same_picture(tmp_path, labels, options):
    paths = [
        tmp_path / name / add(labels, FolderShelf(tmp_path / name), options=options).key / "preview.png"
        for name in ("a", "b")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
