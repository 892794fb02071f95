"""What changes from step to step is a function of the step."""

from itertools import pairwise

import pytest

from undersky.training.schedule import averaging_decay, learning_rate, seed_of


def test_the_rate_climbs_to_its_highest_over_the_warm_up_and_then_only_falls(recipe):
    long = recipe(steps=1000, warmup=0.1)
    rates = [learning_rate(long, step) for step in range(1000)]
    assert max(rates) == pytest.approx(long.learning_rate)
    assert rates.index(max(rates)) in (99, 100)
    assert all(a < b for a, b in pairwise(rates[:100]))
    assert all(a > b for a, b in pairwise(rates[101:]))
    assert rates[0] < 0.03 * long.learning_rate
    assert rates[-1] == pytest.approx(0.01 * long.learning_rate, rel=0.01)


def test_half_way_down_the_rate_is_half_way(recipe):
    long = recipe(steps=1000, warmup=0)
    assert learning_rate(long, 0) == pytest.approx(long.learning_rate)
    assert learning_rate(long, 500) == pytest.approx(0.505 * long.learning_rate)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_trainings_have_a_rate_too(recipe, steps):
    short = recipe(steps=steps, warmup=0.9)
    assert all(0 < learning_rate(short, step) <= short.learning_rate for step in range(steps + 3))


def test_the_mean_of_the_weights_forgets_the_first_steps_and_then_keeps_its_pace(recipe):
    decays = [averaging_decay(recipe(ema_decay=0.9), step) for step in range(200)]
    assert decays[0] == 0.1
    assert decays == sorted(decays)
    assert decays[-1] == 0.9
    assert averaging_decay(recipe(ema_decay=0), 50) == 0


def test_seeds_of_neighbours_have_nothing_in_common():
    seeds = {seed_of(7, step, rank) for step in range(50) for rank in range(4)}
    assert len(seeds) == 200
    assert seed_of(7, 1, 2) == seed_of(7, 1, 2) != seed_of(7, 12)
    assert all(0 <= seed < 2**63 for seed in seeds)
