"""A surface product becomes a land-cover map: whole, once, and without seams."""

import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio

from surface_products import SIDE_M, cover_package, write_surface
from undersky.cli import main
from undersky.errors import DataError, Reason
from undersky.inference.cover import VERSION
from undersky.landcover import CLASSES, CODES
from undersky.quality import Quality
from undersky.stages.map import DECISION, MapOptions, map_cover, open_mapper


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "landcover"
    cover_package(folder)
    return folder


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    side = SIDE_M // 10
    bits = np.zeros((side, side), dtype=np.uint16)
    bits[:8] = Quality.NODATA
    bits[40:60, 40:60] = Quality.CLOUD
    bits[100:120, 20:60] = Quality.SNOW
    return write_surface(tmp_path_factory.mktemp("products"), quality=bits)


@pytest.fixture(scope="module")
def mapped(surface: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("maps")
    made = map_cover(surface, out, mapper=open_mapper(model), options=MapOptions(strip_rows=64))
    assert not made.was_there
    return made.folder


def _read(folder: Path, key: str) -> np.ndarray:
    with rasterio.open(folder / f"{key}.tif") as dataset:
        return dataset.read(1)


def test_strips_and_the_whole_agree_to_one_pixel_in_ten_thousand(
    mapped: Path, surface: Path, model: Path, tmp_path: Path
) -> None:
    at_once = map_cover(surface, tmp_path, mapper=open_mapper(model), options=MapOptions(strip_rows=4096))
    one, other = _read(mapped, "landcover"), _read(at_once.folder, "landcover")
    assert len(np.unique(one)) > 3
    assert (one != other).mean() <= 1e-4
    assert np.abs(_read(mapped, "confidence").astype(int) - _read(at_once.folder, "confidence")).max() <= 1


def test_ground_that_was_not_seen_is_nodata_in_both_layers(mapped: Path) -> None:
    codes, confidence = _read(mapped, "landcover"), _read(mapped, "confidence")
    unseen = np.zeros(codes.shape, dtype=bool)
    unseen[:8] = unseen[40:60, 40:60] = True
    np.testing.assert_array_equal(codes == 0, unseen)
    np.testing.assert_array_equal(confidence == 255, unseen)
    assert set(np.unique(codes[~unseen])) <= set(CODES)
    assert (codes[100:120, 20:60] == 70).all()


def test_the_cog_carries_nodata_colours_scale_and_overviews_without_new_classes(
    surface: Path, model: Path, tmp_path: Path
) -> None:
    big = write_surface(tmp_path / "in", side_m=6000)
    folder = map_cover(big, tmp_path / "out", mapper=open_mapper(model)).folder
    with rasterio.open(folder / "landcover.tif") as dataset:
        assert (dataset.nodata, dataset.dtypes[0]) == (0, "uint8")
        colours = dataset.colormap(1)
        assert all(colours[c.code][:3] == c.colour for c in CLASSES)
        assert dataset.overviews(1)
        small = dataset.read(1, out_shape=tuple(size // 2 for size in dataset.shape))
        assert set(np.unique(small)) <= set(np.unique(dataset.read(1)))
    with rasterio.open(folder / "confidence.tif") as dataset:
        assert (dataset.nodata, dataset.scales[0]) == (255, 0.01)


def test_the_item_names_surface_model_classes_and_summary(mapped: Path, surface: Path, model: Path) -> None:
    item = pystac.Item.from_file(str(mapped / f"{mapped.name}.json"))
    properties = item.properties
    assert item.collection_id == "sentinel-2-landcover"
    assert properties["undersky:surface"] == {"id": surface.name, "digest": "5" * 64}
    assert properties["undersky:model"]["digest"] == open_mapper(model).digest
    assert sum(properties["undersky:summary"][c.slug] for c in CLASSES) == pytest.approx(100.0, abs=0.1)
    assert properties["undersky:summary"]["nodata"] == pytest.approx(100 * (8 * 192 + 400) / 192**2, abs=0.01)
    classes = item.assets["landcover"].extra_fields["bands"][0]["classification:classes"]
    assert [c["value"] for c in classes] == [0, *CODES]
    assert (mapped.parent / "sentinel-2-landcover.json").is_file()


def test_mapping_twice_changes_nothing(mapped: Path, surface: Path, model: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in mapped.iterdir()}
    again = map_cover(surface, mapped.parent, mapper=open_mapper(model))
    assert (again.was_there, again.folder) == (True, mapped)
    assert {path.name: path.stat().st_mtime_ns for path in mapped.iterdir()} == before


def test_threads_and_strips_do_not_change_the_digest_and_another_model_does(
    mapped: Path, surface: Path, tmp_path: Path
) -> None:
    cover_package(tmp_path / "other", seed=7)
    made = map_cover(surface, tmp_path, mapper=open_mapper(tmp_path / "other"), options=MapOptions(threads=1))
    assert (
        made.digest
        != json.loads((mapped / f"{mapped.name}.json").read_text())["properties"]["undersky:digest"]
    )
    assert made.folder.name != mapped.name


def test_a_map_that_fails_leaves_nothing(model: Path, tmp_path: Path) -> None:
    folder = write_surface(tmp_path / "in", "L8")
    (folder / "SR_B6.tif").write_bytes((folder / "SR_B6.tif").read_bytes()[:2000])
    with pytest.raises(DataError):
        map_cover(folder, tmp_path / "out", mapper=open_mapper(model))
    assert not [path for path in (tmp_path / "out").glob("*") if path.is_dir()]


def test_landsat_is_mapped_at_30_m_into_its_own_collection(model: Path, tmp_path: Path) -> None:
    made = map_cover(write_surface(tmp_path / "in", "L9"), tmp_path / "out", mapper=open_mapper(model))
    assert _read(made.folder, "landcover").shape == (64, 64)
    assert json.loads(made.item.read_text())["collection"] == "landsat-8-9-landcover"
    assert "_LC_" in made.id


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    cover_package(tmp_path, name="quality")
    with pytest.raises(DataError, match="no model of land cover") as caught:
        open_mapper(tmp_path)
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_the_version_of_the_decision_is_that_of_the_code() -> None:
    assert DECISION == VERSION


def test_the_verb_maps_and_answers_with_one_json_object(
    surface: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["map", str(surface), "--out", str(tmp_path), "--model", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["item"]).is_file()
    assert set(told["summary"]) == {*(c.slug for c in CLASSES), "nodata", "confidence"}
