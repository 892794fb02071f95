"""Who looks at a scene: a model package, and what the user knows better. Light until it looks.

Opening an estimator reads two small files; torch is loaded when the first scene is estimated, so that a
product that cannot be used is refused before.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from undersky.atmosphere.inversion import InversionFields
from undersky.atmosphere.shipped import tables_digest
from undersky.errors import ConfigError
from undersky.grid import Floats
from undersky.inference.ground import GroundOptions
from undersky.inference.mask import SceneMask, learned_mask, threshold_mask
from undersky.inference.view import Views
from undersky.models.package import LEARNED, ModelPackage, load_package, package_folder, shipped
from undersky.models.physics import ARCHITECTURE, PhysicsModel, build_physics
from undersky.quality import THRESHOLDS, QualityBits
from undersky.scene import Bools, Scene

QUALITY = "quality"
"""What a quality model is for, as packages and release sets name it; and the name of the shipped one."""

VERSION = "2"
"""Of how a model looks at a scene: another one makes other products of the same model and scene."""


@dataclass(frozen=True, slots=True)
class CorrectionOptions:
    """What the user knows better than the product does."""

    model: str | Path | None = None
    """A shipped model by its name, or the folder of a package; the shipped learned model when None."""
    state: Path | None = None
    """A state file: the atmosphere as somebody measured it, taken instead of any estimate."""
    ground: GroundOptions = field(default_factory=GroundOptions)
    """A DEM or one altitude."""
    quality: str | Path = THRESHOLDS
    """A shipped quality model by its name, or the folder of a package; `thresholds` keeps the tests."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model made a product."""

    name: str
    """`correction`."""
    version: str
    """`physics-1`."""
    digest: str
    """sha256 of its package."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Everything the correction of one scene needs; fields on edge-to-edge nodes over its footprint."""

    fields: InversionFields
    """(band, y, x), bands in the order of `sensor.corrected_bands`."""
    aot_550: Floats
    """Aerosol optical thickness, (y, x)."""
    water_vapour: Floats
    """g/cm2, (y, x)."""
    outside: Bools
    """True where an input left the tables, (y, x)."""
    fallback: Bools
    """True where the model left its domain and the physics baseline stood in, (y, x)."""
    sources: Mapping[str, str]
    """Part of the state to its source: `learned`, `fixed`, `prior`, `climatology`, `retrieved`, `stated`,
    `dem`, `assumed`."""


@dataclass(frozen=True, slots=True)
class Estimator:
    """A model and what the user knows better, ready to look at scenes."""

    package: ModelPackage
    """The package, verified."""
    physics: PhysicsModel
    """The baseline: the package's own, or what stands in where a learned model does not speak."""
    learns: bool
    """True when the package holds a learned model."""
    options: CorrectionOptions
    """What the user says of atmosphere and ground."""
    quality: ModelPackage | None
    """The package that tells cloud from ground, verified; None where the threshold tests do."""
    parameters: Mapping[str, str | float]
    """Everything beside model and scene that changes the result, files by their sha256."""
    views: Views = field(default_factory=Views, compare=False)
    """The scene that is being looked at."""

    @property
    def model(self) -> ModelIdentity:
        """Which model this is."""
        return ModelIdentity(self.package.name, self.package.version, self.package.digest)

    @property
    def quality_model(self) -> ModelIdentity | None:
        """Which model tells cloud from ground; None where the threshold tests do."""
        package = self.quality
        return None if package is None else ModelIdentity(package.name, package.version, package.digest)

    def mask(self, scene: Scene) -> QualityBits:
        """Bits CLOUD .. WATER of the scene, uint16 (y, x) over its footprint."""
        return self.see(scene).bits

    def see(self, scene: Scene) -> SceneMask:
        """The same bits, and how likely cloud is.

        Raises:
            DataError: The pixels cannot be decoded; `model_refused`: the quality model is none.
        """
        view = self.views.of(scene)
        if self.quality is None:
            return threshold_mask(view)
        from undersky.models.segmentation import build_segmenter  # noqa: PLC0415  loads torch

        return learned_mask(view, build_segmenter(self.quality, QUALITY))

    def estimate(self, scene: Scene, mask: QualityBits) -> Estimate:
        """The atmosphere of a scene and the fields that remove it.

        Args:
            scene: With its angles and, where the product has them, priors.
            mask: Quality bits over the same footprint, (y, x).

        Raises:
            ConfigError: The state file or DEM cannot be used.
        """
        from undersky.inference.nodes import look_at  # noqa: PLC0415  loads torch
        from undersky.models.build import build_network  # noqa: PLC0415  loads torch

        try:
            seen = look_at(
                self.views.of(scene),
                mask,
                physics=self.physics,
                learned=build_network(self.package) if self.learns else None,
                state=self.options.state,
                ground=self.options.ground,
            )
        finally:
            self.views.forget()
        return Estimate(
            fields=seen.fields,
            aot_550=seen.belief.state.aot_550.astype(np.float32),
            water_vapour=seen.belief.state.water_vapour.astype(np.float32),
            outside=seen.outside,
            fallback=seen.fallback,
            sources=seen.belief.sources,
        )


def open_estimator(options: CorrectionOptions) -> Estimator:
    """The estimator of a model package, the shipped learned model unless the options name another.

    Raises:
        ConfigError: The state file or DEM cannot be read.
        DataError: `model_refused`.
    """
    package = load_package(package_folder(options.model))
    learns = package.architecture == LEARNED
    baseline = load_package(shipped(ARCHITECTURE)) if learns else package
    quality = None if options.quality == THRESHOLDS else load_package(package_folder(options.quality))
    parameters: dict[str, str | float] = {"tables": tables_digest(), "inference": VERSION}
    parameters["quality"] = THRESHOLDS if quality is None else quality.digest
    if learns:
        parameters["baseline"] = baseline.digest
    for name, path in (("state", options.state), ("dem", options.ground.dem)):
        if path is not None:
            parameters[name] = _sha256(path)
    if options.ground.altitude_m is not None:
        parameters["altitude_m"] = options.ground.altitude_m
    return Estimator(package, build_physics(baseline), learns, options, quality, parameters)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; give a file that exists") from error
