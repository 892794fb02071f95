"""From the top of the atmosphere to the ground and back, and how sure one may be.

    toa = gas * (path + transmittance * rho / (1 - albedo * rho))
    rho = y / (1 + albedo * y)          y = (toa * gain - offset)

The streaming correction never evaluates the emulator per pixel: it interpolates six smooth fields per band,
`InversionFields`, from a coarse grid. Uncertainty is a parabola in rho whose three coefficients are such
fields, because every derivative d rho / d s of the inversion is close to a straight line in rho.

Source: Vermote et al. 1997, IEEE TGRS 35(3), 675-686.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.sensitivity import Key
from undersky.atmosphere.state import Coefficients, Field
from undersky.grid import resample_nodes

if TYPE_CHECKING:
    from undersky.atmosphere.emulator import Emulator
    from undersky.atmosphere.state import AtmosphereState, Geometry, StateUncertainty

Array = npt.NDArray[np.floating[Any]]

_VARIANCE_NODES = 24
"""Nodes a side on which variance is worked out; it is smoother than the relief that wants more."""

_DARK, _BRIGHT = 0.0, 0.4
"""Between these grounds the derivative of rho is taken as a straight line."""


@dataclass(frozen=True, slots=True)
class SensorNoise:
    """Noise of the measured reflectance: variance = floor**2 + shot * toa."""

    floor: float = 0.0005
    """1 sigma over a black target, reflectance units."""
    shot: float = 2e-6
    """Variance per unit of reflectance."""
    calibration: float = 0.0
    """1 sigma of the radiometric gain, relative; enters as a term proportional to toa."""


@dataclass(frozen=True, slots=True)
class InversionFields:
    """Everything a pixel needs, on a coarse grid, float32, (band, y, x)."""

    gain: npt.NDArray[np.float32]
    """1 / (gas * transmittance)."""
    offset: npt.NDArray[np.float32]
    """path / transmittance."""
    albedo: npt.NDArray[np.float32]
    """Spherical albedo."""
    q0: npt.NDArray[np.float32]
    """Variance over a black ground."""
    q1: npt.NDArray[np.float32]
    """Its slope in rho."""
    q2: npt.NDArray[np.float32]
    """Its curvature in rho."""


def remove_atmosphere(toa: Field, atmosphere: Coefficients[Field]) -> Field:
    """Surface reflectance under a uniform Lambertian ground.

    Args:
        toa: Top-of-atmosphere reflectance, unitless, (band, ...), NaN at nodata.
        atmosphere: Coefficients that broadcast against it.

    Returns:
        Surface reflectance, same shape, NaN at nodata. Negative values are kept: clipping biases means.
    """
    corrected = (toa / atmosphere.gas_transmittance - atmosphere.path) / atmosphere.transmittance
    rho: Field = corrected / (1.0 + atmosphere.spherical_albedo * corrected)
    return rho


def apply_atmosphere(rho: Field, atmosphere: Coefficients[Field]) -> Field:
    """Top-of-atmosphere reflectance of a uniform Lambertian ground; the inverse of `remove_atmosphere`."""
    lit = atmosphere.transmittance * rho / (1.0 - atmosphere.spherical_albedo * rho)
    return atmosphere.gas_transmittance * (atmosphere.path + lit)


def remove_with_fields(toa: Array, fields: InversionFields) -> Array:
    """`remove_atmosphere` from gain, offset and albedo, as the streaming stage does per window."""
    corrected: Array = toa * fields.gain - fields.offset
    rho: Array = corrected / (1.0 + fields.albedo * corrected)
    return rho


def sigma_with_fields(rho: Array, fields: InversionFields) -> Array:
    """1 sigma of rho, never below zero variance; NaN where rho is NaN."""
    variance = fields.q0 + rho * (fields.q1 + rho * fields.q2)
    return np.sqrt(np.maximum(variance, 0.0))


def inversion_fields(
    emulator: "Emulator",
    state: "AtmosphereState[Array]",
    geometry: "Geometry[Array]",
    *,
    sigma: "StateUncertainty[Array]",
    noise: SensorNoise,
) -> InversionFields:
    """The six fields per node from state, its uncertainty and the sensor's noise.

    Args:
        emulator: Of the sensor.
        state: On the coarse grid, (y, x).
        geometry: On the same grid.
        sigma: 1 sigma of the state.
        noise: Of the sensor.

    Returns:
        Fields of shape (band, y, x).
    """
    coefficients = emulator(state, geometry)
    nodes = coefficients.path.shape[1:]
    few = tuple(min(count, _VARIANCE_NODES) for count in nodes)
    thin = few != nodes and len(nodes) == 2
    inputs: list[Any] = [state, mean_view(geometry), sigma]
    if thin:
        inputs = [_on_nodes(value, few) for value in inputs]
    variance: list[Array] = list(_variance(emulator, *inputs, noise=noise))
    if thin:
        variance = [np.stack([resample_nodes(band, nodes) for band in term]) for term in variance]
    gain = 1.0 / (coefficients.gas_transmittance * coefficients.transmittance)
    offset = coefficients.path / coefficients.transmittance
    arrays = np.broadcast_arrays(gain, offset, coefficients.spherical_albedo, *variance)
    return InversionFields(*(np.ascontiguousarray(a, dtype=np.float32) for a in arrays))


def _on_nodes(value: Any, nodes: tuple[int, int]) -> Any:
    """A state, sigma or geometry on another number of nodes: every array of it, its last two axes."""
    named = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "per_band"}
    arrays = {name: np.asarray(array) for name, array in named.items() if array is not None}
    return replace(value, **{name: _resampled(array, nodes) for name, array in arrays.items()})


def _resampled(array: Array, nodes: tuple[int, int]) -> Array:
    if array.ndim < 2:
        return array
    flat = array.reshape(-1, *array.shape[-2:])
    return np.stack([resample_nodes(plane, nodes) for plane in flat]).reshape(*array.shape[:-2], *nodes)


def _variance(
    emulator: "Emulator",
    state: "AtmosphereState[Array]",
    geometry: "Geometry[Array]",
    sigma: "StateUncertainty[Array]",
    *,
    noise: SensorNoise,
) -> tuple[Array, Array, Array]:
    """The parabola's three coefficients, each (band, ...), seen along the mean view of all bands."""
    coefficients, derivatives = emulator.with_derivatives(state, geometry)
    q0, q1, q2 = _noise_terms(coefficients, noise)
    lines = {key: _line_in_rho(coefficients, change) for key, change in derivatives.items()}
    for at_black, slope in (*_independent(lines, sigma), *_together(lines, sigma)):
        q0 = q0 + at_black**2
        q1 = q1 + 2.0 * at_black * slope
        q2 = q2 + slope**2
    return q0, q1, q2


_Lines = Mapping[Key, tuple[Array, Array]]
"""Derivative of rho by each part of the state: its value over black and its slope in rho."""


def _independent(lines: _Lines, sigma: "StateUncertainty[Array]") -> Iterator[tuple[Array, Array]]:
    """One error of rho for each part of the state that errs by itself."""
    for (name, member), (at_black, slope) in lines.items():
        spread: Any = getattr(sigma, name)
        spread = np.asarray(spread if member is None else spread[member], dtype=np.float64)
        yield at_black * spread, slope * spread


def _together(lines: _Lines, sigma: "StateUncertainty[Array]") -> Iterator[tuple[Array, Array]]:
    """One error of rho for each way in which depth and shares err together."""
    if sigma.aerosol_factors is None:
        return
    keys = [key for key in lines if key[0] in ("aot_550", "aerosol_fractions")]
    for rank in range(sigma.aerosol_factors.shape[1]):
        column = np.asarray(sigma.aerosol_factors[:, rank], dtype=np.float64)
        black = sum(lines[key][0] * factor for key, factor in zip(keys, column, strict=True))
        slope = sum(lines[key][1] * factor for key, factor in zip(keys, column, strict=True))
        yield np.asarray(black), np.asarray(slope)


def mean_view(geometry: "Geometry[Array]") -> "Geometry[Array]":
    """One view for all bands: enough for an uncertainty, and a band-th of the work."""
    if not geometry.per_band:
        return geometry
    azimuth = np.radians(geometry.relative_azimuth)
    # abs: the sine of a float32 half turn is a hair below zero, and -180 must not be resampled towards 170
    mean = np.degrees(np.abs(np.arctan2(np.sin(azimuth).mean(axis=0), np.cos(azimuth).mean(axis=0))))
    return replace(
        geometry, view_zenith=geometry.view_zenith.mean(axis=0), relative_azimuth=mean, per_band=False
    )


def _line_in_rho(atmosphere: Coefficients[Array], change: Coefficients[Array]) -> tuple[Array, Array]:
    """The derivative d rho / d s as value at rho 0 and slope, a secant between _DARK and _BRIGHT."""
    dark = _derivative(_DARK, atmosphere, change)
    bright = _derivative(_BRIGHT, atmosphere, change)
    return dark, (bright - dark) / (_BRIGHT - _DARK)


def _derivative(rho: float, atmosphere: Coefficients[Array], change: Coefficients[Array]) -> Array:
    """The derivative d rho / d s at a constant toa, from the derivatives of the coefficients; exact."""
    absorbed = change.gas_transmittance / atmosphere.gas_transmittance
    lit = rho / (1.0 - atmosphere.spherical_albedo * rho)
    dimmed = absorbed + change.transmittance / atmosphere.transmittance
    shift = (atmosphere.path * absorbed + change.path) / atmosphere.transmittance + lit * dimmed
    derivative: Array = (
        -shift * (1.0 - atmosphere.spherical_albedo * rho) ** 2 - change.spherical_albedo * rho**2
    )
    return derivative


def _noise_terms(atmosphere: Coefficients[Array], noise: SensorNoise) -> tuple[Array, Array, Array]:
    """Sensor noise as a parabola in rho; multiple reflection, worth some percent of it, is left out."""
    gain = 1.0 / (atmosphere.gas_transmittance * atmosphere.transmittance)
    black = atmosphere.gas_transmittance * atmosphere.path
    slope = 1.0 / gain
    q0 = gain**2 * (noise.floor**2 + noise.shot * black + (noise.calibration * black) ** 2)
    q1 = gain**2 * (noise.shot * slope + 2.0 * noise.calibration**2 * black * slope)
    q2 = gain**2 * (noise.calibration * slope) ** 2
    return q0, q1, q2
