"""Stage `correct`: Level-1 in the own store, a surface product in the own store, not yet published.

    fetch -> digest -> is that product there, complete?  --yes--> it is the answer, nothing is computed
                        |
                        the scene from afar shows hardly any ground?  --yes--> skipped, `too_cloudy`
                        |
                        correct -> upload assets -> upload the Item, last

A product lies at `products/<collection>/<yyyy>/<mm>/<scene>/<digest>/`. Its assets are the same bytes whoever
makes them, so two runs that race write the same; its Item is written once.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import rasterio

from undersky.batch.driver import Context
from undersky.batch.fetched import fetch_scene
from undersky.batch.pinned import fetched_package, require_pinned
from undersky.batch.products import Json, Place, complete, upload
from undersky.errors import ConfigError, DataError, Reason
from undersky.quality import THRESHOLDS
from undersky.raster.encoding import AOT
from undersky.refs import Ending, Made, ModelRef, Outcome, ReleaseSet, SceneRef
from undersky.scene import Scene
from undersky.sensors import open_scene, require_bands
from undersky.services.store import Store
from undersky.stages.correct import (
    GDAL_OPTIONS,
    CorrectedProduct,
    CorrectOptions,
    TooCloudyError,
    correct_scene,
    estimator_for,
    product_id,
    trace,
)

MODEL = "correction"
QUALITY = "quality"

MIN_CLEAR_PERCENT = 5.0
"""With less clear ground no product is made: as for a scene that its provider calls 95 % cloud."""


@dataclass(frozen=True)
class Correction:
    """The work of stage `correct`: scenes of one batch, all with the model that the batch pinned."""

    store: Store
    """Holds model, scenes and products."""
    folder: Path
    """Where the model package is kept while the batch lasts."""
    model: ModelRef
    """The pinned version."""
    quality: ModelRef | None = None
    """The pinned model that tells cloud from ground; threshold tests do where the release set has none."""
    threads: int = 2
    """Bands worked on at a time."""

    @cached_property
    def estimator(self) -> Any:  # the protocol is science: a batch hands it from stage to stage
        """The pinned models, fetched and verified when the first scene needs them.

        Raises:
            ConfigError: A package is not there, or is not the one that was pinned.
        """
        package = fetched_package(self.store, self.model, self.folder)
        mask = THRESHOLDS if self.quality is None else fetched_package(self.store, self.quality, self.folder)
        try:
            estimator = estimator_for(model=package, quality=mask)
        except DataError as error:
            raise ConfigError(f"the pinned model cannot be used: {error}") from error
        require_pinned(self.model, estimator.model.digest)
        if self.quality is not None and estimator.quality_model is not None:
            require_pinned(self.quality, estimator.quality_model.digest)
        return estimator

    def __call__(self, ref: SceneRef, context: Context) -> Outcome:
        """The product of one scene lies in the store; or the scene is skipped, since clouds hide its ground.

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
        place = place_of(ref, scene, lineage.digest)
        item = complete(self.store, place)
        if item is None:
            context.tell("correcting", acquisition=ref.acquisition, digest=place.digest[:12])
            options = CorrectOptions(
                threads=self.threads, run_id=context.batch.run, min_clear_percent=MIN_CLEAR_PERCENT
            )
            try:
                product = self._corrected(scene, context.scratch / "out", options)
            except TooCloudyError as cloudy:
                return context.ended(ref, Ending.SKIPPED, cloudy.reason, str(cloudy))
            context.tell("uploading", acquisition=ref.acquisition, bytes=product.bytes)
            item = upload(self.store, place, product.folder)
        else:
            context.tell("product is there already", acquisition=ref.acquisition, digest=place.digest[:12])
        return context.ended(ref, made=_made(place, item, self.model, self.quality))

    def _corrected(self, scene: Scene, out: Path, options: CorrectOptions) -> CorrectedProduct:
        """The product on the disk; a model that proves unfit is no fault of the scene."""
        try:
            return correct_scene(scene, out, estimator=self.estimator, options=options)
        except DataError as error:
            if error.reason is Reason.MODEL_REFUSED:
                raise ConfigError(f"the pinned model cannot be used: {error}") from error
            raise


def quality_model(release: ReleaseSet | None) -> ModelRef | None:
    """The quality model of a batch's release set; None where an older set has none."""
    models = () if release is None else release.models
    return next((model for model in models if model.name == QUALITY), None)


def place_of(ref: SceneRef, scene: Scene, digest: str) -> Place:
    """Where the surface product of that digest belongs."""
    month = f"{scene.acquired:%Y/%m}"
    prefix = f"products/{scene.sensor.collection}/{month}/{ref.scene}/{digest}"
    return Place(prefix, product_id(scene, digest), digest)


def _made(place: Place, item: Json, model: ModelRef, quality: ModelRef | None) -> Made:
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
        quality=quality,
    )


def _mean_aot(item: Json) -> float | None:
    """By the statistics of the stored values; None where there is not one valid pixel."""
    asset = item["assets"].get(AOT.key, {})
    mean = (asset.get("bands") or [{}])[0].get("statistics", {}).get("mean")
    return None if mean is None else round(float(mean) * AOT.scale + AOT.offset, 4)
