"""Stage correct: a product complete in the store, made once, by the pinned model and no other."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from typing import ClassVar

import pytest

from scene_batches import Log, bare_ref, pin_shipped, put_batch, put_product
from undersky.batch.driver import exit_code
from undersky.batch.pinned import pinned_model
from undersky.batch.run import run_stage
from undersky.errors import ConfigError, ServiceError
from undersky.models.package import load_package, package_folder, save_package
from undersky.refs import Ending, Manifest, ModelRef, Outcome, ReleaseSet, Stage
from undersky.services.store import Store
from undersky.settings import Settings
from undersky.stages.simulate import Order, request_for, simulate

SPENT = {"created", "undersky:run_id", "undersky:seconds", "undersky:cpu_seconds"}


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """A small scene of each family."""
    folder = tmp_path_factory.mktemp("l1")
    sizes = {"S2B": 1800, "L9": 3600}
    return {
        sensor: simulate(folder, order=Order(request_for(sensor, size_m=size))).product
        for sensor, size in sizes.items()
    }


def correct(store: Store, href: str, tmp_path, log: Log | None = None) -> Manifest:
    settings = Settings(scratch=tmp_path / "scratch")
    return run_stage(Stage.CORRECT, href, store=store, settings=settings, tell=log or Log())


def contents(store: Store, prefix: str) -> dict[str, str]:
    """ETag of every object under a prefix."""
    return {stored.key: stored.etag for stored in store.list(prefix)}


@pytest.fixture
def batch(store, products):
    return put_batch(store, put_product(store, products["L9"]), release=pin_shipped(store))


class Watched(Store):
    """Writes down the keys that are put."""

    keys: ClassVar[list[str]] = []

    def put(self, key: str, *args: object, **options: object) -> str:
        self.keys.append(key)
        return Store.put(self, key, *args, **options)


def watched(store: Store) -> Watched:
    Watched.keys.clear()
    return Watched(store.url, store.bucket, store.client, store.tries, store.pause_s)


def check(store: Store, outcome: Outcome) -> None:
    """The product lies complete under its digest, its Item was put last, and `made` tells the truth of it."""
    made = outcome.made
    year, month = made.prefix.split("/")[2:4]
    assert made.prefix == f"products/{made.collection}/{year}/{month}/{outcome.scene}/{made.digest}"
    item = json.loads(store.get(made.item))
    assert made.item == f"{made.prefix}/{item['id']}.json"
    assert item["properties"]["undersky:digest"] == made.digest
    assert item["properties"]["undersky:run_id"] == "run-1"
    for asset in item["assets"].values():
        stored = store.head(f"{made.prefix}/{asset['href'].removeprefix('./')}")
        assert stored.size == asset["file:size"]
        assert stored.sha256 == asset["file:checksum"].removeprefix("1220")
        assert stored.content_type == asset["type"]
    of_product = [key for key in Watched.keys if key.startswith(made.prefix)]
    assert sorted(of_product) == sorted(contents(store, made.prefix))
    assert len(of_product) == len(item["assets"]) + 1
    assert of_product[-1] == made.item
    assert made.bytes == sum(asset["file:size"] for asset in item["assets"].values())
    assert made.cloud_percent == pytest.approx(item["properties"]["eo:cloud_cover"], abs=1e-3)
    assert 0.0 < made.aot_550 < 2.0
    assert min(made.seconds, made.cpu_seconds) > 0
    assert made.model.label == load_package(package_folder(None)).version


def test_products_are_made_once_and_found_by_the_next_run(store, products, tmp_path):
    refs = [put_product(store, product) for product in products.values()]
    first = correct(watched(store), put_batch(store, *refs, release=pin_shipped(store)), tmp_path)
    assert exit_code(first) == 0
    for outcome in first.outcomes:
        assert outcome.ending == Ending.DONE
        check(store, outcome)
    before, log = contents(store, "products/"), Log()
    again = put_batch(store, *refs, release=pin_shipped(store), run="run-2")
    second = correct(store, again, tmp_path, log)
    assert [outcome.made for outcome in second.outcomes] == [outcome.made for outcome in first.outcomes]
    assert contents(store, "products/") == before
    assert len(log.named("product is there already")) == 2
    assert log.named("correcting") == []


def test_a_product_that_is_not_complete_is_made_again_with_the_same_bytes(store, products, tmp_path):
    ref, release = put_product(store, products["L9"]), pin_shipped(store)
    made = correct(store, put_batch(store, ref, release=release), tmp_path).outcomes[0].made
    before, item = contents(store, "products/"), json.loads(store.get(made.item))
    harms = (
        lambda: store.delete(made.item),
        lambda: store.delete(f"{made.prefix}/SR_B4.tif"),
        lambda: store.put(f"{made.prefix}/SR_B4.tif", b"not that"),
    )
    for number, harm in enumerate(harms):
        harm()
        href = put_batch(store, ref, release=release, run=f"again-{number}")
        assert correct(store, href, tmp_path).outcomes[0].ending == Ending.DONE
        after = contents(store, "products/")
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        assert changed <= {made.item}
        assert timeless(json.loads(store.get(made.item))) == timeless(item)


def timeless(item: dict) -> dict:
    """The Item without what one run spent."""
    properties = {name: value for name, value in item["properties"].items() if name not in SPENT}
    return {**item, "properties": properties}


def with_quality(store: Store, release: ReleaseSet) -> ReleaseSet:
    """The release set with the shipped quality model beside its correction."""
    folder = package_folder("quality")
    package = load_package(folder)
    prefix = f"models/quality/{package.digest}"
    for name in ("package.json", "weights.safetensors"):
        store.put_file(f"{prefix}/{name}", folder / name)
    model = ModelRef(
        name="quality", version="1", label=package.version, digest=package.digest, href=store.href(prefix)
    )
    return ReleaseSet(digest=package.digest, models=(*release.models, model))


def test_the_pinned_quality_model_masks_and_without_one_the_tests_do(store, products, tmp_path):
    ref, older = put_product(store, products["L9"]), pin_shipped(store)
    newer = with_quality(store, older)
    made = [
        correct(store, put_batch(store, ref, release=release, run=f"run-{number}"), tmp_path).outcomes[0].made
        for number, release in enumerate((older, newer))
    ]
    assert made[0].digest != made[1].digest
    assert [each.quality for each in made] == [None, newer.model("quality")]
    before, after = (json.loads(store.get(each.item))["properties"] for each in made)
    assert before["undersky:quality_model"] == {"name": "thresholds"}
    assert before["undersky:parameters"]["quality"] == "thresholds"
    package = load_package(package_folder("quality"))
    assert after["undersky:quality_model"]["digest"] == package.digest
    assert after["undersky:parameters"]["quality"] == package.digest


def test_a_scene_under_cloud_is_skipped_and_leaves_no_product(store, tmp_path):
    request = request_for("L9", size_m=3600, cloud_percent=100.0)
    ref = put_product(store, simulate(tmp_path / "l1", order=Order(request)).product)
    href = put_batch(store, ref, release=pin_shipped(store))
    outcome = correct(store, href, tmp_path).outcomes[0]
    assert (outcome.ending, outcome.reason) == (Ending.SKIPPED, "too_cloudy")
    assert "% of the pixels show the ground" in outcome.sentence
    assert outcome.made is None
    assert contents(store, "products/") == {}


def test_a_quality_model_that_was_replaced_is_refused(store, products, tmp_path):
    ref = put_product(store, products["L9"])
    release = with_quality(store, pin_shipped(store))
    pinned = release.model("quality").model_copy(update={"digest": "0" * 64})
    wrong = ReleaseSet(digest="1" * 64, models=(release.model("correction"), pinned))
    with pytest.raises(ConfigError, match="somebody replaced it"):
        correct(store, put_batch(store, ref, release=wrong), tmp_path)


def test_a_scene_that_cannot_be_used_is_quarantined_beside_a_good_one(store, products, tmp_path):
    good = put_product(store, products["L9"])
    bad = put_product(store, products["S2B"])
    files = tuple(file for file in bad.files if "_B08" not in file.name)
    href = put_batch(store, bad.model_copy(update={"files": files}), good, release=pin_shipped(store))
    first, second = correct(store, href, tmp_path).outcomes
    assert (first.ending, first.reason) == (Ending.QUARANTINED, "band_missing")
    assert second.ending == Ending.DONE
    assert not list(store.list("products/sentinel-2-sr/"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda store, ref: store.delete(f"{store.key(ref.href)}/package.json"), "pin"),
        (lambda store, ref: store.put(f"{store.key(ref.href)}/weights.safetensors", b"others"), "sha256"),
        (lambda store, ref: store.put(f"{store.key(ref.href)}/package.json", b"{}"), "refused"),
    ],
    ids=["removed", "other-weights", "other-package"],
)
def test_a_model_that_is_not_the_pinned_one_stops_the_batch(store, products, tmp_path, spoil, says):
    release = pin_shipped(store)
    href = put_batch(store, put_product(store, products["L9"]), release=release)
    spoil(store, release.models[0])
    with pytest.raises(ConfigError, match=says):
        correct(store, href, tmp_path)
    assert not list(store.list("products/"))


def test_a_package_with_another_digest_than_pinned_is_refused(store, products, tmp_path):
    model = pin_shipped(store).models[0].model_copy(update={"digest": "0" * 64})
    href = put_batch(
        store, put_product(store, products["L9"]), release=ReleaseSet(digest="x", models=(model,))
    )
    with pytest.raises(ConfigError, match="pinned was 000000000000"):
        correct(store, href, tmp_path)


def test_a_model_of_another_version_of_ours_stops_the_batch_and_quarantines_nothing(
    store, products, tmp_path
):
    shipped = load_package(package_folder("learned"))
    newer = save_package(replace(shipped, config={**shipped.config, "wings": 2}), tmp_path / "newer")
    release = pin_shipped(store, tmp_path / "newer")
    assert release.models[0].digest == newer.digest
    href = put_batch(store, put_product(store, products["L9"]), release=release)
    with pytest.raises(ConfigError, match="wings"):
        correct(store, href, tmp_path)
    assert not list(store.list("products/"))


def test_a_batch_without_models_is_refused(store, tmp_path):
    with pytest.raises(ConfigError, match="release set"):
        correct(store, put_batch(store, bare_ref()), tmp_path)
    with pytest.raises(ConfigError, match="no correction model"):
        pinned_model(ReleaseSet(digest="x", models=()), "correction")


def test_a_store_that_fails_leaves_the_scene_for_later(store, batch, tmp_path):
    class Failing(Store):
        def put_file(self, key: str, *args: object, **options: object) -> object:
            if key.endswith(("B12.tif", "B7.tif")):
                raise ServiceError("the bucket is away")
            return Store.put_file(self, key, *args, **options)

    failing = Failing(store.url, store.bucket, store.client, store.tries, store.pause_s)
    manifest = correct(failing, batch, tmp_path)
    assert exit_code(manifest) == 75
    assert not [stored for stored in store.list("products/") if stored.key.endswith(".json")]
    assert exit_code(correct(store, batch, tmp_path)) == 0


def test_a_stop_while_correcting_ends_soon_and_leaves_nothing_on_the_disk(store, batch, tmp_path):
    class Stopping(Log):
        def __call__(self, event: str, /, *, level: str = "info", **facts: object) -> None:
            Log.__call__(self, event, level=level, **facts)
            if event == "correcting":
                threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGTERM)).start()

    log, began = Stopping(), time.monotonic()
    manifest = correct(store, batch, tmp_path, log)
    assert exit_code(manifest) == 75
    assert time.monotonic() - began < 60
    assert list((tmp_path / "scratch").iterdir()) == []
    assert {outcome.reason for outcome in manifest.outcomes} <= {"stopped", "ok"}
    assert threading.active_count() < 10
    assert exit_code(correct(store, batch, tmp_path)) == 0
