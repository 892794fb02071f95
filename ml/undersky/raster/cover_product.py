"""A finished land-cover map as something to read, and the grid that holds several of them.

    folder/<id>.json                       identity, day, grid: read first, so that a plan costs no raster
    folder/{landcover,confidence}.tif      read window by window of a common grid; nodata beyond the map

Maps of one MGRS tile share a grid. Landsat scenes of one path and row lie on one lattice, each cut out a
little differently: their union holds them all.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from undersky.errors import DataError, Reason
from undersky.grid import Grid, Window
from undersky.raster.encoding import COVER, COVER_CONFIDENCE, COVER_LAYERS, Layer

Json = Mapping[str, Any]
Stored = npt.NDArray[np.uint8]

_OFF_LATTICE = 1e-3
"""Of a pixel: more is another lattice, less is rounding."""


@dataclass(frozen=True, slots=True)
class CoverProduct:
    """A land-cover map on the disk."""

    folder: Path
    """Holds the Item and the COGs."""
    item: Json
    """The STAC Item."""
    grid: Grid
    """Where its pixels lie."""
    _open: dict[str, DatasetReader] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The map in a folder that `undersky map` made; no raster is read.

        Raises:
            DataError: `unknown_product`: there is no Item of a land-cover map.
        """
        for path in sorted(folder.glob("*.json")):
            try:
                item = json.loads(path.read_text(encoding="utf-8"))
                found = cls(folder, item, _grid(item))
                _ = found.digest, found.sensed, found.tile, _names(item)
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if found.collection.endswith("-landcover"):
                return found
        raise DataError(
            Reason.UNKNOWN_PRODUCT,
            f"{folder} is no land-cover map: found no Item of one; give a folder that `undersky map` made",
        )

    @property
    def id(self) -> str:
        """Of the Item."""
        return str(self.item["id"])

    @property
    def digest(self) -> str:
        """sha256 over all that decides the map."""
        return str(self.item["properties"]["undersky:digest"])

    @property
    def collection(self) -> str:
        """`sentinel-2-landcover`, `landsat-8-9-landcover`."""
        return str(self.item["collection"])

    @property
    def tile(self) -> str:
        """MGRS tile, or path and row, without its scheme."""
        return str(self.item["properties"]["grid:code"]).partition("-")[2]

    @property
    def sensed(self) -> datetime:
        """When (aware, UTC)."""
        return datetime.fromisoformat(self.item["properties"]["datetime"]).astimezone(UTC)

    @property
    def day(self) -> int:
        """Days since 1970-01-01."""
        return (self.sensed - datetime(1970, 1, 1, tzinfo=UTC)).days

    def read(self, grid: Grid, window: Window) -> tuple[Stored, Stored]:
        """Codes and stored confidence in a window of a grid of the same lattice, nodata beyond the map.

        Raises:
            DataError: `raster_unreadable`, or not of the size that the Item says.
        """
        down, right = offset(grid, self.grid)
        height, width = self.grid.shape
        top, left = max(window.row, down), max(window.col, right)
        bottom = min(window.row + window.height, down + height)
        edge = min(window.col + window.width, right + width)
        found = []
        for layer in COVER_LAYERS:
            pixels = np.full(window.shape, layer.nodata, dtype=np.uint8)
            if top < bottom and left < edge:
                part = RasterioWindow(left - right, top - down, edge - left, bottom - top)
                rows = slice(top - window.row, bottom - window.row)
                pixels[rows, left - window.col : edge - window.col] = self._stored(layer, part)
            found.append(pixels)
        return found[0], found[1]

    def close(self) -> None:
        """No file is open any more."""
        while self._open:
            self._open.popitem()[1].close()

    def _stored(self, layer: Layer, part: RasterioWindow) -> Stored:
        path = self.folder / _names(self.item)[layer.key]
        try:
            if layer.key not in self._open:
                self._open[layer.key] = rasterio.open(path, driver="GTiff")
            dataset = self._open[layer.key]
            if dataset.shape != tuple(self.grid.shape):
                raise DataError(
                    Reason.GRID_MISMATCH,
                    f"{path.name} of {self.id} has {dataset.shape} pixels, its Item says "
                    f"{tuple(self.grid.shape)}: map the scene again",
                )
            return np.asarray(dataset.read(1, window=part))
        except RasterioError as error:
            raise DataError(
                Reason.RASTER_UNREADABLE,
                f"{path.name} of {self.id} cannot be read: {error}; map the scene again",
            ) from error


def union_grid(products: Sequence[CoverProduct]) -> Grid:
    """The smallest grid of their lattice, that of the first, that holds all of them.

    Raises:
        DataError: `crs_mismatch`, or `grid_mismatch`: they are not of one lattice.
    """
    first = products[0]
    for each in products[1:]:
        if each.grid.crs != first.grid.crs:
            raise DataError(
                Reason.CRS_MISMATCH,
                f"{each.id} is in {each.grid.crs}, {first.id} in {first.grid.crs}: maps of one tile share a "
                "coordinate system; roll those of each by themselves",
            )
        scales = [(g.affine.a, g.affine.b, g.affine.d, g.affine.e) for g in (each.grid, first.grid)]
        exact = ~first.grid.affine @ (each.grid.affine.c, each.grid.affine.f)
        if scales[0] != scales[1] or any(abs(at - round(at)) > _OFF_LATTICE for at in exact):
            raise DataError(
                Reason.GRID_MISMATCH,
                f"{each.id} does not lie on the lattice of {first.id}: its pixels are of another size, or "
                "between those of the other; only maps of one tile of one sensor roll into one",
            )
    places = [(*offset(first.grid, each.grid), *each.grid.shape) for each in products]
    top, left = min(row for row, *_ in places), min(col for _, col, *_ in places)
    bottom = max(row + height for row, _, height, _ in places)
    right = max(col + width for _, col, _, width in places)
    corner = first.grid.affine @ Affine.translation(left, top)
    return GeoBox((bottom - top, right - left), corner, first.grid.crs)


def offset(grid: Grid, other: Grid) -> tuple[int, int]:
    """Row and column in `grid` of the first pixel of `other`, of the same lattice; may be negative."""
    col, row = ~grid.affine @ (other.affine.c, other.affine.f)
    return round(row), round(col)


def _grid(item: Json) -> Grid:
    asset = item["assets"][COVER.key]
    rows, cols = asset["proj:shape"]
    return GeoBox((rows, cols), Affine(*asset["proj:transform"][:6]), item["properties"]["proj:code"])


def _names(item: Json) -> dict[str, str]:
    """File names of both layers; nothing outside the folder is ever opened."""
    layers = (COVER, COVER_CONFIDENCE)
    return {layer.key: Path(str(item["assets"][layer.key]["href"])).name for layer in layers}
