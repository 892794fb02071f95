"""The phase functions 6S really uses, from its own paths through a thin layer.

6S prints a smooth phase function but scatters with a Legendre series of finite order, which ripples by up
to a fourth near backscatter (maritime, 180 degrees). The ripple shows in the path straight down when only
the sun moves: what a smooth curve leaves over there belongs to the phase function.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from undersky.atmosphere import coefficients, features
from undersky.atmosphere.state import AtmosphereState
from undersky.atmosphere.tables import Tables

_SMOOTH_DEGREE = 2
_SMALLEST_PHASE = 1e-3
_STANDARD_HPA = 1013.0


@dataclass(frozen=True, slots=True)
class ThinLayer:
    """6S looking straight down through one thin layer, band values."""

    sun_zenith: Tensor
    """Degrees, ascending, (angle,)."""
    aot_550: float
    """Optical depth at 550 nm."""
    path: Tensor
    """Gas-free path reflectance, (model, angle)."""


def sharpen(tables: Tables, band: int, thin: ThinLayer) -> None:
    """Adds the ripples to one band's phase functions; its clear-air tables must be filled already."""
    nothing = torch.zeros_like(thin.sun_zenith)
    view = features.sight(thin.sun_zenith, nothing, nothing)
    state = AtmosphereState(nothing + thin.aot_550, nothing, nothing, nothing + _STANDARD_HPA, nothing)
    columns = coefficients.scattering_bases(view, state, tables)
    (single, added), scale = coefficients.path_baseline(tables, band, view=view, state=state)
    air = single * torch.exp(tables.rayleigh_path[band] @ columns.rayleigh_path)
    rest = (thin.path - air - added) / scale
    ripple = (rest - _smooth(rest, features.scaled_cosine(view.mu_sun))) * scale
    phase = torch.exp(tables.log_phase[band]) + _on_table(ripple / _per_phase(tables, band, thin), thin)
    tables.log_phase[band] = torch.log(phase.clamp(min=_SMALLEST_PHASE))


def _smooth(values: Tensor, position: Tensor) -> Tensor:
    """Least-squares polynomials through each row, (model, angle)."""
    columns = features.basis([position], torch.arange(_SMOOTH_DEGREE + 1)[:, None])
    smooth: Tensor = values @ torch.linalg.pinv(columns) @ columns
    return smooth


def _per_phase(tables: Tables, band: int, thin: ThinLayer) -> Tensor:
    """Path reflectance per unit of phase function, (model, angle)."""
    nothing = torch.zeros_like(thin.sun_zenith)
    view = features.sight(thin.sun_zenith, nothing, nothing)
    scattered = tables.aerosol_depth[:, band, None] * tables.aerosol_albedo[:, band, None] * thin.aot_550
    dimming = coefficients.dimming_depth(tables, band, nothing + thin.aot_550)
    return features.single_scattering(
        view, scattered.expand_as(dimming), tables.rayleigh_depth[band] + dimming
    )


def _on_table(values: Tensor, thin: ThinLayer) -> Tensor:
    """From suns to PHASE_ANGLES, zero where no sun was low enough, (model, angle)."""
    angles = 180.0 - thin.sun_zenith.numpy()
    rows = [np.interp(features.PHASE_ANGLES, angles[::-1], row[::-1], left=0.0) for row in values.numpy()]
    return torch.from_numpy(np.array(rows))
