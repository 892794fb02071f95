"""What changes from step to step, each a pure function of the step: nothing has to be remembered."""

import hashlib
import math

from undersky.training.recipe import Recipe

_LOWEST = 0.01
"""Share of the highest rate at both ends."""


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of a step: a straight climb over the warm-up, then half a cosine down to a hundredth."""
    climb = recipe.warmup * recipe.steps
    if step < climb:
        share = _LOWEST + (1 - _LOWEST) * (step + 1) / max(1.0, climb)
    else:
        done = min(1.0, (step - climb) / max(1.0, recipe.steps - climb))
        share = _LOWEST + (1 - _LOWEST) * 0.5 * (1 + math.cos(math.pi * done))
    return recipe.learning_rate * min(1.0, share)


def averaging_decay(recipe: Recipe, step: int) -> float:
    """How much of the running mean of the weights stays: little at first, when they are noise."""
    return min(recipe.ema_decay, (1 + step) / (10 + step))


def seed_of(seed: int, *parts: int) -> int:
    """A seed for what belongs to a seed and, say, a step and a rank; neighbours have nothing in common."""
    text = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
