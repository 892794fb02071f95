"""GeoTIFFs of classes, one or the tiles of a whole world, become one raster of stored codes, strip by strip.

    file, URL, or tiles --window--> values --class map--> codes --> labels.tif (0 nothing said, 255 ignored)

The grid stays the source's own: nothing is resampled. Only one strip is ever in memory.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.windows
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader

from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.grid import Grid, Window, strips
from undersky.labels.class_map import ClassMap, Tiles, value_text
from undersky.labels.tally import Tally
from undersky.labels.tasks import IGNORE, NODATA, Task
from undersky.labels.vectors import Bbox
from undersky.raster.cog import cog_stream
from undersky.raster.encoding import Layer

LARGEST_PIXELS = 4_000_000_000
"""Of one version: 20 degrees square of WorldCover. More is refused; --bbox takes a part."""
_STRIP_PIXELS = 16_000_000
_REMOTE: Mapping[str, str | bool | int] = {
    # One question a tile, not a listing of the bucket; a public bucket wants no signature.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "AWS_NO_SIGN_REQUEST": True,
    "GDAL_HTTP_MAX_RETRY": 3,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_TIMEOUT": 60,
}
_GONE = ("404", "does not exist", "No such file")


@dataclass(frozen=True, slots=True)
class Painted:
    """A raster of codes that was written."""

    grid: Grid
    """Where its pixels lie."""
    counts: Mapping[str, int]
    """Pixels by class; classes without any too."""
    square_km: Mapping[str, float]
    """Ground by class."""
    ignored: int
    """Pixels that nobody shall look at."""
    bounds: Bbox
    """West, south, east, north of all of it, degrees."""
    pixels_sha256: str
    """Over grid and codes, row by row."""


def layer_of(task: Task) -> Layer:
    """How a raster of a task's codes is stored."""
    title = f"Labels for {task.key}"
    return Layer(
        "labels", title, "uint8", "scene", "mode", nodata=NODATA, roles=("data",), classes=task.classes
    )  # fmt: skip


def tile_hrefs(tiles: Tiles, bbox: Bbox) -> dict[str, str]:
    """Name and address of every tile that shares area with the box, south-west first."""
    west, south, east, north = bbox
    step = tiles.degrees
    lats = range(math.floor(south / step) * step, math.ceil(north / step) * step, step)
    lons = range(math.floor(west / step) * step, math.ceil(east / step) * step, step)
    names = [
        f"{'N' if lat >= 0 else 'S'}{abs(lat):02d}{'E' if lon >= 0 else 'W'}{abs(lon):03d}"
        for lat in lats
        for lon in lons
    ]
    return {name: tiles.href.replace("{tile}", name) for name in names}


def paint(
    hrefs: Mapping[str, str],
    target: Path,
    class_map: ClassMap,
    *,
    task: Task,
    bbox: Bbox | None = None,
    crs: str | None = None,
) -> tuple[Painted, Tally]:
    """The codes of these rasters lie in one COG at `target`; what they hold, and what became of it.

    Args:
        hrefs: Name to path or address of each raster. Of several, those that are not there are open sea:
            told, not missed.
        target: `labels.tif`; its folder is there.
        class_map: What their values mean.
        task: Whose classes they become.
        bbox: Only the pixels in it.
        crs: The coordinate system where the raster does not say it.

    Raises:
        ConfigError: A value is neither mapped nor ignored, or the box holds nothing.
        DataError: `raster_unreadable`, `raster_too_large`, `crs_mismatch`, `grid_mismatch` or `all_nodata`.
        ServiceError: A server does not answer.
    """
    tally = Tally()
    codes = class_map.codes(task)
    with rasterio.Env(**_REMOTE), ExitStack() as opened:
        sources = list(_opened(hrefs, tally, opened))
        grid = _grid(sources, bbox=bbox, crs=crs)
        count = _Count(task, grid)
        rows = max(64, min(1024, _STRIP_PIXELS // grid.shape[1]))
        with cog_stream(target, grid, layer=layer_of(task)) as stream:
            for strip in strips(grid, rows=rows):
                painted = _strip(sources, grid, strip, codes=codes, tally=tally)
                count.add(strip, painted)
                stream.write(strip, painted)
            class_map.refuse_unmapped(tally.met, " and ".join(list(hrefs)[:3]))
            made = count.result()
    if not sum(made.counts.values()):
        raise DataError(Reason.ALL_NODATA, "no pixel carries a class: all are nodata or ignored")
    return made, tally


def _opened(hrefs: Mapping[str, str], tally: Tally, stack: ExitStack) -> Iterator[DatasetReader]:
    for name, href in hrefs.items():
        try:
            dataset = stack.enter_context(rasterio.open(href, driver="GTiff"))
        except RasterioIOError as error:
            gone = any(word in str(error) for word in _GONE)
            if len(hrefs) > 1 and gone:
                tally.notes.append(f"tile {name} is not there: open sea")
                continue
            if href.startswith(("http", "s3:")) and not gone:
                raise ServiceError(f"{href} does not answer: {error}; try again later") from error
            raise _unreadable(name, error) from error
        if dataset.count != 1 or np.dtype(dataset.dtypes[0]).kind not in "iuf":
            raise DataError(
                Reason.RASTER_UNREADABLE,
                f"{name} has {dataset.count} bands of {dataset.dtypes[0]}; labels are one band of numbers",
            )
        yield dataset


def _grid(sources: Sequence[DatasetReader], *, bbox: Bbox | None, crs: str | None) -> Grid:
    """The sources' own grid over all of them, cut to the box."""
    if not sources:
        raise ConfigError("none of the tiles is there: the box lies in open sea, or its degrees are swapped")
    first = sources[0]
    system = first.crs or crs
    if system is None:
        raise DataError(
            Reason.CRS_MISMATCH,
            f"{Path(first.name).name} names no coordinate system, so nobody knows where it lies; say it with "
            "--crs EPSG:...",
        )
    if first.transform.b or first.transform.d or first.transform.e >= 0:
        raise DataError(
            Reason.GRID_MISMATCH,
            f"{Path(first.name).name} is turned or upside down; warp it north up (gdalwarp)",
        )
    for other in sources[1:]:
        _refuse_other_grid(first, other)
    boxes = [_place_on(first, other) for other in sources]
    top, left = min(b[0] for b in boxes), min(b[1] for b in boxes)
    bottom, right = max(b[2] for b in boxes), max(b[3] for b in boxes)
    if bbox is not None:
        area = Transformer.from_crs("EPSG:4326", str(system), always_xy=True).transform_bounds(*bbox)
        (x0, y0), (x1, y1) = ~first.transform @ (area[0], area[3]), ~first.transform @ (area[2], area[1])
        top, left = max(top, math.floor(y0 + 1e-6)), max(left, math.floor(x0 + 1e-6))
        bottom, right = min(bottom, math.ceil(y1 - 1e-6)), min(right, math.ceil(x1 - 1e-6))
        if bottom <= top or right <= left:
            raise ConfigError(f"--bbox {' '.join(f'{v:g}' for v in bbox)} lies beside the labels: W S E N")
    shape = (bottom - top, right - left)
    if shape[0] * shape[1] > LARGEST_PIXELS:
        raise DataError(
            Reason.RASTER_TOO_LARGE,
            f"{shape[0]} x {shape[1]} pixels, at most {LARGEST_PIXELS:.0e} fit; take a part with --bbox",
        )
    return GeoBox(shape, first.transform @ Affine.translation(left, top), str(system))


def _place_on(first: DatasetReader, other: DatasetReader) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of a raster in the pixels of the first one."""
    left, top = ~first.transform @ (other.transform.c, other.transform.f)
    row, col = round(top), round(left)
    return row, col, row + other.height, col + other.width


def _refuse_other_grid(first: DatasetReader, other: DatasetReader) -> None:
    position = ~first.transform @ (other.transform.c, other.transform.f)
    off = max(abs(value - round(value)) for value in position)
    steps = [abs(getattr(first.transform, k) / getattr(other.transform, k) - 1.0) for k in "ae"]
    if first.crs != other.crs or off > 0.01 or max(steps) > 1e-7:
        raise DataError(
            Reason.GRID_MISMATCH,
            f"{Path(other.name).name} is not on the grid of {Path(first.name).name}; add them one by one",
        )


def _strip(
    sources: Sequence[DatasetReader], grid: Grid, strip: Window, *, codes: Mapping[str, int], tally: Tally
) -> npt.NDArray[np.uint8]:
    """Codes of one full-width strip."""
    painted = np.full(strip.shape, NODATA, dtype=np.uint8)
    for source in sources:
        col, row = (round(value) for value in ~source.transform @ (grid.affine.c, grid.affine.f))
        top, left = row + strip.row, col + strip.col
        r0, r1 = max(0, top), min(source.height, top + strip.height)
        c0, c1 = max(0, left), min(source.width, left + strip.width)
        if r1 <= r0 or c1 <= c0:
            continue
        window = rasterio.windows.Window(c0, r0, c1 - c0, r1 - r0)
        try:
            values = source.read(1, window=window)
            known = source.read_masks(1, window=window) > 0
        except RasterioError as error:
            raise _unreadable(Path(source.name).name, error) from error
        part = painted[r0 - top : r1 - top, c0 - left : c1 - left]
        _translate(values, known, part, codes=codes, tally=tally)
    return painted


def _translate(
    values: npt.NDArray[np.generic],
    known: npt.NDArray[np.bool_],
    painted: npt.NDArray[np.uint8],
    *,
    codes: Mapping[str, int],
    tally: Tally,
) -> None:
    """Values become codes in place; pixels without a value stay as they are."""
    if values.dtype.kind == "f":
        known &= np.isfinite(values)
    seen = values[known]
    if seen.dtype.kind == "u" and seen.dtype.itemsize <= 2:  # a table instead of a sort: ten times faster
        often = np.bincount(seen)
        found, where = np.flatnonzero(often), np.asarray(seen)
        counts, table = often[found], np.full(len(often), NODATA, dtype=np.uint8)
    else:
        found, where, counts = np.unique(seen, return_inverse=True, return_counts=True)
        table = np.full(len(found), NODATA, dtype=np.uint8)
    names = [value_text(value) for value in found]
    tally.met += Counter(dict(zip(names, map(int, counts), strict=True)))
    if unknown := int((~known).sum()):
        tally.left_out["pixels without a value"] += unknown
    places = found if table.size > found.size else np.arange(found.size)
    table[places] = [codes.get(name, NODATA) for name in names]
    painted[known] = table[where]


class _Count:
    """Pixels, ground and digest of a raster, strip by strip."""

    def __init__(self, task: Task, grid: Grid) -> None:
        self._task, self._grid = task, grid
        self._rows: npt.NDArray[np.int64] = np.zeros((grid.shape[0], 256), dtype=np.int64)
        place = [*map(float, tuple(grid.affine)[:6]), *grid.shape]
        self._sha = hashlib.sha256(json.dumps([str(grid.crs), place]).encode())

    def add(self, strip: Window, painted: npt.NDArray[np.uint8]) -> None:
        """One more strip, top to bottom."""
        self._sha.update(painted.tobytes())
        for row, line in enumerate(painted):
            self._rows[strip.row + row] = np.bincount(line, minlength=256)

    def result(self) -> Painted:
        """All of it."""
        total = self._rows.sum(axis=0)
        km2 = _pixel_km2(self._grid) @ self._rows
        return Painted(
            grid=self._grid,
            counts={kind.slug: int(total[kind.code]) for kind in self._task.classes},
            square_km={kind.slug: round(float(km2[kind.code]), 6) for kind in self._task.classes},
            ignored=int(total[IGNORE]),
            bounds=bounds_of(self._grid),
            pixels_sha256=self._sha.hexdigest(),
        )


def bounds_of(grid: Grid) -> Bbox:
    """West, south, east, north of a grid, degrees."""
    box = grid.boundingbox
    to = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    west, south, east, north = to.transform_bounds(*box.bbox)
    return round(west, 9), round(south, 9), round(east, 9), round(north, 9)


def _pixel_km2(grid: Grid) -> npt.NDArray[np.float64]:
    """Ground of a pixel of each row, on the sphere where pixels are degrees; as the map says elsewhere."""
    size = abs(grid.affine.a * grid.affine.e)
    rows = grid.shape[0]
    if grid.crs is None or not grid.crs.geographic:
        return np.full(rows, size / 1e6)
    latitude = grid.affine.f + (np.arange(rows) + 0.5) * grid.affine.e
    return np.asarray(size * 111.195**2 * np.cos(np.radians(latitude)), dtype=np.float64)


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(
        Reason.RASTER_UNREADABLE, f"{name} cannot be read: {error}; is it a whole GeoTIFF of class numbers?"
    )
