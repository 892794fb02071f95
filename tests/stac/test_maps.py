"""Items of maps inherit place and time, name their makers, and obey the schema."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from surface_products import item_of
from undersky import stac
from undersky.errors import ConfigError
from undersky.stac.maps import COLLECTIONS, MapFile, MapProduct, map_collection, map_item


def _product(folder: Path, **changes: object) -> MapProduct:
    (folder / "thumbnail.png").write_bytes(b"\x89PNG")
    (folder / "vessels.geojson").write_text("{}")
    file = stac.WrittenFile.of(folder / "vessels.geojson")
    values: dict[str, object] = {
        "id": "S2A_33UXP_20240503T100601_VS_01234567",
        "surface": item_of("S2A_33UXP_20240503T100601_SR_0a1b2c3d", "S2A", {}),
        "collection": "sentinel-2-vessels",
        "title": "Vessels",
        "layers": (),
        "files": (MapFile("geojson", file, "application/geo+json", "Vessels, GeoJSON"),),
        "thumbnail": stac.WrittenFile.of(folder / "thumbnail.png"),
        "model": {"name": "vessels", "version": "1", "digest": "1" * 64},
        "parameters": {"threshold": 0.4},
        "digest": "2" * 64,
        "cost": stac.Cost(1.25, 2.5, "by-hand", datetime(2024, 6, 1, tzinfo=UTC)),
        "summary": {"vessels": 3},
    }
    return MapProduct(**(values | changes))


def test_place_time_and_attribution_are_the_surfaces(tmp_path: Path) -> None:
    item = map_item(_product(tmp_path))
    assert item.datetime == datetime(2024, 5, 3, 10, 6, 1, tzinfo=UTC)
    assert item.bbox == [16.3, 47.8, 16.4, 47.9]
    assert item.properties["grid:code"] == "MGRS-33UXP"
    assert "Copernicus" in item.properties["attribution"]
    assert "undersky:source_sha256" not in item.properties


def test_it_leads_to_what_it_was_derived_from(tmp_path: Path) -> None:
    item = map_item(_product(tmp_path))
    [link] = item.get_links("derived_from")
    assert link.href == (
        "../S2A_33UXP_20240503T100601_SR_0a1b2c3d/S2A_33UXP_20240503T100601_SR_0a1b2c3d.json"
    )
    assert item.properties["undersky:surface"]["digest"] == "5" * 64
    assert [link.href for link in item.get_links("license")] == ["https://example.org/terms"]


def test_files_and_thumbnail_are_assets_with_size_and_checksum(tmp_path: Path) -> None:
    item = map_item(_product(tmp_path))
    assert set(item.assets) == {"geojson", "thumbnail"}
    fields = item.assets["geojson"].extra_fields
    assert fields["file:size"] == 2
    assert fields["file:checksum"].startswith("1220")
    assert item.properties["undersky:bytes"] == 2 + 4


@pytest.mark.parametrize("name", list(COLLECTIONS))
def test_every_collection_is_valid_and_describes_its_assets(name: str) -> None:
    collection = map_collection(name)
    assert collection.id == name
    assert collection.extra_fields["item_assets"]
    assert len(collection.providers or ()) == 2


def test_the_cover_collection_lists_the_classes() -> None:
    assets = map_collection("landsat-8-9-landcover").extra_fields["item_assets"]
    classes = assets["landcover"]["bands"][0]["classification:classes"]
    assert [c["name"] for c in classes][:2] == ["nodata", "tree_cover"]
    assert classes[1]["color_hint"] == "006400"


def test_an_unknown_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no collection of maps 'sentinel-2-sr'"):
        map_item(_product(tmp_path, collection="sentinel-2-sr"))


def test_a_map_of_a_foreign_satellite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another family"):
        map_item(_product(tmp_path, collection="landsat-8-9-landcover"))
