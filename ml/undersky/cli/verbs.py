"""What each verb calls and how its result reads. Stages are imported inside: most load what others don't."""

import argparse
from dataclasses import asdict

from rich.console import Console
from rich.markdown import Markdown

from undersky.cli.outcome import Outcome, cell, jsonable, progress, table
from undersky.errors import ConfigError
from undersky.settings import Settings


def correct(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky correct`."""
    from undersky.stages.correct import CorrectOptions, correct, estimator_for  # noqa: PLC0415  see above

    estimator = estimator_for(
        model=arguments.model,
        quality=arguments.quality,
        state=arguments.state,
        dem=arguments.dem,
        altitude_m=arguments.altitude,
    )
    with progress(screen, arguments.product.name) as told:
        options = CorrectOptions(threads=arguments.threads or settings.threads, progress=told)
        made = correct(arguments.product, arguments.out, estimator=estimator, options=options)

    def show(console: Console) -> None:
        how = "was there already" if made.was_there else f"made in {made.seconds:.1f} s"
        flags = ", ".join(f"{name} {share:.1f} %" for name, share in made.quality_percent.items() if share)
        console.print(f"{made.folder}\n  {how}, {made.bytes / 1e6:.1f} MB, Item {made.item.name}")
        console.print(f"  quality: {flags or 'every pixel clear'}")

    return Outcome(jsonable(asdict(made)), show)


def inspect(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky inspect`."""
    from undersky.stages.inspect import inspect  # noqa: PLC0415  see above

    seen = inspect(arguments.product)

    def show(console: Console) -> None:
        priors = {f"prior {name}": value for name, value in seen.prior.items()}
        for name, value in (dict(seen.facts) | priors).items():
            console.print(f"{name:>24}  {cell(value)}")
        console.print(table(seen.bands, ("name", "common_name", "wavelength_nm", "rows", "cols", "pixel_m")))
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
        jsonable(asdict(made)), lambda console: console.print(f"{made.product}\n  truth: {made.truth}")
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
    correction = "correction"
    named = [arguments.what] if isinstance(arguments.what, str) else list(dict.fromkeys(arguments.what))
    if arguments.model is not None and len(named) > 1:
        raise ConfigError(f"--model is a package of one model, and {len(named)} are named: name one")
    if correction not in named and (arguments.suite or arguments.report):
        raise ConfigError("--suite and --report are of the correction: name it, or leave them out")
    done = {correction: _evaluate_correction(arguments, settings, screen)} if correction in named else {}
    if maps := [name for name in named if name != correction]:
        done["maps"] = _evaluate_maps(maps, arguments, settings, screen)
    if len(done) == 1:
        return next(iter(done.values()))

    def show(console: Console) -> None:
        for outcome in done.values():
            outcome.show(console)

    return Outcome({correction: done[correction].result, **done["maps"].result}, show)


def _evaluate_correction(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    from undersky.stages.evaluate import EvaluateOptions, default_suites, evaluate  # noqa: PLC0415  see above

    samples = settings.samples
    suites = arguments.suite or default_suites(samples)
    with progress(screen, "evaluating") as told:
        options = EvaluateOptions(
            model=arguments.model,
            samples=samples,
            workers=settings.threads,
            report=arguments.report,
            progress=told,
        )
        found = evaluate(suites, options)

    def show(console: Console) -> None:
        console.print(found.markdown, markup=False)
        if found.page is not None:
            console.print(f"report: {found.page}", markup=False)

    return Outcome(found.result, show)


def _evaluate_maps(
    names: list[str], arguments: argparse.Namespace, settings: Settings, screen: Console
) -> Outcome:
    from undersky.stages.evaluate_maps import evaluate_maps  # noqa: PLC0415  see above

    with progress(screen, "evaluating") as told:
        found = evaluate_maps(names, model=arguments.model, samples=settings.samples, progress=told)
    return Outcome(found.result, lambda console: console.print(found.markdown, markup=False))
