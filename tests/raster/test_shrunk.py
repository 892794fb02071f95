"""A raster made small while it passes by."""

import numpy as np
import pytest

from undersky.raster.shrunk import Shrunk

RNG = np.random.default_rng(7)


def shrunk(values, small, *, rows):
    made = Shrunk(values.shape, small)
    for row in range(0, values.shape[0], rows):
        made.add(row, values[row : row + rows])
    return made.mean()


def test_each_small_pixel_is_the_mean_of_what_falls_into_it() -> None:
    values = RNG.random((12, 20), dtype=np.float32)
    expected = values.reshape(4, 3, 5, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(shrunk(values, (4, 5), rows=12), expected, rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_how_the_strips_are_cut_changes_nothing(rows: int) -> None:
    values = RNG.random((101, 67), dtype=np.float32)
    np.testing.assert_allclose(
        shrunk(values, (13, 9), rows=rows), shrunk(values, (13, 9), rows=101), rtol=1e-6
    )


def test_nodata_does_not_count_and_stays_where_there_is_nothing_else() -> None:
    values = np.full((4, 4), 0.2, dtype=np.float32)
    values[:2, :2] = np.nan
    values[2, 2] = np.nan
    found = shrunk(values, (2, 2), rows=3)
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found[1, 1], 0.2, rtol=1e-6)


def test_a_raster_that_is_small_already_stays_as_it_is() -> None:
    values = RNG.random((7, 5), dtype=np.float32)
    np.testing.assert_array_equal(shrunk(values, (7, 5), rows=2), values)


@pytest.mark.parametrize("small", [(0, 3), (8, 3)])
def test_a_raster_does_not_grow(small: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be shrunk"):
        Shrunk((7, 5), small)
