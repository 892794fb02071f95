"""The estimate: fifty steps, timed after the first few."""

import pytest
import torch
from toy import Toy

from undersky.training.estimate import TIMED, WARM_UP, estimate
from undersky.training.loop import Listeners
from undersky.training.place import Place


def test_the_first_steps_do_not_count_and_every_step_is_one_of_the_recipe(recipe):
    steps = []

    class Counted(Toy):
        def loss(self, network, step, **where):
            steps.append(step)
            return super().loss(network, step, **where)

    seen = []
    short = recipe(steps=7)
    place = Place(torch.device("cpu"), gpus=3)
    listeners = Listeners(progress=lambda fraction, _: seen.append(fraction))
    found = estimate(Counted(short), short, place=place, listeners=listeners)
    assert len(steps) == WARM_UP + TIMED == 55
    assert set(steps) == set(range(7))
    assert seen[-1] == 1.0
    assert found.hours == pytest.approx(7 * found.seconds_per_step / 3600)
    assert found.gpu_hours == pytest.approx(3 * found.hours)
