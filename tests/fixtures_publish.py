"""Finished surface products in a store, and leases on them in a ledger: what `publish` takes up."""

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import rasterio
from rasterio.io import MemoryFile

from undersky.refs import (
    MODELS,
    STAGES,
    Batch,
    Ending,
    FileRef,
    Ingested,
    Judged,
    Kind,
    Lane,
    Made,
    Manifest,
    ModelRef,
    Outcome,
    ReleaseSet,
    SceneRef,
    Stage,
)
from undersky.services.ledger import Actor, Announcement, Ledger, Selection
from undersky.services.store import Store

COLLECTION = "sentinel-2-sr"
BY = Actor("test-run", "publish")
LEASE = timedelta(hours=2)
RED = 0.1234


@dataclass(frozen=True)
class Wanted:
    """An acquisition that a product is wanted of."""

    tile: str = "32TQM"
    sensed: datetime = datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC)
    baseline: str = "05.11"

    @property
    def key(self):
        return f"S2B_{self.sensed:%Y%m%dT%H%M%S}_{self.tile}"

    @property
    def scene(self):
        return f"S2B_MSIL1C_{self.sensed:%Y%m%dT%H%M%S}_N{self.baseline.replace('.', '')}_R066_T{self.tile}"


def model(label="physics-1"):
    digest = hashlib.sha256(label.encode()).hexdigest()
    return ModelRef(
        name="correction",
        version="1",
        label=label,
        digest=digest,
        href=f"s3://undersky-tests/models/{digest}",
    )


def release(label="physics-1"):
    one = model(label)
    return ReleaseSet(digest=hashlib.sha256(one.digest.encode()).hexdigest(), models=(one,))


def lease(ledger: Ledger, wanted: Wanted, *, run="test-run", lane=Lane.FRESH) -> SceneRef:
    """The wanted product, claimed; announced, brought home and found valid before, if it was not yet."""
    by = Actor(run)
    if ledger.story(wanted.key) is None:
        ledger.announce(_announcement(wanted, lane), by)
        (ref,) = ledger.claim("ingest", lane=lane, limit=100, by=by, lease=LEASE)
        there = FileRef(name="a.jp2", href="s3://undersky-tests/l1/a.jp2", size=1, checksum="sha256:00")
        ingested = Ingested(files=(there,), bytes=1, fetched=1)
        ended = outcome(ref, Stage.VALIDATE_L1, ingested=ingested, judged=Judged(expectations=3))
        ledger.settle(ref, ended, by)
    refs = ledger.claim("surface", lane=lane, limit=100, by=by, lease=LEASE, release=release())
    return next(ref for ref in refs if ref.acquisition == wanted.key)


def maps_released(label="cover-1"):
    """A release set with a model of each kind."""
    names = ("correction", "landcover", "quality", "vessels")
    digests = {name: hashlib.sha256(f"{name} {label}".encode()).hexdigest() for name in names}
    models = tuple(
        ModelRef(
            name=name, version="1", label=label, digest=digest, href=f"s3://undersky-tests/models/{digest}"
        )
        for name, digest in digests.items()
    )
    return ReleaseSet(digest=hashlib.sha256(label.encode()).hexdigest(), models=models)


def lease_maps(ledger: Ledger, kind=Kind.LANDCOVER, *, run="map-run", lane=Lane.FRESH) -> list[SceneRef]:
    """The missing maps of that kind, claimed."""
    by = Actor(run)
    ledger.want_maps((kind,), by)
    return ledger.claim(kind.value, lane=lane, limit=100, by=by, lease=LEASE, release=maps_released())


def make_map(store: Store, ref: SceneRef, *, label="cover-1") -> Made:
    """A map of that scene, its asset and its candidate Item in the store."""
    digest = hashlib.sha256(f"{ref.kind} {ref.surface.digest} {label}".encode()).hexdigest()
    collection = f"sentinel-2-{ref.kind}"
    prefix = f"products/{collection}/{ref.sensed:%Y/%m}/{ref.scene}/{digest}"
    name = f"S2B_{ref.tile}_{ref.sensed:%Y%m%dT%H%M%S}_{ref.kind.value[:2].upper()}_{digest[:8]}"
    data = cog(30)
    made = Made(
        id=name, digest=digest, prefix=prefix, collection=collection, item=f"{prefix}/{name}.json",
        bytes=len(data), seconds=2.0, cpu_seconds=3.0, kind=ref.kind, source=ref.surface.digest,
        model=maps_released(label).model(MODELS[ref.kind][0]), summary={"grassland": 1.0},
    )  # fmt: skip
    files = {"B04": ("classes.tif", len(data)), "thumbnail": ("thumbnail.jpg", len(FILES["thumbnail.jpg"]))}
    item = _candidate(ref, name, digest, files, platform="sentinel-2b")
    item["properties"]["undersky:model"] = {"name": made.model.name, "digest": made.model.digest}
    item["links"].append({"rel": "derived_from", "href": f"../{ref.surface.item}"})
    item["assets"]["classes"] = item["assets"].pop("B04")
    store.put(f"{prefix}/classes.tif", data)
    store.put(f"{prefix}/thumbnail.jpg", FILES["thumbnail.jpg"])
    store.put(made.item, json.dumps(item).encode())
    return made


def map_batch(
    store: Store, *refs: SceneRef, run="map-run", label="cover-1", ending=Ending.DONE, **what
) -> str:
    """A batch whose maps were all made, and judged so."""
    kind, pairs = refs[0].kind, [(ref, make_map(store, ref, label=label)) for ref in refs]
    (making, judging), name = STAGES[kind], f"{kind}-000"
    ended = {"ending": ending, "judged": Judged(expectations=4), **what}
    for stage, extra in ((making, {}), (judging, ended)):
        said = (outcome(ref, stage, made=made, **extra) for ref, made in pairs)
        manifest(store, stage, *said, run=run, name=name)
    batch = Batch(run=run, name=name, lane=Lane.FRESH, scenes=refs, release=maps_released(label))
    store.put_json(f"batches/{run}/{name}/batch.json", batch)
    return store.href(f"batches/{run}/{name}/batch.json")


def remade(ledger: Ledger, wanted: Wanted, *, run="second-run") -> SceneRef:
    """The product is wanted once more, and claimed."""
    ledger.remake(Selection(scenes=(wanted.key,)), by=Actor(run), why="a better model", lane=Lane.FRESH)
    return lease(ledger, wanted, run=run)


def _announcement(wanted: Wanted, lane: Lane) -> Announcement:
    return Announcement(
        key=wanted.key, scene=wanted.scene, collection="sentinel-2-l1c", platform="sentinel-2b",
        tile=wanted.tile, sensed=wanted.sensed, files=(FileRef(name="a.jp2", href="https://x.org/a.jp2"),),
        profile="test", area="here", lane=lane, baseline=wanted.baseline,
        produced=wanted.sensed + timedelta(hours=3),
    )  # fmt: skip


def outcome(ref: SceneRef, stage: Stage, ending=Ending.DONE, reason="ok", sentence="", **what) -> Outcome:
    return Outcome(
        acquisition=ref.acquisition, scene=ref.scene, stage=stage, ending=ending, reason=reason,
        sentence=sentence, **what,
    )  # fmt: skip


def cog(value: float, *, dtype="int16") -> bytes:
    """A 64 x 64 raster at 10 m in UTM 32 north, all of one value."""
    memory = io.BytesIO()
    pixels = np.full((1, 64, 64), value, dtype=dtype)
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", width=64, height=64, count=1, dtype=dtype, crs="EPSG:32632", nodata=-9999,
            transform=rasterio.Affine(10, 0, 699960, 0, -10, 5100000),
        ) as raster:  # fmt: skip
            raster.write(pixels)
        memory.write(file.read())
    return memory.getvalue()


def make(store: Store, ref: SceneRef, *, label="physics-1") -> Made:
    """A product of that scene by that model, its assets and its candidate Item in the store."""
    made, item = candidate_of(ref, label=label)
    for file, data in FILES.items():
        store.put(f"{made.prefix}/{file}", data)
    store.put(made.item, json.dumps(item).encode())
    return made


FILES = {"B04.tif": cog(RED * 1e4), "thumbnail.jpg": b"\xff\xd8picture"}


def candidate_of(ref: SceneRef, *, label="physics-1"):
    """The product of that scene by that model, and its candidate Item."""
    digest = hashlib.sha256(f"{ref.scene} {label}".encode()).hexdigest()
    prefix = f"products/{COLLECTION}/{ref.sensed:%Y/%m}/{ref.scene}/{digest}"
    name = f"S2B_{ref.tile}_{ref.sensed:%Y%m%dT%H%M%S}_SR_{digest[:8]}"
    made = Made(
        id=name, digest=digest, prefix=prefix, collection=COLLECTION, item=f"{prefix}/{name}.json",
        bytes=sum(len(data) for data in FILES.values()), seconds=4.0, cpu_seconds=6.0, cloud_percent=12.0,
        aot_550=0.1, model=model(label),
    )  # fmt: skip
    files = {"B04": "B04.tif", "thumbnail": "thumbnail.jpg"}
    sizes = {key: (file, len(FILES[file])) for key, file in files.items()}
    return made, _candidate(ref, name, digest, sizes, platform="sentinel-2b")


HERE_REF = SceneRef(
    acquisition=Wanted().key, scene=Wanted().scene, collection="sentinel-2-l1c", tile="32TQM",
    sensed=Wanted().sensed,
)  # fmt: skip


def _candidate(ref, name, digest, files, *, platform):
    west, south = 11.6 + sum(ref.tile.encode()) % 7 / 10, 46.0
    ring = [
        [west, south],
        [west + 0.01, south],
        [west + 0.01, south + 0.01],
        [west, south + 0.01],
        [west, south],
    ]
    extensions = (
        "eo/v1.1.0",
        "file/v2.1.0",
        "grid/v1.1.0",
        "projection/v2.0.0",
        "raster/v2.0.0",
        "view/v1.1.0",
    )
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in extensions],
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, west + 0.01, south + 0.01],
        "collection": COLLECTION,
        "properties": {
            "datetime": ref.sensed.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "created": "2025-06-19T14:00:00Z",
            "platform": platform,
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "gsd": 10.0,
            "license": "other",
            "providers": [{"name": "ESA", "roles": ["producer", "licensor"]}],
            "proj:code": "EPSG:32632",
            "eo:cloud_cover": 12.0,
            "grid:code": f"MGRS-{ref.tile}",
            "undersky:source": {"id": ref.scene, "level": "L1C", "baseline": "05.11"},
            "undersky:source_sha256": {f"{ref.scene}/B04.jp2": "ab" * 32},
            "undersky:model": {"name": "correction", "version": "physics-1", "digest": "cd" * 32},
            "undersky:parameters": {},
            "undersky:notes": [],
            "undersky:digest": digest,
            "undersky:run_id": "test-run",
            "undersky:seconds": 4.0,
        },
        "assets": {
            "B04": {
                "href": f"./{files['B04'][0]}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "title": "Surface reflectance, red",
                "roles": ["data", "reflectance"],
                "data_type": "int16",
                "nodata": -9999,
                "bands": [{"name": "B04", "eo:common_name": "red", "statistics": {"mean": 1234.0}}],
                "eo:bands": [{"name": "B04", "common_name": "red"}],
                "raster:scale": 0.0001,
                "raster:offset": 0.0,
                "proj:shape": [64, 64],
                "proj:transform": [10.0, 0.0, 699960.0, 0.0, -10.0, 5100000.0],
                "file:size": files["B04"][1],
            },
            "thumbnail": {
                "href": f"./{files['thumbnail'][0]}",
                "type": "image/jpeg",
                "roles": ["thumbnail"],
                "file:size": files["thumbnail"][1],
            },
        },
        "links": [
            {"rel": "collection", "href": f"../{COLLECTION}.json", "type": "application/json"},
            {"rel": "license", "href": "https://example.org/terms", "title": "terms"},
        ],
    }


def batch_of(store: Store, *refs: SceneRef, run="test-run", name="000") -> str:
    """The address of a batch.json of these scenes."""
    batch = Batch(run=run, name=name, lane=Lane.FRESH, scenes=refs, release=release())
    key = f"batches/{run}/{name}/batch.json"
    store.put_json(key, batch)
    return store.href(key)


def manifest(store: Store, stage: Stage, *outcomes: Outcome, run="test-run", name="000") -> None:
    store.put_json(
        f"batches/{run}/{name}/{stage}.json", Manifest(run=run, batch=name, stage=stage, outcomes=outcomes)
    )


def judged(ref: SceneRef, made: Made, *, docs=None) -> Outcome:
    return outcome(ref, Stage.VALIDATE_SURFACE, made=made, judged=Judged(expectations=9, docs=docs))


def good_batch(store: Store, *refs: SceneRef, run="test-run", label="physics-1") -> str:
    """A batch whose scenes were all made and found good."""
    pairs = [(ref, make(store, ref, label=label)) for ref in refs]
    done = [outcome(ref, Stage.CORRECT, made=made) for ref, made in pairs]
    manifest(store, Stage.CORRECT, *done, run=run)
    manifest(store, Stage.VALIDATE_SURFACE, *(judged(ref, made) for ref, made in pairs), run=run)
    return batch_of(store, *refs, run=run)
