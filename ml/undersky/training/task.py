"""What the loop asks of the thing that is trained: a network, its data, a loss, and a package at the end.

The loop knows no science. A model that wants to be trained is one module here with `build(recipe, samples=)`
and one line in the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from undersky.errors import ConfigError
from undersky.models.package import PACKAGE_FILE, Json, ModelPackage, load_package, package_folder
from undersky.training.recipe import Recipe

TASKS: dict[str, str] = {
    "correction": "undersky.training.correction",
    "pairs": "undersky.training.pairs",
    "landcover": "undersky.training.landcover",
    "objects": "undersky.training.objects",
    "quality": "undersky.training.quality",
}
"""Module of each task; it is imported when asked for, and its `build(recipe, samples=)` makes the task."""

Progress = Callable[[float, str], None]
"""Told the done fraction, 0 .. 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How wrong one batch came out."""

    total: Tensor
    """What is made small: a scalar with a gradient, the mean over the batch."""
    figures: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars worth watching beside it, the same names at every step; they are detached by the loop."""


class Task(Protocol):
    """Something that can be trained."""

    @property
    def name(self) -> str:
        """What the model is for: `correction`."""

    @property
    def dataset_key(self) -> str | None:
        """Digest of all that decides the dataset, known before it is made; None where none is kept."""

    @property
    def upstream(self) -> Mapping[str, str]:
        """Model to digest of each package whose output this one learns from; none of scenes."""

    def network(self) -> nn.Module:
        """The network before the first step: from the recipe's seed, or from the package it starts from."""

    def prepare(self, folder: Path, *, progress: Progress) -> str:
        """The dataset lies under the folder, built or found there; its digest.

        Raises:
            DataError: It is damaged, or a split leaks into another.
        """

    def loss(
        self,
        network: nn.Module,
        step: int,
        *,
        size: int,
        device: torch.device,
        rank: int = 0,
        ranks: int = 1,
    ) -> Loss:
        """The loss of the batch that belongs to this step.

        The batch is a pure function of seed, step and rank, which is what makes a resumed training equal to
        an uninterrupted one. The loop has seeded torch's global generator with the three, so dropout is
        too. The network is called, never reached into: with several ranks it is wrapped.

        Args:
            network: In training mode, under autocast when the recipe asks.
            step: 0 .. steps - 1.
            size: Scenes of this rank.
            device: Where the network is, and the batch must go.
            rank: Of this process.
            ranks: How many train together.
        """

    def finish(
        self, network: nn.Module, provenance: Mapping[str, Json]
    ) -> tuple[ModelPackage, Mapping[str, float]]:
        """The averaged network, calibrated on the validation split and packaged, and its figures there."""


def build_task(recipe: Recipe, *, samples: Path | None = None) -> Task:
    """The task that the recipe names.

    Args:
        recipe: Which, and its sections.
        samples: Folder of real scenes, for a task that trains on them.

    Raises:
        ConfigError: No task has that name, or a section of the recipe does not fit it.
    """
    if recipe.task not in TASKS:
        raise ConfigError(
            f"recipe {recipe.name}: there is no task {recipe.task!r}; there are {' '.join(sorted(TASKS))}"
        )
    task: Task = import_module(TASKS[recipe.task]).build(recipe, samples=samples)
    return task


def starting_package(recipe: Recipe) -> ModelPackage | None:
    """The package that the recipe fine-tunes, verified; None where it starts from nothing.

    Raises:
        ConfigError: It names neither a folder with a package nor one that is shipped.
        DataError: `model_refused`: the package is damaged.
    """
    if recipe.start is None:
        return None
    folder = package_folder(recipe.start)
    if (folder / PACKAGE_FILE).is_file():
        return load_package(folder)
    raise ConfigError(
        f"recipe {recipe.name}: start is {recipe.start!r}, neither a folder with {PACKAGE_FILE} "
        "nor the name of a shipped package"
    )
