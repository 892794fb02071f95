"""Verbs that furnish a new place: the bucket, the registry's accounts, the STAC API that stays."""

import argparse
import signal
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.first_models import MODELS
from undersky.cli.outcome import Outcome, add_verb
from undersky.settings import Settings, needed

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs


def add_verbs(group: "Verbs") -> None:
    """Store prepare, catalog serve."""
    summary = "The bucket itself: make it ready for the flow and its readers."
    verbs = group.add_parser("store", help=summary, description=summary).add_subparsers(
        title="verbs", required=True, metavar="VERB"
    )
    parser = add_verb(
        verbs,
        "prepare",
        prepare,
        summary="Make the bucket where there is none; let anybody read what is published. Safe to repeat.",
        example="undersky store prepare",
    )
    parser.add_argument("--private", action="store_true", help="leave the bucket's policy as it is")
    summary = "The STAC API over what was published."
    verbs = group.add_parser("catalog", help=summary, description=summary).add_subparsers(
        title="verbs", required=True, metavar="VERB"
    )
    _add_serve(verbs)


def add_accounts(inner: "Verbs") -> None:
    """Model accounts."""
    add_verb(
        inner,
        "accounts",
        accounts,
        summary="Make the registry's accounts as the settings name them, and the names of all models.",
        example="undersky model accounts",
    )


def _add_serve(verbs: "Verbs") -> None:
    parser = add_verb(
        verbs,
        "serve",
        serve,
        summary="Serve published Items as a STAC API, anew whenever the index changes, until interrupted.",
        example="undersky catalog serve --port 8082",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8082, help="port to listen on (default 8082)")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR",
        help="where copies of the index lie, emptied first (default: undersky-catalog-PORT in the scratch)",
    )  # fmt: skip
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="S",
        help="seconds between two looks at the index (default 2)",
    )  # fmt: skip


def prepare(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky store prepare`."""
    from undersky.flow.furnish import prepare_store  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_store  # noqa: PLC0415

    store = open_store(settings)
    with screen.status("preparing the bucket"):
        prepare_store(store, public=not arguments.private)
    readers = "its policy is left as it was" if arguments.private else "anybody may read what is published"
    return Outcome(
        {"store": store.url, "public": not arguments.private},
        lambda console: console.print(f"{store.url} is there; {readers}"),
    )


def accounts(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model accounts`."""
    from undersky.flow.furnish import make_accounts  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import account_needed  # noqa: PLC0415

    uri = needed(settings.registry, "registry", cure="give the address of the MLflow server")
    admin = account_needed(settings, "admin")
    made = [account_needed(settings, role) for role in ("release", "trainer", "reader")]
    with screen.status("making accounts"):
        make_accounts(uri, admin=admin, accounts=made, models=MODELS)
    names = [account.name for account in made]
    return Outcome(
        {"registry": uri, "accounts": names, "models": list(MODELS)},
        lambda console: console.print(f"{uri} knows {', '.join(names)}; all models are {names[0]}'s"),
    )


def serve(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky catalog serve`."""
    from undersky.flow.serving import Keeper  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_store  # noqa: PLC0415

    scratch = settings.scratch or Path(gettempdir())
    keeper = Keeper(
        store=open_store(settings),
        address=f"{arguments.host}:{arguments.port}",
        folder=arguments.folder or scratch / f"undersky-catalog-{arguments.port}",
        say=lambda sentence: print(sentence, file=sys.stderr, flush=True),  # noqa: T201  its log
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    code = keeper.keep(every_s=arguments.every)
    return Outcome({"exit": code}, lambda _: None, exit_code=code)
