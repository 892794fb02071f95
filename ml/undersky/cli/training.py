"""Training: dataset, train. What computes is imported inside: help stays quick."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Outcome, add_verb, jsonable, progress
from undersky.log import tell
from undersky.settings import Settings, torchrun_ranks

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs
    from undersky.stages.train import TrainOptions

_RECIPE = "name of a shipped recipe (tiny, default, sigma, pairs) or a YAML file, see docs/training.md"


def add_verbs(group: "Verbs") -> None:
    """Dataset, train."""
    _add_dataset(group)
    _add_train(group)


def _add_dataset(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "dataset",
        dataset,
        summary="Make what a recipe trains on, and check that its splits share nothing.",
        example="undersky dataset default --out work/dataset",
    )
    parser.add_argument("recipe", metavar="RECIPE", help=_RECIPE)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset lies in DIR")


def _add_train(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "train",
        train,
        summary="Train a model from a recipe; the same command resumes what was interrupted.",
        example="undersky train tiny --out models/tiny\n"
        "  torchrun --standalone --nproc-per-node 4 -m undersky train default --out models/default",
    )
    parser.add_argument("recipe", metavar="RECIPE", help=_RECIPE)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the model package appears in DIR"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="dataset and checkpoints (default: work in --out)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=_positive, metavar="N", help="of each process (default 2)")
    parser.add_argument("--estimate", action="store_true", help="time 50 steps, say the hours, keep nothing")
    parser.add_argument(
        "--max-gpu-hours", type=float, metavar="H", help="stop with a checkpoint after so many (CUDA only)"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="remove the checkpoints, replace the model, start over"
    )


def dataset(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky dataset`."""
    from undersky.stages.train import make_dataset  # noqa: PLC0415  see above

    with progress(screen, arguments.recipe) as told:
        made = make_dataset(arguments.recipe, arguments.out, samples=settings.samples, progress=told)

    def show(console: Console) -> None:
        where = made.manifest or made.folder
        console.print(f"{where}\n  digest {made.digest}, {made.seconds:.1f} s", markup=False)

    return Outcome(jsonable(asdict(made)), show)


def train(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky train`."""
    from undersky.stages.train import TrainOptions  # noqa: PLC0415  see above
    from undersky.stages.train import train as run  # noqa: PLC0415

    ranks = torchrun_ranks()
    screen.quiet = screen.quiet or ranks.rank > 0
    with progress(screen, arguments.recipe) as told:
        options = TrainOptions(
            samples=settings.samples,
            work=arguments.work,
            device=arguments.device,
            threads=arguments.threads or settings.threads,
            max_gpu_hours=arguments.max_gpu_hours,
            fresh=arguments.fresh,
            rank=ranks.rank,
            ranks=ranks.ranks,
            local_rank=ranks.local_rank,
            progress=told,
            tell=tell,
        )
        if arguments.estimate:
            return _estimated(arguments, options)
        made = run(arguments.recipe, arguments.out, options)
    if made is None:
        return _silent(arguments)

    def show(console: Console) -> None:
        console.print(f"{made.folder}\n  digest {made.digest}", markup=False)
        console.print(f"  {made.steps} steps in {made.seconds:.1f} s, {made.scenes_per_second:.1f} scenes/s")
        for name, value in made.figures.items():
            console.print(f"  {name} {value:.4g}", markup=False)

    return Outcome(jsonable(asdict(made)), show)


def _estimated(arguments: argparse.Namespace, options: "TrainOptions") -> Outcome:
    from undersky.stages.train import estimate_training  # noqa: PLC0415  see above

    found = estimate_training(arguments.recipe, arguments.out, options)
    if found is None:
        return _silent(arguments)

    def show(console: Console) -> None:
        gpu = f", {found.gpu_hours:.2f} GPU hours" if found.gpu_hours else ""
        console.print(f"{found.hours:.2f} hours{gpu}, without the dataset and the calibration")
        console.print(
            f"  {found.seconds_per_step:.3g} s a step, {found.scenes_per_s:.1f} scenes/s, "
            f"from {found.timed_steps} steps"
        )

    return Outcome(asdict(found), show)


def _silent(arguments: argparse.Namespace) -> Outcome:
    """What every rank but the first has to say: one object on standard output is enough."""
    arguments.json = False
    return Outcome({}, lambda _console: None)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is no number of threads; at least 1")
    return number
