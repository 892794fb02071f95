"""Discovering fills the ledger from every provider of every area, whatever some of them do."""

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from fixtures_archive import LANDSAT, SAFE, Archive, small_landsat, small_safe
from undersky.errors import ConfigError
from undersky.flow.discover import discover, providers
from undersky.refs import Lane
from undersky.services.ledger import Actor, Area, Ledger, Selection
from undersky.services.profiles import Quota

S2, L1 = "sentinel-2-l1c", "landsat-c2-l1"
SQUARE = {"type": "Polygon", "coordinates": [[[9, 42], [13, 42], [13, 46], [9, 46], [9, 42]]]}
NOW = datetime(2025, 6, 25, 12, tzinfo=UTC)
BY = Actor("run-1", "discover")
RECENT = SAFE.replace("20250619", "20250624")
SETTLED = 0.6  # the archive looks into its folder twice a second


def add(ledger: Ledger, name: str = "italy", **changes: object) -> None:
    wanted = {"geometry": SQUARE, "collections": (S2, L1), "since": date(2025, 6, 1)} | changes
    ledger.add_area(Area(name, **wanted), BY)  # type: ignore[arg-type]


def run(ledger: Ledger, archive: Archive, *, lane: Lane = Lane.FRESH, now: datetime = NOW, **changes: object):
    return discover(ledger, archive.profiles, lane=lane, by=BY, now=now, **changes)


def keys(ledger: Ledger) -> set[str]:
    return {found.key for found in ledger.acquisitions(Selection(), limit=1000)}


class TestFresh:
    def test_every_scene_of_every_collection_is_announced_once(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        add(ledger)
        small_safe(archive.folder)
        small_landsat(archive.folder, LANDSAT.replace("20250613", "20250621"))
        found = run(ledger, archive)
        assert found.announced == {"new": 2, "known": 1}  # two providers have the Sentinel scene
        assert (found.fresh_news, found.found, found.failures) == (2, 3, ())
        assert keys(ledger) == {"S2B_20250619T095753_32TQM", "LC09_192029_20250621"}

    def test_a_second_run_finds_nothing_new(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger)
        small_safe(archive.folder, RECENT)
        run(ledger, archive)
        again = run(ledger, archive, now=NOW + timedelta(minutes=5))
        assert again.fresh_news == 0
        assert again.announced["known"] == 2

    def test_every_search_is_recorded_with_its_window_and_counts(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        add(ledger, collections=(S2,), profiles=("copernicus-dataspace",))
        small_safe(archive.folder)
        run(ledger, archive)
        (search,) = ledger.searches(area="italy")
        assert (search.profile, search.collection, search.lane) == ("copernicus-dataspace", S2, Lane.FRESH)
        assert (search.begin, search.end) == (NOW - timedelta(days=10), NOW)
        assert (search.found, search.accepted, search.pages, search.error) == (1, 1, 1, None)
        assert search.run == "run-1"

    def test_rejections_are_recorded_with_their_reason(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger, max_cloud=50.0)
        small_safe(archive.folder, cloud=90.0)
        found = run(ledger, archive)
        assert found.rejected == {"too_cloudy": 2}
        kept = {one.item_id: one for one in ledger.rejections(tile="32TQM", day=date(2025, 6, 19))}
        assert kept[SAFE].reason == "too_cloudy"
        assert kept[SAFE].sentence == "90 % cloud; area italy takes up to 50 %"
        assert keys(ledger) == set()

    def test_a_late_granule_is_found_by_the_overlap(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger)
        run(ledger, archive)
        small_safe(archive.folder, SAFE.replace("20250619", "20250623"))
        time.sleep(SETTLED)
        assert run(ledger, archive, now=NOW + timedelta(hours=1)).fresh_news == 1

    def test_a_very_late_granule_is_found_by_the_daily_deep_look(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        # recorded searches carry the time of the database, so this plays in the present
        now = datetime.now(UTC).replace(microsecond=0)
        add(ledger, since=(now - timedelta(days=30)).date())
        run(ledger, archive, now=now)
        day = f"{now - timedelta(days=8):%Y%m%d}"
        small_safe(archive.folder, SAFE.replace("20250619", day))
        time.sleep(SETTLED)
        assert run(ledger, archive, now=now + timedelta(hours=1)).fresh_news == 0
        assert run(ledger, archive, now=now + timedelta(hours=25)).fresh_news == 1

    def test_a_new_baseline_supersedes_the_old_one(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger)
        small_safe(archive.folder, RECENT)
        run(ledger, archive)
        small_safe(archive.folder, RECENT.replace("N0511", "N0512").replace("132734", "232734"))
        time.sleep(SETTLED)
        found = run(ledger, archive, now=NOW + timedelta(hours=1))
        assert found.announced["newer"] == 1
        (acquisition,) = ledger.acquisitions(Selection())
        assert "N0512" in acquisition.scene

    def test_paused_areas_are_left_alone_and_unknown_ones_named(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        add(ledger)
        add(ledger, "alps")
        ledger.pause_area("alps", "snow", BY)
        run(ledger, archive)
        assert {search.area for search in ledger.searches()} == {"italy"}
        with pytest.raises(ConfigError, match="no active area is called alps"):
            run(ledger, archive, areas=["alps"])

    @pytest.mark.slow
    @pytest.mark.faults
    def test_two_hundred_scenes_announced_five_times_are_two_hundred(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        for path in range(1, 201):
            small_landsat(archive.folder, f"LC09_L1TP_{path:03d}029_20250624_20250625_02_T1")
        ring = [[-180, -80], [180, -80], [180, 80], [-180, 80], [-180, -80]]
        add(ledger, "world", geometry={"type": "Polygon", "coordinates": [ring]}, collections=(L1,))
        time.sleep(SETTLED)
        archive.faults({"kind": "lost", "percent": 20})
        for hour in range(5):
            run(ledger, archive, now=NOW + timedelta(hours=hour), areas=["world"])
        assert len(keys(ledger)) == 200


class TestFailures:
    @pytest.fixture(autouse=True)
    def scenes(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger)
        small_safe(archive.folder)
        small_landsat(archive.folder, LANDSAT.replace("20250613", "20250621"))

    @pytest.mark.faults
    def test_a_provider_that_fails_stops_no_other_and_is_reported(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        archive.faults({"kind": "missing", "match": "cdse/search"})
        found = run(ledger, archive)
        assert found.announced == {"new": 2}
        (failure,) = found.failures
        assert (failure.profile, failure.error) == ("copernicus-dataspace", "ConfigError")
        assert "404" in failure.sentence
        errors = {search.profile: search.error for search in ledger.searches()}
        assert errors["earth-search"] is None
        assert "404" in str(errors["copernicus-dataspace"])

    @pytest.mark.faults
    def test_a_failed_window_is_searched_again(self, ledger: Ledger, archive: Archive) -> None:
        archive.faults({"kind": "missing", "match": "search"})
        assert len(run(ledger, archive).failures) == 3
        archive.faults()
        again = run(ledger, archive, now=NOW + timedelta(hours=1))
        assert again.fresh_news == 2
        begins = {search.begin for search in ledger.searches() if search.error is None}
        assert begins == {
            NOW + timedelta(hours=1) - timedelta(days=archive.profiles[name].fresh_days)
            for name in archive.profiles
        }

    def test_an_unknown_profile_of_an_area_is_reported(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger, "odd", profiles=("nowhere", "usgs-landsatlook"))
        found = run(ledger, archive, areas=["odd"])
        assert {failure.profile for failure in found.failures} == {"nowhere"}
        assert "asks for profile nowhere" in found.failures[0].sentence
        assert found.fresh_news == 1

    def test_broken_items_leave_the_others(self, ledger: Ledger, archive: Archive) -> None:
        archive.faults({"kind": "broken", "match": "S2B_MSIL1C"})
        found = run(ledger, archive)
        assert found.rejected == {"broken_item": 1}
        assert found.fresh_news == 2

    @pytest.mark.faults
    def test_hostile_addresses_are_rejected_and_recorded(self, ledger: Ledger, archive: Archive) -> None:
        archive.faults({"kind": "hostile", "to": "file:///etc/passwd"})
        found = run(ledger, archive)
        assert found.rejected == {"hostile_href": 3}
        assert {one.reason for one in ledger.rejections()} == {"hostile_href"}

    def test_a_window_too_full_is_halved_until_it_goes_through(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        for day in range(16, 25):
            small_landsat(archive.folder, f"LC08_L1TP_192029_202506{day}_20250630_02_T1")
        time.sleep(SETTLED)
        narrow = archive.profile("usgs-landsatlook", page_items=2, max_pages=2)
        found = discover(
            ledger, {"usgs-landsatlook": narrow}, lane=Lane.FRESH, by=BY, now=NOW, areas=["italy"]
        )
        assert found.failures == ()
        assert found.fresh_news == 10
        assert sum(1 for search in ledger.searches() if search.error) >= 1


class TestHistorical:
    def test_past_dates_are_walked_newest_first_and_gone_on_with(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        now = datetime.now(UTC)
        since = now - timedelta(days=100)
        add(ledger, collections=(L1,), since=since.date())
        for days in (15, 50, 95):
            day = f"{now - timedelta(days=days):%Y%m%d}"
            small_landsat(archive.folder, f"LC09_L1TP_192029_{day}_{now:%Y%m%d}_02_T1")
        first = run(ledger, archive, lane=Lane.HISTORICAL, now=now, windows=4)
        assert first.searches == 4
        assert first.left > 0
        assert first.fresh_news == 1
        ends = [search.end for search in reversed(ledger.searches())]
        assert ends == sorted(ends, reverse=True)
        total = first.fresh_news
        for _ in range(5):
            later = run(ledger, archive, lane=Lane.HISTORICAL, now=now, windows=4)
            total += later.fresh_news
        assert total == 3
        assert (later.searches, later.left) == (0, 0)
        assert {search.lane for search in ledger.searches()} == {Lane.HISTORICAL}

    def test_historical_scenes_are_announced_in_their_lane(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger, collections=(L1,), profiles=("usgs-landsatlook",))
        small_landsat(archive.folder, LANDSAT.replace("20250613", "20250602"))
        run(ledger, archive, lane=Lane.HISTORICAL)
        assert ledger.claim("ingest", lane=Lane.FRESH, limit=5, by=BY, lease=timedelta(hours=1)) == []
        (scene,) = ledger.claim("ingest", lane=Lane.HISTORICAL, limit=5, by=BY, lease=timedelta(hours=1))
        assert scene.acquisition == "LC09_192029_20250602"


class TestQuotas:
    @pytest.fixture(autouse=True)
    def scenes(self, ledger: Ledger, archive: Archive) -> None:
        add(ledger, collections=(L1,), since=date(2025, 5, 1))
        for day in range(16, 26):
            small_landsat(archive.folder, f"LC08_L1TP_192029_202506{day}_20250630_02_T1")

    def limited(self, archive: Archive, quota: Quota):
        return {"usgs-landsatlook": archive.profile("usgs-landsatlook", quota=quota)}

    def test_no_more_scenes_than_the_quota_are_announced_and_none_is_lost(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        now = datetime.now(UTC)
        profiles = self.limited(archive, Quota(scenes_per_day=4))
        profiles = {name: replace(profile, fresh_days=5000.0) for name, profile in profiles.items()}
        found = discover(ledger, profiles, lane=Lane.FRESH, by=BY, now=now)
        assert found.fresh_news == 4
        assert found.failures == ()
        assert found.paused == ("usgs-landsatlook: 4 scenes in 24 hours, of 4 a day; later runs go on",)
        again = discover(ledger, profiles, lane=Lane.FRESH, by=BY, now=now + timedelta(minutes=5))
        assert again.fresh_news == 0
        next_day = discover(ledger, profiles, lane=Lane.FRESH, by=BY, now=now + timedelta(hours=30))
        assert next_day.fresh_news == 4

    def test_gigabytes_count_as_the_profile_estimates_them(self, ledger: Ledger, archive: Archive) -> None:
        profiles = self.limited(archive, Quota(gigabytes_per_day=0.1))  # 30 MB a scene
        found = discover(ledger, profiles, lane=Lane.FRESH, by=BY, now=NOW)
        assert found.fresh_news == 3

    def test_past_dates_leave_a_part_of_the_quota_to_fresh_scenes(
        self, ledger: Ledger, archive: Archive
    ) -> None:
        profiles = self.limited(archive, Quota(scenes_per_day=5))
        later = NOW + timedelta(days=60)
        found = discover(ledger, profiles, lane=Lane.HISTORICAL, by=BY, now=later)
        assert found.fresh_news == 4


class TestProviders:
    def test_an_area_without_profiles_asks_everybody_who_has_the_collection(self, archive: Archive) -> None:
        area = Area("italy", SQUARE, (S2,), since=date(2025, 6, 1))
        assert providers(area, S2, archive.profiles) == ["copernicus-dataspace", "earth-search"]
        assert providers(area, L1, archive.profiles) == ["usgs-landsatlook"]

    def test_an_area_with_profiles_asks_them_in_its_order(self, archive: Archive) -> None:
        names = ("usgs-landsatlook", "earth-search", "copernicus-dataspace")
        area = Area("italy", SQUARE, (S2,), since=date(2025, 6, 1), profiles=names)
        assert providers(area, S2, archive.profiles) == ["earth-search", "copernicus-dataspace"]
