"""A training as the registry hears of it, live; where there is no registry, only the log does.

A training is one run however often it is interrupted. A registry that fails breaks no training.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undersky import __version__
from undersky.settings import Settings
from undersky.training.recipe import Recipe
from undersky.training.task import Progress

if TYPE_CHECKING:
    from undersky.services.registry import TrainingRun


@dataclass(frozen=True, slots=True)
class Told:
    """Told events of a training; hands the figures on."""

    run: "TrainingRun | None"
    tell: Callable[..., None]

    @property
    def run_id(self) -> str | None:
        """The registry's id of the run."""
        return None if self.run is None else self.run.id

    def __call__(self, event: str, **facts: object) -> None:
        """An event of the loop; the figures of a step are for the registry alone, where there is one."""
        if event == "training" and self.run is not None:
            numbers = {
                name: float(value)
                for name, value in facts.items()
                if isinstance(value, int | float) and name != "step"
            }
            self.run.log(int(str(facts.get("step", 0))), numbers)
        else:
            self.tell(event, **facts)

    def finished(self, figures: Mapping[str, float], files: Mapping[str, bytes]) -> None:
        """The training came to its end."""
        if self.run is not None:
            self.run.finish(figures, artifacts=files)


def tenths(say: Progress) -> Progress:
    """Says how far it is at every tenth, not at every step."""
    last = -1

    def progress(fraction: float, sentence: str) -> None:
        nonlocal last
        if int(10 * fraction) != last:
            last = int(10 * fraction)
            say(fraction, sentence)

    return progress


@contextmanager
def training_told(
    settings: Settings,
    recipe: Recipe,
    model: str,
    dataset: str,
    *,
    tags: Mapping[str, str],
    tell: Callable[..., None],
) -> Iterator[Told]:
    """Whoever trains within tells the registry's run of this recipe and dataset, the same when it resumes."""
    if settings.registry is None:
        yield Told(None, tell)
        return
    from undersky.services.opened import open_registry  # noqa: PLC0415  loads MLflow
    from undersky.services.registry import TRAINING, open_run, training_id  # noqa: PLC0415  the same

    params = {
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "dataset_digest": dataset,
        "code_version": __version__,
        **{name: getattr(recipe, name) for name in ("task", "seed", "steps", "batch_size", "learning_rate")},
    }
    with open_run(
        open_registry(settings, "trainer"),
        model,
        name=recipe.name,
        params=params,
        tags={**tags, TRAINING: training_id(recipe.digest, dataset)},
        dataset=(f"{recipe.task}-{dataset[:12]}", dataset, f"datasets/{recipe.task}"),
    ) as run:
        yield Told(run, tell)
