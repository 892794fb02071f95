"""Items become announcements with one identity, or rejections with a reason; nothing they hold raises."""

from copy import deepcopy
from datetime import UTC, date, datetime
from typing import Any

import pytest

from undersky.refs import Lane
from undersky.services.granules import Wish, item_id, read_item
from undersky.services.item_files import Refused
from undersky.services.ledger import Announcement, Area, Rejection
from undersky.services.profiles import Profile, load_profiles
from undersky.services.scene_names import read_name

PROFILES = load_profiles()
CDSE, AWS, USGS = (PROFILES[name] for name in ("copernicus-dataspace", "earth-search", "usgs-landsatlook"))
S2, L1 = "sentinel-2-l1c", "landsat-c2-l1"
SCENE = "S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734"
LANDSAT = "LC09_L1TP_192029_20250613_20250620_02_T1"
SQUARE = {"type": "Polygon", "coordinates": [[[11, 42], [12, 42], [12, 43], [11, 43], [11, 42]]]}
NOW = datetime(2025, 6, 25, 12, tzinfo=UTC)


def wish(collection: str = S2, **changes: Any) -> Wish:
    area = Area(
        **{"name": "italy", "geometry": SQUARE, "collections": (S2, L1), "since": date(2020, 1, 1)} | changes
    )
    return Wish(area, collection, Lane.FRESH, NOW)


def sentinel(scene: str = SCENE, **properties: Any) -> dict[str, Any]:
    return {
        "id": scene,
        "geometry": deepcopy(SQUARE),
        "properties": {
            "datetime": "2025-06-19T10:03:22Z",
            "updated": "2025-06-19T14:00:00Z",
            "eo:cloud_cover": 20.0,
            "view:sun_elevation": 60.0,
            "processing:datetime": "2025-06-19T13:27:30.5Z",
            "grid:code": "MGRS-32TQM",
            "eopf:datastrip_id": "S2B_OPER_MSI_L1C_DS_2BPS_20250619T132734_S20250619T095748_N05.11",
        }
        | properties,
        "assets": {
            "Product": {
                "href": "https://download.dataspace.copernicus.eu/odata/v1/Products(1)/$value",
                "file:size": 1000,
                "file:checksum": "d50110" + "ab" * 16,
            }
        },
    }


def landsat(scene: str = LANDSAT, **properties: Any) -> dict[str, Any]:
    names = {rule.asset: rule.name.format(scene=scene) for rule in USGS.product(L1).files}
    return {
        "id": scene,
        "geometry": deepcopy(SQUARE),
        "properties": {"datetime": "2025-06-13T09:52:14Z", "created": "2025-06-20T10:00:00Z"} | properties,
        "assets": {
            key: {
                "href": f"https://landsatlook.usgs.gov/data/{name}",
                "alternate": {"s3": {"href": f"s3://usgs-landsat/collection02/{name}"}},
            }
            for key, name in names.items()
        },
    }


def announced(item: object, profile: Profile = CDSE, **changes: Any) -> Announcement:
    read = read_item(item, profile, wish(L1 if profile is USGS else S2, **changes))
    assert isinstance(read, Announcement), read
    return read


def rejected(item: object, profile: Profile = CDSE, **changes: Any) -> Rejection:
    read = read_item(item, profile, wish(L1 if profile is USGS else S2, **changes))
    assert isinstance(read, Rejection), read
    return read


class TestIdentity:
    def test_a_sentinel_granule_is_platform_datatake_and_tile(self) -> None:
        found = announced(sentinel())
        assert found.key == "S2B_20250619T095753_32TQM"
        assert (found.platform, found.tile, found.baseline, found.tier) == ("S2B", "32TQM", "05.11", None)
        assert found.sensed == datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC)
        assert found.produced == datetime(2025, 6, 19, 13, 27, 30, 500_000, tzinfo=UTC)
        assert (found.cloud_percent, found.sun_elevation) == (20.0, 60.0)
        assert str(found.datastrip).endswith("S20250619T095748_N05.11")

    def test_a_landsat_scene_is_sensor_path_row_and_date(self) -> None:
        found = announced(landsat(), USGS)
        assert found.key == "LC09_192029_20250613"
        assert (found.platform, found.tile, found.baseline, found.tier) == ("LC09", "192029", None, "T1")
        assert found.sensed == datetime(2025, 6, 13, 9, 52, 14, tzinfo=UTC)

    def test_other_deliveries_of_a_granule_keep_its_key(self) -> None:
        again = SCENE.replace("N0511", "N0512").replace("132734", "232734")
        assert announced(sentinel(again)).key == announced(sentinel()).key
        real_time = LANDSAT.replace("_20250620_02_T1", "_20250613_02_RT")
        assert announced(landsat(real_time), USGS).key == announced(landsat(), USGS).key

    def test_the_name_is_found_where_the_provider_keeps_it(self) -> None:
        item = sentinel("S2B_32TQM_20250619_0_L1C", **{"s2:product_uri": f"{SCENE}.SAFE"})
        assert announced(item).scene == SCENE

    @pytest.mark.parametrize(
        ("scene", "collection", "reason"),
        [
            ("S2B_MSIL2A_20250619T095753_N0511_R066_T32TQM_20250619T132734", S2, "wrong_level"),
            ("S2X_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734", S2, "unsupported_sensor"),
            ("S2B_MSIL1C_20251319T095753_N0511_R066_T32TQM_20250619T132734", S2, "unknown_id"),
            ("S2A_OPER_PRD_MSIL1C_PDMC_20160101T000000_R022_V20160101T000000", S2, "unknown_id"),
            ("anything", S2, "unknown_id"),
            ("../../etc/passwd", S2, "unknown_id"),
            (LANDSAT, S2, "unknown_id"),
            (SCENE, L1, "unknown_id"),
            ("LC09_L2SP_192029_20250613_20250620_02_T1", L1, "wrong_level"),
            ("LE07_L1TP_192029_20250613_20250620_02_T1", L1, "unsupported_sensor"),
            ("LT05_L1TP_192029_19990613_20250620_02_T1", L1, "unsupported_sensor"),
            ("LT08_L1GT_192029_20250613_20250620_02_T2", L1, "thermal_only"),
            ("LC08_L1TP_192029_20130613_20170503_01_T1", L1, "old_collection"),
            ("LC08_L1TP_192029_20130613_20170503_02_A1", L1, "unknown_id"),
        ],
    )
    def test_names_of_what_is_not_worked_on_are_refused(
        self, scene: str, collection: str, reason: str
    ) -> None:
        with pytest.raises(Refused) as caught:
            read_name(scene, collection)
        assert caught.value.reason == reason

    def test_names_lose_their_extension(self) -> None:
        for extension in (".SAFE", ".zip", ".SAFE.zip"):
            assert read_name(SCENE + extension, S2).scene == SCENE
        assert read_name(f"{LANDSAT}_stac", L1).scene == LANDSAT


class TestRejections:
    def test_more_cloud_than_the_area_takes(self) -> None:
        found = rejected(sentinel(**{"eo:cloud_cover": 80.4}), max_cloud=80.0)
        assert found.reason == "too_cloudy"
        assert found.sentence == "80 % cloud; area italy takes up to 80 %"
        assert (found.tile, found.item_id) == ("32TQM", SCENE)
        assert found.sensed == datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC)
        announced(sentinel(**{"eo:cloud_cover": 80.0}), max_cloud=80.0)

    @pytest.mark.parametrize("cloud", [-1, 101, "20", None, float("nan"), True])
    def test_an_unknown_cloud_cover_rejects_nothing(self, cloud: object) -> None:
        assert announced(sentinel(**{"eo:cloud_cover": cloud}), max_cloud=5.0).cloud_percent is None

    def test_a_sun_too_low(self) -> None:
        assert rejected(sentinel(**{"view:sun_elevation": 12.9})).reason == "sun_too_low"
        assert rejected(sentinel(**{"view:sun_elevation": -20})).reason == "sun_too_low"
        announced(sentinel(**{"view:sun_elevation": 13.1}))

    def test_another_place(self) -> None:
        item = sentinel()
        item["geometry"] = {"type": "Point", "coordinates": [80, 80]}
        assert rejected(item).reason == "outside_area"

    def test_other_dates(self) -> None:
        assert rejected(sentinel(), since=date(2025, 6, 20)).reason == "outside_dates"
        assert rejected(sentinel(), until=date(2025, 6, 18)).reason == "outside_dates"
        announced(sentinel(), since=date(2025, 6, 19), until=date(2025, 6, 19))

    def test_an_item_that_contradicts_its_name(self) -> None:
        assert rejected(sentinel(**{"grid:code": "MGRS-33TQM"})).reason == "contradictory_item"
        assert rejected(landsat(datetime="2024-06-13T09:52:14Z"), USGS).reason == "contradictory_item"

    @pytest.mark.parametrize(
        "item",
        [
            *(None, 3, "text", [], {}, {"id": 5}, {"id": SCENE}, {"id": SCENE, "properties": None}),
            {"id": SCENE, "properties": {"datetime": 5}},
            {"id": SCENE, "properties": {}, "geometry": None, "assets": {}},
            {"id": SCENE, "properties": {}, "geometry": {"type": "Nonsense"}, "assets": {}},
            {
                "id": SCENE,
                "properties": {},
                "geometry": {"type": "Polygon", "coordinates": "x"},
                "assets": {},
            },
            {
                "id": SCENE,
                "properties": {},
                "geometry": {"type": "Polygon", "coordinates": [[[1]]]},
                "assets": {},
            },
            {"id": "x" * 10_000, "properties": {}},
            {"id": "a\x00\r\nb", "properties": {}},
        ],
    )
    def test_whatever_stands_in_an_items_place_is_rejected(self, item: object) -> None:
        found = rejected(item)
        assert found.reason in ("broken_item", "unknown_id")
        assert len(found.item_id) <= 200
        assert found.item_id.isprintable()

    def test_an_item_without_id_has_a_name_in_the_ledger_all_the_same(self) -> None:
        assert item_id({}) == "(no id)"
        assert item_id(None) == "(no id)"


class TestFiles:
    def test_size_and_checksum_are_those_of_the_item(self) -> None:
        (file,) = announced(sentinel()).files
        assert (file.name, file.size) == (f"{SCENE}.zip", 1000)
        assert file.checksum == "md5:" + "ab" * 16

    @pytest.mark.parametrize(
        ("multihash", "checksum"),
        [
            ("1220" + "01" * 32, "sha256:" + "01" * 32),
            ("1340" + "01" * 64, "sha512:" + "01" * 64),
            ("1620" + "01" * 32, "sha3-256:" + "01" * 32),
            ("1e20" + "01" * 32, "blake3:" + "01" * 32),
            ("d50120" + "01" * 32, None),  # MD5 that is no MD5
            ("1220" + "01" * 20, None),
            ("ffffffffffffffffffffff", None),
            ("nonsense", None),
            ("", None),
            (17, None),
        ],
    )
    def test_multihashes_are_read_and_unbelievable_ones_left_out(
        self, multihash: object, checksum: str | None
    ) -> None:
        item = sentinel()
        item["assets"]["Product"]["file:checksum"] = multihash
        assert announced(item).files[0].checksum == checksum

    @pytest.mark.parametrize("size", [0, -5, "1000", 1.5, True, 1 << 60])
    def test_a_size_that_is_none_is_unknown(self, size: object) -> None:
        item = sentinel()
        item["assets"]["Product"]["file:size"] = size
        assert announced(item).files[0].size is None

    @pytest.mark.parametrize(
        "href",
        [
            "file:///etc/passwd",
            "https://evil.example/a.zip",
            "https://169.254.169.254/latest",
            "https://download.dataspace.copernicus.eu@evil.example/a",
            "javascript:alert(1)",
            "/local/path.zip",
        ],
    )
    def test_hostile_addresses_reject_the_item(self, href: str) -> None:
        item = sentinel()
        item["assets"]["Product"]["href"] = href
        found = rejected(item)
        assert found.reason == "hostile_href"
        assert found.tile == "32TQM"

    def test_an_address_of_a_scheme_that_is_not_ours_is_not_hostile(self) -> None:
        item = sentinel()
        item["assets"]["Product"]["href"] = "s3://eodata/a.zip"
        assert rejected(item).reason == "no_usable_hrefs"

    def test_the_preferred_scheme_is_taken_from_the_alternates(self) -> None:
        assert all(file.href.startswith("s3://usgs-landsat/") for file in announced(landsat(), USGS).files)

    def test_an_allowed_alternate_saves_an_item_whose_own_address_is_not(self) -> None:
        item = sentinel()
        asset = item["assets"]["Product"]
        asset["alternate"] = {"https": {"href": asset["href"]}, "junk": 5}
        asset["href"] = "file:///etc/passwd"
        assert announced(item).files[0].href.startswith("https://download.dataspace")

    def test_no_assets_are_no_usable_addresses(self) -> None:
        for assets in ({}, None, [], {"Product": None}, {"Product": {"href": None}}):
            assert rejected(sentinel() | {"assets": assets}).reason == "no_usable_hrefs"

    def test_a_fresh_item_that_lacks_a_file_is_waited_for(self) -> None:
        item = landsat(created="2025-06-25T10:00:00Z")
        del item["assets"]["red"]
        found = rejected(item, USGS)
        assert found.reason == "incomplete_item"
        assert "red" in found.sentence

    def test_an_old_item_that_lacks_a_file_is_announced_as_it_is(self) -> None:
        item = landsat()
        del item["assets"]["red"]
        names = {file.name for file in announced(item, USGS).files}
        assert f"{LANDSAT}_B4.TIF" not in names
        assert f"{LANDSAT}_B3.TIF" in names

    def test_optional_files_may_lack(self) -> None:
        item = landsat(created="2025-06-25T10:00:00Z")
        for key in ("SZA", "ANG.txt", "qa_radsat"):
            del item["assets"][key]
        announced(item, USGS)

    def test_a_hostile_address_of_any_file_rejects_the_whole_item(self) -> None:
        item = landsat()
        item["assets"]["SZA"] = {"href": "file:///etc/shadow"}
        assert rejected(item, USGS).reason == "hostile_href"
