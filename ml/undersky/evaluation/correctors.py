"""What is measured: anything that turns an observation into surface reflectance.

    Observation --as_scene--> Scene --mask, estimate--> fields --inversion--> Corrected

`ModelCorrector` walks the path of `undersky correct`, so that what is measured is what is shipped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from undersky.atmosphere.inversion import InversionFields, remove_with_fields, sigma_with_fields
from undersky.datasets.observation import Observation, as_scene
from undersky.grid import Floats, upsample, whole
from undersky.inference.correction import CorrectionOptions, open_estimator
from undersky.inference.ground import GroundOptions
from undersky.models.package import DEFAULT
from undersky.scene import Scene


@dataclass(frozen=True, slots=True)
class Corrected:
    """One observation with its atmosphere removed."""

    surface: Floats
    """Surface reflectance, (band, y, x), bands as in the observation."""
    sigma: Floats | None = None
    """1 sigma of it, same shape; None from a method that states none."""
    aot_550: float | None = None
    """Mean aerosol optical depth that was assumed or found; None from a method without one."""
    water_vapour: float | None = None
    """Mean column, g/cm2; None from a method without one."""


class Corrector(Protocol):
    """One method under test."""

    @property
    def name(self) -> str:
        """Short, for tables: `physics`, `fixed-aod`."""

    def correct(self, observation: Observation) -> Corrected:
        """The surface under this observation."""


@dataclass(frozen=True, slots=True)
class ModelCorrector:
    """A model package, through the same functions that correct a product."""

    name: str = DEFAULT
    """Short, for tables."""
    model: str | Path | None = None
    """A shipped model by its name, or the folder of a package; the shipped learned model when None."""

    def correct(self, observation: Observation) -> Corrected:
        """Reflectance, uncertainty and state of the model for this observation; its altitude is known.

        Raises:
            DataError: `model_refused`.
        """
        scene = as_scene(observation)
        ground = GroundOptions(altitude_m=1000.0 * observation.altitude_km)
        estimator = open_estimator(CorrectionOptions(model=self.model, ground=ground))
        found = estimator.estimate(scene, estimator.mask(scene))
        fields = fields_at_pixels(found.fields, scene, bands=observation.bands)
        surface = remove_with_fields(observation.toa, fields)
        return Corrected(
            surface=np.asarray(surface, dtype=np.float32),
            sigma=np.asarray(sigma_with_fields(surface, fields), dtype=np.float32),
            aot_550=float(found.aot_550.mean()),
            water_vapour=float(found.water_vapour.mean()),
        )


def fields_at_pixels(fields: InversionFields, scene: Scene, *, bands: tuple[str, ...]) -> InversionFields:
    """The coarse fields of the named bands at every pixel of the scene, (band, y, x)."""
    order = [band.name for band in scene.sensor.corrected_bands]
    chosen = [order.index(name) for name in bands]
    window = whole(scene.grid)
    shape = (window.height, window.width)

    def at_pixels(field: Floats) -> Floats:
        return np.stack([upsample(field[index], shape, window) for index in chosen])

    return InversionFields(
        gain=at_pixels(fields.gain),
        offset=at_pixels(fields.offset),
        albedo=at_pixels(fields.albedo),
        q0=at_pixels(fields.q0),
        q1=at_pixels(fields.q1),
        q2=at_pixels(fields.q2),
    )
