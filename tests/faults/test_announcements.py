"""Announcements come late, several times, in any order, from several searches, or not at all."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from fixtures_ledger import BY, DAY, LEASE, announcement, claimed, outcome
from undersky.refs import Lane
from undersky.services.ledger import Actor, Announced, Announcement, LeaseLost, Ledger, Search

pytestmark = pytest.mark.faults

SCENES = 200
THREADS = 6


def scene(number: int, baseline: str = "05.10", **changes: object) -> Announcement:
    """One of 200 acquisitions, ten minutes apart, in one of its deliveries."""
    sensed = DAY + timedelta(minutes=10 * number)
    key = f"S2B_{sensed:%Y%m%dT%H%M%S}_32TQM"
    named = {"key": key, "scene": f"{key}_N{baseline}", "sensed": sensed, "baseline": baseline}
    return announcement(**(named | changes))


def announce_all(ledger: Ledger, said: list[Announcement], seed: int) -> Counter[Announced]:
    """Every announcement, shuffled, by several threads at once."""
    shuffled = list(said)
    random.Random(seed).shuffle(shuffled)
    with ThreadPoolExecutor(THREADS) as pool:
        runs = [Actor(f"run-{number % THREADS}", "discover") for number in range(len(shuffled))]
        return Counter(pool.map(ledger.announce, shuffled, runs))


def keys(ledger: Ledger) -> list[str]:
    return sorted(row.key for row in ledger.acquisitions(_everything(), limit=10_000))


def _everything() -> object:
    from undersky.services.ledger import Selection

    return Selection()


def test_two_hundred_scenes_announced_five_times_end_as_one_row_each(ledger: Ledger) -> None:
    scenes = [scene(number) for number in range(SCENES)]
    counts = announce_all(ledger, scenes * 5, seed=1)
    assert counts == {Announced.NEW: SCENES, Announced.KNOWN: 4 * SCENES}
    assert keys(ledger) == sorted(each.key for each in scenes)
    assert all(len(ledger.story(each.key).history) == 1 for each in scenes)


def test_late_baselines_and_twins_in_any_order_end_the_same(ledger: Ledger) -> None:
    numbers = range(0, SCENES, 5)
    said = [
        scene(number, baseline, datastrip=f"{(DAY + timedelta(minutes=side)):%Y%m%dT%H%M%S}",
              scene=f"{number} {side} {baseline}")
        for number in numbers for side in (0, 5) for baseline in ("02.09", "05.10", "05.11")
    ]  # fmt: skip
    announce_all(ledger, said * 5, seed=2)
    assert len(keys(ledger)) == 2 * len(numbers)
    for number in numbers:
        sides = [row for row in ledger.find("32TQM", scene(number).sensed.date())
                 if row.sensed == scene(number).sensed]  # fmt: skip
        assert sorted(row.scene for row in sides) == [f"{number} {side} 05.11" for side in (0, 5)]
        for row in sides:
            deliveries = ledger.story(row.key).deliveries
            assert len(deliveries) == 3
            assert [each.scene for each in deliveries if each.superseded_by is None] == [row.scene]


def test_work_goes_on_while_newer_deliveries_arrive_and_none_is_lost(ledger: Ledger) -> None:
    scenes = [scene(number) for number in range(40)]
    announce_all(ledger, scenes, seed=3)

    def work(number: int) -> int:
        lost, by = 0, Actor(f"worker-{number}")
        for _ in range(200):
            refs = claimed(ledger, by=by, limit=3)
            if not refs:
                break
            for ref in refs:
                try:
                    ledger.settle(ref, outcome(ref), by)
                except LeaseLost:
                    lost += 1
        return lost

    with ThreadPoolExecutor(THREADS) as pool:
        workers = [pool.submit(work, number) for number in range(3)]
        newer = [pool.submit(ledger.announce, scene(number, "05.11"), BY) for number in range(40)]
        assert {each.result() for each in newer} == {Announced.NEWER}
        lost = sum(each.result() for each in workers)
    work(9)
    for each in scenes:
        story = ledger.story(each.key)
        assert (story.acquisition.state, story.acquisition.scene) == ("valid", f"{each.key}_N05.11")
        assert [product.scene for product in story.products if product.state == "wanted"] == [
            f"{each.key}_N05.11"
        ]
    assert lost >= 0


def test_a_fifth_of_the_announcements_is_lost_and_the_next_windows_find_them(ledger: Ledger) -> None:
    """Each search looks back over six windows and loses 20 % of what it finds: nothing stays lost."""
    chance = random.Random(4)
    scenes = [scene(number) for number in range(SCENES)]
    window, step = timedelta(hours=12), timedelta(hours=2)
    end, last = DAY + step, scenes[-1].sensed + window
    lost = 0
    while end <= last + step:
        found = [each for each in scenes if end - window <= each.sensed < end]
        heard = [each for each in found if chance.random() >= 0.2]
        lost += len(found) - len(heard)
        for each in heard:
            ledger.announce(each, BY)
        search = Search("valley", "cdse", "sentinel-2-l1c", end - window, end, found=len(heard))
        ledger.record_search(search, [], BY)
        end += step
    assert lost > SCENES / 2
    assert keys(ledger) == sorted(each.key for each in scenes)


def test_a_worker_that_hangs_delays_nobody_and_cannot_write_any_more(ledger: Ledger) -> None:
    for number in range(6):
        ledger.announce(scene(number), BY)
    hung = claimed(ledger, by=Actor("hung"), limit=3)
    others = claimed(ledger, by=Actor("quick"))
    assert len(others) == 3
    ledger.renew(hung, Actor("hung"), -LEASE)
    again = claimed(ledger, by=Actor("quick"))
    assert [ref.acquisition for ref in again] == [ref.acquisition for ref in hung]
    for ref in hung:
        with pytest.raises(LeaseLost):
            ledger.settle(ref, outcome(ref), Actor("hung"))
    for ref in (*others, *again):
        ledger.settle(ref, outcome(ref), Actor("quick"))
    assert len(claimed(ledger, "surface", lane=Lane.FRESH)) == 6
