"""Light steps of the model flow over a version in the real registry: who is asked, what an answer means."""

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures_airflow import context
from undersky.judgement import GateOutcome

YES, NO = (
    {"approved": yes, "by": "ada", "why": "sharper over towns" if yes else "halo along the coast"}
    for yes in (True, False)
)


def _call(name: str, *arguments: Any, **facts: Any) -> Any:
    """What a step returns within a task."""
    from airflow.sdk.execution_time.context import set_current_context

    from undersky_airflow import model_steps

    params = facts.pop("params", {})
    there = {**context(dag_id="model_release", task_id=name, map_index=-1, **facts), "params": params}
    there["task"] = SimpleNamespace(addresses={})
    with set_current_context(there):
        return getattr(model_steps, name).function(*arguments)


def _registered(version: SimpleNamespace, outcome: GateOutcome) -> dict[str, str]:
    return {
        "model": version.name,
        "version": version.number,
        "outcome": outcome.value,
        "sentence": "worse at sea.",
    }


def _answered(version: SimpleNamespace, said: dict[str, Any]) -> None:
    from undersky_airflow.approvals import write_answer

    write_answer(version.name, version.number, said, via="command line")


@pytest.mark.slow
@pytest.mark.parametrize("outcome", [GateOutcome.PASS, GateOutcome.TOO_LITTLE_EVIDENCE])
def test_what_the_gate_does_not_refuse_is_put_to_review(there: Any, outcome: GateOutcome) -> None:
    version = there(outcome)
    assert _call("put_to_review", _registered(version, outcome)) == version.number


@pytest.mark.slow
def test_what_the_gate_refuses_is_put_to_nobody_unless_somebody_knew_better(there: Any) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    version = there(GateOutcome.FAIL)
    registered = _registered(version, GateOutcome.FAIL)
    with pytest.raises(AirflowSkipException, match=f"worse at sea.*undersky model approve {version.number}"):
        _call("put_to_review", registered)
    _answered(version, YES)
    assert _call("put_to_review", registered) == version.number, "or no run could promote it"


@pytest.mark.slow
def test_an_approval_goes_on_to_the_promotion_and_a_refusal_skips_it(there: Any) -> None:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    version = there()
    with pytest.raises(AirflowFailException, match="no verdict"):
        _call("decide", version.name, version.number)
    _answered(version, NO)
    with pytest.raises(AirflowSkipException, match=r"ada rejected version .*: halo along the coast"):
        _call("decide", version.name, version.number)
    ended = _call("conclude", _registered(version, GateOutcome.PASS))["sentence"]
    assert "is not promoted: rejected by ada, halo along the coast" in ended


@pytest.mark.slow
def test_the_approved_version_is_what_is_promoted(there: Any) -> None:
    version = there()
    _answered(version, YES)
    assert _call("decide", version.name, version.number) == version.number
    ended = _call("conclude", _registered(version, GateOutcome.PASS))["sentence"]
    assert "is promoted: approved by ada, sharper over towns" in ended


def test_a_run_in_which_a_task_failed_never_looks_green() -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="task train failed"):
        _call("conclude", None, states={"train": "failed", "register": "upstream_failed"})
    assert _call("conclude", None, states={"begin": "success"}) == {"sentence": "nothing was registered"}


@pytest.mark.parametrize("begins", ["review", "promote"])
def test_the_gate_is_not_asked_of_a_version_that_was_evaluated_before(begins: str) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="evaluated before"):
        _call("gate", "s3://bucket/releases/one/order.json", params={"begin": begins})
