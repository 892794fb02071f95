"""Coarse fields on edge-to-edge nodes over a footprint: sampling them, and directions as vectors.

Angles are never averaged or interpolated as numbers: 359 and 1 degree are neighbours, and near the zenith
the azimuth turns quickly while the direction hardly moves. The horizontal part of the unit vector,

    east = sin(zenith) * sin(azimuth),   north = sin(zenith) * cos(azimuth),

is smooth everywhere a sensor or a sun above the horizon can be.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats, Grid, Window, node_count

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

NODE_SPACING_M = 5000.0
"""The spacing of Sentinel-2's own angle grids."""


def nodes_xy(grid: Grid, *, spacing_m: float = NODE_SPACING_M) -> tuple[Doubles, Doubles]:
    """Map positions of the edge-to-edge nodes over the grid: (x of each column, y of each row)."""
    rows, cols = node_count(grid, spacing_m=spacing_m)
    box = grid.boundingbox
    return np.linspace(box.left, box.right, cols), np.linspace(box.top, box.bottom, rows)


def to_vector(zenith: Doubles, azimuth: Doubles) -> Doubles:
    """Horizontal part (2, ...) of the unit vectors of directions in degrees: east, north."""
    azimuth_rad = np.radians(azimuth)
    return np.asarray(np.sin(np.radians(zenith)) * np.stack([np.sin(azimuth_rad), np.cos(azimuth_rad)]))


def to_angles(vector: Doubles) -> tuple[Floats, Floats]:
    """(zenith, azimuth 0 .. 360) in degrees of horizontal parts (2, ...)."""
    east, north = vector
    zenith = np.degrees(np.arcsin(np.clip(np.hypot(east, north), 0.0, 1.0)))
    azimuth = np.degrees(np.arctan2(east, north)) % 360.0
    return zenith.astype(np.float32), azimuth.astype(np.float32)


def merge(vectors: Iterable[Doubles]) -> Doubles:
    """The mean direction of the vectors that exist at each node; NaN where none does."""
    stack = np.stack(list(vectors))
    valid = np.isfinite(stack).all(axis=1, keepdims=True)
    horizontal = np.where(valid, stack, 0.0)
    up = np.where(valid, np.sqrt(np.clip(1.0 - (horizontal**2).sum(axis=1, keepdims=True), 0.0, 1.0)), 0.0)
    total, total_up = horizontal.sum(axis=0), up.sum(axis=0)
    length = np.sqrt((total**2).sum(axis=0, keepdims=True) + total_up**2)
    return np.asarray(np.where(length > 0, total / np.where(length > 0, length, 1.0), np.nan))


def fill_gaps(field: Doubles) -> Doubles:
    """The field without NaN: beyond its edge it goes on from the nearest value along its best plane.

    Args:
        field: (y, x), finite somewhere.
    """
    valid = np.isfinite(field)
    if valid.all():
        return field
    where: Indices = np.indices(field.shape)
    # from their middle, so that a slope nobody can tell comes out as zero
    rows, cols = (axis - axis[valid].mean() for axis in where)
    base = np.stack([np.ones(valid.sum()), rows[valid], cols[valid]], axis=1)
    plane = np.linalg.lstsq(base, field[valid], rcond=1e-6)[0]
    trend = plane[0] + plane[1] * rows + plane[2] * cols
    near_rows, near_cols = _nearest(valid)
    return np.asarray(np.where(valid, field, trend + (field - trend)[near_rows, near_cols]))


def _nearest(valid: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Row and column of the nearest valid node of every node: first along its row, then over all rows."""
    rows, cols = valid.shape
    columns = np.arange(cols)
    left = np.maximum.accumulate(np.where(valid, columns, -np.inf), axis=1)
    right = np.minimum.accumulate(np.where(valid, columns, np.inf)[:, ::-1], axis=1)[:, ::-1]
    in_row = np.where(columns - left <= right - columns, left, right)
    squared = (in_row - columns) ** 2
    best = np.empty(valid.shape, dtype=np.intp)
    for row in range(rows):
        best[row] = np.argmin(squared + ((np.arange(rows) - row) ** 2)[:, None], axis=0)
    return best, in_row[best, columns].astype(np.intp)


def sample(field: Doubles, axes: tuple[Doubles, Doubles], *, rows: Doubles, cols: Doubles) -> Doubles:
    """A field bilinear at positions; beyond its last values it keeps them.

    Args:
        field: (y, x) without NaN.
        axes: Position of each of its rows and columns, ascending.
        rows: Positions wanted along the rows' axis, any shape.
        cols: Positions wanted along the columns' axis, the same shape.
    """
    row, down = _position(axes[0], rows)
    col, right = _position(axes[1], cols)
    upper = field[row, col] * (1.0 - right) + field[row, col + 1] * right
    lower = field[row + 1, col] * (1.0 - right) + field[row + 1, col + 1] * right
    return np.asarray(upper * (1.0 - down) + lower * down)


def _position(axis: Doubles, wanted: Doubles) -> tuple[Indices, Doubles]:
    """The value before each position and how far it lies towards the next, 0 .. 1."""
    place = np.interp(wanted, axis, np.arange(len(axis)))
    before = np.minimum(place.astype(np.intp), len(axis) - 2)
    return before, np.asarray(place - before)


def field_at(field: Floats, grid_shape: tuple[int, int], window: Window, shape: tuple[int, int]) -> Floats:
    """A coarse field at the cell centres of a window that was averaged down to `shape`."""
    weights = []
    for axis, (start, length) in enumerate(((window.row, window.height), (window.col, window.width))):
        nodes = field.shape[axis]
        centres = start + (np.arange(shape[axis]) + 0.5) * length / shape[axis]
        position = centres / grid_shape[axis] * (nodes - 1)
        left = np.minimum(position.astype(int), nodes - 2)
        matrix = np.zeros((shape[axis], nodes), dtype=np.float32)
        matrix[np.arange(shape[axis]), left] = 1.0 - (position - left)
        matrix[np.arange(shape[axis]), left + 1] = position - left
        weights.append(matrix)
    return np.asarray(weights[0] @ field.astype(np.float32) @ weights[1].T, dtype=np.float32)
