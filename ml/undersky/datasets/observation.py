"""What a correction method may know of one small scene, as arrays; and the same as a `Scene`.

Frozen suites and archive pairs have no product on disk, yet the whole path from scene to reflectance is what
is measured: `as_scene` lets a model meet them as it meets any acquisition.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky.bands import Sensor
from undersky.grid import Floats, Grid, Window
from undersky.scene import Angles, AtmospherePrior, BandSource, Bools, Scene


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when, as far as a climatology needs it."""

    latitude: float
    """Degrees north."""
    longitude: float
    """Degrees east."""
    acquired: datetime
    """UTC, aware."""
    pixel_m: float
    """Ground size of one pixel."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One scene under one direction of sun and sensor, all bands on one grid."""

    id: str
    """Name for people: `main-017`."""
    sensor: Sensor
    """The instrument."""
    bands: tuple[str, ...]
    """Names along the band axis, a subset of `sensor.corrected_bands` in their order."""
    toa: Floats
    """Top-of-atmosphere reflectance, (band, y, x), NaN at nodata."""
    sun_zenith: float
    """Degrees."""
    view_zenith: float
    """Degrees."""
    relative_azimuth: float
    """Degrees, 0 = sun and satellite on the same side."""
    ozone_dobson: float
    """Column as a forecast or climatology gives it."""
    altitude_km: float
    """Of the ground, from a DEM."""
    place: Place
    """Where and when."""

    def __post_init__(self) -> None:
        known = [band.name for band in self.sensor.corrected_bands]
        if [name for name in known if name in self.bands] != list(self.bands):
            raise ValueError(f"{self.id}: bands {self.bands} are no ordered subset of {known}")
        if self.toa.ndim != 3 or len(self.toa) != len(self.bands):
            raise ValueError(f"{self.id}: {len(self.bands)} bands but an array of shape {self.toa.shape}")


@dataclass(frozen=True, slots=True)
class ArrayBand:
    """A band source over an array in memory."""

    grid: Grid
    """Where the pixels lie."""
    toa: Floats
    """(y, x)."""

    @property
    def block_rows(self) -> int:
        """All of them: nothing is decoded."""
        return int(self.toa.shape[0])

    def toa_reflectance(self, window: Window, *, shape: tuple[int, int] | None = None) -> Floats:
        """The window's pixels; with `shape`, means over blocks of whole pixels."""
        rows, cols = (
            slice(window.row, window.row + window.height),
            slice(window.col, window.col + window.width),
        )
        values = self.toa[rows, cols]
        return values if shape in (None, values.shape) else _block_means(values, shape)

    def saturated(self, window: Window) -> Bools:
        """Nowhere: an array of reflectances knows no digital numbers."""
        return np.zeros(window.shape, dtype=np.bool_)

    def observed(self, window: Window) -> tuple[Floats, Bools]:
        """Both of the above."""
        return self.toa_reflectance(window), self.saturated(window)


def _block_means(values: Floats, shape: tuple[int, int] | None) -> Floats:
    """Area means over nearly equal blocks of pixels, NaN where a block has none."""
    rows, cols = values.shape if shape is None else shape
    known = np.isfinite(values)
    total = _block_sums(np.where(known, values, 0.0), rows, cols)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / _block_sums(known.astype(np.float64), rows, cols), dtype=np.float32)


def _block_sums(values: npt.NDArray[np.floating[Any]], rows: int, cols: int) -> npt.NDArray[np.floating[Any]]:
    first_rows, first_cols = (
        np.arange(count) * size // count for count, size in zip((rows, cols), values.shape, strict=True)
    )
    return np.add.reduceat(np.add.reduceat(values, first_rows, axis=0), first_cols, axis=1)


def as_scene(observation: Observation) -> Scene:
    """The observation as a reader would have delivered it: constant angles, its ozone as the only prior."""
    grid = _grid(observation)
    sources: dict[str, BandSource] = {
        name: ArrayBand(grid, band) for name, band in zip(observation.bands, observation.toa, strict=True)
    }
    return Scene(
        id=observation.id,
        sensor=observation.sensor,
        acquired=observation.place.acquired,
        level="L1C" if observation.sensor.constellation == "sentinel-2" else "L1TP",
        baseline="array",
        tile="array",
        bands=sources,
        angles=_angles(observation),
        grid=grid,
        prior=AtmospherePrior(source="given", ozone_dobson=_nodes(observation.ozone_dobson)),
    )


def _nodes(value: float) -> Floats:
    return np.full((2, 2), value, dtype=np.float32)


def _angles(observation: Observation) -> Angles:
    """The sun in the south, the sensor turned from it by the relative azimuth."""
    names = [band.name for band in observation.sensor.bands]
    return Angles(
        sun_zenith=_nodes(observation.sun_zenith),
        sun_azimuth=_nodes(180.0),
        view_zenith={name: _nodes(observation.view_zenith) for name in names},
        view_azimuth={name: _nodes((180.0 + observation.relative_azimuth) % 360.0) for name in names},
    )


def _grid(observation: Observation) -> Grid:
    """A north-up grid in the UTM zone of the place, its upper-left corner there."""
    place = observation.place
    zone = int((place.longitude + 180.0) // 6.0) + 1
    northern = place.latitude >= 0.0
    # metres from the equator along the meridian, close enough for a climatology by latitude
    northing = place.latitude * 110_600.0 + (0.0 if northern else 10_000_000.0)
    transform = Affine(place.pixel_m, 0.0, 500_000.0, 0.0, -place.pixel_m, northing)
    shape = (int(observation.toa.shape[1]), int(observation.toa.shape[2]))
    return GeoBox(shape, transform, f"EPSG:{(32600 if northern else 32700) + zone}")
