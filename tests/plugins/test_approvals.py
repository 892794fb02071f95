"""A person is asked in two places at once: the real registry and ledger; Airflow's own page is played."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures_airflow import context
from undersky.errors import ServiceError
from undersky.judgement import GateOutcome

ADA = {"id": "7", "name": "ada"}


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Airflow's page of required actions was told to ask."""
    from airflow.providers.standard.operators import hitl

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **question: asked.append(question))
    return asked


def _context() -> Any:
    return {
        **context(dag_id="model_release", task_id="review_here"),
        "task_instance": SimpleNamespace(id="t"),
    }


def _here(version: SimpleNamespace) -> Any:
    from undersky_airflow.approvals import ReviewHere

    return ReviewHere(
        task_id="review_here", model=version.name, version=version.number, subject="Release?", body="b"
    )


def _answer(*, approve: bool, why: str = "", by: dict[str, str] | None = ADA) -> dict[str, Any]:
    return {
        "chosen_options": ["Approve" if approve else "Reject"],
        "params_input": {"why": why},
        "responded_by_user": by,
        "responded_at": None,
    }


TIMEOUT = {"error": "nobody has answered", "error_type": "timeout"}


def _tag(version: SimpleNamespace, text: str) -> None:
    """A person writes into MLflow's page."""
    client = version.as_release().client
    client.set_model_version_tag(version.name, version.number, "review", text)


def _tags(version: SimpleNamespace) -> dict[str, str]:
    found: dict[str, str] = version.as_release().version(version.name, version.number).tags
    return found


@pytest.fixture
def agree() -> Any:
    """The question of a campaign, which knows no registry."""
    from undersky_airflow.approvals import Approval

    return Approval(task_id="agree", subject="Make again?", body="b")


def test_an_approval_comes_back_with_who_and_why(agree: Any, questions: list[dict[str, Any]]) -> None:
    said = agree.execute_complete(_context(), _answer(approve=True, why=" sharper "))
    assert said == {"approved": True, "by": "ada", "why": "sharper"}
    assert questions == []


@pytest.mark.parametrize("why", ["", "   ", "no"])
def test_a_refusal_without_a_reason_is_asked_again(
    agree: Any, questions: list[dict[str, Any]], why: str
) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    with pytest.raises(TaskAwaitingInput) as parked:
        agree.execute_complete(_context(), _answer(approve=False, why=why))
    assert parked.value.method_name == "execute_complete"
    assert questions[0]["subject"] == "Make again?"
    assert list(questions[0]["params"]) == ["why"]


def test_a_refusal_with_a_reason_is_taken(agree: Any) -> None:
    said = agree.execute_complete(_context(), _answer(approve=False, why="too dear"))
    assert said == {"approved": False, "by": "ada", "why": "too dear"}


def test_an_unanswered_question_waits_on_and_is_not_put_anew(
    agree: Any, questions: list[dict[str, Any]]
) -> None:
    """Airflow wipes out an answer that it has when the question is put again."""
    from airflow.sdk.exceptions import TaskAwaitingInput

    with pytest.raises(TaskAwaitingInput) as parked:
        agree.execute_complete(_context(), TIMEOUT)
    assert parked.value.method_name == "execute_complete"
    assert questions == []


def test_only_the_reviewers_of_the_settings_may_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from undersky_airflow.approvals import reviewers

    monkeypatch.delenv("UNDERSKY_REVIEWERS", raising=False)
    assert reviewers() is None
    monkeypatch.setenv("UNDERSKY_REVIEWERS", "ada, grace,")
    assert reviewers() == [{"id": "ada", "name": "ada"}, {"id": "grace", "name": "grace"}]


@pytest.mark.slow
def test_an_approval_is_written_to_the_version_once(there: Any, questions: list[dict[str, Any]]) -> None:
    version = there()
    operator = _here(version)
    first = operator.execute_complete(_context(), _answer(approve=True, why="sharper over towns"))
    assert first == {"approved": True, "by": "ada", "why": "sharper over towns", "via": "airflow"}
    second = operator.execute_complete(
        _context(), _answer(approve=False, why="halos", by={"id": "8", "name": "bob"})
    )
    assert second == first, "the first answer counts"
    assert _tags(version)["undersky.answer"] == "approved"
    operator.execute(_context())
    assert questions == [], "what is answered is not asked"


@pytest.mark.slow
def test_an_approval_against_the_gate_without_a_reason_is_asked_again(
    there: Any, questions: list[dict[str, Any]]
) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    version = there(GateOutcome.TOO_LITTLE_EVIDENCE)
    with pytest.raises(TaskAwaitingInput):
        _here(version).execute_complete(_context(), _answer(approve=True))
    assert len(questions) == 1
    assert "undersky.answer" not in _tags(version)


@pytest.mark.slow
def test_the_question_waits_on_until_the_version_is_answered_elsewhere(
    there: Any, questions: list[dict[str, Any]]
) -> None:
    from airflow.sdk.exceptions import TaskAwaitingInput

    from undersky_airflow.approvals import LOOK_AGAIN, write_answer

    version = there()
    with pytest.raises(TaskAwaitingInput) as parked:
        _here(version).execute_complete(_context(), TIMEOUT)
    assert parked.value.timeout == LOOK_AGAIN
    said = {"approved": False, "by": "bob", "why": "halo along the coast"}
    write_answer(version.name, version.number, said, via="command line")
    found = _here(version).execute_complete(_context(), TIMEOUT)
    assert found == {**said, "via": "command line"}
    assert questions == []


@pytest.mark.slow
def test_there_it_is_waited_for_and_the_answer_of_the_tag_is_written_down(there: Any) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    from undersky_airflow.approvals import LONGEST, ReviewThere
    from undersky_airflow.triggers import ReviewTrigger

    version = there()
    operator = ReviewThere(task_id="review_there", model=version.name, version=version.number)
    with pytest.raises(TaskDeferred) as waiting:
        operator.look_again(_context(), None)
    assert isinstance(waiting.value.trigger, ReviewTrigger)
    assert (waiting.value.method_name, waiting.value.timeout) == ("look_again", LONGEST)
    _tag(version, "reject by grace: halo along the coast")
    said = operator.look_again(_context(), {"model": version.name})
    assert said == {"approved": False, "by": "grace", "why": "halo along the coast", "via": "mlflow"}
    assert _tags(version)["undersky.answer"] == "rejected"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["perhaps", "approve", "reject by ada"])
def test_an_answer_that_lacks_something_is_told_so_and_waited_for_again(there: Any, text: str) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    from undersky_airflow.approvals import ReviewThere

    version = there()
    _tag(version, text)
    operator = ReviewThere(task_id="review_there", model=version.name, version=version.number)
    with pytest.raises(TaskDeferred):
        operator.look_again(_context(), {})
    tags = _tags(version)
    assert "by NAME: WHY" in tags["review.problem"] or "needs a reason" in tags["review.problem"]
    assert not {"review", "undersky.answer"} & set(tags)


async def _events(trigger: Any) -> list[dict[str, Any]]:
    return [event.payload async for event in trigger.run()]


def _fires(trigger: Any) -> list[dict[str, Any]]:
    return asyncio.run(asyncio.wait_for(_events(trigger), 60))


@pytest.mark.slow
def test_the_trigger_fires_on_a_tag_and_on_a_verdict_and_on_nothing_else(there: Any) -> None:
    from undersky_airflow.approvals import write_answer
    from undersky_airflow.triggers import ReviewTrigger

    version = there()
    trigger = ReviewTrigger(version.name, version.number, poll_s=0.05)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(_events(trigger), 1.5))
    _tag(version, "perhaps")
    assert _fires(trigger) == [{"model": version.name, "version": version.number}]
    said = {"approved": True, "by": "bob", "why": "sharper"}
    write_answer(version.name, version.number, said, via="command line")
    version.as_release().client.delete_model_version_tag(version.name, version.number, "review")
    assert _fires(trigger) == [{"model": version.name, "version": version.number}]


def test_the_trigger_survives_a_registry_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from undersky_airflow.triggers import ReviewTrigger

    asked: list[int] = []

    def look(_: Any) -> bool:
        asked.append(1)
        if len(asked) < 3:
            raise ServiceError("it answers 503")
        return True

    monkeypatch.setattr(ReviewTrigger, "_is_answered", look)
    assert _fires(ReviewTrigger("correction", "4", poll_s=0.01)) == [{"model": "correction", "version": "4"}]
    assert len(asked) == 3


def test_the_trigger_is_made_anew_from_what_it_serialises() -> None:
    from airflow.sdk._shared.module_loading import import_string

    from undersky_airflow.triggers import ReviewTrigger

    where, facts = ReviewTrigger("correction", "4", poll_s=3.0).serialize()
    again = import_string(where)(**facts)
    assert (again.model, again.version, again.poll_s) == ("correction", "4", 3.0)
    assert again.serialize() == (where, facts)
