"""A run is pinned to the newest release set, verified in the store; the registry is asked for what lacks."""

import hashlib
import json

import pytest

from fixtures_shelf import Shelf, a_version
from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.flow.pin import current, pin
from undersky.flow.promote import promote, release_set, restore
from undersky.models.package import load_package
from undersky.refs import ReleaseSet
from undersky.services.ledger import Actor
from undersky.services.registry import VERDICT_FILE

ADA = Actor("ada")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def released(shelf, ledger, store, tmp_path):
    """One version, promoted."""
    promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-1"), by=ADA)
    shelf.downloads = 0
    return ledger.release().release.model("correction")


@pytest.fixture
def pinned(ledger, store, shelf):
    return lambda run="run-1": pin(ledger, store, run=run, open_registry=lambda: shelf)


@pytest.fixture
def another(shelf, ledger, store, tmp_path):
    """Promotes a second version."""
    return lambda: promote(shelf, ledger, store, a_version(shelf, tmp_path, "network-2"), by=ADA)


def away():
    raise ServiceError("the registry is away")


def test_the_newest_release_set_lies_whole_in_the_store_and_workers_can_load_it(
    released, pinned, store, tmp_path_factory
):
    model = pinned().model("correction")
    assert model == released
    assert model.href == f"{store.url}/models/correction/{model.digest}"
    assert model.page.endswith("/#/models/correction/versions/1")
    there = tmp_path_factory.mktemp("worker")
    for stored in store.list(f"{store.key(model.href)}/"):
        store.get_file(stored.key, there / stored.key.rpartition("/")[2])
    assert load_package(there).digest == model.digest


def test_the_release_set_of_the_run_lies_beside_its_batches(released, pinned, store):
    release = pinned()
    assert ReleaseSet.from_json(store.get("batches/run-1/release.json")) == release
    assert release.digest == release_set([released]).digest


def test_a_registry_that_is_away_stops_no_run_while_the_store_is_whole(released, ledger, store):
    assert pin(ledger, store, run="run-1", open_registry=away).model("correction") == released


def test_a_run_stays_pinned_after_a_promotion_in_between(released, pinned, another):
    first = pinned()
    another()
    assert pinned() == first
    assert pinned("run-2").model("correction").label == "network-2"


def test_a_run_that_begins_after_a_rollback_works_with_the_set_before(
    released, pinned, another, shelf, ledger
):
    another()
    restore(shelf, ledger, "correction", by=ADA, why="halo along the coast")
    assert pinned().model("correction") == released


@pytest.mark.parametrize("damage", ["weights gone", "weights cut", "verdict", "package", "refusal"])
def test_a_damaged_copy_in_the_store_is_replaced(released, pinned, shelf, store, damage):
    folder = store.key(released.href)
    if damage == "weights gone":
        store.delete(f"{folder}/weights.safetensors")
    elif damage == "weights cut":
        store.put(f"{folder}/weights.safetensors", b"short")
    elif damage == "refusal":
        text = store.get(f"{folder}/{VERDICT_FILE}").replace(b'"approved"', b'"rejected"')
        store.put(f"{folder}/{VERDICT_FILE}", text)
    else:
        store.put(f"{folder}/{damage}.json", b"{}")
    pinned()
    assert shelf.downloads == 1
    weights = store.get(f"{folder}/weights.safetensors")
    header = json.loads(store.get(f"{folder}/package.json"))
    assert hashlib.sha256(weights).hexdigest() == header["weights_sha256"]
    pinned("run-2")
    assert shelf.downloads == 1


def test_a_damaged_copy_and_a_registry_that_is_away_pin_nothing(released, ledger, store):
    store.delete(f"{store.key(released.href)}/weights.safetensors")
    with pytest.raises(ServiceError, match="registry is away"):
        pin(ledger, store, run="run-1", open_registry=away)
    assert store.find("batches/run-1/release.json") is None


def test_a_version_that_was_changed_in_the_registry_is_not_copied(released, pinned, shelf, store):
    store.delete(f"{store.key(released.href)}/package.json")
    shelf.tag(shelf.version("correction", "1"), **{"undersky.digest": "ab" * 32})
    with pytest.raises(DataError, match="somebody changed it there") as caught:
        pinned()
    assert caught.value.reason is Reason.MODEL_REFUSED


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("weights.safetensors", "its weights have"),
        ("package.json", "its package has"),
        (VERDICT_FILE, "its verdict is not"),
    ],
)
@pytest.mark.usefixtures("released")
def test_files_that_were_changed_after_the_verdict_are_refused(pinned, shelf, store, name, why):
    for stored in list(store.list("models/")):
        store.delete(stored.key)
    shelf.files["correction", "1"][name] += b" "
    with pytest.raises(DataError, match=why):
        pinned()
    assert list(store.list("models/")) == []
    assert store.find("batches/run-1/release.json") is None


def test_before_anything_was_released_the_cure_is_named(ledger, pinned):
    with pytest.raises(ConfigError, match="undersky model bootstrap"):
        pinned()
    with pytest.raises(ConfigError, match="undersky model bootstrap"):
        current(ledger)


def test_of_two_pins_of_one_run_the_first_counts(released, pinned, store, monkeypatch):
    other = release_set([released.model_copy(update={"version": "9"})])
    find = type(store).find

    def late(self, key):
        found = find(self, key)
        if key == "batches/run-1/release.json" and found is None:
            self.put_json(key, other)
        return found

    monkeypatch.setattr(type(store), "find", late)
    assert pinned() == other


def test_a_release_set_of_another_version_is_refused(released, pinned, store):
    store.put("batches/run-1/release.json", b"{}")
    with pytest.raises(ConfigError, match="start a new run"):
        pinned()
