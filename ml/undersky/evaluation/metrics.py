"""What is measured of a correction: accuracy, precision, uncertainty, percent in spec, coverage.

A `Tally` holds sums, so tallies of disjoint pixels add up: a scene is measured once, slices are additions.

Source: Doxani et al. 2018, Remote Sensing 10(2), 352 (ACIX: A, P, U per band); the specification
|d| <= 0.05 rho + 0.005 is that of MODIS surface reflectance, Vermote and Kotchenova 2008, JGR 113, D23S90.
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

SPEC_SLOPE = 0.05
"""Allowed error per unit of true reflectance."""
SPEC_FLOOR = 0.005
"""Allowed error over a black ground."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over pixels of one band, d being estimate minus truth."""

    count: int = 0
    """Pixels with both a truth and an estimate."""
    in_spec: int = 0
    """Pixels with |d| within the specification."""
    total: float = 0.0
    """Sum of d."""
    total_squared: float = 0.0
    """Sum of d squared."""
    with_sigma: int = 0
    """Pixels that also carry an uncertainty."""
    within_1: int = 0
    """Of those, |d| <= 1 sigma."""
    within_2: int = 0
    """Of those, |d| <= 2 sigma."""

    def __add__(self, other: "Tally") -> "Tally":
        """The tally of both sets of pixels."""
        return Tally(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def bias(self) -> float:
        """ACIX "A": mean of d; NaN of nothing."""
        return self.total / self.count if self.count else np.nan

    @property
    def spread(self) -> float:
        """ACIX "P": standard deviation of d; NaN of fewer than two pixels."""
        if self.count < 2:
            return np.nan
        squares = self.total_squared - self.total**2 / self.count
        return float(np.sqrt(max(squares, 0.0) / (self.count - 1)))

    @property
    def rmse(self) -> float:
        """ACIX "U": root mean square of d; NaN of nothing."""
        return float(np.sqrt(self.total_squared / self.count)) if self.count else np.nan

    @property
    def in_spec_percent(self) -> float:
        """Percent of pixels within the specification; NaN of nothing."""
        return 100.0 * self.in_spec / self.count if self.count else np.nan

    @property
    def coverage_1sigma(self) -> float:
        """Percent of errors within 1 sigma; 68.3 of a calibrated Gaussian, NaN without sigma."""
        return 100.0 * self.within_1 / self.with_sigma if self.with_sigma else np.nan

    @property
    def coverage_2sigma(self) -> float:
        """Percent of errors within 2 sigma; 95.4 of a calibrated Gaussian, NaN without sigma."""
        return 100.0 * self.within_2 / self.with_sigma if self.with_sigma else np.nan


def specification(truth: Floats) -> Floats:
    """The error that is allowed at each true reflectance; a truth below zero is allowed the floor."""
    return SPEC_SLOPE * np.maximum(truth, 0.0) + SPEC_FLOOR


def tally(estimate: Floats, truth: Floats, *, sigma: Floats | None = None) -> Tally:
    """The sums over all pixels where both are finite.

    Args:
        estimate: Surface reflectance, any shape, NaN where there is none.
        truth: The same shape.
        sigma: 1 sigma of the estimate, the same shape; None from a method that states none.
    """
    known = np.isfinite(estimate) & np.isfinite(truth)
    error = (estimate - truth)[known].astype(np.float64)
    size = np.abs(error)
    stated = np.empty(0) if sigma is None else sigma[known].astype(np.float64)
    covered = size[np.isfinite(stated)] if sigma is not None else stated
    stated = stated[np.isfinite(stated)]
    return Tally(
        count=int(error.size),
        in_spec=int(np.count_nonzero(size <= specification(truth[known].astype(np.float64)))),
        total=float(error.sum()),
        total_squared=float(error @ error),
        with_sigma=int(stated.size),
        within_1=int(np.count_nonzero(covered <= stated)),
        within_2=int(np.count_nonzero(covered <= 2.0 * stated)),
    )
