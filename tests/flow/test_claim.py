"""Claims laid down as batches; saying it again finds them."""

from datetime import timedelta

import pytest

from fixtures_ledger import BY, LEASE, announcement, claimed, one_valid, outcome
from undersky.errors import ConfigError, ServiceError
from undersky.flow import claim as claiming
from undersky.flow.claim import claim, laid_down, read_batch
from undersky.refs import Lane, ModelRef, ReleaseSet
from undersky.services.ledger import Actor, Ledger, Work
from undersky.services.store import Store

MODEL = ModelRef(
    name="correction", version="1", label="physics-1", digest="m", href="s3://undersky-tests/models/m"
)
RELEASE = ReleaseSet(digest="r1", models=(MODEL,))


def announce(ledger: Ledger, number: int) -> None:
    for each in range(number):
        ledger.announce(announcement(each), BY)


def said(
    ledger: Ledger, store: Store, run: str = "run-1", *, work: Work = "ingest", limit: int = 10, size: int = 2
) -> list[str]:
    return claim(
        ledger, store, work=work, lane=Lane.FRESH, run=run, by=Actor(run, "claim"), limit=limit,
        batch_scenes=size, lease=LEASE, release=RELEASE if work == "surface" else None,
    )  # fmt: skip


def test_scenes_are_laid_down_newest_first_in_batches_of_that_size(ledger: Ledger, store: Store) -> None:
    announce(ledger, 5)
    hrefs = said(ledger, store)
    assert hrefs == [f"s3://undersky-tests/batches/run-1/{name}/batch.json" for name in ("000", "001", "002")]
    batches = [read_batch(store, href) for href in hrefs]
    keys = [[ref.acquisition for ref in batch.scenes] for batch in batches]
    assert keys == [[announcement(n).key for n in group] for group in ((4, 3), (2, 1), (0,))]
    assert {batch.lane for batch in batches} == {Lane.FRESH}
    assert {ref.token for batch in batches for ref in batch.scenes} == {1}


def test_where_nothing_waits_there_is_no_batch(ledger: Ledger, store: Store) -> None:
    assert said(ledger, store) == []
    assert list(store.list("")) == []


def test_saying_it_again_finds_the_same_batches_and_takes_no_more(ledger: Ledger, store: Store) -> None:
    announce(ledger, 5)
    first = said(ledger, store, limit=3)
    assert said(ledger, store, limit=3) == first
    assert len(claimed(ledger, by=Actor("run-2"))) == 2


@pytest.mark.faults
@pytest.mark.parametrize("laid", [0, 1])
def test_a_claim_that_died_before_its_batches_lay_there_is_taken_up(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch, laid: int
) -> None:
    announce(ledger, 4)
    real, puts = Store.put, []

    def cut(self: Store, key: str, data: bytes, **how: bool) -> str:
        if len(puts) == laid:
            raise ServiceError("the store went away")
        puts.append(key)
        return real(self, key, data, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", cut)
        with pytest.raises(ServiceError):
            said(ledger, store)
    hrefs = said(ledger, store)
    scenes = [ref.acquisition for href in hrefs for ref in read_batch(store, href).scenes]
    assert sorted(scenes) == sorted(announcement(n).key for n in range(4))
    assert len(hrefs) == 2


def test_a_run_that_is_said_again_after_its_end_takes_new_scenes_into_new_batches(
    ledger: Ledger, store: Store
) -> None:
    announce(ledger, 1)
    [href] = said(ledger, store)
    [ref] = read_batch(store, href).scenes
    ledger.settle(ref, outcome(ref), Actor("run-1"))
    ledger.announce(announcement(7), BY)
    assert said(ledger, store) == ["s3://undersky-tests/batches/run-1/001/batch.json"]


def test_a_batch_whose_scenes_are_lost_is_not_found_again(ledger: Ledger, store: Store) -> None:
    announce(ledger, 1)
    [href] = said(ledger, store)
    ledger.renew(read_batch(store, href).scenes, BY, timedelta(seconds=-5))
    assert len(claimed(ledger, by=Actor("run-2"))) == 1
    assert said(ledger, store) == []


def test_surface_batches_carry_the_pinned_models(ledger: Ledger, store: Store) -> None:
    ref = one_valid(ledger)
    ledger.give_back([ref], BY, "stopped", "x")
    ledger.retry(_all(), by=BY, why="now")
    [href] = said(ledger, store, "run-2", work="surface")
    batch = read_batch(store, href)
    assert batch.release == RELEASE
    assert batch.scenes[0].product == ref.product


def test_batches_grow_rather_than_become_too_many(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "MOST_BATCHES", 3)
    announce(ledger, 10)
    hrefs = said(ledger, store, size=1)
    assert [len(read_batch(store, href).scenes) for href in hrefs] == [4, 4, 2]


def test_two_runs_share_nothing(ledger: Ledger, store: Store) -> None:
    announce(ledger, 4)
    said(ledger, store, "run-1", limit=2)
    said(ledger, store, "run-2", limit=9)
    keys = [
        {ref.acquisition for _, batch in laid_down(store, run) for ref in batch.scenes}
        for run in ("run-1", "run-2")
    ]
    assert [len(each) for each in keys] == [2, 2]
    assert not keys[0] & keys[1]


def test_a_run_whose_name_begins_like_anothers_has_its_own_batches(ledger: Ledger, store: Store) -> None:
    announce(ledger, 2)
    said(ledger, store, "run-10", limit=1)
    assert list(laid_down(store, "run-1")) == []


def test_leases_belong_to_the_run_that_claims(ledger: Ledger, store: Store) -> None:
    with pytest.raises(ConfigError, match="leases belong to the run"):
        claim(
            ledger, store, work="ingest", lane=Lane.FRESH, run="run-1", by=Actor("run-2"), limit=1,
            batch_scenes=1, lease=LEASE,
        )  # fmt: skip


def test_what_is_no_batch_is_refused_with_its_address(store: Store) -> None:
    with pytest.raises(ConfigError, match="is not there: give the address"):
        read_batch(store, "s3://undersky-tests/batches/x/000/batch.json")
    store.put("batches/x/000/batch.json", b'{"run": 1}', content_type="application/json")
    with pytest.raises(ConfigError, match="another version"):
        read_batch(store, "s3://undersky-tests/batches/x/000/batch.json")


def _all() -> object:
    from undersky.services.ledger import Selection

    return Selection(tile="32TQM")
