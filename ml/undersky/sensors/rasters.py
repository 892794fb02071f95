"""Reading raster files: window by window, averaged, or by the nearest pixel of another grid.

A file is opened anew for every read: opening costs under a millisecond, and a dataset may not be shared
between threads. Drivers are pinned, so that a file of another format under a raster's name is refused,
and GDAL looks at no file beside the one it was given.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow
from scipy.sparse import csr_array

from undersky.errors import DataError, Reason
from undersky.grid import Floats, Grid, Window
from undersky.sensors.archive import ProductFiles
from undersky.sensors.headers import check_header

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Array = npt.NDArray[np.generic]

JPEG_2000 = "JP2OpenJPEG"
GEOTIFF = "GTiff"
_CHUNK_PIXELS = 8_000_000
_WARNINGS = threading.Lock()


@dataclass(frozen=True, slots=True)
class RasterFile:
    """One raster file whose header was read and found whole."""

    path: str
    """How GDAL names it."""
    label: str
    """How a message names it."""
    driver: str
    """The only driver that may read it."""
    shape: tuple[int, int]
    """(rows, cols)."""
    bands: int
    """Number of bands."""
    dtype: str
    """Numpy name of the pixel type."""
    nodata: float | None
    """What the file itself calls nodata."""
    crs: str | None
    """Its CRS as WKT or EPSG code; None where the file has none."""
    transform: Affine | None
    """Its affine transform; None where the file has none."""
    reductions: tuple[int, ...]
    """Factors at which it can be read reduced, ascending."""
    block_rows: int = 1
    """Rows the file decodes together."""


def open_raster(files: ProductFiles, name: str, *, driver: str) -> RasterFile:
    """The header of one raster of the product.

    Raises:
        DataError: `raster_truncated`, `raster_too_large`, `raster_unreadable`.
    """
    check_header(files, name, driver=driver)
    path, label = files.gdal_path(name), f"{name} of {files.label}"
    with _opened(path, label, driver=driver) as dataset:
        crs = dataset.crs
        georeferenced = dataset.transform != Affine.identity()
        epsg = crs.to_epsg() if crs else None
        return RasterFile(
            path=path,
            label=label,
            driver=driver,
            shape=(dataset.height, dataset.width),
            bands=dataset.count,
            dtype=dataset.dtypes[0],
            nodata=dataset.nodata,
            crs=(f"EPSG:{epsg}" if epsg else crs.to_wkt()) if crs else None,
            transform=dataset.transform if georeferenced else None,
            reductions=tuple(dataset.overviews(1)) if driver == JPEG_2000 else (),
            block_rows=dataset.block_shapes[0][0],
        )


def read_window(raster: RasterFile, window: Window, *, band: int = 1) -> Array:
    """The pixels of a window as the file holds them, (rows, cols).

    Raises:
        DataError: `raster_unreadable`: they cannot be decoded.
    """
    with _opened(raster.path, raster.label, driver=raster.driver) as dataset:
        return np.asarray(dataset.read(band, window=_rasterio_window(window)))


def read_sampled(raster: RasterFile, *, shape: tuple[int, int]) -> Array:
    """The pixels under the cell centres of a coarser grid over the whole raster, (rows, cols).

    Raises:
        DataError: `raster_unreadable`: they cannot be decoded.
    """
    with _opened(raster.path, raster.label, driver=raster.driver) as dataset:
        return np.asarray(dataset.read(1, out_shape=shape))


def read_average(
    raster: RasterFile, window: Window, *, shape: tuple[int, int], nodata: tuple[float, ...]
) -> Floats:
    """The mean of a window's valid pixels over each cell of a coarser grid, (rows, cols), NaN where none is.

    JPEG 2000 is decoded at a reduced resolution at least twice as fine as asked for: its low-pass filter is
    no mean, but four of its pixels together nearly are. There the filter has also mixed nodata into its
    neighbours, so these are left out as well.
    """
    wanted = min(window.height / shape[0], window.width / shape[1])
    reduction = max((factor for factor in raster.reductions if factor <= wanted / 2), default=1)
    total = np.zeros(shape, dtype=np.float32)
    weight = np.zeros(shape, dtype=np.float32)
    with _opened(raster.path, raster.label, driver=raster.driver, level=_level(raster, reduction)) as dataset:
        rows = _covering(window.row, window.height, reduction, limit=dataset.height)
        cols = _covering(window.col, window.width, reduction, limit=dataset.width)
        right = _mean_weights(_reduced(window.col, reduction), window.width / reduction, shape[1], cols)
        step = len(rows) if reduction > 1 else max(1, _CHUNK_PIXELS // len(cols))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            pixels = dataset.read(1, window=RasterioWindow(cols.start, part.start, len(cols), len(part)))
            valid = _valid(pixels, nodata, shrink=reduction > 1)
            left = _mean_weights(_reduced(window.row, reduction), window.height / reduction, shape[0], part)
            total += _summed(left, np.where(valid, pixels, 0), right)
            weight += _summed(left, valid, right)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(weight > 1e-6, total / weight, np.nan), dtype=np.float32)


def read_nearest(raster: RasterFile, own: Grid, *, at: Grid, window: Window, band: int = 1) -> Array:
    """The raster's pixels under the pixel centres of a window of another grid; 0 outside the raster.

    Args:
        raster: The file.
        own: The grid of the file.
        at: The grid whose window is asked for; both are north-up in the same CRS.
        window: A window of `at`.
        band: One-based.
    """
    rows = own_pixels((at.affine.f, at.affine.e), (own.affine.f, own.affine.e), window.row, window.height)
    cols = own_pixels((at.affine.c, at.affine.a), (own.affine.c, own.affine.a), window.col, window.width)
    inside_rows = (rows >= 0) & (rows < raster.shape[0])
    inside_cols = (cols >= 0) & (cols < raster.shape[1])
    result = np.zeros(window.shape, dtype=raster.dtype)
    if not inside_rows.any() or not inside_cols.any():
        return result
    rows, cols = rows[inside_rows], cols[inside_cols]
    block = Window(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
    pixels = read_window(raster, block, band=band)
    if pixels.shape == window.shape and inside_rows.all() and inside_cols.all():
        return pixels
    result[np.ix_(inside_rows, inside_cols)] = pixels[np.ix_(rows - block.row, cols - block.col)]
    return result


@contextmanager
def _opened(path: str, label: str, *, driver: str, level: int | None = None) -> Iterator["DatasetReader"]:
    """A dataset of that driver and nothing else; what GDAL complains of becomes a DataError."""
    options = {} if level is None else {"overview_level": level}
    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"):
            # catch_warnings is process-wide: the lock keeps two threads from undoing each other
            with _WARNINGS, warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = rasterio.open(path, driver=driver, **options)
            with dataset:
                yield dataset
    except (RasterioError, ValueError, MemoryError) as error:
        cause = error.__cause__ or error
        raise DataError(
            Reason.RASTER_UNREADABLE, f"{label} cannot be decoded: {cause}; fetch it again"
        ) from error


def _rasterio_window(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)


def _level(raster: RasterFile, reduction: int) -> int | None:
    return raster.reductions.index(reduction) if reduction > 1 else None


def _covering(start: int, count: int, reduction: int, *, limit: int) -> range:
    """The reduced pixels that touch a stretch of full-resolution ones."""
    first, last = _reduced(start, reduction), _reduced(start + count, reduction)
    return range(min(int(first), limit - 1), min(int(np.ceil(last)), limit))


def _reduced(position: int, reduction: int) -> float:
    """A pixel edge of the full resolution among reduced pixels.

    The wavelet keeps every r-th sample: reduced pixel k stands on the centre of pixel k * r, not on the
    middle of the r pixels from there.
    """
    return (position - 0.5) / reduction + 0.5


def _mean_weights(start: float, length: float, cells: int, pixels: range) -> csr_array:
    """How much of each pixel (column) lies in each of the equal cells (row) of a stretch of the axis.

    Sparse: a cell touches a few pixels, and a full tile has thousands of both.
    """
    edges = start + length * np.arange(cells + 1) / cells
    first = np.floor(edges[:-1]).astype(np.intp)
    reach = np.arange(int(np.ceil(length / cells)) + 1)
    touched = first[:, None] + reach
    share = np.minimum(edges[1:, None], touched + 1.0) - np.maximum(edges[:-1, None], touched)
    used = (share > 0.0) & (touched >= pixels.start) & (touched < pixels.stop)
    cell = np.broadcast_to(np.arange(cells)[:, None], touched.shape)
    where = cell[used], touched[used] - pixels.start
    return csr_array((share[used].astype(np.float32), where), shape=(cells, len(pixels)))


def _summed(left: csr_array, pixels: Array, right: csr_array) -> Floats:
    """The product left @ pixels @ right.T in single precision, some rows at a time to stay small."""
    result = np.zeros((left.shape[0], right.shape[0]), dtype=np.float32)
    rows = max(1, _CHUNK_PIXELS // pixels.shape[1])
    columns = left.tocsc()
    for start in range(0, len(pixels), rows):
        some = pixels[start : start + rows].astype(np.float32)
        across = (right @ some.T).T
        result += columns[:, start : start + rows] @ across
    return result


def _valid(pixels: Array, nodata: tuple[float, ...], *, shrink: bool) -> npt.NDArray[np.bool_]:
    valid = ~np.isin(pixels, nodata)
    if not shrink or valid.all():
        return valid
    padded = np.pad(valid, 1, mode="edge")
    rows, cols = valid.shape
    whole = valid.copy()
    for row in range(3):
        for col in range(3):
            whole &= padded[row : row + rows, col : col + cols]
    return whole if whole.any() else valid


def own_pixels(
    axis: tuple[float, float], own: tuple[float, float], start: int, count: int
) -> npt.NDArray[np.intp]:
    """Which of a raster's own pixels lies under each pixel centre of another axis (origin, step)."""
    centres = axis[0] + (np.arange(start, start + count) + 0.5) * axis[1]
    return np.asarray(np.floor((centres - own[0]) / own[1]), dtype=np.intp)
