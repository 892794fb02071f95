"""One band's coefficients from tables, state and geometry: the arithmetic inside the emulator.

    path   = (aerosol part * gas with half the water + air's part * gas without water) / gas
    T      = exp(air + aerosol), each a sum over the ways down and up
    albedo = air + aerosol

Half the water lies above the aerosol and all of it below the air's scattering: 6S's own convention, which
makes `gas * (path + T rho / (1 - albedo rho))` equal to its apparent reflectance.

Source: Vermote et al. 1997, IEEE TGRS 35(3), 675-686, equations 5 to 8.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from undersky.atmosphere import features
from undersky.atmosphere.features import Sight
from undersky.atmosphere.state import AtmosphereState
from undersky.atmosphere.tables import Tables

_OPAQUE = 20.0


@dataclass(frozen=True, slots=True)
class ScatteringBases:
    """Basis functions of one geometry, each (term, node)."""

    rayleigh_path: Tensor
    """Without the aerosol input."""
    path: Tensor
    """With it."""
    rayleigh_slope: Tensor
    """Sum over the ways down and up."""
    slopes: tuple[Tensor, Tensor]
    """The same with aerosol, down and up apart."""
    rayleigh_albedo: Tensor
    """Of pressure alone."""
    albedo: Tensor
    """Of aerosol and pressure."""


@dataclass(frozen=True, slots=True)
class Bases:
    """All basis functions of one geometry; gas with all, half and no water."""

    scattering: ScatteringBases
    """Of path, transmittance and albedo."""
    gas: tuple[Tensor, ...]
    """Three times (term, node)."""


def scattering_bases(view: Sight, state: AtmosphereState[Tensor], tables: Tables) -> ScatteringBases:
    """The columns that path, transmittance and albedo are linear in."""
    aot, pressure = state.aot_550, state.pressure_hpa
    path = features.path_inputs(view, aot, pressure)
    air_slope = tables.powers_rayleigh_slope
    down, up = (features.slope_inputs(mu, aot, pressure) for mu in (view.mu_sun, view.mu_view))
    return ScatteringBases(
        features.basis(path[1:], tables.powers_rayleigh_path),
        features.basis(path, tables.powers_path),
        features.basis(down[1:], air_slope) + features.basis(up[1:], air_slope),
        (features.basis(down, tables.powers_slope), features.basis(up, tables.powers_slope)),
        features.basis([down[2]], tables.powers_rayleigh_albedo),
        features.basis([down[0], down[2]], tables.powers_albedo),
    )


def all_bases(view: Sight, state: AtmosphereState[Tensor], tables: Tables) -> Bases:
    """Everything that is shared by the bands that look along one view."""
    water, ozone, pressure = state.water_vapour, state.ozone_dobson, state.pressure_hpa
    gas = [features.gas_inputs(view, share * water, ozone, pressure) for share in (1.0, 0.5, 0.0)]
    columns = tuple(features.basis(inputs, tables.powers_gas) for inputs in gas)
    return Bases(scattering_bases(view, state, tables), columns)


def band_coefficients(
    tables: Tables, band: int, *, view: Sight, state: AtmosphereState[Tensor], bases: Bases
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Path, transmittance, albedo and gas transmittance of one band, each (node,)."""
    shares = state.aerosol_fractions / state.aerosol_fractions.sum(0)
    columns, aot = bases.scattering, state.aot_550
    (single, added), scale = path_baseline(tables, band, view=view, state=state)
    rayleigh = single * torch.exp(tables.rayleigh_path[band] @ columns.rayleigh_path)
    haze = added + scale * (tables.aerosol_path[band] @ columns.path)
    slope = tables.rayleigh_slope[band] @ columns.rayleigh_slope
    scales = slope_scales(tables, band, view=view, aot_550=aot)
    for factor, one_way in zip(scales, columns.slopes, strict=True):
        slope = slope + factor * (tables.aerosol_slope[band] @ one_way)
    change = aot * (tables.aerosol_albedo_change[band] @ columns.albedo)
    albedo = tables.rayleigh_albedo[band] @ columns.rayleigh_albedo + change
    full, half, dry = (gas_transmittance(columns, tables.gas[band]) for columns in bases.gas)
    path = ((shares * haze).sum(0) * half + rayleigh * dry) / full
    return path, (shares * torch.exp(slope)).sum(0), (shares * albedo).sum(0), full


def path_baseline(
    tables: Tables, band: int, *, view: Sight, state: AtmosphereState[Tensor]
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Single scattering of air (node,), what aerosol adds to it (model, node), and the factor N, likewise."""
    air = features.rayleigh_depth(tables.rayleigh_depth[band], state.pressure_hpa)
    depth = tables.aerosol_depth[:, band, None] * state.aot_550
    albedo = tables.aerosol_albedo[:, band, None]
    dimming = dimming_depth(tables, band, state.aot_550)
    source = air * features.rayleigh_phase(view.cos_scattering)
    phase = features.aerosol_phase(tables.log_phase[band], view.cos_scattering)
    alone = features.single_scattering(view, source, air)
    both = features.single_scattering(view, source + depth * albedo * phase, air + dimming)
    return (alone, both - alone), -torch.expm1(-dimming * view.airmass)


def slope_scales(tables: Tables, band: int, *, view: Sight, aot_550: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of the aerosol's log transmittance on the way down and up, each (model, node)."""
    dimming = dimming_depth(tables, band, aot_550)
    return features.slope_scale(dimming, view.mu_sun), features.slope_scale(dimming, view.mu_view)


def dimming_depth(tables: Tables, band: int, aot_550: Tensor) -> Tensor:
    """Optical depth without the part that is scattered forward, (model, node)."""
    kept = 1.0 - tables.forward[:, None] * tables.aerosol_albedo[:, band, None]
    return tables.aerosol_depth[:, band, None] * kept * aot_550


def gas_transmittance(columns: Tensor, coefficients: Tensor) -> Tensor:
    """exp(-polynomial**2): between zero and one whatever the polynomial says, (node,)."""
    return torch.exp(-((coefficients @ columns) ** 2).clamp(max=_OPAQUE))
