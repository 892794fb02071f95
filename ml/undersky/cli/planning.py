"""The verb `plan`: how large a cluster must be, and what it costs."""

import argparse
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from undersky.cli.outcome import Outcome, add_verb
from undersky.errors import ConfigError
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs
    from undersky.flow.plan import Bill, Line, Plan
    from undersky.flow.spent import Spent

_FIGURES: Mapping[str, tuple[str, int]] = {
    "s a scene": ("seconds", 1),
    "pods": ("pods", 0),
    "cores": ("cores", 2),
    "GiB each": ("memory_gib", 2),
    "GiB in all": ("memory_at_once_gib", 2),
    "scratch GiB": ("scratch_gib", 2),
    "GPUs": ("gpus", 2),
}
"""Heading to the figure of a line, and its digits."""
_UNKNOWN = "not measured"


def add_verbs(group: "Verbs") -> None:
    """Plan."""
    parser = add_verb(
        group,
        "plan",
        plan,
        summary="Size a cluster for so many scenes a day, from measured seconds and bytes; and its bill.",
        example="undersky plan --scenes-per-day 200 --price-list examples/price-list.yaml",
    )
    parser.add_argument("--scenes-per-day", type=float, required=True, metavar="N")
    parser.add_argument(
        "--landsat", type=float, default=0.0, metavar="PERCENT",
        help="share of the scenes that are Landsat; the others are Sentinel-2 (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "--price-list", type=Path, metavar="FILE", help="what things cost, YAML; see the docs"
    )
    parser.add_argument(
        "--utilisation", type=float, default=0.7, metavar="SHARE",
        help="share of what is paid for that works (default 0.7)",
    )  # fmt: skip
    parser.add_argument(
        "--keep-months", type=float, default=12.0, metavar="N",
        help="how long everything is kept in the store (default 12)",
    )  # fmt: skip
    parser.add_argument(
        "--gpu", action="append", default=[], metavar="STAGE",
        help="a stage whose pods hold a GPU, as it was measured here; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--egress-gib", type=float, default=0.0, metavar="N",
        help="GiB that readers take out a day (default 0)",
    )  # fmt: skip


def plan(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky plan`."""
    from undersky.flow.plan import Load, plan  # noqa: PLC0415  help stays quick
    from undersky.flow.prices import read_prices  # noqa: PLC0415

    load = Load(
        arguments.scenes_per_day,
        utilisation=arguments.utilisation,
        keep_months=arguments.keep_months,
        gpu_stages=tuple(arguments.gpu),
        egress_gib_per_day=arguments.egress_gib,
    )
    prices = read_prices(arguments.price_list) if arguments.price_list is not None else None
    if not 0 <= arguments.landsat <= 100:
        raise ConfigError(f"--landsat {arguments.landsat:g} is no share in percent: give 0 to 100")
    with screen.status("looking at what scenes took"):
        spent = _spent(settings, arguments.landsat / 100.0)
    found = plan(load, spent, prices=prices)
    return Outcome(found.as_json(), lambda console: _show(console, found))


def _spent(settings: Settings, landsat: float) -> "Mapping[str, Spent]":
    """What a mean scene of that mix takes: as measured here where a flow is set up, as shipped elsewhere."""
    from undersky.flow.spent import LANDSAT, SENTINEL_2, best, measured_here, mixed, shipped  # noqa: PLC0415
    from undersky.services.opened import open_ledger, open_store  # noqa: PLC0415  see above
    from undersky.services.profiles import load_profiles  # noqa: PLC0415

    profiles = load_profiles(settings.profiles)
    shares = {SENTINEL_2: 1.0 - landsat, LANDSAT: landsat}
    before = {collection: shipped(collection, profiles) for collection in shares}
    if settings.ledger is None or settings.store is None:
        return mixed([(share, before[collection]) for collection, share in shares.items()])
    store = open_store(settings)
    with closing(open_ledger(settings)) as ledger:
        return mixed(
            [
                (share, best(measured_here(ledger, store, collection), before[collection]))
                for collection, share in shares.items()
                if share > 0
            ]
        )


def _show(console: Console, found: "Plan") -> None:
    load = found.load
    console.print(
        f"{load.scenes_per_day:g} scenes a day, each published and mapped; {load.utilisation:.0%} of what is "
        "paid for works"
    )
    drawn = Table("stage", box=None)
    for heading in _FIGURES:
        drawn.add_column(heading, justify="right", no_wrap=True)
    for line in found.lines:
        drawn.add_row(line.stage, *(_cell(line, *figure) for figure in _FIGURES.values()))
    console.print(drawn)
    console.print(f"  ? {_UNKNOWN}")
    for source, stages in _sources(found).items():
        console.print(f"  {', '.join(stages)}: {source}", markup=False)
    slots = ", ".join(f"{pool} {_UNKNOWN if n is None else n}" for pool, n in found.slots.items())
    console.print(f"\nslots of Airflow's pools: {slots}")
    if found.stored_gib_per_day is not None:
        console.print(
            f"store: {found.stored_gib_per_day:,.1f} GiB a day, {found.stored_gib_per_day * 30:,.0f} a month "
            f"of 30 days; {found.moved_gib_per_day:,.1f} GiB a day between it and the pods, at most"
        )
    console.print(f"not measured, and in no sum: {'; '.join(found.lacking)}", markup=False)
    if found.bill is not None:
        _show_bill(console, found, found.bill)


def _cell(line: "Line", name: str, digits: int) -> str:
    value = getattr(line, name)
    return "?" if value is None else f"{value:,.{digits}f}" if value else "-"


def _sources(found: "Plan") -> dict[str, list[str]]:
    """Where figures come from, to the stages whose they are."""
    sources: dict[str, list[str]] = {}
    for line in found.lines:
        sources.setdefault(line.source, []).append(line.stage)
    return sources


def _show_bill(console: Console, found: "Plan", bill: "Bill") -> None:
    console.print(f"\nby the prices of {bill.prices}, in {bill.currency}:", markup=False)
    for part, amount in bill.per_day.items():
        console.print(f"  {part:<8}{amount:12,.2f} a day")
    console.print(
        f"  {'all':<8}{bill.day:12,.2f} a day, {bill.day * 30:,.2f} a month of 30 days, "
        f"{bill.day / found.load.scenes_per_day:,.4f} a scene; the store as when it holds "
        f"{found.load.keep_months:g} months"
    )
