"""How the flow stands, and what is overdue."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from ledger_rows import BY, KEY, SCENE, add_area, add_search, announce, claim, made, published, settle
from undersky.flow.status import status
from undersky.refs import Ending, Lane
from undersky.services.ledger import Actor

SIX_HOURS = timedelta(hours=6)


def later(hours):
    return datetime.now(UTC) + timedelta(hours=hours)


def at(ledger, hours=0.0):
    return status(ledger, max_wait=SIX_HOURS, now=later(hours))


def test_an_empty_ledger_is_not_late(ledger):
    found = at(ledger)
    assert (found.counts, found.running, found.searched, found.late) == ((), (), (), ())


def test_states_are_counted_by_lane(ledger):
    published(ledger)
    announce(ledger, key="S2A_20250618T095753_32TQM", scene=SCENE.replace("S2B", "S2A"), lane=Lane.HISTORICAL)
    found = {(count.what, count.lane, count.state): count.number for count in at(ledger).counts}
    assert found[("acquisition", Lane.FRESH, "valid")] == 1
    assert found[("acquisition", Lane.HISTORICAL, "discovered")] == 1
    assert found[("product", Lane.FRESH, "published")] == 1


def test_a_fresh_scene_that_waits_too_long_is_late(ledger):
    announce(ledger)
    assert at(ledger, 5).late == ()
    (sentence,) = at(ledger, 7).late
    assert sentence.startswith(f"ingest: {KEY} waits for 7 h")
    assert "expected at most 6 h" in sentence
    assert f"undersky show {KEY}" in sentence


def test_a_scene_that_waits_for_its_product_is_late_too(ledger):
    settle(ledger, Ending.DONE)
    assert at(ledger, 7).late[0].startswith(f"surface: {KEY}")


def test_historical_scenes_may_wait(ledger):
    announce(ledger, lane=Lane.HISTORICAL)
    found = at(ledger, 48)
    assert found.late == ()
    assert next(q for q in found.waiting if q.lane is Lane.HISTORICAL and q.work == "ingest").ready == 1


def test_what_ended_does_not_wait(ledger):
    settle(ledger, Ending.QUARANTINED, "band_missing", "no B10")
    assert at(ledger, 48).late == ()


def test_a_run_at_work_is_named_with_its_lease(ledger):
    announce(ledger)
    claim(ledger, by=Actor("scheduled__1", "claim"))
    (run,) = at(ledger).running
    assert (run.run, run.task, run.scenes, run.is_silent) == ("scheduled__1", "claim", 1, False)
    assert at(ledger, 2).running[0].is_silent


@pytest.mark.parametrize("work", ["ingest", "surface"])
def test_leases_are_found_in_every_queue_and_after_a_takeover(ledger, work):
    if work == "ingest":
        announce(ledger)
    else:
        settle(ledger, Ending.DONE)
    claim(ledger, work, by=Actor("gone", "claim"), lease=timedelta(milliseconds=1))
    time.sleep(0.01)
    claim(ledger, work, by=Actor("heir", "claim"))
    (run,) = at(ledger).running
    assert (run.run, run.is_silent) == ("heir", False)


def test_a_made_product_is_still_worked_on(ledger):
    settle(ledger, Ending.DONE)
    ref = claim(ledger, "surface", by=Actor("maker", "claim"))
    ledger.made(ref, made(ref), BY)
    assert at(ledger).running[0].run == "maker"


def test_an_area_that_nobody_searches_is_late(ledger):
    add_area(ledger)
    assert at(ledger, 5).late == ()
    (sentence,) = at(ledger, 7).late
    assert sentence.startswith("area maremma was never searched")
    add_search(ledger)
    assert at(ledger, 5).late == ()
    assert at(ledger, 7).late[0].startswith("area maremma in copernicus-dataspace was searched last 7 h")


def test_a_search_that_fails_is_late_and_says_with_what(ledger):
    add_area(ledger)
    add_search(ledger)
    add_search(ledger, error="503 from the archive")
    (line,) = at(ledger).searched
    assert line.last is not None
    assert line.error == "503 from the archive"
    assert "the newest search failed: 503 from the archive" in at(ledger, 7).late[0]


def test_each_archive_and_collection_has_its_own_last_search(ledger):
    add_area(ledger)
    add_search(ledger)
    add_search(ledger, profile="earth-search")
    assert [line.profile for line in at(ledger).searched] == ["copernicus-dataspace", "earth-search"]


def test_a_campaign_over_past_dates_is_no_search_of_today(ledger):
    add_area(ledger)
    add_search(ledger, found=1)
    add_search(ledger, lane=Lane.HISTORICAL, found=99)
    assert at(ledger).searched[0].found == 1


def test_paused_and_finished_areas_are_not_late(ledger):
    add_area(ledger, "paused")
    ledger.pause_area("paused", "no money", BY)
    add_area(ledger, "finished", until=datetime(2025, 6, 30, tzinfo=UTC).date())
    add_area(ledger, "to-come", since=(datetime.now(UTC) + timedelta(days=99)).date())
    assert at(ledger, 48).late == ()


def test_the_status_is_json(ledger):
    add_area(ledger)
    add_search(ledger)
    announce(ledger)
    claim(ledger)
    plain = json.loads(json.dumps(at(ledger, 9).as_json()))
    assert plain["max_wait_seconds"] == 21600
    assert {"counts", "waiting", "running", "searched", "late"} <= plain.keys()
    assert plain["running"][0]["scenes"] == 1
