"""Tallies are sums: they obey the laws of sums, and their figures are those of numpy on the pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from undersky.evaluation.metrics import SPEC_FLOOR, SPEC_SLOPE, Tally, specification, tally

REFLECTANCE = st.floats(-0.0625, 1.0, width=32)


def pixels():
    """Pairs of (estimate, truth) arrays."""
    return st.integers(2, 60).flatmap(
        lambda n: st.tuples(
            arrays(np.float32, n, elements=REFLECTANCE), arrays(np.float32, n, elements=REFLECTANCE)
        )
    )


@given(pixels())
def test_figures_are_numpys_on_the_same_pixels(both):
    estimate, truth = both
    error = estimate.astype(float) - truth.astype(float)
    found = tally(estimate, truth)
    assert found.count == len(error)
    assert found.bias == pytest.approx(error.mean(), abs=1e-6)
    assert found.spread == pytest.approx(error.std(ddof=1), abs=1e-5)
    assert found.rmse == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-6)


@given(pixels())
def test_accuracy_and_precision_make_up_the_uncertainty(both):
    """U^2 = A^2 + P^2 (n - 1) / n, as the ACIX exercises define the three."""
    found = tally(*both)
    together = found.bias**2 + found.spread**2 * (found.count - 1) / found.count
    assert found.rmse**2 == pytest.approx(together, abs=1e-7)


@given(pixels(), pixels())
def test_tallies_of_disjoint_pixels_add_up(first, second):
    joined = tally(*(np.concatenate([a, b]) for a, b in zip(first, second, strict=True)))
    added = tally(*first) + tally(*second)
    assert (added.count, added.in_spec) == (joined.count, joined.in_spec)
    assert added.total == pytest.approx(joined.total, abs=1e-5)
    assert added.total_squared == pytest.approx(joined.total_squared, abs=1e-5)


@given(pixels(), pixels())
def test_the_order_of_adding_does_not_matter(first, second):
    assert tally(*first) + tally(*second) == tally(*second) + tally(*first)


@given(pixels())
def test_adding_nothing_changes_nothing(both):
    assert tally(*both) + Tally() == tally(*both)


@given(pixels())
def test_a_perfect_estimate_is_all_in_spec(both):
    _, truth = both
    found = tally(truth, truth, sigma=np.full_like(truth, 1e-6))
    assert (found.bias, found.rmse, found.in_spec_percent) == (0.0, 0.0, 100.0)
    assert found.coverage_1sigma == 100.0


@given(pixels(), st.floats(0.001, 0.2))
def test_wider_sigma_never_covers_less(both, sigma):
    narrow, wide = (tally(*both, sigma=np.full_like(both[0], factor * sigma)) for factor in (1.0, 2.0))
    assert wide.within_1 >= narrow.within_1
    assert wide.within_1 == narrow.within_2
    assert narrow.within_2 >= narrow.within_1


@pytest.mark.parametrize(
    ("truth", "error", "inside"),
    [
        (0.0, 0.0049, 1),
        (0.0, 0.0051, 0),
        (0.4, 0.0249, 1),
        (0.4, 0.0251, 0),
        (0.4, -0.0251, 0),
        (-0.02, 0.0049, 1),
    ],
)
def test_the_specification_is_five_percent_and_five_thousandths(truth, error, inside):
    assert tally(np.array([truth + error]), np.array([truth])).in_spec == inside


def test_the_specification_of_a_negative_truth_is_the_floor():
    assert specification(np.array([-0.1, 0.0, 0.2])) == pytest.approx(
        [SPEC_FLOOR, SPEC_FLOOR, SPEC_FLOOR + 0.2 * SPEC_SLOPE]
    )


def test_pixels_without_a_truth_or_an_estimate_do_not_count():
    estimate = np.array([0.1, np.nan, 0.1, 0.1])
    truth = np.array([0.1, 0.1, np.nan, 0.2])
    found = tally(estimate, truth, sigma=np.array([0.1, 0.1, 0.1, np.nan]))
    assert found.count == 2
    assert found.in_spec == 1
    assert found.with_sigma == 1


def test_a_calibrated_gaussian_is_covered_as_it_should_be():
    generator = np.random.default_rng(4)
    sigma = generator.uniform(0.005, 0.02, 200_000)
    found = tally(0.2 + sigma * generator.standard_normal(sigma.size), np.full(sigma.size, 0.2), sigma=sigma)
    assert found.coverage_1sigma == pytest.approx(68.27, abs=0.4)
    assert found.coverage_2sigma == pytest.approx(95.45, abs=0.2)


def test_figures_of_nothing_are_nan():
    nothing = Tally()
    for value in (
        nothing.bias,
        nothing.spread,
        nothing.rmse,
        nothing.in_spec_percent,
        nothing.coverage_1sigma,
    ):
        assert np.isnan(value)
    assert np.isnan(nothing.coverage_2sigma)


def test_the_spread_of_one_pixel_is_nan():
    assert np.isnan(tally(np.array([0.1]), np.array([0.2])).spread)


def test_an_empty_selection_makes_an_empty_tally():
    assert tally(np.empty(0), np.empty(0), sigma=np.empty(0)) == Tally()
