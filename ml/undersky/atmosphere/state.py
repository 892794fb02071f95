"""What the correction must know: the state of the atmosphere, the geometry, and what follows from them.

Every value here holds either numpy arrays or torch tensors, never a mixture; the arithmetic of this package
runs on both. Band is always the first axis, what comes behind it is free: `(y, x)`, `(n, y, x)`, `(node,)`.

    state (y, x)     geometry (y, x)  -->  emulator  -->  coefficients (band, y, x)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Field = TypeVar("Field", npt.NDArray[np.floating[Any]], "torch.Tensor")
"""A numpy array or a torch tensor of floats."""

AEROSOL_MODELS = ("continental", "maritime", "urban", "desert", "biomass")
"""6S's aerosol models, in the order of every aerosol axis."""

LIMITS = {
    "aot_550": (0.0, 1.25),
    "water_vapour": (0.0, 6.0),
    "ozone_dobson": (180.0, 500.0),
    "pressure_hpa": (600.0, 1040.0),
    "sun_zenith": (0.0, 76.0),
    "view_zenith": (0.0, 13.0),
}
"""What the tables cover; inputs beyond are clamped and flagged in `Coefficients.outside`."""

# US Standard Atmosphere 1962 as 6S tabulates it, hPa at 0, 1, 2 ... km; between levels 6S is linear in log p.
_LEVELS_KM = np.arange(9.0)
_LEVELS_HPA = np.array([1013.0, 898.6, 795.0, 701.2, 616.6, 540.5, 472.2, 411.1, 356.5])


@dataclass(frozen=True, slots=True)
class AtmosphereState(Generic[Field]):
    """The atmosphere above each node. Fields broadcast against each other."""

    aot_550: Field
    """Aerosol optical depth at 550 nm, 0 to 1.25."""
    water_vapour: Field
    """Column above the ground, g/cm2, 0 to 6."""
    ozone_dobson: Field
    """Column, Dobson units, 180 to 500."""
    pressure_hpa: Field
    """At the ground, 600 to 1040."""
    aerosol_fractions: Field
    """Shares of the models along axis 0, ordered as AEROSOL_MODELS; positive, of any sum."""


@dataclass(frozen=True, slots=True)
class StateUncertainty(Generic[Field]):
    """One standard deviation of each field of an AtmosphereState, independent but for `aerosol_factors`."""

    aot_550: Field
    """Optical depth."""
    water_vapour: Field
    """g/cm2."""
    ozone_dobson: Field
    """Dobson units."""
    pressure_hpa: Field
    """hPa."""
    aerosol_fractions: Field
    """Of each share, along axis 0."""
    aerosol_factors: Field | None = None
    """What depth and shares err by together, (1 + model, rank, ...): a square root of their covariance, which
    counts beside the two fields above."""


@dataclass(frozen=True, slots=True)
class Geometry(Generic[Field]):
    """Sun and satellite as seen from the ground, in degrees."""

    sun_zenith: Field
    """0 to 76; shape of the state."""
    view_zenith: Field
    """0 to 13; shape of the state, with a band axis in front when `per_band`."""
    relative_azimuth: Field
    """|sun azimuth - view azimuth|; 0 = sun and satellite on the same side. Shape as `view_zenith`."""
    per_band: bool = False
    """True when the view angles carry a leading band axis (Sentinel-2's detectors look apart)."""


@dataclass(frozen=True, slots=True)
class Coefficients(Generic[Field]):
    """What stands between ground and satellite: toa = gas * (path + transmittance*rho / (1 - albedo*rho)).

    Source: Vermote et al. 1997, IEEE TGRS 35(3), 675-686.
    """

    path: Field
    """Path reflectance before gas absorption, (band, ...)."""
    transmittance: Field
    """Scattering transmittance sun - ground - satellite, (band, ...)."""
    spherical_albedo: Field
    """Of the atmosphere lit from below, (band, ...)."""
    gas_transmittance: Field
    """Sun - ground - satellite, (band, ...); never exactly zero."""
    outside: "npt.NDArray[np.bool_] | torch.Tensor"
    """True where an input left the tables and was clamped to their edge, (...)."""


def fold_azimuth(sun_azimuth: Field, view_azimuth: Field) -> Field:
    """Relative azimuth, degrees 0 to 180, from two azimuths clockwise from north in any turn."""
    turned = (sun_azimuth - view_azimuth) % 360.0
    return 180.0 - abs(180.0 - turned)


def pressure_at(altitude_km: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Ground pressure of the standard atmosphere, hPa; logarithmic below sea level as just above it."""
    altitude = np.asarray(altitude_km, dtype=np.float64)
    logs = np.log(_LEVELS_HPA)
    below = logs[0] + (logs[1] - logs[0]) * altitude
    inside = np.interp(altitude, _LEVELS_KM, logs)
    return np.asarray(np.exp(np.where(altitude < 0, below, inside)))


def altitude_at(pressure_hpa: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Altitude of a pressure in the standard atmosphere, km: the inverse of `pressure_at` below 8 km."""
    log_p = np.log(np.asarray(pressure_hpa, dtype=np.float64))
    logs = np.log(_LEVELS_HPA)
    below = (log_p - logs[0]) / (logs[1] - logs[0])
    inside = np.interp(-log_p, -logs, _LEVELS_KM)
    return np.asarray(np.where(log_p > logs[0], below, inside))
