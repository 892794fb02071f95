"""Simple methods of others on the same pixels, so that a number has company.

    none        top of the atmosphere, as it is
    dos         dark object subtraction (Chavez 1988)
    srem        Rayleigh scattering removed, aerosol ignored (Bilal et al. 2019), gases removed first
    fixed-aod   the full inversion with continental aerosol, AOD 0.1: what a look-up table without a look does

All of them get the true geometry, altitude and ozone. Gases are those of the emulator, at the water vapour
that B09 shows beside B8A where the sensor has them, else that of a standard atmosphere; `fixed-aod` alone
uses the emulator's scattering too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.inversion import remove_atmosphere
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Coefficients, Geometry, pressure_at
from undersky.datasets.observation import Observation
from undersky.evaluation.correctors import Corrected, Corrector
from undersky.inference.water_vapour import ABSORPTION, WINDOW, retrieve

Array = npt.NDArray[np.floating[Any]]

FIXED_AOT = 0.1
"""What a method that does not look assumes."""

STANDARD_WATER_VAPOUR = 2.0
"""g/cm2, between 6S's mid-latitude summer (2.93) and winter (0.85)."""

_BRIGHT_TOA = 0.08
_DARK_PERCENTILE = 0.1
_DARK_REFLECTANCE = 0.01


class Atmosphere(Protocol):
    """State and geometry to coefficients of some bands: the emulator, or a stand-in of a test."""

    def __call__(self, state: AtmosphereState[Array], geometry: Geometry[Array]) -> Coefficients[Array]:
        """Coefficients (band, y, x)."""


Load = Callable[[str, tuple[str, ...]], Atmosphere]
"""Sensor key and band names to their atmosphere."""


def peers(load: Load = Emulator.load) -> tuple[Corrector, ...]:
    """Every peer, in the order of the tables; `load` gives the atmosphere of a sensor's bands."""
    return NoCorrection(), DarkObject(), Srem(load), FixedAot(load)


@dataclass(frozen=True, slots=True)
class NoCorrection:
    """The top of the atmosphere passed off as the ground."""

    name: str = "none"
    """Short, for tables."""

    def correct(self, observation: Observation) -> Corrected:
        """The observation itself."""
        return Corrected(observation.toa)


@dataclass(frozen=True, slots=True)
class DarkObject:
    """Haze is what the darkest pixels show beyond one percent; everything else is kept.

    Source: Chavez 1988, RSE 24(3), 459-479; one percent: Chavez 1996, PE&RS 62(9), 1025-1036 (DOS1).
    """

    name: str = "dos"
    """Short, for tables."""

    def correct(self, observation: Observation) -> Corrected:
        """Each band less its own haze; the haze is never negative. All-nodata bands stay NaN."""
        flat = observation.toa.reshape(len(observation.toa), -1)
        seen = np.where(np.isnan(flat), np.inf, flat)
        rank = int(_DARK_PERCENTILE / 100.0 * flat.shape[1])
        dark = np.partition(seen, rank, axis=1)[:, rank]
        haze = np.maximum(dark - _DARK_REFLECTANCE, 0.0)
        return Corrected((observation.toa - haze[:, None, None]).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Srem:
    """A molecular atmosphere in closed form.

    Source: Bilal et al. 2019, Remote Sensing 11(11), 1344; optical depth: Hansen and Travis 1974.
    """

    load: Load = Emulator.load
    """Gives the atmosphere of a sensor's bands, of which the gases are used."""
    name: str = "srem"
    """Short, for tables."""

    def correct(self, observation: Observation) -> Corrected:
        """Gases divided out, then Rayleigh path, transmittance and albedo at each band's centre."""
        water = water_vapour_of(observation, self.load)
        gases = coefficients_of(observation, self.load, water_vapour=water).gas_transmittance
        wavelength = [observation.sensor.band(name).wavelength_nm / 1000.0 for name in observation.bands]
        rayleigh = srem_rayleigh(np.array(wavelength)[:, None, None], observation)
        above = replace(rayleigh, gas_transmittance=gases)
        surface = remove_atmosphere(observation.toa, above).astype(np.float32)
        return Corrected(surface, water_vapour=water)


@dataclass(frozen=True, slots=True)
class FixedAot:
    """Continental aerosol of AOD 0.1 everywhere and always."""

    load: Load = Emulator.load
    """Gives the atmosphere of a sensor's bands."""
    name: str = "fixed-aod"
    """Short, for tables."""

    def correct(self, observation: Observation) -> Corrected:
        """The exact inversion under the assumed state."""
        water = water_vapour_of(observation, self.load)
        above = coefficients_of(observation, self.load, water_vapour=water)
        surface = remove_atmosphere(observation.toa, above).astype(np.float32)
        return Corrected(surface, aot_550=FIXED_AOT, water_vapour=water)


def water_vapour_of(observation: Observation, load: Load) -> float:
    """The column that the median bright pixel's B09 shows beside its B8A, else the standard one, g/cm2."""
    if not {WINDOW, ABSORPTION} <= set(observation.bands):
        return STANDARD_WATER_VAPOUR
    window, absorption = (observation.toa[observation.bands.index(name)] for name in (WINDOW, ABSORPTION))
    bright = window > _BRIGHT_TOA
    if not bright.any():
        return STANDARD_WATER_VAPOUR
    level = np.median(window[bright])
    ratio = np.median(absorption[bright] / window[bright])

    def coefficients_at(column: float) -> tuple[Coefficients[Array], Coefficients[Array]]:
        found = coefficients_of(observation, load, water_vapour=column, bands=(WINDOW, ABSORPTION))
        return _of_band(found, 0), _of_band(found, 1)

    column = retrieve(np.full((1, 1), level), np.full((1, 1), level * ratio), coefficients_at=coefficients_at)
    return STANDARD_WATER_VAPOUR if column is None else float(column[0, 0])


def coefficients_of(
    observation: Observation, load: Load, *, water_vapour: float, bands: tuple[str, ...] | None = None
) -> Coefficients[Array]:
    """Coefficients (band, 1, 1) of continental aerosol of FIXED_AOT, of the observation's bands or these."""

    def node(value: float) -> Array:
        return np.full((1, 1), value)

    shares = np.zeros((len(AEROSOL_MODELS), 1, 1))
    shares[AEROSOL_MODELS.index("continental")] = 1.0
    state = AtmosphereState(
        aot_550=node(FIXED_AOT),
        water_vapour=node(water_vapour),
        ozone_dobson=node(observation.ozone_dobson),
        pressure_hpa=node(float(pressure_at(observation.altitude_km))),
        aerosol_fractions=shares,
    )
    geometry = Geometry(
        sun_zenith=node(observation.sun_zenith),
        view_zenith=node(observation.view_zenith),
        relative_azimuth=node(observation.relative_azimuth),
    )
    return load(observation.sensor.key, bands or observation.bands)(state, geometry)


def _of_band(coefficients: Coefficients[Array], row: int) -> Coefficients[Array]:
    return Coefficients(
        path=coefficients.path[row],
        transmittance=coefficients.transmittance[row],
        spherical_albedo=coefficients.spherical_albedo[row],
        gas_transmittance=coefficients.gas_transmittance[row],
        outside=coefficients.outside,
    )


def srem_rayleigh(wavelength_um: Array, observation: Observation) -> Coefficients[Array]:
    """SREM's molecular atmosphere at sea level, without gases; arrays of the shape of `wavelength_um`."""
    depth = 0.008569 * wavelength_um**-4 * (1.0 + 0.0113 * wavelength_um**-2 + 0.00013 * wavelength_um**-4)
    cos_sun, cos_view = np.cos(np.radians([observation.sun_zenith, observation.view_zenith]))
    path = (
        _phase(observation)
        * -np.expm1(-depth * (1.0 / cos_sun + 1.0 / cos_view))
        / (4.0 * (cos_sun + cos_view))
    )
    # exp(-t/m) + exp(-t/m) * (exp(0.52 t/m) - 1), once down and once up
    transmittance = np.exp(-0.48 * depth / cos_sun) * np.exp(-0.48 * depth / cos_view)
    return Coefficients(
        path=path,
        transmittance=transmittance,
        spherical_albedo=0.92 * depth * np.exp(-depth),
        gas_transmittance=np.ones_like(depth),
        outside=np.zeros(1, dtype=np.bool_),
    )


def _phase(observation: Observation) -> float:
    """Rayleigh phase function at the scattering angle, with the constants of the paper."""
    sun, view, azimuth = np.radians(
        [observation.sun_zenith, observation.view_zenith, observation.relative_azimuth]
    )
    cos_scattering = -np.cos(sun) * np.cos(view) - np.sin(sun) * np.sin(view) * np.cos(azimuth)
    asymmetry = 0.9587256
    return float(3.0 * asymmetry / (4.0 + (1.0 - asymmetry)) * (1.0 + cos_scattering**2))
