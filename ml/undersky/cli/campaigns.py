"""Campaigns: products that are to be made again with the models of now, a few at a time."""

import argparse
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Outcome, add_verb, jsonable
from undersky.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from undersky.cli.outcome import Verbs
    from undersky.services.ledger import Actor, Campaign, Ledger

_WHY = "your reason; it goes into the history"


def add_verbs(group: "Verbs") -> None:
    """Campaign propose, list, start, pause, resize, abort."""
    summary = "Make products again with the models of now: estimated, capped, never before fresh scenes."
    parser = group.add_parser("campaign", help=summary, description=summary)
    inner = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_propose(inner)
    add_verb(
        inner, "list", show_all, summary="Every campaign and how far it is.", example="undersky campaign list"
    )
    for name, verb, text in (
        ("start", start, "Begin it, or go on where it was paused or aborted."),
        ("pause", pause, "Begin no further scene of it; what is under way ends."),
        ("abort", abort, "End it; `start` takes up what is left."),
    ):
        moved = add_verb(
            inner, name, verb, summary=text, example=f"undersky campaign {name} june --why '...'"
        )
        moved.add_argument("name", help="of the campaign")
        moved.add_argument("--why", default="", help=_WHY)
    sized = add_verb(
        inner,
        "resize",
        resize,
        summary="Give it another cap or budget, and let it go on.",
        example="undersky campaign resize june --at-once 40 --budget-hours 500",
    )
    sized.add_argument("name", help="of the campaign")
    sized.add_argument("--why", default="", help=_WHY)
    _add_caps(sized)


def _add_propose(inner: "Verbs") -> None:
    parser = add_verb(
        inner,
        "propose",
        propose,
        summary="Say which products are to be made again, and what it would take; nothing is started.",
        example="undersky campaign propose june --model physics-1 --from 2026-06-01 --why 'new champion'",
    )
    parser.add_argument("name", help="lower case letters, digits and hyphens")
    parser.add_argument("--why", required=True, help=_WHY)
    parser.add_argument("--model", metavar="VERSION", help="label, version or digest that made them")
    parser.add_argument(
        "--kind", choices=("surface", "landcover", "vessels"),
        help="what is made again (default: surface, or the one kind of map that the model made)",
    )  # fmt: skip
    parser.add_argument("--area", metavar="NAME", help="of an area")
    parser.add_argument("--tile", help="32TQM, or path and row, 192029")
    parser.add_argument("--from", dest="sensed_from", metavar="DAY", help="first day of sensing, UTC")
    parser.add_argument("--until", dest="sensed_until", metavar="DAY", help="last day of sensing, UTC")
    parser.add_argument("--reason", metavar="CODE", help="reason code of the product's state")
    parser.add_argument("--scene", action="append", dest="scenes", help="one of these; repeatable")
    _add_caps(parser, at_once=20)


def _add_caps(parser: argparse.ArgumentParser, *, at_once: int | None = None) -> None:
    parser.add_argument(
        "--at-once", type=int, default=at_once, metavar="N", help="scenes under way at a time"
    )
    parser.add_argument("--budget-hours", type=float, metavar="H", help="compute hours after which it pauses")


def propose(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky campaign propose`."""
    from undersky.cli.person import person  # noqa: PLC0415  they load what others don't
    from undersky.flow.campaign import Wish  # noqa: PLC0415
    from undersky.flow.campaign import propose as write  # noqa: PLC0415
    from undersky.flow.manage import selection_of  # noqa: PLC0415
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    names = ("scenes", "model", "kind", "area", "tile", "sensed_from", "sensed_until", "reason")
    wish = Wish(
        arguments.name,
        selection_of({name: getattr(arguments, name) for name in names}),
        arguments.why,
        arguments.at_once,
        arguments.budget_hours,
    )
    with closing(open_ledger(settings)) as ledger:
        done = write(ledger, wish, by=person())
    text = f"{done.sentence}\n  next: undersky campaign start {done.campaign.name}"
    return Outcome(jsonable(asdict(done.campaign)), lambda console: console.print(text, markup=False))


def show_all(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky campaign list`."""
    from undersky.flow.campaign import describe, progress_of  # noqa: PLC0415  it loads what others don't
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    with closing(open_ledger(settings)) as ledger:
        found = [(each, progress_of(ledger, each.name)) for each in ledger.campaigns()]
    rows = [{**asdict(campaign), "progress": asdict(progress)} for campaign, progress in found]

    def show(console: Console) -> None:
        for campaign, progress in found:
            console.print(describe(campaign, progress), markup=False)
        if not found:
            console.print("no campaign was proposed yet")

    return Outcome(jsonable({"campaigns": rows}), show)


def start(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky campaign start`."""
    from undersky.flow.campaign import start as move  # noqa: PLC0415  it loads what others don't

    return _moved(settings, lambda ledger, by: move(ledger, arguments.name, why=arguments.why, by=by))


def pause(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky campaign pause`."""
    from undersky.flow.campaign import pause as move  # noqa: PLC0415  it loads what others don't

    return _moved(settings, lambda ledger, by: move(ledger, arguments.name, why=arguments.why, by=by))


def abort(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky campaign abort`."""
    from undersky.flow.campaign import abort as move  # noqa: PLC0415  it loads what others don't

    return _moved(settings, lambda ledger, by: move(ledger, arguments.name, why=arguments.why, by=by))


def resize(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky campaign resize`."""
    from undersky.flow.campaign import resize as move  # noqa: PLC0415  it loads what others don't

    return _moved(
        settings,
        lambda ledger, by: move(
            ledger,
            arguments.name,
            at_once=arguments.at_once,
            budget_hours=arguments.budget_hours,
            why=arguments.why,
            by=by,
        ),
    )


def _moved(settings: Settings, move: "Callable[[Ledger, Actor], Campaign]") -> Outcome:
    from undersky.cli.person import person  # noqa: PLC0415  they load what others don't
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    with closing(open_ledger(settings)) as ledger:
        campaign = move(ledger, person())
    text = f"{campaign.name} is {campaign.state}"
    return Outcome(jsonable(asdict(campaign)), lambda console: console.print(text, markup=False))
