"""Maps become wanted: once for each published surface product and kind, and no more when that one is gone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from fixtures_ledger import BY, announcement, claimed, map_of, one_valid, outcome, product_of, publish, want
from undersky.refs import Ending, Judged, Kind, Lane, SceneRef, Stage
from undersky.services.ledger import (
    AcquisitionState,
    Actor,
    LeaseLost,
    Ledger,
    Product,
    ProductState,
    Selection,
)
from undersky.services.ledger.connecting import engine_for

MAPS = (Kind.LANDCOVER, Kind.VESSELS)
ANN = Actor("ann")
LANDSAT = {
    "key": "LC09_192029_20250613", "scene": "LC09_L1TP_192029_20250613", "collection": "landsat-c2-l1",
    "platform": "landsat-9", "tile": "192029", "baseline": None, "tier": "T1",
}  # fmt: skip


def surface(ledger: Ledger, number: int = 0, digest: str = "d1", **changes: object) -> SceneRef:
    """A published surface product."""
    ref = one_valid(ledger, number, **changes)
    publish(ledger, ref, digest)
    return ref


def again(ledger: Ledger, ref: SceneRef, digest: str = "d2") -> SceneRef:
    """Another surface product took its place."""
    ledger.remake(Selection(scenes=(ref.acquisition,)), by=BY, why="better", lane=Lane.FRESH)
    [ref] = claimed(ledger, "surface")
    publish(ledger, ref, digest)
    return ref


def products(ledger: Ledger, ref: SceneRef, kind: Kind = Kind.LANDCOVER) -> list[Product]:
    story = ledger.story(ref.acquisition)
    assert story is not None
    return [each for each in story.products if each.kind is kind]


def test_a_published_surface_product_is_wanted_a_map_once_in_each_kind(ledger: Ledger) -> None:
    ref = surface(ledger)
    one_valid(ledger, 1)
    assert ledger.want_maps(MAPS, ANN) == 2
    assert ledger.want_maps(MAPS, ANN) == 0
    [cover] = products(ledger, ref)
    assert (cover.state, cover.source, cover.lane) == (ProductState.WANTED, ref.product, Lane.FRESH)
    story = ledger.story(ref.acquisition)
    [born] = [event for event in story.history if event.product == cover.id]
    said = f"surface product {ref.product} is published"
    assert (born.run, born.before, born.after, born.sentence) == ("ann", None, "wanted", said)


def test_a_claimed_map_names_its_surface_product_and_no_level_1_files(ledger: Ledger) -> None:
    ref = surface(ledger)
    [cover] = want(ledger)
    assert (cover.kind, cover.acquisition, cover.files) == (Kind.LANDCOVER, ref.acquisition, ())
    assert cover.surface == product_of(ref, "d1")
    assert ledger.holding(BY.run, "landcover") == [cover] == ledger.holding(BY.run)
    assert ledger.holding(BY.run, "vessels") == claimed(ledger, "surface") == []


def test_each_kind_has_a_lease_and_a_state_of_its_own(ledger: Ledger) -> None:
    ref = surface(ledger)
    ledger.want_maps(MAPS, BY)
    [cover], [ships] = claimed(ledger, "landcover"), claimed(ledger, "vessels")
    publish(ledger, cover, made=map_of(cover))
    ledger.made(ships, map_of(ships, "v1", "ships-1"), BY)
    many = outcome(ships, Ending.HELD, "too_many", stage=Stage.VALIDATE_OBJECTS)
    assert ledger.ended(ships, many, BY) == ProductState.HELD
    states = {each.kind: each.state for each in ledger.story(ref.acquisition).products}
    assert states == {
        Kind.SURFACE: ProductState.PUBLISHED,
        Kind.LANDCOVER: ProductState.PUBLISHED,
        Kind.VESSELS: ProductState.HELD,
    }


def test_ships_are_looked_for_in_sentinel_2_alone(ledger: Ledger) -> None:
    ref = surface(ledger, **LANDSAT)
    assert ledger.want_maps(MAPS, BY) == 1
    assert products(ledger, ref, Kind.VESSELS) == []


def test_the_archive_is_mapped_in_the_historical_lane(ledger: Ledger, ledger_url: str) -> None:
    surface(ledger, 0)
    surface(ledger, 1)
    engine = engine_for(ledger_url)
    with engine.begin() as connection:
        connection.execute(
            text("update ledger.product set published = now() - interval '3 days' where id = 1")
        )
    engine.dispose()
    assert [ref.sensed.hour for ref in want(ledger)] == [10]
    assert [ref.sensed.hour for ref in want(ledger, lane=Lane.HISTORICAL)] == [9]


def test_two_claims_at_once_want_each_map_once(ledger: Ledger) -> None:
    for number in range(3):
        surface(ledger, number)
    with ThreadPoolExecutor(4) as pool:
        wanted = list(pool.map(lambda _: ledger.want_maps(MAPS, BY), range(4)))
    assert sorted(wanted) == [0, 0, 0, 6]


@pytest.mark.parametrize("ending", [Ending.SKIPPED, Ending.QUARANTINED])
def test_a_map_that_cannot_be_made_says_nothing_about_its_scene_and_is_not_wanted_again(
    ledger: Ledger, ending: Ending
) -> None:
    ref = surface(ledger)
    [cover] = want(ledger)
    said = outcome(cover, ending, "too_cloudy", stage=Stage.MAP, ingested=None, judged=None)
    assert ledger.ended(cover, said, BY) == ProductState.WITHDRAWN
    story = ledger.story(ref.acquisition)
    assert story.acquisition.state == AcquisitionState.VALID
    assert [(each.state, each.reason) for each in story.products] == [
        (ProductState.PUBLISHED, "published"),
        (ProductState.WITHDRAWN, "too_cloudy"),
    ]
    assert ledger.want_maps(MAPS[:1], BY) == 0


def test_a_surface_product_that_was_made_again_gets_a_map_that_takes_the_place_of_the_old_one(
    ledger: Ledger,
) -> None:
    ref = surface(ledger)
    [old] = want(ledger)
    publish(ledger, old, made=map_of(old))
    newer = again(ledger, ref)
    [cover] = want(ledger)
    assert (cover.surface.digest, cover.product) != (old.surface.digest, old.product)
    publish(ledger, cover, made=map_of(cover, "m2"))
    first, second = products(ledger, ref)
    assert (first.state, first.successor) == (ProductState.PUBLISHED, second.id)
    assert second.source == newer.product
    current = [each.id for each in ledger.published(current=True)]
    assert current == [newer.product, second.id]


@pytest.mark.parametrize("how", ["wanted", "leased", "held", "failed"])
def test_a_map_of_an_earlier_surface_product_is_withdrawn(ledger: Ledger, how: str) -> None:
    ref = surface(ledger)
    ledger.want_maps((Kind.LANDCOVER,), BY)
    [cover] = claimed(ledger, "landcover") if how != "wanted" else [None]
    if how in ("held", "failed"):
        ledger.made(cover, map_of(cover), BY)
        ledger.ended(cover, outcome(cover, Ending(how), "one_class", stage=Stage.VALIDATE_MAP), BY)
    again(ledger, ref)
    assert ledger.want_maps((Kind.LANDCOVER,), BY) == 1
    old, new = products(ledger, ref)
    assert (old.state, old.reason, new.state) == ("withdrawn", "superseded", "wanted")
    assert "took the place of surface product 1" in old.sentence
    if how == "leased":
        with pytest.raises(LeaseLost):
            ledger.made(cover, map_of(cover), BY)


def test_a_map_of_a_deprecated_surface_product_is_withdrawn_and_none_is_wanted(ledger: Ledger) -> None:
    ref = surface(ledger)
    ledger.want_maps((Kind.LANDCOVER,), BY)
    ledger.deprecated(ref.product, reason="physics-2 was taken back", by=BY)
    assert ledger.want_maps((Kind.LANDCOVER,), BY) == 0
    [cover] = products(ledger, ref)
    assert (cover.state, cover.reason) == ("withdrawn", "source_deprecated")
    assert "physics-2 was taken back" in cover.sentence


def test_a_map_whose_surface_product_was_replaced_meanwhile_is_not_published(ledger: Ledger) -> None:
    ref = surface(ledger)
    [cover] = want(ledger)
    ledger.made(cover, map_of(cover), BY)
    ledger.checked(cover, Judged(expectations=3), BY)
    again(ledger, ref)
    with ledger.publishing(cover, map_of(cover), BY) as row:
        assert row.outdated is not None
        assert row.outdated.reason == "superseded"
        row.give_up()
    [old] = products(ledger, ref)
    assert (old.state, old.reason, old.href) == ("withdrawn", "superseded", None)
    assert ledger.want_maps((Kind.LANDCOVER,), BY) == 1


def test_an_equal_map_of_an_equal_surface_product_counts_for_the_new_one(ledger: Ledger) -> None:
    ref = surface(ledger)
    [cover] = want(ledger)
    publish(ledger, cover, made=map_of(cover))
    again(ledger, ref, "d2")
    back = again(ledger, ref, "d1")
    [same] = want(ledger)
    assert ledger.made(same, map_of(same), BY) == ProductState.WITHDRAWN
    first, second = products(ledger, ref)
    assert (first.state, first.successor, first.source) == ("published", None, back.product)
    assert (second.reason, second.successor) == ("same_product", first.id)
    assert ledger.want_maps((Kind.LANDCOVER,), BY) == 0


def test_a_newer_delivery_leaves_the_map_of_what_is_published_alone(ledger: Ledger) -> None:
    surface(ledger)
    [cover] = want(ledger)
    newer = announcement(scene="S2B_MSIL1C_20250619T095753_N0512", baseline="05.12")
    ledger.announce(newer, BY)
    publish(ledger, cover, made=map_of(cover))
    assert ledger.published(collection="sentinel-2-landcover") is not None
    assert [each.kind for each in ledger.published()] == [Kind.SURFACE, Kind.LANDCOVER]


def test_a_map_is_given_up_after_as_many_tries_as_a_surface_product(ledger_url: str) -> None:
    ledger = Ledger.open(ledger_url, max_tries=1, backoff=timedelta(minutes=1))
    ref = surface(ledger)
    [cover] = want(ledger)
    ledger.give_back([cover], BY, "crashed", "it died")
    assert [each.state for each in products(ledger, ref)] == ["failed"]
    assert ledger.want_maps((Kind.LANDCOVER,), BY) == 0
    ledger.close()


def test_a_map_without_a_surface_product_is_refused_by_the_schema(ledger: Ledger, ledger_url: str) -> None:
    surface(ledger)
    engine = engine_for(ledger_url)
    with pytest.raises(Exception, match="violates check constraint"), engine.begin() as connection:
        connection.execute(text("update ledger.product set kind = 'landcover'"))
    engine.dispose()
