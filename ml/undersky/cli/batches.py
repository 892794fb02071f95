"""The heavy stages over a batch, which is what a pod or a child process runs; and `validate` by hand."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Json, Outcome, add_verb, table
from undersky.errors import DataError
from undersky.refs import Stage
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs
    from undersky.refs import Manifest
    from undersky.stages.validate import Validated


def add_verbs(group: "Verbs") -> None:
    """batch, validate."""
    _add_batch(group)
    _add_validate(group)


def _add_batch(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "batch",
        batch,
        summary="Run one stage over a batch of scenes in the store; running it again changes nothing.",
        example="undersky batch correct s3://undersky/batches/manual-7/000/batch.json",
    )
    parser.add_argument("stage", choices=[stage.value for stage in Stage])
    parser.add_argument("href", help="address of the batch.json that `undersky claim` wrote")


def _add_validate(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "validate",
        validate,
        summary="Judge a product on the disk: a delivered Level-1 scene, a surface product, or a map.",
        example="undersky validate products/S2B_32TQM_20250613T101559_SR_1a2b3c4d --docs pages",
    )
    parser.add_argument(
        "product",
        type=Path,
        help="Level-1 product, as `inspect` takes it; or the folder of a surface product, or of a map of one",
    )
    parser.add_argument("--docs", type=Path, metavar="DIR", help="Data Docs are built there: DIR/index.html")


def batch(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky batch`."""
    from undersky import log  # noqa: PLC0415  the verb's own needs
    from undersky.batch.driver import exit_code  # noqa: PLC0415
    from undersky.batch.run import run_stage  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415

    if "log_level" not in settings.model_fields_set:  # whoever looks at a batch's log wants to see its scenes
        log.set_up_logs(level="info", json=settings.log_format == "json")
    store = open_store(settings)
    manifest = run_stage(
        Stage(arguments.stage), arguments.href, store=store, settings=settings, tell=log.tell
    )
    rows = _scenes(manifest)
    result = {"run": manifest.run, "batch": manifest.batch, "stage": str(manifest.stage), "scenes": rows}
    columns = ("acquisition", "stage", "ending", "reason", "seconds", "tries", "sentence")
    return Outcome(result, lambda console: console.print(table(rows, columns)), exit_code=exit_code(manifest))


def _scenes(manifest: "Manifest") -> list[Json]:
    names = {"acquisition", "scene", "stage", "ending", "reason", "sentence", "seconds", "tries"}
    return [outcome.model_dump(mode="json", include=names) for outcome in manifest.outcomes]


def validate(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky validate`."""
    from undersky.stages.validate import Pages, validate  # noqa: PLC0415  its suites take seconds to import

    with screen.status(f"judging {arguments.product.name}"):
        done = validate(arguments.product, pages=Pages(arguments.docs) if arguments.docs else None)
    failures = _failures(done)
    verdict = done.verdict
    result = {
        "product": done.facts.label,
        "level": done.facts.level,
        "expectations": verdict.expectations,
        "failed": failures,
        "scene": _finite(done.facts.scene),
        "bands": [_finite(row) for row in done.facts.bands],
    }

    def show(console: Console) -> None:
        held = verdict.expectations - len(failures)
        console.print(
            f"{done.facts.label} ({done.facts.level}): {held} of {verdict.expectations} expectations hold"
        )
        if failures:
            console.print(table(failures, ("severity", "code", "sentence")))
        if arguments.docs:
            console.print(f"pages: {arguments.docs / 'index.html'}")

    return Outcome(result, show, exit_code=0 if verdict.worst is None else DataError.exit_code)


def _failures(done: "Validated") -> list[Json]:
    return [
        {
            "severity": failure.rule.severity.name.lower(),
            "code": failure.rule.code,
            "sentence": failure.sentence,
        }
        for failure in done.verdict.failures
    ]


def _finite(row: Json) -> Json:
    """The facts without what is not known: JSON has no NaN."""
    return {
        name: value
        for name, value in row.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
