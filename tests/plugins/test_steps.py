"""Steps against a real ledger and a store in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures_airflow import context
from undersky.errors import ConfigError
from undersky.refs import Batch, FileRef, Kind, Lane
from undersky.services.ledger import AcquisitionState, Actor, Announcement, Ledger, ProductState
from undersky.services.store import Store

BY = Actor(run="a-test")


@pytest.fixture
def flow(
    ledger: Ledger, ledger_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> tuple[Ledger, Store]:
    """Ledger and store, as the settings name them."""
    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.delenv("UNDERSKY_S3_ENDPOINT", raising=False)
    return ledger, store


@contextmanager
def _running(there: Any) -> Iterator[Any]:
    """As within a task."""
    from airflow.sdk.execution_time.context import set_current_context

    with set_current_context(there):
        yield there


def _call(name: str, *arguments: Any, **facts: Any) -> Any:
    """What a step returns within a task."""
    from undersky_airflow import steps

    params = facts.pop("params", {})
    there = context(dag_id="ingest_acquisitions", task_id=name, map_index=-1, **facts)
    there["params"] = params
    there["task"] = SimpleNamespace(addresses={})
    with _running(there):
        return getattr(steps, name).function(*arguments)


def _announce(ledger: Ledger, *tiles: str) -> None:
    for tile in tiles:
        ledger.announce(
            Announcement(
                key=f"S2B_20250619T095753_{tile}",
                scene=f"S2B_MSIL1C_20250619T095753_N0511_R066_T{tile}_20250619T132734",
                collection="sentinel-2-l1c",
                platform="sentinel-2b",
                tile=tile,
                sensed=datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC),
                files=(FileRef(name="a", href="https://archive.example/a"),),
                profile="copernicus-dataspace",
                area="po",
            ),
            BY,
        )


def test_claim_gives_cards_and_run_again_the_same_ones(flow: tuple[Ledger, Store]) -> None:
    ledger, store = flow
    _announce(ledger, "32TQM", "32TQL", "32TPM", "32TPL", "31TGL")
    cards = _call("claim_ingest", Lane.FRESH)
    assert [card["label"].split(", ")[1] for card in cards] == ["4 scenes", "1 scene"]
    assert _call("claim_ingest", Lane.FRESH, try_number=2) == cards
    batch = Batch.from_json(store.get(store.key(cards[0]["href"])))
    assert len(batch.scenes) == 4
    assert {scene.token for scene in batch.scenes} != {0}


def test_two_runs_never_claim_the_same_scene(flow: tuple[Ledger, Store]) -> None:
    ledger, _ = flow
    _announce(ledger, "32TQM")
    assert len(_call("claim_ingest", Lane.FRESH)) == 1
    assert _call("claim_ingest", Lane.FRESH, run_id="another") == []


def test_the_form_bounds_a_claim(flow: tuple[Ledger, Store]) -> None:
    ledger, _ = flow
    _announce(ledger, "32TQM", "32TQL", "32TPM")
    (card,) = _call("claim_ingest", Lane.FRESH, params={"limit": 2})
    assert card["label"].endswith("2 scenes")


def test_a_batch_whose_stages_died_is_given_back_and_account_is_red(flow: tuple[Ledger, Store]) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    ledger, _ = flow
    _announce(ledger, "32TQM")
    (card,) = _call("claim_ingest", Lane.FRESH)
    assert _call("settle", card) == {"given_back": 1}
    assert _call("settle", card, try_number=2) is not None, "saying it again does no harm"
    with pytest.raises(AirflowFailException, match=r"ingest_batch.ingest_0 failed"):
        _call("account", {}, states={"ingest_batch.ingest_0": "failed"})


def test_account_names_a_provider_that_could_not_be_asked(flow: tuple[Ledger, Store]) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    failures = [{"profile": "earth-search", "area": "po", "sentence": "answers 503"}]
    with pytest.raises(AirflowFailException, match="1 unexpected:\nearth-search, area po: answers 503"):
        _call("account", {"failures": failures})


def test_account_of_a_run_with_nothing_to_do_is_green(flow: tuple[Ledger, Store]) -> None:
    assert _call("account", None, states={"discover": "success"}) == {}


def test_a_lease_is_renewed_for_as_long_as_the_stage_may_take(flow: tuple[Ledger, Store]) -> None:
    from undersky_airflow.desk import MARGIN, keep_lease

    ledger, _ = flow
    _announce(ledger, "32TQM")
    (card,) = _call("claim_ingest", Lane.FRESH)
    there = context(dag_id="ingest_acquisitions", task_id="ingest_batch.ingest")
    begun = datetime.now(UTC)
    keep_lease(there, card["href"], at_least=timedelta(hours=9))
    story = ledger.story("S2B_20250619T095753_32TQM")
    assert story is not None
    assert story.acquisition.lease is not None
    assert story.acquisition.lease.until - begun > timedelta(hours=9) + MARGIN - timedelta(minutes=1)


def test_a_stage_whose_scenes_are_settled_is_skipped_when_it_is_cleared(flow: tuple[Ledger, Store]) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from undersky_airflow.desk import keep_lease

    ledger, _ = flow
    _announce(ledger, "32TQM")
    (card,) = _call("claim_ingest", Lane.FRESH)
    _call("settle", card)
    with pytest.raises(AirflowSkipException, match="nothing is left to do"):
        keep_lease(context(dag_id="ingest_acquisitions"), card["href"], at_least=timedelta(hours=1))


def _surface_published(ledger: Ledger) -> str:
    """One surface product is published; its digest."""
    from fixtures_ledger import one_valid, publish

    ref = one_valid(ledger)
    publish(ledger, ref, "d1")
    return "d1"


def test_a_map_is_claimed_of_what_is_published_by_the_kinds_that_are_pinned(
    flow: tuple[Ledger, Store],
) -> None:
    from fixtures_ledger import released

    ledger, store = flow
    digest = _surface_published(ledger)
    release = released(landcover="cover-1").to_json()
    assert _call("claim_vessels", Lane.FRESH, release) == [], "no such model is released"
    (card,) = _call("claim_landcover", Lane.FRESH, release)
    assert _call("claim_landcover", Lane.FRESH, release, try_number=2) == [card]
    batch = Batch.from_json(store.get(store.key(card["href"])))
    assert batch.kind == Kind.LANDCOVER
    (ref,) = batch.scenes
    assert ref.surface is not None
    assert ref.surface.digest == digest


def test_without_pinned_models_a_claim_of_maps_is_skipped(flow: tuple[Ledger, Store]) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    for step in ("claim_landcover", "claim_vessels"):
        with pytest.raises(AirflowSkipException, match="no models are pinned"):
            _call(step, Lane.FRESH, None)


def test_nothing_is_pinned_for_maps_before_a_model_is_released_that_has_something_to_map(
    flow: tuple[Ledger, Store],
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from fixtures_ledger import released
    from undersky_airflow.desk import desk

    ledger, _ = flow
    digest = _surface_published(ledger)
    assert digest
    with pytest.raises(AirflowSkipException, match="nothing to pin"):
        _call("pin", Lane.FRESH, ["landcover", "vessels"])
    ledger.set_release(released(landcover="cover-1"), kind="bootstrap", why="the first", by=BY, seen=None)
    with desk(context(dag_id="ground_maps")) as at:
        assert at.has_work(Lane.FRESH, [Kind.LANDCOVER])
        assert not at.has_work(Lane.FRESH, [Kind.VESSELS])
        assert not at.has_work(Lane.HISTORICAL, [Kind.LANDCOVER])
        assert not at.has_work(Lane.FRESH, [Kind.SURFACE])


def test_the_kinds_of_maps_are_those_of_the_groups() -> None:
    from undersky_airflow import groups, steps

    assert steps.MAPS == ["landcover", "vessels"]
    assert ["surface", *steps.MAPS] == steps.EVERY_KIND
    assert set(groups._TELLS) == set(Kind)


def _form(**answers: Any) -> dict[str, Any]:
    blank = dict.fromkeys(("state", "reason", "since", "tile", "model", "kind"))
    return {"action": "skip", "dry_run": True, "why": "a test of the form", "scenes": [], **blank, **answers}


def test_the_form_only_says_what_it_would_do_until_it_is_told_to(flow: tuple[Ledger, Store]) -> None:
    ledger, _ = flow
    _announce(ledger, "32TQM", "32TQL")
    dry = _call("manage", params=_form(tile="32TQM"))
    assert dry["dry_run"] is True
    assert len(dry["changes"]) == 1
    (acquisition,) = ledger.find("32TQM", datetime(2025, 6, 19, tzinfo=UTC).date())
    assert acquisition.state == AcquisitionState.DISCOVERED

    _call("manage", params=_form(tile="32TQM", dry_run=False))
    (acquisition,) = ledger.find("32TQM", datetime(2025, 6, 19, tzinfo=UTC).date())
    assert acquisition.state == AcquisitionState.SKIPPED
    (other,) = ledger.find("32TQL", datetime(2025, 6, 19, tzinfo=UTC).date())
    assert other.state == AcquisitionState.DISCOVERED


def test_who_filled_in_the_form_stands_in_the_history(flow: tuple[Ledger, Store]) -> None:
    from undersky_airflow.forms import decide

    ledger, _ = flow
    _announce(ledger, "32TQM")
    decide(ledger, _form(tile="32TQM", dry_run=False), BY, "anna")
    story = ledger.story("S2B_20250619T095753_32TQM")
    assert story is not None
    assert "a test of the form (anna)" in story.history[-1].sentence


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({}, "everything is refused"),
        ({"tile": "32TQM", "why": "  "}, "why|reason"),
        ({"tile": "32TQM", "action": "destroy"}, "destroy"),
        ({"tile": "32TQM", "since": "yesterday"}, "yesterday"),
        ({"tile": "32TQM", "state": "lost"}, "lost"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_in_words(
    flow: tuple[Ledger, Store], answers: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        _call("manage", params=_form(**answers))


def test_the_form_offers_every_state_and_action_of_the_ledger() -> None:
    from undersky.flow.manage import ACTIONS
    from undersky_airflow import forms

    assert tuple(forms.ACTIONS) == ACTIONS
    ledger_states = {*map(str, AcquisitionState), *map(str, ProductState)} - {"superseded"}
    assert set(forms.STATES) == ledger_states
    assert list(forms.KINDS) == [str(kind) for kind in Kind]


def test_without_settings_a_step_says_which_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSKY_LEDGER", raising=False)
    with pytest.raises(ConfigError, match="UNDERSKY_LEDGER is not set"):
        _call("claim_ingest", Lane.FRESH)


def test_the_page_of_a_run_that_claimed_nothing_is_skipped(flow: tuple[Ledger, Store]) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="nothing to show"):
        _call("page")
    assert list(flow[1].list("reports/runs/")) == []
