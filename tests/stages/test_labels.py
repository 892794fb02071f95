"""`labels add`: the same labels twice are one version, in a folder and in the store."""

import json
from dataclasses import replace
from datetime import date

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from undersky.errors import ConfigError, DataError
from undersky.labels import FolderShelf
from undersky.services.geoparquet import write_items
from undersky.stages.labels import AddOptions, StoreShelf, add, find_labels, list_labels, shelf_at

UTM33 = "EPSG:32633"


@pytest.fixture
def fields():
    boxes = [shapely.box(500_000 + 100 * i, 5_099_900, 500_100 + 100 * i, 5_100_000) for i in range(2)]
    return geopandas.GeoDataFrame({"use": ["arable", "wood"]}, geometry=boxes, crs=UTM33)


@pytest.fixture
def options(tmp_path):
    path = tmp_path / "fields.yaml"
    path.write_text("attribute: use\nclasses: {arable: cropland, wood: tree_cover}\nattribution: by us\n")
    return AddOptions("landcover", str(path), valid_from=date(2021, 5, 1), valid_to=date(2021, 9, 30))


def test_adding_twice_changes_nothing_even_from_another_format_and_order(tmp_path, fields, options):
    fields.to_file(tmp_path / "fields.gpkg")
    shelf = FolderShelf(tmp_path / "labels")
    first = add(str(tmp_path / "fields.gpkg"), shelf, options=options)
    folder = tmp_path / "labels" / first.key
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    fields.iloc[::-1].to_file(tmp_path / "other.gpkg")
    second = add(str(tmp_path / "other.gpkg"), shelf, options=replace(options, name="fields"))
    assert not first.was_there
    assert second.was_there
    assert second.key == first.key
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert sorted(before) == ["labels.parquet", "manifest.json", "preview.png"]


@pytest.mark.parametrize(
    "change", [{"valid_to": date(2021, 10, 1)}, {"attribution": "by them"}], ids=["days", "attribution"]
)
def test_what_is_said_of_labels_is_part_of_their_digest(tmp_path, fields, options, change):
    fields.to_file(tmp_path / "fields.gpkg")
    shelf = FolderShelf(tmp_path / "labels")
    first = add(str(tmp_path / "fields.gpkg"), shelf, options=options)
    assert add(str(tmp_path / "fields.gpkg"), shelf, options=replace(options, **change)).key != first.key


def test_the_manifest_says_where_labels_come_from(tmp_path, fields, options):
    fields.to_file(tmp_path / "fields.gpkg")
    made = add(str(tmp_path / "fields.gpkg"), FolderShelf(tmp_path / "labels"), options=options)
    told = json.loads((tmp_path / "labels" / made.key / "manifest.json").read_text())
    assert told["source"] == "fields.gpkg"
    assert len(told["source_sha256"]) == 64
    assert told["counts"]["cropland"] == 1
    assert told["attribution"] == "by us"
    assert told["class_map"]["classes"] == {"arable": "cropland", "wood": "tree_cover"}
    assert told["read"]["met"] == {"arable": 1, "wood": 1}


def test_the_store_holds_the_same_version_and_gives_it_back(tmp_path, fields, options, store):
    fields.to_file(tmp_path / "fields.gpkg")
    here = add(str(tmp_path / "fields.gpkg"), FolderShelf(tmp_path / "labels"), options=options)
    shelf = StoreShelf(store)
    there = add(str(tmp_path / "fields.gpkg"), shelf, options=options)
    assert there.key == here.key
    assert not there.was_there
    assert add(str(tmp_path / "fields.gpkg"), shelf, options=options).was_there
    keys = {stored.key for stored in store.list("datasets/labels/")}
    assert keys == {
        f"datasets/labels/{here.key}/{name}" for name in ("labels.parquet", "manifest.json", "preview.png")
    }
    version = shelf.fetch(here.key, tmp_path / "scratch")
    assert len(version.outlines()) == 2
    assert list_labels(shelf) == list_labels(FolderShelf(tmp_path / "labels"))
    assert find_labels(shelf, here.manifest.digest[:10])[0] == here.key


def test_published_items_of_the_store_are_matched(tmp_path, fields, options, store):
    fields.to_file(tmp_path / "fields.gpkg")
    footprint = geopandas.GeoSeries([shapely.box(499_000, 5_099_000, 501_000, 5_101_000)], crs=UTM33)
    item = {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": "S2_june", "links": [],
        "geometry": shapely.geometry.mapping(footprint.to_crs("EPSG:4326")[0]),
        "bbox": [14.9, 46.0, 15.1, 46.1],
        "collection": "sentinel-2-sr",
        "properties": {"datetime": "2021-06-01T10:15:00Z", "proj:code": UTM33},
        "assets": {"B02": {"href": "https://x/B02.tif", "proj:shape": [200, 200],
                           "proj:transform": [10.0, 0.0, 499_000.0, 0.0, -10.0, 5_101_000.0]}},
    }  # fmt: skip
    write_items([item], tmp_path / "items.parquet")
    store.put_file("stac/sentinel-2-sr/items.parquet", tmp_path / "items.parquet")
    made = add(
        str(tmp_path / "fields.gpkg"),
        FolderShelf(tmp_path / "labels"),
        options=replace(options, store=store),
    )
    assert [(match.scene, sorted(match.counts)) for match in made.matches] == [
        ("S2_june", ["cropland", "tree_cover"])
    ]


def test_a_failed_add_leaves_nothing(tmp_path, fields, options):
    fields["use"] = ["arable", "lake"]
    fields.to_file(tmp_path / "fields.gpkg")
    with pytest.raises(ConfigError, match="lake"):
        add(str(tmp_path / "fields.gpkg"), FolderShelf(tmp_path / "labels"), options=options)
    assert not (tmp_path / "labels").exists()


def test_a_file_of_nothing_usable_says_what_was_wrong_with_it(tmp_path, fields, options):
    fields.geometry = shapely.centroid(fields.geometry.array)
    fields.to_file(tmp_path / "points.gpkg")
    with pytest.raises(DataError, match="2 points and lines: no area"):
        add(str(tmp_path / "points.gpkg"), FolderShelf(tmp_path / "labels"), options=options)


def test_what_is_missing_is_asked_for(tmp_path, fields, options):
    fields.to_file(tmp_path / "fields.gpkg")
    shelf = FolderShelf(tmp_path / "labels")
    with pytest.raises(ConfigError, match="from when to when"):
        add(str(tmp_path / "fields.gpkg"), shelf, options=replace(options, valid_from=None))
    with pytest.raises(ConfigError, match="never hold"):
        add(str(tmp_path / "fields.gpkg"), shelf, options=replace(options, valid_to=date(2020, 1, 1)))
    with pytest.raises(ConfigError, match="is no name of labels"):
        add(str(tmp_path / "fields.gpkg"), shelf, options=replace(options, name="../up"))
    with pytest.raises(ConfigError, match="is no file"):
        add(str(tmp_path / "nothing.gpkg"), shelf, options=options)
    with pytest.raises(ConfigError, match="nowhere to keep labels"):
        shelf_at(None, None)


def test_worldcover_is_read_in_place(tmp_path):
    """The shipped profile with its address changed: tiles by name, days and attribution from the profile."""
    folder = tmp_path / "v200"
    folder.mkdir()
    values = np.random.default_rng(0).choice([10, 40, 80], (300, 300)).astype("uint8")
    with rasterio.open(
        folder / "ESA_WorldCover_10m_2021_v200_N45E012_Map.tif", "w", driver="GTiff", height=300, width=300,
        count=1, dtype="uint8", crs="EPSG:4326", transform=Affine(0.01, 0, 12, 0, -0.01, 48), nodata=0,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    from importlib.resources import files

    profile = (files("undersky.labels") / "profiles" / "worldcover.yaml").read_text(encoding="utf-8")
    address = "https://esa-worldcover.s3.eu-central-1.amazonaws.com/v200/2021/map"
    assert address in profile
    (tmp_path / "mirror.yaml").write_text(profile.replace(address, str(folder)), encoding="utf-8")
    options = AddOptions("landcover", str(tmp_path / "mirror.yaml"), bbox=(12.5, 46.0, 13.0, 46.5), name="wc")
    made = add("tiles", FolderShelf(tmp_path / "labels"), options=options)
    assert sum(made.manifest.counts.values()) == 2500
    assert made.manifest.valid_from == "2021-01-01"
    assert made.manifest.attribution.startswith("© ESA WorldCover")
    with rasterio.open(tmp_path / "labels" / made.key / "labels.tif") as dataset:
        assert np.array_equal(dataset.read(1), values[150:200, 50:100])
        assert dataset.colormap(1)[10][:3] == (0, 100, 0)
    with pytest.raises(ConfigError, match="covers the Earth"):
        add("tiles", FolderShelf(tmp_path / "labels"), options=replace(options, bbox=None))
