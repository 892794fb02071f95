"""What emulator and fit share: scaled inputs, polynomial bases and the single-scattering baseline.

The path reflectance of one aerosol model is written as

    path = rayleigh + (single(tau_r, tau_a) - single(tau_r, 0)) + N * polynomial
    N    = 1 - exp(-tau_a' * airmass)              tau_a' = tau_a * (1 - forward * albedo)

so the sharp angular structure (the phase function near backscatter) and the vanishing at zero aerosol stand
in the formula, and the polynomial carries only multiple scattering, which is smooth.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MAX_AOT = 1.28
"""Where the samples end; the emulator promises 1.25."""
MAX_SUN_ZENITH = 77.0
"""Degrees; promised to 76."""
MAX_VIEW_ZENITH = 13.5
"""Degrees; promised to 13."""
PRESSURE_RANGE_HPA = (590.0, 1040.0)
"""Samples reach from 593 to 1013; the last percents above are extrapolated along a nearly straight line."""

PHASE_ANGLES = np.arange(88.0, 181.0)
"""Scattering angles of the phase-function tables, degrees."""

_LOG_COS_EDGE = float(np.log(np.cos(np.radians(MAX_SUN_ZENITH))))
_SIN_VIEW_EDGE = float(np.sin(np.radians(MAX_VIEW_ZENITH)))
_LARGEST_AIRMASS = float(1 / np.cos(np.radians(MAX_SUN_ZENITH)) + 1 / np.cos(np.radians(MAX_VIEW_ZENITH)))
_MAX_SLANT_WATER = 6.5 * _LARGEST_AIRMASS
_TRACE_WATER = 1e-3
_MAX_SLANT_OZONE = 550.0 * _LARGEST_AIRMASS
STANDARD_HPA = 1013.0
"""At which optical depths of air are tabulated."""
DEPOLARISATION_FACTOR = 0.0279
"""Of air, as 6S has it."""

_DEPOLARISATION = DEPOLARISATION_FACTOR / (2.0 - DEPOLARISATION_FACTOR)


@dataclass(frozen=True, slots=True)
class Sight:
    """Cosines and scaled view direction of each node, all broadcastable, (..., node)."""

    mu_sun: Tensor
    """Cosine of the sun zenith."""
    mu_view: Tensor
    """Cosine of the view zenith."""
    cos_scattering: Tensor
    """Cosine of the scattering angle, near -1 at backscatter."""
    along: Tensor
    """Component of the view direction in the sun's vertical plane, -1 to 1."""
    tilt: Tensor
    """Squared sine of the view zenith, -1 to 1."""

    @property
    def airmass(self) -> Tensor:
        """1/mu_sun + 1/mu_view."""
        return 1.0 / self.mu_sun + 1.0 / self.mu_view


def sight(sun_zenith: Tensor, view_zenith: Tensor, relative_azimuth: Tensor) -> Sight:
    """Direction cosines from angles in degrees."""
    mu_sun, mu_view = torch.cos(torch.deg2rad(sun_zenith)), torch.cos(torch.deg2rad(view_zenith))
    along = torch.sin(torch.deg2rad(view_zenith)) * torch.cos(torch.deg2rad(relative_azimuth))
    cosine = -(mu_sun * mu_view + torch.sin(torch.deg2rad(sun_zenith)) * along)
    tilt = torch.sin(torch.deg2rad(view_zenith)) ** 2 / _SIN_VIEW_EDGE**2
    return Sight(mu_sun, mu_view, cosine.clamp(-1.0, 1.0), along / _SIN_VIEW_EDGE, 2.0 * tilt - 1.0)


def scaled_aot(aot_550: Tensor) -> Tensor:
    """-1 at none, 1 at MAX_AOT; finer where the air is clean."""
    return 2.0 * torch.log1p(3.0 * aot_550) / float(np.log1p(3.0 * MAX_AOT)) - 1.0


def scaled_cosine(mu: Tensor) -> Tensor:
    """-1 at MAX_SUN_ZENITH, 1 at the zenith, linear in the logarithm."""
    return 1.0 - 2.0 * torch.log(mu) / _LOG_COS_EDGE


def scaled_pressure(pressure_hpa: Tensor) -> Tensor:
    """-1 and 1 at the ends of PRESSURE_RANGE_HPA."""
    low, high = PRESSURE_RANGE_HPA
    return 2.0 * (pressure_hpa - low) / (high - low) - 1.0


def path_inputs(view: Sight, aot_550: Tensor, pressure_hpa: Tensor) -> list[Tensor]:
    """Inputs of the path polynomial: aerosol, sun, view along the sun, view tilt, pressure."""
    aot, pressure = scaled_aot(aot_550), scaled_pressure(pressure_hpa)
    return [aot, scaled_cosine(view.mu_sun), view.along, view.tilt, pressure]


def slope_inputs(mu: Tensor, aot_550: Tensor, pressure_hpa: Tensor) -> list[Tensor]:
    """Inputs of the one-way transmittance polynomial, the same for sun and view: light may be reversed."""
    return [scaled_aot(aot_550), scaled_cosine(mu), scaled_pressure(pressure_hpa)]


def slope_scale(dimming: Tensor, mu: Tensor) -> Tensor:
    """What the transmittance polynomial is multiplied by: zero without aerosol, one behind a thick layer."""
    return -torch.expm1(-dimming / mu)


def gas_inputs(view: Sight, water_vapour: Tensor, ozone_dobson: Tensor, pressure_hpa: Tensor) -> list[Tensor]:
    """Inputs of the gas polynomial: slant water, slant ozone, airmass, pressure."""
    # fourth and second root: absorption grows like the square root of a strong line's amount
    water = (water_vapour * view.airmass + _TRACE_WATER) ** 0.25 / _MAX_SLANT_WATER**0.25
    ozone = torch.sqrt(ozone_dobson * view.airmass / _MAX_SLANT_OZONE)
    airmass = torch.log(view.airmass / 2.0) / float(np.log(_LARGEST_AIRMASS / 2.0))
    return [2.0 * water - 1.0, 2.0 * ozone - 1.0, 2.0 * airmass - 1.0, scaled_pressure(pressure_hpa)]


def exponents(degrees: tuple[int, ...], budget: float) -> Tensor:
    """Multi-indices with sum(index / degree) <= budget, (term, input)."""
    axes = np.meshgrid(*[np.arange(d + 1) for d in degrees], indexing="ij")
    table = np.stack([axis.ravel() for axis in axes], axis=1)
    kept = (table / np.maximum(degrees, 1)).sum(axis=1) <= budget + 1e-9
    return torch.from_numpy(table[kept])


def basis(inputs: list[Tensor], powers: Tensor) -> Tensor:
    """Products of Legendre polynomials, (term, ...); all inputs have one shape."""
    product = None
    for column, value in enumerate(inputs):
        factors = _legendre(value, int(powers[:, column].max()))
        chosen = factors[powers[:, column]]
        product = chosen if product is None else product * chosen
    if product is None:
        raise ValueError("a basis needs at least one input")
    return product


def _legendre(value: Tensor, degree: int) -> Tensor:
    """P_0 .. P_degree by the three-term recurrence, (degree + 1, ...)."""
    rows = [torch.ones_like(value), value]
    for n in range(1, degree):
        rows.append(((2 * n + 1) * value * rows[n] - n * rows[n - 1]) / (n + 1))
    return torch.stack(rows[: degree + 1])


def rayleigh_phase(cos_scattering: Tensor) -> Tensor:
    """Phase function of air with DEPOLARISATION_FACTOR; its mean over the sphere is one."""
    scale = 3.0 / (4.0 * (1.0 + 2.0 * _DEPOLARISATION))
    return scale * ((1.0 + 3.0 * _DEPOLARISATION) + (1.0 - _DEPOLARISATION) * cos_scattering**2)


def aerosol_phase(log_table: Tensor, cos_scattering: Tensor) -> Tensor:
    """Phase functions linear in the logarithm between PHASE_ANGLES.

    Args:
        log_table: Logarithms, (model, angle).
        cos_scattering: (node,).

    Returns:
        (model, node).
    """
    angle = torch.rad2deg(torch.acos(cos_scattering)) - float(PHASE_ANGLES[0])
    # an unknown angle is no index; it comes back as NaN through the fraction
    left = angle.detach().nan_to_num(0.0).floor().clamp(0, len(PHASE_ANGLES) - 2)
    index, fraction = left.long(), angle - left
    return torch.exp(log_table[:, index] * (1.0 - fraction) + log_table[:, index + 1] * fraction)


def single_scattering(view: Sight, source: Tensor, depth: Tensor) -> Tensor:
    """Reflectance of a mixed layer that scatters once.

    Args:
        view: Geometry, (node,).
        source: Sum of optical depth * albedo * phase function, (..., node).
        depth: Optical depth that dims the light, (..., node).

    Source: Chandrasekhar 1960, Radiative Transfer, section 60, first order.
    """
    slant = depth * view.airmass
    return source * -torch.expm1(-slant) / (depth * 4.0 * (view.mu_sun + view.mu_view))


def rayleigh_depth(depth_at_standard: Tensor, pressure_hpa: Tensor) -> Tensor:
    """Optical depth of the air above a pressure level."""
    return depth_at_standard * pressure_hpa / STANDARD_HPA
