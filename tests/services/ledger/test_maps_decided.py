"""What people decide about maps: orders by kind, rollbacks by lineage, campaigns of one kind."""

import pytest
from sqlalchemy import text

from fixtures_ledger import BY, claimed, map_of, one_valid, outcome, product_of, publish, released, want
from undersky.errors import ConfigError
from undersky.refs import Ending, Judged, Kind, Lane, Made, ModelRef, ReleaseSet, SceneRef, Stage
from undersky.services.ledger import Actor, CampaignState, Ledger, Selection
from undersky.services.ledger.connecting import engine_for

ANN = Actor("ann", "decide")
COVER = Kind.LANDCOVER
FIRST = released(correction="physics-1", quality="mask-1", landcover="cover-1", vessels="ships-1")
WHY = "stripes over water"


def surface(ledger: Ledger, number: int = 0, *, by: str = "physics-1", mask: str = "mask-1") -> SceneRef:
    """A surface product of these models is published."""
    ref = one_valid(ledger, number)
    publish(ledger, ref, made=surface_of(ref, by, mask))
    return ref


def surface_of(ref: SceneRef, by: str, mask: str) -> Made:
    models = released(correction=by, quality=mask)
    made = product_of(ref, f"{by}+{mask}+{ref.acquisition}")
    return made.model_copy(update={"model": models.model("correction"), "quality": models.model("quality")})


def mapped(ledger: Ledger, kind: Kind = COVER, *, label: str = "cover-1") -> list[int]:
    """Every missing map of that kind is published; their rows."""
    refs = want(ledger, kind)
    for ref in refs:
        publish(ledger, ref, made=map_of(ref, f"{label}+{ref.surface.digest}", label))
    return [ref.product for ref in refs]


def held(ledger: Ledger) -> SceneRef:
    """A map that failed its expectations."""
    [ref] = want(ledger)
    ledger.made(ref, map_of(ref), BY)
    bad = Judged(expectations=4, failed=("all of it is one class",))
    ledger.ended(ref, outcome(ref, Ending.HELD, "one_class", stage=Stage.VALIDATE_MAP, judged=bad), BY)
    return ref


def states(ledger: Ledger, ref: SceneRef) -> dict[int, tuple[Kind, str]]:
    return {each.id: (each.kind, str(each.state)) for each in ledger.story(ref.acquisition).products}


def stands(ledger: Ledger, release: ReleaseSet, *, withdrawn: ModelRef | None = None) -> None:
    newest = ledger.release()
    kind = "bootstrap" if newest is None else "rollback" if withdrawn else "promotion"
    seen = None if newest is None else newest.id
    ledger.set_release(release, kind=kind, why=WHY, by=ANN, seen=seen, withdrawn=withdrawn)


# orders


def test_a_released_map_goes_past_the_expectation_that_held_it(ledger: Ledger) -> None:
    ref = surface(ledger)
    first = held(ledger)
    [change] = ledger.manage("release", Selection(kind=COVER, state="held"), by=ANN, why="a desert")
    assert (change.product, change.kind, change.after) == (first.product, "landcover", "wanted")
    [again] = claimed(ledger, "landcover")
    ledger.made(again, map_of(again), BY)
    bad = outcome(again, Ending.HELD, "one_class", stage=Stage.VALIDATE_MAP)
    assert ledger.ended(again, bad, BY) == "checked"
    assert states(ledger, ref)[again.product] == (COVER, "checked")


def test_a_kind_means_products_and_never_acquisitions(ledger: Ledger) -> None:
    failed = one_valid(ledger, 1)
    ledger.ended(failed, outcome(failed, Ending.QUARANTINED, "broken"), BY)
    assert ledger.retry(Selection(kind=COVER), by=ANN, why="all of them") == ()
    assert ledger.acquisitions(Selection(kind=Kind.SURFACE)) == ()
    assert [change.product for change in ledger.retry(Selection(tile="32TQM"), by=ANN, why="so")] == [None]


def test_a_skipped_map_leaves_its_scene_published(ledger: Ledger) -> None:
    ref = surface(ledger)
    first = held(ledger)
    [change] = ledger.skip(Selection(scenes=(ref.acquisition,)), by=ANN, why="not needed")
    assert (change.product, change.after) == (first.product, "withdrawn")
    assert ledger.story(ref.acquisition).acquisition.state == "valid"
    assert ledger.want_maps((COVER,), BY) == 0


def test_what_cannot_become_a_map_any_more_is_not_tried_again(ledger: Ledger) -> None:
    ref = surface(ledger)
    held(ledger)
    ledger.deprecated(ref.product, reason=WHY, by=ANN)
    assert ledger.retry(Selection(kind=COVER, state="held"), by=ANN, why="so") == ()


def test_a_remade_scene_is_mapped_by_itself_and_a_remade_map_leaves_its_scene(ledger: Ledger) -> None:
    ref = surface(ledger)
    [cover] = mapped(ledger)
    [change] = ledger.remake(Selection(scenes=(ref.acquisition,)), by=ANN, why="so", dry_run=True)
    assert (change.product, change.kind) == (ref.product, "surface")
    [change] = ledger.remake(Selection(kind=COVER, tile="32TQM"), by=ANN, why="so", lane=Lane.FRESH)
    assert (change.product, change.kind) == (cover, "landcover")
    [again] = claimed(ledger, "landcover")
    assert again.surface.digest == surface_of(ref, "physics-1", "mask-1").digest
    assert claimed(ledger, "surface") == []
    publish(ledger, again, made=map_of(again, "m2", "cover-2"))
    assert ledger.story(ref.acquisition).products[1].successor == again.product


@pytest.mark.parametrize(("model", "kind"), [("cover-1", "landcover"), ("mask-1", "surface")])
def test_a_remake_by_model_makes_again_what_that_model_made(ledger: Ledger, model: str, kind: str) -> None:
    surface(ledger)
    mapped(ledger)
    found = ledger.remake(Selection(model=model), by=ANN, why="so", dry_run=True)
    assert [change.kind for change in found] == [kind]


# rollback


def test_a_withdrawn_land_cover_model_marks_its_maps_and_nothing_else(ledger: Ledger) -> None:
    second = released(correction="physics-1", quality="mask-1", landcover="cover-2", vessels="ships-1")
    stands(ledger, FIRST)
    stands(ledger, second)
    surface(ledger)
    [bad] = mapped(ledger, label="cover-2")
    mapped(ledger, Kind.VESSELS, label="ships-1")
    stands(ledger, FIRST, withdrawn=second.model("landcover"))
    assert [each.id for each in ledger.to_deprecate()] == [bad]
    assert ledger.withdrawn_release(second.digest, COVER) == WHY
    assert ledger.withdrawn_release(second.digest) is None
    assert ledger.withdrawn_release(second.digest, Kind.VESSELS) is None


@pytest.mark.parametrize("name", ["correction", "quality"])
def test_a_withdrawn_model_of_the_surface_marks_it_and_the_maps_of_it(ledger: Ledger, name: str) -> None:
    labels = {"correction": "physics-1", "quality": "mask-1"}
    second = released(**{**labels, name: "new-2"}, landcover="cover-1", vessels="ships-1")
    stands(ledger, FIRST)
    good = surface(ledger, 0)
    mapped(ledger)
    stands(ledger, second)
    bad = surface(ledger, 1, **({"by": "new-2"} if name == "correction" else {"mask": "new-2"}))
    [cover] = mapped(ledger)
    stands(ledger, FIRST, withdrawn=second.model(name))
    assert [each.id for each in ledger.to_deprecate()] == [bad.product, cover]
    assert [each.id for each in ledger.to_deprecate(limit=1)] == [bad.product]
    for number in (bad.product, cover):
        ledger.deprecated(number, reason=WHY, by=ANN)
    assert ledger.to_deprecate() == ()
    assert ledger.want_maps((COVER,), BY) == 0
    assert states(ledger, good)[good.product] == (Kind.SURFACE, "published")


# campaigns


def proposed(ledger: Ledger, release: ReleaseSet, **selection: object) -> Selection:
    campaign = ledger.propose_campaign(
        "again", Selection(**selection), why="better", at_once=5, budget_hours=None, release=release, by=ANN
    )
    return campaign.selection


def test_a_campaign_with_a_land_cover_model_makes_maps_again_and_nothing_else(ledger: Ledger) -> None:
    ref = surface(ledger)
    [old] = mapped(ledger)
    better = released(correction="physics-2", quality="mask-1", landcover="cover-2")
    assert proposed(ledger, better, model="cover-1").kind is COVER
    assert ledger.campaign("again").estimate.hours == pytest.approx(0.5)
    ledger.move_campaign("again", CampaignState.RUNNING, why="go", by=ANN)
    assert ledger.feed_campaign("again", better, by=ANN) == 1
    assert claimed(ledger, "surface", lane=Lane.HISTORICAL) == []
    [cover] = claimed(ledger, "landcover", lane=Lane.HISTORICAL)
    publish(ledger, cover, made=map_of(cover, "m2", "cover-2"))
    assert ledger.feed_campaign("again", better, by=ANN) == 0
    assert ledger.campaign("again").state == CampaignState.DONE
    assert states(ledger, ref) == {
        1: (Kind.SURFACE, "published"),
        old: (COVER, "published"),
        cover.product: (COVER, "published"),
    }


def test_a_campaign_without_a_kind_is_about_surface_reflectance(ledger: Ledger) -> None:
    surface(ledger)
    mapped(ledger)
    better = released(correction="physics-2", quality="mask-1", landcover="cover-2")
    assert proposed(ledger, better, tile="32TQM").kind is Kind.SURFACE
    assert ledger.campaign("again").estimate.scenes == 1
    assert proposed(ledger, better, tile="32TQM").kind is Kind.SURFACE, "the same wish is the same campaign"


def test_a_campaign_of_before_there_were_maps_is_the_same_wish(ledger: Ledger, ledger_url: str) -> None:
    surface(ledger)
    better = released(correction="physics-2")
    proposed(ledger, better, tile="32TQM")
    engine = engine_for(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("update ledger.campaign set selection = selection - 'kind'"))
    engine.dispose()
    assert proposed(ledger, better, tile="32TQM").kind is None
    assert ledger.campaign_progress("again", better).left == 1


def test_a_better_mask_makes_surface_products_again_and_only_those(ledger: Ledger) -> None:
    surface(ledger)
    mapped(ledger)
    better = released(correction="physics-1", quality="mask-2", landcover="cover-1")
    assert ledger.estimate_campaign(Selection(tile="32TQM"), better).scenes == 1
    assert ledger.estimate_campaign(Selection(tile="32TQM"), FIRST).scenes == 0
    assert ledger.estimate_campaign(Selection(kind=COVER), better).scenes == 0


def test_a_map_without_a_surface_product_that_counts_is_not_left_to_make(ledger: Ledger) -> None:
    ref = surface(ledger)
    mapped(ledger)
    better = released(correction="physics-1", landcover="cover-2")
    assert ledger.estimate_campaign(Selection(kind=COVER), better).scenes == 1
    ledger.deprecated(ref.product, reason=WHY, by=ANN)
    assert ledger.estimate_campaign(Selection(kind=COVER), better).scenes == 0


def test_a_campaign_needs_the_model_of_its_kind(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="has no model vessels, only correction"):
        proposed(ledger, released(correction="physics-1"), kind=Kind.VESSELS)


def test_a_model_name_that_two_kinds_of_map_share_asks_for_the_kind(ledger: Ledger) -> None:
    surface(ledger)
    mapped(ledger, label="one")
    mapped(ledger, Kind.VESSELS, label="one")
    with pytest.raises(ConfigError, match="landcover and vessels were both made by a model"):
        proposed(ledger, FIRST, model="one")
    assert proposed(ledger, FIRST, model="one", kind=Kind.VESSELS).kind is Kind.VESSELS


# questions


def test_counts_and_queues_are_told_by_kind(ledger: Ledger) -> None:
    surface(ledger, 0)
    mapped(ledger)
    surface(ledger, 1)
    ledger.want_maps((COVER, Kind.VESSELS), BY)
    counts = [(each.kind, each.state, each.number) for each in ledger.counts()]
    assert counts == [
        (None, "valid", 2),
        (Kind.SURFACE, "published", 2),
        (COVER, "published", 1),
        (COVER, "wanted", 1),
        (Kind.VESSELS, "wanted", 2),
    ]
    ready = {each.work: each.ready for each in ledger.waiting() if each.lane is Lane.FRESH}
    assert ready == {"ingest": 0, "surface": 0, "landcover": 1, "vessels": 2}
