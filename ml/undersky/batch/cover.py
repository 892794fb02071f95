"""The maker of land-cover maps: stage `map` by a pinned model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from undersky.batch.ground import Planned
from undersky.batch.pinned import fetched_package, require_pinned
from undersky.raster.surface_product import SurfaceProduct
from undersky.refs import Kind, ModelRef
from undersky.services.store import Store
from undersky.stac.maps import MappedProduct
from undersky.stages.map import (
    MapOptions,
    Mapper,
    collection_of,
    map_cover,
    map_digest,
    map_id,
    map_parameters,
    open_mapper,
)


@dataclass(frozen=True)
class CoverMaker:
    """Makes land-cover maps."""

    store: Store
    """Holds the model."""
    folder: Path
    """Where the model package is kept while the batch lasts."""
    model: ModelRef
    """The pinned version."""
    threads: int = 2
    """Strips worked on at a time."""
    kind: Kind = Kind.LANDCOVER

    @cached_property
    def mapper(self) -> Mapper:
        """The pinned model, fetched and verified when the first scene needs it."""
        mapper = open_mapper(fetched_package(self.store, self.model, self.folder))
        require_pinned(self.model, mapper.digest)
        return mapper

    def plan(self, surface: SurfaceProduct) -> Planned:
        """As the protocol says."""
        digest = map_digest(surface, self.mapper, map_parameters())
        return Planned(collection_of(surface), map_id(surface, digest), digest)

    def make(self, product: Path, out: Path, *, run: str) -> MappedProduct:
        """As the protocol says."""
        options = MapOptions(threads=self.threads, run_id=run)
        return map_cover(product, out, mapper=self.mapper, options=options)
