"""`train`: a recipe becomes a model package. `dataset`: only its data is made.

recipe --task--> dataset --loop--> weights --finish--> package.json, weights.safetensors
                 work/dataset      work/checkpoints    training.json, history.csv
"""

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from undersky import __version__
from undersky.errors import ConfigError
from undersky.models.package import PACKAGE_FILE, WEIGHTS_FILE, Json, ModelPackage, save_package
from undersky.training.checkpoint import Checkpoints, write_whole
from undersky.training.estimate import Estimate, estimate
from undersky.training.loop import Listeners
from undersky.training.loop import train as run
from undersky.training.place import TORCH, Meter, Place, Use, at_work, find_place, together, wait_for_all
from undersky.training.recipe import Recipe, load_recipe
from undersky.training.state import State
from undersky.training.stopping import Stop, stopping
from undersky.training.task import Progress, Task, build_task

TRAINING_FILE = "training.json"
HISTORY_FILE = "history.csv"


def _silent(_fraction: float, _sentence: str) -> None:
    pass


def _unheard(_event: str, **_facts: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Where and how a recipe is trained; none of it decides what the model learns."""

    samples: Path | None = None
    """Folder of real scenes, for a recipe that trains on pairs; the dataset's digest holds what was read."""
    work: Path | None = None
    """Folder of the dataset and the checkpoints; `work` in the output folder when None."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is CUDA where there is one."""
    threads: int = 2
    """Of this process on the CPU."""
    max_gpu_hours: float | None = None
    """In place of the recipe's."""
    fresh: bool = False
    """Checkpoints of an earlier training are removed first, and its model is replaced."""
    rank: int = 0
    """Of this process among those that train together."""
    ranks: int = 1
    """How many those are."""
    local_rank: int = 0
    """Of this process on this machine: its GPU."""
    progress: Progress = _silent
    """Told the done fraction of each part, and what is being done."""
    tell: Callable[..., None] = _unheard
    """Told events with facts, for the log."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, made."""

    folder: Path
    """With the package, training.json and history.csv."""
    digest: str
    """Of the package."""
    figures: Mapping[str, float]
    """On the validation split."""
    steps: int
    """Taken."""
    seconds: float
    """Spent on them, over all resumptions."""
    scenes_per_second: float
    """Over all of them."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a recipe trains on, made or found."""

    folder: Path
    """Where it lies."""
    digest: str
    """Of its manifest."""
    manifest: Path | None
    """None where the task keeps none."""
    seconds: float
    """Spent now."""


def train(recipe: str | Path, out: Path, options: TrainOptions | None = None) -> Trained | None:
    """The recipe's model lies in the folder; None on every rank but the first, which writes.

    Raises:
        ConfigError: A recipe, a device or a folder that cannot be used, a loss that is no number, or the
            GPU hours are spent.
        DataError: The dataset leaks or is damaged, or the checkpoints are refused.
        ServiceError: A signal asked for the end; the same call goes on.
    """
    options = options or TrainOptions()
    with _prepared(recipe, options) as (chosen, task, place, stop):
        _refuse_foreign(out, chosen, fresh=options.fresh)
        work = options.work or out / "work"
        with together(place):
            dataset = _prepare(task, work / "dataset", place, options)
            keep = Checkpoints(
                work / "checkpoints", recipe=chosen.digest, dataset=dataset.digest, tell=options.tell
            )
            if options.fresh and place.is_first:
                keep.clear()
            wait_for_all(place)
            meter, listeners = Meter(place), Listeners(options.progress, options.tell)
            state = run(task, chosen, place=place, keep=keep, stop=stop, listeners=listeners)
        if not place.is_first:
            return None
        provenance = _provenance(chosen, dataset, place, upstream=task.upstream)
        return _finish(task, state, out, provenance, use=meter.read())


def estimate_training(recipe: str | Path, out: Path, options: TrainOptions | None = None) -> Estimate | None:
    """What `train` would cost here; nothing is written that stays. None on every rank but the first.

    A dataset that lies in the work folder is used; where there is none, it is made for the moment.

    Raises:
        ConfigError: As `train`.
        DataError: As `train`.
    """
    options = options or TrainOptions()
    made = (options.work or out / "work") / "dataset"
    with (
        _prepared(recipe, options) as (chosen, task, place, _),
        together(place),
        tempfile.TemporaryDirectory() as scratch,
    ):
        _prepare(task, made if made.is_dir() else Path(scratch), place, options)
        listeners = Listeners(options.progress, options.tell)
        found = estimate(task, chosen, place=place, listeners=listeners)
    return found if place.is_first else None


def make_dataset(
    recipe: str | Path, out: Path, *, samples: Path | None = None, progress: Progress = _silent
) -> Dataset:
    """The recipe's dataset lies in the folder.

    Raises:
        ConfigError: The recipe cannot be used.
        DataError: A split leaks into another, or what lies there is damaged.
        ServiceError: A signal asked for the end.
    """
    options = TrainOptions(samples=samples, device="cpu", progress=progress)
    with _prepared(recipe, options) as (_, task, place, _):
        return _prepare(task, out, place, options)


@contextmanager
def _prepared(recipe: str | Path, options: TrainOptions) -> Iterator[tuple[Recipe, Task, Place, Stop]]:
    chosen = load_recipe(recipe)
    if options.max_gpu_hours is not None:
        chosen = replace(chosen, max_gpu_hours=options.max_gpu_hours)
    task = build_task(chosen, samples=options.samples)
    place = find_place(
        options.device,
        threads=options.threads,
        rank=options.rank,
        ranks=options.ranks,
        local_rank=options.local_rank,
    )
    with stopping() as stop, at_work(place):
        yield chosen, task, place, stop


def _prepare(task: Task, folder: Path, place: Place, options: TrainOptions) -> Dataset:
    """The first rank makes the dataset, the others find it."""
    began = time.monotonic()
    if not place.is_first:
        wait_for_all(place)
    folder.mkdir(parents=True, exist_ok=True)
    digest = task.prepare(folder, progress=options.progress)
    seconds = time.monotonic() - began
    if place.is_first:
        options.tell("dataset is ready", folder=str(folder), digest=digest, seconds=round(seconds, 1))
        wait_for_all(place)
    manifests = [folder / "manifest.json", *folder.glob(f"*{digest[:12]}*/manifest.json")]
    return Dataset(folder, digest, next((m for m in manifests if m.is_file()), None), seconds)


def _refuse_foreign(out: Path, recipe: Recipe, *, fresh: bool) -> None:
    """A model of another recipe is not replaced by accident."""
    path = out / TRAINING_FILE
    if fresh or not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["recipe_digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not of ours ({error}); choose another --out, or --fresh") from error
    if found != recipe.digest:
        raise ConfigError(
            f"{out} holds a model of recipe {str(found)[:12]}, {recipe.name} is {recipe.digest[:12]}; "
            "choose another --out, or --fresh to replace it"
        )


def _provenance(
    recipe: Recipe, dataset: Dataset, place: Place, *, upstream: Mapping[str, str]
) -> Mapping[str, Json]:
    """What decided the weights; no clock, no folder: the same training gives the same bytes."""
    plain: Mapping[str, Json] = json.loads(json.dumps(asdict(recipe)))
    return {
        "recipe": dict(plain),
        "recipe_digest": recipe.digest,
        "dataset_digest": dataset.digest,
        "device": place.device.type,
        "ranks": place.ranks,
        "threads": place.threads,
        "torch": TORCH,
        "undersky": __version__,
        "upstream": dict(upstream),
    }


def _finish(task: Task, state: State, out: Path, provenance: Mapping[str, Json], *, use: Use) -> Trained:
    """The package and its story lie in the folder."""
    package, figures = task.finish(state.average.eval(), provenance)
    out.mkdir(parents=True, exist_ok=True)
    saved = _save(package, out)
    pace = state.step * state.recipe.batch_size / max(1e-9, state.seconds)
    story = {
        **provenance,
        "package_digest": saved.digest,
        "steps": state.step,
        "seconds": round(state.seconds, 1),
        "gpu_hours": round(state.gpu_hours, 4),
        "scenes_per_s": round(pace, 2),
        "device_use": use.share,
        "peak_gib": use.peak_gib,
        "figures": dict(figures),
        "last": state.history[-1] if state.history else {},
    }
    write_whole(out / TRAINING_FILE, (json.dumps(story, indent=2, sort_keys=True) + "\n").encode())
    write_whole(out / HISTORY_FILE, _csv(state).encode())
    return Trained(out, saved.digest, figures, state.step, state.seconds, pace)


def _save(package: ModelPackage, out: Path) -> ModelPackage:
    """The package, written aside and renamed: a model that was there stays until the new one is whole."""
    with tempfile.TemporaryDirectory(dir=out, prefix=".package-") as aside:
        saved = save_package(package, Path(aside))
        for name in (WEIGHTS_FILE, PACKAGE_FILE):
            write_whole(out / name, (Path(aside) / name).read_bytes())
    return saved


def _csv(state: State) -> str:
    text = io.StringIO()
    columns = dict.fromkeys(name for row in state.history for name in row)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(state.history)
    return text.getvalue()
