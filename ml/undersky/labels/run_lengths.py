"""COCO's run lengths become outlines in pixels.

A mask is written as lengths of runs, first of background, then of object, down the columns:

    . o .
    . o .     size [3, 3], counts [3, 2, 4]
    . . .

Compressed, each length (from the fourth on its difference to the last but one) is written in groups of five
bits, the lowest first, each a letter from `0` on; bit 6 says that more follow, bit 5 of the last is the sign.

Source: cocoapi, common/maskApi.c, functions rleToString and rleFrString.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio import features
from shapely.geometry import shape

LARGEST = 500_000_000
"""Pixels of a mask; a longer one is no image."""


def outline_of_runs(counts: str | Sequence[int], size: tuple[int, int]) -> shapely.Geometry:
    """The outline of a mask in (column, row) from the upper left corner, along pixel edges; maybe empty.

    Args:
        counts: Run lengths, plain or compressed.
        size: Rows and columns.

    Raises:
        ValueError: They are no mask of that size.
    """
    height, width = size
    runs = _unpacked(counts) if isinstance(counts, str) else np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu" or (runs < 0).any():
        raise ValueError("run lengths are whole numbers from 0 on")
    if not 0 < height * width <= LARGEST or int(runs.sum()) != height * width:
        raise ValueError(f"runs of {int(runs.sum())} pixels in all, the image has {height} x {width}")
    ends = np.cumsum(runs)
    begins = ends - runs
    lengths = runs[1::2]
    if not lengths.sum():
        return shapely.Polygon()
    place = np.repeat(begins[1::2] - np.cumsum(lengths) + lengths, lengths) + np.arange(int(lengths.sum()))
    return outline_of_pixels(place % height, place // height)


def outline_of_pixels(rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]) -> shapely.Geometry:
    """The outline of these pixels, in (column, row)."""
    top, left = int(rows.min()), int(cols.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(cols.max()) - left + 1), dtype=np.uint8)
    mask[rows - top, cols - left] = 1
    place = Affine.translation(left, top)
    parts = [shape(found) for found, _ in features.shapes(mask, mask=mask.astype(bool), transform=place)]
    return shapely.union_all(parts)


def _unpacked(text: str) -> npt.NDArray[np.int64]:
    numbers: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{letter!r} is no letter of compressed run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths end in the middle of a number")
    return np.asarray(numbers, dtype=np.int64)
