"""Batches for tests: references by hand, products laid into a store, the shipped model pinned."""

from datetime import UTC, datetime
from pathlib import Path

from undersky.batch.driver import Context, run_batch
from undersky.errors import DataError
from undersky.models.package import load_package, package_folder
from undersky.refs import (
    Batch,
    FileRef,
    Ingested,
    Lane,
    Manifest,
    ModelRef,
    Outcome,
    ReleaseSet,
    SceneRef,
    Stage,
)
from undersky.services.store import Store

SENSED = datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC)
HREF = "s3://{bucket}/batches/run-1/000/batch.json"


def bare_ref(number: int = 0, **changes: object) -> SceneRef:
    """A reference without files."""
    return SceneRef(
        **{
            "acquisition": f"S2B_20250619T095753_32TQ{'MLKJ'[number]}",
            "scene": f"S2B_MSIL1C_20250619T095753_N0511_R066_T32TQ{'MLKJ'[number]}_20250619T132734",
            "collection": "sentinel-2-l1c",
            "tile": f"32TQ{'MLKJ'[number]}",
            "sensed": SENSED,
            **changes,
        }
    )


def put_batch(store: Store, *refs: SceneRef, release: ReleaseSet | None = None, run: str = "run-1") -> str:
    """The batch lies in the store; its address."""
    key = f"batches/{run}/000/batch.json"
    store.put_json(key, Batch(run=run, name="000", lane=Lane.FRESH, scenes=refs, release=release))
    return store.href(key)


def put_product(store: Store, product: Path, **changes: object) -> SceneRef:
    """The product's files lie in the store as ingest puts them; the reference to them."""
    from undersky.sensors import open_scene

    try:
        scene = open_scene(product)
        facts = {"tile": scene.tile, "sensed": scene.acquired, "scene": scene.id}
    except DataError:  # a spoilt product has no facts of its own
        facts = {"tile": "32TQM", "sensed": SENSED, "scene": product.stem}
    facts |= changes
    scene_id = str(facts["scene"])
    acquisition = f"{scene_id[:4].rstrip('_')}_{facts['sensed']:%Y%m%dT%H%M%S}_{facts['tile']}"
    paths = sorted(path for path in product.rglob("*") if path.is_file()) if product.is_dir() else [product]
    files = []
    for path in paths:
        name = path.relative_to(product).as_posix() if product.is_dir() else path.name
        stored = store.put_file(f"l1/some-collection/{scene_id}/{name}", path)
        files.append(
            FileRef(
                name=name, href=store.href(stored.key), size=stored.size, checksum=f"sha256:{stored.sha256}"
            )
        )
    collection = "landsat-c2-l1" if scene_id.startswith("L") else "sentinel-2-l1c"
    known = {"acquisition": acquisition, "collection": collection, "files": tuple(files)}
    return SceneRef(**{**known, **facts})


def pin_shipped(store: Store, folder: Path | None = None) -> ReleaseSet:
    """The shipped model, or another, lies in the store as `pin` puts it."""
    folder = folder or package_folder(None)
    package = load_package(folder)
    prefix = f"models/correction/{package.digest}"
    for name in ("package.json", "weights.safetensors"):
        store.put_file(f"{prefix}/{name}", folder / name)
    model = ModelRef(
        name="correction", version="1", label=package.version, digest=package.digest, href=store.href(prefix)
    )
    return ReleaseSet(digest=package.digest, models=(model,))


def ingested(ref: SceneRef, context: Context) -> Outcome:
    """Work that says that the reference's own files were ingested."""
    total = sum(file.size or 0 for file in ref.files)
    return context.ended(ref, ingested=Ingested(files=ref.files, bytes=total, fetched=total))


def ingest(store: Store, href: str) -> Manifest:
    """Stage ingest is over, without a provider."""
    return run_batch(store, href, Stage.INGEST, ingested)


class Log:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, /, *, level: str = "info", **facts: object) -> None:
        self.events.append((event, {"level": level, **facts}))

    def named(self, event: str) -> list[dict[str, object]]:
        """Facts of the events of that name."""
        return [facts for name, facts in self.events if name == event]
