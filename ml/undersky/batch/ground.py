"""Stages `map` and `detect`: a published surface product in the own store, a map of it in the own store.

    Item and quality layer -> digest -> is that map there, complete?  --yes--> it is the answer
                                |
                                bands -> the map -> upload assets -> upload the Item, last

A map lies at `products/<collection>/<yyyy>/<mm>/<scene>/<digest>/`, under the month of its surface product.
Uncertainty, angles and air of the surface product are left where they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from undersky.batch.driver import Context
from undersky.batch.fetched import fetch_assets
from undersky.batch.products import Json, Place, complete, upload
from undersky.errors import ConfigError, DataError, Reason
from undersky.raster.surface_product import SurfaceProduct
from undersky.refs import Ending, Kind, Made, ModelRef, Outcome, SceneRef
from undersky.services.store import Store
from undersky.stac.maps import MappedProduct

LOOKED_AT = frozenset({"quality"})
READ = frozenset({"reflectance", "thumbnail"})
"""STAC roles of the assets of a surface product that a map is made of, beside its quality layer."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a map will be, known before it is made."""

    collection: str
    """`sentinel-2-landcover`."""
    id: str
    """Of its Item."""
    digest: str
    """Of surface product, model, parameters and format version."""


class Maker(Protocol):
    """Makes maps of one kind with one pinned model."""

    @property
    def kind(self) -> Kind:
        """What it makes."""
        ...

    @property
    def model(self) -> ModelRef:
        """The pinned version."""
        ...

    def plan(self, surface: SurfaceProduct) -> Planned:
        """What the map of that product will be; cheap.

        Raises:
            DataError: `model_refused`, or no map of that kind is made of such a product.
            ConfigError: The pinned model is not in the store.
        """
        ...

    def make(self, product: Path, out: Path, *, run: str) -> MappedProduct:
        """The map lies complete below `out`.

        Raises:
            DataError: A file cannot be read, or `model_refused`.
        """
        ...


@dataclass(frozen=True)
class Ground:
    """The work of a stage that makes maps: scenes of one batch, all by one maker."""

    store: Store
    """Holds models, surface products and maps."""
    maker: Maker
    """Makes them."""

    def __call__(self, ref: SceneRef, context: Context) -> Outcome:
        """The map of one scene lies in the store; or its surface product cannot be read, and it is failed.

        Raises:
            ConfigError: The model cannot be used, or the surface product is not there.
            ServiceError: The store failed.
        """
        try:
            return self._mapped(ref, context)
        except DataError as error:  # what stands published is damaged: somebody must look
            return context.ended(ref, Ending.FAILED, error.reason, str(error))

    def _mapped(self, ref: SceneRef, context: Context) -> Outcome:
        source = _source(ref)
        folder = context.scratch / "surface"
        fetch_assets(self.store, source, folder, roles=LOOKED_AT)
        place = place_of(ref, source, self._planned(source, folder))
        item = complete(self.store, place)
        if item is None:
            context.tell(
                "mapping", acquisition=ref.acquisition, kind=self.maker.kind, digest=place.digest[:12]
            )
            fetch_assets(self.store, source, folder, roles=READ)
            made = self._made(folder, context)
            context.tell("uploading", acquisition=ref.acquisition, bytes=made.bytes)
            item = upload(self.store, place, made.folder)
        else:
            context.tell("product is there already", acquisition=ref.acquisition, digest=place.digest[:12])
        return context.ended(ref, made=_described(place, item, source, maker=self.maker))

    def _planned(self, source: Made, folder: Path) -> Planned:
        with SurfaceProduct.open(folder) as surface:
            if surface.digest != source.digest:
                raise ConfigError(
                    f"{self.store.href(source.item)} has digest {surface.digest[:12]}, the ledger says "
                    f"{source.digest[:12]}: somebody replaced it; run `undersky verify`"
                )
            try:
                return self.maker.plan(surface)
            except DataError as error:
                raise _of_model(error) from error

    def _made(self, folder: Path, context: Context) -> MappedProduct:
        """The map on the disk; a model that proves unfit is no fault of the scene."""
        try:
            return self.maker.make(folder, context.scratch / "out", run=context.batch.run)
        except DataError as error:
            raise _of_model(error) from error


def place_of(ref: SceneRef, source: Made, planned: Planned) -> Place:
    """Where the map of that digest belongs."""
    year, month = source.prefix.split("/")[2:4]
    prefix = f"products/{planned.collection}/{year}/{month}/{ref.scene}/{planned.digest}"
    return Place(prefix, planned.id, planned.digest)


def _source(ref: SceneRef) -> Made:
    """The surface product that a scene of the batch is to be mapped from."""
    if ref.surface is None:
        raise ConfigError(
            f"{ref.scene} came without a surface product: claim it with `undersky claim landcover` or "
            "`vessels`"
        )
    return ref.surface


def _of_model(error: DataError) -> Exception:
    """The error, as one that an operator must act on where the model is at fault."""
    if error.reason is Reason.MODEL_REFUSED:
        return ConfigError(f"the pinned model cannot be used: {error}")
    return error


def _described(place: Place, item: Json, source: Made, *, maker: Maker) -> Made:
    properties = item["properties"]
    summary: Mapping[str, float] = properties.get("undersky:summary", {})
    return Made(
        id=str(item["id"]),
        digest=place.digest,
        prefix=place.prefix,
        collection=str(item["collection"]),
        item=place.item,
        bytes=int(properties["undersky:bytes"]),
        seconds=float(properties["undersky:seconds"]),
        cpu_seconds=float(properties["undersky:cpu_seconds"]),
        cloud_percent=source.cloud_percent,
        model=maker.model,
        kind=maker.kind,
        source=source.digest,
        summary={name: float(value) for name, value in summary.items()},
    )
