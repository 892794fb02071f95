"""Models: what is released, what waits for a person, and what people decide; the same as the DAG does."""

import argparse
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.first_models import add_bootstrap
from undersky.cli.furnishing import add_accounts
from undersky.cli.outcome import Outcome, add_verb, jsonable, progress, table
from undersky.errors import ConfigError
from undersky.refs import ReleaseStage
from undersky.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from undersky.cli.outcome import Json, Verbs
    from undersky.judgement import Judgement
    from undersky.services.registry import Version

MODEL = "correction"
_VERSION = "number of the version, as `undersky model list` shows it"
_MODEL = "which model (default correction)"


def add_verbs(group: "Verbs") -> None:
    """Model accounts, bootstrap, submit, list, show, compare, approve, reject, promote, rollback, stage."""
    summary = "Models: what is released, what waits for a person, and what people decide."
    parser = group.add_parser("model", help=summary, description=summary)
    inner = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    add_accounts(inner)
    add_bootstrap(inner)
    _add_submit(inner)
    _add_looks(inner)
    _add_compare(inner)
    _add_decisions(inner)
    _add_rollback(inner)
    _add_stage(inner)


def _add_submit(inner: "Verbs") -> None:
    parser = add_verb(
        inner,
        "submit",
        submit,
        summary="Bring weights that were trained elsewhere into the store, for evaluation, gate and review.",
        example="undersky model submit trained/default --recipe default --dataset 3f2a91c04d7e",
    )
    parser.add_argument(
        "weights", metavar="WEIGHTS", help="folder of a package, or a shipped one by its name"
    )
    parser.add_argument("--recipe", required=True, help="name or digest of the recipe it was trained with")
    parser.add_argument(
        "--dataset", required=True, metavar="DIGEST", help="what it was trained on, at least 8 digits"
    )


def _add_looks(inner: "Verbs") -> None:
    parser = add_verb(
        inner,
        "list",
        show_all,
        summary="Every version with its aliases, gate and verdict.",
        example="undersky model list",
    )
    parser.add_argument("model", nargs="?", default=MODEL, help=_MODEL)
    parser = add_verb(
        inner,
        "show",
        show_one,
        summary="One version: what it is made from, what the gate found, who said what.",
        example="undersky model show 3",
    )
    parser.add_argument("version", help=_VERSION)
    parser.add_argument("--model", default=MODEL, help=_MODEL)


def _add_compare(inner: "Verbs") -> None:
    parser = add_verb(
        inner,
        "compare",
        compare,
        summary="Measure two packages on the same scenes, ask the gate, draw the review page.",
        example="undersky model compare trained/default learned --scenes 40 --report out",
    )
    parser.add_argument("candidate", help="folder of a package, or a shipped one by its name")
    parser.add_argument("champion", nargs="?", help="the same (default: the shipped one of its kind)")
    parser.add_argument("--suite", action="append", metavar="NAME", help="repeatable (default: the gate's)")
    parser.add_argument("--scenes", type=int, metavar="N", help="of each suite, evenly spread (default all)")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write DIR/index.html")


def _add_decisions(inner: "Verbs") -> None:
    for name, verb, summary in (
        ("approve", approve, "Say yes to a version; against the gate only with a reason."),
        ("reject", reject, "Say no to a version, and why."),
    ):
        parser = add_verb(inner, name, verb, summary=summary, example=f"undersky model {name} 3 --why '...'")
        parser.add_argument("version", help=_VERSION)
        parser.add_argument("--model", default=MODEL, help=_MODEL)
        parser.add_argument("--why", default="", help="your reason; it stands on the version for ever")
    parser = add_verb(
        inner,
        "promote",
        promote,
        summary="Make an approved version the champion: a new release set, which runs are pinned to.",
        example="undersky model promote 3",
    )
    parser.add_argument("version", help=_VERSION)
    parser.add_argument("--model", default=MODEL, help=_MODEL)


def _add_rollback(inner: "Verbs") -> None:
    parser = add_verb(
        inner,
        "rollback",
        rollback,
        summary="Take the champion back: the release before holds again, its products are deprecated.",
        example="undersky model rollback --why 'halo along the coast'",
    )
    parser.add_argument("model", nargs="?", default=MODEL, help=_MODEL)
    parser.add_argument("--why", required=True, help="stands on every product of the version")


def _add_stage(inner: "Verbs") -> None:
    parser = add_verb(
        inner,
        "stage",
        stage,
        summary="Run one stage of the model flow over its order in the store; again, it changes nothing.",
        example="undersky model stage evaluate s3://undersky/releases/model_release.7/order.json",
    )
    parser.add_argument("stage", choices=[each.value for each in ReleaseStage])
    parser.add_argument("href", help="address of the order.json that the DAG model_release laid down")


def submit(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model submit`."""
    from undersky.release.candidates import submit as bring  # noqa: PLC0415  they load what others don't
    from undersky.services.opened import open_store  # noqa: PLC0415

    package = bring(
        open_store(settings), arguments.weights, recipe=arguments.recipe, dataset=arguments.dataset
    )
    form = f'{{"model": "{package.name}", "begin": "evaluate", "weights": "{package.digest[:12]}"}}'
    result = {"label": package.label, "digest": package.digest, "href": package.href, "trigger": form}
    return Outcome(
        result,
        _says(
            f"{package.label} lies at {package.href}",
            f"next: trigger model_release with {form}",
        ),
    )


def show_all(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model list`."""
    from undersky.services.opened import open_registry  # noqa: PLC0415  loads MLflow

    rows = [_row(version) for version in open_registry(settings).versions(arguments.model)]
    columns = ("version", "label", "aliases", "gate", "answer", "by", "why", "digest")
    return Outcome({"versions": rows}, lambda console: console.print(table(rows, columns), markup=False))


def show_one(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model show`."""
    from undersky.services.opened import open_registry  # noqa: PLC0415  loads MLflow

    registry = open_registry(settings)
    version = registry.version(arguments.model, arguments.version)
    judgement, verdict = registry.read_judgement(version), registry.read_verdict(version)
    result = {
        **_row(version),
        "page": registry.page(version),
        "judgement": judgement.model_dump(mode="json") if judgement else None,
        "verdict": verdict.model_dump(mode="json") if verdict else None,
    }

    def show(console: Console) -> None:
        for name, value in {**_row(version), "page": registry.page(version)}.items():
            console.print(f"{name:>9}  {value or '-'}", markup=False)
        if judgement is not None:
            console.print()
            _print_findings(console, judgement)
        if verdict is not None:
            said = f"{verdict.decision} ({verdict.by}, {verdict.at:%Y-%m-%d %H:%M}, {verdict.via})"
            console.print(f"\n{said}", markup=False)

    return Outcome(jsonable(result), show)


def compare(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky model compare`."""
    from undersky.release.comparing import hold_against  # noqa: PLC0415  loads torch

    with progress(screen, "comparing") as told:
        done = hold_against(
            arguments.candidate,
            arguments.champion,
            suites=tuple(arguments.suite or ()),
            scenes=arguments.scenes,
            workers=settings.threads,
            progress=told,
        )
    judgement = done.judgement
    if arguments.report is not None:
        arguments.report.mkdir(parents=True, exist_ok=True)
        (arguments.report / "index.html").write_text(done.page(), encoding="utf-8")

    def show(console: Console) -> None:
        _print_findings(console, judgement)
        if arguments.report is not None:
            console.print(f"report: {arguments.report / 'index.html'}", markup=False)

    return Outcome(judgement.model_dump(mode="json"), show)


def approve(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model approve`."""
    return _answered(arguments, settings, approved=True)


def reject(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model reject`."""
    return _answered(arguments, settings, approved=False)


def promote(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model promote`."""
    from undersky.cli.person import person  # noqa: PLC0415  they load what others don't
    from undersky.flow.promote import promote as move  # noqa: PLC0415
    from undersky.services.opened import open_ledger, open_registry, open_store  # noqa: PLC0415

    registry = open_registry(settings, "release")
    version = registry.version(arguments.model, arguments.version)
    with closing(open_ledger(settings)) as ledger:
        done = move(registry, ledger, open_store(settings), version, by=person())
    result = {"sentence": done.sentence, "release": done.release.digest, "changed": done.changed}
    return Outcome(result, _says(done.sentence, f"release set {done.release.digest[:12]}"))


def rollback(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky model rollback`."""
    from undersky.cli.person import person  # noqa: PLC0415  they load what others don't
    from undersky.flow.rollback import rollback as take_back  # noqa: PLC0415
    from undersky.services.opened import open_ledger, open_registry, open_store  # noqa: PLC0415

    with screen.status("taking it back"), closing(open_ledger(settings)) as ledger:
        done = take_back(
            open_registry(settings, "release"),
            ledger,
            open_store(settings),
            arguments.model,
            by=person(),
            why=arguments.why,
            commit=settings.commit,
        )
    result = {
        "sentence": done.sentence,
        "champion": done.champion.label,
        "withdrawn": done.withdrawn.label,
        "deprecated": done.deprecated,
        "remake": {
            "scenes": done.remake.scenes, "hours": done.remake.hours, "bytes": done.remake.bytes,
        },
        "offer": done.offer,
    }  # fmt: skip
    return Outcome(result, _says(done.sentence, done.offer or None))


def stage(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky model stage`."""
    from undersky import log  # noqa: PLC0415  the verb's own needs
    from undersky.release.run import run_release  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415

    if "log_level" not in settings.model_fields_set:  # whoever looks at a stage's log wants to see it work
        log.set_up_logs(level="info", json=settings.log_format == "json")
    done = run_release(
        ReleaseStage(arguments.stage),
        arguments.href,
        store=open_store(settings),
        settings=settings,
        tell=log.tell,
    )
    return Outcome(done.model_dump(mode="json"), lambda console: console.print(done.to_json(), markup=False))


def _answered(arguments: argparse.Namespace, settings: Settings, *, approved: bool) -> Outcome:
    from undersky.cli.person import person  # noqa: PLC0415  they load what others don't
    from undersky.flow.review import Answer, record_answer  # noqa: PLC0415
    from undersky.services.opened import open_ledger, open_registry  # noqa: PLC0415

    registry = open_registry(settings, "release")
    version = registry.version(arguments.model, arguments.version)
    answer = Answer(
        answer="approved" if approved else "rejected",
        by=person().run,
        why=arguments.why,
        via="command line",
        at=datetime.now(UTC),
    )
    with closing(open_ledger(settings)) as ledger:
        verdict = record_answer(registry, ledger, version, answer)
    if verdict.at != answer.at:
        raise ConfigError(
            f"version {version.number} was answered before: {verdict.decision}, by {verdict.by} on "
            f"{verdict.at:%Y-%m-%d}; the first answer counts"
        )
    sentence = f"version {version.number} of {version.name} is {verdict.answer}"
    return Outcome({"sentence": sentence, "verdict": verdict.digest}, _says(sentence, registry.page(version)))


def _row(version: "Version") -> "Json":
    tags = version.tags
    return {
        "version": version.number,
        "label": version.label,
        "aliases": " ".join(version.aliases),
        "gate": tags.get("undersky.gate", ""),
        "answer": tags.get("undersky.answer", "approved" if version.verdict else ""),
        "by": tags.get("undersky.answered_by", ""),
        "why": tags.get("undersky.withdrawn") or tags.get("undersky.why", ""),
        "digest": version.digest[:12],
    }


def _print_findings(console: Console, judgement: "Judgement") -> None:
    """The gate's word, and every finding in a sentence, the worst first."""
    console.print(f"{judgement.outcome.replace('_', ' ')}: {judgement.sentence}", markup=False)
    for finding in judgement.findings:
        console.print(f"  {finding.outcome.replace('_', ' '):<19}  {finding.sentence}", markup=False)


def _says(*lines: str | None) -> "Callable[[Console], None]":
    return lambda console: console.print("\n  ".join(line for line in lines if line), markup=False)
