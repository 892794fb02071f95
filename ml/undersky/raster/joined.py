"""The layers that join all bands: `quality` and `saturation`, strip by strip of the scene's finest grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.grid import Window
from undersky.quality import Quality, QualityBits
from undersky.raster.planes import BandPlanes, nearest

Bools = npt.NDArray[np.bool_]
_CODES = 1 << 16


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a scene's pixels beside its bands, each over the whole footprint."""

    mask: QualityBits
    """Cloud, shadow, cirrus, snow, water: cells, (y, x)."""
    fallback: Bools
    """The physics baseline stood in: edge-to-edge nodes, (y, x)."""
    outside: Bools
    """Outside the tables: edge-to-edge nodes, (y, x)."""
    is_incomplete: bool
    """Some test could not be made as designed, anywhere."""


def quality_strip(
    judgement: Judgement, planes: Sequence[BandPlanes], *, window: Window, shape: tuple[int, int]
) -> QualityBits:
    """The quality bits of a full-width window of the raster of `shape`, uint16 (rows, cols)."""
    rows = nearest(judgement.mask.shape[0], shape[0], start=window.row, count=window.height)
    cols = nearest(judgement.mask.shape[1], shape[1])
    quality = judgement.mask.take(rows, axis=0).take(cols, axis=1)
    if judgement.is_incomplete:
        quality |= np.uint16(Quality.INCOMPLETE_TESTING)
    for flag, nodes in ((Quality.FALLBACK, judgement.fallback), (Quality.OUTSIDE_TABLES, judgement.outside)):
        if nodes.any():
            quality |= _bits(_nearest_node(nodes, window, shape), flag)
    for band in planes:
        for flag, plane in ((Quality.NODATA, band.nodata), (Quality.SATURATED, band.saturated)):
            found = plane.read_onto(window, shape)
            if found is not None:
                quality |= _bits(found, flag)
    return quality


def saturation_strip(planes: Sequence[BandPlanes], *, window: Window, shape: tuple[int, int]) -> QualityBits:
    """Bit i where the i-th band saturated, uint16 (rows, cols)."""
    bits = np.zeros(window.shape, dtype=np.uint16)
    for number, band in enumerate(planes):
        found = band.saturated.read_onto(window, shape)
        if found is not None:
            bits |= _bits(found, 1 << number)
    return bits


class FlagCounter:
    """How often each quality flag was set, strip after strip."""

    def __init__(self) -> None:
        self._counts = np.zeros(_CODES, dtype=np.int64)

    def add(self, quality: QualityBits) -> None:
        """These pixels are counted too."""
        self._counts += np.bincount(quality.ravel(), minlength=_CODES)

    def percent(self) -> Mapping[str, float]:
        """Share of each flag in the pixels with data, 0 .. 100; of `nodata` in all pixels."""
        codes = np.arange(_CODES)
        valid = (codes & Quality.NODATA) == 0
        total, seen = int(self._counts.sum()), int(self._counts[valid].sum())
        result = {"nodata": 100.0 * (total - seen) / max(total, 1)}
        for flag in Quality:
            if flag is not Quality.NODATA:
                having = int(self._counts[valid & ((codes & flag) != 0)].sum())
                result[str(flag.name).lower()] = 100.0 * having / max(seen, 1)
        return result


def _bits(found: Bools, flag: int) -> QualityBits:
    return found.astype(np.uint16) * np.uint16(flag)


def _nearest_node(nodes: Bools, window: Window, shape: tuple[int, int]) -> Bools:
    rows = _node_under(nodes.shape[0], shape[0], start=window.row, count=window.height)
    cols = _node_under(nodes.shape[1], shape[1], start=window.col, count=window.width)
    return nodes.take(rows, axis=0).take(cols, axis=1)


def _node_under(nodes: int, size: int, *, start: int, count: int) -> npt.NDArray[np.intp]:
    position = (np.arange(start, start + count) + 0.5) / size * (nodes - 1)
    return np.rint(position).astype(np.intp)
