"""Coarse fields seen at full resolution, block by block: what the streaming inversion spends its time on.

`grid.upsample` multiplies with the weights of all nodes of an axis. Here one block meets only the nodes
around it, so the cost does not grow with their number:

    nodes   x-------x-------x-------x-------x
    block             [.......]              3 of 5 nodes matter
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats, Window, interpolation_weights

BLOCK_ROWS, BLOCK_COLS = 128, 512
"""A block's float32 image is 256 KB: a handful of them stay in a core's cache, and its matrix products are
too small for the BLAS to wake a second thread. Measured for a full Sentinel-2 tile: 5 CPU-s with fields,
inversion and both encodings; 8 s with 64 x 1024, 34 s with 256 x 1024."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """The part of an axis that one block covers."""

    first: int
    """First node that matters."""
    weights: Floats
    """(pixels, nodes that matter)."""

    @property
    def nodes(self) -> slice:
        return slice(self.first, self.first + self.weights.shape[1])


class FieldStack:
    """Several coarse fields over one footprint, upsampled together."""

    def __init__(self, fields: npt.NDArray[np.floating], grid_shape: tuple[int, int]) -> None:
        """Fields (field, y, x) on edge-to-edge nodes, to be seen at the pixels of a grid of that shape."""
        self._fields = np.ascontiguousarray(fields, dtype=np.float32)
        self._shape = grid_shape

    def at(self, window: Window) -> Floats:
        """The fields at the pixels of one window, (field, rows, cols)."""
        down = self._axis(0, window.row, window.height)
        across = self._axis(1, window.col, window.width)
        near = self._fields[:, down.nodes, across.nodes]
        return np.asarray(down.weights @ near @ across.weights.T, dtype=np.float32)

    def _axis(self, axis: int, start: int, count: int) -> _Axis:
        nodes = self._fields.shape[axis + 1]
        weights = interpolation_weights(self._shape[axis], nodes, start=start, count=count)
        used = np.flatnonzero(weights.any(axis=0))
        return _Axis(int(used[0]), np.ascontiguousarray(weights[:, used[0] : used[-1] + 1]))


def blocks(window: Window, *, rows: int = BLOCK_ROWS, cols: int = BLOCK_COLS) -> Iterator[Window]:
    """Cache-sized windows that cover `window` once, row by row."""
    for row in range(window.row, window.row + window.height, rows):
        height = min(rows, window.row + window.height - row)
        for col in range(window.col, window.col + window.width, cols):
            yield Window(row, col, height, min(cols, window.col + window.width - col))
