"""What each verb calls and how its result reads. Stages are imported inside: most load what others don't."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from undersky.settings import Settings

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb has to say, twice."""

    result: Json
    """For machines: one JSON object."""
    show: Callable[[Console], None]
    """For people."""


Verb = Callable[[argparse.Namespace, Settings, Console], Outcome]


@contextmanager
def _progress(screen: Console, title: str) -> Iterator[Callable[[float, str], None]]:
    """A bar on a terminal; silence elsewhere."""
    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=screen, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, sentence: bar.update(task, completed=fraction, description=sentence)


def correct(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky correct`."""
    from undersky.stages.correct import CorrectOptions, correct, estimator_for  # noqa: PLC0415  see above

    model = None if arguments.model == "physics" else Path(arguments.model)
    estimator = estimator_for(
        model=model, state=arguments.state, dem=arguments.dem, altitude_m=arguments.altitude
    )
    with _progress(screen, arguments.product.name) as progress:
        options = CorrectOptions(threads=arguments.threads or settings.threads, progress=progress)
        made = correct(arguments.product, arguments.out, estimator=estimator, options=options)

    def show(console: Console) -> None:
        how = "was there already" if made.was_there else f"made in {made.seconds:.1f} s"
        flags = ", ".join(f"{name} {share:.1f} %" for name, share in made.quality_percent.items() if share)
        console.print(f"{made.folder}\n  {how}, {made.bytes / 1e6:.1f} MB, Item {made.item.name}")
        console.print(f"  quality: {flags or 'every pixel clear'}")

    return Outcome(_jsonable(asdict(made)), show)


def inspect(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky inspect`."""
    from undersky.stages.inspect import inspect  # noqa: PLC0415  see above

    seen = inspect(arguments.product)

    def show(console: Console) -> None:
        priors = {f"prior {name}": value for name, value in seen.prior.items()}
        for name, value in (dict(seen.facts) | priors).items():
            console.print(f"{name:>24}  {_cell(value)}")
        console.print(_table(seen.bands, ("name", "common_name", "wavelength_nm", "rows", "cols", "pixel_m")))
        for note in seen.notes:
            console.print(f"! {note['sentence']}")

    return Outcome(asdict(seen), show)


def simulate(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky simulate`."""
    from undersky.stages.simulate import Order, request_for, simulate  # noqa: PLC0415  see above

    request = request_for(
        arguments.sensor,
        tile=arguments.tile,
        day=arguments.date,
        seed=arguments.seed,
        theme=arguments.theme,
        cloud_percent=arguments.clouds,
        size_m=arguments.size,
    )
    order = Order(request, arguments.baseline, arguments.layout, arguments.malformed)
    with screen.status(f"simulating {request.sensor} over {request.tile}"):
        made = simulate(arguments.out, order=order)
    return Outcome(
        _jsonable(asdict(made)), lambda console: console.print(f"{made.product}\n  truth: {made.truth}")
    )


def compare(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky compare`."""
    from undersky.stages.compare import compare  # noqa: PLC0415  see above

    with screen.status("comparing"):
        found = compare(arguments.product, arguments.agency_l2, arguments.out)

    def show(console: Console) -> None:
        console.print(Markdown(found.as_markdown()))
        if found.picture is not None:
            console.print(f"picture: {found.picture}")

    return Outcome(found.as_json(), show)


def evaluate(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky evaluate`."""
    from undersky.stages.evaluate import EvaluateOptions, evaluate  # noqa: PLC0415  see above

    samples = settings.samples
    suites = arguments.suite or ["direct-6s", *(["pairs"] if samples else [])]
    model = None if arguments.model == "physics" else Path(arguments.model)
    with _progress(screen, "evaluating") as progress:
        options = EvaluateOptions(model=model, samples=samples, workers=settings.threads, progress=progress)
        found = evaluate(suites, options)
    return Outcome(found.result, lambda console: console.print(found.markdown, markup=False))


def _jsonable(value: Json) -> Json:
    """Paths as text."""
    plain: Json = json.loads(json.dumps(value, default=str))
    return plain


def _table(rows: Sequence[Json], columns: Sequence[str]) -> Table:
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
