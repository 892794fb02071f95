"""Lattice noise: its hash against arithmetic without overflow, its splines, and its laws on the map."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.synth.fractal import Frame, _spline_weights, area_mean, fractal, hashed, noise, uniform

QUICK = settings(max_examples=30, deadline=None)
SALTS = st.integers(0, 2**62)
WORD = (1 << 64) - 1


def plain_hash(x: int, y: int, salt: int) -> int:
    """The same mixture in Python's unbounded integers; constants as in Steele et al. 2014."""
    key = (x * 0x9E3779B97F4A7C15 + y * 0xD1B54A32D192ED03 + salt) & WORD
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & WORD
    return key ^ (key >> 31)


# hash ---------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40), SALTS)
def test_the_hash_is_splitmix64_in_unbounded_arithmetic(x, y, salt):
    assert int(hashed(np.array([x]), np.array([y]), salt=salt)[0]) == plain_hash(x, y, salt)


@pytest.mark.oracle
def test_the_hash_of_one_golden_step_is_the_first_number_of_splitmix64():
    # splitmix64 seeded with 0 begins with 0xE220A8397B1DCDAF (Vigna's reference implementation).
    assert int(hashed(np.array([1]), np.array([0]), salt=0)[0]) == 0xE220A8397B1DCDAF


@QUICK
@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(0, 61))
def test_a_changed_bit_of_the_salt_changes_about_half_of_the_hash(x, y, bit):
    places = np.array([x]), np.array([y])
    flips = [
        (int(hashed(*places, salt=salt)[0]) ^ int(hashed(*places, salt=salt ^ (1 << bit))[0])).bit_count()
        for salt in range(0, 10_000, 250)
    ]
    assert 26 < np.mean(flips) < 38


def test_hashes_broadcast_and_uniform_numbers_use_their_upper_bits():
    table = hashed(np.arange(4)[None, :], np.arange(3)[:, None], salt=9)
    assert table.shape == (3, 4)
    assert table.dtype == np.uint64
    expected = (table >> np.uint64(40)).astype(np.float64) / 2**24
    np.testing.assert_array_equal(uniform(np.arange(4)[None, :], np.arange(3)[:, None], salt=9), expected)


# splines ------------------------------------------------------------------------------------------------


@QUICK
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30))
def test_spline_weights_are_positive_and_sum_to_one_at_every_place(places):
    weights, _ = _spline_weights(np.array(sorted(places)))
    dense = weights.toarray()
    assert (dense >= -1e-7).all()
    np.testing.assert_allclose(dense.sum(axis=1), 1, atol=1e-5)
    assert (np.count_nonzero(dense, axis=1) <= 4).all()


@QUICK
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=20), st.floats(-3, 3), st.floats(-3, 3))
def test_splines_reproduce_straight_lines(places, slope, intercept):
    position = np.array(sorted(places))
    weights, first = _spline_weights(position)
    nodes = first + np.arange(weights.shape[1])
    np.testing.assert_allclose(weights @ (intercept + slope * nodes), intercept + slope * position, atol=1e-3)


# frames -------------------------------------------------------------------------------------------------


@QUICK
@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_a_moved_frame_has_all_its_pixels_moved(east, north):
    frame = Frame(3, 4, 10.0, 5e5, 5e6)
    before, after = frame.centres(), frame.moved(east, north).centres()
    np.testing.assert_allclose(after[0] - before[0], east, atol=1e-6)
    np.testing.assert_allclose(after[1] - before[1], north, atol=1e-6)
    assert frame.moved(east, north).shape == frame.shape


@QUICK
@given(SALTS, st.integers(-20, 20), st.integers(-20, 20), st.sampled_from([0.4, 0.55, 0.7]))
def test_a_fractal_seen_from_a_moved_frame_is_the_same_fractal(salt, down, right, persistence):
    frame = Frame(50, 50, 30.0, 6e5, 5e6)
    here = fractal(frame, 900.0, salt=salt, persistence=persistence)
    there = fractal(frame.moved(30.0 * right, -30.0 * down), 900.0, salt=salt, persistence=persistence)
    rows, cols = slice(max(0, down), 50 + min(0, down)), slice(max(0, right), 50 + min(0, right))
    rows_there = slice(max(0, -down), 50 + min(0, -down))
    cols_there = slice(max(0, -right), 50 + min(0, -right))
    np.testing.assert_allclose(there[rows_there, cols_there], here[rows, cols], atol=2e-3)


# noise --------------------------------------------------------------------------------------------------


@QUICK
@given(SALTS, st.floats(50, 5000))
def test_noise_is_bounded_by_its_nodes(salt, wavelength):
    field = noise(Frame(30, 30, 20.0), wavelength, salt=salt)
    assert np.abs(field).max() <= np.sqrt(3) * 315 / 151 + 1e-4
    assert field.dtype == np.float32


def test_salts_make_independent_fields():
    frame = Frame(300, 300, 10.0)
    fields = [noise(frame, 60.0, salt=salt).ravel() for salt in (1, 2, 1000)]
    for one, other in pairwise(fields):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


def test_noise_forgets_itself_within_a_few_wavelengths():
    field = noise(Frame(400, 400, 10.0), 100.0, salt=7)
    near = np.corrcoef(field[:, 2:].ravel(), field[:, :-2].ravel())[0, 1]
    far = np.corrcoef(field[:, 50:].ravel(), field[:, :-50].ravel())[0, 1]
    assert near > 0.95
    assert abs(far) < 0.12


def test_a_frame_without_fine_detail_is_smooth_and_a_fractal_below_two_pixels_is_nothing():
    assert not fractal(Frame(20, 20, 60.0), 100.0, salt=1).any()
    assert fractal(Frame(20, 20, 60.0), 120.0, salt=1).any()


@pytest.mark.parametrize("persistence", [0.4, 0.5, 0.6])
def test_octaves_together_have_about_unit_variance(persistence):
    field = fractal(Frame(700, 700, 4.0), 160.0, salt=3, persistence=persistence)
    assert field.std() == pytest.approx(1.0, abs=0.12)


def test_persistence_is_roughness():
    smooth, rough = (fractal(Frame(200, 200, 5.0), 500.0, salt=3, persistence=p) for p in (0.3, 0.8))
    assert np.abs(np.diff(rough)).mean() / rough.std() > 2 * np.abs(np.diff(smooth)).mean() / smooth.std()


# means --------------------------------------------------------------------------------------------------


@QUICK
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_means_of_means_are_means(inner, outer, seed):
    field = np.random.default_rng(seed).random((12 * inner * outer, 12 * inner * outer), dtype=np.float32)
    np.testing.assert_allclose(
        area_mean(area_mean(field, inner), outer), area_mean(field, inner * outer), atol=1e-6
    )


@QUICK
@given(st.integers(1, 5), st.floats(-3, 3), st.integers(0, 99))
def test_area_means_are_linear_and_keep_every_leading_axis(factor, weight, seed):
    one, other = np.random.default_rng(seed).random((2, 3, 2, 4 * factor, 5 * factor), dtype=np.float32)
    both = area_mean(one + np.float32(weight) * other, factor)
    assert both.shape == (3, 2, 4, 5)
    np.testing.assert_allclose(both, area_mean(one, factor) + weight * area_mean(other, factor), atol=1e-5)
