"""The maker of maps of objects: stage `detect` by a pinned model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from undersky.batch.ground import Planned
from undersky.batch.pinned import fetched_package, require_pinned
from undersky.raster.surface_product import SurfaceProduct
from undersky.refs import Kind, ModelRef
from undersky.services.store import Store
from undersky.stac.maps import MappedProduct
from undersky.stages.detect import (
    DetectOptions,
    Detector,
    collection_named,
    detect,
    detection_digest,
    detection_id,
    open_detector,
)


@dataclass(frozen=True)
class ObjectMaker:
    """Finds objects."""

    store: Store
    """Holds the model."""
    folder: Path
    """Where the model package is kept while the batch lasts."""
    model: ModelRef
    """The pinned version."""
    threads: int = 2
    """Strips worked on at a time."""
    kind: Kind = Kind.VESSELS

    @cached_property
    def detector(self) -> Detector:
        """The pinned model, fetched and verified when the first scene needs it."""
        detector = open_detector(fetched_package(self.store, self.model, self.folder))
        require_pinned(self.model, detector.digest)
        return detector

    def plan(self, surface: SurfaceProduct) -> Planned:
        """As the protocol says."""
        digest = detection_digest(surface, self.detector)
        collection = collection_named(self.detector.name)
        return Planned(collection, detection_id(surface, self.detector, digest), digest)

    def make(self, product: Path, out: Path, *, run: str) -> MappedProduct:
        """As the protocol says."""
        options = DetectOptions(threads=self.threads, run_id=run)
        return detect(product, out, detector=self.detector, options=options)
