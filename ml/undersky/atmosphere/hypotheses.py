"""Every aerosol model at a ladder of optical depths: what the air over a window might be.

    belief (water, ozone, pressure), geometry  -->  coefficients of MODELS x AOT_LADDER hypotheses

The learned correction weighs these hypotheses. Training judges the weighted mean of their coefficients, as
the emulator itself mixes aerosol models (Wang and Gordon 1994); a scene is corrected under the state that
the weights mean.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Geometry

AOT_LADDER = (0.0, 0.06, 0.14, 0.25, 0.4, 0.6, 0.85, 1.25)
"""Optical depths at 550 nm, closer where the path bends more."""

COUNT = len(AEROSOL_MODELS) * len(AOT_LADDER)
"""How many hypotheses there are; the ladder runs fastest."""

REFERENCE = 2
"""The hypothesis that pixels are linearised under: continental aerosol of 0.14."""


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Coefficients of all hypotheses over n windows, of the bands that the emulator has."""

    path: Tensor
    """(n, COUNT, band)."""
    transmittance: Tensor
    """(n, COUNT, band)."""
    spherical_albedo: Tensor
    """(n, COUNT, band)."""
    gas_transmittance: Tensor
    """The same under every hypothesis, (n, band)."""


def hypothesis_states() -> tuple[Tensor, Tensor]:
    """Optical depth (COUNT,) and shares of the aerosol models (model, COUNT) of every hypothesis."""
    models = len(AEROSOL_MODELS)
    depth = torch.tensor(AOT_LADDER).repeat(models)
    return depth, torch.eye(models).repeat_interleave(len(AOT_LADDER), dim=1)


def evaluate_hypotheses(
    emulator: Emulator, belief: AtmosphereState[Tensor], geometry: Geometry[Tensor]
) -> Hypotheses:
    """The coefficients of every hypothesis.

    Args:
        emulator: Of the sensor and the bands that are wanted.
        belief: Water vapour, ozone and pressure, each (n,); its aerosol is ignored.
        geometry: Angles, (n,), or (band, n) when `per_band`.
    """
    depth, shares = hypothesis_states()
    n = belief.pressure_hpa.shape[0]

    def every(value: Tensor) -> Tensor:
        return value[..., None, :].expand(*value.shape[:-1], COUNT, n)

    state = AtmosphereState(
        aot_550=depth[:, None].expand(COUNT, n),
        water_vapour=every(belief.water_vapour),
        ozone_dobson=every(belief.ozone_dobson),
        pressure_hpa=every(belief.pressure_hpa),
        aerosol_fractions=shares[:, :, None].expand(-1, COUNT, n),
    )
    seen = Geometry(
        every(geometry.sun_zenith),
        every(geometry.view_zenith),
        every(geometry.relative_azimuth),
        per_band=geometry.per_band,
    )
    found = emulator(state, seen)
    return Hypotheses(
        found.path.permute(2, 1, 0).contiguous(),
        found.transmittance.permute(2, 1, 0).contiguous(),
        found.spherical_albedo.permute(2, 1, 0).contiguous(),
        found.gas_transmittance[:, 0].T.contiguous(),
    )
