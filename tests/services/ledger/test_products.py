"""Products: made, checked, published once, held, withdrawn."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures_ledger import BY, announcement, claimed, one_valid, outcome, product_of, publish
from undersky.errors import ConfigError
from undersky.refs import Ending, Judged, Lane, SceneRef, Stage
from undersky.services.ledger import (
    AcquisitionState,
    Actor,
    LeaseLost,
    Ledger,
    Product,
    ProductState,
    Publishing,
    Selection,
    Story,
)

JUDGED = Judged(expectations=5)


def told(ledger: Ledger, ref: SceneRef) -> Story:
    story = ledger.story(ref.acquisition)
    assert story is not None
    return story


def product(ledger: Ledger, ref: SceneRef) -> Product:
    return next(each for each in told(ledger, ref).products if each.id == ref.product)


def remade(ledger: Ledger, ref: SceneRef) -> SceneRef:
    """The same acquisition's next product, under lease."""
    ledger.remake(Selection(scenes=(ref.acquisition,)), by=BY, why="a better model", lane=Lane.FRESH)
    return claimed(ledger, "surface")[0]


def test_a_product_goes_from_wanted_to_published(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    href = publish(ledger, ref)
    row = product(ledger, ref)
    assert (row.state, row.href, row.digest, row.lease) == (ProductState.PUBLISHED, href, "d1", None)
    assert (row.made, row.judged) == (product_of(ref), JUDGED)
    assert row.published is not None
    path = [event.after for event in told(ledger, ref).history if event.product == ref.product]
    assert path == ["wanted", "wanted", "made", "checked", "published"]


def test_every_step_may_be_said_again(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    publish(ledger, ref)
    before = told(ledger, ref)
    made = product_of(ref)
    assert ledger.made(ref, made, BY) == ProductState.PUBLISHED
    assert ledger.checked(ref, JUDGED, BY) == ProductState.PUBLISHED
    assert ledger.ended(ref, outcome(ref, Ending.FAILED, "x"), BY) == ProductState.PUBLISHED
    with ledger.publishing(ref, made, BY) as row:
        assert (row.done, row.href) == (True, before.products[0].href)
        row.published("s3://undersky-tests/elsewhere")
    assert told(ledger, ref) == before


def test_only_a_checked_product_can_be_published(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    with pytest.raises(ValueError, match="is wanted; only a made one can be checked"):
        ledger.checked(ref, JUDGED, BY)
    ledger.made(ref, product_of(ref), BY)
    with (
        pytest.raises(ValueError, match="is made; only a checked one can be published"),
        ledger.publishing(ref, product_of(ref), BY),
    ):
        pass


def test_a_product_of_another_digest_is_not_published_in_its_place(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref), BY)
    ledger.checked(ref, JUDGED, BY)
    with (
        pytest.raises(LeaseLost, match="say `made` first"),
        ledger.publishing(ref, product_of(ref, "d2"), BY),
    ):
        pass
    assert ledger.made(ref, product_of(ref, "d2"), BY) == ProductState.MADE


@pytest.mark.faults
def test_a_commit_that_is_cut_off_publishes_nothing_and_can_be_said_again(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref), BY)
    ledger.checked(ref, JUDGED, BY)

    def cut(row: Publishing) -> None:
        row.published("s3://undersky-tests/stac/x.json")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ledger.publishing(ref, product_of(ref), BY) as row:
        cut(row)
    assert product(ledger, ref).state == ProductState.CHECKED
    with ledger.publishing(ref, product_of(ref), BY):
        pass
    assert product(ledger, ref).state == ProductState.CHECKED
    with ledger.publishing(ref, product_of(ref), BY) as row:
        row.published("s3://undersky-tests/stac/x.json")
    assert product(ledger, ref).state == ProductState.PUBLISHED


@pytest.mark.faults
def test_nobody_claims_a_product_while_its_item_is_put(ledger: Ledger) -> None:
    from datetime import timedelta

    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref), BY)
    ledger.checked(ref, JUDGED, BY)
    ledger.renew([ref], BY, timedelta(seconds=-5))
    with ledger.publishing(ref, product_of(ref), BY) as row:
        assert claimed(ledger, "surface", by=Actor("run-2")) == []
        row.published("s3://undersky-tests/stac/x.json")
    assert claimed(ledger, "surface", by=Actor("run-2")) == []


@pytest.mark.faults
def test_of_many_who_publish_at_once_one_puts_the_item(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref), BY)
    ledger.checked(ref, JUDGED, BY)
    gate, puts = threading.Barrier(12), []

    def race(number: int) -> None:
        gate.wait()
        with ledger.publishing(ref, product_of(ref), Actor("run-1", "publish", number)) as row:
            if not row.done:
                puts.append(number)
                row.published("s3://undersky-tests/stac/x.json")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(race, range(1, 13)))
    assert len(puts) == 1
    assert [event.after for event in told(ledger, ref).history].count("published") == 1


def test_a_product_withdrawn_once_made_may_have_an_item_and_so_is_a_predecessor(ledger: Ledger) -> None:
    first = one_valid(ledger)
    publish(ledger, first)
    cut = remade(ledger, first)
    ledger.made(cut, product_of(cut, "d2"), BY)
    ledger.withdraw(cut.product, BY, why="a newer delivery came while its Item was put")
    third = remade(ledger, first)
    made = product_of(third, "d3")
    ledger.made(third, made, BY)
    ledger.checked(third, JUDGED, BY)
    with ledger.publishing(third, made, BY) as row:
        assert [(each.product, each.is_published) for each in row.predecessors] == [
            (first.product, True),
            (cut.product, False),
        ]
        row.published("s3://bucket/stac/third.json")
    successors = {each.id: each.successor for each in ledger.story(first.acquisition).products}
    assert successors[first.product] == third.product
    assert successors[cut.product] is None


def test_a_remade_product_becomes_the_successor_and_the_old_one_stays(ledger: Ledger) -> None:
    first = one_valid(ledger)
    publish(ledger, first)
    second = remade(ledger, first)
    made = product_of(second, "d2")
    ledger.made(second, made, BY)
    ledger.checked(second, JUDGED, BY)
    with ledger.publishing(second, made, BY) as row:
        [old] = row.predecessors
        assert (old.product, old.digest, old.made.id) == (first.product, "d1", product_of(first).id)
        assert old.href == product(ledger, first).href
        row.published("s3://undersky-tests/stac/d2.json")
    before = product(ledger, first)
    assert (before.state, before.successor) == (ProductState.PUBLISHED, second.product)
    assert [each.id for each in ledger.published(current=True)] == [second.product]
    third = remade(ledger, first)
    made = product_of(third, "d3")
    ledger.made(third, made, BY)
    ledger.checked(third, JUDGED, BY)
    with ledger.publishing(third, made, BY) as row:
        assert [each.product for each in row.predecessors] == [second.product]


def test_a_product_that_turns_out_equal_is_withdrawn(ledger: Ledger) -> None:
    first = one_valid(ledger)
    publish(ledger, first)
    second = remade(ledger, first)
    assert ledger.made(second, product_of(second, "d1"), BY) == ProductState.WITHDRAWN
    row = product(ledger, second)
    assert (row.reason, row.successor, row.lease) == ("same_product", first.product, None)
    assert ledger.made(second, product_of(second, "d1"), BY) == ProductState.WITHDRAWN
    assert product(ledger, first).successor is None


def test_a_product_that_failed_before_is_replaced_by_its_equal(ledger: Ledger) -> None:
    first = one_valid(ledger)
    ledger.made(first, product_of(first), BY)
    ledger.failed(first, outcome(first, Ending.FAILED, "crashed", stage=Stage.VALIDATE_SURFACE), BY)
    ledger.remake(Selection(state="failed", tile="32TQM"), by=BY, why="fixed", lane=Lane.FRESH)
    [second] = claimed(ledger, "surface")
    publish(ledger, second)
    assert product(ledger, first).state == ProductState.WITHDRAWN
    assert product(ledger, second).state == ProductState.PUBLISHED


def test_a_held_product_waits_for_a_person(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref), BY)
    judged = Judged(expectations=5, failed=("half of it is nodata",))
    held = outcome(ref, Ending.HELD, "expectation", judged=judged)
    assert ledger.held(ref, held, BY) == ProductState.HELD
    row = product(ledger, ref)
    assert (row.state, row.judged, row.lease) == (ProductState.HELD, judged, None)
    assert ledger.held(ref, held, BY) == ProductState.HELD
    with pytest.raises(LeaseLost, match="nothing to publish"), ledger.publishing(ref, product_of(ref), BY):
        pass
    assert claimed(ledger, "surface") == []


def test_a_released_product_passes_the_expectation_that_held_it(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref), BY)
    ledger.ended(ref, outcome(ref, Ending.HELD, "expectation"), BY)
    ledger.manage("release", Selection(state="held"), by=Actor("ann"), why="it is a lake")
    [ref] = claimed(ledger, "surface")
    assert ledger.made(ref, product_of(ref), BY) == ProductState.MADE
    assert ledger.ended(ref, outcome(ref, Ending.HELD, "expectation"), BY) == ProductState.CHECKED
    with ledger.publishing(ref, product_of(ref), BY) as row:
        row.published("s3://undersky-tests/stac/x.json")
    assert product(ledger, ref).released
    assert "it is a lake" in [event.sentence for event in told(ledger, ref).history]


def test_what_another_model_makes_of_a_released_scene_waits_for_a_person_again(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    ledger.made(ref, product_of(ref, "d1"), BY)
    ledger.ended(ref, outcome(ref, Ending.HELD, "expectation"), BY)
    ledger.manage("release", Selection(state="held"), by=Actor("ann"), why="it is a lake")
    [ref] = claimed(ledger, "surface")
    assert ledger.made(ref, product_of(ref, "d2"), BY) == ProductState.MADE
    assert ledger.ended(ref, outcome(ref, Ending.HELD, "expectation"), BY) == ProductState.HELD
    assert not product(ledger, ref).released


@pytest.mark.parametrize(
    ("ending", "state"),
    [(Ending.SKIPPED, AcquisitionState.SKIPPED), (Ending.QUARANTINED, AcquisitionState.QUARANTINED)],
)
def test_what_the_correction_finds_about_the_scene_stands_with_the_acquisition(
    ledger: Ledger, ending: Ending, state: AcquisitionState
) -> None:
    ref = one_valid(ledger)
    said = outcome(ref, ending, "too_cloudy", stage=Stage.CORRECT)
    assert ledger.ended(ref, said, BY) == ProductState.WITHDRAWN
    story = told(ledger, ref)
    assert (story.acquisition.state, story.acquisition.reason) == (state, "too_cloudy")
    assert story.products[0].reason == "too_cloudy"


def test_a_product_whose_service_failed_is_wanted_again_later(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    assert ledger.ended(ref, outcome(ref, Ending.RETRY, "service_failed"), BY) == ProductState.WANTED
    assert claimed(ledger, "surface") == []
    with pytest.raises(LeaseLost):
        ledger.made(ref, product_of(ref), BY)


def test_a_failed_product_keeps_its_reason(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    assert ledger.failed(ref, outcome(ref, Ending.FAILED, "crashed"), BY) == ProductState.FAILED
    assert (product(ledger, ref).reason, product(ledger, ref).sentence) == ("crashed", "crashed was found")


def test_a_done_scene_does_not_end_otherwise(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    with pytest.raises(ValueError, match="made, checked and published"):
        ledger.ended(ref, outcome(ref), BY)


def test_a_withdrawn_product_is_not_published_any_more_and_known_for_ever(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    publish(ledger, ref)
    ledger.withdraw(ref.product or 0, Actor("ann"), why="the sensor was broken that day")
    assert list(ledger.published()) == []
    assert [each.state for each in ledger.of_digests(["d1", "d2"])] == [ProductState.WITHDRAWN]
    with pytest.raises(ConfigError, match="withdrawn already: the sensor was broken"):
        ledger.withdraw(ref.product or 0, BY, why="again")
    with pytest.raises(ConfigError, match="there is no product 4711"):
        ledger.withdraw(4711, BY, why="")


def test_a_withdrawn_product_can_be_made_and_published_again(ledger: Ledger) -> None:
    ref = one_valid(ledger)
    publish(ledger, ref)
    ledger.withdraw(ref.product or 0, BY, why="by mistake")
    ledger.remake(Selection(state="withdrawn", tile="32TQM"), by=BY, why="a mistake", lane=Lane.FRESH)
    [again] = claimed(ledger, "surface")
    publish(ledger, again)
    assert [each.id for each in ledger.published()] == [again.product]


def test_products_of_other_acquisitions_are_left_alone(ledger: Ledger) -> None:
    one, two = one_valid(ledger, 0), one_valid(ledger, 1)
    publish(ledger, one, "same")
    publish(ledger, two, "same")
    assert [each.successor for each in ledger.published()] == [None, None]
    assert announcement(0).key != announcement(1).key
