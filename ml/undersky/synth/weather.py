"""The true atmosphere over a scene, and the forecast of it that a product would carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.state import AEROSOL_MODELS, LIMITS, AtmosphereState, pressure_at
from undersky.errors import ConfigError
from undersky.grid import Floats
from undersky.scene import AtmospherePrior
from undersky.synth.fractal import Frame, noise

Array = npt.NDArray[np.floating[Any]]

_WATER_SCALE_KM = 2.2


@dataclass(frozen=True, slots=True)
class Weather:
    """Wanted values of the atmosphere; None is drawn from its climatology."""

    aot_550: float | None = None
    """Mean aerosol optical thickness; else lognormal about 0.13, 0.02 .. 0.6."""
    water_vapour: float | None = None
    """Column above sea level, g/cm2; else lognormal about 1.8, 0.4 .. 4.6."""
    ozone_dobson: float | None = None
    """Column; else normal about 310, 220 .. 430."""
    aerosol: Mapping[str, float] | None = None
    """Shares of AEROSOL_MODELS; else mostly continental, with a second model or without."""
    uniform: bool = False
    """True when the aerosol does not vary over the scene."""

    def __post_init__(self) -> None:
        for name in ("aot_550", "water_vapour", "ozone_dobson"):
            value, (low, high) = getattr(self, name), LIMITS[name]
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name} {value} lies outside the tables; give {low:g} to {high:g}")


def draw_state(
    wanted: Weather, elevation_m: Floats, *, nodes: tuple[int, int], generator: np.random.Generator
) -> AtmosphereState[Array]:
    """The atmosphere on edge-to-edge nodes (y, x): smooth in space, water and pressure falling with height.

    Args:
        wanted: Values to keep.
        elevation_m: Ground, any size, (rows, cols); its mean around each node counts.
        nodes: (rows, cols) of nodes.
        generator: Draws the rest.

    Raises:
        ConfigError: An aerosol share names no model.
    """
    salt = int(generator.integers(1 << 62))
    frame = Frame(nodes[0], nodes[1], 2000.0)
    drawn_aot = float(np.clip(0.13 * np.exp(0.75 * generator.standard_normal()), 0.02, 0.6))
    drawn_water = float(np.clip(1.8 * np.exp(0.5 * generator.standard_normal()), 0.4, 4.6))
    drawn_ozone = float(np.clip(310.0 + 35.0 * generator.standard_normal(), 220.0, 430.0))
    anomaly_hpa = float(np.clip(6.0 * generator.standard_normal(), -15.0, 15.0))
    drawn_shares = _draw_shares(generator)
    height_km = _node_means(elevation_m, nodes) / 1000.0
    patchy = 0.0 if wanted.uniform else 0.13
    aot = (drawn_aot if wanted.aot_550 is None else wanted.aot_550) * (
        1.0 + patchy * np.clip(noise(frame, 9000.0, salt=salt), -2.0, 2.0)
    )
    water = (drawn_water if wanted.water_vapour is None else wanted.water_vapour) * (
        1.0 + 0.25 * patchy * np.clip(noise(frame, 12000.0, salt=salt + 1), -2.0, 2.0)
    )
    ozone = np.full(nodes, drawn_ozone if wanted.ozone_dobson is None else wanted.ozone_dobson)
    shares = drawn_shares if wanted.aerosol is None else _wanted_shares(wanted.aerosol)
    return AtmosphereState(
        aot_550=np.clip(aot, *LIMITS["aot_550"]).astype(np.float64),
        water_vapour=(water * np.exp(-height_km / _WATER_SCALE_KM)).astype(np.float64),
        ozone_dobson=ozone,
        pressure_hpa=np.clip(pressure_at(height_km) + anomaly_hpa, *LIMITS["pressure_hpa"]),
        aerosol_fractions=np.broadcast_to(shares[:, None, None], (len(shares), *nodes)).copy(),
    )


def _wanted_shares(aerosol: Mapping[str, float]) -> npt.NDArray[np.float64]:
    unknown = sorted(set(aerosol) - set(AEROSOL_MODELS))
    if unknown or not aerosol or min(aerosol.values()) < 0 or sum(aerosol.values()) <= 0:
        raise ConfigError(f"aerosol {dict(aerosol)} must give positive shares of {' '.join(AEROSOL_MODELS)}")
    shares = np.array([aerosol.get(model, 0.0) for model in AEROSOL_MODELS])
    return np.asarray(shares / shares.sum())


def _draw_shares(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    main = int(generator.choice(5, p=(0.5, 0.2, 0.1, 0.12, 0.08)))
    second, part = int(generator.integers(5)), float(generator.choice((0.0, generator.uniform(0.1, 0.5))))
    shares = np.zeros(len(AEROSOL_MODELS))
    shares[main] += 1.0 - part
    shares[second] += part
    return shares


def _node_means(field: Floats, nodes: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Mean of the pixels within half a node distance of each edge-to-edge node, (y, x)."""
    for axis, count in enumerate(nodes):
        edges = np.clip((np.arange(count + 1) - 0.5) / (count - 1), 0.0, 1.0) * field.shape[axis]
        starts = np.minimum(np.floor(edges[:-1]).astype(int), field.shape[axis] - 1)
        sums = np.add.reduceat(field.astype(np.float64), starts, axis=axis)
        # where nodes lie closer than pixels, several share one
        sizes = np.maximum(np.diff([*starts, field.shape[axis]]), 1)
        field = (sums / (sizes[:, None] if axis == 0 else sizes)).astype(np.float32)
    return field.astype(np.float64)


# How each of 6S's models would look among the species of a CAMS forecast: a rough, stated translation.
_SPECIES = MappingProxyType(
    {
        "continental": {"sulphate": 0.55, "organic_matter": 0.30, "dust": 0.10, "black_carbon": 0.05},
        "maritime": {"sea_salt": 0.85, "sulphate": 0.15},
        "urban": {"sulphate": 0.45, "organic_matter": 0.30, "black_carbon": 0.20, "dust": 0.05},
        "desert": {"dust": 1.0},
        "biomass": {"organic_matter": 0.75, "black_carbon": 0.20, "sulphate": 0.05},
    }
)


def forecast(
    state: AtmosphereState[Array], elevation_m: Floats, *, generator: np.random.Generator
) -> AtmospherePrior:
    """The state as CAMS and ECMWF might forecast it: flat, off by a fifth in aerosol, 7 % in water.

    Args:
        state: The truth, (y, x).
        elevation_m: The ground that `draw_state` saw: pressure is reduced from there to sea level.
        generator: Draws the errors.
    """
    error = generator.standard_normal(4)
    aot = _flat(np.clip(state.aot_550 * (1.0 + 0.2 * error[0]) + 0.01 * error[0], 0.01, 1.5))
    height_km = _node_means(elevation_m, (aot.shape[0], aot.shape[1])) / 1000.0
    sea_level_hpa = state.pressure_hpa * pressure_at(0.0) / pressure_at(height_km)
    species: dict[str, Floats] = {}
    for model, share in zip(AEROSOL_MODELS, state.aerosol_fractions, strict=True):
        for name, part in _SPECIES[model].items():
            species[name] = species.get(name, np.zeros_like(aot)) + aot * (share * part).astype(np.float32)
    return AtmospherePrior(
        source="AUX_ECMWFT+AUX_CAMSFO",
        water_vapour=_flat(state.water_vapour * (1.0 + 0.07 * error[1])),
        ozone_dobson=_flat(state.ozone_dobson + 5.0 * error[2]),
        sea_level_pressure_hpa=_flat(sea_level_hpa + error[3]),
        altitude_m=_flat(1000.0 * height_km),
        aot_550=aot,
        aot_550_by_species=species,
    )


def _flat(field: Array) -> Floats:
    """A forecast's cells are larger than a scene: its mean everywhere, with a tenth of the structure left."""
    mean = field.mean()
    return np.asarray(mean + 0.1 * (field - mean), dtype=np.float32)
