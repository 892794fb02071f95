"""What the verbs about areas call, and how results read. The ledger is imported inside: help stays quick."""

import argparse
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from undersky.cli.outcome import Outcome, jsonable
from undersky.errors import ServiceError
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.flow.geojson import Ground
    from undersky.flow.outlook import Outlook
    from undersky.services.ledger import Area

AGAIN = ServiceError.exit_code


def add(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky area add`."""
    from undersky.cli.person import person  # noqa: PLC0415  see above
    from undersky.flow.areas import Wish, area_of  # noqa: PLC0415
    from undersky.services.opened import open_ledger  # noqa: PLC0415
    from undersky.services.profiles import load_profiles  # noqa: PLC0415

    profiles = load_profiles(settings.profiles)
    wish = Wish(
        arguments.file,
        arguments.since,
        arguments.collections,
        until=arguments.until,
        profiles=arguments.profile,
        max_cloud=arguments.max_cloud,
        name=arguments.name,
    )
    now = datetime.now(UTC)
    area, ground = area_of(wish, profiles=profiles, today=now.date())
    if arguments.dry_run:
        return _foreseen(area, ground, settings, screen, now)
    with closing(open_ledger(settings)) as ledger:
        ledger.add_area(area, person())
    result = {**_plain(area), "km2": ground.km2, "added": True}

    def show(console: Console) -> None:
        console.print(f"area {area.name} is wanted: {_words(area, ground)}", markup=False)
        console.print("the next `undersky discover` searches it; `undersky status` says when that was")

    return Outcome(result, show)


def _foreseen(area: "Area", ground: "Ground", settings: Settings, screen: Console, now: datetime) -> Outcome:
    from undersky.flow.outlook import outlook  # noqa: PLC0415  see above
    from undersky.services.opened import open_ledger  # noqa: PLC0415
    from undersky.services.profiles import load_profiles  # noqa: PLC0415

    ledger = open_ledger(settings) if settings.ledger is not None else None
    try:
        with screen.status(f"asking upstream about {area.name}"):
            found = outlook(area, load_profiles(settings.profiles), now=now, ledger=ledger)
    finally:
        if ledger is not None:
            ledger.close()
    result = {**_plain(area), "km2": ground.km2, "added": False, "outlook": found.as_json()}

    def show(console: Console) -> None:
        console.print(f"area {area.name} would be wanted: {_words(area, ground)}", markup=False)
        _show_outlook(console, found)
        console.print("dry run: nothing was added")

    return Outcome(result, show, 0 if found.is_complete else AGAIN)


def show_all(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky area list`."""
    from undersky.services.opened import open_ledger  # noqa: PLC0415  see above

    with closing(open_ledger(settings)) as ledger:
        areas = ledger.areas()

    def show(console: Console) -> None:
        drawn = Table(
            "area", "collections", "from", "until", "cloud", "archives", "", box=None, pad_edge=False
        )
        for area in areas:
            cells = (
                area.name,
                " ".join(area.collections),
                str(area.since),
                str(area.until or "for ever"),
                "any" if area.max_cloud is None else f"up to {area.max_cloud:g} %",
                " ".join(area.profiles) or "all",
                f"paused: {area.paused_reason}" if area.paused else "",
            )
            drawn.add_row(*(Text(cell) for cell in cells))
        console.print(drawn if areas else "there is no area yet: `undersky area add` adds one")

    return Outcome({"areas": [_plain(area) for area in areas]}, show)


def pause(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky area pause`."""
    from undersky.cli.person import person  # noqa: PLC0415  see above
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    with closing(open_ledger(settings)) as ledger:
        ledger.pause_area(arguments.name, arguments.reason, person())
    said = f"area {arguments.name} is paused: nothing new is searched there, what is known goes on"
    return Outcome(
        {"name": arguments.name, "paused": True, "reason": arguments.reason},
        lambda console: console.print(said, markup=False),
    )


def resume(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky area resume`."""
    from undersky.cli.person import person  # noqa: PLC0415  see above
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    with closing(open_ledger(settings)) as ledger:
        ledger.resume_area(arguments.name, person())
    said = f"area {arguments.name} is searched again"
    return Outcome(
        {"name": arguments.name, "paused": False}, lambda console: console.print(said, markup=False)
    )


def _show_outlook(console: Console, found: "Outlook") -> None:
    drawn = Table("collection", "lane", "scenes", "GB", "hours", "archive", "", box=None, pad_edge=False)
    for line in found.lines:
        notes = [f"{number:,} rejected ({reason})" for reason, number in sorted(line.rejected.items())]
        if line.searched < line.windows:
            notes.insert(0, f"from {line.searched} of {line.windows} windows")
        if line.error is not None:
            notes = [line.error]
        numbers = ("-", "-", "-") if line.error else (
            f"{line.scenes:,}", f"{line.gigabytes:,.1f}", f"{line.hours:,.1f}"
        )  # fmt: skip
        cells = (line.collection, str(line.lane), *numbers, line.profile or "-", "; ".join(notes))
        drawn.add_row(*(Text(cell) for cell in cells))
    console.print(drawn)
    for source in dict.fromkeys(f"{line.collection}: {line.seconds_source}" for line in found.lines):
        console.print(f"hours of one worker, without the download; {source}", markup=False)


def _words(area: "Area", ground: "Ground") -> str:
    clouds = "" if area.max_cloud is None else f", up to {area.max_cloud:g} % cloud"
    parts = "" if ground.parts == 1 else f" in {ground.parts} parts"
    until = "on" if area.until is None else f"to {area.until}"
    return f"{ground.km2:,.6g} km2{parts}, {' and '.join(area.collections)}, {area.since} {until}{clouds}"


def _plain(area: "Area") -> dict[str, object]:
    return dict(jsonable(asdict(area)))
