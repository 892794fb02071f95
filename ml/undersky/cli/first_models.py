"""`undersky model bootstrap`: the first champions, each judged on the suite of its kind."""

import argparse
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Outcome, add_verb, jsonable, progress
from undersky.errors import ConfigError
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Json, Verbs
    from undersky.flow.bootstrap import Bootstrapped

MODELS = ("correction", "quality", "landcover", "vessels")
"""In the order of the flow: what a model works with comes before it."""


def add_bootstrap(inner: "Verbs") -> None:
    """Model bootstrap."""
    boot = add_verb(
        inner,
        "bootstrap",
        bootstrap,
        summary="Release the shipped models, each with its verdict, where none of its kind ever was.",
        example="undersky model bootstrap\n  undersky model bootstrap --model physics --limit 24",
    )
    boot.add_argument(
        "names",
        nargs="*",
        choices=("all", *MODELS),
        default="all",
        metavar="MODEL",
        help="which: correction quality landcover vessels (default all)",
    )
    boot.add_argument(
        "--suite",
        default="direct-6s",
        help="frozen suite that a correction is evaluated on (default direct-6s)",
    )
    boot.add_argument(
        "--model",
        metavar="PACKAGE",
        help="another than the shipped default: `physics`, or the folder of a package; released alone",
    )
    boot.add_argument(
        "--limit", type=int, metavar="N", help="scenes of each suite, evenly spread (default all)"
    )


def bootstrap(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky model bootstrap`."""
    from undersky.cli.person import person  # noqa: PLC0415  they load what others don't
    from undersky.flow.bootstrap import FirstJudged  # noqa: PLC0415
    from undersky.flow.bootstrap import bootstrap as begin  # noqa: PLC0415
    from undersky.services.opened import open_ledger, open_registry, open_store  # noqa: PLC0415

    by, packages = person(), _first_packages(arguments)
    registry, store, done = open_registry(settings, "release"), open_store(settings), []
    with progress(screen, "evaluating") as told, closing(open_ledger(settings)) as ledger:

        def judged(package: str | None) -> FirstJudged:
            from undersky.stages.judge import FirstOptions, judge, judged_folder  # noqa: PLC0415  loads torch

            options = FirstOptions(
                by=by.run,
                suite=arguments.suite,
                limit=arguments.limit,
                model=package,
                workers=settings.threads,
                progress=told,
            )
            return FirstJudged(judged_folder(options), *judge(options))

        for name, package in packages.items():
            done.append(begin(registry, ledger, store, name, judge=partial(judged, package), by=by))
    lines = [line for each in done for line in (each.sentence, f"  {each.champion.page}")]
    result = jsonable({"models": [_first(each) for each in done]})
    return Outcome(result, lambda console: console.print("\n".join(lines), markup=False))


def _first_packages(arguments: argparse.Namespace) -> dict[str, str | None]:
    """Model to the package that is released where there is none: the shipped one when None."""
    named = [arguments.names] if isinstance(arguments.names, str) else list(dict.fromkeys(arguments.names))
    names = list(MODELS) if "all" in named else [name for name in MODELS if name in named]
    if arguments.model is None:
        return {name: None if name == MODELS[0] else name for name in names}
    from undersky.stages.judge import judged_model  # noqa: PLC0415  loads torch

    kind = judged_model(arguments.model)
    if kind not in names:
        raise ConfigError(f"{arguments.model} is a package of {kind}, and {' '.join(names)} was named")
    return {kind: arguments.model}


def _first(done: "Bootstrapped") -> "Json":
    champion = done.champion
    return {
        "model": champion.name,
        "version": champion.version,
        "label": champion.label,
        "digest": champion.digest,
        "changed": done.changed,
        "page": champion.page,
        "sentence": done.sentence,
        "metrics": done.verdict.metrics if done.verdict is not None else None,
    }
