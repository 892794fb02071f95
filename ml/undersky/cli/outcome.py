"""What a verb is: options, what it has to say twice, and how that is drawn."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from undersky.settings import Settings

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse names it nowhere else

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb has to say, twice."""

    result: Json
    """For machines: one JSON object."""
    show: Callable[[Console], None]
    """For people."""
    exit_code: int = 0
    """Other than 0 where the answer itself is bad news, as `status` when scenes wait too long."""


Verb = Callable[[argparse.Namespace, Settings, Console], Outcome]


def add_verb(group: "Verbs", name: str, verb: Verb, *, summary: str, example: str) -> argparse.ArgumentParser:
    """A verb with its one-line summary, an example to start from, and --json."""
    parser = group.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(verb=verb)
    return parser


@contextmanager
def progress(screen: Console, title: str) -> Iterator[Callable[[float, str], None]]:
    """A bar on a terminal; silence elsewhere."""
    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=screen, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, sentence: bar.update(task, completed=fraction, description=sentence)


def jsonable(value: Json) -> Json:
    """Paths as text."""
    plain: Json = json.loads(json.dumps(value, default=str))
    return plain


def table(rows: Sequence[Json], columns: Sequence[str]) -> Table:
    """The rows as columns of text, absent values as a dash."""
    drawn = Table(*columns, box=None)
    for row in rows:
        drawn.add_row(*(cell(row.get(column)) for column in columns))
    return drawn


def cell(value: object) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
