"""Deprecation: what a withdrawn model made, or helped to make, is found and marked, and may be made again."""

from datetime import timedelta

import pytest

from fixtures_ledger import BY, claimed, one_valid, outcome, product_of
from undersky.errors import ConfigError
from undersky.refs import Ending, Judged, Lane, ModelRef, ReleaseSet, SceneRef
from undersky.services.ledger import Actor, Ledger, Product, ProductState, Selection

ANN = Actor("ann", "rollback")


def model(label: str, name: str = "correction") -> ModelRef:
    return ModelRef(
        name=name, version="1", label=label, digest=f"digest-{label}", href=f"s3://undersky/models/{label}"
    )


ONE, TWO, CLOUDS = model("physics-1"), model("physics-2"), model("clouds-1", "cloud")


def release(*models: ModelRef) -> ReleaseSet:
    return ReleaseSet(digest="+".join(each.label for each in models), models=models)


def stands(ledger: Ledger, *models: ModelRef, withdrawn: ModelRef | None = None) -> None:
    newest = ledger.release()
    kind = "bootstrap" if newest is None else "rollback" if withdrawn else "promotion"
    seen = newest.id if newest else None
    ledger.set_release(
        release(*models), kind=kind, why="stripes over water", by=ANN, seen=seen, withdrawn=withdrawn
    )


def publish(ledger: Ledger, ref: SceneRef, digest: str, by_model: ModelRef) -> int:
    made = product_of(ref, digest).model_copy(update={"model": by_model})
    ledger.made(ref, made, BY)
    ledger.checked(ref, Judged(expectations=5), BY)
    with ledger.publishing(ref, made, BY) as row:
        row.published(f"s3://undersky-tests/stac/{ref.acquisition}/{digest}.json")
    return ref.product or 0


def remade(ledger: Ledger, ref: SceneRef, digest: str, by_model: ModelRef) -> int:
    ledger.remake(Selection(scenes=(ref.acquisition,)), by=BY, why="another model", lane=Lane.FRESH)
    [again] = claimed(ledger, "surface")
    return publish(ledger, again, digest, by_model)


def product(ledger: Ledger, ref: SceneRef, number: int) -> Product:
    return next(each for each in ledger.story(ref.acquisition).products if each.id == number)


def rolled_back(ledger: Ledger) -> tuple[SceneRef, int]:
    """A scene whose product is of the second model, which was then withdrawn."""
    stands(ledger, ONE)
    stands(ledger, TWO)
    ref = one_valid(ledger)
    number = publish(ledger, ref, "d2", TWO)
    stands(ledger, ONE, withdrawn=TWO)
    return ref, number


def test_while_no_model_is_withdrawn_nothing_is_deprecated(ledger: Ledger) -> None:
    stands(ledger, ONE)
    publish(ledger, one_valid(ledger), "d1", ONE)
    assert ledger.to_deprecate() == ()


def test_what_a_withdrawn_model_made_is_found_oldest_first(ledger: Ledger) -> None:
    stands(ledger, ONE)
    publish(ledger, one_valid(ledger, 0), "d0", ONE)
    stands(ledger, TWO)
    bad = [publish(ledger, one_valid(ledger, number), f"d{number}", TWO) for number in (3, 1, 2)]
    stands(ledger, ONE, withdrawn=TWO)
    assert [each.id for each in ledger.to_deprecate()] == bad
    assert [each.id for each in ledger.to_deprecate(limit=2)] == bad[:2]


def test_what_is_not_published_is_not_deprecated(ledger: Ledger) -> None:
    stands(ledger, ONE)
    stands(ledger, TWO)
    held, withdrawn = one_valid(ledger, 0), one_valid(ledger, 1)
    ledger.made(held, product_of(held).model_copy(update={"model": TWO}), BY)
    ledger.held(held, outcome(held, Ending.HELD, "expectation"), BY)
    ledger.withdraw(publish(ledger, withdrawn, "d1", TWO), BY, why="broken")
    stands(ledger, ONE, withdrawn=TWO)
    assert ledger.to_deprecate() == ()


def test_what_was_derived_with_a_release_set_of_a_withdrawn_model_counts_too(ledger: Ledger) -> None:
    stands(ledger, ONE)
    stands(ledger, TWO, CLOUDS)
    ref = one_valid(ledger)
    ledger.give_back([ref], BY, "stopped", "stopped")
    ledger.retry(Selection(reason="stopped"), by=BY, why="now")
    [ref] = ledger.claim(
        "surface", lane=Lane.FRESH, limit=1, by=BY, lease=timedelta(hours=1), release=release(TWO, CLOUDS)
    )
    number = publish(ledger, ref, "mask", CLOUDS)
    assert ledger.to_deprecate() == ()
    stands(ledger, ONE, CLOUDS, withdrawn=TWO)
    assert [each.id for each in ledger.to_deprecate()] == [number]


def test_a_product_is_marked_once_and_its_history_says_why(ledger: Ledger) -> None:
    ref, number = rolled_back(ledger)
    assert product(ledger, ref, number).deprecated is None
    ledger.deprecated(number, reason="physics-2 was taken back: stripes over water", by=ANN)
    marked = ledger.story(ref.acquisition)
    ledger.deprecated(number, reason="another reason", by=BY)
    assert ledger.story(ref.acquisition) == marked
    [row] = marked.products
    assert (row.state, row.deprecated) == (
        ProductState.PUBLISHED,
        "physics-2 was taken back: stripes over water",
    )
    last = marked.history[-1]
    assert (last.reason, last.sentence, last.run) == ("model_withdrawn", row.deprecated, "ann")
    assert (last.product, last.before, last.after) == (number, "published", "published")
    assert ledger.to_deprecate() == ()


def test_only_what_was_published_can_be_marked(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="there is no product 4711"):
        ledger.deprecated(4711, reason="x", by=ANN)
    ref = one_valid(ledger)
    with pytest.raises(ConfigError, match="is wanted and was never published"):
        ledger.deprecated(ref.product or 0, reason="x", by=ANN)


def test_a_marked_product_keeps_its_mark_when_another_takes_its_place(ledger: Ledger) -> None:
    ref, number = rolled_back(ledger)
    ledger.deprecated(number, reason="stripes", by=ANN)
    again = remade(ledger, ref, "d1", ONE)
    old = product(ledger, ref, number)
    assert (old.state, old.deprecated, old.successor) == (ProductState.PUBLISHED, "stripes", again)
    assert product(ledger, ref, again).deprecated is None


def test_going_back_publishes_what_the_earlier_model_makes_though_it_was_made_before(ledger: Ledger) -> None:
    stands(ledger, ONE)
    ref = one_valid(ledger)
    first = publish(ledger, ref, "d1", ONE)
    stands(ledger, TWO)
    second = remade(ledger, ref, "d2", TWO)
    stands(ledger, ONE, withdrawn=TWO)
    third = remade(ledger, ref, "d1", ONE)
    assert [each.id for each in ledger.published(current=True)] == [third]
    assert product(ledger, ref, second).successor == third
    assert (product(ledger, ref, first).state, product(ledger, ref, first).successor) == ("withdrawn", third)


def test_a_model_that_is_promoted_again_publishes_its_marked_product_unmarked(ledger: Ledger) -> None:
    ref, number = rolled_back(ledger)
    ledger.deprecated(number, reason="stripes", by=ANN)
    stands(ledger, TWO)
    again = remade(ledger, ref, "d2", TWO)
    [current] = ledger.published(current=True)
    assert (current.id, current.deprecated) == (again, None)
    assert product(ledger, ref, number).successor == again


@pytest.mark.parametrize(
    ("reason", "state"),
    [("model_withdrawn", ProductState.WANTED), ("crashed", ProductState.FAILED)],
)
def test_a_scene_given_back_because_its_model_was_withdrawn_is_never_given_up(
    ledger_url: str, reason: str, state: ProductState
) -> None:
    ledger = Ledger.open(ledger_url, max_tries=1)
    ref = one_valid(ledger)
    ledger.give_back([ref], BY, reason, "physics-2 was taken back")
    assert product(ledger, ref, ref.product or 0).state == state
    ledger.close()
