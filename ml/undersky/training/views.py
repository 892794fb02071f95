"""Real pairs as the network sees them: windows, what the agency made of them, and where that counts.

pair --gases and pressure, as the correction believes them--> hypotheses
 |---crops---> windows (band, y, x), the agency's reflectance, which of its pixels are clear
 '---a band that the pair lacks---> what the other bands and the air let expect, learned from worlds
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from undersky.atmosphere.state import AtmosphereState, Geometry
from undersky.bands import Sensor
from undersky.datasets.observation import as_scene
from undersky.datasets.pairs import Pair
from undersky.datasets.worlds.compose import World
from undersky.evaluation.real import our_clear
from undersky.grid import Floats
from undersky.inference.air import windows_under
from undersky.inference.ground import GroundOptions
from undersky.inference.nodes import node_geometry, physics_belief
from undersky.inference.quality import scene_mask
from undersky.inference.view import View
from undersky.models.build import LearnedModel
from undersky.models.correction import ROLES, Windows
from undersky.models.physics import PhysicsModel
from undersky.scene import Bools
from undersky.training.crops import COLS, ROWS, Crop

_NODES = (2, 2)
"""A pair is so small that its gases and angles are one value each."""


@dataclass(frozen=True, slots=True)
class PairViews:
    """n windows of real pairs."""

    crops: tuple[Crop, ...]
    """Where they lie."""
    windows: Windows
    """What the network sees."""
    agency: Tensor
    """The agency's reflectance, (n, band, y, x), zero where it has none."""
    known: Tensor
    """True where both sides see clear ground and the band was delivered, (n, band, y, x)."""

    def some(self, index: Tensor) -> "PairViews":
        """These of them."""
        return PairViews(
            tuple(self.crops[number] for number in index.tolist()),
            Windows(*(getattr(self.windows, field.name)[index] for field in fields(Windows))),
            self.agency[index],
            self.known[index],
        )


@dataclass(frozen=True, slots=True)
class Filling:
    """What an absent band is expected to be: a straight line through the others and what the air does."""

    absent: int
    """Position in ROLES."""
    line: Tensor
    """One factor per column of `_features`, (column, 1)."""
    variance: float
    """Of what the line misses."""

    def __call__(self, windows: Windows) -> Windows:
        """The windows with that band filled, and as uncertain as the line is."""
        toa, noise = windows.toa.clone(), windows.noise.clone()
        toa[:, self.absent] = (_features(windows, self.absent) @ self.line)[..., 0]
        noise[:, self.absent] = noise[:, self.absent] + self.variance
        return replace(windows, toa=toa, noise=noise)


def learn_filling(absent: int, worlds: Sequence[tuple[World, Windows]]) -> Filling:
    """The line that fits these worlds best, by least squares.

    Args:
        absent: Position in ROLES.
        worlds: Worlds, and how the network sees them; every 13th pixel is used.
    """
    columns, values = [], []
    for world, windows in worlds:
        seen = world.usable.flatten()[::13] > 0
        columns.append(_features(windows, absent).flatten(0, 2)[::13][seen])
        values.append(windows.toa[:, absent].flatten()[::13][seen])
    table, value = torch.cat(columns).double(), torch.cat(values).double()[:, None]
    weight = 1.0 / (value + 0.02)  # what counts is the error in parts of the brightness
    line = torch.linalg.lstsq(table * weight, value * weight, driver="gelsd").solution
    missed = (table @ line - value).square().mean()
    return Filling(absent, line.float(), float(missed))


def _features(windows: Windows, absent: int) -> Tensor:
    """What is known of every pixel beside the absent band, (n, y, x, column)."""
    others = [row for row in range(len(ROLES)) if row != absent]
    n, _, rows, cols = windows.toa.shape
    clean = windows.path[:, 0]  # of air without aerosol: it falls with pressure, and knows sun and view
    air = torch.cat([clean, windows.transmittance[:, 0, absent, None], torch.ones(n, 1)], dim=1)
    return torch.cat(
        [windows.toa[:, others].permute(0, 2, 3, 1), air[:, None, None].expand(n, rows, cols, -1)], dim=-1
    )


def view_pair(
    pair: Pair, crops: Sequence[Crop], *, physics: PhysicsModel, model: LearnedModel
) -> tuple[PairViews, list[int]]:
    """The windows of a pair, and the positions in ROLES of the bands that it lacks.

    Args:
        pair: The acquisition, twice.
        crops: Where windows are cut.
        physics: Whose belief of gases and pressure counts.
        model: Knows the sensors' noise.
    """
    scene = as_scene(pair.observation)
    view, sensor = View(scene), scene.sensor
    found = [view.band_of(role) for role in ROLES]
    absent = [row for row, name in enumerate(found) if name is None]
    bands = tuple(name or _band_of(sensor, role) for name, role in zip(found, ROLES, strict=True))
    clear = pair.clear & our_clear(pair) & np.isfinite(pair.observation.toa).all(axis=0)
    cut = cut_crops(_planes(pair, found, pair.observation.toa), crops)
    for row in absent:  # stands in until it is filled, so that brightness and noise are of the right size
        cut[:, row] = cut[:, min((abs(row - other), other) for other, name in enumerate(found) if name)[1]]
    agency = cut_crops(_planes(pair, found, pair.agency), crops)
    usable = _usable(clear, crops)
    known = usable[:, None] & np.isfinite(agency)
    known[:, absent] = False
    gases, geometry = _believed(pair, physics=physics, count=len(crops))
    windows = windows_under(
        torch.from_numpy(np.nan_to_num(cut)),
        torch.from_numpy(usable.astype(np.float32)),
        sensor=sensor,
        bands=bands,
        gases=gases,
        geometry=geometry,
        model=model,
    )
    agency = np.nan_to_num(agency)
    return PairViews(tuple(crops), windows, torch.from_numpy(agency), torch.from_numpy(known)), absent


def _band_of(sensor: Sensor, role: str) -> str:
    return next(band.name for band in sensor.corrected_bands if band.common_name == role)


def _planes(pair: Pair, names: Sequence[str | None], values: Floats) -> Floats:
    """Bands as in ROLES of an array with the pair's bands, NaN where it has none."""
    order, nothing = pair.observation.bands, np.full(values.shape[1:], np.nan, dtype=np.float32)
    return np.stack([nothing if name is None else values[order.index(name)] for name in names])


def cut_crops(values: Floats, crops: Sequence[Crop]) -> Floats:
    """Means over each crop's pixels, (n, band, ROWS, COLS), NaN outside and where a pixel is unknown."""
    cut = np.full((len(crops), len(values), ROWS, COLS), np.nan, dtype=np.float32)
    for number, crop in enumerate(crops):
        part = values[:, slice(*crop.rows), slice(*crop.cols)]
        factor, (bands, rows, cols) = crop.factor, part.shape
        means = part.reshape(bands, rows // factor, factor, cols // factor, factor).mean(axis=(2, 4))
        cut[number, :, : means.shape[1], : means.shape[2]] = means
    return cut


def _usable(clear: Bools, crops: Sequence[Crop]) -> Bools:
    """Where all pixels behind one of a window are clear, (n, ROWS, COLS)."""
    return np.asarray(np.nan_to_num(cut_crops(clear[None].astype(np.float32), crops)[:, 0]) > 0.999)


def cut_bands(pair: Pair, values: Floats, crops: Sequence[Crop]) -> Floats:
    """Crops of an array with the pair's bands, bands as in ROLES, (n, band, ROWS, COLS)."""
    view = View(as_scene(pair.observation))
    return cut_crops(_planes(pair, [view.band_of(role) for role in ROLES], values), crops)


def _believed(
    pair: Pair, *, physics: PhysicsModel, count: int
) -> tuple[AtmosphereState[Tensor], Geometry[Tensor]]:
    """Gases, pressure and angles of the pair, as often as there are windows."""
    scene = as_scene(pair.observation)
    view, seen = View(scene), pair.observation
    ground = GroundOptions(altitude_m=1000.0 * seen.altitude_km)
    state = physics_belief(view, scene_mask(scene, view), _NODES, physics=physics, ground=ground).state
    bands = tuple(band.name for band in scene.sensor.corrected_bands)
    angles = node_geometry(scene.angles, bands, _NODES)

    def over_all(values: npt.NDArray[np.floating[Any]]) -> Tensor:
        return torch.full((count,), float(values.mean()))

    return (
        AtmosphereState(
            over_all(state.aot_550),
            over_all(state.water_vapour),
            over_all(state.ozone_dobson),
            over_all(state.pressure_hpa),
            torch.from_numpy(state.aerosol_fractions.mean(axis=(1, 2)).astype(np.float32))[:, None]
            .expand(-1, count)
            .contiguous(),
        ),
        Geometry(
            over_all(angles.sun_zenith), over_all(angles.view_zenith), over_all(angles.relative_azimuth)
        ),
    )


def joined(parts: Sequence[PairViews]) -> PairViews:
    """All of them, one after the other."""
    return PairViews(
        tuple(crop for part in parts for crop in part.crops),
        both(*(part.windows for part in parts)),
        torch.cat([part.agency for part in parts]),
        torch.cat([part.known for part in parts]),
    )


def both(*windows: Windows) -> Windows:
    """Windows of one size, one after the other."""
    return Windows(*(torch.cat([getattr(part, field.name) for part in windows]) for field in fields(Windows)))
