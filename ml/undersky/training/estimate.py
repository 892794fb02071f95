"""How long a training will take here, from fifty of its steps; nothing is kept."""

import time
from dataclasses import dataclass

from undersky.training.loop import Listeners, begin, take_step
from undersky.training.place import Place, joined
from undersky.training.recipe import Recipe
from undersky.training.task import Task

WARM_UP = 5
"""Steps before the clock starts: the first ones allocate."""
TIMED = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training will cost on this machine."""

    hours: float
    """Of all its steps."""
    seconds_per_step: float
    """Mean of the timed ones."""
    scenes_per_s: float
    """Over all ranks."""
    timed_steps: int
    """What the estimate rests on."""
    gpu_hours: float
    """What counts against `max_gpu_hours`."""


def estimate(task: Task, recipe: Recipe, *, place: Place, listeners: Listeners) -> Estimate:
    """The cost of the steps of a prepared task, on this place."""
    state = begin(task, recipe, place)
    network = joined(state.network, place)
    began = time.monotonic()
    for index in range(WARM_UP + TIMED):
        if index == WARM_UP:
            began = time.monotonic()
        state.step = index % recipe.steps
        take_step(task, network, state, place)
        listeners.progress((index + 1) / (WARM_UP + TIMED), f"timing step {index + 1}")
    pace = (time.monotonic() - began) / TIMED
    hours = pace * recipe.steps / 3600
    return Estimate(hours, pace, recipe.batch_size / pace, TIMED, hours * place.gpus)
