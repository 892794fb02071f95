"""Labels on the pixels of a scene, as training and evaluation want them.

outlines        a pixel is labelled if its centre lies in a class, half a pixel from its edge or more
pixels          the nearest label; where labels are finer than the scene, the class that covers most
two classes     on one pixel contradict each other: it does not count
ignored         wins over everything
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio import features, warp
from rasterio.enums import Resampling
from rasterio.windows import Window

from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Grid
from undersky.labels.drawn import Drawn
from undersky.labels.mending import Shapes
from undersky.labels.tasks import IGNORE, NODATA, UNLABELLED, Task
from undersky.labels.version import Version

_EDGE = 0.49
"""Pixels of a class's edge that belong to nobody: half, less a hair, so that outlines drawn along pixels keep
every pixel that they hold."""
_AROUND = 4
"""Label pixels read beyond the grid's bounds: a warp looks over the edge."""
_FINER = 1.5
"""How much smaller a label's pixel must be than the scene's for the most frequent class to decide."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Objects on the pixels of a scene."""

    boxes: npt.NDArray[np.float64]
    """Upper left and lower right corner (row, col, row, col) from the grid's corner, (n, 4), in pixels."""
    classes: npt.NDArray[np.int16]
    """Number of the class of each, (n,)."""
    ignored: npt.NDArray[np.float64]
    """Regions nobody shall look at, likewise (m, 4)."""


def labels_on(version: Version, grid: Grid, *, sensed: date) -> npt.NDArray[np.int16]:
    """Number of each pixel's class, (y, x), -1 where nothing counts.

    Args:
        version: The labels.
        grid: Of the scene, or a part of it.
        sensed: The day of the scene: labels hold from a day to a day.

    Raises:
        ConfigError: The labels lie on images, not on the globe.
        DataError: `crs_mismatch`: the grid lies nowhere.
    """
    _refuse_unplaced(version, grid)
    if not version.manifest.is_valid(sensed):
        return np.full(grid.shape, UNLABELLED, dtype=np.int16)
    if version.raster is not None:
        return _numbers(_pixels_on(version, grid), version.task)
    return outlines_on(version.outlines(), grid, task=version.task)


def outlines_on(outlines: Drawn, grid: Grid, *, task: Task) -> npt.NDArray[np.int16]:
    """Number of each pixel's class by outlines, (y, x), -1 where nothing counts."""
    shapes, codes = _on_map(outlines, grid)
    result = np.full(grid.shape, UNLABELLED, dtype=np.int16)
    taken = np.zeros(grid.shape, dtype=bool)
    half = abs(grid.affine.a) * _EDGE
    for number, kind in enumerate(task.classes):
        whole = shapely.union_all(shapes[codes == kind.code])
        if whole.is_empty:
            continue
        inside = _mask(whole.buffer(-half, join_style="mitre"), grid)
        result[inside] = number
        # The edge of a class belongs to nobody, also where another class claims the centre of the pixel.
        touched = _mask(whole, grid)
        result[touched & taken] = UNLABELLED
        taken |= touched
    ignored = shapely.union_all(shapes[codes == IGNORE])
    if not ignored.is_empty:
        result[_mask(ignored, grid, all_touched=True)] = UNLABELLED
    return result


def boxes_on(version: Version, grid: Grid, *, sensed: date) -> Boxes:
    """Objects whose middle lies on the grid, as boxes in pixels.

    Raises:
        ConfigError: The labels are pixels, or lie on images and not on the globe.
        DataError: `crs_mismatch`: the grid lies nowhere.
    """
    _refuse_unplaced(version, grid)
    outlines = version.outlines()
    shapes, codes = _on_map(outlines, grid)
    if not version.manifest.is_valid(sensed):
        shapes, codes = shapes[:0], codes[:0]
    return _boxes(_to_pixels(shapes, grid), codes, version.task, shape=tuple(grid.shape))


def boxes_of_image(version: Version, image: str) -> Boxes:
    """Objects of one named image, as boxes in its pixels; for labels that lie nowhere on the globe.

    Raises:
        ConfigError: They lie on the globe, or no such image is labelled.
    """
    outlines = version.outlines()
    if outlines.images is None:
        raise ConfigError(f"{version.folder} lies on the globe; boxes_on puts it on a scene")
    here = np.asarray([name == image for name in outlines.images])
    if not here.any():
        raise ConfigError(f"no label lies on {image!r}; there are {' '.join(sorted(set(outlines.images)))}")
    return _boxes(shapely.bounds(outlines.shapes[here]), outlines.codes[here], version.task, shape=None)


def _boxes(
    bounds: npt.NDArray[np.float64],
    codes: npt.NDArray[np.uint8],
    task: Task,
    *,
    shape: tuple[int, ...] | None,
) -> Boxes:
    """From (col, row, col, row) to (row, col, row, col), those whose middle lies on the grid."""
    boxes = bounds[:, [1, 0, 3, 2]].astype(np.float64)
    if shape is not None:
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2.0
        here = ((middle >= 0) & (middle < np.asarray(shape))).all(axis=1)
        ignores = codes == IGNORE
        meets = (boxes[:, 2:] > 0).all(axis=1) & (boxes[:, :2] < np.asarray(shape)).all(axis=1)
        kept = np.where(ignores, meets, here)
        boxes, codes = boxes[kept], codes[kept]
    number = {code: index for index, code in enumerate(task.codes)}
    objects = codes != IGNORE
    classes = np.asarray([number[int(code)] for code in codes[objects]], dtype=np.int16)
    return Boxes(boxes[objects], classes, boxes[~objects])


def _on_map(outlines: Drawn, grid: Grid) -> tuple[Shapes, npt.NDArray[np.uint8]]:
    """The outlines that meet the grid, in its coordinates."""
    area = shapely.box(*_lonlat_bounds(grid))
    near = shapely.intersects(outlines.shapes, area)
    to = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True)
    shapes: Shapes = shapely.transform(
        outlines.shapes[near], lambda c: np.column_stack(to.transform(c[:, 0], c[:, 1]))
    )
    crooked = ~shapely.is_valid(shapes)
    shapes[crooked] = shapely.make_valid(shapes[crooked])
    return shapes, outlines.codes[near]


def _to_pixels(shapes: Shapes, grid: Grid) -> npt.NDArray[np.float64]:
    """Bounds of each outline in pixels of the grid, (n, 4): col, row, col, row."""
    back = ~grid.affine
    moved = shapely.transform(shapes, lambda c: np.column_stack(back @ (c[:, 0], c[:, 1])))
    return np.asarray(shapely.bounds(moved), dtype=np.float64).reshape(-1, 4)


def _mask(shape: shapely.Geometry, grid: Grid, *, all_touched: bool = False) -> npt.NDArray[np.bool_]:
    if shape.is_empty:
        return np.zeros(grid.shape, dtype=bool)
    found = features.rasterize(
        [shape], grid.shape, transform=grid.affine, all_touched=all_touched, dtype="uint8"
    )
    return np.asarray(found, dtype=bool)


def _pixels_on(version: Version, grid: Grid) -> npt.NDArray[np.uint8]:
    """Codes on the grid, read only where it lies."""
    codes = np.zeros(grid.shape, dtype=np.uint8)
    with rasterio.open(version.raster) as dataset:
        to = Transformer.from_crs(str(grid.crs), str(dataset.crs), always_xy=True)
        left, bottom, right, top = to.transform_bounds(*grid.boundingbox.bbox)
        (c0, r0), (c1, r1) = ~dataset.transform @ (left, top), ~dataset.transform @ (right, bottom)
        row0, col0 = max(0, int(r0) - _AROUND), max(0, int(c0) - _AROUND)
        row1, col1 = min(dataset.height, int(r1) + _AROUND), min(dataset.width, int(c1) + _AROUND)
        if row1 <= row0 or col1 <= col0:
            return codes
        finer = grid.shape[0] * _FINER < r1 - r0
        read = dataset.read(1, window=Window(col0, row0, col1 - col0, row1 - row0))
        places = {
            "src_transform": dataset.transform @ Affine.translation(col0, row0), "src_crs": dataset.crs,
            "dst_transform": grid.affine, "dst_crs": str(grid.crs),
        }  # fmt: skip
        warp.reproject(read, codes, resampling=Resampling.mode if finer else Resampling.nearest, **places)
        if finer:
            touched = np.zeros(grid.shape, dtype=np.uint8)
            ignored = (read == IGNORE).astype(np.uint8)
            warp.reproject(ignored, touched, resampling=Resampling.max, **places)
            codes[touched > 0] = IGNORE
    return codes


def _numbers(codes: npt.NDArray[np.uint8], task: Task) -> npt.NDArray[np.int16]:
    table = np.full(256, UNLABELLED, dtype=np.int16)
    table[list(task.codes)] = np.arange(len(task.codes))
    table[[NODATA, IGNORE]] = UNLABELLED
    return table[codes]


def _lonlat_bounds(grid: Grid) -> tuple[float, float, float, float]:
    to = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    west, south, east, north = to.transform_bounds(*grid.boundingbox.bbox)
    return float(west), float(south), float(east), float(north)


def _refuse_unplaced(version: Version, grid: Grid) -> None:
    if not version.manifest.placed:
        raise ConfigError(f"{version.folder} labels images without a place; boxes_of_image reads it")
    if grid.crs is None:
        raise DataError(
            Reason.CRS_MISMATCH, "a grid without a CRS meets no labels; give a georeferenced scene"
        )
