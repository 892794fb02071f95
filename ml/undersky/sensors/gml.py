"""Masks as Sentinel-2 wrote them until baseline 04.00: polygons in GML, in the tile's own map coordinates.

A file may have no feature, an empty polygon, or one that is malformed: what cannot be drawn is counted, so
that a reader can say so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.features import rasterize

from undersky.grid import Grid, Window
from undersky.sensors.archive import ProductFiles
from undersky.sensors.safe_xml import find_all, read_xml, text

Ring = list[tuple[float, float]]
_MIN_RING = 4


@dataclass(frozen=True, slots=True)
class Polygon:
    """One feature of a mask."""

    id: str
    """The feature's identifier: `detector_footprint-B02-07-0`."""
    kind: str
    """Its type: `OPAQUE`, `CIRRUS`, `DETECTOR_FOOTPRINT`."""
    rings: tuple[Ring, ...]
    """Exterior ring, then the holes; (x, y)."""
    box: tuple[float, float, float, float]
    """Left, bottom, right, top of the exterior."""


@dataclass(frozen=True, slots=True)
class GmlMask:
    """One mask file."""

    polygons: tuple[Polygon, ...]
    """Every feature that can be drawn."""
    broken: int
    """How many could not be."""


def read_gml(files: ProductFiles, name: str) -> GmlMask:
    """The polygons of one mask file.

    Raises:
        DataError: `metadata_invalid`, `metadata_hostile`.
    """
    polygons, broken = [], 0
    for feature in find_all(read_xml(files, name), "MaskFeature"):
        kind = text(feature, "maskType") or ""
        identifier = next((value for key, value in feature.attrib.items() if key.endswith("id")), "")
        for element in find_all(feature, "Polygon"):
            rings = [_ring(part) for part in find_all(element, "posList")]
            if not rings or any(ring is None for ring in rings):
                broken += 1
                continue
            whole = tuple(ring for ring in rings if ring is not None)
            xs, ys = zip(*whole[0], strict=True)
            polygons.append(Polygon(identifier, kind, whole, (min(xs), min(ys), max(xs), max(ys))))
    return GmlMask(tuple(polygons), broken)


def draw(polygons: Iterable[tuple[Polygon, int]], grid: Grid, window: Window) -> npt.NDArray[np.uint8]:
    """The value of the polygon over each pixel centre of a window, 0 where there is none; later ones win."""
    width, height = grid.affine.a, grid.affine.e
    left, top = grid.affine.c + window.col * width, grid.affine.f + window.row * height
    right, bottom = left + window.width * width, top + window.height * height
    transform = Affine(width, 0, left, 0, height, top)
    shapes = [
        ({"type": "Polygon", "coordinates": [list(ring) for ring in polygon.rings]}, value)
        for polygon, value in polygons
        if polygon.box[0] < right
        and polygon.box[2] > left
        and polygon.box[1] < top
        and polygon.box[3] > bottom
    ]
    if not shapes:
        return np.zeros(window.shape, dtype=np.uint8)
    return np.asarray(rasterize(shapes, out_shape=window.shape, transform=transform, fill=0, dtype="uint8"))


def _ring(element: Element) -> Ring | None:
    """The closed ring of a position list, None where it is none."""
    try:
        numbers = [float(word) for word in (element.text or "").split()]
        step = int(element.get("srsDimension", "2"))
    except ValueError:
        return None
    if step not in (2, 3) or len(numbers) % step or not np.isfinite(numbers).all():
        return None
    ring = list(zip(numbers[::step], numbers[1::step], strict=True))
    return ring if len(ring) >= _MIN_RING and ring[0] == ring[-1] else None
