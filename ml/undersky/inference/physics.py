"""The physics baseline looks at a scene: the best available statement of each part of the atmosphere's state.

aerosol         stated state > CAMS prior > fixed
water vapour    stated state > B09/B8A > ECMWF prior > climatology
ozone           stated state > ECMWF prior > climatology
pressure        ground height through the standard atmosphere, at the forecast's sea-level pressure
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, StateUncertainty, pressure_at
from undersky.grid import Grid, footprint_lonlat, resample_nodes
from undersky.inference.ground import Ground
from undersky.models.physics import PhysicsConfig, PhysicsModel
from undersky.scene import AtmospherePrior, Scene

Array = npt.NDArray[np.floating[Any]]

_SPECIES = {
    "sulphate": "continental",
    "sea_salt": "maritime",
    "black_carbon": "urban",
    "dust": "desert",
    "organic_matter": "biomass",
}
"""Which of 6S's aerosol models stands for a CAMS species: the one whose absorption and size are nearest."""

_SCALE_HEIGHT_M = 8000.0
_STANDARD_SEA_LEVEL_HPA = 1013.0


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of the atmosphere at the nodes, how firmly, and on whose word."""

    state: AtmosphereState[Array]
    """(y, x) fields."""
    sigma: StateUncertainty[Array]
    """1-sigma of each."""
    sources: dict[str, str]
    """Field name to where its value came from."""


def believe(scene: Scene, nodes: tuple[int, int], *, model: PhysicsModel, ground: Ground) -> Belief:
    """The baseline's belief before it has looked at a single pixel."""
    prior, config = scene.prior, model.config
    latitude, day = centre_latitude(scene.grid), scene.acquired.timetuple().tm_yday
    column, ozone = model.climatology.at(latitude, day_of_year=day)
    aot, aot_sigma, fractions, aerosol_source = _aerosol(prior, nodes, config)
    water, water_sigma, water_source = _column(
        None if prior is None else prior.water_vapour,
        nodes,
        fallback=(column, config.water_vapour_sigma_relative * column),
        relative=config.prior_water_vapour_sigma_relative,
    )
    ozone_field, ozone_sigma, ozone_source = _column(
        None if prior is None else prior.ozone_dobson,
        nodes,
        fallback=(ozone, config.ozone_sigma_dobson),
        absolute=config.prior_ozone_sigma_dobson,
    )
    pressure = _pressure(prior, nodes, ground)
    state = AtmosphereState(aot, water, ozone_field, pressure, fractions)
    sigma = StateUncertainty(
        aot_sigma,
        water_sigma,
        ozone_sigma,
        pressure * ground.sigma_m / _SCALE_HEIGHT_M,
        np.full_like(fractions, config.fraction_sigma),
    )
    sources = {"water_vapour": water_source, "ozone": ozone_source, "altitude": ground.source}
    return Belief(state, sigma, {"aerosol": aerosol_source} | sources)


def centre_latitude(grid: Grid) -> float:
    """Mean latitude of the footprint's corners, degrees north."""
    return float(np.mean([latitude for _, latitude in footprint_lonlat(grid)[:-1]]))


def _aerosol(
    prior: AtmospherePrior | None, nodes: tuple[int, int], config: PhysicsConfig
) -> tuple[Array, Array, Array, str]:
    """Optical thickness, its sigma, the models' shares, and the source."""
    fractions = np.zeros((len(AEROSOL_MODELS), *nodes))
    if prior is None or prior.aot_550 is None:
        fractions[AEROSOL_MODELS.index("continental")] = 1.0
        return np.full(nodes, config.aot_550), np.full(nodes, config.aot_550_sigma), fractions, "fixed"
    aot = _at_nodes(prior.aot_550, nodes)
    for species, share in prior.aot_550_by_species.items():
        fractions[AEROSOL_MODELS.index(_SPECIES[species])] += np.maximum(_at_nodes(share, nodes), 0.0)
    if not (fractions.sum(axis=0) > 0.0).all():
        fractions[AEROSOL_MODELS.index("continental")] += 1e-3
    sigma = np.hypot(config.prior_aot_sigma, config.prior_aot_sigma_relative * aot)
    return aot, sigma, fractions / fractions.sum(axis=0), "prior"


def _column(
    prior: npt.NDArray[np.float32] | None,
    nodes: tuple[int, int],
    *,
    fallback: tuple[float, float],
    relative: float = 0.0,
    absolute: float = 0.0,
) -> tuple[Array, Array, str]:
    """A gas column, its sigma and its source."""
    if prior is None:
        value, sigma = fallback
        return np.full(nodes, value), np.full(nodes, sigma), "climatology"
    field = _at_nodes(prior, nodes)
    return field, relative * field + absolute, "prior"


def _pressure(prior: AtmospherePrior | None, nodes: tuple[int, int], ground: Ground) -> Array:
    """Ground pressure, hPa: the standard atmosphere, scaled to the forecast's sea level if there is one."""
    pressure = pressure_at(ground.altitude_m / 1000.0)
    if prior is None or prior.sea_level_pressure_hpa is None:
        return pressure
    return pressure * _at_nodes(prior.sea_level_pressure_hpa, nodes) / _STANDARD_SEA_LEVEL_HPA


def _at_nodes(field: npt.NDArray[np.float32], nodes: tuple[int, int]) -> Array:
    return resample_nodes(field, nodes).astype(np.float64)
