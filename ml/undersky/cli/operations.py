"""Verbs of operation: doctor, record, policies."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from undersky.cli.outcome import Outcome, add_verb
from undersky.errors import ConfigError
from undersky.settings import Settings, needed

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs

_STYLES = {"ok": "green", "off": "dim", "failed": "bold red"}


def add_verbs(group: "Verbs") -> None:
    """doctor, record, policies."""
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
    parser = add_verb(
        group,
        "policies",
        policies,
        summary="What each account may do in the bucket: an IAM policy document for every stage and role.",
        example="undersky policies --bucket undersky --out policies",
    )
    parser.add_argument(
        "role", nargs="?", help="one of them: a stage, flow, catalog, curator, mlflow, public"
    )
    parser.add_argument(
        "--bucket", metavar="NAME", help="the bucket they are for (default that of UNDERSKY_STORE)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write <role>.json files there instead")


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


def policies(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky policies`."""
    from undersky.services.store.policies import templates  # noqa: PLC0415  it loads boto3

    bucket = arguments.bucket or needed(
        settings.store, "store", cure="give the bucket, s3://name, or --bucket"
    ).removeprefix("s3://")
    documents = templates(bucket)
    if arguments.role is not None and arguments.role not in documents:
        raise ConfigError(f"there is no role {arguments.role!r}; there are {', '.join(documents)}")
    chosen = documents if arguments.role is None else {arguments.role: documents[arguments.role]}
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for role, document in chosen.items():
            (arguments.out / f"{role}.json").write_text(json.dumps(document, indent=2) + "\n")

    def show(console: Console) -> None:
        if arguments.out is not None:
            console.print(f"{len(chosen)} policies in {arguments.out}", markup=False)
            return
        printed = documents[arguments.role] if arguments.role is not None else chosen
        console.print(json.dumps(printed, indent=2), markup=False)

    return Outcome(chosen, show)
