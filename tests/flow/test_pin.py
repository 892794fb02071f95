import hashlib
import json
import shutil
from datetime import UTC, datetime

import pytest

from undersky.errors import ConfigError, DataError, Reason
from undersky.flow.pin import pin, release_set
from undersky.models.package import load_package, shipped
from undersky.refs import ReleaseSet
from undersky.services.registry import CHAMPION, VERDICT_FILE, Verdict, Version

PACKAGE = load_package(shipped("physics"))


def verdict(**changed):
    known = {
        "name": "correction", "label": PACKAGE.version, "package": PACKAGE.digest,
        "decision": "a test said so", "by": "test", "at": datetime(2026, 1, 1, tzinfo=UTC),
        "suites": {"direct-6s": "ab" * 32}, "scenes": {"direct-6s": 2},
        "metrics": {"direct-6s": {"rmse": 0.01}}, "code_version": "0",
    }  # fmt: skip
    return Verdict(**(known | changed))


class OneChampion:
    """Stands for the registry: a folder of files and one version over them."""

    uri = "http://registry.example.org"

    def __init__(self, folder, said=None, **changed):
        self.folder, self.downloads = folder, 0
        for path in shipped("physics").iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        said = said or verdict()
        (folder / VERDICT_FILE).write_text(said.to_json())
        known = {
            "name": "correction", "number": "3", "label": PACKAGE.version, "digest": PACKAGE.digest,
            "verdict": said.digest, "source": "models:/m-1",
        }  # fmt: skip
        self.version = Version(**(known | changed))

    def champion(self, name):
        return self.version if name == "correction" else None

    def download(self, _version, folder):
        self.downloads += 1
        for path in self.folder.iterdir():
            shutil.copy(path, folder)

    def page(self, version):
        return f"{self.uri}/{version.number}"


@pytest.fixture
def champion(tmp_path):
    return OneChampion(tmp_path)


def test_the_champion_lies_whole_in_the_store_and_workers_can_load_it(champion, store, tmp_path_factory):
    release = pin(champion, store, run="run-1")
    model = release.model("correction")
    assert (model.version, model.label, model.digest) == ("3", "physics-1", PACKAGE.digest)
    assert model.href == f"{store.url}/models/correction/{PACKAGE.digest}"
    assert model.page == "http://registry.example.org/3"
    there = tmp_path_factory.mktemp("worker")
    for stored in store.list(f"{store.key(model.href)}/"):
        store.get_file(stored.key, there / stored.key.rpartition("/")[2])
    assert load_package(there).digest == PACKAGE.digest


def test_the_release_set_of_the_run_lies_beside_its_batches(champion, store):
    release = pin(champion, store, run="run-1")
    assert ReleaseSet.from_json(store.get("batches/run-1/release.json")) == release
    assert release.digest == release_set(release.models).digest
    assert len(release.digest) == 64


def test_a_run_stays_pinned_whoever_is_champion_later(champion, store, tmp_path_factory):
    first = pin(champion, store, run="run-1")
    said = verdict(package="ab" * 32)
    later = OneChampion(tmp_path_factory.mktemp("later"), said, number="4", digest="ab" * 32)
    assert pin(later, store, run="run-1") == first
    with pytest.raises(DataError):
        pin(later, store, run="run-2")


def test_a_package_is_copied_once(champion, store):
    pin(champion, store, run="run-1")
    pin(champion, store, run="run-2")
    assert champion.downloads == 1


@pytest.mark.parametrize("damage", ["gone", "cut", "verdict"])
def test_a_damaged_copy_in_the_store_is_replaced(champion, store, damage):
    pin(champion, store, run="run-1")
    folder = f"models/correction/{PACKAGE.digest}"
    if damage == "gone":
        store.delete(f"{folder}/weights.safetensors")
    elif damage == "cut":
        store.put(f"{folder}/weights.safetensors", b"short")
    else:
        store.put(f"{folder}/{VERDICT_FILE}", b"{}")
    pin(champion, store, run="run-2")
    assert champion.downloads == 2
    weights = store.get(f"{folder}/weights.safetensors")
    assert (
        hashlib.sha256(weights).hexdigest()
        == json.loads(store.get(f"{folder}/package.json"))["weights_sha256"]
    )


def test_without_a_champion_the_cure_is_named(champion, store):
    with pytest.raises(ConfigError, match="undersky model bootstrap"):
        pin(champion, store, run="run-1", models=("landcover",))


def spoil_weights(folder):
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)


def spoil_package(folder):
    header = json.loads((folder / "package.json").read_text())
    header["config"]["aot_550"] = 0.5
    (folder / "package.json").write_text(json.dumps(header))


def spoil_verdict(folder):
    (folder / VERDICT_FILE).write_text(verdict(by="somebody else").to_json())


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (spoil_weights, "its weights have"),
        (spoil_package, "its package has"),
        (spoil_verdict, "its verdict is not"),
    ],
)
def test_files_that_were_changed_after_the_verdict_are_refused(champion, store, spoil, why):
    spoil(champion.folder)
    with pytest.raises(DataError, match=why) as caught:
        pin(champion, store, run="run-1")
    assert caught.value.reason == Reason.MODEL_REFUSED
    assert list(store.list("models/")) == []
    assert store.find("batches/run-1/release.json") is None


@pytest.mark.parametrize(
    ("said", "changed", "why"),
    [
        (verdict(package="ab" * 32), {}, "its verdict is of correction abab"),
        (verdict(name="landcover"), {}, "its verdict is of landcover"),
        (verdict(), {"digest": ""}, "no digest of its package"),
        (verdict(), {"verdict": "unknown"}, "no digest of its verdict"),
        (verdict(), {"digest": "ab" * 32}, "its package has digest"),
    ],
)
def test_a_verdict_over_other_weights_opens_no_door(tmp_path, store, said, changed, why):
    with pytest.raises(DataError, match=why):
        pin(OneChampion(tmp_path, said, **changed), store, run="run-1")


def test_of_two_pins_of_one_run_the_first_counts(champion, store, tmp_path_factory, monkeypatch):
    other = release_set(
        [pin(champion, store, run="other").model("correction").model_copy(update={"version": "9"})]
    )
    find = type(store).find

    def late(self, key):
        found = find(self, key)
        if key == "batches/run-1/release.json" and found is None:
            self.put_json(key, other)
        return found

    monkeypatch.setattr(type(store), "find", late)
    assert pin(champion, store, run="run-1") == other


def test_a_release_set_of_another_version_is_refused(champion, store):
    store.put("batches/run-1/release.json", b"{}")
    with pytest.raises(ConfigError, match="start a new run"):
        pin(champion, store, run="run-1")


def test_the_digest_of_a_release_set_is_of_names_and_packages_alone(champion, store):
    model = pin(champion, store, run="run-1").model("correction")
    assert release_set([model]).digest == release_set([model.model_copy(update={"version": "9"})]).digest
    assert release_set([model]).digest != release_set([model.model_copy(update={"digest": "ab" * 32})]).digest


def test_the_reader_pins_from_the_real_registry(registry, store):
    registry.forget("correction")
    release = registry()
    version = release.register(shipped("physics"), verdict(name="correction"))
    release.set_alias(version, CHAMPION)
    found = pin(registry(registry.server.reader), store, run="run-1").model("correction")
    assert (found.digest, found.version) == (PACKAGE.digest, version.number)
    assert found.page.startswith(registry.server.uri)
