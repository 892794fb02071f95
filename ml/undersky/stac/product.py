"""What a finished product is, before it is described."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from undersky.raster.written import WrittenFile, WrittenLayer
from undersky.scene import Scene


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a product was made of and by what; equal lineage means equal pixels."""

    sources: Mapping[str, str]
    """sha256 of every source file, by its name inside the source product."""
    model_name: str
    """The correction model."""
    model_version: str
    """Which one of them."""
    model_digest: str
    """sha256 of its package."""
    parameters: Mapping[str, Any]
    """Everything else that changes a pixel; JSON values."""
    digest: str
    """sha256 over all of the above and the format version."""
    quality_model: Mapping[str, str] = field(default_factory=lambda: {"name": "thresholds"})
    """Name, version and digest of the model that told cloud from ground; `thresholds` where tests did."""

    @property
    def model(self) -> dict[str, str]:
        """Name, version and digest of the model."""
        return {"name": self.model_name, "version": self.model_version, "digest": self.model_digest}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run spent: the only part of an Item that differs between equal runs."""

    seconds: float
    """Wall clock."""
    cpu_seconds: float
    """All threads."""
    run_id: str
    """Which run; `by-hand` outside a scheduler."""
    created: datetime
    """When the run ended (aware)."""


@dataclass(frozen=True, slots=True)
class Product:
    """A finished surface-reflectance product, about to be described."""

    id: str
    """Item id."""
    scene: Scene
    """What it was made from."""
    layers: tuple[WrittenLayer, ...]
    """All rasters, in the order of `layers_of`."""
    thumbnail: WrittenFile
    """True colour."""
    lineage: Lineage
    """Sources, model, parameters."""
    atmosphere: Mapping[str, str]
    """Part of the atmosphere's state to where its value came from: `fixed`, `prior`, `climatology`."""
    cost: Cost
    """What the run spent."""
    summary: Mapping[str, float]
    """Percent of valid pixels by quality flag (`cloud`, `snow`, ...)."""
    before: WrittenFile | None = None
    """The same picture of what the satellite saw, the atmosphere not removed; None where nobody drew it."""

    @property
    def pictures(self) -> tuple[WrittenFile, ...]:
        """All pictures."""
        return (self.thumbnail,) if self.before is None else (self.thumbnail, self.before)
