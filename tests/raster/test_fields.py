"""Blocks see coarse fields as the whole grid does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.grid import Window, upsample
from undersky.raster.fields import FieldStack, blocks


def _fields(nodes: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, *nodes)).astype(np.float32)


@given(
    nodes=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    corner=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    seed=st.integers(0, 9),
)
def test_a_window_of_the_stack_equals_the_grids_own_upsampling(
    nodes: tuple[int, int], shape: tuple[int, int], corner: tuple[float, float], seed: int
) -> None:
    row, col = int(corner[0] * shape[0]), int(corner[1] * shape[1])
    window = Window(row, col, max(1, (shape[0] - row) // 2), max(1, (shape[1] - col) // 2))
    fields = _fields(nodes, seed)
    found = FieldStack(fields, shape).at(window)
    expected = np.stack([upsample(field, shape, window) for field in fields])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_constant_field_is_constant_at_every_pixel() -> None:
    stack = FieldStack(np.full((1, 7, 3), 0.25), (100, 200))
    np.testing.assert_allclose(stack.at(Window(13, 170, 60, 30)), 0.25, rtol=1e-6)


def test_a_plane_is_reproduced_exactly_between_the_nodes() -> None:
    y, x = np.mgrid[0:5, 0:9]
    stack = FieldStack((2.0 * y + x)[None], (80, 160))
    seen = stack.at(Window(0, 0, 80, 160))[0]
    rows, cols = (np.arange(80) + 0.5) / 80 * 4, (np.arange(160) + 0.5) / 160 * 8
    np.testing.assert_allclose(seen, 2.0 * rows[:, None] + cols[None, :], atol=1e-5)


@pytest.mark.parametrize("window", [Window(0, 0, 1, 1), Window(5, 7, 200, 3000), Window(0, 0, 64, 1024)])
def test_blocks_cover_a_window_once(window: Window) -> None:
    seen = np.zeros((window.row + window.height + 3, window.col + window.width + 3), dtype=int)
    for block in blocks(window):
        seen[block.row : block.row + block.height, block.col : block.col + block.width] += 1
    inside = seen[window.row : window.row + window.height, window.col : window.col + window.width]
    assert (inside == 1).all()
    assert seen.sum() == window.height * window.width
