"""Airs of the clouded scenes: what the emulator says of each, in the bands that the mask sees."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Geometry, pressure_at
from undersky.bands import SENSORS
from undersky.grid import Floats
from undersky.synth.sensor_noise import noise_sigma

ROLES = ("blue", "green", "red", "nir08", "swir16", "swir22", "cirrus")
"""Common names of the bands that both sensors have and the mask sees."""

Doubles = npt.NDArray[np.float64]

_IN_ORBIT = 0.5


@dataclass(frozen=True, slots=True)
class AirBank:
    """n airs; coefficients (n, band), bands as in ROLES."""

    sensor: npt.NDArray[np.int64]
    """Position in SENSORS, (n,)."""
    sun_tangent: Doubles
    """Tangent of the sun's zenith angle: how far a shadow falls from its cloud per height, (n,)."""
    path: Floats
    """Path reflectance."""
    transmittance: Floats
    """Down and up."""
    spherical_albedo: Floats
    """From below."""
    gas: Floats
    """Gas transmittance."""
    direct: Floats
    """Share of the light at the ground that comes straight from the sun."""
    noise: Floats
    """Variance over black, and per unit of reflectance, (n, band, 2)."""

    @property
    def direct_nir(self) -> Doubles:
        """`direct` in the near infrared, where shadows are told, (n,)."""
        return self.direct[:, ROLES.index("nir08")].astype(np.float64)


def bands_of(sensor_key: str) -> tuple[str, ...]:
    """The sensor's band for each of ROLES."""
    by_role = {band.common_name: band.name for band in SENSORS[sensor_key].bands}
    return tuple(by_role[role] for role in ROLES)


def draw_airs(count: int, generator: np.random.Generator) -> AirBank:
    """That many airs: sun 10 to 74 degrees from the zenith, view to 12, aerosol as its climatology has it."""
    low, high = np.cos(np.radians([74.0, 10.0]))
    sun = np.degrees(np.arccos(generator.uniform(low, high, count)))
    view, azimuth = generator.uniform(0.0, 12.0, count), generator.uniform(0.0, 180.0, count)
    aot = np.clip(0.13 * np.exp(0.8 * generator.standard_normal(count)), 0.01, 0.9)
    water = np.clip(1.8 * np.exp(0.6 * generator.standard_normal(count)), 0.2, 5.5)
    ozone = generator.uniform(220.0, 430.0, count)
    pressure = pressure_at(3.5 * generator.random(count) ** 2.5)
    shares = generator.dirichlet(np.full(len(AEROSOL_MODELS), 0.6), count)
    sensor = np.arange(count) % len(SENSORS)
    parts = {name: np.zeros((count, len(ROLES)), np.float32) for name in _COEFFICIENTS}
    noise = np.zeros((count, len(ROLES), 2), np.float32)
    for index, key in enumerate(SENSORS):
        rows = np.flatnonzero(sensor == index)
        state = AtmosphereState(
            aot_550=_tensor(aot[rows]),
            water_vapour=_tensor(water[rows]),
            ozone_dobson=_tensor(ozone[rows]),
            pressure_hpa=_tensor(pressure[rows]),
            aerosol_fractions=_tensor(shares[rows].T),
        )
        geometry = Geometry(_tensor(sun[rows]), _tensor(view[rows]), _tensor(azimuth[rows]))
        emulator = Emulator.load(key, bands_of(key))
        with torch.no_grad():
            found = emulator(state, geometry)
            # by reciprocity the way down from the sun is the way up to a sensor in its place
            direct = 1.0 - emulator.diffuse_share(state, geometry.sun_zenith)
        air = (found.path, found.transmittance, found.spherical_albedo, found.gas_transmittance)
        columns = (*air, direct)
        for name, column in zip(_COEFFICIENTS, columns, strict=True):
            parts[name][rows] = column.T.numpy()
        noise[rows] = _noise(key, sun[rows])
    return AirBank(sensor, np.tan(np.radians(sun)), **parts, noise=noise)


_COEFFICIENTS = ("path", "transmittance", "spherical_albedo", "gas", "direct")


def _noise(key: str, sun_zenith: Doubles) -> Floats:
    """In orbit, as a share of what the makers promise; it grows under a low sun."""
    ends = np.array([0.0, 1.0], dtype=np.float32)
    cosine = np.cos(np.radians(sun_zenith))[:, None]
    pairs = np.array(
        [noise_sigma(SENSORS[key], band, toa=ends, sun_zenith=0.0) ** 2 for band in bands_of(key)]
    )
    black, white = _IN_ORBIT**2 * pairs.T
    return np.stack([black / cosine**2, (white - black) / cosine], axis=-1).astype(np.float32)


def _tensor(values: Doubles) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
