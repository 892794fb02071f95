"""Documents of real files: what an Item says of a raster is what rasterio finds in it."""

import copy
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from undersky import stac
from undersky.bands import SENSORS
from undersky.errors import ConfigError
from undersky.grid import Grid
from undersky.quality import MEANING, Quality
from undersky.raster import encoding as enc
from undersky.raster.cog import CoarseGrid, stored_statistics, write_cog
from undersky.scene import Angles, Scene
from undersky.stac.assets import layer_asset, layer_fields
from undersky.stac.documents import _mean_azimuth, geometry_of

ACQUIRED = datetime(2024, 5, 3, 12, 6, 1, tzinfo=timezone(timedelta(hours=2)))


def _scene(key: str, grid: Grid) -> Scene:
    sensor = SENSORS[key]
    names = [band.name for band in sensor.bands]
    flat = np.full((2, 2), 30.0, dtype=np.float32)
    views = dict.fromkeys(names, flat)
    return Scene(
        id=f"{key}_SOURCE",
        sensor=sensor,
        acquired=ACQUIRED,
        level="L1C",
        baseline="05.10",
        tile="33UXP" if key.startswith("S2") else "191027",
        bands=dict.fromkeys(names),
        angles=Angles(flat, flat, views, views),
        grid=grid,
    )


def _grid(size: float, side_m: float = 1200.0) -> Grid:
    pixels = round(side_m / size)
    return Grid((pixels, pixels), Affine(size, 0, 600000, 0, -size, 5300040), "EPSG:32633")


def _written(folder: Path, layer: enc.Layer, scene: Scene, *, seed: int) -> stac.WrittenLayer:
    if layer.where == "coarse":
        grid = CoarseGrid(scene.grid, (3, 4)).grid
    else:
        grid = _grid(layer.band.resolution_m) if layer.where == "band" and layer.band else scene.grid
    low, high = layer.codes
    rng = np.random.default_rng(seed)
    stored = rng.integers(max(low, 0), min(high, 200), grid.shape).astype(layer.dtype)
    path = folder / f"{layer.key}.tif"
    write_cog(path, stored, grid=grid, layer=layer)
    return stac.WrittenLayer(layer, grid, stac.WrittenFile.of(path), stored_statistics(path))


@pytest.fixture(scope="module", params=["S2A", "L9"])
def product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> stac.Product:
    """A whole product on disk: every layer a real COG of random codes."""
    folder = tmp_path_factory.mktemp(request.param)
    scene = _scene(request.param, _grid(10 if request.param == "S2A" else 30))
    layers = enc.layers_of(scene.sensor)
    written = tuple(_written(folder, layer, scene, seed=i) for i, layer in enumerate(layers))
    (folder / "thumbnail.jpg").write_bytes(b"\xff\xd8picture")
    lineage = stac.Lineage({"MTD.xml": "0" * 64}, "correction", "1", "1" * 64, {}, "2" * 64)
    cost = stac.Cost(1.0, 2.0, "by-hand", ACQUIRED)
    return stac.Product(
        f"{request.param}_SR", scene, written, stac.WrittenFile.of(folder / "thumbnail.jpg"), lineage,
        {"aerosol": "fixed"}, cost, {"cloud": 12.3456},
    )  # fmt: skip


@pytest.fixture(scope="module")
def document(product: stac.Product) -> dict:
    return json.loads(stac.to_json(stac.surface_item(product)))


def _rasters(product: stac.Product, document: dict) -> Iterator[tuple[dict, Path]]:
    folder = product.thumbnail.path.parent
    for asset in document["assets"].values():
        if asset["href"].endswith(".tif"):
            yield asset, folder / asset["href"]


@pytest.mark.oracle
def test_every_checksum_is_the_multihash_of_the_bytes_on_disk(product: stac.Product, document: dict) -> None:
    folder = product.thumbnail.path.parent
    assert len(document["assets"]) == len(product.layers) + 1
    for asset in document["assets"].values():
        data = (folder / asset["href"]).read_bytes()
        # multihash: 0x12 is sha2-256, 0x20 its 32 bytes
        assert bytes.fromhex(asset["file:checksum"]) == b"\x12\x20" + hashlib.sha256(data).digest()
        assert asset["file:size"] == len(data)
    assert document["properties"]["undersky:bytes"] == sum(p.stat().st_size for p in folder.iterdir())


@pytest.mark.oracle
def test_place_type_and_nodata_of_every_asset_are_what_rasterio_reads(
    product: stac.Product, document: dict
) -> None:
    code = document["properties"]["proj:code"]
    for asset, path in _rasters(product, document):
        with rasterio.open(path) as dataset:
            assert asset["proj:shape"] == list(dataset.shape), path.name
            np.testing.assert_allclose(asset["proj:transform"], tuple(dataset.transform)[:6], atol=1e-6)
            assert dataset.crs == rasterio.crs.CRS.from_string(code)
            assert asset["data_type"] == dataset.dtypes[0]
            assert asset.get("nodata") == dataset.nodata
            assert (asset.get("raster:scale", 1.0), asset.get("raster:offset", 0.0)) == (
                pytest.approx(dataset.scales[0]),
                pytest.approx(dataset.offsets[0]),
            )


@pytest.mark.oracle
def test_statistics_are_numpys_over_the_stored_numbers(product: stac.Product, document: dict) -> None:
    for asset, path in _rasters(product, document):
        with rasterio.open(path) as dataset:
            pixels = dataset.read(1, masked=True).compressed().astype(float)
        found = asset["bands"][0]["statistics"]
        expected = {
            "minimum": pixels.min(),
            "maximum": pixels.max(),
            "mean": pixels.mean(),
            "stddev": pixels.std(),
        }
        assert found == pytest.approx(expected, abs=1e-3), path.name


@pytest.mark.oracle
@pytest.mark.parametrize("key", ["quality", "saturation"])
def test_bitfields_alone_decode_every_code_that_can_be_stored(
    product: stac.Product, document: dict, key: str
) -> None:
    fields = document["assets"][key]["classification:bitfields"]
    assert [field["offset"] for field in fields] == list(range(len(fields)))
    assert {field["length"] for field in fields} == {1}
    assert all([entry["value"] for entry in field["classes"]] == [0, 1] for field in fields)
    names = [field["name"] for field in fields]
    assert len(set(names)) == len(names)
    if key == "quality":
        codes = np.arange(1 << len(fields))
        for field in fields:
            flag = Quality[field["name"].upper()]
            told = (codes >> field["offset"]) & ((1 << field["length"]) - 1)
            np.testing.assert_array_equal(told == 1, (codes & flag) != 0)
            assert field["description"] == MEANING[flag]
        assert sum(1 << field["offset"] for field in fields) == sum(Quality)
    else:
        assert names == [band.asset for band in product.scene.sensor.corrected_bands]


@pytest.mark.oracle
def test_a_reader_that_knows_only_the_item_gets_the_values_back(
    product: stac.Product, document: dict
) -> None:
    for written in product.layers:
        asset, layer = document["assets"][written.layer.key], written.layer
        if layer.curve == "square" or layer.nodata is None:
            assert "raster:scale" not in asset
            continue
        with rasterio.open(written.file.path) as dataset:
            stored = dataset.read(1)
        values = stored * asset["raster:scale"] + asset["raster:offset"]
        values[stored == asset["nodata"]] = np.nan
        np.testing.assert_allclose(enc.decode(stored, layer), values, rtol=1e-6, atol=1e-7)


@pytest.mark.oracle
def test_an_item_that_loses_a_required_field_breaks_the_core_schema(document: dict) -> None:
    stac.validate(document)
    for field in ("stac_version", "id", "geometry", "properties", "links", "assets", "bbox"):
        broken = {key: value for key, value in document.items() if key != field}
        with pytest.raises(ConfigError, match="breaks the STAC schema"):
            stac.validate(broken)
    for path, wrong in (
        (("properties", "datetime"), 20240503), (("properties", "gsd"), 0), (("bbox",), [1, 2, 3]),
        (("assets", "quality", "href"), 5), (("links", 0, "rel"), None), (("geometry", "type"), "Circle"),
    ):  # fmt: skip
        broken = copy.deepcopy(document)
        place = broken
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = wrong
        with pytest.raises(ConfigError, match="breaks the STAC schema"):
            stac.validate(broken)


def test_the_collection_announces_every_asset_with_the_fields_it_will_have(
    product: stac.Product, document: dict
) -> None:
    collection = json.loads(stac.to_json(stac.surface_collection(product.scene.sensor.collection)))
    announced = collection["item_assets"]
    assert set(announced) == set(document["assets"]) - {"thumbnail"}
    for key, fields in announced.items():
        mine = document["assets"][key]
        assert fields["type"] == mine["type"]
        for name in set(fields) - {"bands", "eo:bands", "title"}:
            assert fields[name] == mine[name], (key, name)
        assert mine["title"].startswith(fields["title"])
    start = collection["extent"]["temporal"]["interval"][0][0]
    assert datetime.fromisoformat(start) < product.scene.acquired
    assert set(collection["stac_extensions"]) <= set(document["stac_extensions"])
    assert product.scene.sensor.platform in collection["summaries"]["platform"]


def test_every_prefix_in_use_has_its_extension_declared(document: dict) -> None:
    uris = " ".join(document["stac_extensions"])
    schemas = {
        "proj": "projection", "eo": "eo", "view": "view", "file": "file", "raster": "raster", "grid": "grid",
        "classification": "classification", "processing": "processing",
    }  # fmt: skip
    keys = [*document["properties"], *itertools.chain.from_iterable(document["assets"].values())]
    prefixes = {key.split(":")[0] for key in keys if ":" in key} - {"undersky"}
    assert prefixes == set(schemas)
    assert all(f"/{schemas[prefix]}/" in uris for prefix in prefixes)


def test_times_are_utc_whatever_zone_they_came_in(document: dict) -> None:
    assert document["properties"]["datetime"] == "2024-05-03T10:06:01Z"
    assert document["properties"]["created"] == "2024-05-03T10:06:01Z"
    assert pystac.Item.from_dict(document).datetime == ACQUIRED.astimezone(UTC)


@pytest.mark.oracle
@settings(deadline=None)
@given(st.integers(1, 60), st.floats(200_000, 700_000), st.floats(1_200_000, 8_800_000), st.booleans())
def test_a_footprint_anywhere_is_valid_counter_clockwise_and_holds_its_own_corners(
    zone: int,
    left: float,
    top: float,
    south: bool,  # noqa: FBT001  # hypothesis gives them by position
) -> None:
    grid = Grid(
        (110, 110), Affine(1000, 0, left, 0, -1000, top), f"EPSG:{(32700 if south else 32600) + zone}"
    )
    geometry, bbox = geometry_of(grid)
    shape = shapely.geometry.shape(geometry)
    assert shape.is_valid
    parts = list(getattr(shape, "geoms", [shape]))
    assert all(part.exterior.is_ccw for part in parts)
    crosses = len(parts) == 2
    assert (bbox[0] > bbox[2]) == crosses
    to_lonlat = pyproj.Transformer.from_crs(grid.crs.epsg, 4326, always_xy=True)
    for x, y in itertools.product((left, left + 110_000), (top, top - 110_000)):
        lon, lat = to_lonlat.transform(x, y)
        assert shape.distance(shapely.Point(lon, lat)) < 1e-9
        inside = lon >= bbox[0] - 1e-9 or lon <= bbox[2] + 1e-9 if crosses else bbox[0] <= lon <= bbox[2]
        assert inside
        assert bbox[1] <= lat <= bbox[3]
    assert shape.area < 180.0, "the footprint goes the long way round the globe"


@pytest.mark.oracle
@settings(deadline=None, max_examples=30)
@given(st.floats(745_000, 830_000), st.floats(100_000, 6_000_000))
def test_at_the_antimeridian_two_halves_together_have_the_whole_ground(left: float, top: float) -> None:
    grid = Grid((110, 110), Affine(1000, 0, left, 0, -1000, top + 200_000), "EPSG:32660")
    shape = shapely.geometry.shape(geometry_of(grid)[0])
    assume(shape.geom_type == "MultiPolygon")
    assert all(part.exterior.is_ccw for part in shape.geoms)
    geod = pyproj.Geod(ellps="WGS84")
    ground = sum(abs(geod.geometry_area_perimeter(part)[0]) for part in shape.geoms)
    assert ground == pytest.approx(110_000.0**2, rel=0.02)


@given(st.floats(0, 359.99), st.lists(st.floats(0, 80), min_size=1, max_size=6))
def test_a_mean_azimuth_lies_in_the_middle_of_what_surrounds_it(middle: float, apart: list[float]) -> None:
    azimuths = np.array([[middle + sign * distance for distance in apart] for sign in (-1, 1)]) % 360.0
    found = _mean_azimuth(azimuths)
    assert 0.0 <= found <= 360.0
    assert abs((found - middle + 180.0) % 360.0 - 180.0) < 1e-3


@pytest.mark.parametrize("key", sorted(SENSORS))
def test_wavelengths_are_left_out_only_where_they_are_asked_to_be(key: str) -> None:
    sensor = SENSORS[key]
    for layer in enc.layers_of(sensor):
        mine, family = layer_fields(layer, sensor), layer_fields(layer, sensor, wavelengths=False)
        assert "wavelength" not in json.dumps(family)
        assert layer.band is None or not re.search(r"\d nm", family["title"])
        has = layer.band is not None and "reflectance" in layer.roles
        assert ("eo:center_wavelength" in mine["bands"][0]) == has
        if layer.band is not None and has:
            half = layer.band.width_nm / 2000
            centre = mine["bands"][0]["eo:center_wavelength"]
            assert centre == pytest.approx(layer.band.wavelength_nm / 1000, abs=1e-4)
            assert mine["bands"][0]["eo:full_width_half_max"] == pytest.approx(2 * half, abs=1e-4)


def test_an_asset_without_a_single_pixel_has_no_statistics_rather_than_invented_ones(tmp_path: Path) -> None:
    layer, grid = enc.reflectance_layer(SENSORS["S2A"].corrected_bands[0]), _grid(60)
    path = tmp_path / "empty.tif"
    write_cog(path, np.full(grid.shape, layer.nodata, np.int16), grid=grid, layer=layer)
    written = stac.WrittenLayer(layer, grid, stac.WrittenFile.of(path), stored_statistics(path))
    asset = layer_asset(written, SENSORS["S2A"]).to_dict()
    assert "statistics" not in asset["bands"][0]
    assert asset["nodata"] == -9999
