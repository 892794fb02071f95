"""The streaming inversion does in place what `inversion` says in two readable lines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.inversion import InversionFields, remove_with_fields, sigma_with_fields
from undersky.atmosphere.streaming import FIELDS, invert_in_place, stacked

SHAPE = (7, 5)


def fields_of(seed: int, *, bands: int = 1, shape: tuple[int, int] = SHAPE) -> InversionFields:
    """Fields of plausible air: gains near one, offsets of a tenth, small variances."""
    rng = np.random.default_rng(seed)
    ranges = ((1.0, 4.0), (0.0, 0.3), (0.0, 0.35), (1e-7, 1e-3), (-1e-3, 1e-3), (0.0, 1e-2))
    return InversionFields(
        *(rng.uniform(low, high, (bands, *shape)).astype(np.float32) for low, high in ranges)
    )


def toa_of(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.02, 1.1, shape).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_in_place_and_readable_inversion_agree_to_float32(seed: int, other: int) -> None:
    fields, toa = fields_of(seed), toa_of(other)
    rho, sigma = invert_in_place(toa, stacked(fields, 0))
    expected = remove_with_fields(toa[None], fields)
    assert rho == pytest.approx(expected[0], rel=2e-6, abs=2e-6)
    assert sigma == pytest.approx(sigma_with_fields(expected, fields)[0], rel=2e-3, abs=2e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_in_place_inversion_agrees_with_float64_arithmetic(seed: int) -> None:
    fields, toa = fields_of(seed), toa_of(seed + 1).astype(np.float64)
    gain, offset, albedo, q0, q1, q2 = (getattr(fields, name)[0].astype(np.float64) for name in FIELDS)
    y = gain * toa - offset
    rho = y / (1 + albedo * y)
    variance = q0 + q1 * rho + q2 * rho**2
    found, sigma = invert_in_place(toa.astype(np.float32), stacked(fields, 0))
    assert found == pytest.approx(rho, rel=2e-6, abs=3e-6)
    assert sigma**2 == pytest.approx(np.maximum(variance, 0.0), rel=1e-5, abs=1e-8)


def test_the_stack_holds_one_band_in_the_order_of_its_names() -> None:
    fields = fields_of(3, bands=4)
    stack = stacked(fields, 2)
    assert stack.shape == (6, *SHAPE)
    assert stack.dtype == np.float32
    for row, name in zip(stack, FIELDS, strict=True):
        assert np.array_equal(row, getattr(fields, name)[2])


def test_the_stack_is_a_copy_so_that_destroying_it_keeps_the_fields() -> None:
    fields = fields_of(4)
    before = {name: getattr(fields, name).copy() for name in FIELDS}
    invert_in_place(toa_of(5), stacked(fields, 0))
    for name, values in before.items():
        assert np.array_equal(getattr(fields, name), values), name


def test_the_measurement_is_left_as_it_was() -> None:
    toa = toa_of(6)
    before = toa.copy()
    invert_in_place(toa, stacked(fields_of(6), 0))
    assert np.array_equal(toa, before)


def test_results_live_in_the_memory_that_was_given() -> None:
    block = stacked(fields_of(7), 0)
    rho, sigma = invert_in_place(toa_of(7), block)
    assert np.shares_memory(rho, block)
    assert np.shares_memory(sigma, block)
    assert not np.shares_memory(rho, sigma)
    assert rho.dtype == sigma.dtype == np.float32


@settings(deadline=None, max_examples=30)
@given(st.sets(st.integers(0, 34), max_size=34))
def test_nodata_stays_nodata_and_touches_no_neighbour(holes: set[int]) -> None:
    toa, fields = toa_of(8), fields_of(8)
    whole, doubt = invert_in_place(toa, stacked(fields, 0))
    torn = toa.copy()
    torn.ravel()[list(holes)] = np.nan
    rho, sigma = invert_in_place(torn, stacked(fields, 0))
    assert np.array_equal(np.isnan(rho), np.isnan(torn))
    assert np.array_equal(np.isnan(sigma), np.isnan(torn))
    seen = np.isfinite(torn)
    assert np.array_equal(rho[seen], whole[seen])
    assert np.array_equal(sigma[seen], doubt[seen])


def test_a_variance_below_zero_is_no_doubt_rather_than_nan() -> None:
    fields = fields_of(9)
    fields.q0[:] = -1e-4
    fields.q1[:] = fields.q2[:] = 0.0
    _, sigma = invert_in_place(toa_of(9), stacked(fields, 0))
    assert (sigma == 0.0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 4))
def test_blocks_of_a_window_give_the_window(row: int, col: int) -> None:
    fields, toa = fields_of(10), toa_of(10)
    whole, _ = invert_in_place(toa, stacked(fields, 0))
    quarters = [
        (rows, cols) for rows in (slice(row), slice(row, None)) for cols in (slice(col), slice(col, None))
    ]
    for rows, cols in quarters:
        part, _ = invert_in_place(toa[rows, cols], np.ascontiguousarray(stacked(fields, 0)[:, rows, cols]))
        assert np.array_equal(part, whole[rows, cols])
