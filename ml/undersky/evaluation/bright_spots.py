"""What a threshold finds on the water: spots brighter than the water around them.

The baseline beside a network: constant false alarm rate detection as ship surveys have long used it, on the
near infrared, in which water is dark and a ship is not.

Source: the two-parameter detector of Crisp 2004, DSTO-RR-0272.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from undersky.datasets.objects import ObjectScene
from undersky.evaluation.matching import Found
from undersky.grid import Floats

Bools = npt.NDArray[np.bool_]

_AROUND = 41
"""Pixels across the water that a spot is compared with."""
_SPREADS = 5.0
"""Standard deviations above it."""
_LEAST = 0.015
"""Reflectance above it at least: sensor noise and glint are less."""
_AREA_M2 = (800.0, 30_000.0)
"""Of a ship from above: 40 m by 20 m to 400 m by 75 m, with what blurs it."""


def bright_spots(scene: ObjectScene, nir: Floats, *, water: Bools, allowed: Bools) -> Found:
    """The centres of spots of a ship's size, and of what is marked, in metres.

    Args:
        scene: Labelled.
        nir: Its near infrared, (y, x).
        water: True on water.
        allowed: True where an object may lie.
    """
    pixel = abs(scene.grid.affine.a)
    level, spread = _around(np.where(water, nir, np.nan))
    excess = np.nan_to_num(nir) - level
    bright = (excess > np.maximum(_SPREADS * spread, _LEAST)) & allowed
    names, count = ndimage.label(bright, structure=np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    areas = ndimage.sum_labels(bright, names, numbers) * pixel**2
    kept = numbers[(areas >= _AREA_M2[0]) & (areas <= _AREA_M2[1])]
    centres = np.array(ndimage.center_of_mass(bright, names, kept)).reshape(-1, 2) + 0.5
    scores = np.asarray(ndimage.maximum(excess, names, kept), dtype=np.float64).reshape(-1)
    truth = np.array([(one.row, one.col) for one in scene.objects]).reshape(-1, 2)
    return Found(centres * pixel, scores, truth * pixel)


def _around(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the finite values around; the mean of all where there are none."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0).astype(np.float64)
    weight = ndimage.uniform_filter(known.astype(np.float64), _AROUND)
    first = ndimage.uniform_filter(filled, _AROUND)
    second = ndimage.uniform_filter(filled**2, _AROUND)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(weight > 0, first / weight, np.nanmean(values) if known.any() else 0.0)
        variance = np.where(weight > 0, second / weight - mean**2, 0.0)
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 0.0)).astype(np.float32)
