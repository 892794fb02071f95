"""A scene that lives in memory and an estimator that states what it is told: the stage's own test bench."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky.atmosphere.inversion import InversionFields
from undersky.bands import SENSORS, Sensor
from undersky.grid import Grid, Window
from undersky.inference.mask import SceneMask
from undersky.quality import Quality
from undersky.scene import Angles, Scene

METRES = (24000, 2400)
ACQUIRED = {
    "sentinel-2": datetime(2024, 5, 3, 10, 6, 1, tzinfo=UTC),
    "landsat": datetime(2024, 5, 9, 9, 58, 0, tzinfo=UTC),
}


@dataclass
class MemoryBand:
    grid: Grid
    toa: np.ndarray
    is_saturated: np.ndarray
    block_rows: int = 1
    fails_at_row: int | None = None

    def toa_reflectance(self, window: Window, *, shape: tuple[int, int] | None = None) -> np.ndarray:
        pixels = self.toa[
            window.row : window.row + window.height, window.col : window.col + window.width
        ].copy()
        if shape is None:
            return pixels
        rows = np.linspace(0, pixels.shape[0] - 1, shape[0]).astype(int)
        cols = np.linspace(0, pixels.shape[1] - 1, shape[1]).astype(int)
        return pixels[np.ix_(rows, cols)]

    def saturated(self, window: Window) -> np.ndarray:
        return self.is_saturated[
            window.row : window.row + window.height, window.col : window.col + window.width
        ]

    def observed(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        if self.fails_at_row is not None and window.row + window.height > self.fails_at_row:
            from undersky.errors import DataError, Reason

            raise DataError(Reason.RASTER_TRUNCATED, "the file ends in the middle; deliver it again")
        return self.toa_reflectance(window), self.saturated(window)


def texture(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth hills with a little noise, reflectance about 0.05 .. 0.4, float32."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    period = generator.uniform(20, 60)
    hills = 0.2 + 0.12 * np.sin(y / period) * np.cos(x / period)
    return (hills + 0.004 * generator.standard_normal(shape)).astype(np.float32)


def memory_scene(key: str = "S2A", *, source: Path | None = None, seed: int = 0) -> Scene:
    """A long strip of ground, some nodata at its top, one saturated corner a band."""
    sensor = SENSORS[key]
    bands = {}
    for number, band in enumerate(sensor.bands):
        rows, cols = METRES[0] // band.resolution_m, METRES[1] // band.resolution_m
        size = band.resolution_m
        grid = GeoBox((rows, cols), Affine(size, 0, 600000, 0, -size, 5300040), "EPSG:32633")
        toa = texture((rows, cols), seed + number)
        toa[: 600 // size] = np.nan
        saturated = np.zeros((rows, cols), dtype=bool)
        saturated[-1, number] = True
        bands[band.name] = MemoryBand(grid, toa, saturated)
    finest = min(bands.values(), key=lambda band: abs(band.grid.affine.a)).grid
    if sensor.constellation == "landsat":
        finest = bands["B4"].grid
    return Scene(
        id=f"{key}_MEMORY",
        sensor=sensor,
        acquired=ACQUIRED[sensor.constellation],
        level="L1C",
        baseline="05.10",
        tile="33UXP" if sensor.constellation == "sentinel-2" else "191027",
        bands=bands,
        angles=angles(sensor),
        grid=finest,
        sources={} if source is None else {"MTD.xml": source},
    )


def angles(sensor: Sensor) -> Angles:
    def field_of(value: float) -> np.ndarray:
        return np.linspace(value, value + 1.0, 12, dtype=np.float32).reshape(4, 3)

    names = [band.name for band in sensor.bands]
    return Angles(
        field_of(35.0),
        field_of(150.0),
        {name: field_of(3.0 + 0.1 * i) for i, name in enumerate(names)},
        {name: field_of(100.0) for name in names},
    )


@dataclass(frozen=True)
class StatedModel:
    name: str = "correction"
    version: str = "stated-1"
    digest: str = "ab" * 32


@dataclass(frozen=True)
class StatedEstimate:
    fields: InversionFields
    aot_550: np.ndarray
    water_vapour: np.ndarray
    outside: np.ndarray
    fallback: np.ndarray
    sources: dict[str, str] = field(default_factory=lambda: {"aerosol": "stated"})


@dataclass
class StatedEstimator:
    """Knows the atmosphere: slightly sloping fields; counts how often it was asked."""

    model: StatedModel = StatedModel()
    parameters: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    cloudy: bool = False

    quality_model: StatedModel | None = None

    def see(self, scene: Scene) -> SceneMask:
        rows, cols = scene.grid.shape
        mask = np.zeros((-(-rows // 6), -(-cols // 6)), dtype=np.uint16)
        if self.cloudy:
            mask[20:30, 5:15] = Quality.CLOUD
            mask[35:40, 5:15] = Quality.CLOUD_SHADOW
        return SceneMask(mask, np.where(mask == Quality.CLOUD, 0.9, 0.05).astype(np.float32))

    def estimate(self, scene: Scene, mask: np.ndarray) -> StatedEstimate:
        assert mask.dtype == np.uint16
        self.asked += 1
        nodes = (6, 3)
        slope = np.linspace(0.0, 1.0, 18, dtype=np.float32).reshape(nodes)
        count = len(scene.sensor.corrected_bands)
        band = np.linspace(1.0, 0.2, count, dtype=np.float32)[:, None, None]

        def stack(value: float, change: float) -> np.ndarray:
            return (value + change * slope[None] * band + 0.0 * band).astype(np.float32)

        fields = InversionFields(
            gain=stack(1.2, 0.1), offset=stack(0.05, 0.02), albedo=stack(0.1, 0.05),
            q0=stack(1e-5, 4e-5), q1=stack(-1e-5, 1e-5), q2=stack(4e-4, 1e-4),
        )  # fmt: skip
        no = np.zeros(nodes, dtype=bool)
        return StatedEstimate(fields, 0.1 + 0.1 * slope, 1.5 + slope, no, no)
