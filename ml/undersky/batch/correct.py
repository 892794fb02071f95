"""Stage `correct`: Level-1 in the own store, a surface product in the own store, not yet published.

    fetch -> digest -> is that product there, complete?  --yes--> it is the answer, nothing is computed
                        |
                        correct -> upload assets -> upload the Item, last

A product lies at `products/<collection>/<yyyy>/<mm>/<scene>/<digest>/`. Its assets are the same bytes whoever
makes them, so two runs that race write the same; its Item is written once.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import rasterio

from undersky.batch.driver import Context
from undersky.batch.fetched import fetch_scene
from undersky.errors import ConfigError, DataError, Reason
from undersky.raster.encoding import AOT
from undersky.refs import Made, ModelRef, Outcome, ReleaseSet, SceneRef
from undersky.scene import Scene
from undersky.sensors import open_scene, require_bands
from undersky.services.store import NotInStore, PreconditionFailed, Store
from undersky.stages.correct import (
    GDAL_OPTIONS,
    CorrectedProduct,
    CorrectOptions,
    correct_scene,
    estimator_for,
    product_id,
    trace,
)

MODEL = "correction"
PACKAGE_FILE, WEIGHTS_FILE = "package.json", "weights.safetensors"
_SHA2_256 = "1220"
_AT_A_TIME = 4

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Correction:
    """The work of stage `correct`: scenes of one batch, all with the model that the batch pinned."""

    store: Store
    """Holds model, scenes and products."""
    folder: Path
    """Where the model package is kept while the batch lasts."""
    model: ModelRef
    """The pinned version."""
    threads: int = 2
    """Bands worked on at a time."""

    @cached_property
    def estimator(self) -> Any:  # the protocol is science: a batch hands it from stage to stage
        """The pinned model, fetched and verified when the first scene needs it.

        Raises:
            ConfigError: The package is not there, or is not the one that was pinned.
        """
        try:
            estimator = estimator_for(model=self._package())
        except DataError as error:
            raise ConfigError(f"the pinned model cannot be used: {error}") from error
        found = estimator.model.digest
        if found != self.model.digest:
            raise ConfigError(
                f"{self.model.href} holds a model with digest {found[:12]}, pinned was "
                f"{self.model.digest[:12]}: somebody replaced it; run `undersky pin` again"
            )
        return estimator

    def _package(self) -> Path:
        """The model package, in a folder of its own on the disk."""
        target = self.folder / self.model.digest
        target.mkdir(parents=True, exist_ok=True)
        prefix = self.store.key(self.model.href.rstrip("/"))
        for name in (PACKAGE_FILE, WEIGHTS_FILE):
            try:
                self.store.get_file(f"{prefix}/{name}", target / name)
            except NotInStore as error:
                raise ConfigError(
                    f"{self.model.href} holds no {name}: the pinned model {self.model.label} was removed; "
                    "run `undersky pin` again"
                ) from error
        return target

    def __call__(self, ref: SceneRef, context: Context) -> Outcome:
        """The product of one scene lies in the store.

        Raises:
            DataError: The scene cannot be used.
            ConfigError: The model cannot be used.
            ServiceError: The store failed.
        """
        estimator = self.estimator
        path = fetch_scene(self.store, ref, ref.files, context.scratch / "l1")
        with rasterio.Env(**GDAL_OPTIONS):
            scene = open_scene(path)
            require_bands(scene)
            lineage = trace(scene, estimator)
        place = _Place(ref, scene, lineage.digest)
        item = _complete(self.store, place)
        if item is None:
            context.tell("correcting", acquisition=ref.acquisition, digest=place.digest[:12])
            options = CorrectOptions(threads=self.threads, run_id=context.batch.run)
            product = self._corrected(scene, context.scratch / "out", options)
            context.tell("uploading", acquisition=ref.acquisition, bytes=product.bytes)
            item = _upload(self.store, place, product.folder)
        else:
            context.tell("product is there already", acquisition=ref.acquisition, digest=place.digest[:12])
        return context.ended(ref, made=_made(place, item, self.model))

    def _corrected(self, scene: Scene, out: Path, options: CorrectOptions) -> CorrectedProduct:
        """The product on the disk; a model that proves unfit is no fault of the scene."""
        try:
            return correct_scene(scene, out, estimator=self.estimator, options=options)
        except DataError as error:
            if error.reason is Reason.MODEL_REFUSED:
                raise ConfigError(f"the pinned model cannot be used: {error}") from error
            raise


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a product belongs."""

    ref: SceneRef
    scene: Scene
    digest: str

    @property
    def id(self) -> str:
        return product_id(self.scene, self.digest)

    @property
    def prefix(self) -> str:
        month = f"{self.scene.acquired:%Y/%m}"
        return f"products/{self.scene.sensor.collection}/{month}/{self.ref.scene}/{self.digest}"

    @property
    def item(self) -> str:
        return f"{self.prefix}/{self.id}.json"


def _complete(store: Store, place: _Place) -> Json | None:
    """The Item of an equal product whose every asset lies in the store; None where there is none."""
    text = store.find(place.item)
    if text is None:
        return None
    try:
        item = cast("Json", json.loads(text))
        sums = {_name(asset): _sha256(asset) for asset in item["assets"].values()}
        sizes = {_name(asset): asset["file:size"] for asset in item["assets"].values()}
        same = item["properties"]["undersky:digest"] == place.digest
    except (ValueError, KeyError, TypeError):
        return None
    for name, sha256 in sums.items():
        stored = store.head(f"{place.prefix}/{name}")
        if stored is None or stored.size != sizes[name] or stored.sha256 not in (None, sha256):
            return None
    return item if same else None


def _upload(store: Store, place: _Place, folder: Path) -> Json:
    """Assets, then the Item: the one that is in the store, if another run was first."""
    text = (folder / f"{place.id}.json").read_bytes()
    item = cast("Json", json.loads(text))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        jobs = [pool.submit(_upload_asset, store, place, folder, asset) for asset in item["assets"].values()]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    try:
        store.put(place.item, text, content_type="application/geo+json", if_absent=True)
    except PreconditionFailed:
        found = _complete(store, place)
        if found is not None:
            return found
        store.put(place.item, text, content_type="application/geo+json")
    return item


def _upload_asset(store: Store, place: _Place, folder: Path, asset: Json) -> None:
    name = _name(asset)
    store.put_file(f"{place.prefix}/{name}", folder / name, content_type=asset["type"], sha256=_sha256(asset))


def _name(asset: Json) -> str:
    return str(asset["href"]).removeprefix("./")


def _sha256(asset: Json) -> str:
    return str(asset["file:checksum"]).removeprefix(_SHA2_256)


def _made(place: _Place, item: Json, model: ModelRef) -> Made:
    properties = item["properties"]
    cloud = properties.get("undersky:quality_percent", {}).get("cloud")
    return Made(
        id=str(item["id"]),
        digest=place.digest,
        prefix=place.prefix,
        collection=str(item["collection"]),
        item=place.item,
        bytes=int(properties["undersky:bytes"]),
        seconds=float(properties["undersky:seconds"]),
        cpu_seconds=float(properties["undersky:cpu_seconds"]),
        cloud_percent=None if cloud is None else round(float(cloud), 3),
        aot_550=_mean_aot(item),
        model=model,
    )


def _mean_aot(item: Json) -> float | None:
    """By the statistics of the stored values; None where there is not one valid pixel."""
    asset = item["assets"].get(AOT.key, {})
    mean = (asset.get("bands") or [{}])[0].get("statistics", {}).get("mean")
    return None if mean is None else round(float(mean) * AOT.scale + AOT.offset, 4)


def pinned_model(release: ReleaseSet | None) -> ModelRef:
    """The correction model of a batch's release set.

    Raises:
        ConfigError: The batch pinned none.
    """
    if release is None:
        raise ConfigError(
            "the batch names no release set: claim surface work with the models that `pin` gave"
        )
    try:
        return release.model(MODEL)
    except KeyError as error:
        names = ", ".join(model.name for model in release.models) or "nothing"
        raise ConfigError(
            f"the batch pinned {names} and no {MODEL} model: run `undersky pin` again"
        ) from error
