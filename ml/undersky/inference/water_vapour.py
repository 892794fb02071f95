"""Column water vapour from how deep the 945 nm band lies below the 865 nm band beside it.

    B8A  window, almost no water absorption   -->  brightness of the ground at 865 nm, and so at 945 nm
    B09  strong water absorption              -->  the column that darkens that ground to what was measured

The idea is the differential absorption of Schläpfer et al. 1998, RSE 65, 353-366 (APDA), which Sen2Cor uses
too; the inversion runs through our own coefficients instead of a fitted exponential.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.inversion import apply_atmosphere, remove_atmosphere
from undersky.atmosphere.state import Coefficients
from undersky.grid import Floats
from undersky.quality import UNUSABLE, Quality, QualityBits

Array = npt.NDArray[np.floating[Any]]

WINDOW, ABSORPTION = "B8A", "B09"
_MIN_TOA = 0.08
"""Darker ground (water, shadow) returns too little light at 945 nm to tell path from absorption."""
_COLUMNS = np.geomspace(0.05, 6.0, 24)
"""Where the predicted band is evaluated, g/cm2; between them linear in the square root of the column."""
_MIN_SEEN = 0.1
"""Share of nodes that must see clear bright ground before any of them is believed."""


def node_medians(
    window: Floats, absorption: Floats, mask: QualityBits, nodes: tuple[int, int], *, snow: bool = False
) -> tuple[Array, Array]:
    """Median TOA reflectance of clear, bright pixels around each node, twice (y, x); NaN where there is none.

    Args:
        window: TOA reflectance of the window band, (y, x).
        absorption: TOA reflectance of the absorption band, same shape.
        mask: Quality bits, same shape.
        nodes: Nodes (rows, cols) over the same footprint.
        snow: True to look at snow too, which is darker at 945 nm than at 865: better than not to look at all.
    """
    bad = np.uint16(UNUSABLE | Quality.WATER | (Quality(0) if snow else Quality.SNOW))
    usable = ((mask & bad) == 0) & (window > _MIN_TOA) & np.isfinite(absorption)
    rows = _nearest_node(window.shape[0], nodes[0])
    cols = _nearest_node(window.shape[1], nodes[1])
    cell = (rows[:, None] * nodes[1] + cols[None, :])[usable]
    ratio = (absorption[usable] / window[usable]).astype(np.float64)
    bright = _grouped_median(window[usable].astype(np.float64), cell, nodes)
    return bright, bright * _grouped_median(ratio, cell, nodes)


def _nearest_node(size: int, nodes: int) -> npt.NDArray[np.int64]:
    position = (np.arange(size) + 0.5) / size * (nodes - 1)
    return np.rint(position).astype(np.int64)


def _grouped_median(values: Array, cell: npt.NDArray[np.int64], nodes: tuple[int, int]) -> Array:
    medians = np.full(nodes[0] * nodes[1], np.nan)
    if not cell.size:
        return medians.reshape(nodes)
    order = np.argsort(cell, kind="stable")
    found, starts = np.unique(cell[order], return_index=True)
    for index, group in zip(found, np.split(values[order], starts[1:]), strict=True):
        medians[index] = np.median(group)
    return medians.reshape(nodes)


def retrieve(
    window: Array,
    absorption: Array,
    *,
    coefficients_at: Callable[[float], tuple[Coefficients[Array], Coefficients[Array]]],
) -> Array | None:
    """Water vapour at the nodes, g/cm2 (y, x), or None where too little bright clear ground was seen.

    Args:
        window: TOA reflectance at 865 nm at the nodes, NaN where not seen.
        absorption: TOA reflectance at 945 nm at the nodes.
        coefficients_at: For a column in g/cm2, the coefficients of both bands, each (y, x).
    """
    seen = np.isfinite(window) & np.isfinite(absorption)
    if not seen.size or seen.mean() < _MIN_SEEN:
        return None
    predicted = []
    for column in _COLUMNS:
        of_window, of_absorption = coefficients_at(float(column))
        predicted.append(apply_atmosphere(remove_atmosphere(window, of_window), of_absorption))
    column = _solve(np.stack(predicted), absorption)
    column[~seen] = np.median(column[seen])
    return column


def _solve(predicted: Array, measured: Array) -> Array:
    """Where the falling curve `predicted` (column, y, x) meets `measured` (y, x), by linear interpolation."""
    roots = np.sqrt(_COLUMNS)
    above = (predicted >= measured).sum(axis=0)
    left = np.clip(above - 1, 0, len(roots) - 2)
    high = np.take_along_axis(predicted, left[None], axis=0)[0]
    low = np.take_along_axis(predicted, left[None] + 1, axis=0)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip((high - measured) / (high - low), 0.0, 1.0)
    solved: Array = (roots[left] + np.nan_to_num(share) * (roots[left + 1] - roots[left])) ** 2
    return solved
