"""One to one, the surest first, by distance."""

import numpy as np
import pytest

from undersky.evaluation.matching import (
    Counts,
    Found,
    average_precision,
    best_threshold,
    counts_at,
    match,
)


def found(centres: list[tuple[float, float]], scores: list[float], truth: list[tuple[float, float]]) -> Found:
    return Found(
        np.array(centres, dtype=float).reshape(-1, 2), np.array(scores), np.array(truth).reshape(-1, 2)
    )


def test_an_object_found_twice_is_right_once_and_false_once() -> None:
    matched = match(found([(0, 0), (10, 0)], [0.6, 0.9], [(4, 0)]))
    assert counts_at(matched, 0.0) == Counts(right=1, found=2, there=1)
    assert matched.taken.tolist() == [0, -1]
    assert matched.scores.tolist() == [0.9, 0.6]


def test_the_surest_takes_the_nearest_that_is_free() -> None:
    matched = match(found([(0, 0), (0, 20)], [0.9, 0.8], [(0, 15), (0, 40)]))
    assert matched.taken.tolist() == [0, 1]
    assert matched.distance_m.tolist() == [15.0, 20.0]


@pytest.mark.parametrize(("metres", "right"), [(50.0, 1), (50.1, 0)])
def test_fifty_metres_are_near_and_a_little_more_is_not(metres: float, right: int) -> None:
    assert counts_at(match(found([(0, metres)], [0.5], [(0, 0)])), 0.0).right == right


def test_nothing_found_and_nothing_there_are_counted() -> None:
    assert counts_at(match(found([], [], [(0, 0)])), 0.0) == Counts(0, 0, 1)
    assert counts_at(match(found([(0, 0)], [0.5], [])), 0.0) == Counts(0, 1, 0)
    assert (Counts(0, 0, 0).f1, Counts(0, 0, 3).recall, Counts(0, 2, 0).precision) == (0.0, 0.0, 0.0)


def test_counts_at_a_threshold_are_those_of_finding_only_that_much() -> None:
    chance = np.random.default_rng(3)
    some = Found(chance.uniform(0, 400, (40, 2)), chance.uniform(0, 1, 40), chance.uniform(0, 400, (25, 2)))
    for threshold in (0.2, 0.5, 0.8):
        kept = some.scores >= threshold
        alone = match(Found(some.centres[kept], some.scores[kept], some.truth))
        assert counts_at(match(some), threshold) == counts_at(alone, 0.0)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    counts = Counts(right=6, found=8, there=10) + Counts(right=1, found=2, there=2)
    assert (counts.precision, counts.recall) == pytest.approx((0.7, 7 / 12))
    assert counts.f1 == pytest.approx(2 * 0.7 * (7 / 12) / (0.7 + 7 / 12))


def test_the_best_threshold_is_the_middle_of_a_plateau() -> None:
    matched = match(found([(0, 0), (900, 0)], [0.9, 0.1], [(0, 0)]))
    ladder = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    threshold, counts = best_threshold([matched], ladder)
    assert threshold == 0.6
    assert counts == Counts(1, 1, 1)


def test_average_precision_of_a_ranking_worked_out_by_hand() -> None:
    # right, false, right of three marked: precision 1 to recall 1/3, 2/3 to recall 2/3
    matched = match(found([(0, 0), (500, 500), (0, 100)], [0.9, 0.8, 0.7], [(0, 0), (0, 100), (900, 900)]))
    assert average_precision([matched]) == pytest.approx((1.0 + 2 / 3) / 3)
    assert average_precision([match(found([], [], [(0, 0)]))]) == 0.0
    assert average_precision([]) == 0.0
