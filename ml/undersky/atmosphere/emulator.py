"""6S as a differentiable function: atmosphere and geometry in, coefficients of the inversion out.

    emulator = Emulator.load("S2A")
    coefficients = emulator(state, geometry)

Per band and aerosol model a polynomial in aerosol, sun, view and pressure carries what single scattering
leaves over (features.py); gas absorption is one polynomial per band. A mixture of aerosol models is the
convex combination of their coefficients: exact for one model, an approximation between models (Wang and
Gordon 1994 show the linear mixing of path reflectances; the same is assumed for transmittance and albedo).

Numpy in gives numpy out (float32), torch in gives torch out, with gradients to every field of the state.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from undersky.atmosphere import features
from undersky.atmosphere.coefficients import all_bases, band_coefficients
from undersky.atmosphere.sensitivity import Derivatives, derivatives
from undersky.atmosphere.state import LIMITS, AtmosphereState, Coefficients, Field, Geometry
from undersky.atmosphere.tables import Tables, load_tables
from undersky.errors import ConfigError

Array = npt.NDArray[np.floating[Any]]
_SCALARS = ("aot_550", "water_vapour", "ozone_dobson", "pressure_hpa")


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Clamped inputs, flat: state (node,), fractions (model, node), view angles (1 or band, node)."""

    state: AtmosphereState[Tensor]
    sun_zenith: Tensor
    view_zenith: Tensor
    relative_azimuth: Tensor


class Emulator:
    """The atmosphere of one sensor."""

    def __init__(self, sensor: str, bands: tuple[str, ...], tables: Tables) -> None:
        self.sensor = sensor
        self.bands = bands
        self._tables = tables

    @staticmethod
    def load(sensor: str, bands: tuple[str, ...] | None = None) -> "Emulator":
        """The emulator shipped for a sensor.

        Args:
            sensor: `S2A S2B S2C L8 L9`.
            bands: These bands in this order; all of the sensor if left out.

        Raises:
            ConfigError: Unknown sensor or band.
        """
        known, tables = _loaded(sensor)
        if bands is None or bands == known:
            return Emulator(sensor, known, tables)
        missing = [band for band in bands if band not in known]
        if missing:
            raise ConfigError(f"the emulator of {sensor} has no band {missing}; it has {' '.join(known)}")
        return Emulator(sensor, bands, _take_bands(tables, [known.index(band) for band in bands]))

    def to(self, device: torch.device) -> "Emulator":
        """The same emulator on another device."""
        return Emulator(self.sensor, self.bands, self._tables.to(device))

    def __call__(self, state: AtmosphereState[Field], geometry: Geometry[Field]) -> Coefficients[Field]:
        """Coefficients per band.

        Args:
            state: Fields broadcast to a common shape (...); fractions (model, ...).
            geometry: Same shape; view angles (band, ...) when `per_band`.

        Returns:
            (band, ...), `outside` (...). NaN where an input that matters to the value is NaN.
        """
        if isinstance(state.aot_550, Tensor):
            return self._torch(state, geometry)
        with torch.no_grad():
            return _to_numpy(self._torch(_state_tensors(state), _geometry_tensors(geometry)))

    def with_derivatives(
        self, state: AtmosphereState[Array], geometry: Geometry[Array]
    ) -> tuple[Coefficients[Array], Derivatives]:
        """Coefficients and their derivative by each field of the state, by differences inside the tables.

        Args:
            state: Fields of one shape (...).
            geometry: One view for all bands, same shape.

        Returns:
            Coefficients, and per `(field, aerosol model or None)` a Coefficients that holds derivatives.
        """
        return derivatives(lambda states: self(states, geometry), state)

    def diffuse_share(self, state: AtmosphereState[Tensor], view_zenith: Tensor) -> Tensor:
        """Share of the light from the ground that reaches the sensor scattered, not straight, (band, node).

        Args:
            state: Fields of shape (node,).
            view_zenith: Degrees, (node,).

        Source: Vermote et al. 1997, section II-C: T_up = exp(-tau / mu_view) + diffuse transmittance.
        """
        along = Geometry(view_zenith, view_zenith, torch.zeros_like(view_zenith))
        both_ways = self._torch(state, along).transmittance  # down and up the same way: T_up squared
        shares = state.aerosol_fractions / state.aerosol_fractions.sum(0)
        air = self._tables.rayleigh_depth[:, None] * state.pressure_hpa / features.STANDARD_HPA
        depth = air + (self._tables.aerosol_depth.T @ shares) * state.aot_550
        straight = torch.exp(-depth / torch.cos(torch.deg2rad(view_zenith)))
        return (1.0 - straight / both_ways.sqrt()).clamp(0.0, 1.0)

    def _torch(self, state: AtmosphereState[Tensor], geometry: Geometry[Tensor]) -> Coefficients[Tensor]:
        nodes, shape, outside = _flatten(state, _shared_view(geometry), bands=len(self.bands))
        views = [
            features.sight(nodes.sun_zenith, zenith, azimuth)
            for zenith, azimuth in zip(nodes.view_zenith, nodes.relative_azimuth, strict=True)
        ]
        shared = len(views) == 1
        bases = [all_bases(view, nodes.state, self._tables) for view in views] if shared else []
        rows = []
        for band in range(len(self.bands)):
            view = views[0] if shared else views[band]
            prepared = bases[0] if shared else all_bases(view, nodes.state, self._tables)
            rows.append(band_coefficients(self._tables, band, view=view, state=nodes.state, bases=prepared))
        stacked = [torch.stack(column).reshape(len(rows), *shape) for column in zip(*rows, strict=True)]
        path, transmittance, albedo, gas = stacked
        return Coefficients(path, transmittance, albedo, gas, outside)


def _shared_view(geometry: Geometry[Tensor]) -> Geometry[Tensor]:
    """One view instead of a band's each where all bands look the same way: a dozen times less to compute."""
    zenith, azimuth = geometry.view_zenith, geometry.relative_azimuth
    if not geometry.per_band or not bool((zenith == zenith[:1]).all() and (azimuth == azimuth[:1]).all()):
        return geometry
    return Geometry(geometry.sun_zenith, zenith[0], azimuth[0])


def _flatten(
    state: AtmosphereState[Tensor], geometry: Geometry[Tensor], *, bands: int
) -> tuple[_Nodes, tuple[int, ...], Tensor]:
    """Inputs clamped to LIMITS and flattened, the common shape, and where clamping changed something."""
    members = {name: getattr(state, name) for name in _SCALARS}
    angle_shape = geometry.view_zenith.shape[1:] if geometry.per_band else geometry.view_zenith.shape
    shape = np.broadcast_shapes(
        angle_shape,
        geometry.sun_zenith.shape,
        state.aerosol_fractions.shape[1:],
        *(value.shape for value in members.values()),
    )
    members |= {"sun_zenith": geometry.sun_zenith}
    flat = {name: value.expand(shape).reshape(-1) for name, value in members.items()}
    lead = bands if geometry.per_band else 1
    flat["view_zenith"] = geometry.view_zenith.expand(lead, *shape).reshape(lead, -1)
    azimuth = geometry.relative_azimuth.expand(lead, *shape).reshape(lead, -1)
    clamped = {name: value.clamp(*LIMITS[name]) for name, value in flat.items()}
    beyond = [(value < LIMITS[name][0]) | (value > LIMITS[name][1]) for name, value in flat.items()]
    outside = torch.stack([mask.reshape(-1, mask.shape[-1]).any(0) for mask in beyond]).any(0)
    models, *behind = state.aerosol_fractions.shape
    padded = state.aerosol_fractions.reshape(models, *[1] * (len(shape) - len(behind)), *behind)
    fractions = padded.expand(models, *shape).reshape(models, -1)
    inner = AtmosphereState(**{name: clamped[name] for name in _SCALARS}, aerosol_fractions=fractions)
    nodes = _Nodes(inner, clamped["sun_zenith"], clamped["view_zenith"], azimuth)
    return nodes, shape, outside.reshape(shape)


@cache
def _loaded(sensor: str) -> tuple[tuple[str, ...], Tables]:
    return load_tables(sensor)


def _take_bands(tables: Tables, rows: list[int]) -> Tables:
    """The tables of some bands only; band is the second axis of two tables and the first of the others."""
    changed = {}
    for field in fields(tables):
        value: Tensor = getattr(tables, field.name)
        if field.name in ("aerosol_depth", "aerosol_albedo"):
            changed[field.name] = value[:, rows]
        elif field.name == "forward" or field.name.startswith("powers"):
            changed[field.name] = value
        else:
            changed[field.name] = value[rows]
    return Tables(**changed)


def _as_tensor(value: npt.ArrayLike) -> Tensor:
    return torch.from_numpy(np.array(value, dtype=np.float32))


def _state_tensors(state: AtmosphereState[Array]) -> AtmosphereState[Tensor]:
    return AtmosphereState(*(_as_tensor(getattr(state, field.name)) for field in fields(state)))


def _geometry_tensors(geometry: Geometry[Array]) -> Geometry[Tensor]:
    return Geometry(
        _as_tensor(geometry.sun_zenith),
        _as_tensor(geometry.view_zenith),
        _as_tensor(geometry.relative_azimuth),
        per_band=geometry.per_band,
    )


def _to_numpy(coefficients: Coefficients[Tensor]) -> Coefficients[Array]:
    return Coefficients(*(getattr(coefficients, field.name).numpy() for field in fields(coefficients)))
