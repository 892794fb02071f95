"""A finished surface product as something to read: any bands on one grid, and the quality bits.

    folder/<id>.json      identity: sensor, digest, what the product consists of
    folder/<band>.tif     a coarser band is repeated onto the finest grid, so that what is read of a pixel
                          does not depend on the window it is read in

Strips share one open handle a file; `close` (or a `with` block) gives them back.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from undersky.bands import SENSORS, Band, Sensor
from undersky.errors import DataError, Reason
from undersky.grid import Floats, Grid, Window
from undersky.quality import QualityBits
from undersky.raster.encoding import QUALITY, decode, reflectance_layer
from undersky.raster.planes import nearest

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SurfaceProduct:
    """A surface product on the disk, opened for reading."""

    folder: Path
    """Holds the Item and the COGs."""
    item: Json
    """The STAC Item."""
    sensor: Sensor
    """The instrument."""
    grid: Grid
    """The finest grid, that of `quality`."""
    _open: dict[str, DatasetReader] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The product in a folder that `undersky correct` made.

        Raises:
            DataError: `unknown_product`: there is no Item of a surface product;
                `raster_unreadable`: its quality layer cannot be read.
        """
        item, sensor = _read_item(folder)
        with _opened(folder / _href(item, QUALITY.key, folder)) as dataset:
            grid = GeoBox(dataset.shape, dataset.transform, dataset.crs and dataset.crs.to_wkt())
        return cls(folder, item, sensor, grid)

    @property
    def id(self) -> str:
        """Of the Item."""
        return str(self.item["id"])

    @property
    def digest(self) -> str:
        """sha256 over all that decides the product."""
        return str(self.item["properties"]["undersky:digest"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No file is open any more; the next read opens what it needs."""
        while self._open:
            self._open.popitem()[1].close()

    def missing(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the common names that the product has no reflectance of."""
        return tuple(name for name in names if self._band(name) is None)

    def read(self, bands: tuple[str, ...], window: Window) -> Floats:
        """Surface reflectance in a window of the finest grid, float32 (band, y, x), NaN at nodata.

        Args:
            bands: STAC common names: `blue`, `nir08`; a coarser band repeats its nearest pixel.
            window: Of `grid`.

        Raises:
            DataError: `band_missing`, or `raster_unreadable`.
        """
        values = np.empty((len(bands), *window.shape), dtype=np.float32)
        for index, name in enumerate(bands):
            band = self._band(name)
            if band is None:
                known = " ".join(known.common_name for known in self.sensor.corrected_bands)
                raise DataError(
                    Reason.BAND_MISSING,
                    f"{self.id} has no reflectance called {name!r}, a product of {self.sensor.key} has "
                    f"{known}; leave the band out or map a product that has it",
                )
            values[index] = decode(self._stored(band.asset, window), reflectance_layer(band))
        return values

    def quality(self, window: Window) -> QualityBits:
        """The quality bits in a window of the finest grid, uint16 (y, x).

        Raises:
            DataError: `raster_unreadable`.
        """
        return np.asarray(self._stored(QUALITY.key, window), dtype=np.uint16)

    def _band(self, name: str) -> Band | None:
        for band in self.sensor.corrected_bands:
            if name == band.common_name and band.asset in self.item["assets"]:
                return band
        return None

    def _stored(self, key: str, window: Window) -> npt.NDArray[Any]:
        """The stored integers of an asset at the pixels of a window of the finest grid."""
        if key not in self._open:
            self._open[key] = _opened(self.folder / _href(self.item, key, self.folder))
        dataset, (height, width) = self._open[key], self.grid.shape
        rows = nearest(dataset.height, height, start=window.row, count=window.height)
        cols = nearest(dataset.width, width, start=window.col, count=window.width)
        first, left = int(rows[0]), int(cols[0])
        part = RasterioWindow(left, first, int(cols[-1]) - left + 1, int(rows[-1]) - first + 1)
        try:
            stored = dataset.read(1, window=part)
        except RasterioError as error:
            raise _unreadable(self.folder / f"{key}.tif", error) from error
        if stored.shape == window.shape:
            return np.asarray(stored)
        return np.asarray(stored.take(rows - first, axis=0).take(cols - left, axis=1))


def _read_item(folder: Path) -> tuple[Json, Sensor]:
    """The Item, and the sensor it names."""
    paths = [path for path in sorted(folder.glob("*.json")) if not path.name.startswith(".")]
    for path in paths:
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
            platform, collection = item["properties"]["platform"], item["collection"]
            _ = item["id"], item["assets"][QUALITY.key]["href"], item["properties"]["undersky:digest"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        for sensor in SENSORS.values():
            if (sensor.platform, sensor.collection) == (platform, collection):
                return item, sensor
    raise DataError(
        Reason.UNKNOWN_PRODUCT,
        f"{folder} is no surface product: found {len(paths)} JSON files and no Item of one among them; "
        "give a folder that `undersky correct` made",
    )


def _href(item: Json, key: str, folder: Path) -> str:
    """The asset's file name; nothing outside the folder is ever opened."""
    name = str(item["assets"][key]["href"]).removeprefix("./")
    if Path(name).name != name:
        raise DataError(
            Reason.UNKNOWN_PRODUCT,
            f"asset {key} of {folder.name} lies at {name!r}, outside its folder; fetch the product first",
        )
    return name


def _opened(path: Path) -> DatasetReader:
    try:
        return rasterio.open(path, driver="GTiff")
    except RasterioError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        Reason.RASTER_UNREADABLE,
        f"{path.parent.name}/{path.name} cannot be read: {error}; correct the scene again",
    )
