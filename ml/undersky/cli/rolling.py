"""The verbs of rolling maps: `roll` by hand, and the steps of the flow under `rolling`."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Outcome, add_verb, jsonable, progress, table
from undersky.settings import Settings
from undersky.tile_refs import TileStage

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs
    from undersky.services.ledger import Ledger

_ORDER = "address of the order.json that `undersky rolling claim` wrote"
_SHOWN = 5.0
"""Percent of the ground from which a class is worth a word."""


def add_verbs(group: "Verbs") -> None:
    """roll; rolling claim, stage, publish, list, again."""
    parser = add_verb(
        group,
        "roll",
        roll_,
        summary="Fuse the land-cover maps of a tile into its rolling map: what the ground is now.",
        example="undersky roll maps/S2?_32TQM_*_LC_* --out latest",
    )
    parser.add_argument(
        "product", type=Path, nargs="+", help="folders that `undersky map` made, in any order"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="it appears in DIR/<id>/")
    parser.add_argument("--threads", type=int, metavar="N", help="strips worked on at a time (default 2)")
    summary = "The rolling map of each tile: make those again whose maps changed, publish them, list them."
    verbs = group.add_parser("rolling", help=summary, description=summary).add_subparsers(
        title="verbs", required=True, metavar="VERB"
    )
    _add_steps(verbs)
    add_verb(
        verbs,
        "list",
        list_,
        summary="List the tiles that have a rolling map, or are to have one.",
        example="undersky rolling list",
    )
    parser = add_verb(
        verbs,
        "again",
        again,
        summary="Have a tile's rolling map made again from its published maps, though it is of them.",
        example="undersky rolling again 32TQM --why 'its Item was deleted'",
    )
    parser.add_argument("tile", help="MGRS tile, or Landsat path and row")
    parser.add_argument("--why", required=True, help="the reason, for the ledger")


def _add_steps(verbs: "Verbs") -> None:
    parser = add_verb(
        verbs,
        "claim",
        claim,
        summary="Lease the tiles whose published maps changed, and lay down an order for each.",
        example="undersky rolling claim --run by-hand-7",
    )
    parser.add_argument("--run", metavar="ID", help="id of the run (default: your name and the time)")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="tiles at most (default UNDERSKY_CLAIM_SCENES)"
    )
    parser = add_verb(
        verbs,
        "stage",
        stage,
        summary="Make the rolling map of an order in the store; running it again changes nothing.",
        example="undersky rolling stage roll s3://undersky/rolls/by-hand-7/32TQM-3/order.json",
    )
    parser.add_argument("stage", choices=[each.value for each in TileStage])
    parser.add_argument("href", help=_ORDER)
    parser = add_verb(
        verbs,
        "publish",
        publish,
        summary="Publish the rolling map of an order, once, in the place of the one before.",
        example="undersky rolling publish s3://undersky/rolls/by-hand-7/32TQM-3/order.json",
    )
    parser.add_argument("href", help=_ORDER)


def roll_(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky roll`."""
    from undersky.stages.roll import RollOptions, roll  # noqa: PLC0415  loads what others don't

    with progress(screen, f"{len(arguments.product)} maps") as told:
        options = RollOptions(threads=arguments.threads or settings.threads, progress=told)
        made = roll(arguments.product, arguments.out, options=options)

    def show(console: Console) -> None:
        how = "was there already" if made.was_there else f"made in {made.seconds:.1f} s"
        figures = ("nodata", "confidence", "changed", "views")
        ground = {k: v for k, v in made.summary.items() if k not in figures and v >= _SHOWN}
        told = ", ".join(f"{k} {v:.0f} %" for k, v in sorted(ground.items(), key=lambda pair: -pair[1]))
        console.print(f"{made.folder}\n  {how}, {made.bytes / 1e6:.1f} MB, Item {made.item.name}")
        console.print(
            f"  ground: {told or 'none was seen'}; changed {made.summary['changed']:.1f} %, "
            f"{made.summary['views']:.1f} clear views on average"
        )

    return Outcome(jsonable(asdict(made)), show)


def claim(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky rolling claim`."""
    from undersky.cli.person import person  # noqa: PLC0415  the verb's own needs
    from undersky.flow.roll import claim_tiles, read_order  # noqa: PLC0415
    from undersky.services.ledger import Actor  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415

    user, store = person().run, open_store(settings)
    by = Actor(run=arguments.run or f"{user}-{datetime.now(UTC):%Y%m%dT%H%M%S}", task=f"by-hand ({user})")
    with _ledger(settings) as ledger:
        hrefs = claim_tiles(
            ledger,
            store,
            run=by.run,
            by=by,
            limit=arguments.limit or settings.claim_scenes,
            lease=timedelta(minutes=settings.lease_minutes),
        )
    orders = [read_order(store, href).tile for href in hrefs]
    rows = [
        {"tile": ref.tile, "maps": len(ref.products), "order": href}
        for ref, href in zip(orders, hrefs, strict=True)
    ]

    def show(console: Console) -> None:
        if not rows:
            console.print("every rolling map is of the maps that are published")
            return
        console.print(table(rows, ("tile", "maps", "order")))
        console.print(f"next: undersky rolling stage roll {hrefs[0]}")

    return Outcome({"run": by.run, "orders": rows}, show)


def stage(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky rolling stage`."""
    from undersky import log  # noqa: PLC0415  the verb's own needs
    from undersky.batch.roll import roll_tile  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415

    if "log_level" not in settings.model_fields_set:  # whoever looks at a stage's log wants to see it work
        log.set_up_logs(level="info", json=settings.log_format == "json")
    done = roll_tile(arguments.href, store=open_store(settings), settings=settings, tell=log.tell)
    said = f"{done.tile}: {done.ending} {done.sentence or (done.made.id if done.made else '')}"
    return Outcome(done.model_dump(mode="json"), lambda console: console.print(said, markup=False))


def publish(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky rolling publish`."""
    from undersky.cli.person import person  # noqa: PLC0415  the verb's own needs
    from undersky.flow.roll import publish_rolled, read_order  # noqa: PLC0415
    from undersky.services.ledger import Actor  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415

    store = open_store(settings)
    by = Actor(run=read_order(store, arguments.href).run, task=person().task)
    with _ledger(settings) as ledger:
        report = publish_rolled(ledger, store, arguments.href, by, commit=settings.commit)
    said = f"{report.tile}: {report.state} {report.item or report.sentence}"
    return Outcome(
        report.model_dump(mode="json"),
        lambda console: console.print(said, markup=False),
        exit_code=1 if report.is_unexpected else 0,
    )


def list_(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky rolling list`."""
    with _ledger(settings) as ledger:
        found = ledger.tile_maps()
    rows = [
        {
            "tile": each.tile,
            "collection": each.collection,
            "state": each.state,
            "maps": len(each.products),
            "built": None if each.built is None else f"{each.built:%Y-%m-%d %H:%M}Z",
            "reason": each.reason,
            "sentence": each.sentence,
            "item": each.href,
        }
        for each in found
    ]
    columns = ("tile", "collection", "state", "maps", "built", "reason", "sentence")
    return Outcome({"tiles": rows}, lambda console: console.print(table(rows, columns)))


def again(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky rolling again`."""
    from undersky.cli.person import person  # noqa: PLC0415  the verb's own needs

    with _ledger(settings) as ledger:
        number = ledger.roll_again(arguments.tile, person(), why=arguments.why)
    sentence = (
        f"the next run makes {number} rolling map{'' if number == 1 else 's'} of {arguments.tile} again"
    )
    return Outcome({"tile": arguments.tile, "maps": number}, lambda console: console.print(sentence))


@contextmanager
def _ledger(settings: Settings) -> "Iterator[Ledger]":
    from undersky.services.opened import open_ledger  # noqa: PLC0415  the verbs' own needs

    with closing(open_ledger(settings)) as ledger:
        yield ledger
