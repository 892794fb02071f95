"""A surface product becomes a table of its ships: once, without seams, also when there are none."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pystac
import pytest
from PIL import Image

from object_models import bright_package
from surface_products import grid_of, write_surface
from undersky.bands import SENSORS
from undersky.cli import main
from undersky.errors import ConfigError, DataError, Reason
from undersky.inference.objects import VERSION
from undersky.quality import Quality
from undersky.raster.cog import write_cog
from undersky.raster.encoding import encode, reflectance_layer
from undersky.stages.detect import DECISION, DetectOptions, detect, open_detector

SIDE_M = 4200
SHIPS = ((60, 100), (128, 40), (126, 300), (250, 200), (380, 360))
"""First pixels of ships, (row, col), 40 m by 100 m; two of them lie on the seam of strips of 128 rows."""


def harbour(out: Path, *, ships: tuple[tuple[int, int], ...] = SHIPS, water: bool = True) -> Path:
    """A surface product of flat water with bright ships, by the model's bands."""
    bits = np.full((SIDE_M // 10,) * 2, Quality.WATER if water else 0, dtype=np.uint16)
    folder = write_surface(out, side_m=SIDE_M, quality=bits)
    levels = {"blue": 0.06, "green": 0.05, "red": 0.03, "nir": 0.02, "swir16": 0.01}
    for band in SENSORS["S2A"].corrected_bands:
        if band.common_name not in levels:
            continue
        step = band.resolution_m // 10
        values = np.full((SIDE_M // band.resolution_m,) * 2, levels[band.common_name], dtype=np.float32)
        for row, col in ships:
            values[row // step : (row + 4) // step, col // step : (col + 10) // step] = 0.4
        layer = reflectance_layer(band)
        path = folder / f"{layer.key}.tif"
        path.unlink()
        write_cog(path, encode(values, layer), grid=grid_of(band.resolution_m, SIDE_M), layer=layer)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "vessels"
    bright_package(folder)
    return folder


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harbour(tmp_path_factory.mktemp("products"))


@pytest.fixture(scope="module")
def made(surface: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("maps")
    return detect(surface, out, detector=open_detector(model), options=DetectOptions(strip_rows=128)).folder


def test_every_ship_is_in_the_table_once_where_it_lies(made: Path) -> None:
    frame = gpd.read_parquet(made / "vessels.parquet")
    expected = {(600_000 + 10 * (col + 5), 5_300_040 - 10 * (row + 2)) for row, col in SHIPS}
    found = set(zip(frame.x.round(), frame.y.round(), strict=True))
    assert found == expected
    assert len(frame) == len(SHIPS)
    np.testing.assert_allclose(frame.length_m, 100.0, atol=0.1)
    np.testing.assert_allclose(frame.width_m, 40.0, atol=0.1)
    assert set(frame["crs"]) == {"EPSG:32633"}
    back = frame.geometry.to_crs("EPSG:32633").centroid
    np.testing.assert_allclose(back.x, frame.x, atol=0.05)


def test_strips_and_the_whole_find_the_same(made: Path, surface: Path, model: Path, tmp_path: Path) -> None:
    whole = detect(surface, tmp_path, detector=open_detector(model), options=DetectOptions(strip_rows=4096))
    one, other = (gpd.read_parquet(folder / "vessels.parquet") for folder in (made, whole.folder))
    np.testing.assert_allclose(sorted(one.score), sorted(other.score), atol=1e-5)
    assert sorted(one.geometry.to_wkt()) == sorted(other.geometry.to_wkt())
    assert sorted(map(bytes, one.chip)) == sorted(map(bytes, other.chip))


def test_the_surest_comes_first_in_both_files(made: Path) -> None:
    frame = gpd.read_parquet(made / "vessels.parquet")
    assert list(frame.score) == sorted(frame.score, reverse=True)
    features = json.loads((made / "vessels.geojson").read_text())["features"]
    assert [one["properties"]["score"] for one in features] == pytest.approx(list(frame.score), abs=1e-4)


def test_the_item_names_surface_model_and_files_and_holds_their_sums(made: Path, model: Path) -> None:
    item = pystac.Item.from_file(str(made / f"{made.name}.json"))
    assert item.collection_id == "sentinel-2-vessels"
    assert made.name.rpartition("_")[0].endswith("_VESSELS")
    assert item.properties["undersky:model"]["digest"] == open_detector(model).digest
    assert item.properties["undersky:surface"]["id"].endswith("_SR_0a1b2c3d")
    assert item.properties["undersky:summary"]["vessels"] == len(SHIPS)
    assert item.properties["undersky:summary"]["longest_m"] == pytest.approx(100.0, abs=0.2)
    media = {asset.media_type for asset in item.assets.values()}
    assert {"application/vnd.apache.parquet", "application/geo+json", "image/png"} == media
    for asset in item.assets.values():
        assert (made / asset.href).stat().st_size == asset.extra_fields["file:size"]


def test_the_thumbnail_shows_a_frame_about_every_ship(made: Path) -> None:
    picture = np.asarray(Image.open(made / "thumbnail.png")).astype(int)
    framed = (picture[..., 0] > 200) & (picture[..., 1] < 100)
    scale = picture.shape[0] / (SIDE_M // 10)
    for row, col in SHIPS:
        top, left = int((row - 6) * scale), int((col - 6) * scale)
        assert framed[max(0, top) : top + int(24 * scale), max(0, left) : left + int(30 * scale)].any()


def test_making_it_again_changes_nothing(made: Path, surface: Path, model: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in made.iterdir()}
    again = detect(surface, made.parent, detector=open_detector(model))
    assert again.was_there
    assert {path.name: path.stat().st_mtime_ns for path in made.iterdir()} == before


def test_the_same_product_and_model_give_the_same_bytes(
    made: Path, surface: Path, model: Path, tmp_path: Path
) -> None:
    options = DetectOptions(strip_rows=128, threads=1)
    other = detect(surface, tmp_path, detector=open_detector(model), options=options).folder
    for name in ("vessels.parquet", "vessels.geojson", "thumbnail.png"):
        assert (made / name).read_bytes() == (other / name).read_bytes()


def test_water_without_a_ship_is_an_empty_table_and_a_valid_product(model: Path, tmp_path: Path) -> None:
    empty = detect(harbour(tmp_path / "in", ships=()), tmp_path / "out", detector=open_detector(model))
    frame = gpd.read_parquet(empty.folder / "vessels.parquet")
    assert (len(frame), empty.summary["vessels"], empty.summary["longest_m"]) == (0, 0.0, 0.0)
    assert empty.summary["searched_percent"] > 99.0
    assert json.loads((empty.folder / "vessels.geojson").read_text())["features"] == []


def test_land_is_not_searched_however_bright(model: Path, tmp_path: Path) -> None:
    land = detect(harbour(tmp_path / "in", water=False), tmp_path / "out", detector=open_detector(model))
    assert land.summary == {"vessels": 0.0, "longest_m": 0.0, "searched_percent": 0.0}


def test_the_verb_detects_and_answers_with_one_json_object(
    surface: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", str(surface), "--out", str(tmp_path), "--model", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["item"]).is_file()
    assert told["summary"]["vessels"] == len(SHIPS)
    assert main(["detect", str(surface), "--out", str(tmp_path), "--model", str(model)]) == 0
    assert f"{len(SHIPS)} vessels, the longest 100 m" in capsys.readouterr().out


def test_a_landsat_product_is_not_applicable(model: Path, tmp_path: Path) -> None:
    landsat = write_surface(tmp_path / "in", "L8")
    with pytest.raises(ConfigError, match=r"not applicable.*30 m.*Sentinel-2"):
        detect(landsat, tmp_path / "out", detector=open_detector(model))
    assert not (tmp_path / "out").exists()


def test_a_model_of_something_without_a_collection_is_refused(tmp_path: Path) -> None:
    from surface_products import cover_package

    cover_package(tmp_path / "model", name="aircraft")
    with pytest.raises(DataError, match="aircraft") as caught:
        open_detector(tmp_path / "model")
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_the_version_of_the_rules_is_part_of_the_digest() -> None:
    assert DECISION == VERSION
