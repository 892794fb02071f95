"""Where pixels lie. A grid is an odc-geo `GeoBox`; this file adds what streaming and coarse fields need.

A pixel position is (row, col), a map position (x, y). A `Window` is a block of whole pixels. A coarse
grid spans the same footprint with its node *centres* on the corners of equal cells, so that a bilinear
field covers every pixel without extrapolation:

    x---+---+---x    x coarse node (sits on the footprint's edge)
    |   .   .   |    . fine pixel centres between the nodes
    x---+---+---x
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

Floats = npt.NDArray[np.float32]

Grid = GeoBox
"""CRS, affine transform and (rows, cols) of a raster."""


@dataclass(frozen=True, slots=True)
class Window:
    """A block of whole pixels."""

    row: int
    """First row."""
    col: int
    """First column."""
    height: int
    """Number of rows."""
    width: int
    """Number of columns."""

    def __post_init__(self) -> None:
        if min(self.row, self.col) < 0 or min(self.height, self.width) < 1:
            raise ValueError(f"not a window: {self}")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.height, self.width


def whole(grid: Grid) -> Window:
    """The window that covers the grid."""
    rows, cols = grid.shape
    return Window(0, 0, rows, cols)


def strips(grid: Grid, *, rows: int) -> Iterator[Window]:
    """Full-width windows of at most `rows` rows, top to bottom, that cover the grid once."""
    height, width = grid.shape
    for row in range(0, height, rows):
        yield Window(row, 0, min(rows, height - row), width)


def resolution_m(grid: Grid) -> float:
    """Pixel size in map units (metres for the UTM grids of both sensors)."""
    return float(abs(grid.affine.a))


def footprint_lonlat(grid: Grid) -> list[tuple[float, float]]:
    """The closed ring (lon, lat) of the grid's footprint in WGS 84 degrees, counter-clockwise."""
    if grid.crs is None:
        raise ValueError("a grid without a CRS lies nowhere")
    to_lonlat = grid.crs.transformer_to_crs("EPSG:4326")
    left, bottom, right, top = grid.boundingbox.bbox
    x, y = np.array([left, left, right, right, left]), np.array([top, bottom, bottom, top, top])
    ring = [(float(lon), float(lat)) for lon, lat in zip(*to_lonlat(x, y), strict=True)]
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
    return ring if area > 0 else ring[::-1]


def node_count(grid: Grid, *, spacing_m: float) -> tuple[int, int]:
    """Nodes (rows, cols) of the coarse grid of about that spacing; never fewer than two a side."""
    rows, cols = grid.shape
    size = resolution_m(grid)
    return (
        max(2, math.ceil(rows * size / spacing_m) + 1),
        max(2, math.ceil(cols * size / spacing_m) + 1),
    )


def interpolation_weights(size: int, nodes: int, *, start: int = 0, count: int | None = None) -> Floats:
    """Bilinear weights (count, nodes) of pixels `start` .. `start + count` among `nodes` edge-to-edge nodes.

    A field at the nodes becomes a field at the pixels by `rows_weights @ field @ cols_weights.T`: two
    small matrix products, the fastest upsampling a CPU has.

    Args:
        size: Pixels along the whole axis.
        nodes: Nodes along the whole axis; the first and last lie on the outer pixel edges.
        start: First pixel wanted.
        count: Pixels wanted; to the end of the axis when None.
    """
    count = size - start if count is None else count
    position = (np.arange(start, start + count) + 0.5) / size * (nodes - 1)
    left = np.minimum(position.astype(int), nodes - 2)
    fraction = position - left
    weights = np.zeros((count, nodes), dtype=np.float32)
    pixels = np.arange(count)
    weights[pixels, left] = 1.0 - fraction
    weights[pixels, left + 1] = fraction
    return weights


def upsample(field: npt.NDArray[np.floating], grid_shape: tuple[int, int], window: Window) -> Floats:
    """A coarse field (y, x) at the pixels of one window of a grid of that shape: float32 (height, width)."""
    rows = interpolation_weights(grid_shape[0], field.shape[0], start=window.row, count=window.height)
    cols = interpolation_weights(grid_shape[1], field.shape[1], start=window.col, count=window.width)
    return np.asarray((rows @ field.astype(np.float32)) @ cols.T, dtype=np.float32)


def node_grid(grid: Grid, nodes: tuple[int, int]) -> Grid:
    """A grid whose pixel centres are the edge-to-edge nodes (rows, cols) over `grid`'s footprint.

    What is warped or averaged onto it stands at the nodes; its outer pixels reach half a cell beyond.
    """
    step_rows, step_cols = (size / (count - 1) for size, count in zip(grid.shape, nodes, strict=True))
    shift = Affine.translation(-step_cols / 2, -step_rows / 2)
    return GeoBox(nodes, grid.affine @ shift @ Affine.scale(step_cols, step_rows), grid.crs)


def resample_nodes(field: npt.NDArray[np.floating], nodes: tuple[int, int]) -> Floats:
    """The same edge-to-edge field (y, x) seen at another number of nodes, bilinear."""
    axes = [_node_weights(have, want) for have, want in zip(field.shape, nodes, strict=True)]
    return np.asarray((axes[0] @ field.astype(np.float32)) @ axes[1].T, dtype=np.float32)


def _node_weights(have: int, want: int) -> Floats:
    position = np.linspace(0.0, have - 1.0, want)
    left = np.minimum(position.astype(int), have - 2)
    weights = np.zeros((want, have), dtype=np.float32)
    weights[np.arange(want), left] = 1.0 - (position - left)
    weights[np.arange(want), left + 1] = position - left
    return weights
