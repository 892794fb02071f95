"""Bits come back where they were put, on any grid over the same footprint."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undersky.grid import Window
from undersky.raster.planes import BandPlanes, BitPlane, nearest

_RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@_RELAXED
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), strip=st.integers(1, 17), seed=st.integers(0, 99)
)
def test_what_is_written_in_strips_is_read_in_any_strips(
    tmp_path: Path, shape: tuple[int, int], strip: int, seed: int
) -> None:
    bits = np.random.default_rng(seed).random(shape) > 0.7
    with_plane = BitPlane(tmp_path / "bits", shape)
    for row in range(0, shape[0], strip):
        with_plane.write(row, bits[row : row + strip])
    start = seed % shape[0]
    found = with_plane.read(start, shape[0] - start)
    with_plane.close()
    expected = bits[start:]
    assert (np.zeros_like(expected) if found is None else found).tolist() == expected.tolist()


def test_rows_never_written_are_false(tmp_path: Path) -> None:
    plane = BitPlane(tmp_path / "bits", (10, 9))
    plane.write(7, np.ones((1, 9), dtype=bool))
    found = plane.read(0, 10)
    plane.close()
    assert found is not None
    assert found.sum() == 9
    assert found[7].all()


def test_a_strip_without_bits_costs_nothing_to_read(tmp_path: Path) -> None:
    plane = BitPlane(tmp_path / "bits", (100, 100))
    plane.write(0, np.zeros((100, 100), dtype=bool))
    assert plane.read(0, 100) is None
    assert (tmp_path / "bits").stat().st_size == 0
    plane.close()


def test_rewriting_a_row_as_empty_forgets_its_bits(tmp_path: Path) -> None:
    plane = BitPlane(tmp_path / "bits", (2, 8))
    plane.write(0, np.ones((1, 8), dtype=bool))
    plane.write(0, np.zeros((1, 8), dtype=bool))
    plane.write(1, np.ones((1, 8), dtype=bool))
    found = plane.read(0, 2)
    plane.close()
    assert found is not None
    assert found.tolist() == [[False] * 8, [True] * 8]


@pytest.mark.parametrize("factor", [1, 2, 6])
def test_a_finer_grid_repeats_each_bit(tmp_path: Path, factor: int) -> None:
    bits = np.random.default_rng(factor).random((7, 5)) > 0.5
    plane = BitPlane(tmp_path / "bits", (7, 5))
    plane.write(0, bits)
    fine = np.repeat(np.repeat(bits, factor, axis=0), factor, axis=1)
    for row in range(0, 7 * factor, 3):
        height = min(3, 7 * factor - row)
        found = plane.read_onto(Window(row, 0, height, 5 * factor), (7 * factor, 5 * factor))
        expected = fine[row : row + height]
        assert (np.zeros_like(expected) if found is None else found).tolist() == expected.tolist()
    plane.close()


@given(st.integers(1, 300), st.integers(1, 300))
def test_nearest_stays_inside_and_never_goes_back(size: int, onto: int) -> None:
    index = nearest(size, onto)
    assert index.min() >= 0
    assert index.max() <= size - 1
    assert (np.diff(index) >= 0).all()


def test_planes_leave_no_file_behind(tmp_path: Path) -> None:
    with BandPlanes(tmp_path, "B04", (4, 4)) as planes:
        planes.nodata.write(0, np.ones((4, 4), dtype=bool))
    assert list(tmp_path.iterdir()) == []
