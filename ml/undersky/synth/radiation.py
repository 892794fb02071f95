"""What one band measures: ground, air, shadow, cloud, cirrus and noise, in this order."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from undersky.atmosphere.state import AtmosphereState, Coefficients, Geometry
from undersky.bands import Band, Sensor
from undersky.grid import Floats, Window, upsample
from undersky.synth.sensor_noise import noise_sigma
from undersky.synth.sky import Sky, cirrus_reflectance, cloud_reflectance

Array = npt.NDArray[np.floating[Any]]

ADJACENCY_M = 600.0
"""Width of the gaussian that stands for the atmosphere's point spread."""
_AIR_SCALE_M, _VAPOUR_SCALE_M = 8000.0, 2200.0


@dataclass(frozen=True, slots=True)
class BandColumn:
    """The atmosphere of one band on the nodes, and how light splits in it."""

    sensor: Sensor
    """The instrument."""
    band: Band
    """The band."""
    coefficients: Coefficients[Array]
    """Path, transmittance, albedo, gas transmittance, each (y, x)."""
    direct_down: float
    """Share of the light at the ground that comes straight from the sun."""
    direct_up: float
    """Share of the light from the ground that arrives straight from its pixel."""
    sun_zenith: float
    """Mean, degrees."""


@dataclass(frozen=True, slots=True)
class Column:
    """The atmosphere of all bands on the nodes."""

    state: AtmosphereState[Array]
    """(y, x)."""
    coefficients: Coefficients[Array]
    """(band, y, x)."""

    def of_band(self, sensor: Sensor, index: int, *, geometry: Geometry[Array]) -> BandColumn:
        """The part that concerns one band."""
        band, table = sensor.bands[index], self.coefficients
        depth = _optical_depth(self.state, band.wavelength_nm)
        sun = float(geometry.sun_zenith.mean())
        view = float(geometry.view_zenith[index].mean())
        down, up = 1.0 / math.cos(math.radians(sun)), 1.0 / math.cos(math.radians(view))
        both = float(table.transmittance[index].mean())
        part = Coefficients(
            path=table.path[index],
            transmittance=table.transmittance[index],
            spherical_albedo=table.spherical_albedo[index],
            gas_transmittance=table.gas_transmittance[index],
            outside=table.outside,
        )
        # The two-way transmittance is split between the ways by their air masses.
        return BandColumn(
            sensor=sensor,
            band=band,
            coefficients=part,
            direct_down=min(1.0, math.exp(-depth * down) / both ** (down / (down + up))),
            direct_up=min(1.0, math.exp(-depth * up) / both ** (up / (down + up))),
            sun_zenith=sun,
        )


def _optical_depth(state: AtmosphereState[Array], wavelength_nm: float) -> float:
    """Of air and aerosol (Angstrom exponent 1.2), the scene's mean.

    Source: Hansen & Travis 1974, Space Sci. Rev. 16, 527, equation 2.30.
    """
    um = wavelength_nm / 1000.0
    air = (
        0.008569
        * um**-4
        * (1.0 + 0.0113 * um**-2 + 0.00013 * um**-4)
        * float(state.pressure_hpa.mean())
        / 1013.25
    )
    haze = float(state.aot_550.mean()) * (um / 0.55) ** -1.2
    return float(air + haze)


def band_toa(
    rho: Floats,
    *,
    sky: Sky,
    column: BandColumn,
    adjacency_m: float | None = None,
    generator: np.random.Generator | None = None,
) -> Floats:
    """Top-of-atmosphere reflectance of one band, float32 (y, x).

    Args:
        rho: Surface reflectance.
        sky: Clouds on the same pixels.
        column: Atmosphere on nodes over the same footprint.
        adjacency_m: Pixel size when light from around counts; None when every pixel sees only itself.
        generator: Draws the sensor's noise; None for none.
    """
    path, transmittance, albedo, gas = (
        upsample(field, rho.shape, Window(0, 0, *rho.shape))
        for field in (
            column.coefficients.path,
            column.coefficients.transmittance,
            column.coefficients.spherical_albedo,
            column.coefficients.gas_transmittance,
        )
    )
    around = rho if adjacency_m is None else surroundings(rho, adjacency_m)
    own = np.float32(1.0 if adjacency_m is None else column.direct_up)
    lit = transmittance * (own * rho + (1.0 - own) * around) / (1.0 - albedo * around)
    lit *= 1.0 - np.float32(column.direct_down) * sky.shadow
    toa = gas * (path + lit)
    toa += sky.opacity * (_cloud_toa(sky, column, path=path, gas=gas) - toa)
    veil = cirrus_reflectance(sky.cirrus, column.band.wavelength_nm)
    toa = (1.0 - veil) ** 2 * toa + veil * _gas_above(column, gas, height_m=sky.cirrus_top_m)
    if generator is not None:
        sigma = noise_sigma(column.sensor, column.band.name, toa=toa, sun_zenith=column.sun_zenith)
        toa += sigma * generator.standard_normal(toa.shape, dtype=np.float32)
    return np.asarray(toa, dtype=np.float32)


def _cloud_toa(sky: Sky, column: BandColumn, *, path: Floats, gas: Floats) -> Floats:
    """A cloud under the air and the gases that lie above it."""
    bright = cloud_reflectance(sky.thickness, column.band.wavelength_nm)
    air = path * np.float32(math.exp(-sky.top_m / _AIR_SCALE_M))
    return _gas_above(column, gas, height_m=sky.top_m) * (air + (1.0 - air) * bright)


def _gas_above(column: BandColumn, gas: Floats, *, height_m: float) -> Floats:
    """Gas transmittance from that height up: little vapour is left there, ozone is above it all."""
    if column.band.role not in ("water_vapour", "cirrus"):
        return gas
    left = np.float32(math.exp(-height_m / _VAPOUR_SCALE_M))
    return np.asarray(np.maximum(gas, np.float32(1e-6)) ** left, dtype=np.float32)


def surroundings(rho: Floats, pixel_m: float) -> Floats:
    """The mean reflectance around every pixel that scattered light brings along, (y, x).

    A gaussian stands for the environment function of Vermote et al. 1997 (IEEE TGRS 35(3), eq. 12 on).
    """
    return np.asarray(
        gaussian_filter(rho, ADJACENCY_M / pixel_m, mode="nearest", truncate=3.0), dtype=np.float32
    )
