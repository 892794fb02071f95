"""retry, release, skip, remake: what they take up, what they leave, and what a dry run says."""

from datetime import UTC, datetime, timedelta

import pytest

from fixtures_ledger import BY, announcement, claimed, one_valid, outcome, product_of, publish
from undersky.errors import ConfigError
from undersky.refs import Ending, Lane, SceneRef
from undersky.services.ledger import (
    AcquisitionState,
    Action,
    Actor,
    LeaseLost,
    Ledger,
    ProductState,
    Selection,
)

ANN = Actor("ann", "form")


def ended(ledger: Ledger, number: int, ending: Ending, reason: str, **changes: object) -> SceneRef:
    ledger.announce(announcement(number, **changes), BY)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref, ending, reason), BY)
    return ref


def state(ledger: Ledger, ref: SceneRef) -> str:
    story = ledger.story(ref.acquisition)
    assert story is not None
    return story.acquisition.state


def held(ledger: Ledger, number: int = 0) -> SceneRef:
    ref = one_valid(ledger, number)
    ledger.made(ref, product_of(ref, f"d{number}"), BY)
    ledger.held(ref, outcome(ref, Ending.HELD, "expectation"), BY)
    return ref


def test_failed_scenes_are_tried_again_from_the_first_try(ledger: Ledger) -> None:
    ref = ended(ledger, 0, Ending.FAILED, "crashed")
    [change] = ledger.retry(Selection(reason="crashed"), by=ANN, why="the image was fixed")
    assert (change.action, change.acquisition, change.product) == ("retry", ref.acquisition, None)
    assert (change.before, change.after, change.reason) == ("failed", "discovered", "crashed")
    story = ledger.story(ref.acquisition)
    assert story.acquisition.tries == 0
    last = story.history[-1]
    assert (last.reason, last.sentence, last.run) == ("retried_by_hand", "the image was fixed", "ann")
    assert len(claimed(ledger)) == 1


@pytest.mark.parametrize("action", ["retry", "release", "skip", "remake"])
def test_a_dry_run_says_the_same_and_changes_nothing(ledger: Ledger, action: Action) -> None:
    ended(ledger, 0, Ending.FAILED, "crashed")
    held(ledger, 1)
    publish(ledger, one_valid(ledger, 2), "d2")
    stories = [ledger.story(announcement(number).key) for number in range(3)]
    said = ledger.manage(action, Selection(tile="32TQM"), by=ANN, why="to see", dry_run=True)
    assert said
    assert [ledger.story(announcement(number).key) for number in range(3)] == stories
    assert ledger.manage(action, Selection(tile="32TQM"), by=ANN, why="in earnest") == said
    assert [ledger.story(announcement(number).key) for number in range(3)] != stories


def test_without_a_state_retry_leaves_skipped_and_held_scenes_alone(ledger: Ledger) -> None:
    skipped = ended(ledger, 0, Ending.SKIPPED, "too_cloudy")
    product_held = held(ledger, 1)
    assert ledger.retry(Selection(tile="32TQM"), by=ANN, why="all") == ()
    assert len(ledger.retry(Selection(state="skipped"), by=ANN, why="clouds wanted")) == 1
    assert state(ledger, skipped) == AcquisitionState.DISCOVERED
    assert len(ledger.retry(Selection(scenes=(product_held.scene,)), by=ANN, why="try")) == 1


def test_a_quarantined_scene_is_tried_again(ledger: Ledger) -> None:
    ref = ended(ledger, 0, Ending.QUARANTINED, "raster_truncated")
    ledger.retry(Selection(state="quarantined"), by=ANN, why="they delivered it again")
    assert state(ledger, ref) == AcquisitionState.DISCOVERED


def test_a_pause_after_a_failed_try_is_cut_short(ledger: Ledger) -> None:
    ended(ledger, 0, Ending.RETRY, "service_failed")
    ref = one_valid(ledger, 1)
    ledger.ended(ref, outcome(ref, Ending.RETRY, "service_failed"), BY)
    assert claimed(ledger) == claimed(ledger, "surface") == []
    changes = ledger.retry(Selection(reason="service_failed"), by=ANN, why="S3 is back")
    assert [(change.before, change.after) for change in changes] == [
        ("ingested", "ingested"),
        ("wanted", "wanted"),
    ]
    assert (len(claimed(ledger)), len(claimed(ledger, "surface"))) == (1, 1)


def test_retry_does_not_disturb_work_under_lease(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    assert ledger.retry(Selection(tile="32TQM"), by=ANN, why="all") == ()
    publish(ledger, ref)


def test_release_counts_a_quarantined_scene_as_valid_if_it_is_named(ledger: Ledger) -> None:
    ref = ended(ledger, 0, Ending.QUARANTINED, "all_nodata")
    assert ledger.manage("release", Selection(tile="32TQM"), by=ANN, why="fine") == ()
    [change] = ledger.manage("release", Selection(scenes=(ref.acquisition,)), by=ANN, why="it is an island")
    assert (change.before, change.after) == ("quarantined", "valid")
    assert len(claimed(ledger, "surface")) == 1


def test_release_leaves_a_scene_that_was_never_brought_home(ledger: Ledger) -> None:
    ledger.announce(announcement(), BY)
    [ref] = claimed(ledger)
    ledger.settle(ref, outcome(ref, Ending.QUARANTINED, "archive_damaged", ingested=None), BY)
    assert ledger.manage("release", Selection(state="quarantined"), by=ANN, why="fine") == ()


def test_skip_ends_waiting_work_and_takes_the_word_from_its_holder(ledger: Ledger) -> None:
    ledger.announce(announcement(0), BY)
    [leased] = claimed(ledger)
    ended(ledger, 1, Ending.FAILED, "crashed")
    product_leased = one_valid(ledger, 2)
    changes = ledger.skip(Selection(tile="32TQM"), by=ANN, why="the area is not wanted any more")
    assert sorted((change.before, change.after) for change in changes) == [
        ("discovered", "skipped"),
        ("failed", "skipped"),
        ("valid", "skipped"),
        ("wanted", "withdrawn"),
    ]
    with pytest.raises(LeaseLost):
        ledger.settle(leased, outcome(leased), BY)
    with pytest.raises(LeaseLost):
        ledger.made(product_leased, product_of(product_leased), BY)
    assert claimed(ledger) == claimed(ledger, "surface") == []


def test_skip_leaves_what_is_published(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    publish(ledger, ref)
    assert ledger.skip(Selection(tile="32TQM"), by=ANN, why="all") == ()
    ledger.remake(Selection(tile="32TQM"), by=ANN, why="new model")
    [change] = ledger.skip(Selection(tile="32TQM"), by=ANN, why="after all not")
    assert (change.product is not None, change.after) == (True, "withdrawn")
    assert (state(ledger, ref), len(list(ledger.published()))) == ("valid", 1)


def test_remake_waits_in_the_historical_lane_and_only_once(ledger: Ledger) -> None:
    publish(ledger, one_valid(ledger))
    assert len(ledger.remake(Selection(tile="32TQM"), by=ANN, why="new model")) == 1
    assert ledger.remake(Selection(tile="32TQM"), by=ANN, why="new model") == ()
    assert claimed(ledger, "surface") == []
    assert len(claimed(ledger, "surface", lane=Lane.HISTORICAL)) == 1


@pytest.mark.parametrize("name", ["physics-1", "3", "abc"])
def test_remake_by_model(ledger: Ledger, name: str) -> None:
    publish(ledger, one_valid(ledger))
    assert ledger.remake(Selection(model="physics-2"), by=ANN, why="x", dry_run=True) == ()
    assert len(ledger.remake(Selection(model=name), by=ANN, why="x", dry_run=True)) == 1
    assert len(ledger.products(Selection(model=name))) == 1
    assert len(ledger.acquisitions(Selection(model=name))) == 1


def test_every_criterion_must_hold(ledger: Ledger) -> None:
    ended(ledger, 0, Ending.FAILED, "crashed")
    ended(ledger, 1, Ending.FAILED, "crashed", tile="31TGL")
    ended(ledger, 2, Ending.FAILED, "unexpected")
    now = datetime.now(UTC)

    def found(**criteria: object) -> int:
        return len(ledger.retry(Selection(**criteria), by=ANN, why="x", dry_run=True))

    assert found(state="failed") == 3
    assert found(state="failed", tile="31TGL") == 1
    assert found(reason="crashed", tile="32TQM") == 1
    assert found(since=now - timedelta(hours=1)) == 3
    assert found(since=now + timedelta(hours=1)) == 0
    assert found(collection="landsat-c2-l1") == 0
    assert found(collection="sentinel-2-l1c", scenes=(announcement(0).scene, announcement(1).key)) == 2


def test_everything_is_no_selection_and_no_reason_is_no_reason(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="of everything is refused"):
        ledger.skip(Selection(), by=ANN, why="tidy up")
    with pytest.raises(ConfigError, match="needs a reason"):
        ledger.skip(Selection(tile="32TQM"), by=ANN, why=" ")
    with pytest.raises(ConfigError, match="no state is called 'lost'"):
        Selection(state="lost")
    with pytest.raises(ConfigError, match="time zone"):
        Selection(since=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_released_product_that_is_made_again_does_not_wait_twice(ledger: Ledger) -> None:
    ref = held(ledger)
    ledger.remake(Selection(state="held"), by=ANN, why="with the new model")
    assert ledger.manage("release", Selection(state="held"), by=ANN, why="fine") == ()
    states = [product.state for product in ledger.story(ref.acquisition).products]
    assert states == [ProductState.WITHDRAWN, ProductState.WANTED]
