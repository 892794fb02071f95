"""Items in the store and products in the ledger, held against each other."""

import pytest

from fixtures_ledger import BY, claimed, one_valid, outcome, product_of, publish
from undersky.errors import ConfigError
from undersky.flow import verify as verifying
from undersky.flow.verify import verify
from undersky.refs import Ending, Judged, SceneRef
from undersky.services.ledger import Ledger
from undersky.services.store import Store


def put(store: Store, href: str) -> str:
    key = store.key(href)
    store.put(key, b"{}", content_type="application/geo+json")
    return key


def item(ref: SceneRef, digest: str) -> str:
    made = product_of(ref, digest)
    return f"s3://undersky-tests/stac/{made.collection}/{ref.sensed:%Y/%m}/{ref.acquisition}/{digest}.json"


def test_ledger_and_store_that_agree_say_so(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "CHUNK", 2)
    for number in range(3):
        put(store, publish(ledger, one_valid(ledger, number), f"d{number}"))
    for index in (
        "catalog.json",
        "index.json",
        "c/collection.json",
        "c/2025/06/catalog.json",
        "c/items.parquet",
    ):
        store.put(f"stac/{index}", b"{}", content_type="application/json")
    found = verify(ledger, store)
    assert found.agrees
    assert found.counts() == {"items": 3, "products": 3, "orphans": 0, "unfinished": 0, "missing": 0}


def test_an_item_that_the_ledger_does_not_know_is_an_orphan(ledger: Ledger, store: Store) -> None:
    ref = one_valid(ledger)
    key = put(store, item(ref, "stranger"))
    found = verify(ledger, store)
    assert (found.orphans, found.agrees) == ((key,), False)


def test_a_published_product_without_its_item_is_missing(ledger: Ledger, store: Store) -> None:
    key = store.key(publish(ledger, one_valid(ledger)))
    found = verify(ledger, store)
    assert (found.missing, found.agrees, found.products) == ((key,), False, 1)


def test_a_commit_that_was_cut_off_is_unfinished_and_heals(ledger: Ledger, store: Store) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref, "d1"), BY)
    ledger.checked(ref, Judged(expectations=1), BY)
    key = put(store, item(ref, "d1"))
    found = verify(ledger, store)
    assert (found.unfinished, found.agrees) == ((key,), True)
    publish_again(ledger, ref)
    assert verify(ledger, store).unfinished == ()


def publish_again(ledger: Ledger, ref: SceneRef) -> None:
    with ledger.publishing(ref, product_of(ref, "d1"), BY) as row:
        row.published(item(ref, "d1"))


def test_an_item_whose_product_was_withdrawn_is_known(ledger: Ledger, store: Store) -> None:
    ref = one_valid(ledger)
    put(store, publish(ledger, ref))
    ledger.withdraw(ref.product or 0, BY, why="wrong")
    assert verify(ledger, store).agrees


def test_an_item_whose_product_failed_is_an_orphan(ledger: Ledger, store: Store) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref, "d1"), BY)
    ledger.failed(ref, outcome(ref, Ending.FAILED, "item_conflict"), BY)
    key = put(store, item(ref, "d1"))
    assert verify(ledger, store).orphans == (key,)


def test_one_digest_in_two_places_is_seen_twice(ledger: Ledger, store: Store) -> None:
    ref = one_valid(ledger)
    put(store, publish(ledger, ref))
    stray = put(store, "s3://undersky-tests/stac/copy/2025/06/other/d1.json")
    found = verify(ledger, store)
    assert (found.items, found.orphans) == (2, (stray,))


def test_items_in_another_bucket_are_the_operators_business(ledger: Ledger, store: Store) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref), BY)
    ledger.checked(ref, None, BY)
    with ledger.publishing(ref, product_of(ref), BY) as row:
        row.published("s3://another/stac/x.json")
    with pytest.raises(ConfigError):
        verify(ledger, store)
    assert claimed(ledger) == []
