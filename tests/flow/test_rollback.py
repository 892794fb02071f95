"""A rollback brings the set before back at once; whatever the withdrawn version made says so, one by one."""

import json
import re
import shlex

import pytest

from fixtures_publish import Wanted, good_batch, lease, model, release
from fixtures_shelf import Shelf
from undersky.cli import main
from undersky.errors import ConfigError, ServiceError
from undersky.flow.promote import release_set
from undersky.flow.publish import publish
from undersky.flow.rollback import RolledBack, deprecate, rollback
from undersky.services.ledger import Actor, CampaignEstimate, Selection
from undersky.services.registry import Version

ADA = Actor("ada")
WHY = "halo along the coast"
SCENES = [Wanted(tile=f"32TQ{letter}") for letter in "MLK"]


def on_shelf(shelf, number, label):
    """The version of that label, as far as aliases and tags go."""
    one = model(label)
    version = Version("correction", number, label, one.digest, "cd" * 32, f"models:/m-{number}")
    shelf.kept["correction", number] = Version(
        **{name: getattr(version, name) for name in version.__slots__ if name != "tags"},
        tags={"undersky.digest": one.digest, "undersky.verdict": "cd" * 32},
    )
    return one.model_copy(update={"version": number})


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def two(shelf, ledger):
    """`network-1` was released, then `physics-1`, which the products of `fixtures_publish` are made with."""
    good, bad = on_shelf(shelf, "1", "network-1"), on_shelf(shelf, "2", "physics-1")
    first = ledger.set_release(release_set([good]), kind="bootstrap", why="first", by=ADA, seen=None)
    ledger.set_release(_set(bad), kind="promotion", why="sharper", by=ADA, seen=first.id)
    shelf.set_alias(shelf.version("correction", "1"), "previous")
    shelf.set_alias(shelf.version("correction", "2"), "champion")
    return good, bad


def _set(model):
    """With the digest that `fixtures_publish` leases with."""
    return release().model_copy(update={"models": (model,)})


@pytest.fixture
def take_back(shelf, ledger, store, two):
    return lambda why=WHY: rollback(shelf, ledger, store, "correction", by=ADA, why=why)


def published(ledger, store, *wanted):
    for number, each in enumerate(wanted):
        run = f"run-{number}"
        publish(ledger, store, good_batch(store, lease(ledger, each, run=run), run=run), Actor(run))


def items(store):
    return [json.loads(store.get(stored.key))["properties"] for stored in store.list("stac/")]


def test_the_set_before_holds_at_once_and_every_product_says_why(shelf, ledger, store, two, take_back):
    good, bad = two
    published(ledger, store, *SCENES)
    done = take_back()
    record = ledger.release()
    assert (record.kind, record.why, record.withdrawn.digest) == ("rollback", WHY, bad.digest)
    assert record.release.model("correction") == good
    assert (done.withdrawn.label, done.champion.label, done.deprecated) == ("physics-1", "network-1", 3)
    reason = f"physics-1 was taken back: {WHY}"
    assert [(item["deprecated"], item["undersky:withdrawn"]) for item in items(store)] == [(True, reason)] * 3
    for wanted in SCENES:
        story = ledger.story(wanted.key)
        assert story.products[-1].state == "published"
        assert (story.history[-1].reason, story.history[-1].sentence) == ("model_withdrawn", reason)


def test_aliases_and_the_version_itself_follow(shelf, take_back):
    take_back()
    assert shelf.aliases("correction") == {"champion": "1"}
    assert shelf.version("correction", "2").withdrawn == WHY


def test_assets_stay_readable(ledger, store, take_back):
    published(ledger, store, *SCENES[:1])
    before = {stored.key: stored.etag for stored in store.list("products/")}
    take_back()
    assert {stored.key: stored.etag for stored in store.list("products/")} == before


def test_products_of_the_version_before_stay_as_they_are(ledger, store, two, take_back, monkeypatch):
    monkeypatch.setattr("fixtures_publish.release", lambda: release_set([two[0]]))
    ref = lease(ledger, SCENES[0], run="early")
    publish(ledger, store, good_batch(store, ref, run="early", label="network-1"), Actor("early"))
    assert take_back().deprecated == 0
    assert items(store)[0]["deprecated"] is False


def test_what_was_derived_with_a_withdrawn_version_is_deprecated_too(ledger, store, take_back):
    ref = lease(ledger, SCENES[0], run="derived")
    publish(ledger, store, good_batch(store, ref, run="derived", label="another-model"), Actor("derived"))
    assert take_back().deprecated == 1
    assert items(store)[0]["undersky:withdrawn"] == f"derived from a version that was taken back: {WHY}"


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_rollback_that_was_cut_off_is_taken_up_by_the_same_call(
    ledger, store, take_back, monkeypatch, after
):
    published(ledger, store, *SCENES)
    put, done = type(store).put, []

    def fails(self, key, data, **conditions):
        if len(done) == after:
            raise ServiceError("the store is away")
        done.append(key)
        return put(self, key, data, **conditions)

    with monkeypatch.context() as cut:
        cut.setattr(type(store), "put", fails)
        with pytest.raises(ServiceError):
            take_back()
    assert ledger.release().kind == "rollback"
    assert sum(item["deprecated"] for item in items(store)) == after
    assert take_back().deprecated == 3 - after
    assert all(item["deprecated"] for item in items(store))
    assert [record.kind for record in ledger.releases()] == ["rollback", "promotion", "bootstrap"]


def test_one_that_died_between_item_and_ledger_marks_the_item_once(ledger, store, take_back, monkeypatch):
    published(ledger, store, SCENES[0])

    def away(*_, **__):
        raise ServiceError("the ledger is away")

    with monkeypatch.context() as cut:
        cut.setattr(type(ledger), "deprecated", away)
        with pytest.raises(ServiceError):
            take_back()
    marked = [store.read(stored.key).stored.etag for stored in store.list("stac/")]
    assert take_back().deprecated == 1
    assert [store.read(stored.key).stored.etag for stored in store.list("stac/")] == marked


def test_a_registry_that_was_away_is_brought_after_by_the_same_call(shelf, ledger, take_back, monkeypatch):
    def away(*_):
        raise ServiceError("the registry is away")

    with monkeypatch.context() as cut:
        cut.setattr(shelf, "withdraw", away)
        with pytest.raises(ServiceError):
            take_back()
    take_back()
    assert shelf.version("correction", "2").withdrawn == WHY
    assert len(ledger.releases()) == 3


def test_the_same_call_again_marks_nothing_more(ledger, store, take_back):
    published(ledger, store, SCENES[0])
    take_back()
    assert take_back().deprecated == 0
    assert len(ledger.releases()) == 3


def test_making_them_again_is_offered_with_what_it_would_take(ledger, store, two, take_back):
    published(ledger, store, *SCENES)
    done = take_back()
    assert done.remake.scenes == 3
    assert done.remake.hours == pytest.approx(3 * 6 / 3600)
    assert done.offer.startswith("making them again: 3 scenes, 0.0 compute hours")
    assert f"campaign propose after-physics-1 --model {two[1].digest}" in done.offer
    assert done.sentence == (
        f"network-1 is champion of correction again; physics-1 is taken back and 3 of its products are "
        f"deprecated: {WHY}"
    )


def test_what_is_offered_can_be_said_as_it_stands(ledger, store, take_back, ledger_url, monkeypatch):
    published(ledger, store, *SCENES)
    offer = take_back("it's [halo] along the coast").offer
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    assert main(shlex.split(offer.partition("; undersky ")[2])) == 0
    proposed = ledger.campaign("after-physics-1")
    assert (proposed.why, proposed.estimate.scenes) == ("it's [halo] along the coast", 3)


@pytest.mark.parametrize("label", ["network-1.2", "Network_1", "learned default"])
def test_the_offered_name_is_one_that_a_campaign_may_have(label):
    withdrawn = model(label)
    done = RolledBack(withdrawn, model("physics-1"), 3, CampaignEstimate(3, 0.1, 10), WHY)
    name = shlex.split(done.offer.partition("propose ")[2])[0]
    assert re.fullmatch(r"after-[a-z0-9-]+", name)


def test_what_nobody_made_is_not_offered_to_be_made_again(take_back):
    assert take_back().offer == ""


@pytest.mark.parametrize("why", ["", "  \n"])
def test_a_rollback_without_a_reason_is_refused(ledger, take_back, why):
    with pytest.raises(ConfigError, match="needs a reason"):
        take_back(why)
    assert len(ledger.releases()) == 2


def test_with_nothing_to_go_back_to_it_is_refused(shelf, ledger, store, take_back):
    take_back()
    with pytest.raises(ConfigError, match="nothing to go back to"):
        take_back("another reason")
    assert shelf.aliases("correction") == {"champion": "1"}
    with pytest.raises(ConfigError, match="no version of landcover was released yet"):
        rollback(shelf, ledger, store, "landcover", by=ADA, why=WHY)


def test_another_models_member_stays(shelf, ledger, store, two, take_back):
    other = two[0].model_copy(update={"name": "landcover", "digest": "ab" * 32})
    record = ledger.release()
    both = release_set([two[1], other])
    ledger.set_release(both, kind="promotion", why="land cover", by=ADA, seen=record.id)
    take_back()
    assert [m.name for m in ledger.release().release.models] == ["correction", "landcover"]


def test_an_item_that_is_gone_stops_nothing(ledger, store, take_back):
    published(ledger, store, *SCENES[:2])
    store.delete(next(iter(store.list("stac/"))).key)
    assert take_back().deprecated == 2


def test_an_item_that_was_cut_is_named(ledger, store, take_back):
    published(ledger, store, SCENES[0])
    (key,) = [stored.key for stored in store.list("stac/")]
    store.put(key, b'{"id":')
    with pytest.raises(ServiceError, match=f"{key} is no JSON"):
        take_back()


def test_a_store_without_conditional_puts_is_marked_as_the_ledger_says(
    shelf, ledger, store, two, monkeypatch
):
    published(ledger, store, SCENES[0])
    put = type(store).put

    def refuses(self, key, data, *, content_type=None, if_absent=False, if_match=None):
        assert if_match is None
        return put(self, key, data, content_type=content_type, if_absent=if_absent)

    monkeypatch.setattr(type(store), "put", refuses)
    done = rollback(shelf, ledger, store, "correction", by=ADA, why=WHY, commit="ledger")
    assert done.deprecated == 1


def test_who_waits_hears_of_each_product(ledger, store, take_back, monkeypatch):
    published(ledger, store, *SCENES)
    with monkeypatch.context() as cut:
        cut.setattr("undersky.flow.rollback.deprecate", lambda *_, **__: 0)
        take_back()
    heard = []
    assert deprecate(ledger, store, by=ADA, told=heard.append) == 3
    assert heard == [1, 2, 3]


def test_a_scene_that_was_made_with_a_withdrawn_set_is_given_back(ledger, store, take_back):
    ref = lease(ledger, SCENES[0])
    href = good_batch(store, ref)
    take_back()
    (scene,) = publish(ledger, store, href, Actor("test-run")).scenes
    assert (scene.state, scene.reason) == ("given_back", "model_withdrawn")
    assert scene.sentence.endswith(f"is not published: {WHY}")
    assert list(store.list("stac/")) == []
    product = ledger.story(SCENES[0].key).products[-1]
    assert (product.state, product.lease) == ("wanted", None)


def test_an_equal_product_made_again_after_a_second_promotion_is_current_again(
    shelf, ledger, store, two, take_back
):
    published(ledger, store, SCENES[0])
    take_back()
    ledger.set_release(
        _set(two[1]), kind="promotion", why="it was the tide", by=ADA, seen=ledger.release().id
    )
    ledger.remake(Selection(scenes=(SCENES[0].key,)), by=ADA, why="good after all", lane="fresh")
    ref = lease(ledger, SCENES[0], run="again")
    report = publish(ledger, store, good_batch(store, ref, run="again"), Actor("again"))
    assert report.counts() == {"published": 1}
    (item,) = items(store)
    assert item["deprecated"] is False
    assert "undersky:withdrawn" not in item
    (current,) = ledger.published(current=True)
    assert current.deprecated is None
    assert deprecate(ledger, store, by=ADA) == 0


def test_what_is_published_in_the_moment_of_the_rollback_is_marked_by_the_next_sweep(
    ledger, store, take_back, monkeypatch
):
    href = good_batch(store, lease(ledger, SCENES[0]))
    publishing = type(ledger).publishing

    def late(self, *given):
        if ledger.release().kind != "rollback":
            take_back()
        return publishing(self, *given)

    monkeypatch.setattr(type(ledger), "publishing", late)
    assert publish(ledger, store, href, Actor("test-run")).counts() == {"published": 1}
    assert deprecate(ledger, store, by=ADA) == 1
    assert items(store)[0]["deprecated"] is True
