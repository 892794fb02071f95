"""Counts add up like tallies, and what they say of coverage is what the pixels say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from undersky.evaluation.histograms import (
    BINS,
    EDGES,
    RATIO_STEP,
    Histograms,
    count_ratios,
    count_scatter,
    coverage,
)

VALUES = arrays(np.float32, 40, elements=st.floats(-0.0625, 1.125, width=32))


@given(VALUES, VALUES)
def test_every_pixel_is_counted_once(estimate, truth):
    assert count_scatter(estimate, truth).sum() == estimate.size


@given(st.integers(0, BINS - 1), st.integers(0, BINS - 1))
def test_a_pixel_falls_into_the_cell_that_holds_it_truth_first(across, up):
    middles = (EDGES[:-1] + EDGES[1:]) / 2
    counts = count_scatter(middles[[up]], middles[[across]])
    assert counts[across, up] == 1


def test_what_lies_beyond_falls_into_the_outermost_bins():
    counts = count_scatter(np.array([-3.0, 7.0]), np.array([7.0, -3.0]))
    assert counts[-1, 0] == counts[0, -1] == 1


def test_edges_rise_and_end_at_one():
    assert (np.diff(EDGES) > 0).all()
    assert EDGES[0] == pytest.approx(-0.05)
    assert EDGES[-1] == pytest.approx(1.0)


def test_pixels_without_truth_or_estimate_do_not_count():
    estimate, truth = np.array([0.1, np.nan, 0.1]), np.array([0.1, 0.1, np.nan])
    assert count_scatter(estimate, truth).sum() == 1
    assert count_ratios(estimate - truth, np.full(3, 0.01)).sum() == 1


def test_pixels_without_an_uncertainty_do_not_count():
    assert count_ratios(np.array([0.1, 0.1, 0.1]), np.array([0.1, 0.0, np.nan])).sum() == 1


@given(VALUES, VALUES)
def test_counts_of_disjoint_pixels_add_up(first, second):
    joined = count_scatter(np.concatenate([first, second]), np.concatenate([second, first]))
    added = Histograms({"B02": count_scatter(first, second)}) + Histograms(
        {"B02": count_scatter(second, first)}
    )
    assert np.array_equal(added.scatter["B02"], joined)


def test_bands_and_types_that_only_one_side_has_are_kept():
    one = Histograms({"B02": count_scatter(np.array([0.1]), np.array([0.1]))})
    two = Histograms({"B2": count_scatter(np.array([0.1]), np.array([0.1]))}, {"urban": np.ones(42, int)})
    assert set((one + two).scatter) == {"B02", "B2"}
    assert set((one + two).ratios) == {"urban"}


def test_adding_nothing_changes_nothing():
    one = Histograms({"B02": count_scatter(np.array([0.1]), np.array([0.1]))})
    assert np.array_equal((one + Histograms()).scatter["B02"], one.scatter["B02"])


def test_coverage_is_that_of_the_pixels():
    generator = np.random.default_rng(8)
    ratio = generator.standard_normal(20_000)
    multiples, percent = coverage(count_ratios(ratio * 0.02, np.full(ratio.size, 0.02)))
    assert multiples[0] == RATIO_STEP
    assert multiples[-1] == 3.0
    for k, found in zip(multiples, percent, strict=True):
        assert found == pytest.approx(100.0 * (np.abs(ratio) <= k).mean(), abs=0.02)


def test_errors_beyond_five_sigma_still_count_as_uncovered():
    counts = count_ratios(np.array([0.0, 100.0, -100.0, 0.0]), np.ones(4))
    assert coverage(counts)[1][-1] == 50.0


def test_all_types_together_are_their_sum():
    found = Histograms(
        {}, {"urban": count_ratios(np.zeros(3), np.ones(3)), "desert": count_ratios(*[np.ones(4)] * 2)}
    )
    assert found.all_ratios().sum() == 7


def test_coverage_of_nothing_is_nan():
    assert np.isnan(coverage(Histograms().all_ratios())[1]).all()
