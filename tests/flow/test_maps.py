"""Maps go through the flow as products of their own: claimed, published, held, taken back, found."""

import json
from datetime import timedelta

import pytest

from fixtures_publish import (
    LEASE,
    Wanted,
    good_batch,
    lease,
    lease_maps,
    make_map,
    manifest,
    map_batch,
    maps_released,
    outcome,
    remade,
)
from undersky.errors import ConfigError
from undersky.flow.account import account
from undersky.flow.answer import Case, Question
from undersky.flow.claim import claim, read_batch
from undersky.flow.index import index
from undersky.flow.maps import has_map_work, mapped_kinds
from undersky.flow.publish import publish
from undersky.flow.published import item_key
from undersky.flow.rollback import deprecate
from undersky.flow.show import show, timeline
from undersky.flow.verify import verify
from undersky.flow.why import why
from undersky.refs import Batch, Ending, Kind, Lane, ReleaseSet, Stage
from undersky.services.ledger import Actor

HERE = Wanted()
THERE = Wanted(tile="33UUP")
BY = Actor("map-run", "publish")


@pytest.fixture
def surface(ledger, store):
    """A published surface product."""
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), Actor("test-run"))
    return ledger.story(HERE.key).products[-1]


def maps(ledger, kind=Kind.LANDCOVER):
    return [each for each in ledger.story(HERE.key).products if each.kind is kind]


def item(store, href):
    return json.loads(store.get(store.key(href)))


def links(document, rel):
    return [each["href"] for each in document["links"] if each["rel"] == rel]


def claimed(ledger, store, work, *, release=None, run="map-run"):
    return claim(
        ledger, store, work=work, lane=Lane.FRESH, run=run, by=Actor(run), limit=10, batch_scenes=5,
        lease=LEASE, release=release,
    )  # fmt: skip


# claim


def test_a_claim_for_maps_wants_what_is_missing_and_names_its_batches_after_the_kind(ledger, store, surface):
    hrefs = [claimed(ledger, store, kind, release=maps_released()) for kind in ("landcover", "vessels")]
    assert [href for [href] in hrefs] == [
        f"s3://undersky-tests/batches/map-run/{name}-000/batch.json" for name in ("landcover", "vessels")
    ]
    assert [read_batch(store, href).kind for [href] in hrefs] == [Kind.LANDCOVER, Kind.VESSELS]
    assert claimed(ledger, store, "landcover", release=maps_released()) == hrefs[0]
    [ref] = read_batch(store, hrefs[0][0]).scenes
    assert ref.surface == surface.made


def test_without_a_released_model_there_are_no_maps(ledger, store, surface):
    [correction] = [each for each in maps_released().models if each.name == "correction"]
    bare = ReleaseSet(digest="bare", models=(correction,))
    assert claimed(ledger, store, "landcover", release=bare) == []
    assert maps(ledger) == []
    assert mapped_kinds(bare) == mapped_kinds(None) == ()
    with pytest.raises(ConfigError, match="a claim for vessels needs the pinned models"):
        claimed(ledger, store, "vessels")


def test_a_run_knows_before_it_pins_which_maps_there_are_to_make(ledger, store, surface):
    by = Actor("map-run")
    assert has_map_work(ledger, lane=Lane.FRESH, by=by) == ()
    ledger.set_release(maps_released(), kind="bootstrap", why="first", by=by, seen=None)
    assert has_map_work(ledger, lane=Lane.FRESH, by=by) == (Kind.LANDCOVER, Kind.VESSELS)
    assert has_map_work(ledger, lane=Lane.HISTORICAL, by=by) == ()
    lease_maps(ledger)
    assert has_map_work(ledger, lane=Lane.FRESH, by=by) == (Kind.LANDCOVER, Kind.VESSELS)
    assert has_map_work(ledger, lane=Lane.FRESH, by=Actor("other")) == (Kind.VESSELS,)


# publish


def test_a_published_map_links_the_published_surface_item_alone(ledger, store, surface):
    report = publish(ledger, store, map_batch(store, *lease_maps(ledger)), BY)
    [scene] = report.scenes
    [cover] = maps(ledger)
    assert (scene.state, scene.item, cover.href) == ("published", cover.href, cover.href)
    assert store.key(cover.href).startswith("stac/sentinel-2-landcover/2025/06/")
    document = item(store, cover.href)
    [source] = links(document, "derived_from")
    assert source == f"../../../../{store.key(surface.href).removeprefix('stac/')}"
    assert links(document, "license") == ["https://example.org/terms"]
    assert document["properties"]["version"] == "1"
    assert document["properties"]["undersky:model"]["name"] == "landcover"
    assert publish(ledger, store, map_batch(store, *read(store, "landcover")), BY).scenes[0].new is False


def read(store, kind):
    return read_batch(store, store.href(f"batches/map-run/{kind}-000/batch.json")).scenes


def test_a_held_map_leaves_its_reflectance_published(ledger, store, surface):
    refs = lease_maps(ledger)
    href = map_batch(store, *refs, ending=Ending.HELD, reason="one_class", sentence="all of it is water")
    assert publish(ledger, store, href, BY).counts() == {"held": 1}
    [cover] = maps(ledger)
    assert (cover.state, cover.reason, cover.href) == ("held", "one_class", None)
    assert [each.id for each in ledger.published(current=True)] == [surface.id]
    assert "undersky:withdrawn" not in item(store, surface.href)["properties"]


def test_a_newer_map_takes_the_place_of_the_older_one(ledger, store, surface):
    publish(ledger, store, map_batch(store, *lease_maps(ledger)), BY)
    again = Actor("second-run")
    publish(
        ledger, store, good_batch(store, remade(ledger, HERE), run="second-run", label="physics-2"), again
    )
    publish(ledger, store, map_batch(store, *lease_maps(ledger, run="r3"), run="r3"), Actor("r3"))
    first, second = (item(store, each.href) for each in maps(ledger))
    assert (first["properties"]["deprecated"], second["properties"]["deprecated"]) == (True, False)
    assert second["properties"]["version"] == "2"
    assert links(first, "successor-version")[0].endswith(f"{maps(ledger)[1].digest}.json")
    assert links(second, "predecessor-version")[0].endswith(f"{maps(ledger)[0].digest}.json")
    current = {each.kind: each.made.source for each in ledger.published(current=True)}
    surfaces = [each.digest for each in ledger.story(HERE.key).products if each.kind is Kind.SURFACE]
    assert current[Kind.LANDCOVER] == surfaces[-1]


def test_a_map_whose_surface_product_was_replaced_before_it_was_published_is_withdrawn(
    ledger, store, surface
):
    href = map_batch(store, *lease_maps(ledger))
    publish(
        ledger,
        store,
        good_batch(store, remade(ledger, HERE), run="second-run", label="physics-2"),
        Actor("second-run"),
    )
    [scene] = publish(ledger, store, href, BY).scenes
    assert (scene.state, scene.reason, scene.item) == ("withdrawn", "superseded", None)
    assert [each.key for each in store.list("stac/sentinel-2-landcover/")] == []
    assert len(lease_maps(ledger, run="r3")) == 1


def test_a_map_of_another_surface_product_than_was_claimed_is_refused(ledger, store, surface):
    [ref] = lease_maps(ledger)
    made = make_map(store, ref).model_copy(update={"source": "another"})
    for stage in (Stage.MAP, Stage.VALIDATE_MAP):
        manifest(store, stage, outcome(ref, stage, made=made), run="map-run", name="landcover-000")
    key = "batches/map-run/landcover-000/batch.json"
    store.put_json(key, Batch(run="map-run", name="landcover-000", lane=Lane.FRESH, scenes=(ref,)))
    [scene] = publish(ledger, store, store.href(key), BY).scenes
    assert (scene.state, scene.reason) == ("failed", "item_conflict")
    assert "is made of surface product another" in scene.sentence


@pytest.mark.parametrize("name", ["landcover", "correction"])
def test_a_map_of_a_model_that_was_taken_back_meanwhile_is_given_back(ledger, store, name):
    models = maps_released()
    bad = models.model(name)
    ref = lease(ledger, HERE)
    href = good_batch(store, ref)
    if name == "correction":
        manifest_with(store, ref, bad)
    publish(ledger, store, href, Actor("test-run"))
    href = map_batch(store, *lease_maps(ledger))
    by = Actor("ada")
    first = ledger.set_release(models, kind="bootstrap", why="first", by=by, seen=None)
    rest = ReleaseSet(digest="rest", models=tuple(each for each in models.models if each.name != name))
    ledger.set_release(rest, kind="rollback", why="stripes", by=by, seen=first.id, withdrawn=bad)
    [scene] = publish(ledger, store, href, BY).scenes
    assert (scene.state, scene.reason) == ("given_back", "model_withdrawn")
    assert "stripes" in scene.sentence


def manifest_with(store, ref, model):
    """The surface product is of that model."""
    from fixtures_publish import make

    made = make(store, ref).model_copy(update={"model": model})
    for stage in (Stage.CORRECT, Stage.VALIDATE_SURFACE):
        manifest(store, stage, outcome(ref, stage, made=made))


def test_an_unmade_map_ends_alone(ledger, store, surface):
    [ref] = lease_maps(ledger)
    said = outcome(ref, Stage.MAP, Ending.SKIPPED, "too_cloudy", "nothing of the ground can be seen")
    manifest(store, Stage.MAP, said, run="map-run", name="landcover-000")
    key = "batches/map-run/landcover-000/batch.json"
    store.put_json(key, Batch(run="map-run", name="landcover-000", lane=Lane.FRESH, scenes=(ref,)))
    assert publish(ledger, store, store.href(key), BY).counts() == {"withdrawn": 1}
    assert ledger.story(HERE.key).acquisition.state == "valid"
    found = account(ledger, store, run="map-run", by=BY)
    assert (found.counts, found.unexpected) == ({"withdrawn": 1}, ())


def test_what_a_run_leaves_of_two_kinds_is_told_apart(ledger, store, surface):
    for kind in (Kind.LANDCOVER, Kind.VESSELS):
        [href] = claimed(ledger, store, kind.value, release=maps_released())
    [ref] = read_batch(store, href).scenes
    said = outcome(ref, Stage.DETECT, Ending.RETRY, "service_failed", "the store was away")
    manifest(store, Stage.DETECT, said, run="map-run", name="vessels-000")
    found = account(ledger, store, run="map-run", by=BY)
    assert found.given_back == (HERE.key, HERE.key)
    cover, ships = maps(ledger), maps(ledger, Kind.VESSELS)
    assert "no stage had said how" in cover[-1].sentence
    assert "stage detect had left it retry (service_failed) the store was away" in ships[-1].sentence


# what people look at


def test_the_index_has_a_collection_of_each_kind(ledger, store, surface):
    for kind in (Kind.LANDCOVER, Kind.VESSELS):
        publish(ledger, store, map_batch(store, *lease_maps(ledger, kind)), BY)
    report = index(ledger, store)
    assert report.collections == ("sentinel-2-landcover", "sentinel-2-sr", "sentinel-2-vessels")
    titles = {
        name: json.loads(store.get(f"stac/{name}/collection.json"))["title"] for name in report.collections
    }
    assert titles == {
        "sentinel-2-landcover": "Land cover of sentinel-2b",
        "sentinel-2-sr": "Surface reflectance of sentinel-2b",
        "sentinel-2-vessels": "Ships of sentinel-2b",
    }
    assert store.head("stac/sentinel-2-vessels/items.parquet") is not None
    assert verify(ledger, store).agrees


def test_a_rollback_of_the_surface_reaches_its_maps_and_says_so(ledger, store):
    ref = lease(ledger, HERE)
    href = good_batch(store, ref)
    bad = maps_released().model("quality")
    from fixtures_publish import make

    made = make(store, ref).model_copy(update={"quality": bad})
    for stage in (Stage.CORRECT, Stage.VALIDATE_SURFACE):
        manifest(store, stage, outcome(ref, stage, made=made))
    publish(ledger, store, href, Actor("test-run"))
    publish(ledger, store, map_batch(store, *lease_maps(ledger)), BY)
    by = Actor("ada")
    first = ledger.set_release(maps_released(), kind="bootstrap", why="first", by=by, seen=None)
    rest = ReleaseSet(digest="rest", models=maps_released().models[:2])
    ledger.set_release(rest, kind="rollback", why="snow for cloud", by=by, seen=first.id, withdrawn=bad)
    assert deprecate(ledger, store, by=by) == 2
    [cover] = maps(ledger)
    said = f"derived from {made.id}: cover-1 was taken back: snow for cloud"
    assert cover.deprecated == said == item(store, cover.href)["properties"]["undersky:withdrawn"]
    assert deprecate(ledger, store, by=by) == 0


def test_show_and_why_tell_how_the_maps_stand(ledger, store, surface):
    href = map_batch(store, *lease_maps(ledger), ending=Ending.HELD, reason="one_class", sentence="all water")
    publish(ledger, store, href, BY)
    ledger.want_maps((Kind.VESSELS,), BY)
    [answer] = why(ledger, Question(HERE.tile, HERE.sensed.date()), profiles={}).answers
    assert answer.case is Case.PUBLISHED
    assert "Its land cover map is held since" in answer.text
    assert f"all water. A person decides: `undersky release {HERE.key}" in answer.text
    assert "Its list of ships waits since" in answer.text
    [cover] = maps(ledger)
    [story] = show(ledger, cover.made.id).stories
    assert {line.subject for line in timeline(story)} == {
        "acquisition", f"product {surface.id}", f"landcover {cover.id}", f"vessels {cover.id + 1}",
    }  # fmt: skip


def test_a_map_of_an_earlier_surface_product_is_told(ledger, store, surface):
    publish(ledger, store, map_batch(store, *lease_maps(ledger)), BY)
    href = good_batch(store, remade(ledger, HERE), run="second-run", label="physics-2")
    publish(ledger, store, href, Actor("second-run"))
    [answer] = why(ledger, Question(HERE.tile, HERE.sensed.date()), profiles={}).answers
    [cover] = maps(ledger)
    assert f"Its land cover map is published at {cover.href}. It is of an earlier surface" in answer.text
    assert item_key(cover.made) == store.key(cover.href)
    assert timedelta(0) < answer.since - cover.published
