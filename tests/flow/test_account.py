"""The last word of a run."""

from datetime import timedelta

import pytest

from fixtures_ledger import BY, LEASE, announcement, claimed, one_valid, outcome, product_of, publish
from tile_maps import publish_map
from undersky.flow.account import account
from undersky.flow.claim import claim
from undersky.refs import Ending, Lane, Stage
from undersky.services.ledger import Actor, Ledger
from undersky.services.store import Store


def announce(ledger: Ledger, number: int) -> None:
    for each in range(number):
        ledger.announce(announcement(each), Actor("discover"))


def test_expected_endings_are_counted_and_nobody_is_named(ledger: Ledger, store: Store) -> None:
    announce(ledger, 4)
    endings = (Ending.DONE, Ending.SKIPPED, Ending.QUARANTINED, Ending.RETRY)
    reasons = ("ok", "too_cloudy", "band_missing", "service_failed")
    for ref, ending, reason in zip(claimed(ledger), endings, reasons, strict=True):
        ledger.settle(ref, outcome(ref, ending, reason), BY)
    found = account(ledger, store, run="run-1", by=BY)
    assert found.counts == {"given_back": 1, "quarantined": 1, "skipped": 1, "valid": 1}
    assert (found.unexpected, found.given_back) == ((), ())


def test_a_failed_scene_is_named_with_its_sentence_and_log(ledger: Ledger, store: Store) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref, Ending.FAILED, "crashed"), BY)
    found = account(ledger, store, run="run-1", by=BY)
    assert found.unexpected == (
        f"{ref.acquisition} failed, crashed: crashed was found (log: https://airflow/log/1)",
    )


def test_what_the_run_still_holds_is_given_back_and_named(ledger: Ledger, store: Store) -> None:
    announce(ledger, 3)
    [mine] = claimed(ledger, limit=1)
    [other] = claimed(ledger, limit=1, by=Actor("run-2"))
    found = account(ledger, store, run="run-1", by=BY)
    assert found.given_back == (mine.acquisition,)
    assert found.counts == {"given_back": 1}
    [line] = found.unexpected
    assert line.startswith(f"{mine.acquisition} discovered, abandoned: the run ended and no stage had said")
    assert ledger.holding("run-2") == [other]
    assert ledger.holding("run-1") == []


def test_a_tile_that_the_run_still_holds_is_given_back(ledger: Ledger, store: Store) -> None:
    publish_map(ledger, 0)
    [tile] = ledger.claim_tiles(limit=9, by=BY, lease=LEASE)
    assert account(ledger, store, run="another", by=BY).given_back == ()
    assert account(ledger, store, run=BY.run, by=BY).given_back == (tile.tile,)
    assert ledger.holding_tiles(BY.run) == []
    assert ledger.tile_maps()[0].reason == "abandoned"
    assert account(ledger, store, run=BY.run, by=BY).given_back == ()


def test_saying_it_again_names_the_same_and_gives_nothing_back_twice(ledger: Ledger, store: Store) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    first = account(ledger, store, run="run-1", by=BY)
    second = account(ledger, store, run="run-1", by=BY)
    assert (second.unexpected, second.counts) == (first.unexpected, first.counts)
    assert second.given_back == ()
    assert ledger.story(ref.acquisition).acquisition.tries == 1


def test_the_last_word_of_a_stage_explains_an_abandoned_scene(ledger: Ledger, store: Store) -> None:
    announce(ledger, 1)
    claim(
        ledger,
        store,
        work="ingest",
        lane=Lane.FRESH,
        run="run-1",
        by=BY,
        limit=1,
        batch_scenes=1,
        lease=LEASE,
    )
    [ref] = ledger.holding("run-1")
    said = outcome(ref, Ending.RETRY, "scratch_full", stage=Stage.INGEST, judged=None)
    store.put_json(f"batches/run-1/000/ingest/{ref.acquisition}.json", said)
    [line] = account(ledger, store, run="run-1", by=BY).unexpected
    assert "stage ingest had left it retry (scratch_full) scratch_full was found" in line


@pytest.mark.parametrize("reason", ["stage_died", "config", "scratch_full", "assets_missing"])
def test_a_try_that_needs_somebody_is_named(ledger: Ledger, store: Store, reason: str) -> None:
    announce(ledger, 1)
    [ref] = claimed(ledger)
    ledger.give_back([ref], BY, reason, "the disk is full")
    assert len(account(ledger, store, run="run-1", by=BY).unexpected) == 1


def test_products_are_accounted_for_like_acquisitions(ledger: Ledger, store: Store) -> None:
    ready = Actor("ready")
    refs = []
    for number in range(4):
        ref = one_valid(ledger, number)
        ledger.give_back([ref], ready, "stopped", "x")
    ledger.retry(_all(), by=ready, why="now")
    refs = claimed(ledger, "surface", by=Actor("run-5"))
    by = Actor("run-5")
    publish(ledger, refs[0], "d0", by=by)
    ledger.made(refs[1], product_of(refs[1], "d1"), by)
    ledger.held(refs[1], outcome(refs[1], Ending.HELD, "expectation"), by)
    ledger.ended(refs[2], outcome(refs[2], Ending.SKIPPED, "too_cloudy"), by)
    ledger.failed(refs[3], outcome(refs[3], Ending.FAILED, "unexpected"), by)
    found = account(ledger, store, run="run-5", by=by)
    assert found.counts == {"failed": 1, "held": 1, "published": 1, "skipped": 1}
    assert [line.split()[0] for line in found.unexpected] == [refs[3].acquisition]


def test_a_scene_that_another_run_took_over_is_lost_not_failed(ledger: Ledger, store: Store) -> None:
    announce(ledger, 1)
    claimed(ledger, lease=timedelta(seconds=-5))
    claimed(ledger, by=Actor("run-2"))
    found = account(ledger, store, run="run-1", by=BY)
    assert (found.counts, found.unexpected) == ({"lost": 1}, ())


def test_a_scene_that_a_claim_gave_up_is_named_by_its_run(ledger_url: str, store: Store) -> None:
    ledger = Ledger.open(ledger_url, max_tries=1)
    announce(ledger, 1)
    claimed(ledger, lease=timedelta(seconds=-5))
    assert claimed(ledger, by=Actor("run-2")) == []
    found = account(ledger, store, run="run-2", by=Actor("run-2"))
    assert "given up after 1 tries" in found.unexpected[0]
    ledger.close()


def test_a_run_that_only_discovered_has_nothing_to_account_for(ledger: Ledger, store: Store) -> None:
    ledger.announce(announcement(), BY)
    found = account(ledger, store, run="run-1", by=BY)
    assert (found.counts, found.unexpected, found.given_back) == ({}, (), ())


def _all() -> object:
    from undersky.services.ledger import Selection

    return Selection(tile="32TQM")
