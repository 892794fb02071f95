"""The verb that makes a page to look at, of a run or of products on the disk."""

import argparse
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Outcome, add_verb, jsonable
from undersky.errors import ConfigError
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs


def add_verbs(group: "Verbs") -> None:
    """The verb `page`."""
    parser = add_verb(
        group,
        "page",
        page,
        summary="Write the page of a run, or of products on the disk: before and after, land cover, vessels.",
        example="undersky page --products products maps --out page.html",
    )
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="id of a run, as it stands in keys of the store"
    )
    parser.add_argument(
        "--products",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="instead of RUN: what `undersky correct`, `map` and `detect` wrote with --out DIR",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="with --products: the page (default page.html); its links lead to the products beside it",
    )


def page(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky page`."""
    if (arguments.run is None) == (arguments.products is None):
        raise ConfigError(
            "give either a RUN or --products DIR: a page is of a run, or of products on the disk"
        )
    if arguments.run is None:
        return _of_folders(arguments, screen)
    if arguments.out is not None:
        raise ConfigError("--out is for --products: the page of a run lies in the store")
    return _of_run(arguments.run, settings, screen)


def _of_folders(arguments: argparse.Namespace, screen: Console) -> Outcome:
    from undersky.stages.page import write_page  # noqa: PLC0415  the verb's own needs

    with screen.status("reading products"):
        made = write_page(arguments.products, arguments.out or Path("page.html"))
    said = _said(made.scenes, made.shown, made.bytes)
    return Outcome(
        jsonable(asdict(made)), lambda console: console.print(f"{made.page}\n  {said}", markup=False)
    )


def _of_run(run: str, settings: Settings, screen: Console) -> Outcome:
    from undersky.flow.page import write_page  # noqa: PLC0415  the verb's own needs
    from undersky.services.opened import open_ledger, open_store  # noqa: PLC0415

    with closing(open_ledger(settings)) as ledger, screen.status("reading products"):
        made = write_page(ledger, open_store(settings), run=run)
    if made is None:
        raise ConfigError(f"run {run} claimed no product: `undersky status` and `undersky show` name runs")
    said = _said(made.scenes, made.shown, made.bytes)
    return Outcome(
        jsonable(asdict(made)), lambda console: console.print(f"{made.href}\n  {said}", markup=False)
    )


def _said(scenes: int, shown: int, size: int) -> str:
    return f"{scenes} scenes, {shown} of them with pictures, {size / 1e6:.1f} MB"
