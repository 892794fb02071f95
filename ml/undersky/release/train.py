"""Stage `train`: the recipe's model lies among the candidates, its training is told to the registry.

    datasets/<task>/<key>/ --> scratch --train--> candidates/<model>/<digest>/
    checkpoints/<recipe>-<dataset>/ <--when stopped--   --when begun again-->

A training that is stopped leaves its checkpoint in the store, so the next try goes on anywhere.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from undersky.errors import ConfigError, ServiceError
from undersky.refs import PackageRef, ReleaseOrder, TrainedRef
from undersky.release.candidates import put_candidate
from undersky.release.dataset import prefix_of
from undersky.release.folders import Listing, find_listing, get_folder, put_folder
from undersky.release.recipes import recipe_of
from undersky.release.told import Told, tenths, training_told
from undersky.settings import Settings
from undersky.stages.train import HISTORY_FILE, TRAINING_FILE, Trained, TrainOptions
from undersky.stages.train import train as run
from undersky.training.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from undersky.services.store import Store


KEEP_EVERY_S = 900.0
"""A training that dies without a word, out of memory or with its node, loses no more than that."""


@dataclass(frozen=True, slots=True)
class _Bench:
    """Where one training works; the same order finds the same folder."""

    folder: Path
    recipe: Recipe
    given: str | Path
    """What `undersky train` takes."""
    dataset: str
    """Its digest; empty where the task keeps none."""

    @property
    def work(self) -> Path:
        """Dataset and checkpoints."""
        return self.folder / "work"

    @property
    def checkpoints(self) -> str:
        """Prefix in the store."""
        return f"checkpoints/{self.recipe.digest[:16]}-{self.dataset[:16] or 'none'}"


def train(order: ReleaseOrder, store: "Store", settings: Settings, tell: Callable[..., None]) -> TrainedRef:
    """The order's model, trained.

    Raises:
        ConfigError: The recipe cannot be used, or its dataset was never made.
        DataError: The dataset or a checkpoint is damaged.
        ServiceError: A signal asked for the end, or a service failed; the same call goes on.
    """
    bench = _prepared(order, store, settings)
    tags = {"undersky.run": order.run, "undersky.by": order.by}
    with (
        training_told(settings, bench.recipe, order.model, bench.dataset, tags=tags, tell=tell) as told,
        _checkpoints_kept(bench, store, tell),  # until all is said: a registry that fails costs no training
    ):
        trained = run(bench.given, bench.folder / "out", _options(bench, settings, told, store))
        if trained is None:
            raise ConfigError("a stage trains as one process; torchrun starts several by hand")
        package = put_candidate(store, trained.folder, model=order.model)
        told.finished(trained.figures, _files(trained.folder))
    _forget_checkpoints(bench, store)
    shutil.rmtree(bench.folder, ignore_errors=True)
    return _document(package, trained, told.run_id)


def _prepared(order: ReleaseOrder, store: "Store", settings: Settings) -> _Bench:
    home = (settings.scratch or Path(gettempdir())) / "trainings"
    given = recipe_of(order, store, home / order.run)
    recipe = load_recipe(given)
    prefix = prefix_of(recipe, settings)
    if prefix is None:
        return _Bench(home / recipe.digest[:16], recipe, given, "")
    listing = find_listing(store, prefix)
    if listing is None:
        raise ConfigError(f"no dataset lies at {store.href(prefix)}: begin the run with `dataset`")
    bench = _Bench(home / f"{recipe.digest[:16]}-{listing.digest[:16]}", recipe, given, listing.digest)
    get_folder(store, listing, bench.work / "dataset")
    return bench


def _options(bench: _Bench, settings: Settings, told: Told, store: "Store") -> TrainOptions:
    return TrainOptions(
        samples=settings.samples,
        work=bench.work,
        threads=settings.threads,
        progress=tenths(lambda at, sentence: told.tell(sentence, percent=round(100 * at))),
        tell=_keeping(bench, store, told),
    )


def _keeping(bench: _Bench, store: "Store", told: Told) -> Callable[..., None]:
    """Tells as before, and now and then leaves the checkpoint in the store: who is killed says no goodbye."""
    kept = time.monotonic()

    def tell(event: str, **facts: object) -> None:
        nonlocal kept
        told(event, **facts)
        if event == "training" and time.monotonic() - kept >= KEEP_EVERY_S:
            kept = time.monotonic()
            try:
                _keep(bench, store)
            except ServiceError as error:
                told.tell("checkpoint stays here for now", level="warning", why=str(error))

    return tell


def _keep(bench: _Bench, store: "Store") -> bool:
    """What checkpoints there are lie in the store; whether there are any."""
    here = bench.work / "checkpoints"
    if not any(here.glob("step-*.json")):
        return False
    put_folder(store, bench.checkpoints, here, digest=bench.recipe.digest)
    return True


@contextmanager
def _checkpoints_kept(bench: _Bench, store: "Store", tell: Callable[..., None]) -> Iterator[None]:
    """Begins with the checkpoint that another machine left; leaves one when it is stopped."""
    here = bench.work / "checkpoints"
    if not any(here.glob("step-*.json")) and (listing := find_listing(store, bench.checkpoints)):
        _fetch_whole(store, listing, here)
    try:
        yield
    except (ServiceError, ConfigError):  # a signal; or the GPU hours are spent, and somebody grants more
        if _keep(bench, store):
            tell("checkpoint is in the store", href=store.href(bench.checkpoints))
        raise


def _fetch_whole(store: "Store", listing: Listing, folder: Path) -> None:
    """The folder holds all of it or nothing: half a checkpoint would be taken for a damaged one."""
    aside = folder.with_name("fetched")
    get_folder(store, listing, aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def _forget_checkpoints(bench: _Bench, store: "Store") -> None:
    for stored in list(store.list(f"{bench.checkpoints}/")):
        store.delete(stored.key)


def _files(folder: Path) -> dict[str, bytes]:
    names = ("package.json", TRAINING_FILE, HISTORY_FILE)
    return {name: (folder / name).read_bytes() for name in names}


def _document(package: PackageRef, trained: Trained, run_id: str | None) -> TrainedRef:
    return TrainedRef(
        package=package,
        mlflow_run=run_id,
        steps=trained.steps,
        seconds=round(trained.seconds, 1),
        figures={name: float(value) for name, value in trained.figures.items()},
    )
