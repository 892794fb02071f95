"""What the verbs about scenes call, and how answers read. The ledger is imported inside: help stays quick."""

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from undersky.cli.outcome import Outcome
from undersky.errors import ConfigError
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.flow.show import Shown
    from undersky.flow.status import Status
    from undersky.services.ledger import Product, Story

TOO_LATE = 4
"""Exit code of `status` when something waits longer than it should."""


def status(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky status`."""
    from undersky.flow.manage import parse_span  # noqa: PLC0415  see above
    from undersky.flow.status import status  # noqa: PLC0415
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    max_wait = parse_span(arguments.max_wait)
    with closing(open_ledger(settings)) as ledger:
        found = status(ledger, max_wait=max_wait)
    code = TOO_LATE if found.late else 0
    return Outcome(found.as_json(), lambda console: _show_status(console, found), code)


def why(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky why`."""
    from undersky.flow.answer import Question  # noqa: PLC0415  see above
    from undersky.flow.why import why, why_scene  # noqa: PLC0415
    from undersky.services.opened import open_ledger  # noqa: PLC0415
    from undersky.services.profiles import load_profiles  # noqa: PLC0415

    by_place = arguments.tile is not None and arguments.date is not None
    if by_place == (arguments.scene is not None):
        raise ConfigError("ask with --tile and --date, or with the id of a scene: one of the two")
    profiles = load_profiles(settings.profiles)
    question = Question.asked(arguments.tile, arguments.date, arguments.sensor) if by_place else None
    with closing(open_ledger(settings)) as ledger:
        if question is not None:
            found = why(ledger, question, profiles=profiles)
        else:
            found = why_scene(ledger, arguments.scene, profiles=profiles)

    def show(console: Console) -> None:
        for answer in found.answers:
            console.print(answer.text, markup=False)
            if answer.log is not None:
                console.print(f"  log: {answer.log}", markup=False)

    return Outcome(found.as_json(), show)


def show(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky show`."""
    from undersky.flow.show import show, show_day  # noqa: PLC0415  see above
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    with closing(open_ledger(settings)) as ledger:
        if arguments.date is not None:
            found = show_day(ledger, arguments.scene, arguments.date)
        else:
            found = show(ledger, arguments.scene)
    return Outcome(found.as_json(), lambda console: _show_stories(console, found))


def manage(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky retry`, `release`, `skip`, `remake`."""
    from undersky.cli.person import person  # noqa: PLC0415  see above
    from undersky.flow.manage import manage, selection_of  # noqa: PLC0415
    from undersky.flow.show import product_name  # noqa: PLC0415
    from undersky.refs import Kind, Lane  # noqa: PLC0415
    from undersky.services.opened import open_ledger  # noqa: PLC0415

    selection = selection_of(
        {
            "scenes": arguments.scenes,
            "state": arguments.state,
            "reason": arguments.reason_code,
            "since": arguments.since,
            "tile": arguments.tile,
            "model": arguments.model_version,
            "collection": arguments.collection,
            "kind": arguments.kind,
        }
    )
    with closing(open_ledger(settings)) as ledger:
        done = manage(
            ledger,
            arguments.action,
            selection,
            by=person(),
            why=arguments.why,
            dry_run=arguments.dry_run,
            lane=Lane(getattr(arguments, "lane", "historical")),
        )

    def show(console: Console) -> None:
        if done.changes:
            drawn = _table("acquisition", "tile", "what", "before", "after", "reason")
            for change in done.changes:
                kind = Kind(change.kind or Kind.SURFACE)
                what = "acquisition" if change.product is None else product_name(change.product, kind)
                _row(drawn, change.acquisition, change.tile, what, change.before, change.after, change.reason)
            console.print(drawn)
        console.print(
            f"{done.sentence}{' (dry run: nothing was changed)' if done.dry_run else ''}", markup=False
        )

    return Outcome(done.as_json(), show)


def _show_status(console: Console, found: "Status") -> None:
    from undersky.flow.words import moment, span  # noqa: PLC0415  see above

    console.print(f"The flow on {moment(found.at)}\n", markup=False)
    states = _table("what", "lane", "state", "reason", "number")
    for count in found.counts:
        what = f"{count.kind} product" if count.kind else count.what
        _row(states, what, count.lane, count.state, count.reason, f"{count.number:,}")
    console.print(
        states if found.counts else "nothing is known yet: `undersky area add` asks for some ground"
    )
    queues = _table("queue", "lane", "ready", "paused", "worked on", "silent", "oldest", "waits for")
    for queue in found.waiting:
        if queue.number:
            waits = span(found.at - queue.oldest_since) if queue.oldest_since else "-"
            numbers = (queue.ready, queue.delayed, queue.leased, queue.expired)
            _row(queues, queue.work, queue.lane, *(f"{n:,}" for n in numbers), queue.oldest or "-", waits)
    console.print("\nWaiting" if queues.row_count else "\nNothing waits.")
    if queues.row_count:
        console.print(queues)
    runs = _table("run", "task", "scenes", "lease until")
    for run in found.running:
        _row(
            runs, run.run, run.task, f"{run.scenes:,}",
            f"{moment(run.until)}{' (fell silent)' if run.is_silent else ''}",
        )  # fmt: skip
    if runs.row_count:
        console.print("\nAt work")
        console.print(runs)
    searches = _table("area", "archive", "collection", "searched last", "found", "")
    for line in found.searched:
        note = "paused" if line.paused else f"failed: {line.error}" if line.error else ""
        last = f"{span(found.at - line.last)} ago" if line.last else "never"
        _row(searches, line.area, line.profile or "-", line.collection or "-", last, str(line.found), note)
    if searches.row_count:
        console.print("\nSearches")
        console.print(searches)
    for sentence in found.late:
        console.print(Text(f"\nTOO LATE  {sentence}", style="bold red"))


def _show_stories(console: Console, found: "Shown") -> None:
    from undersky.flow.words import moment  # noqa: PLC0415  see above

    for number, story in enumerate(found.stories):
        if number:
            console.print()
        _show_story(console, story)
    for rejection in found.rejections:
        seen = f" on {moment(rejection.last_seen)}" if rejection.last_seen else ""
        console.print(
            f"{rejection.item_id} was rejected{seen} for area {rejection.area} ({rejection.reason}): "
            f"{rejection.sentence}",
            markup=False,
        )


def _show_story(console: Console, story: "Story") -> None:
    from undersky.flow.show import timeline  # noqa: PLC0415  see above
    from undersky.flow.words import moment  # noqa: PLC0415

    row = story.acquisition
    clouds = f", {row.cloud_percent:g} % cloud as announced" if row.cloud_percent is not None else ""
    console.print(Text(f"{row.key}  {row.state}", style="bold"))
    console.print(
        f"  {row.scene}\n  sensed {moment(row.sensed)} by {row.platform}, tile {row.tile}{clouds}; "
        f"area {row.area}, archive {row.profile}, lane {row.lane}",
        markup=False,
    )
    for product in story.products:
        console.print(_product_line(product), markup=False)
    console.print()
    for line in timeline(story):
        head = f"  {line.time:%Y-%m-%d %H:%M:%S}  {line.subject}: {line.what}"
        console.print(Text(f"{head} ({line.reason})" if line.reason else head, style="cyan"))
        for said in (line.text, f"by {line.by}" if line.by else "", f"log {line.log}" if line.log else ""):
            if said:
                console.print(f"      {said}", markup=False)


def _product_line(product: "Product") -> str:
    from undersky.flow.show import product_name  # noqa: PLC0415  see above

    name = f" {product.made.id}" if product.made else ""
    where = f" at {product.href}" if product.href else ""
    of = f" of product {product.source}" if product.source else ""
    after = f", replaced by product {product.successor}" if product.successor else ""
    title = product_name(product.id, product.kind)
    return f"  {title}{name}{of}: {product.state} ({product.reason}){where}{after}"


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def _row(table: Table, *cells: str) -> None:
    """As text: what stands in the ledger is no markup."""
    table.add_row(*(Text(cell) for cell in cells))
