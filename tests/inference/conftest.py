"""A scene of constants: everything a test of inference needs, no file on disk."""

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky.bands import SENSORS
from undersky.grid import Grid, Window
from undersky.scene import Angles, Scene


@dataclasses.dataclass(frozen=True)
class Constant:
    """A band source that reads one array, whatever resolution is asked for."""

    grid: Grid
    values: np.ndarray

    def toa_reflectance(self, window: Window, *, shape=None):
        part = self.values[window.row : window.row + window.height, window.col : window.col + window.width]
        if shape is None or shape == part.shape:
            return part
        rows = np.linspace(0, part.shape[0] - 1, shape[0]).round().astype(int)
        cols = np.linspace(0, part.shape[1] - 1, shape[1]).round().astype(int)
        return part[np.ix_(rows, cols)]

    def saturated(self, window: Window):
        return np.zeros(window.shape, dtype=bool)


@pytest.fixture
def make_scene():
    """A function from TOA values by band to a Sentinel-2A scene of 60 x 60 pixels of 60 m."""

    def make(toa, *, sensor="S2A", prior=None, shape=(60, 60)):
        grid = GeoBox(shape, Affine(60.0, 0, 600000, 0, -60.0, 5100000), "EPSG:32632")
        known = SENSORS[sensor]

        def field(value):
            return np.full((2, 2), value, dtype=np.float32)

        bands = {
            name: Constant(grid, np.broadcast_to(np.float32(value), shape).copy())
            for name, value in toa.items()
        }
        names = [band.name for band in known.bands]
        angles = Angles(
            field(35), field(150), dict.fromkeys(names, field(5)), dict.fromkeys(names, field(100))
        )
        return Scene(
            id="S2A_MSIL1C_20250613T101031_N0511_R022_T32TPS_20250613T134012",
            sensor=known,
            acquired=datetime(2025, 6, 13, 10, 10, 31, tzinfo=UTC),
            level="L1C",
            baseline="05.11",
            tile="32TPS",
            bands=bands,
            angles=angles,
            grid=grid,
            prior=prior,
        )

    return make
