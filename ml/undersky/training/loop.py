"""The training loop, whole, on one page.

    batch(seed, step, rank) --network--> loss --backward--> gradient, averaged over the ranks, clipped
          --AdamW--> weights --running mean--> what is packaged

Nothing random is carried: the schedule, the batch and torch's generator are functions of the step. So a
training that was interrupted after any step and resumed makes the very weights of one that was not, on a
CPU to the bit.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from undersky.errors import ConfigError, ServiceError
from undersky.training.checkpoint import Checkpoints
from undersky.training.place import Meter, Place, joined, mean_over_ranks, wait_for_all
from undersky.training.recipe import Recipe
from undersky.training.schedule import seed_of
from undersky.training.state import State
from undersky.training.stopping import Stop
from undersky.training.task import Progress, Task

_ROWS = 200
"""Of the history."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told how it goes."""

    progress: Progress = lambda _fraction, _sentence: None
    """Every step."""
    tell: Callable[..., None] = lambda _event, **_facts: None
    """One event, its facts as fields: the log."""


def begin(task: Task, recipe: Recipe, place: Place) -> State:
    """A training before its first step.

    Raises:
        ConfigError: The batch cannot be shared evenly among the ranks.
    """
    if recipe.batch_size % place.ranks:
        raise ConfigError(f"batch_size {recipe.batch_size} cannot be shared by {place.ranks} ranks")
    torch.manual_seed(recipe.seed)
    return State.fresh(task.network().to(place.device), recipe)


def train(
    task: Task, recipe: Recipe, *, place: Place, keep: Checkpoints, stop: Stop, listeners: Listeners
) -> State:
    """The training at its end, from its last checkpoint where there is one.

    Raises:
        ServiceError: A signal asked for the end; the checkpoint is written.
        ConfigError: The loss is no number any more, or the GPU hours are spent.
        DataError: The checkpoints are refused.
    """
    state = begin(task, recipe, place)
    if (found := keep.load()) is not None:
        state.resume(found)
        listeners.tell("training resumes", step=state.step, steps=recipe.steps)
    network, meter = joined(state.network, place), Meter(place)
    began, first, noted = time.monotonic(), state.step, state.step
    before, used = state.seconds, state.gpu_hours
    every = max(1, recipe.steps // _ROWS)
    with stop.finishing():
        while state.step < recipe.steps:
            figures = take_step(task, network, state, place)
            wall = time.monotonic() - began
            state.seconds, state.gpu_hours = before + wall, used + place.gpus * wall / 3600
            is_last = state.step == recipe.steps
            if state.step % every == 0 or is_last:
                use = meter.read()
                pace = (state.step - noted) * recipe.batch_size / max(1e-9, use.seconds)
                row, noted = state.note({"scenes_per_s": pace}), state.step
                listeners.tell("training", **row, device_use=use.share, peak_gib=use.peak_gib)
            listeners.progress(
                state.step / recipe.steps, _sentence(state, figures, wall / (state.step - first))
            )
            asked, spent = mean_over_ranks([stop.asked, _is_spent(state)], place)
            if asked or spent or is_last or state.step % recipe.checkpoint_every == 0:
                if place.is_first:
                    keep.save(state.checkpoint())
                wait_for_all(place)
            if asked or (spent and not is_last):
                raise _halted(state, keep, spent=not asked)
    return state


def take_step(task: Task, network: nn.Module, state: State, place: Place) -> Mapping[str, float]:
    """One step is taken; its figures, averaged over the ranks.

    Raises:
        ConfigError: The loss or its gradient is no number; the weights are as they were.
    """
    recipe, step = state.recipe, state.step
    torch.manual_seed(seed_of(recipe.seed, step, place.rank))
    network.train()
    with torch.autocast(place.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        loss = task.loss(
            network,
            step,
            size=recipe.batch_size // place.ranks,
            device=place.device,
            rank=place.rank,
            ranks=place.ranks,
        )
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss.total)
    length = nn.utils.clip_grad_norm_(state.network.parameters(), recipe.gradient_clip)
    named = {"loss": loss.total, **loss.figures, "gradient": length}
    figures = dict(zip(named, mean_over_ranks(list(named.values()), place), strict=True))
    if not (math.isfinite(figures["loss"]) and math.isfinite(figures["gradient"])):
        raise ConfigError(
            f"recipe {recipe.name}: at step {step} the loss is {figures['loss']:g} and its gradient "
            f"{figures['gradient']:g}, no numbers to go on with; the weights of the last checkpoint stand. "
            "The usual cure, with --fresh: a lower learning_rate or gradient_clip, a longer warmup, float32"
        )
    state.advance(figures)
    return figures


def _is_spent(state: State) -> bool:
    cap = state.recipe.max_gpu_hours
    return cap is not None and state.gpu_hours >= cap


def _halted(state: State, keep: Checkpoints, *, spent: bool) -> ServiceError | ConfigError:
    where = f"after step {state.step} of {state.recipe.steps}; checkpoint {keep.folder} holds it"
    if spent:
        return ConfigError(
            f"{state.gpu_hours:.2f} GPU hours are used, max_gpu_hours is {state.recipe.max_gpu_hours:g}: "
            f"stopped {where}, and the same command with a higher --max-gpu-hours goes on"
        )
    return ServiceError(f"stopped by a signal {where}, and the same command goes on")


def _sentence(state: State, figures: Mapping[str, float], pace: float) -> str:
    """Where it stands, and when it will be done at the pace of this session."""
    left = (state.recipe.steps - state.step) * pace
    eta = f"{left / 3600:.1f} h" if left > 5400 else f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s"
    return f"step {state.step}/{state.recipe.steps}, loss {figures['loss']:.4g}, {eta} left"
