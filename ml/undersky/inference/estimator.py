"""Whoever estimates an atmosphere, as the correction sees it: what is asked and what is answered."""

from collections.abc import Mapping
from typing import Any, Protocol

from undersky.atmosphere.inversion import InversionFields
from undersky.grid import Floats
from undersky.inference.mask import SceneMask
from undersky.quality import QualityBits
from undersky.scene import Bools, Scene


class Model(Protocol):
    """Which model estimates."""

    @property
    def name(self) -> str:
        """What it is for: `correction`."""

    @property
    def version(self) -> str:
        """Which one of them: `physics-1`."""

    @property
    def digest(self) -> str:
        """sha256 of its package."""


class Estimate(Protocol):
    """What a correction needs; fields on edge-to-edge nodes over the scene's footprint."""

    @property
    def fields(self) -> InversionFields:
        """(band, y, x), bands in the order of `sensor.corrected_bands`."""

    @property
    def aot_550(self) -> Floats:
        """(y, x)."""

    @property
    def water_vapour(self) -> Floats:
        """g/cm2, (y, x)."""

    @property
    def outside(self) -> Bools:
        """True where an input left the tables, (y, x)."""

    @property
    def fallback(self) -> Bools:
        """True where the physics baseline stood in, (y, x)."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Part of the state to where its value came from."""


class Estimator(Protocol):
    """Whoever looks at a scene and says what lies over it. Its identity is known before it looks."""

    @property
    def model(self) -> Model:
        """Name, version, digest."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything beside the model and the scene that changes the result; JSON values."""

    @property
    def quality_model(self) -> Model | None:
        """Which model tells cloud from ground; None where threshold tests do."""

    def see(self, scene: Scene) -> SceneMask:
        """Bits CLOUD .. WATER over the footprint, no finer than the scene, and how likely cloud is."""

    def estimate(self, scene: Scene, mask: QualityBits) -> Estimate:
        """The atmosphere over the scene."""
