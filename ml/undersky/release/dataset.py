"""Stage `dataset`: what the recipe trains on lies in the store; unchanged, it is not made again.

recipe --key--> datasets/<task>/<key>/folder.json there?  --yes--> nothing to do
                                  |
                                  make, check for leaks -> files -> listing
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from undersky.batch.scratch import working_folder
from undersky.errors import ConfigError
from undersky.refs import DatasetRef, ReleaseOrder
from undersky.release.folders import find_listing, put_folder
from undersky.release.recipes import recipe_of
from undersky.settings import Settings
from undersky.stages.train import make_dataset
from undersky.training.recipe import Recipe, load_recipe
from undersky.training.task import build_task

if TYPE_CHECKING:
    from undersky.services.store import Store


def make(order: ReleaseOrder, store: "Store", settings: Settings, tell: Callable[..., None]) -> DatasetRef:
    """The dataset of the order's recipe.

    Raises:
        ConfigError: The recipe cannot be used.
        DataError: A split leaks into another.
        ServiceError: The store failed, or a signal asked for the end.
    """
    began = time.monotonic()
    with working_folder(settings.scratch) as folder:
        recipe = recipe_of(order, store, folder)
        need_recipe_for(order, load_recipe(recipe), settings)
        prefix = prefix_of(load_recipe(recipe), settings)
        if prefix is None:
            tell("the recipe's task keeps no dataset: it is read when it trains", recipe=order.recipe)
            return DatasetRef(digest="", href=None, made=False, seconds=0.0)
        there = find_listing(store, prefix)
        if there is None:
            made = make_dataset(recipe, folder / "dataset", samples=settings.samples)
            there = put_folder(store, prefix, folder / "dataset", digest=made.digest)
            tell("dataset is made", href=store.href(prefix), digest=there.digest)
            is_new = True
        else:
            tell("dataset is unchanged", href=store.href(prefix), digest=there.digest)
            is_new = False
    seconds = round(time.monotonic() - began, 1)
    return DatasetRef(digest=there.digest, href=store.href(prefix), made=is_new, seconds=seconds)


def need_recipe_for(order: ReleaseOrder, recipe: Recipe, settings: Settings) -> None:
    """The recipe trains the order's model.

    Raises:
        ConfigError: It trains another, which would be found out only after the training.
    """
    model = build_task(recipe, samples=settings.samples).name
    if model != order.model:
        raise ConfigError(
            f"the recipe {recipe.name} trains the model {model}, and {order.model} is wanted: name another"
        )


def prefix_of(recipe: Recipe, settings: Settings) -> str | None:
    """Where the recipe's dataset lies in the store; None where its task keeps none."""
    key = build_task(recipe, samples=settings.samples).dataset_key
    return None if key is None else f"datasets/{recipe.task}/{key}"
