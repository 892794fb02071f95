"""Items and Collections, checked against the schema that pystac carries and field by field."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension

from undersky import stac
from undersky.bands import SENSORS
from undersky.errors import ConfigError
from undersky.grid import Grid
from undersky.quality import MEANING
from undersky.raster import encoding as enc
from undersky.scene import Angles, Finding, Note, Scene

EO_NAMES = {
    *("pan", "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071", "rededge075"),
    *("rededge078", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12"),
}
"""Common names of the electro-optical extension 2.0."""


def _grid(size: float = 10.0, *, epsg: int = 32633, left: float = 600000.0) -> Grid:
    pixels = round(10980 / size)
    return GeoBox((pixels, pixels), Affine(size, 0, left, 0, -size, 5300040), f"EPSG:{epsg}")


def _scene(key: str = "S2B", grid: Grid | None = None) -> Scene:
    sensor = SENSORS[key]
    names = [band.name for band in sensor.bands]

    def flat(value: float) -> np.ndarray:
        return np.array([[value - 1, value + 1]] * 2, dtype=np.float32)

    angles = Angles(
        flat(35.0), flat(359.5), {name: flat(4.0) for name in names}, {name: flat(104.0) for name in names}
    )
    return Scene(
        id=f"{key}_SOURCE", sensor=sensor, acquired=datetime(2024, 5, 3, 10, 6, 1, 24000, tzinfo=UTC),
        level="L1C", baseline="05.10", tile="33UXP" if key.startswith("S2") else "191027",
        bands=dict.fromkeys(names), angles=angles, grid=grid or _grid(),
        notes=(Note(Finding.PRIOR_MISSING, "no forecast; climatology stands in"),),
    )  # fmt: skip


def _product(key: str = "S2B", grid: Grid | None = None) -> stac.Product:
    scene = _scene(key, grid)
    layers = tuple(
        stac.WrittenLayer(layer, scene.grid, _file(f"{layer.key}.tif"))
        for layer in enc.layers_of(scene.sensor)
    )
    lineage = stac.Lineage(
        {"MTD.xml": "0" * 64}, "correction", "physics-1", "1" * 64, {"altitude_m": 200.0}, "2" * 64
    )
    cost = stac.Cost(12.345, 23.456, "by-hand", datetime(2026, 11, 22, 16, 0, tzinfo=UTC))
    return stac.Product(
        "S2B_33UXP_20240503T100601_SR_22222222", scene, layers, _file("thumbnail.jpg"), lineage,
        {"aerosol": "fixed"}, cost, {"nodata": 1.0, "cloud": 12.3456, "snow": 0.0},
    )  # fmt: skip


def _file(name: str) -> stac.WrittenFile:
    return stac.WrittenFile(Path(name), 1000, hashlib.sha256(name.encode()).hexdigest())


def _document(key: str = "S2B") -> dict:
    return json.loads(stac.to_json(stac.surface_item(_product(key))))


@pytest.mark.oracle
@pytest.mark.parametrize("key", SENSORS)
def test_an_item_of_every_sensor_obeys_the_schema_and_survives_a_round_trip(key: str) -> None:
    document = _document(key)
    assert document["stac_version"] == "1.1.0"
    again = pystac.Item.from_dict(document)
    assert again.to_dict(include_self_link=False, transform_hrefs=False) == document


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["sentinel-2-sr", "landsat-8-9-sr"])
def test_a_collection_obeys_the_schema_and_names_every_asset(name: str) -> None:
    document = json.loads(stac.to_json(stac.surface_collection(name)))
    stac.validate(document)
    assert pystac.Collection.from_dict(document).id == name
    sensor = next(sensor for sensor in SENSORS.values() if sensor.collection == name)
    assert list(document["item_assets"]) == [layer.key for layer in enc.layers_of(sensor)]
    assert document["item_assets"]["quality"]["data_type"] == "uint16"
    assert all("eo:center_wavelength" not in asset["bands"][0] for asset in document["item_assets"].values())


def test_an_unknown_collection_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="landsat-8-9-sr sentinel-2-sr"):
        stac.surface_collection("modis-sr")


@pytest.mark.oracle
@pytest.mark.parametrize("broken", ["geometry", "datetime", "links"])
def test_a_document_that_breaks_the_schema_is_refused(broken: str) -> None:
    document = _document()
    if broken == "datetime":
        document["properties"]["datetime"] = "yesterday"
    else:
        del document[broken]
    with pytest.raises(ConfigError, match="STAC schema"):
        stac.validate(document)


@pytest.mark.oracle
def test_pystacs_own_extension_readers_find_our_fields() -> None:
    item = pystac.Item.from_dict(_document())
    asset = item.assets["B02"]
    projection = ProjectionExtension.ext(asset)
    assert projection.code == "EPSG:32633"
    assert projection.shape == [1098, 1098]
    assert projection.transform[:6] == [10.0, 0.0, 600000.0, 0.0, -10.0, 5300040.0]
    file = FileExtension.ext(asset)
    assert file.size == 1000
    assert file.checksum == "1220" + hashlib.sha256(b"B02.tif").hexdigest()
    fields = ClassificationExtension.ext(item.assets["quality"]).bitfields
    assert fields is not None
    assert [(f.offset, f.length) for f in fields] == [(bit, 1) for bit in range(11)]
    assert [f.description for f in fields] == list(MEANING.values())


@pytest.mark.parametrize("key", SENSORS)
def test_common_names_are_the_extensions_and_each_names_one_asset(key: str) -> None:
    names = [
        band.get("eo:common_name")
        for asset in _document(key)["assets"].values()
        for band in asset.get("bands", [])
    ]
    given = [name for name in names if name]
    assert len(given) == len(set(given)) == len(SENSORS[key].corrected_bands)
    assert set(given) <= EO_NAMES


def test_wavelengths_are_micrometres_of_the_very_sensor() -> None:
    blue = {key: _document(key)["assets"]["B02"]["bands"][0] for key in ("S2A", "S2C")}
    assert blue["S2A"]["eo:center_wavelength"] == pytest.approx(0.4927)
    assert blue["S2C"]["eo:center_wavelength"] == pytest.approx(0.4890)


@pytest.mark.parametrize("key", ["S2A", "L9"])
def test_every_asset_says_how_its_numbers_become_values(key: str) -> None:
    assets = _document(key)["assets"]
    for layer in enc.layers_of(SENSORS[key]):
        asset = assets[layer.key]
        assert asset["data_type"] == layer.dtype
        assert asset.get("nodata") == layer.nodata
        assert asset["href"] == f"./{layer.key}.tif"
        linear = layer.curve == "linear" and layer.scale != 1.0
        assert asset.get("raster:scale") == (layer.scale if linear else None)
        assert ("squared" in asset.get("description", "")) == (layer.curve == "square")


def test_provenance_names_sources_model_code_and_cost() -> None:
    properties = _document()["properties"]
    assert properties["undersky:source"] == {"id": "S2B_SOURCE", "level": "L1C", "baseline": "05.10"}
    assert properties["undersky:source_sha256"] == {"MTD.xml": "0" * 64}
    assert properties["undersky:model"] == {"name": "correction", "version": "physics-1", "digest": "1" * 64}
    assert properties["undersky:parameters"] == {"altitude_m": 200.0}
    assert properties["undersky:digest"] == "2" * 64
    assert properties["undersky:bytes"] == 33 * 1000
    assert (properties["undersky:seconds"], properties["undersky:cpu_seconds"]) == (12.35, 23.46)
    assert properties["undersky:notes"][0]["code"] == "prior_missing"
    assert set(properties["processing:software"]) == {"undersky"}
    assert "terrain illumination is not corrected" in properties["processing:lineage"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("S2A", "Contains modified Copernicus Sentinel data 2024"),
        ("L8", "courtesy of the U.S. Geological Survey"),
    ],
)
def test_the_licence_and_the_words_it_asks_for_are_there(key: str, words: str) -> None:
    document = _document(key)
    assert words in document["properties"]["attribution"]
    assert any(link["rel"] == "license" for link in document["links"])
    roles = {provider["name"]: provider["roles"] for provider in document["properties"]["providers"]}
    assert "processor" in roles["Undersky"]
    assert "licensor" in roles["ESA" if key == "S2A" else "USGS"]


def test_directions_are_means_and_azimuths_turn_through_north() -> None:
    properties = _document()["properties"]
    assert properties["view:sun_elevation"] == pytest.approx(55.0)
    assert properties["view:sun_azimuth"] == pytest.approx(359.5, abs=1e-3)
    assert properties["view:incidence_angle"] == pytest.approx(4.0)
    assert properties["view:azimuth"] == pytest.approx(104.0)


def test_the_item_finds_its_collection_beside_its_folder() -> None:
    document = _document()
    assert document["collection"] == "sentinel-2-sr"
    assert [link["href"] for link in document["links"] if link["rel"] == "collection"] == [
        "../sentinel-2-sr.json"
    ]


def test_no_path_of_this_machine_is_in_an_item() -> None:
    text = stac.to_json(stac.surface_item(_product()))
    assert not re.search(r'"/(home|work|tmp|root)', text)


def test_the_same_product_gives_the_same_text() -> None:
    assert stac.to_json(stac.surface_item(_product())) == stac.to_json(stac.surface_item(_product()))


def test_a_footprint_is_counter_clockwise_inside_its_box() -> None:
    document = _document()
    ring = np.array(document["geometry"]["coordinates"][0])
    area = (ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum()
    assert area > 0
    west, south, east, north = document["bbox"]
    assert ring[:, 0].min() == pytest.approx(west)
    assert ring[:, 1].max() == pytest.approx(north)
    assert west < east
    assert south < north


def test_a_footprint_across_the_antimeridian_is_cut_in_two() -> None:
    # at 48 degrees north zone 1 begins at easting 276 km: this tile lies on both sides of 180 degrees
    grid = GeoBox((1098, 1098), Affine(100, 0, 220000, 0, -100, 5300040), "EPSG:32601")
    document = json.loads(stac.to_json(stac.surface_item(_product(grid=grid))))
    assert document["geometry"]["type"] == "MultiPolygon"
    west, _, east, _ = document["bbox"]
    assert west > 179
    assert -180 < east < -178
    lons = np.array([point[0] for part in document["geometry"]["coordinates"] for point in part[0]])
    assert np.abs(lons).max() <= 180.0
    assert np.abs(lons).min() > 178.0
