"""The light steps of the model flow, as tasks. Those that register and promote act as the release account."""

import logging
from typing import Any

from airflow.sdk import TriggerRule, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from undersky.judgement import GateOutcome
from undersky.refs import Begin
from undersky_airflow.actors import run_key
from undersky_airflow.approvals import known_verdict
from undersky_airflow.desk import desk
from undersky_airflow.failures import failed_tasks
from undersky_airflow.links import MODEL_VERSION, REPORT, public
from undersky_airflow.operators import found_out, step

log = logging.getLogger(__name__)

BEFORE_EVALUATION = (Begin.DATASET, Begin.TRAIN, Begin.EVALUATE)


@step()
def begin() -> str:
    """Lays down the order of this run: what is made, and the champion it is held against."""
    from undersky.flow.release import Asked
    from undersky.flow.release import begin as lay_down
    from undersky.services.opened import open_registry

    context = get_current_context()
    form = context["params"]
    with desk(context) as at:
        asked = Asked(
            run=run_key(context),
            by=context["dag_run"].triggering_user_name or "airflow",
            model=form["model"],
            recipe=form["recipe"],
            begin=Begin(form["begin"]),
            weights=form["weights"] or None,
            suites=tuple(form["suites"] or ()),
            scenes=form["scenes"],
            version=form["version"] or None,
        )
        return lay_down(open_registry(at.settings), at.ledger, at.store, asked)


@step(trigger_rule=TriggerRule.NONE_FAILED, links=[REPORT])
def gate(order: str) -> object:
    """Says what the gate says: pass, fail, or too little evidence. It only tells: nothing is stopped here."""
    from undersky.flow.release import read_evaluated

    context = get_current_context()
    if Begin(context["params"]["begin"]) not in BEFORE_EVALUATION:
        raise AirflowSkipException("the version was evaluated before")
    with desk(context) as at:
        evaluated = read_evaluated(at.store, order)
        found_out(Report=public(evaluated.page, at.settings))
    log.info("%s: %s", evaluated.outcome.upper(), evaluated.sentence)
    return {"outcome": evaluated.outcome, "sentence": evaluated.sentence}


@step(trigger_rule=TriggerRule.NONE_FAILED, links=[MODEL_VERSION, REPORT])
def register(order: str) -> object:
    """What was evaluated is a version in the registry, and the candidate unless the gate refuses it."""
    from undersky.flow.release import register as add
    from undersky.services.opened import open_registry

    with desk(get_current_context()) as at:
        done = add(
            open_registry(at.settings, "release"),
            at.store,
            order,
            public=lambda address: public(address, at.settings),
        )
        report = public(done.report or None, at.settings)
        found_out(Model_version=done.page, Report=report)
    version, judgement = done.version, done.judgement
    log.info("%s is version %s of %s", version.label, version.number, version.name)
    asked = "?" if judgement.outcome is GateOutcome.PASS else ", against the gate?"
    return {
        "model": version.name,
        "version": version.number,
        "outcome": judgement.outcome.value,
        "sentence": judgement.sentence,
        "subject": f"Release {version.label} as {version.name}{asked}",
        "body": _body(done.page, report, judgement),
    }


@step()
def put_to_review(registered: Any) -> str:
    """Lets a person be asked, unless the gate refuses it and nobody knew better; the version's number."""
    refused = registered["outcome"] == GateOutcome.FAIL
    if refused and known_verdict(registered["model"], str(registered["version"])) is None:
        raise AirflowSkipException(
            f"the gate refuses version {registered['version']}: {registered['sentence']} Whoever knows "
            f"better approves it with a reason: undersky model approve {registered['version']} --why ..."
        )
    return str(registered["version"])


@step(trigger_rule=TriggerRule.ONE_SUCCESS)
def decide(model: str, version: str) -> str:
    """Reads the first answer from the version; skipped, and the promotion with it, where it is a refusal."""
    said = known_verdict(model, version)
    if said is None:
        raise AirflowFailException(f"version {version} of {model} carries no verdict: who took it away?")
    log.info("%s by %s, in %s: %s", "approved" if said["approved"] else "rejected", *_who(said))
    if not said["approved"]:
        raise AirflowSkipException(f"{said['by']} rejected version {version}: {said['why']}")
    return version


@step(links=[MODEL_VERSION])
def promote(model: str, version: str) -> object:
    """Makes the version the champion: a new release set, which every run from now on is pinned to."""
    from undersky.flow.promote import promote as move
    from undersky.services.opened import open_registry

    with desk(get_current_context()) as at:
        registry = open_registry(at.settings, "release")
        done = move(registry, at.ledger, at.store, registry.version(model, version), by=at.by)
        found_out(Model_version=done.model.page)
    log.info("%s", done.sentence)
    return {"sentence": done.sentence, "release": done.release.digest}


@step(trigger_rule=TriggerRule.ALL_DONE)
def conclude(registered: Any = None) -> object:
    """Says how the run ended, and fails if a task did: nothing bad looks green."""
    context = get_current_context()
    if failures := failed_tasks(context):
        raise AirflowFailException("\n".join(failures))
    sentence = _ending(registered)
    log.info("%s", sentence)
    return {"sentence": sentence}


def _ending(registered: Any) -> str:
    if not registered:
        return "nothing was registered"
    said = known_verdict(registered["model"], str(registered["version"]))
    name = f"version {registered['version']} of {registered['model']}"
    if said is None:
        return f"{name} was not put to review: {registered['sentence']}"
    done = "promoted" if said["approved"] else "not promoted"
    return (
        f"{name} is {done}: {'approved' if said['approved'] else 'rejected'} by {said['by']}, {said['why']}"
    )


def _body(page: str, report: str | None, judgement: Any) -> str:
    """What stands above the buttons, Markdown."""
    lines = [
        f"The gate says **{judgement.outcome.replace('_', ' ')}**: {judgement.sentence}",
        "",
        f"[Compare on the map]({report})" if report else "",
        f"[In the registry]({page})",
        "",
        f"| | {judgement.candidate_label} | {judgement.champion_label} |",
        "|---|---|---|",
    ]
    for suite, metrics in judgement.metrics.items():
        before = judgement.champion_metrics.get(suite, {})
        lines += [
            f"| {suite}, {name} | {value:g} | {before.get(name, '-')} |" for name, value in metrics.items()
        ]
    return "\n".join(lines)


def _who(said: Any) -> tuple[str, str, str]:
    return said["by"], said["via"], said["why"] or "no reason given"
