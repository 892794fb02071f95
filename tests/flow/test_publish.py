import json

import pytest

from fixtures_publish import (
    BY,
    COLLECTION,
    Wanted,
    batch_of,
    good_batch,
    judged,
    lease,
    make,
    manifest,
    outcome,
    remade,
)
from undersky.errors import ConfigError, ServiceError
from undersky.flow.publish import publish
from undersky.flow.published import item_key
from undersky.flow.verify import verify
from undersky.refs import Ending, Judged, Stage
from undersky.services.ledger import Actor, ProductState, Selection
from undersky.services.store import PreconditionFailed

HERE = Wanted()
THERE = Wanted(tile="33UUP")


def published(store):
    return [s.key for s in store.list("stac/")]


def state(ledger, wanted=HERE):
    return ledger.story(wanted.key).products[-1].state


def test_a_good_product_is_published_once_and_known_to_the_ledger(ledger, store):
    href = good_batch(store, lease(ledger, HERE))
    report = publish(ledger, store, href, BY)
    (scene,) = report.scenes
    assert (scene.state, scene.new) == ("published", True)
    assert published(store) == [store.key(scene.item)]
    assert [product.href for product in ledger.published()] == [scene.item]
    assert store.head(store.key(scene.item)).content_type == "application/geo+json"


def test_publishing_again_changes_nothing(ledger, store):
    href = good_batch(store, lease(ledger, HERE))
    first = publish(ledger, store, href, BY)
    before = store.read(published(store)[0]), len(ledger.story(HERE.key).history)
    again = publish(ledger, store, href, BY)
    assert (store.read(published(store)[0]), len(ledger.story(HERE.key).history)) == before
    assert [(s.state, s.item, s.new) for s in again.scenes] == [("published", first.scenes[0].item, False)]


def test_the_item_lies_where_the_layout_says_and_its_assets_are_found_from_there(ledger, store):
    ref = lease(ledger, HERE)
    publish(ledger, store, good_batch(store, ref), BY)
    (key,) = published(store)
    made = next(iter(ledger.published())).made
    assert key == f"stac/{COLLECTION}/2025/06/{ref.scene}/{made.digest}.json" == item_key(made)
    href = json.loads(store.get(key))["assets"]["B04"]["href"]
    assert href == f"../../../../../{made.prefix}/B04.tif"


def test_one_bad_scene_holds_up_no_other(ledger, store):
    good, bad = lease(ledger, HERE), None
    bad = lease(ledger, THERE)
    made = make(store, good)
    why = outcome(bad, Stage.CORRECT, Ending.QUARANTINED, "all_nodata", "nothing but nodata")
    manifest(store, Stage.CORRECT, outcome(good, Stage.CORRECT, made=made), why)
    manifest(store, Stage.VALIDATE_SURFACE, judged(good, made), why)
    report = publish(ledger, store, batch_of(store, bad, good), BY)
    assert report.counts() == {"published": 1, "withdrawn": 1}
    assert ledger.story(THERE.key).acquisition.state == "quarantined"
    assert ledger.story(THERE.key).products[-1].reason == "all_nodata"


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending.HELD, "held"),
        (Ending.FAILED, "failed"),
        (Ending.RETRY, "wanted"),
        (Ending.SKIPPED, "withdrawn"),
    ],
)
def test_a_product_that_was_not_found_good_is_not_visible(ledger, store, ending, expected):
    ref = lease(ledger, HERE)
    made = make(store, ref)
    manifest(store, Stage.CORRECT, outcome(ref, Stage.CORRECT, made=made))
    last = outcome(ref, Stage.VALIDATE_SURFACE, ending, "why", "because", made=made)
    manifest(store, Stage.VALIDATE_SURFACE, last)
    report = publish(ledger, store, batch_of(store, ref), BY)
    product = ledger.story(HERE.key).products[-1]
    assert (product.state, product.reason, product.lease) == (expected, "why", None)
    assert report.scenes[0].sentence == "because"
    assert published(store) == []


def test_a_held_product_that_a_person_released_is_published(ledger, store):
    ref = lease(ledger, HERE)
    made = make(store, ref)
    bad = Judged(expectations=9, failed=("too dark",))
    last = outcome(ref, Stage.VALIDATE_SURFACE, Ending.HELD, "too_dark", "too dark", made=made, judged=bad)
    manifest(store, Stage.CORRECT, outcome(ref, Stage.CORRECT, made=made))
    manifest(store, Stage.VALIDATE_SURFACE, last)
    publish(ledger, store, batch_of(store, ref), BY)
    assert state(ledger) == ProductState.HELD
    ledger.manage(
        "release",
        Selection(scenes=(HERE.key,), state="held"),
        by=Actor("a person"),
        why="it is the polar night",
    )
    again = lease(ledger, HERE, run="next")
    manifest(store, Stage.CORRECT, outcome(again, Stage.CORRECT, made=made), run="next")
    held = outcome(again, Stage.VALIDATE_SURFACE, Ending.HELD, "too_dark", "too dark", made=made, judged=bad)
    manifest(store, Stage.VALIDATE_SURFACE, held, run="next")
    publish(ledger, store, batch_of(store, again, run="next"), Actor("next"))
    item = json.loads(store.get(published(store)[0]))
    assert item["properties"]["undersky:validation"] == {"expectations": 9, "failed": ["too dark"]}


def test_scenes_of_a_batch_whose_stage_died_are_given_back(ledger, store):
    ref = lease(ledger, HERE)
    report = publish(ledger, store, batch_of(store, ref), BY)
    assert (report.scenes[0].state, report.scenes[0].reason) == ("given_back", "stage_died")
    product = ledger.story(HERE.key).products[-1]
    assert (product.state, product.lease, product.tries) == (ProductState.WANTED, None, 1)


def test_what_a_dead_validation_left_unjudged_is_not_published(ledger, store):
    ref = lease(ledger, HERE)
    manifest(store, Stage.CORRECT, outcome(ref, Stage.CORRECT, made=make(store, ref)))
    report = publish(ledger, store, batch_of(store, ref), BY)
    assert report.scenes[0].reason == "stage_died"
    assert published(store) == []
    assert state(ledger) == ProductState.WANTED


def test_what_a_dead_stage_finished_before_is_published(ledger, store):
    one, other = lease(ledger, HERE), None
    other = lease(ledger, THERE)
    for ref, stages in ((one, (Stage.CORRECT, Stage.VALIDATE_SURFACE)), (other, (Stage.CORRECT,))):
        made = make(store, ref)
        for stage in stages:
            said = outcome(ref, stage, made=made, judged=Judged(expectations=9))
            store.put_json(f"batches/test-run/000/{stage}/{ref.acquisition}.json", said)
            store.put(f"batches/test-run/000/{stage}/{ref.acquisition}.begun", b'{"tries": 1}')
    report = publish(ledger, store, batch_of(store, one, other), BY)
    assert report.counts() == {"given_back": 1, "published": 1}


@pytest.mark.parametrize("damage", ["absent", "cut"])
def test_a_product_whose_assets_are_not_whole_is_given_back(ledger, store, damage):
    ref = lease(ledger, HERE)
    href = good_batch(store, ref)
    (key,) = [s.key for s in store.list("products/") if s.key.endswith("B04.tif")]
    store.delete(key)
    if damage == "cut":
        store.put(key, b"short")
    report = publish(ledger, store, href, BY)
    assert report.scenes[0].reason == "assets_missing"
    assert key in report.scenes[0].sentence
    assert published(store) == []


def test_a_lease_that_was_lost_publishes_nothing(ledger, store):
    ref = lease(ledger, HERE)
    href = good_batch(store, ref)
    stale = batch_of(store, ref.model_copy(update={"token": ref.token - 1}))
    report = publish(ledger, store, stale, BY)
    assert report.scenes[0].state == "lost"
    assert published(store) == []
    assert publish(ledger, store, href, BY).scenes[0].state in {"published", "lost"}


def test_a_remake_deprecates_the_old_item_and_both_stay_readable(ledger, store):
    first = lease(ledger, HERE)
    publish(ledger, store, good_batch(store, first), BY)
    old_key = published(store)[0]
    second = remade(ledger, HERE)
    made = make(store, second, label="network-1")
    publish(
        ledger, store, good_batch(store, second, run="second-run", label="network-1"), Actor("second-run")
    )
    new_key = item_key(made)
    old, new = json.loads(store.get(old_key)), json.loads(store.get(new_key))
    assert (old["properties"]["deprecated"], new["properties"]["deprecated"]) == (True, False)
    assert (old["properties"]["version"], new["properties"]["version"]) == ("1", "2")
    assert links(old)["successor-version"] == f"./{new_key.rpartition('/')[2]}"
    assert links(new)["predecessor-version"] == f"./{old_key.rpartition('/')[2]}"
    assert [p.digest for p in ledger.published(current=True)] == [made.digest]
    assert len(list(ledger.published())) == 2


def links(item):
    return {link["rel"]: link["href"] for link in item["links"]}


def test_a_remake_that_comes_out_equal_is_no_new_version(ledger, store):
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    before = store.read(published(store)[0])
    second = remade(ledger, HERE)
    report = publish(ledger, store, good_batch(store, second, run="second-run"), Actor("second-run"))
    assert (report.scenes[0].state, report.scenes[0].reason) == ("withdrawn", "same_product")
    assert store.read(published(store)[0]) == before


def test_an_item_that_changed_under_the_deprecation_is_read_again(ledger, store, monkeypatch):
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    old_key = published(store)[0]
    put, hits = type(store).put, []

    def disturbed(self, key, data, **conditions):
        if key == old_key and len(hits) < 2:
            hits.append(key)
            item = json.loads(self.get(key))
            item["properties"]["note"] = f"by somebody else {len(hits)}"
            put(self, key, json.dumps(item).encode())
        return put(self, key, data, **conditions)

    monkeypatch.setattr(type(store), "put", disturbed)
    second = remade(ledger, HERE)
    publish(
        ledger, store, good_batch(store, second, run="second-run", label="network-1"), Actor("second-run")
    )
    old = json.loads(store.get(old_key))["properties"]
    assert (old["deprecated"], old["note"]) == (True, "by somebody else 2")


def test_an_item_of_another_product_in_the_place_fails_the_product_and_stays(ledger, store):
    ref = lease(ledger, HERE)
    href = good_batch(store, ref)
    key = item_key(make(store, ref))
    store.put(key, b'{"id": "foreign", "properties": {}}')
    report = publish(ledger, store, href, BY)
    assert (report.scenes[0].state, report.scenes[0].reason) == ("failed", "item_conflict")
    assert json.loads(store.get(key))["id"] == "foreign"
    assert state(ledger) == ProductState.FAILED


def test_the_ledger_decides_where_the_store_cannot(ledger, store, monkeypatch):
    def refuses(self, key, data, *, content_type=None, if_absent=False, if_match=None):
        assert not if_absent
        assert if_match is None
        return put(self, key, data, content_type=content_type)

    put = type(store).put
    first = lease(ledger, HERE)
    href = good_batch(store, first)
    monkeypatch.setattr(type(store), "put", refuses)
    assert publish(ledger, store, href, BY, commit="ledger").counts() == {"published": 1}
    second = remade(ledger, HERE)
    href = good_batch(store, second, run="second-run", label="network-1")
    assert publish(ledger, store, href, Actor("second-run"), commit="ledger").counts() == {"published": 1}
    assert sum(json.loads(store.get(k))["properties"]["deprecated"] for k in published(store)) == 1


def test_a_store_that_fails_leaves_the_scene_for_the_next_call(ledger, store, monkeypatch):
    ref = lease(ledger, HERE)
    href = good_batch(store, ref)
    put = type(store).put
    monkeypatch.setattr(type(store), "put", _down)
    report = publish(ledger, store, href, BY)
    assert [scene.state for scene in report.retryable] == ["retry"]
    assert state(ledger) == ProductState.CHECKED
    monkeypatch.setattr(type(store), "put", put)
    assert publish(ledger, store, href, BY).counts() == {"published": 1}


def _down(*_args, **_conditions):
    raise ServiceError("the store is down")


def test_the_item_tells_where_it_comes_from(ledger, store):
    ref = lease(ledger, HERE)
    made = make(store, ref)
    docs = store.href("reports/validation/x.html")
    manifest(store, Stage.CORRECT, outcome(ref, Stage.CORRECT, made=made))
    manifest(store, Stage.VALIDATE_SURFACE, judged(ref, made, docs=docs))
    publish(ledger, store, batch_of(store, ref), BY)
    item = json.loads(store.get(item_key(made)))
    found = item["properties"]
    assert found["undersky:source"]["baseline"] == "05.11"
    assert found["undersky:model"]["registry_version"] == "1"
    assert found["undersky:acquisition"] == HERE.key
    assert found["undersky:published_by"] == "test-run"
    assert len(found["undersky:release"]) == 64
    assert links(item)["quality-report"] == "../../../../../reports/validation/x.html"
    assert links(item)["license"] == "https://example.org/terms"


def test_what_is_no_batch_is_refused_with_the_cure(ledger, store):
    with pytest.raises(ConfigError, match=r"batch\.json that `claim` wrote"):
        publish(ledger, store, store.href("batches/none/000/batch.json"), BY)
    store.put("batches/odd/000/batch.json", b'{"run": 1}')
    with pytest.raises(ConfigError, match="another version"):
        publish(ledger, store, store.href("batches/odd/000/batch.json"), BY)


@pytest.mark.parametrize("defect", ["place", "id"])
def test_a_defect_of_one_product_fails_it_and_holds_up_no_other(ledger, store, defect):
    ref, good = lease(ledger, HERE), None
    good = lease(ledger, THERE)
    made, whole = make(store, ref), make(store, good)
    there = [store.read(stored.key) for stored in store.list(f"{made.prefix}/")]
    if defect == "place":
        odd = made.model_copy(update={"prefix": "products/odd", "item": f"products/odd/{made.id}.json"})
        for document in there:
            store.put(document.stored.key.replace(made.prefix, "products/odd"), document.data)
    else:
        odd = made.model_copy(update={"id": "another"})
    pairs = [(ref, odd), (good, whole)]
    manifest(store, Stage.CORRECT, *(outcome(r, Stage.CORRECT, made=m) for r, m in pairs))
    manifest(store, Stage.VALIDATE_SURFACE, *(judged(r, m) for r, m in pairs))
    report = publish(ledger, store, batch_of(store, ref, good), BY)
    assert [(s.state, s.reason) for s in report.scenes] == [("failed", "item_conflict"), ("published", "ok")]


def test_nobody_else_is_first_where_the_put_wins(ledger, store):
    publish(ledger, store, good_batch(store, lease(ledger, HERE)), BY)
    with pytest.raises(PreconditionFailed):
        store.put(published(store)[0], b"{}", if_absent=True)


def test_a_product_whose_item_was_lost_is_published_again_when_it_is_made_again(ledger, store):
    first = publish(ledger, store, good_batch(store, lease(ledger, Wanted())), BY).scenes[0]
    store.delete(store.key(first.item))
    assert len(verify(ledger, store).missing) == 1
    again = remade(ledger, Wanted())
    report = publish(ledger, store, good_batch(store, again, run="second-run"), Actor("second-run"))
    assert (report.scenes[0].state, report.scenes[0].item) == ("published", first.item)
    found = verify(ledger, store)
    assert (found.agrees, found.items, found.products) == (True, 1, 1)
