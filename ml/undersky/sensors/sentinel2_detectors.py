"""The twelve detectors of the Sentinel-2 instrument: which one saw a pixel, and from where.

The correction uses angles merged over detectors; this is for whoever needs the true jump between them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.errors import DataError, Reason
from undersky.grid import Grid, Window
from undersky.sensors.archive import ProductFiles
from undersky.sensors.gml import Polygon, draw, read_gml
from undersky.sensors.placement import Declared, place
from undersky.sensors.rasters import JPEG_2000, RasterFile, open_raster, read_nearest
from undersky.sensors.sentinel2_angles import TileAngles

_DETECTOR = re.compile(r"-B\d[\dA]-(0?[1-9]|1[0-2])-")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Which detector saw each pixel of one band: polygons or a raster."""

    grid: Grid
    """The band's grid."""
    polygons: tuple[tuple[Polygon, int], ...] = ()
    """Each with its detector's number."""
    raster: RasterFile | None = None
    """Pixel value is the detector's number."""
    own: Grid | None = None
    """The raster's grid."""

    def detector_index(self, window: Window) -> npt.NDArray[np.uint8]:
        """Detector number, 1 .. 12, uint8 (rows, cols); 0 where no detector saw the ground."""
        if self.raster is not None and self.own is not None:
            return read_nearest(self.raster, self.own, at=self.grid, window=window).astype(np.uint8)
        return draw(self.polygons, self.grid, window)


@dataclass(frozen=True, slots=True)
class Detectors:
    """What a product says of its detectors."""

    angles: TileAngles
    """The metadata's own angle grids, per band and detector, NaN where a detector saw nothing."""
    footprints: Mapping[str, Footprint]
    """Per band name; absent where the product has none."""

    def detector_index(self, band: str, window: Window) -> npt.NDArray[np.uint8]:
        """Detector number of each pixel of a window of that band's grid, 0 where none saw it.

        Raises:
            DataError: `metadata_missing`: the product has no footprints of that band.
        """
        if band not in self.footprints:
            raise DataError(
                Reason.METADATA_MISSING,
                f"there is no detector footprint (MSK_DETFOO) of {band} in the product",
            )
        return self.footprints[band].detector_index(window)


def read_footprint(files: ProductFiles, name: str, grid: Grid, declared: Declared) -> Footprint:
    """The detector footprints in one mask file.

    Raises:
        DataError: The file is damaged or lies elsewhere.
    """
    if name.endswith(".gml"):
        polygons = read_gml(files, name).polygons
        pairs = tuple((shape, int(match[1])) for shape in polygons if (match := _DETECTOR.search(shape.id)))
        return Footprint(grid, pairs)
    raster = open_raster(files, name, driver=JPEG_2000)
    return Footprint(grid, raster=raster, own=place(raster, declared).grid)
