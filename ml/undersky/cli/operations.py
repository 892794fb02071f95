"""Verbs of operation: doctor, record, model bootstrap."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from undersky.cli.outcome import Outcome, add_verb, jsonable, progress
from undersky.errors import ConfigError
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs

_STYLES = {"ok": "green", "off": "dim", "failed": "bold red"}


def add_verbs(group: "Verbs") -> None:
    """doctor, record, model bootstrap."""
    add_verb(
        group,
        "doctor",
        doctor,
        summary="Look at all that the flow stands on; each failure with its cure. Exit 2 if anything failed.",
        example="undersky doctor",
    )
    parser = add_verb(
        group,
        "record",
        record,
        summary="Keep a current Item of each collection of a provider for the contract tests.",
        example="undersky record earth-search --out tests/upstream/items",
    )
    parser.add_argument("profile", help="name of the provider's profile")
    parser.add_argument(
        "--out", type=Path, default=Path("tests/upstream/items"), metavar="DIR",
        help="where Items are kept (default tests/upstream/items)",
    )  # fmt: skip
    _add_model(group)


def _add_model(group: "Verbs") -> None:
    summary = "Models in the registry."
    parser = group.add_parser("model", help=summary, description=summary)
    inner = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    boot = add_verb(
        inner,
        "bootstrap",
        bootstrap,
        summary="Make the shipped model the champion, with its verdict, where there is none.",
        example="undersky model bootstrap",
    )
    boot.add_argument(
        "--suite", default="direct-6s", help="frozen suite it is evaluated on (default direct-6s)"
    )
    boot.add_argument(
        "--model", default="learned", help="`learned` (default), `physics`, or the folder of a model package"
    )
    boot.add_argument(
        "--limit", type=int, metavar="N", help="scenes of the suite, evenly spread (default all)"
    )


def doctor(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky doctor`."""
    from undersky.flow.doctor import examine  # noqa: PLC0415  it loads what others don't

    with screen.status("looking at everything"):
        found = examine(settings)

    def show(console: Console) -> None:
        for name, value in found.settings:
            console.print(f"{name}={value}", markup=False)
        if not found.settings:
            console.print("no setting is set: every UNDERSKY_<NAME> has its default")
        console.print()
        for check in found.checks:
            line = Text(f"{check.verdict:>6}", style=_STYLES[check.verdict])
            console.print(line.append(f"  {check.name}: {check.sentence}", style=""))
            if check.cure is not None:
                console.print(f"        cure: {check.cure}", markup=False)
        failed = sum(check.cure is not None for check in found.checks)
        console.print(f"\n{failed} of {len(found.checks)} checks failed" if failed else "\nall is well")

    return Outcome(found.as_json(), show, 0 if found.is_healthy else ConfigError.exit_code)


def record(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky record`."""
    from undersky.flow.record import record  # noqa: PLC0415  it loads what others don't
    from undersky.services.profiles import load_profiles  # noqa: PLC0415

    profiles = load_profiles(settings.profiles)
    with screen.status(f"asking {arguments.profile}"):
        kept = record(profiles, arguments.profile, arguments.out, now=datetime.now(UTC))
    rows = [
        {"path": str(each.path), "collection": each.collection, "id": each.id, "reads": each.reads,
         "sentence": each.sentence}
        for each in kept
    ]  # fmt: skip

    def show(console: Console) -> None:
        for each in kept:
            what = "is read" if each.reads else "CANNOT BE READ"
            console.print(f"{each.path}\n  {each.id} {what}: {each.sentence}", markup=False)

    return Outcome({"recorded": rows}, show)


def bootstrap(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky model bootstrap`."""
    from undersky.cli.person import person  # noqa: PLC0415  they load what others don't
    from undersky.services.opened import open_registry  # noqa: PLC0415
    from undersky.stages.bootstrap import BootstrapOptions, bootstrap  # noqa: PLC0415

    with progress(screen, "evaluating") as told:
        options = BootstrapOptions(
            by=person().run,
            suite=arguments.suite,
            limit=arguments.limit,
            model=arguments.model,
            workers=settings.threads,
            progress=told,
        )
        done = bootstrap(open_registry(settings), options)
    result = {
        "model": done.champion.name,
        "version": done.champion.number,
        "label": done.champion.label,
        "digest": done.champion.digest,
        "changed": done.changed,
        "page": done.page,
        "sentence": done.sentence,
        "seconds": done.seconds,
        "metrics": done.verdict.metrics if done.verdict is not None else None,
    }
    return Outcome(
        jsonable(result), lambda console: console.print(f"{done.sentence}\n  {done.page}", markup=False)
    )
