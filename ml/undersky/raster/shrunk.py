"""A raster made small while it passes by, strip by strip: the mean of what falls into each small pixel.

    rows of strips --reduceat over columns, then over rows--> sums and counts (y, x) --> means

The result does not depend on how the strips were cut, up to the rounding of sums.
"""

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats


class Shrunk:
    """What a raster looks like at a reduced resolution, once all its rows were added."""

    def __init__(self, shape: tuple[int, int], small: tuple[int, int]) -> None:
        """Nothing was added yet.

        Args:
            shape: Rows and columns of the raster.
            small: Rows and columns to make of it, each 1 .. that of the raster.

        Raises:
            ValueError: It would grow, or there is nothing to make.
        """
        if any(not 1 <= to <= of for of, to in zip(shape, small, strict=True)):
            raise ValueError(
                f"{shape} cannot be shrunk to {small}: each side must be 1 .. that of the raster"
            )
        self._row_of = np.arange(shape[0]) * small[0] // shape[0]
        col_of = np.arange(shape[1]) * small[1] // shape[1]
        self._cols = np.searchsorted(col_of, np.arange(small[1]))
        self._sum: npt.NDArray[np.float64] = np.zeros(small, dtype=np.float64)
        self._count: npt.NDArray[np.int64] = np.zeros(small, dtype=np.int64)

    def add(self, row: int, values: Floats) -> None:
        """Whole rows of the raster from that one on, (y, x), NaN at nodata; each row once, in any order."""
        known = np.isfinite(values)
        sums = np.add.reduceat(np.where(known, values, 0.0), self._cols, axis=1, dtype=np.float64)
        counts = np.add.reduceat(known, self._cols, axis=1, dtype=np.int64)
        rows = self._row_of[row : row + values.shape[0]]
        np.add.at(self._sum, rows, sums)
        np.add.at(self._count, rows, counts)

    def mean(self) -> Floats:
        """The mean of the known values in each small pixel, float32 (y, x), NaN where there are none."""
        mean = np.full(self._sum.shape, np.nan, dtype=np.float32)
        return np.divide(self._sum, self._count, out=mean, where=self._count > 0, casting="same_kind")
