"""Areas, searches, and what people ask."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from fixtures_ledger import BY, DAY, LEASE, announcement, claimed, one_valid, outcome, product_of, publish
from undersky.errors import ConfigError, ServiceError
from undersky.refs import Ending, Lane
from undersky.services.ledger import Actor, Area, Ledger, Rejection, Search, Selection
from undersky.services.ledger import queries as asked

VALLEY = Area(
    name="valley",
    geometry={"type": "Point", "coordinates": [9.5, 45.2]},
    collections=("sentinel-2-l1c", "landsat-c2-l1"),
    since=date(2025, 6, 1),
    max_cloud=60.0,
    profiles=("cdse",),
)
SEARCH = Search(
    area="valley",
    profile="cdse",
    collection="sentinel-2-l1c",
    begin=DAY - timedelta(days=2),
    end=DAY + timedelta(days=1),
    found=3,
    accepted=2,
    pages=1,
    seconds=0.5,
)
CLOUDY = Rejection("S2B_cloudy", "too_cloudy", "88 % cloud", tile="32TQM", sensed=DAY)


def test_an_area_is_kept_as_it_was_given(ledger: Ledger) -> None:
    ledger.add_area(VALLEY, BY)
    [area] = ledger.areas()
    assert area.created is not None
    assert replace(area, created=None) == VALLEY
    with pytest.raises(ConfigError, match="an area called valley is there already"):
        ledger.add_area(VALLEY, BY)


def test_a_paused_area_is_not_active_until_it_is_resumed(ledger: Ledger) -> None:
    ledger.add_area(VALLEY, BY)
    ledger.pause_area("valley", "too dear", BY)
    assert ledger.areas(active=True) == ()
    assert (ledger.areas()[0].paused, ledger.areas()[0].paused_reason) == (True, "too dear")
    ledger.resume_area("valley", BY)
    assert [area.paused_reason for area in ledger.areas(active=True)] == [None]
    with pytest.raises(ConfigError, match="no area is called 'hill': valley"):
        ledger.pause_area("hill", "x", BY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"collections": ()}, "one collection"),
        ({"until": date(2025, 5, 1)}, "ends"),
    ],
)
def test_an_area_that_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(VALLEY, **change)


def test_a_rejection_seen_again_is_one_row(ledger: Ledger) -> None:
    first = ledger.record_search(SEARCH, [CLOUDY, CLOUDY], BY)
    second = ledger.record_search(SEARCH, [replace(CLOUDY, sentence="88.1 % cloud")], BY)
    assert second > first
    [rejection] = ledger.rejections(tile="32TQM", day=DAY.date())
    assert (rejection.reason, rejection.sentence, rejection.area) == ("too_cloudy", "88.1 % cloud", "valley")
    assert rejection.first_seen < rejection.last_seen
    assert ledger.rejections(item_id="S2B_cloudy") == (rejection,)
    assert ledger.rejections(tile="31TGL") == ()


def test_searches_are_found_by_what_they_covered(ledger: Ledger) -> None:
    ledger.record_search(SEARCH, [], BY)
    ledger.record_search(replace(SEARCH, area="hill", error="429"), [], Actor("run-2"))
    both = ledger.searches(covering=DAY)
    assert [(each.area, each.error, each.run) for each in both] == [
        ("hill", "429", "run-2"),
        ("valley", None, "run-1"),
    ]
    assert [each.area for each in ledger.searches(area="valley")] == ["valley"]
    assert ledger.searches(covering=DAY + timedelta(days=1)) == ()


def test_searches_that_reject_the_same_ids_crosswise_do_not_lock_each_other_out(ledger: Ledger) -> None:
    ids = [replace(CLOUDY, item_id=f"item-{number}") for number in range(80)]

    def search(number: int) -> int:
        return ledger.record_search(SEARCH, ids if number % 2 else ids[::-1], BY)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(search, range(12)))) == 12
    assert len(ledger.rejections(tile="32TQM")) == 80


def test_the_day_of_a_tile_holds_everything_that_is_known(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    ledger.record_search(SEARCH, [CLOUDY], BY)
    day = ledger.day("32TQM", DAY.date())
    assert [row.key for row in day.acquisitions] == [ref.acquisition]
    assert [row.id for row in day.products] == [ref.product]
    assert [row.item_id for row in day.rejections] == ["S2B_cloudy"]
    assert [row.area for row in day.searches] == ["valley"]
    empty = ledger.day("32TQM", DAY.date() + timedelta(days=9))
    assert (empty.acquisitions, empty.products, empty.rejections, empty.searches) == ((), (), (), ())


def test_a_day_ends_at_midnight_utc(ledger: Ledger) -> None:
    for number, sensed in enumerate(("2025-06-18T23:59:59+00:00", "2025-06-19T00:00:00+00:00")):
        said = announcement(number, sensed=datetime.fromisoformat(sensed))
        ledger.announce(said, BY)
    assert [row.key for row in ledger.find("32TQM", date(2025, 6, 19))] == [announcement(1).key]


def test_the_queues_say_what_waits_and_how_long(ledger: Ledger) -> None:
    assert [(each.work, each.lane, each.number) for each in ledger.waiting()] == [
        ("ingest", Lane.FRESH, 0),
        ("ingest", Lane.HISTORICAL, 0),
        ("surface", Lane.FRESH, 0),
        ("surface", Lane.HISTORICAL, 0),
        ("landcover", Lane.FRESH, 0),
        ("landcover", Lane.HISTORICAL, 0),
        ("vessels", Lane.FRESH, 0),
        ("vessels", Lane.HISTORICAL, 0),
    ]
    for number in range(4):
        ledger.announce(announcement(number), BY)
    ledger.announce(announcement(9, lane=Lane.HISTORICAL), BY)
    [back, _] = claimed(ledger, limit=2)
    ledger.give_back([back], BY, "service_failed", "503")
    claimed(ledger, limit=1, lease=timedelta(seconds=-5))
    fresh, historical, *_ = ledger.waiting()
    assert (fresh.ready, fresh.delayed, fresh.leased, fresh.expired) == (2, 1, 1, 1)
    assert (historical.ready, historical.number) == (1, 1)
    assert fresh.oldest == announcement(0).key
    assert fresh.oldest_since is not None
    assert fresh.oldest_since < datetime.now(UTC)


def test_a_scene_that_is_retried_waits_since_then(ledger: Ledger) -> None:
    ledger.announce(announcement(), BY)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref, Ending.FAILED, "crashed"), BY)
    failed = ledger.story(ref.acquisition).acquisition
    ledger.retry(Selection(state="failed"), by=BY, why="again")
    assert ledger.waiting()[0].oldest_since > failed.changed


def test_counts_are_by_lane_state_and_reason(ledger: Ledger) -> None:
    one_valid(ledger, 0)
    ledger.announce(announcement(1), BY)
    ledger.announce(announcement(2, lane=Lane.HISTORICAL), BY)
    counts = {(count.what, count.lane, count.state): count.number for count in ledger.counts()}
    assert counts == {
        ("acquisition", Lane.FRESH, "discovered"): 1,
        ("acquisition", Lane.FRESH, "valid"): 1,
        ("acquisition", Lane.HISTORICAL, "discovered"): 1,
        ("product", Lane.FRESH, "wanted"): 1,
    }


def test_a_story_is_found_by_key_and_by_any_delivery(ledger: Ledger) -> None:
    ledger.announce(announcement(scene="old", baseline="05.10"), BY)
    ledger.announce(announcement(scene="new"), BY)
    stories = [ledger.story(name) for name in ("old", "new", announcement().key)]
    assert stories[0] == stories[1] == stories[2]
    assert ledger.story("never heard of") is None


def test_published_products_are_read_page_by_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PAGE", 2)
    for number in range(5):
        publish(ledger, one_valid(ledger, number), f"d{number}")
    products = list(ledger.published("sentinel-2-l2-undersky"))
    assert [product.digest for product in products] == ["d0", "d1", "d2", "d3", "d4"]
    assert products[0].geometry == announcement().geometry
    assert products[0].collection == "sentinel-2-l1c"
    assert list(ledger.published("another")) == []


def test_lists_are_newest_change_first(ledger: Ledger) -> None:
    for number in range(3):
        ledger.announce(announcement(number), BY)
    keys = [row.key for row in ledger.acquisitions(Selection(state="discovered"), limit=2)]
    assert keys == [announcement(2).key, announcement(1).key]
    claimed(ledger)
    ref = one_valid(ledger, 3)
    ledger.made(ref, product_of(ref), BY)
    assert [row.id for row in ledger.products(Selection(state="made"))] == [ref.product]


def test_a_run_remembers_what_it_did(ledger: Ledger) -> None:
    ledger.announce(announcement(), Actor("run-7"))
    claimed(ledger, by=Actor("run-8"))
    assert [event.reason for event in ledger.events("run-7")] == ["announced"]
    assert [event.reason for event in ledger.events("run-8")] == ["claimed"]


def test_one_at_a_time_means_one(ledger: Ledger, ledger_url: str) -> None:
    from sqlalchemy import create_engine

    other = Ledger(
        create_engine(
            ledger_url.replace("postgresql://", "postgresql+psycopg2://"),
            connect_args={"options": "-c lock_timeout=100ms"},
        ),
        patience=ledger._patience,
    )
    with ledger.alone("index"):
        with other.alone("something else"):
            pass
        with pytest.raises(ServiceError, match="was busy: canceling statement"), other.alone("index"):
            pass
    with other.alone("index"):
        pass
    other.close()
    assert timedelta(0) < LEASE
