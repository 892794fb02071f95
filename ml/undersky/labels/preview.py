"""A picture of labels: every class in its colour over what is known of the ground, with counts and place.

+-----------------------------+----------------+
|  classes over grey ground,  |  name          |
|  ignored regions hatched,   |  classes with  |
|  scenes outlined            |  counts        |
+-----------------------------+----------------+
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image, ImageDraw
from PIL.ImageDraw import ImageDraw as Pen
from rasterio import features, warp
from rasterio.enums import Resampling

from undersky.grid import Grid
from undersky.labels.drawn import Drawn
from undersky.labels.matching import SceneItem
from undersky.labels.tasks import IGNORE, NODATA, Task
from undersky.labels.version import Manifest
from undersky.raster.browse import Picture, write_picture

MAP_PIXELS = 760
"""The longer side of the map."""
_LEGEND = 300
_MARGIN = 14
_SMALLEST = 9
"""Pixels of the side of the square that marks an object too small to see."""
_GROUND, _HATCH, _SCENE = 232, (120, 120, 120), (40, 40, 40)
_FACTOR = 2
"""Polygons are painted so much finer and then averaged: edges without stairs."""


@dataclass(frozen=True, slots=True)
class View:
    """What a preview shows."""

    manifest: Manifest
    """Name, counts, days."""
    task: Task
    """Classes and colours."""
    outlines: Drawn | None
    """The outlines, or None."""
    raster: Path | None
    """The raster of codes, or None."""
    backdrop: Path | None = None
    """A georeferenced raster to show below, its first band in grey."""
    scenes: Sequence[SceneItem] = ()
    """Whose footprints are drawn."""


def draw_preview(path: Path, view: View) -> None:
    """The PNG shows the labels; the same labels give the same bytes."""
    grid = _grid(view)
    ground = _backdrop(view.backdrop, grid)
    codes = _codes(view, grid)
    canvas = _painted(ground, codes, view.task)
    height, width = canvas.shape[:2]
    board = Image.new("RGB", (width + _LEGEND + 3 * _MARGIN, max(height, 420) + 2 * _MARGIN), "white")
    image = Image.fromarray(canvas)
    _mark(ImageDraw.Draw(image), view, grid)
    board.paste(image, (_MARGIN, _MARGIN))
    pen = ImageDraw.Draw(board)
    pen.rectangle((_MARGIN - 1, _MARGIN - 1, _MARGIN + width, _MARGIN + height), outline=(150, 150, 150))
    _legend(pen, view, left=width + 2 * _MARGIN)
    write_picture(path, np.asarray(board, dtype=np.uint8))


def _grid(view: View) -> Grid:
    """The map: degrees, as wide on the picture as on the ground; or pixels of the first image."""
    if view.outlines is not None and view.outlines.images is not None:
        first = view.outlines.images[0] if len(view.outlines) else ""
        shapes = view.outlines.shapes[[name == first for name in view.outlines.images]]
        left, top, right, bottom = shapely.total_bounds(shapes)
        pad = 0.05 * max(right - left, bottom - top, 20.0)
        scale = (max(right - left, bottom - top) + 2 * pad) / MAP_PIXELS
        shape = _shape(bottom - top + 2 * pad, right - left + 2 * pad, scale)
        return GeoBox(shape, Affine(scale, 0, left - pad, 0, scale, top - pad), None)
    west, south, east, north = view.manifest.bounds or (-180.0, -90.0, 180.0, 90.0)
    stretch = max(0.05, float(np.cos(np.radians((south + north) / 2))))
    pad = max(0.04 * max((east - west) * stretch, north - south), 5e-5)
    west, east = west - pad / stretch, east + pad / stretch
    south, north = south - pad, north + pad
    scale = max((east - west) * stretch, north - south) / MAP_PIXELS
    shape = _shape(north - south, (east - west) * stretch, scale)
    return GeoBox(shape, Affine(scale / stretch, 0, west, 0, -scale, north), "EPSG:4326")


def _shape(height: float, width: float, scale: float) -> tuple[int, int]:
    return max(80, round(height / scale)), max(80, round(width / scale))


def _backdrop(path: Path | None, grid: Grid) -> npt.NDArray[np.float32]:
    """Grey of the ground 0 .. 255, (y, x); light grey where nothing is known of it."""
    ground = np.full(grid.shape, float(_GROUND), dtype=np.float32)
    if path is None or grid.crs is None:
        return ground
    values = np.full(grid.shape, np.nan, dtype=np.float32)
    with rasterio.open(path) as dataset:
        step = max(1.0, max(dataset.shape) / (2 * MAP_PIXELS))
        shape = (max(1, round(dataset.height / step)), max(1, round(dataset.width / step)))
        read = dataset.read(1, out_shape=shape, masked=True, resampling=Resampling.average)
        place = dataset.transform @ Affine.scale(dataset.width / shape[1], dataset.height / shape[0])
        warp.reproject(
            read.filled(0).astype(np.float32), values, src_transform=place, src_crs=dataset.crs, src_nodata=0,
            dst_transform=grid.affine, dst_crs=str(grid.crs), dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )  # fmt: skip
    seen = np.isfinite(values)
    if seen.any():
        low, high = np.percentile(values[seen], (2, 98))
        level = np.clip((values[seen] - low) / max(high - low, 1e-9), 0.0, 1.0)
        ground[seen] = 40.0 + 200.0 * np.sqrt(level)
    return ground


def _codes(view: View, grid: Grid) -> npt.NDArray[np.uint8]:
    """Codes on the map, twice as fine, (2y, 2x)."""
    fine = GeoBox(
        (grid.shape[0] * _FACTOR, grid.shape[1] * _FACTOR), grid.affine @ Affine.scale(1 / _FACTOR), grid.crs
    )
    codes = np.full(fine.shape, NODATA, dtype=np.uint8)
    if view.raster is not None:
        with rasterio.open(view.raster) as dataset:
            step = max(1.0, max(dataset.shape) / (3 * MAP_PIXELS))
            shape = (max(1, round(dataset.height / step)), max(1, round(dataset.width / step)))
            read = dataset.read(1, out_shape=shape, resampling=Resampling.nearest)
            place = dataset.transform @ Affine.scale(dataset.width / shape[1], dataset.height / shape[0])
            warp.reproject(
                read, codes, src_transform=place, src_crs=dataset.crs, dst_transform=fine.affine,
                dst_crs=str(fine.crs), resampling=Resampling.nearest,
            )  # fmt: skip
        return codes
    outlines = view.outlines
    if outlines is None or not len(outlines):
        return codes
    shown = np.ones(len(outlines), dtype=bool)
    if outlines.images is not None:
        shown = np.asarray([name == outlines.images[0] for name in outlines.images])
    pairs = list(zip(outlines.shapes[shown], outlines.codes[shown].tolist(), strict=True))
    return np.asarray(
        features.rasterize(pairs, fine.shape, transform=fine.affine, dtype="uint8"),
        dtype=np.uint8,
    )


def _painted(ground: npt.NDArray[np.float32], codes: npt.NDArray[np.uint8], task: Task) -> Picture:
    """Classes three quarters opaque over the ground, ignored regions hatched."""
    table = np.zeros((256, 3), dtype=np.float32)
    for kind in task.classes:
        table[kind.code] = kind.colour
    rows, cols = np.indices(codes.shape, dtype=np.int32)
    hatch = (codes == IGNORE) & ((rows + cols) % (6 * _FACTOR) < 2 * _FACTOR)
    table[IGNORE] = _HATCH
    strength = np.where(codes == NODATA, 0.0, np.where(codes == IGNORE, 0.9 * hatch, 0.75)).astype(np.float32)
    below = np.repeat(np.repeat(ground, _FACTOR, 0), _FACTOR, 1)[..., None]
    mixed = below * (1.0 - strength[..., None]) + table[codes] * strength[..., None]
    height, width = ground.shape
    averaged = mixed.reshape(height, _FACTOR, width, _FACTOR, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(averaged), dtype=np.uint8)


def _mark(pen: Pen, view: View, grid: Grid) -> None:
    """Objects too small to see get a square, scenes their outline."""
    back = ~grid.affine
    if view.outlines is not None and view.task.counted_in == "objects":
        colours = {kind.code: kind.colour for kind in view.task.classes} | {IGNORE: _HATCH}
        names = view.outlines.images or ("",) * len(view.outlines)
        for shape, code, name in zip(view.outlines.shapes, view.outlines.codes, names, strict=True):
            if name != names[0]:
                continue
            (x0, y0), (x1, y1) = back @ shape.bounds[:2], back @ shape.bounds[2:]
            grow = max(0.0, (_SMALLEST - max(abs(x1 - x0), abs(y1 - y0))) / 2.0) + 2.0
            box = (min(x0, x1) - grow, min(y0, y1) - grow, max(x0, x1) + grow, max(y0, y1) + grow)
            pen.rectangle(box, outline=colours[int(code)], width=2)
    if grid.crs is not None:
        for scene in view.scenes:
            for ring in shapely.get_exterior_ring(shapely.get_parts(scene.footprint)):
                pen.line([back @ point for point in ring.coords], fill=_SCENE, width=1)


def _legend(pen: Pen, view: View, *, left: int) -> None:
    manifest, top = view.manifest, _MARGIN
    objects = view.task.counted_in == "objects"
    unit = "pixels" if manifest.form == "pixels" else "objects" if objects else "outlines"
    pen.text((left, top), manifest.name, fill="black", font_size=18)
    days = f"{manifest.valid_from} to {manifest.valid_to}"
    lines = [f"{manifest.task}, {days}", f"version {manifest.digest[:12]}", _place(manifest)]
    for number, line in enumerate(lines):
        pen.text((left, top + 28 + 17 * number), line, fill=(90, 90, 90), font_size=12)
    top += 28 + 17 * len(lines) + 14
    for kind in view.task.classes:
        count = manifest.counts[kind.slug]
        ink = "black" if count else (170, 170, 170)
        pen.rectangle((left, top + 2, left + 14, top + 14), fill=kind.colour if count else None, outline=ink)
        pen.text((left + 22, top), kind.name, fill=ink, font_size=13)
        pen.text((left + _LEGEND - 1, top), f"{count:,}", fill=ink, font_size=13, anchor="ra")
        top += 21
    pen.rectangle((left, top + 2, left + 14, top + 14), outline=_HATCH)
    pen.line((left, top + 14, left + 14, top + 2), fill=_HATCH)
    pen.text((left + 22, top), "ignored", fill=_HATCH, font_size=13)
    pen.text((left + _LEGEND - 1, top), f"{manifest.ignored:,}", fill=_HATCH, font_size=13, anchor="ra")
    pen.text((left + _LEGEND - 1, top + 24), unit, fill=_HATCH, font_size=12, anchor="ra")
    if view.scenes:
        pen.text((left, top + 24), f"{len(view.scenes)} scenes outlined", fill=_SCENE, font_size=12)


def _place(manifest: Manifest) -> str:
    if manifest.bounds is None:
        return "pixels of images, no place"
    west, south, east, north = manifest.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    return f"{abs(lat):.3f} {'N' if lat >= 0 else 'S'}, {abs(lon):.3f} {'E' if lon >= 0 else 'W'}"
