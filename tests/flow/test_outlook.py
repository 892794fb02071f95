"""What an area would bring, asked of a real STAC server; nothing is recorded."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fixtures_archive import LANDSAT, SAFE, Archive, small_landsat, small_safe
from ledger_rows import GROUND, add_area, published
from undersky.flow.outlook import SAMPLED, outlook, seconds_for
from undersky.refs import Lane
from undersky.services.ledger import Area

NOW = datetime(2025, 6, 22, 12, tzinfo=UTC)
OLD = "S2A_MSIL1C_20250407T095753_N0511_R066_T32TQM_20250407T132734"


def area(*collections: str, **changes) -> Area:
    fields = {"geometry": GROUND, "since": date(2025, 4, 1)} | changes
    return Area(name="maremma", collections=collections or ("sentinel-2-l1c",), **fields)


def quick(archive: Archive, **changes):
    """The archive's profiles without their pace."""
    return {name: archive.profile(name, requests_per_second=1000, **changes) for name in archive.profiles}


def by_lane(archive: Archive, wanted: Area, **changes):
    found = outlook(wanted, quick(archive, **changes), now=NOW)
    return {line.lane: line for line in found.lines}


def test_fresh_and_historical_scenes_are_counted_apart(archive):
    small_safe(archive.folder)
    small_safe(archive.folder, OLD)
    lines = by_lane(archive, area())
    assert (lines[Lane.FRESH].scenes, lines[Lane.HISTORICAL].scenes) == (1, 1)
    assert all(line.error is None and line.gigabytes > 0 for line in lines.values())


def test_what_the_area_would_reject_is_counted_with_its_reason(archive):
    small_safe(archive.folder, cloud=95.0)
    line = by_lane(archive, area(max_cloud=50.0))[Lane.FRESH]
    assert (line.scenes, dict(line.rejected)) == (0, {"too_cloudy": 1})


def test_two_deliveries_of_one_granule_are_one_scene(archive):
    small_safe(archive.folder)
    small_safe(archive.folder, SAFE.replace("N0511", "N0512"))
    assert by_lane(archive, area())[Lane.FRESH].scenes == 1


def test_collections_are_counted_apart(archive):
    small_safe(archive.folder)
    small_landsat(archive.folder, LANDSAT)
    everywhere = {"type": "Polygon", "coordinates": [[[0, 30], [30, 30], [30, 60], [0, 60], [0, 30]]]}
    found = outlook(area("sentinel-2-l1c", "landsat-c2-l1", geometry=everywhere), quick(archive), now=NOW)
    assert [(line.collection, line.lane) for line in found.lines] == [
        (collection, lane) for collection in ("sentinel-2-l1c", "landsat-c2-l1") for lane in Lane
    ]
    assert sum(line.scenes for line in found.lines if line.collection == "landsat-c2-l1") == 1


def test_many_years_are_sampled_and_that_is_said(archive):
    small_safe(archive.folder)
    line = by_lane(archive, area(since=date(2016, 1, 1)))[Lane.HISTORICAL]
    assert line.searched == SAMPLED < line.windows


def test_sampled_windows_stand_for_all_of_them(archive):
    # Windows of a day, and a scene every other day.
    start = date(2025, 4, 1).toordinal()
    for number in range(0, 72, 2):
        small_safe(archive.folder, OLD.replace("20250407", f"{date.fromordinal(start + number):%Y%m%d}"))
    line = by_lane(archive, area(), window_days=1.0)[Lane.HISTORICAL]
    assert line.searched == SAMPLED < line.windows
    assert 24 <= line.scenes <= 48


def test_an_archive_that_fails_gives_way_to_the_next(archive):
    small_safe(archive.folder)
    profiles = quick(archive)
    first = next(name for name in profiles if "sentinel-2-l1c" in profiles[name].collections)
    profiles[first] = archive.profile(first, stac=f"{archive.url}/moved")
    found = outlook(area(), profiles, now=NOW)
    assert found.is_complete
    assert all(line.profile not in (None, first) for line in found.lines)


def test_without_an_archive_that_answers_that_is_told(archive):
    found = outlook(area(), quick(archive, stac=f"{archive.url}/moved"), now=NOW)
    assert not found.is_complete
    assert all(line.error and line.profile is None for line in found.lines)
    assert "404" in found.lines[0].error


def test_hours_go_by_what_scenes_took_here(ledger):
    speed = seconds_for("sentinel-2-l1c", None)
    assert speed.seconds == 131
    assert "README" in speed.source
    assert seconds_for("landsat-c2-l1", ledger).seconds == pytest.approx(91.7)
    add_area(ledger)
    published(ledger)
    assert seconds_for("sentinel-2-l1c", ledger).seconds == 90.0
    assert "mean of the last 1 products here" in seconds_for("sentinel-2-l1c", ledger).source
    assert "README" in seconds_for("landsat-c2-l1", ledger).source


def test_the_measured_second_of_the_default_is_that_of_the_readme():
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert "| correct | 131 |" in text


def test_an_outlook_is_json_with_its_sums(archive):
    small_safe(archive.folder)
    small_safe(archive.folder, OLD)
    plain = json.loads(json.dumps(outlook(area(), quick(archive), now=NOW).as_json()))
    assert plain["scenes"] == 2
    assert plain["hours"] == pytest.approx(2 * 131 / 3600, abs=0.02)
    assert plain["complete"] is True
    assert {line["lane"] for line in plain["lines"]} == {"fresh", "historical"}
