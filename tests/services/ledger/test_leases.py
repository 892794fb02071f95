"""Leases: nobody works on what somebody else works on, and nobody writes with a lease that has ended."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from fixtures_ledger import BY, LEASE, announcement, claimed, one_valid, outcome, publish
from undersky.refs import Ending, Lane, ModelRef, ReleaseSet
from undersky.services.ledger import AcquisitionState, Actor, LeaseLost, Ledger, ProductState

OVER = timedelta(seconds=-1)
"""A lease that has run out when it is given."""
OTHER = Actor("run-2", "claim")


def announce(ledger: Ledger, number: int, **changes: object) -> None:
    for each in range(number):
        ledger.announce(announcement(each, **changes), BY)


def test_a_claim_takes_the_newest_first_and_leaves_the_rest(ledger: Ledger) -> None:
    announce(ledger, 5)
    refs = claimed(ledger, limit=3)
    assert [ref.acquisition for ref in refs] == [announcement(number).key for number in (4, 3, 2)]
    assert {ref.token for ref in refs} == {1}
    assert [ref.acquisition for ref in claimed(ledger, by=OTHER)] == [announcement(n).key for n in (1, 0)]


def test_a_claim_of_one_lane_never_holds_a_scene_of_the_other(ledger: Ledger) -> None:
    ledger.announce(announcement(0, lane=Lane.FRESH), BY)
    ledger.announce(announcement(1, lane=Lane.HISTORICAL), BY)
    assert [ref.acquisition for ref in claimed(ledger)] == [announcement(0).key]
    assert [ref.lane for ref in claimed(ledger, lane=Lane.HISTORICAL)] == [Lane.HISTORICAL]


def test_a_claim_carries_what_the_work_needs(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    assert ref.product is not None
    assert (ref.files[0].href, ref.files[0].checksum) == (
        "s3://undersky-tests/l1/x/MTD_MSIL1C.xml",
        "sha256:00",
    )
    assert (ref.collection, ref.cloud_percent, ref.profile) == ("sentinel-2-l1c", 12.5, "cdse")


def test_claims_that_race_share_the_scenes_and_none_is_taken_twice(ledger: Ledger) -> None:
    announce(ledger, 60)
    gate = threading.Barrier(8)

    def grab(number: int) -> list[str]:
        gate.wait()
        taken: list[str] = []
        while refs := claimed(ledger, by=Actor(f"run-{number}"), limit=3):
            taken += [ref.acquisition for ref in refs]
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = Counter(key for keys in pool.map(grab, range(8)) for key in keys)
    assert len(taken) == 60
    assert set(taken.values()) == {1}


def test_a_lease_that_ran_out_is_claimed_again_and_the_history_says_so(ledger: Ledger) -> None:
    announce(ledger, 1)
    [old] = claimed(ledger, lease=OVER)
    [new] = claimed(ledger, by=OTHER)
    assert new.token == old.token + 1
    with pytest.raises(LeaseLost, match=r"lease 1 has ended.*held by run-2"):
        ledger.settle(old, outcome(old), BY)
    assert ledger.settle(new, outcome(new), OTHER) == AcquisitionState.VALID
    story = ledger.story(new.acquisition)
    assert story is not None
    assert [event.reason for event in story.history] == [
        *("announced", "claimed", "lease_expired", "ingested", "valid", "wanted"),
    ]
    assert "lease of run-1 (test) ran out" in story.history[2].sentence


def test_a_lease_that_ran_out_still_counts_while_nobody_else_has_the_scene(ledger: Ledger) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger, lease=OVER)
    assert ledger.settle(ref, outcome(ref), BY) == AcquisitionState.VALID


def test_a_renewed_lease_stands_and_a_lost_one_is_named(ledger: Ledger) -> None:
    announce(ledger, 2)
    [kept, lost] = claimed(ledger, lease=OVER)
    assert ledger.renew([kept], BY, LEASE) == []
    [taken] = claimed(ledger, by=OTHER)
    assert taken.acquisition == lost.acquisition
    assert ledger.renew([kept, lost], BY, LEASE) == [lost]
    ref = one_valid(ledger, 5)
    assert ledger.renew([ref], BY, LEASE) == []


def test_a_settled_scene_has_no_lease_to_renew(ledger: Ledger) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    assert ledger.renew([ref], BY, LEASE) == [ref]


def test_what_is_given_back_waits_longer_after_every_try(ledger_url: str) -> None:
    ledger = Ledger.open(ledger_url, max_tries=4, backoff=timedelta(minutes=2))
    announce(ledger, 1)
    pauses = []
    for _ in range(3):
        [ref] = claimed(ledger)
        assert ledger.give_back([ref], BY, "stage_died", "its process died") == []
        assert claimed(ledger) == []
        row = ledger.story(ref.acquisition).acquisition
        pauses.append(round((row.not_before - row.changed).total_seconds() / 60))
        _end_pauses(ledger)
    assert pauses == [2, 8, 32]
    assert row.sentence == "its process died (try 3 of 4, next in 32 min)"
    [ref] = claimed(ledger)
    ledger.give_back([ref], BY, "stage_died", "its process died")
    row = ledger.story(ref.acquisition).acquisition
    assert (row.state, row.reason, row.tries) == (AcquisitionState.FAILED, "stage_died", 4)
    assert "given up after 4 tries" in row.sentence
    ledger.close()


@pytest.mark.parametrize("reason", ["service_failed", "stopped", "config", "scratch_full"])
def test_an_outage_however_long_fails_no_scene(ledger_url: str, reason: str) -> None:
    ledger = Ledger.open(ledger_url, max_tries=2, backoff=timedelta(hours=1))
    announce(ledger, 1)
    for _ in range(6):
        [ref] = claimed(ledger)
        assert ledger.give_back([ref], BY, reason, "the store is away") == []
        row = ledger.story(ref.acquisition).acquisition
        assert row.state == AcquisitionState.DISCOVERED
        assert row.not_before - row.changed <= timedelta(hours=6, seconds=1)
        _end_pauses(ledger)
    assert row.sentence == "the store is away (try 6, next in 360 min)"
    ledger.close()


def test_who_gives_back_has_no_word_left(ledger: Ledger) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    ledger.give_back([ref], BY, "stopped", "asked to end")
    assert ledger.give_back([ref], BY, "stopped", "asked to end") == [ref]
    with pytest.raises(LeaseLost):
        ledger.settle(ref, outcome(ref), BY)
    assert ledger.story(ref.acquisition).acquisition.tries == 1


def test_a_scene_whose_holders_always_fall_silent_is_failed_in_the_end(ledger_url: str) -> None:
    ledger = Ledger.open(ledger_url, max_tries=3)
    announce(ledger, 1)
    ledger.announce(announcement(0), BY)
    for _ in range(3):
        assert ledger.renew(claimed(ledger, lease=OVER), Actor("run-1", "ingest"), OVER) == []
    announce(ledger, 2)
    assert [ref.acquisition for ref in claimed(ledger, limit=1)] == [announcement(1).key]
    assert claimed(ledger, limit=1) == []
    story = ledger.story(announcement(0).key)
    assert (story.acquisition.state, story.acquisition.reason) == (AcquisitionState.FAILED, "lease_expired")
    ledger.close()


def test_a_batch_that_only_waited_for_its_turn_costs_its_scenes_no_try(ledger_url: str) -> None:
    ledger = Ledger.open(ledger_url, max_tries=2)
    announce(ledger, 1)
    for _ in range(4):
        [ref] = claimed(ledger, lease=OVER)
    row = ledger.story(ref.acquisition).acquisition
    assert (row.state, row.reason, row.tries) == (AcquisitionState.DISCOVERED, "lease_expired", 0)
    ledger.close()


def test_a_product_whose_try_broke_off_is_claimed_again_from_the_beginning(ledger: Ledger) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    [old] = claimed(ledger, "surface", lease=OVER)
    from fixtures_ledger import product_of

    ledger.made(old, product_of(old), BY)
    [new] = claimed(ledger, "surface", by=OTHER)
    assert ledger.story(ref.acquisition).products[0].state == ProductState.WANTED
    publish(ledger, new, by=OTHER)
    with pytest.raises(LeaseLost):
        ledger.made(old, product_of(old), BY)


def test_the_pinned_release_stands_beside_the_product(ledger: Ledger) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref), BY)
    model = ModelRef(name="correction", version="1", label="physics-1", digest="m", href="s3://b/models")
    release = ReleaseSet(digest="r1", models=(model,))
    ledger.claim("surface", lane=Lane.FRESH, limit=1, by=BY, lease=LEASE, release=release)
    assert ledger.story(ref.acquisition).products[0].release == "r1"


def test_a_run_finds_what_it_holds(ledger: Ledger) -> None:
    announce(ledger, 2)
    mine = claimed(ledger, limit=1)
    other = claimed(ledger, by=OTHER, limit=1)
    assert ledger.holding("run-1") == mine
    assert ledger.holding("run-2", "ingest") == other
    assert ledger.holding("run-1", "surface") == []
    ledger.settle(mine[0], outcome(mine[0], Ending.FAILED, "crashed"), BY)
    assert ledger.holding("run-1") == []


def test_a_lease_from_another_ledger_is_no_lease(ledger: Ledger) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    with pytest.raises(LeaseLost, match="another ledger"):
        ledger.settle(ref.model_copy(update={"acquisition": "x"}), outcome(ref), BY)


def _end_pauses(ledger: Ledger) -> None:
    from sqlalchemy import text

    with ledger._engine.begin() as connection:
        connection.execute(
            text("update ledger.acquisition set not_before = now() where not_before is not null")
        )
