"""After a restore nobody who worked before it can write, and work goes on at once."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fixtures_ledger import (
    BY,
    LEASE,
    announcement,
    claimed,
    map_of,
    one_valid,
    outcome,
    product_of,
    publish,
    want,
)
from undersky.refs import Judged, SceneRef
from undersky.services.ledger import Actor, LeaseLost, Ledger, ProductState

OTHER = Actor("run-2", "claim")


@pytest.fixture
def ledger(empty_url: str) -> Iterator[Ledger]:
    """A ledger in a database of its own: what a restore changes of its tables is nobody else's."""
    Ledger.migrate(empty_url)
    opened = Ledger.open(empty_url)
    yield opened
    opened.close()


def again(ref: SceneRef, token: int) -> SceneRef:
    """The reference that a stage would hold whose lease was given after the backup."""
    return ref.model_copy(update={"token": token})


def test_no_lease_that_was_given_after_the_backup_can_write(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    later = [again(ref, ref.token + number) for number in range(1, 5)]
    ledger.fence(BY)
    [fresh] = claimed(ledger, "surface", by=OTHER)
    assert fresh.token > max(each.token for each in later) + 1_000_000_000
    for stale in (ref, *later):
        with pytest.raises(LeaseLost, match="drop this work"):
            ledger.made(stale, product_of(stale), BY)
        assert ledger.renew([stale], BY, LEASE) == [stale]
    assert ledger.made(fresh, product_of(fresh), OTHER) == ProductState.MADE


def test_a_row_that_came_after_the_backup_is_not_mistaken_for_one_that_comes_after_the_restore(
    ledger: Ledger,
) -> None:
    publish(ledger, one_valid(ledger, 0))
    ledger.fence(BY)
    fresh = one_valid(ledger, 1)  # the number that another scene's product had before the disaster
    stale = again(fresh, 1)
    with pytest.raises(LeaseLost, match="drop this work"):
        ledger.made(stale, product_of(stale, "another"), BY)


def test_what_was_under_lease_may_be_claimed_at_once_and_its_history_says_why(ledger: Ledger) -> None:
    ledger.announce(announcement(0), BY)
    claimed(ledger)
    assert ledger.fence(BY).leases == 1
    [ref] = claimed(ledger, by=OTHER)
    story = ledger.story(ref.acquisition)
    assert story is not None
    assert [event.reason for event in story.history][-2:] == ["ledger_restored", "claimed"]
    ledger.settle(ref, outcome(ref), OTHER)


def test_it_is_no_try_of_the_scene(ledger: Ledger) -> None:
    ledger.announce(announcement(0), BY)
    [ref] = claimed(ledger)
    ledger.renew([ref], Actor("run-1", "ingest"), LEASE)  # a stage had begun
    ledger.fence(BY)
    [ref] = claimed(ledger, by=OTHER)
    story = ledger.story(ref.acquisition)
    assert story is not None
    assert story.acquisition.tries == 0


def test_rolling_maps_are_fenced_too(ledger: Ledger) -> None:
    publish(ledger, one_valid(ledger))
    [ref] = want(ledger)
    made = map_of(ref)
    ledger.made(ref, made, BY)
    ledger.checked(ref, Judged(expectations=1), BY)
    with ledger.publishing(ref, made, BY) as row:
        row.published("s3://undersky-tests/stac/sentinel-2-landcover/2025/06/x/m1.json")
    [tile] = ledger.claim_tiles(limit=5, by=BY, lease=LEASE)
    assert ledger.fence(BY).leases == 1
    [fresh] = ledger.claim_tiles(limit=5, by=OTHER, lease=LEASE)
    with pytest.raises(LeaseLost), ledger.rolling(tile, BY):
        pytest.fail("a stale holder came in")
    with ledger.rolling(fresh, OTHER) as row:
        assert not row.done


def test_a_second_restore_raises_tokens_over_those_of_the_first(ledger: Ledger) -> None:
    one_valid(ledger)
    first = ledger.fence(BY)
    [ref] = claimed(ledger, "surface")
    second = ledger.fence(BY)
    assert second.token > first.token
    [fresh] = claimed(ledger, "surface")
    assert fresh.token > ref.token


def test_published_products_stay_as_they_are(ledger: Ledger) -> None:
    publish(ledger, one_valid(ledger))
    before = list(ledger.published())
    assert ledger.fence(BY).leases == 0
    assert list(ledger.published()) == before
    assert claimed(ledger, "surface", lease=timedelta(hours=1)) == []
