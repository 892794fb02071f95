"""Stages that map: a map complete in the store, made once, of that surface product, by the pinned model."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from map_products import DIGEST, SIDE, bits, item_of, put_cover, put_objects, put_surface
from scene_batches import Log, put_batch
from undersky.batch.driver import exit_code, run_batch
from undersky.batch.ground import Ground, Planned
from undersky.batch.products import Place, upload
from undersky.batch.run import run_stage
from undersky.errors import ConfigError, DataError, Reason
from undersky.raster.surface_product import SurfaceProduct
from undersky.refs import Ending, Kind, Made, Manifest, ModelRef, SceneRef, Stage
from undersky.services.store import Store
from undersky.settings import Settings
from undersky.stac.maps import MappedProduct

MODEL = ModelRef(name="landcover", version="3", label="first", digest="5" * 64, href="s3://b/models/x")
SCENE = "S2B_MSIL1C_20250613T101559_N0511_R065_T32TQM_20250613T120000"


@dataclass
class FakeMaker:
    """Lays down a map that was made before."""

    made: Path
    """Its folder."""
    kind: Kind = Kind.LANDCOVER
    model: ModelRef = MODEL
    seen: list[list[str]] = field(default_factory=list)
    """Files of the surface product, each time a map was made."""
    error: DataError | None = None
    """What it raises instead."""

    def plan(self, surface: SurfaceProduct) -> Planned:  # noqa: ARG002
        item = item_of(self.made)
        return Planned(item["collection"], item["id"], item["properties"]["undersky:digest"])

    def make(self, product: Path, out: Path, *, run: str) -> MappedProduct:  # noqa: ARG002
        if self.error is not None:
            raise self.error
        self.seen.append(sorted(path.name for path in product.iterdir()))
        item = item_of(self.made)
        digest = item["properties"]["undersky:digest"]
        path = self.made / f"{self.made.name}.json"
        return MappedProduct(item["id"], self.made, path, digest, False, 1.0, 1.0, 10)


@pytest.fixture
def surface(tmp_path):
    """A surface product with a lake; with a band and an uncertainty that no raster reader looks at here."""
    folder = put_surface(tmp_path / "made", bits(water=slice(100, SIDE)))
    item = item_of(folder)
    for key, roles in (("B04", ["data", "reflectance"]), ("unc_B04", ["metadata", "uncertainty"])):
        (folder / f"{key}.tif").write_bytes(key.encode())
        described = {"href": f"./{key}.tif", "type": "image/tiff", "roles": roles, "file:size": len(key)}
        item["assets"][key] = {**described, "file:checksum": _checksum(folder / f"{key}.tif")}
    (folder / f"{folder.name}.json").write_text(json.dumps(item))
    return folder


def _checksum(path: Path) -> str:
    from undersky.raster.commit import sha256_of

    return f"1220{sha256_of(path)}"


def published(store: Store, folder: Path, **changes: object) -> SceneRef:
    """The surface product lies in the store; the reference to what is to be mapped."""
    prefix = f"products/sentinel-2-sr/2025/06/{SCENE}/{DIGEST}"
    place = Place(prefix, folder.name, DIGEST)
    upload(store, place, folder)
    made = Made(
        id=folder.name, digest=DIGEST, prefix=prefix, collection="sentinel-2-sr", item=place.item, bytes=1,
        seconds=1.0, cpu_seconds=1.0, cloud_percent=12.5,
    )  # fmt: skip
    known = {
        "acquisition": "S2B_20250613T101559_32TQM", "scene": SCENE, "collection": "sentinel-2-l1c",
        "tile": "32TQM", "sensed": datetime(2025, 6, 13, 10, 15, 59, tzinfo=UTC), "product": 2, "token": 1,
        "kind": Kind.LANDCOVER, "surface": made,
    }  # fmt: skip
    return SceneRef(**{**known, **changes})


def mapped(store: Store, href: str, maker: FakeMaker, log: Log | None = None) -> Manifest:
    from undersky.batch.driver import Running

    return run_batch(store, href, Stage.MAP, Ground(store, maker), running=Running(tell=log or Log()))


def judged(store: Store, href: str, stage: Stage = Stage.VALIDATE_MAP) -> Manifest:
    return run_stage(stage, href, store=store, settings=Settings(), tell=Log())


def test_a_map_is_made_once_and_found_by_the_next_run(store, surface, tmp_path):
    ref, maker, log = published(store, surface), FakeMaker(put_cover(tmp_path, surface)), Log()
    first = mapped(store, put_batch(store, ref), maker)
    second = mapped(store, put_batch(store, ref, run="run-2"), maker, log)
    assert exit_code(first) == exit_code(second) == 0
    assert first.outcomes[0].made == second.outcomes[0].made
    assert len(maker.seen) == 1
    assert log.named("product is there already")
    assert log.named("mapping") == []


def test_what_was_made_says_of_what_and_by_whom(store, surface, tmp_path):
    made_there = put_cover(tmp_path, surface)
    manifest = mapped(store, put_batch(store, published(store, surface)), FakeMaker(made_there))
    made = manifest.outcomes[0].made
    digest = item_of(made_there)["properties"]["undersky:digest"]
    assert made.prefix == f"products/sentinel-2-landcover/2025/06/{SCENE}/{digest}"
    assert (made.kind, made.source, made.model) == (Kind.LANDCOVER, DIGEST, MODEL)
    assert (made.summary, made.cloud_percent) == ({"tree_cover": 33.0}, 12.5)
    stored = {each.key.rpartition("/")[2] for each in store.list(made.prefix)}
    assert stored == {"landcover.tif", "confidence.tif", "thumbnail.png", f"{made.id}.json"}


def test_bands_and_quality_alone_are_fetched(store, surface, tmp_path):
    maker = FakeMaker(put_cover(tmp_path, surface))
    mapped(store, put_batch(store, published(store, surface)), maker)
    assert maker.seen == [["B04.tif", f"{surface.name}.json", "quality.tif"]]


def test_a_map_that_is_not_complete_is_made_again(store, surface, tmp_path):
    ref, maker = published(store, surface), FakeMaker(put_cover(tmp_path, surface))
    made = mapped(store, put_batch(store, ref), maker).outcomes[0].made
    store.delete(f"{made.prefix}/confidence.tif")
    again = mapped(store, put_batch(store, ref, run="run-2"), maker).outcomes[0]
    assert (again.ending, len(maker.seen)) == (Ending.DONE, 2)
    assert store.head(f"{made.prefix}/confidence.tif") is not None


def test_a_surface_product_that_is_not_the_ledgers_stops_the_batch(store, surface, tmp_path):
    ref = published(store, surface)
    other = ref.surface.model_copy(update={"digest": "0" * 64})
    maker = FakeMaker(put_cover(tmp_path, surface))
    with pytest.raises(ConfigError, match="undersky verify"):
        mapped(store, put_batch(store, ref.model_copy(update={"surface": other})), maker)
    gone = ref.surface.model_copy(update={"item": f"{ref.surface.prefix}/other.json"})
    with pytest.raises(ConfigError, match="made again"):
        mapped(store, put_batch(store, ref.model_copy(update={"surface": gone}), run="run-2"), maker)
    with pytest.raises(ConfigError, match="claim it"):
        mapped(store, put_batch(store, ref.model_copy(update={"surface": None}), run="run-3"), maker)


def test_a_refused_model_stops_the_batch_and_a_lost_band_ends_its_scene_alone(store, surface, tmp_path):
    ref, made = published(store, surface), put_cover(tmp_path, surface)
    refused = FakeMaker(made, error=DataError(Reason.MODEL_REFUSED, "it has wings"))
    with pytest.raises(ConfigError, match="pinned model cannot be used: it has wings"):
        mapped(store, put_batch(store, ref), refused)
    lost = FakeMaker(made, error=DataError(Reason.BAND_MISSING, "no red"))
    outcome = mapped(store, put_batch(store, ref, run="run-2"), lost).outcomes[0]
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, "band_missing")


def test_without_a_model_of_the_kind_nothing_is_mapped(store, surface):
    href = put_batch(store, published(store, surface))
    with pytest.raises(ConfigError, match="landcover"):
        run_stage(Stage.MAP, href, store=store, settings=Settings(), tell=Log())


def test_a_good_map_is_checked_and_its_pages_and_facts_lie_beside(store, surface, tmp_path):
    href = put_batch(store, published(store, surface))
    mapped(store, href, FakeMaker(put_cover(tmp_path, surface)))
    outcome = judged(store, href).outcomes[0]
    assert (outcome.ending, outcome.judged.failed) == (Ending.DONE, ())
    assert outcome.made.kind == Kind.LANDCOVER
    prefix = f"reports/data-docs/map/run-1/000/{outcome.acquisition}"
    assert store.key(outcome.judged.docs) == f"{prefix}/index.html"
    table = json.loads(store.get(f"{prefix}/facts.json"))
    assert table["scene"]["dominant"] == "Tree cover"
    assert table["scene"]["unmapped_percent"] == 0.0, "the surface product was looked at"


def test_a_map_of_one_class_is_held_with_its_reason(store, surface, tmp_path):
    href = put_batch(store, published(store, surface))
    fields = put_cover(tmp_path, surface, np.full((SIDE, SIDE), 40, dtype=np.uint8))
    mapped(store, href, FakeMaker(fields))
    outcome = judged(store, href).outcomes[0]
    assert (outcome.ending, outcome.reason) == (Ending.HELD, "one_class")
    assert "Cropland" in outcome.sentence
    assert "release" in outcome.sentence


def test_a_crowd_on_a_pond_is_held_with_its_reason(store, surface, tmp_path):
    href = put_batch(store, published(store, surface, kind=Kind.VESSELS))
    crowd = [{"row": 101 + 4 * (n // 28), "col": 3 + 4 * (n % 28), "score": 0.6} for n in range(112)]
    maker = FakeMaker(put_objects(tmp_path, surface, crowd), kind=Kind.VESSELS)
    run_batch(store, href, Stage.DETECT, Ground(store, maker))
    outcome = judged(store, href, Stage.VALIDATE_OBJECTS).outcomes[0]
    assert (outcome.ending, outcome.reason) == (Ending.HELD, "too_many_objects")
    assert "112 objects" in outcome.sentence
    assert "/objects/" in outcome.judged.docs


def test_a_map_whose_bytes_were_changed_is_held(store, surface, tmp_path):
    href = put_batch(store, published(store, surface))
    made = mapped(store, href, FakeMaker(put_cover(tmp_path, surface))).outcomes[0].made
    store.put(f"{made.prefix}/landcover.tif", b"something else")
    outcome = judged(store, href).outcomes[0]
    assert outcome.ending == Ending.HELD
    assert outcome.reason in ("asset_size", "asset_checksum", "raster_unreadable")
