"""Steps of a campaign: nothing starts unasked, and the lane is woken while scenes are left."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures_airflow import context
from fixtures_ledger import BY, one_valid, publish
from undersky.flow.promote import release_set
from undersky.refs import ModelRef
from undersky.services.ledger import Ledger
from undersky.services.store import Store

NEW = ModelRef(
    name="correction", version="4", label="network-1", digest="ab" * 32, href="s3://undersky-tests/models/y"
)
FORM: dict[str, Any] = {
    "name": "june", "why": "a new champion", "model": "physics-1", "at_once": 2, "budget_hours": None,
    **dict.fromkeys(("area", "tile", "sensed_from", "sensed_until", "reason")),
}  # fmt: skip
YES, NO = (
    {"approved": yes, "by": "ada", "why": "go on then" if yes else "too dear"} for yes in (True, False)
)


@pytest.fixture
def filled(ledger: Ledger, ledger_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Three products of an older model."""
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.delenv("UNDERSKY_S3_ENDPOINT", raising=False)
    for number in range(3):
        publish(ledger, one_valid(ledger, number), f"d{number}")
    ledger.set_release(release_set([NEW]), kind="bootstrap", why="first", by=BY, seen=None)
    return ledger


@contextmanager
def _running(there: Any) -> Iterator[None]:
    from airflow.sdk.execution_time.context import set_current_context

    with set_current_context(there):
        yield


def _call(step: str, *arguments: Any, **params: Any) -> Any:
    from undersky_airflow import campaign_steps

    there = {**context(dag_id="reprocess", task_id=step, map_index=-1), "params": params}
    there["task"] = SimpleNamespace(addresses={})
    with _running(there):
        return getattr(campaign_steps, step).function(*arguments)


def test_a_campaign_is_put_as_a_question_and_wants_nothing_before_the_answer(filled: Ledger) -> None:
    asked = _call("propose", **FORM)
    assert asked["name"] == "june"
    assert asked["subject"].startswith("Make again? june: 3 scenes")
    assert _call("feed") == {}


def test_a_started_campaign_is_fed_as_many_as_it_may_and_wakes_the_lane(filled: Ledger) -> None:
    started = _call("start", _call("propose", **FORM), YES)
    assert started["state"] == "running"
    assert _call("feed") == {"june": 2}
    assert _call("feed") == {"june": 0}
    assert _call("go_on") == ["june"]


def test_a_refused_campaign_is_ended_and_wakes_nobody(filled: Ledger) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="ada refused: too dear"):
        _call("start", _call("propose", **FORM), NO)
    assert _call("feed") == {}
    with pytest.raises(AirflowSkipException, match="no campaign has scenes left"):
        _call("go_on")


def test_a_blank_field_of_the_form_is_no_criterion(filled: Ledger) -> None:
    from undersky.errors import ConfigError
    from undersky_airflow.forms import campaign_of

    assert campaign_of(FORM).selection.model == "physics-1"
    assert campaign_of(FORM).selection.tile is None
    with pytest.raises(ConfigError, match="everything is refused"):
        _call("propose", **{**FORM, "model": None})
