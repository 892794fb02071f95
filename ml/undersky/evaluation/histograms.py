"""Counts that a figure is drawn from: additive like a tally, so that no figure needs a second pass.

scatter    true x estimated reflectance, one per band
ratios     error / sigma, one per aerosol type: its bins also say how many errors lie within k sigma
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats

Counts = npt.NDArray[np.int64]

EDGES = np.concatenate([np.arange(-10, 80) / 200.0, np.arange(20, 51) / 50.0])
"""Reflectance bins: 0.005 wide from -0.05 to 0.4, 0.02 wide to 1; what lies beyond is in the outermost."""
BINS = len(EDGES) - 1
RATIO_STEP, RATIO_END = 0.25, 5.0
"""Bins of error / sigma: 0.25 wide from -5 to 5; what lies beyond falls into one more at each end."""
_RATIO_BINS = 2 + int(2 * RATIO_END / RATIO_STEP)


@dataclass(frozen=True, slots=True, eq=False)
class Histograms:
    """Counts over the scored pixels of some scenes."""

    scatter: Mapping[str, Counts] = field(default_factory=dict)
    """Band to counts, (truth, estimate), the bins of EDGES along both."""
    ratios: Mapping[str, Counts] = field(default_factory=dict)
    """Aerosol type to counts of error / sigma, lowest first; empty where no uncertainty was stated."""

    def __add__(self, other: "Histograms") -> "Histograms":
        """The counts over both sets of pixels."""
        return Histograms(_summed(self.scatter, other.scatter), _summed(self.ratios, other.ratios))

    def all_ratios(self) -> Counts:
        """The counts of error / sigma over all types; zeros where no uncertainty was stated."""
        total: Counts = np.zeros(_RATIO_BINS, dtype=np.int64)
        for counts in self.ratios.values():
            total = total + counts
        return total


def _summed(mine: Mapping[str, Counts], theirs: Mapping[str, Counts]) -> dict[str, Counts]:
    names = dict.fromkeys((*mine, *theirs))
    return {name: np.asarray(mine.get(name, 0) + theirs.get(name, 0), dtype=np.int64) for name in names}


def count_scatter(estimate: Floats, truth: Floats) -> Counts:
    """How many pixels lie in each cell of true and estimated reflectance, (truth, estimate).

    Args:
        estimate: Any shape, NaN where there is none.
        truth: The same shape.
    """
    known = np.isfinite(estimate) & np.isfinite(truth)
    across, up = (_reflectance_bin(values[known]) for values in (truth, estimate))
    cells = np.bincount(across * BINS + up, minlength=BINS * BINS)
    return cells.reshape(BINS, BINS).astype(np.int64)


def count_ratios(error: Floats, sigma: Floats) -> Counts:
    """How many errors lie in each bin of error / sigma; pixels without either do not count."""
    known = np.isfinite(error) & (sigma > 0.0)
    # one bin before the first: what lies below the end falls there
    place = (error[known] / sigma[known] + RATIO_END + RATIO_STEP) / RATIO_STEP
    binned = np.clip(place, 0, _RATIO_BINS - 1).astype(np.intp)
    return np.bincount(binned, minlength=_RATIO_BINS).astype(np.int64)


def _reflectance_bin(values: Floats) -> npt.NDArray[np.intp]:
    # EDGES in closed form: a search in them costs ten times as much
    place = np.where(values < 0.4, (values + 0.05) * 200.0, 90.0 + (values - 0.4) * 50.0)
    return np.clip(place, 0, BINS - 1).astype(np.intp)


def coverage(ratios: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Multiples of sigma, and the percent of errors within each; NaN of nothing.

    Args:
        ratios: Counts of error / sigma, lowest bin first.

    Returns:
        0.25, 0.5 .. 3, and as many percents.
    """
    middle = len(ratios) // 2
    within = np.cumsum(ratios[middle:] + ratios[middle - 1 :: -1])
    steps = np.arange(1, 13)
    with np.errstate(invalid="ignore"):
        percent = 100.0 * within[steps - 1] / within[-1]
    return np.asarray(steps * RATIO_STEP, dtype=np.float64), np.asarray(percent, dtype=np.float64)
