"""Which models the flow works with is decided once, for all together, on a verdict over the weights."""

import threading
from contextlib import suppress

import pytest

from fixtures_registry import a_verdict
from fixtures_shelf import Shelf, a_package, a_version
from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.flow.promote import promote, release_set, restore
from undersky.services.ledger import Actor

ADA = Actor("ada")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def move(shelf, ledger, store):
    return lambda version, **said: promote(shelf, ledger, store, version, by=ADA, **said)


def test_the_first_promotion_is_the_first_release(shelf, ledger, store, move, tmp_path):
    version = a_version(shelf, tmp_path, "network-1")
    done = move(version)
    record = ledger.release()
    assert (record.kind, record.run, record.why) == ("bootstrap", "ada", "approved: a test said so")
    assert record.release == done.release
    assert (done.model.digest, done.model.version, done.before) == (version.digest, "1", None)
    assert done.changed
    assert store.find(f"models/correction/{version.digest}/verdict.json") is not None
    assert shelf.aliases("correction") == {"champion": "1"}


def test_aliases_follow_from_promotion_to_promotion(shelf, move, tmp_path):
    first, second = (a_version(shelf, tmp_path, label) for label in ("network-1", "network-2"))
    move(first)
    shelf.set_alias(second, "candidate")
    done = move(second)
    assert done.before.digest == first.digest
    assert shelf.aliases("correction") == {"champion": "2", "previous": "1"}
    move(first)
    assert shelf.aliases("correction") == {"champion": "1", "previous": "2"}


def test_the_alias_of_another_candidate_stays(shelf, move, tmp_path):
    first, second = (a_version(shelf, tmp_path, label) for label in ("network-1", "network-2"))
    shelf.set_alias(second, "candidate")
    move(first)
    assert shelf.aliases("correction") == {"champion": "1", "candidate": "2"}


def test_promoting_twice_is_once(shelf, ledger, move, tmp_path):
    first, second = (a_version(shelf, tmp_path, label) for label in ("network-1", "network-2"))
    move(first)
    done, again = move(second), move(second)
    assert (done.changed, again.changed) == (True, False)
    assert done.release == again.release
    assert [record.kind for record in ledger.releases()] == ["promotion", "bootstrap"]
    assert shelf.downloads == 2


def test_a_promotion_that_was_cut_off_after_the_ledger_is_completed_by_saying_it_again(
    shelf, ledger, move, tmp_path, monkeypatch
):
    first, second = (a_version(shelf, tmp_path, label) for label in ("network-1", "network-2"))
    move(first)
    shelf.set_alias(second, "candidate")

    def away(*_):
        raise ServiceError("the registry is away")

    with monkeypatch.context() as cut:
        cut.setattr(shelf, "set_alias", away)
        with pytest.raises(ServiceError):
            move(second)
    assert ledger.release().release.model("correction").digest == second.digest
    assert shelf.aliases("correction") == {"champion": "1", "candidate": "2"}
    assert not move(second).changed
    assert shelf.aliases("correction") == {"champion": "2", "previous": "1"}


def test_a_version_that_nobody_answered_is_refused(shelf, ledger, move, tmp_path):
    with pytest.raises(DataError, match="nobody has reviewed it") as caught:
        move(a_version(shelf, tmp_path, "network-1", answer=None))
    assert caught.value.reason is Reason.MODEL_REFUSED
    assert ledger.release() is None
    assert shelf.aliases("correction") == {}


def test_a_refusal_is_no_verdict_to_promote_on(shelf, ledger, move, tmp_path):
    with pytest.raises(DataError, match="test rejected it: a test said so"):
        move(a_version(shelf, tmp_path, "network-1", answer="rejected"))
    assert ledger.release() is None


@pytest.mark.parametrize("other", [{"package": "ab" * 32}, {"name": "landcover"}])
def test_a_verdict_over_other_weights_promotes_nothing(shelf, store, move, tmp_path, other):
    version = a_version(shelf, tmp_path, "network-1", answer=None)
    said = a_verdict("correction", version.digest, "network-1").model_copy(update=other)
    with pytest.raises(DataError, match="its verdict is of"):
        move(shelf.write_verdict(version, said))
    assert shelf.aliases("correction") == {}
    assert list(store.list("models/")) == []


def test_weights_that_were_changed_under_their_verdict_are_refused(shelf, ledger, store, move, tmp_path):
    version = a_version(shelf, tmp_path, "network-1")
    shelf.files["correction", "1"]["weights.safetensors"] += b"\0"
    with pytest.raises(DataError, match="its weights have sha256"):
        move(version)
    assert ledger.release() is None
    assert list(store.list("models/")) == []


def test_another_models_member_stays_in_the_set(shelf, ledger, move, tmp_path):
    correction = a_version(shelf, tmp_path, "network-1")
    landcover = a_version(shelf, tmp_path, "fields-1", name="landcover")
    move(correction)
    move(landcover)
    later = a_version(shelf, tmp_path, "network-2", downstream={"landcover": landcover.digest})
    move(later)
    found = {model.name: model.digest for model in ledger.release().release.models}
    assert found == {"correction": later.digest, "landcover": landcover.digest}


@pytest.mark.parametrize("looked_at", [{}, {"landcover": "ab" * 32}])
def test_a_downstream_champion_that_was_not_evaluated_stops_the_promotion(
    shelf, ledger, move, tmp_path, looked_at
):
    move(a_version(shelf, tmp_path, "network-1"))
    move(a_version(shelf, tmp_path, "fields-1", name="landcover"))
    before = ledger.release()
    with pytest.raises(DataError, match="the champion of landcover, fields-1, was not evaluated"):
        move(a_version(shelf, tmp_path, "network-2", downstream=looked_at))
    assert ledger.release() == before


def test_a_release_that_came_between_is_not_lost(shelf, ledger, move, tmp_path, monkeypatch):
    move(a_version(shelf, tmp_path, "network-1"))
    landcover = a_version(shelf, tmp_path, "fields-1", name="landcover")
    vessels = a_version(shelf, tmp_path, "ships-1", name="vessels")
    download, hits = shelf.download, []

    def meanwhile(version, folder):
        download(version, folder)
        if not hits:
            hits.append(version)
            move(vessels)

    monkeypatch.setattr(shelf, "download", meanwhile)
    with pytest.raises(ServiceError, match="another release came between"):
        move(landcover)
    move(landcover)
    assert [model.name for model in ledger.release().release.models] == ["correction", "landcover", "vessels"]


def test_of_many_that_promote_at_once_no_member_is_lost(shelf, ledger, move, tmp_path):
    names = ("correction", "landcover", "vessels", "quality")
    versions = [a_version(shelf, tmp_path, f"{name}-1", name=name) for name in ("landcover", "vessels")]
    looked = {version.name: version.digest for version in versions}
    versions += [
        a_version(shelf, tmp_path, f"{name}-1", name=name, downstream=looked)
        for name in ("correction", "quality")
    ]

    def until_it_is(version):
        for _ in range(20):
            with suppress(ServiceError):
                move(version)
                return

    threads = [threading.Thread(target=until_it_is, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [model.name for model in ledger.release().release.models] == sorted(names)
    assert len(ledger.releases()) == 4


def test_a_version_that_was_taken_back_and_is_promoted_again_does_not_say_so_any_more(
    shelf, ledger, move, tmp_path
):
    first, second = (a_version(shelf, tmp_path, label) for label in ("network-1", "network-2"))
    move(first)
    move(second)
    restore(shelf, ledger, "correction", by=ADA, why="halo along the coast")
    assert shelf.version("correction", "2").withdrawn == "halo along the coast"
    move(shelf.version("correction", "2"), why="it was the tide")
    assert shelf.version("correction", "2").withdrawn == ""
    assert ledger.withdrawn_models() == {}
    assert shelf.aliases("correction") == {"champion": "2", "previous": "1"}


def test_previous_is_never_a_version_that_was_taken_back(shelf, ledger, move, tmp_path):
    first, second, third = (a_version(shelf, tmp_path, f"network-{n}") for n in (1, 2, 3))
    move(first)
    move(second)
    restore(shelf, ledger, "correction", by=ADA, why="halo along the coast")
    assert move(third).before.digest == first.digest
    assert shelf.aliases("correction") == {"champion": "3", "previous": "1"}


def test_an_alias_that_somebody_moved_is_put_right_by_promoting_again(shelf, move, tmp_path):
    first, second = (a_version(shelf, tmp_path, label) for label in ("network-1", "network-2"))
    move(first)
    move(second)
    shelf.set_alias(first, "champion")
    move(second)
    assert shelf.aliases("correction") == {"champion": "2", "previous": "1"}


def test_the_digest_of_a_release_set_is_of_names_and_packages_alone(shelf, move, tmp_path):
    model = move(a_version(shelf, tmp_path, "network-1")).model
    other = model.model_copy(update={"name": "landcover"})
    assert release_set([model, other]) == release_set([other, model])
    assert release_set([model]).digest == release_set([model.model_copy(update={"version": "9"})]).digest
    assert release_set([model]).digest != release_set([other]).digest


@pytest.mark.parametrize("tags", [{"undersky.digest": ""}, {"undersky.digest": "X" * 64}])
def test_a_version_whose_tags_name_no_digest_is_refused(shelf, move, tmp_path, tags):
    version = a_version(shelf, tmp_path, "network-1")
    shelf.tag(version, **tags)
    with pytest.raises(DataError):
        move(shelf.version("correction", "1"))


def test_a_package_of_another_model_is_refused(shelf, move, tmp_path):
    package = a_package(tmp_path, "fields-1", name="landcover")
    version = shelf.register(tmp_path / "fields-1", a_verdict("correction", package.digest, "fields-1"))
    with pytest.raises(DataError, match="its package is of the model landcover"):
        move(version)


def test_there_is_nothing_to_restore_before_anything_was_released(shelf, ledger):
    with pytest.raises(ConfigError, match="no version of correction was released yet"):
        restore(shelf, ledger, "correction", by=ADA, why="because")


def test_a_first_champion_takes_nobodys_place_and_needs_no_word_of_those_downstream(shelf, move, tmp_path):
    move(a_version(shelf, tmp_path, "cover-1", name="landcover"))
    assert move(a_version(shelf, tmp_path, "mask-1", name="quality")).changed
    with pytest.raises(DataError, match="the champion of landcover, cover-1, was not evaluated"):
        move(a_version(shelf, tmp_path, "mask-2", name="quality"))
