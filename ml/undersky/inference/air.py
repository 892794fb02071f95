"""The learned model looks at a scene: the aerosol over every node, how sure it is, and whether it may speak.

    view (7 bands) --windows around the nodes--> network --> optical depth, shares, covariance, strangeness
                        hypotheses under what is believed of gases and pressure

A node takes its answer from the windows around it. A window that is unlike all that the model was validated
on says nothing, and neither does one without ground, or with nothing but snow, which shows no aerosol. Where
no neighbour speaks, the physics baseline stands in.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.hypotheses import AOT_LADDER, REFERENCE, evaluate_hypotheses
from undersky.atmosphere.inversion import mean_view
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Geometry
from undersky.bands import Sensor
from undersky.errors import DataError, Reason
from undersky.grid import Floats, resample_nodes, resolution_m
from undersky.inference.physics import Belief
from undersky.inference.view import View, at_shape
from undersky.models.build import LearnedModel
from undersky.models.correction import PRIOR, ROLES, WINDOW, Windows, blocks_of
from undersky.quality import UNUSABLE, Quality, QualityBits
from undersky.scene import Bools

Array = npt.NDArray[np.floating[Any]]

FINEST_M = 10.0
"""A scene smaller than a window is looked at closer, down to this."""

_CHUNK = 32
_LEAST_USABLE = 0.25
_MOST_SNOW = 0.1
_RED = ROLES.index("red")
_BRIGHTEST_HAZE = 0.35
_LEAST_BLOCKS = 24
_NEAR = 0.7
_FAR = 1e-4
_REACH = 3.0


@dataclass(frozen=True, slots=True)
class Air:
    """What the model says of the nodes, (y, x)."""

    aot_550: Array
    """Optical depth."""
    shares: Array
    """Of the aerosol models, each weighed with its depth, (model, y, x)."""
    factors: Array
    """A square root of the covariance of depth and shares, (1 + model, rank, y, x)."""
    strange: Floats
    """Out-of-domain score of the window: beyond 1 the model does not know such a place; NaN unseen."""
    fallback: Bools
    """True where the model does not speak."""


def believed(belief: Belief, air: Air) -> Belief:
    """The belief with the aerosol that the model found; where it fell back it is not to be used."""
    nodes = air.aot_550.shape
    state = replace(belief.state, aot_550=air.aot_550, aerosol_fractions=np.maximum(air.shares, 1e-6))
    nothing = np.zeros_like(belief.sigma.aerosol_fractions)
    sigma = replace(
        belief.sigma, aot_550=np.zeros(nodes), aerosol_fractions=nothing, aerosol_factors=air.factors
    )
    return Belief(state, sigma, belief.sources | {"aerosol": "learned"})


def at_nodes(air: Air, nodes: tuple[int, int]) -> Air:
    """The same at another number of nodes, bilinear; a fallback reaches as far as its node has a part."""
    if air.aot_550.shape == nodes:
        return air

    def planes(values: Array) -> Array:
        flat = values.reshape(-1, *values.shape[-2:])
        return np.stack([resample_nodes(plane, nodes) for plane in flat]).reshape(*values.shape[:-2], *nodes)

    return Air(
        planes(air.aot_550),
        planes(air.shares),
        planes(air.factors),
        at_shape(air.strange, nodes),
        resample_nodes(air.fallback.astype(np.float32), nodes) > 0.0,
    )


def look(
    view: View, mask: QualityBits, *, belief: Belief, geometry: Geometry[Array], model: LearnedModel
) -> Air | None:
    """What the model says of a scene; None where the scene lacks a band that it needs.

    Args:
        view: The scene from afar.
        mask: Quality bits over the same footprint, (y, x).
        belief: Gases and pressure at the nodes; its aerosol, where it is a forecast's, is taken as one.
        geometry: At the nodes, one view per band.
        model: The network and its calibration.

    Raises:
        DataError: `model_refused`: it weighs other hypotheses than there are.
    """
    if model.network.config.ladder != AOT_LADDER:
        found = list(model.network.config.ladder)
        raise DataError(
            Reason.MODEL_REFUSED, f"the model weighs depths {found}, the hypotheses are {list(AOT_LADDER)}"
        )
    bands = [view.band_of(role) for role in ROLES]
    names = tuple(name for name in bands if name is not None)
    if len(names) < len(ROLES):
        return None
    shape = view.shape(_pixel_m(view))
    toa = np.stack([view.toa(name, shape) for name in names])
    bits = at_shape(mask, shape)
    pixels = _Pixels(
        toa,
        finite=np.asarray(np.isfinite(toa).all(axis=0)),
        clear=np.asarray(bits & np.uint16(UNUSABLE) == 0),
        snow=np.asarray(bits & np.uint16(Quality.SNOW) != 0),
    )
    nodes = (belief.state.aot_550.shape[0], belief.state.aot_550.shape[1])
    origins = window_origins(shape, nodes)
    unique, inverse = np.unique(origins.reshape(-1, 2), axis=0, return_inverse=True)
    first = np.unique(inverse.reshape(-1), return_index=True)[1]
    known = _Known(view, names, belief, geometry, model, first)
    with one_thread():
        said = [known.say(_cut(pixels, unique[part]), part) for part in _parts(len(unique))]
    gathered = {key: np.concatenate([part[key] for part in said])[inverse.reshape(-1)] for key in said[0]}
    return _spread(gathered, nodes)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread: the arrays are too small to share, and the bytes do not hang on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pixel_m(view: View) -> float:
    extent = min(view.scene.grid.shape) * resolution_m(view.scene.grid)
    return float(np.clip(extent / WINDOW, FINEST_M, 80.0))


def window_origins(shape: tuple[int, int], nodes: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Upper-left pixel (row, col) of every node's window, inside the scene where it fits, (y, x, 2)."""
    axes = []
    for size, count in zip(shape, nodes, strict=True):
        centre = np.arange(count) / (count - 1) * size
        axes.append(np.clip(np.rint(centre - WINDOW / 2), 0, max(size - WINDOW, 0)).astype(np.int64))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What the windows are cut from."""

    toa: Floats
    """(band, y, x), NaN at nodata."""
    finite: Bools
    """True where every band has data, (y, x)."""
    clear: Bools
    """True where no test found a cloud or a shadow, (y, x)."""
    snow: Bools
    """True where a test found snow or ice, (y, x)."""

    def usable(self, here: tuple[slice, slice]) -> Bools:
        """Which pixels of a window show the aerosol.

        Thick haze over all of a window is cloud to a threshold test: then all that is not as bright as a
        cloud is looked at, and the model says itself whether it knows such a place. Snow shows no aerosol,
        and a little of it spoils a window.
        """
        finite, snow = self.finite[here], self.snow[here]
        if (finite & snow).sum() > _MOST_SNOW * finite.sum():
            return np.zeros_like(finite)
        clear = finite & self.clear[here]
        hazy = finite & (self.toa[_RED][here] < _BRIGHTEST_HAZE)
        chosen = clear if clear.sum() >= _LEAST_USABLE * finite.sum() else hazy
        return np.asarray(chosen & ~snow)


def _cut(pixels: _Pixels, origins: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Windows (n, band, y, x) and what of them is usable (n, y, x), padded with nothing to whole windows."""
    toa = np.zeros((len(origins), len(pixels.toa), WINDOW, WINDOW), dtype=np.float32)
    usable = np.zeros((len(origins), WINDOW, WINDOW), dtype=np.float32)
    for index, (row, col) in enumerate(origins):
        here = np.s_[row : row + WINDOW, col : col + WINDOW]
        seen = pixels.usable(here)
        rows, cols = seen.shape
        toa[index, :, :rows, :cols] = np.where(pixels.finite[here], pixels.toa[:, here[0], here[1]], 0.0)
        usable[index, :rows, :cols] = seen
    return toa, usable


@dataclass(frozen=True, slots=True)
class _Known:
    """What the windows are looked at with."""

    view: View
    names: tuple[str, ...]
    belief: Belief
    geometry: Geometry[Array]
    model: LearnedModel
    first: npt.NDArray[np.int64]

    def say(self, cut: tuple[Floats, Floats], part: slice) -> Mapping[str, npt.NDArray[np.floating[Any]]]:
        """What the network says of some windows, one row each."""
        windows = self._windows(cut, self.first[part])
        with torch.no_grad():
            blocks = blocks_of(windows, reference=REFERENCE)
            found = self.model.network(windows, blocks)
            weight = found.log_posterior.exp() * self.model.network.depth
            depth = weight.sum(-1)
            shares = (weight @ self.model.network.models + 1e-4) / (depth + 1e-4 * len(AEROSOL_MODELS))[
                :, None
            ]
            strange = self.model.strangeness(found.embedding)
        seen = blocks.usable.sum(-1) >= _LEAST_BLOCKS
        return {
            "aot_550": depth.numpy(),
            "shares": shares.numpy(),
            "factors": (self.model.inflation * found.factors).numpy(),
            "strange": torch.where(seen, strange, torch.nan).numpy(),
        }

    def _windows(self, cut: tuple[Floats, Floats], nodes: npt.NDArray[np.int64]) -> Windows:
        def at(values: Array) -> Tensor:
            flat = np.asarray(values, dtype=np.float32).reshape(*values.shape[:-2], -1)
            return torch.from_numpy(np.ascontiguousarray(flat[..., nodes]))

        sensor, state = self.view.scene.sensor, self.belief.state
        order = [band.name for band in sensor.corrected_bands]
        rows = [order.index(name) for name in self.names]
        seen = mean_view(
            replace(
                self.geometry,
                view_zenith=self.geometry.view_zenith[rows],
                relative_azimuth=self.geometry.relative_azimuth[rows],
            )
        )
        angles = Geometry(at(seen.sun_zenith), at(seen.view_zenith), at(seen.relative_azimuth))
        gases = AtmosphereState(
            at(state.aot_550),
            at(state.water_vapour),
            at(state.ozone_dobson),
            at(state.pressure_hpa),
            at(state.aerosol_fractions),
        )
        pixels, usable = (torch.from_numpy(values) for values in cut)
        windows = windows_under(
            pixels, usable, sensor=sensor, bands=self.names, gases=gases, geometry=angles, model=self.model
        )
        return replace(windows, prior=self._prior(gases, len(pixels)))

    def _prior(self, gases: AtmosphereState[Tensor], count: int) -> Tensor:
        if self.belief.sources["aerosol"] != "prior":
            return torch.zeros(count, PRIOR)
        depth = gases.aot_550[:, None].clamp(max=1.25)
        return torch.cat([torch.ones(count, 1), depth, gases.aerosol_fractions.T], dim=1)


def windows_under(
    pixels: Tensor,
    usable: Tensor,
    *,
    sensor: Sensor,
    bands: tuple[str, ...],
    gases: AtmosphereState[Tensor],
    geometry: Geometry[Tensor],
    model: LearnedModel,
) -> Windows:
    """Windows as the network sees them under what is believed of gases and pressure, without a forecast.

    Args:
        pixels: Top-of-atmosphere reflectance, (n, band, y, x), zero where there is none.
        usable: 1 where a pixel shows the ground, (n, y, x).
        sensor: The instrument.
        bands: Its bands that play the ROLES, in their order.
        gases: Water vapour, ozone and pressure over each window, (n,); its aerosol is not looked at.
        geometry: Angles over each window, (n,).
        model: Knows the sensors' noise.
    """
    with torch.no_grad():
        hypotheses = evaluate_hypotheses(Emulator.load(sensor.key, bands), gases, geometry)
    angles = (geometry.sun_zenith, geometry.view_zenith, geometry.relative_azimuth)
    sun, zenith, azimuth = (torch.deg2rad(angle) for angle in angles)
    cosine = torch.cos(sun)
    along = torch.cos(azimuth) * torch.sin(zenith)
    is_msi = torch.full_like(sun, float(sensor.constellation == "sentinel-2"))
    mean = pixels.sum((2, 3)) / (pixels[:, :1] != 0).sum((2, 3)).clamp(min=1)
    conditions = (cosine, torch.cos(zenith), along, gases.pressure_hpa / 1013.0, is_msi)
    return Windows(
        toa=pixels,
        usable=usable,
        path=hypotheses.path,
        transmittance=hypotheses.transmittance,
        spherical_albedo=hypotheses.spherical_albedo,
        gas_transmittance=hypotheses.gas_transmittance,
        noise=model.noise_variance(sensor.key, mean, cosine),
        conditions=torch.stack(conditions, dim=1),
        prior=torch.zeros(len(pixels), PRIOR),
    )


def _spread(said: Mapping[str, Array], nodes: tuple[int, int]) -> Air:
    """Every node as its neighbours say that know, the nearest most; silent where none is within reach."""
    strange = said["strange"]
    knows = np.isfinite(strange) & (np.nan_to_num(strange, nan=9.0) <= 1.0)
    places = np.stack(np.meshgrid(*(np.arange(count) for count in nodes), indexing="ij"), axis=-1)
    flat = places.reshape(-1, 2).astype(np.float64)
    square = ((flat[:, None] - flat[None]) ** 2).sum(-1)
    weight = (np.exp(-square / (2.0 * _NEAR**2)) + _FAR / (1.0 + square) ** 2) * knows
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
    within = np.where(knows[None], square, np.inf).min(axis=1) <= _REACH**2
    lost = np.isfinite(strange) & ~knows

    def at_nodes(values: Array) -> Array:
        known = np.where(knows[:, None], values.reshape(len(values), -1), 0.0)
        mixed: Array = (weight / total) @ known
        return np.moveaxis(mixed.reshape(*nodes, *values.shape[1:]), (0, 1), (-2, -1))

    return Air(
        aot_550=at_nodes(said["aot_550"]),
        shares=at_nodes(said["shares"]),
        factors=at_nodes(said["factors"]),
        strange=strange.reshape(nodes).astype(np.float32),
        fallback=(~within | lost).reshape(nodes),
    )
