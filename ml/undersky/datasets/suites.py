"""The frozen suites as data: scenes with 6S's own coefficients, made into pixels without running 6S.

    file --load_suite--> SuiteScene --render--> Observation (what a method sees), Truth (what it should find)

The path is what 6S's own apparent reflectance over a ground of GROUND leaves for it, divided by the gas
transmittance. 6S lets water vapour absorb the air's path not at all and the aerosol's path by half, so the
printed gas-free path times the gas transmittance misses its answer, by up to 0.007 in B09; with this path the
formula gives 6S's apparent reflectance over any other ground within 0.0001.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.inversion import apply_atmosphere
from undersky.atmosphere.sixs import SixsCase
from undersky.atmosphere.state import Coefficients
from undersky.bands import SENSORS, Sensor
from undersky.datasets.design import SceneDesign
from undersky.datasets.ground import PIXEL_M, Classes, Materials, lay_out
from undersky.datasets.observation import Observation, Place
from undersky.errors import ConfigError
from undersky.grid import Floats
from undersky.synth.sensor_noise import noise_sigma

Array = npt.NDArray[np.floating[Any]]

DATA = Path(__file__).with_name("data")
"""Where the suites are kept."""

GROUND = 0.2
"""Reflectance of the ground in every run of 6S."""

IN_ORBIT = 0.5
"""Noise in orbit as a share of the promised: both sensors do about twice as well (S2 L1C Data Quality Report;
Morfitt et al. 2015, Remote Sensing 7(2), 2208-2237)."""

PLACE = Place(40.0, 9.0, datetime(2024, 4, 15, 10, 30, tzinfo=UTC), PIXEL_M)
"""Of every scene: a climatology by latitude and month says 2.1 g/cm2 there, near the suites' middle."""


@dataclass(frozen=True, slots=True)
class SuiteScene:
    """One scene of a frozen suite."""

    design: SceneDesign
    """State, geometry, slice, seed."""
    materials: Materials
    """What lies on its ground."""
    coefficients: Coefficients[Array]
    """6S's own, each (band,), bands in the order of the sensor's corrected bands."""

    @property
    def sensor(self) -> Sensor:
        """The instrument."""
        return SENSORS[self.design.sensor]


@dataclass(frozen=True, slots=True)
class Suite:
    """All scenes of a frozen suite."""

    name: str
    """`direct-6s` or `direct-6s-stress`."""
    scenes: tuple[SuiteScene, ...]
    """Main scenes first, then the slices of their own."""
    provenance: dict[str, str]
    """How its coefficients were made."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a perfect correction of one scene would find."""

    surface: Floats
    """Surface reflectance, (band, y, x)."""
    cover: Classes
    """Index of the covering class in `ground.COVERS`, (y, x)."""
    aot_550: float
    """Aerosol optical depth."""
    water_vapour: float
    """g/cm2."""


@cache
def load_suite(name: str, folder: Path = DATA) -> Suite:
    """The suite of that name.

    Raises:
        ConfigError: No such file.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        known = " ".join(sorted(found.stem for found in folder.glob("*.json"))) or "none"
        raise ConfigError(f"no suite {name!r} in {folder}; there are: {known}")
    document = json.loads(path.read_text(encoding="utf-8"))
    provenance = {key: str(value) for key, value in document["provenance"].items()}
    return Suite(document["suite"], tuple(_scene(row) for row in document["scenes"]), provenance)


def _scene(row: dict[str, object]) -> SuiteScene:
    fields = dict(row)
    bands, materials, case = (fields.pop(key) for key in ("bands", "materials", "case"))
    if not isinstance(bands, dict) or not isinstance(materials, dict) or not isinstance(case, dict):
        raise ConfigError(f"scene {row.get('id')!r} of the suite is damaged; restore the file")
    sensor = SENSORS[str(row["sensor"])]
    table = np.array([bands[band.name] for band in sensor.corrected_bands], dtype=np.float64).T
    _, transmittance, albedo, gas, apparent = table
    path = apparent / gas - transmittance * GROUND / (1.0 - albedo * GROUND)
    known = SixsCase(**case | {"components": tuple(case["components"])})
    return SuiteScene(
        design=SceneDesign(case=known, **fields),  # type: ignore[arg-type]  # JSON of exactly these fields
        materials=_materials(materials),
        coefficients=Coefficients(path, transmittance, albedo, gas, np.zeros(1, dtype=np.bool_)),
    )


def _materials(row: dict[str, list[Any]]) -> Materials:
    return Materials(
        names=tuple(row["names"]),
        classes=tuple(row["classes"]),
        lead=tuple(row["lead"]),
        reflectance=tuple(tuple(spectrum) for spectrum in row["reflectance"]),
    )


def render(scene: SuiteScene) -> tuple[Observation, Truth]:
    """What the sensor measured of the scene, noise included, and what lies below; the same on every call."""
    design, case = scene.design, scene.design.case
    surface, cover = lay_out(scene.materials, seed=design.seed)
    clean = Observation(
        id=design.id,
        sensor=scene.sensor,
        bands=tuple(band.name for band in scene.sensor.corrected_bands),
        toa=apply_atmosphere(surface, over_pixels(scene.coefficients)).astype(np.float32),
        sun_zenith=case.sun_zenith,
        view_zenith=case.view_zenith,
        relative_azimuth=case.relative_azimuth,
        ozone_dobson=case.ozone_dobson,
        altitude_km=case.altitude_km,
        place=PLACE,
    )
    noisy = replace(clean, toa=with_noise(clean, generator=np.random.default_rng([design.seed, 1])))
    return noisy, Truth(surface, cover, case.aot_550, case.water_vapour)


def with_noise(observation: Observation, *, generator: np.random.Generator) -> Floats:
    """Its top-of-atmosphere reflectance with one draw of the sensor's noise in orbit, (band, y, x)."""
    sigma = np.stack(
        [
            noise_sigma(observation.sensor, name, toa=band, sun_zenith=observation.sun_zenith)
            for name, band in zip(observation.bands, observation.toa, strict=True)
        ]
    )
    draw = generator.standard_normal(sigma.shape, dtype=np.float32)
    return np.asarray(observation.toa + np.float32(IN_ORBIT) * sigma * draw, dtype=np.float32)


def over_pixels(coefficients: Coefficients[Array]) -> Coefficients[Array]:
    """Coefficients (band,) as (band, 1, 1), so that they broadcast over (band, y, x)."""
    return Coefficients(
        path=coefficients.path[:, None, None],
        transmittance=coefficients.transmittance[:, None, None],
        spherical_albedo=coefficients.spherical_albedo[:, None, None],
        gas_transmittance=coefficients.gas_transmittance[:, None, None],
        outside=coefficients.outside,
    )
