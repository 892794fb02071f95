"""Every provider's Items read as its profile says: recorded ones, or those written from its documents."""

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from undersky.flow.record import file_name
from undersky.refs import Lane
from undersky.services.granules import Wish, read_item
from undersky.services.ledger import Announcement, Area, Rejection
from undersky.services.profiles import Profile, load_profiles

ITEMS = Path(__file__).parent / "items"
PROFILES = load_profiles()
PAIRS = [(name, collection) for name, profile in PROFILES.items() for collection in profile.collections]
WORLD = {"type": "Polygon", "coordinates": [[[-180, -85], [180, -85], [180, 85], [-180, 85], [-180, -85]]]}
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def kept(profile: str, collection: str) -> Mapping[str, object]:
    return json.loads((ITEMS / file_name(profile, collection)).read_text(encoding="utf-8"))


def read(item: object, profile: Profile, collection: str) -> Announcement | Rejection:
    area = Area("world", WORLD, (collection,), since=date(2013, 1, 1))
    return read_item(item, profile, Wish(area, collection, Lane.HISTORICAL, NOW))


@pytest.mark.parametrize(("name", "collection"), PAIRS)
class TestContract:
    def test_there_is_an_item_and_it_says_whether_it_was_recorded(self, name: str, collection: str) -> None:
        found = kept(name, collection)
        assert found["label"] in ("recorded", "unrecorded")
        assert found["recorded" if found["label"] == "recorded" else "written_from"]
        assert (found["profile"], found["collection"]) == (name, collection)

    def test_its_item_is_announced_with_its_identity(self, name: str, collection: str) -> None:
        announced = read(kept(name, collection)["item"], PROFILES[name], collection)
        assert isinstance(announced, Announcement), announced
        assert announced.key.startswith(announced.platform)
        assert announced.tile in announced.scene
        assert announced.produced is not None
        assert announced.produced.date() >= announced.sensed.date()
        assert announced.cloud_percent is not None
        assert announced.sun_elevation is not None

    def test_every_file_that_the_product_needs_has_an_allowed_address(
        self, name: str, collection: str
    ) -> None:
        profile = PROFILES[name]
        announced = read(kept(name, collection)["item"], profile, collection)
        assert isinstance(announced, Announcement)
        needed = {
            rule.name.format(scene=announced.scene)
            for rule in profile.product(collection).files
            if not rule.optional
        }
        assert needed <= {file.name for file in announced.files}
        for file in announced.files:
            profile.rules.check(file.href)


class TestDialects:
    def test_copernicus_announces_one_zip_with_size_and_md5(self) -> None:
        found = kept("copernicus-dataspace", "sentinel-2-l1c")["item"]
        announced = read(found, PROFILES["copernicus-dataspace"], "sentinel-2-l1c")
        assert isinstance(announced, Announcement)
        (file,) = announced.files
        assert file.name == f"{announced.scene}.zip"
        assert file.href.startswith("https://download.dataspace.copernicus.eu/odata/v1/Products(")
        assert file.size
        assert str(file.checksum).startswith("md5:")
        assert announced.datastrip
        assert announced.baseline

    def test_earth_search_adds_what_its_items_leave_out(self) -> None:
        found = kept("earth-search", "sentinel-2-l1c")["item"]
        announced = read(found, PROFILES["earth-search"], "sentinel-2-l1c")
        assert isinstance(announced, Announcement)
        files = {file.name: file.href for file in announced.files}
        day = announced.sensed
        product = f"products/{day.year}/{day.month}/{day.day}/{announced.scene}/metadata.xml"
        assert files["MTD_MSIL1C.xml"] == f"s3://sentinel-s2-l1c/{product}"
        tile = files["metadata.xml"].rpartition("/")[0]
        assert files["qi/MSK_CLASSI_B00.jp2"] == f"{tile}/qi/CLASSI_B00.jp2"
        assert files["auxiliary/AUX_CAMSFO"] == f"{tile}/auxiliary/AUX_CAMSFO"
        assert sum(1 for name in files if name.startswith("B")) == 13
        assert not any(name.endswith(".gml") for name in files)

    def test_old_items_of_earth_search_that_name_the_other_bucket_are_cured(self) -> None:
        found = deepcopy(kept("earth-search", "sentinel-2-l1c")["item"])
        for asset in found["assets"].values():
            asset["href"] = asset["href"].replace("s3://sentinel-s2-l1c/", "s3://sentinel-s2-l2a/")
        announced = read(found, PROFILES["earth-search"], "sentinel-2-l1c")
        assert isinstance(announced, Announcement)
        assert all(file.href.startswith("s3://sentinel-s2-l1c/") for file in announced.files)

    def test_old_baselines_of_earth_search_have_vector_masks(self) -> None:
        found = deepcopy(kept("earth-search", "sentinel-2-l1c")["item"])
        text = json.dumps(found).replace("N0512", "N0301").replace("S2C", "S2B")
        announced = read(json.loads(text), PROFILES["earth-search"], "sentinel-2-l1c")
        assert isinstance(announced, Announcement)
        names = {file.name for file in announced.files}
        assert {"qi/MSK_CLOUDS_B00.gml", "auxiliary/ECMWFT"} <= names
        assert not any(name.startswith("qi/") and name.endswith(".jp2") for name in names)

    def test_landsat_is_fetched_from_the_bucket_and_thermal_bands_are_left(self) -> None:
        found = kept("usgs-landsatlook", "landsat-c2-l1")["item"]
        announced = read(found, PROFILES["usgs-landsatlook"], "landsat-c2-l1")
        assert isinstance(announced, Announcement)
        assert all(
            file.href.startswith("s3://usgs-landsat/collection02/level-1/") for file in announced.files
        )
        assert not any(file.name.endswith(("_B10.TIF", "_B11.TIF")) for file in announced.files)
        assert announced.tier in ("RT", "T1", "T2")
        assert announced.baseline is None

    def test_both_sentinel_providers_announce_the_same_granule_alike(self) -> None:
        first, second = (
            read(kept(name, "sentinel-2-l1c")["item"], PROFILES[name], "sentinel-2-l1c")
            for name in ("copernicus-dataspace", "earth-search")
        )
        assert isinstance(first, Announcement)
        assert isinstance(second, Announcement)
        if kept("earth-search", "sentinel-2-l1c")["label"] == "unrecorded":  # written of one granule
            assert (first.key, first.scene, first.baseline) == (second.key, second.scene, second.baseline)
            assert first.datastrip == second.datastrip


@pytest.mark.oracle
class TestRealItems:
    def test_items_of_level_2_are_rejected_for_their_level(self, samples: Path) -> None:
        paths = sorted(samples.glob("s2-l2a-stac-earth-search/*/*.json"))
        assert paths
        for path in paths:
            rejected = read(json.loads(path.read_text()), PROFILES["earth-search"], "sentinel-2-l1c")
            assert isinstance(rejected, Rejection)
            assert rejected.reason == "wrong_level"

    def test_a_landsat_item_of_level_2_is_rejected_for_its_level(self, samples: Path) -> None:
        path = samples / "landsat8-l2sp-full-structure-decimated"
        for file in sorted(path.glob("*_stac.json")):
            rejected = read(json.loads(file.read_text()), PROFILES["usgs-landsatlook"], "landsat-c2-l1")
            assert isinstance(rejected, Rejection)
            assert rejected.reason == "wrong_level"

    def test_items_that_another_tool_made_of_real_products_keep_their_identity(self, samples: Path) -> None:
        folder = "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE"
        path = samples / "s2-safe-metadata-and-stac" / folder / "expected_output.json"
        rejected = read(json.loads(path.read_text()), PROFILES["earth-search"], "sentinel-2-l1c")
        assert isinstance(rejected, Rejection)
        assert rejected.tile == "46RER"
        assert rejected.sensed == datetime(2021, 9, 8, 4, 27, 1, tzinfo=UTC)
        assert rejected.reason == "hostile_href"  # its addresses are relative
