"""Rolling maps as tasks: cards, the stage's command, and what turns a task red."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures_airflow import context
from tile_maps import ground, publish_map, put_map, put_published
from undersky.batch.driver import silent
from undersky.batch.roll import roll_tile
from undersky.services.ledger import Actor, Ledger
from undersky.services.store import Store
from undersky.settings import Settings


@pytest.fixture
def running(ledger: Ledger, ledger_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Within a task, whose settings name ledger and store."""
    from airflow.sdk.execution_time.context import set_current_context

    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.delenv("UNDERSKY_S3_ENDPOINT", raising=False)
    there = context(dag_id="ground_maps", task_id="claim_tiles", map_index=-1)
    there["task"] = SimpleNamespace(addresses={})
    with set_current_context(there):
        yield there


def test_a_tile_becomes_a_card_once_and_its_rolling_map_is_published(
    running: Any, ledger: Ledger, store: Store, tmp_path: Path
) -> None:
    from undersky_airflow.tiles import claim_tiles, publish_rolled

    put_published(ledger, store, put_map(tmp_path, 0, ground(10)), 0)
    [card] = claim_tiles.function()
    assert card["label"] == "32TQM, 1 maps"
    assert claim_tiles.function() == [card]
    roll_tile(card["href"], store=store, settings=Settings(scratch=tmp_path / "scratch"), tell=silent)
    report = publish_rolled.function(card)
    assert report["state"] == "published"
    assert claim_tiles.function() == []


def test_a_tile_whose_stage_died_turns_its_task_red(running: Any, ledger: Ledger) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from undersky_airflow.tiles import claim_tiles, publish_rolled

    publish_map(ledger, 0)
    [card] = claim_tiles.function()
    with pytest.raises(AirflowFailException, match="32TQM was given back, stage_died"):
        publish_rolled.function(card)


def test_the_stage_renews_its_lease_and_leaves_alone_what_is_another_runs(
    running: Any, ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from undersky_airflow.tiles import RollOperator, claim_tiles

    ran: list[str] = []
    monkeypatch.setattr(RollOperator, "run_stage", lambda self, *_: ran.append(self.href()))
    publish_map(ledger, 0)
    [card] = claim_tiles.function()
    operator = RollOperator(task_id="roll", order=card)
    operator.execute(running)
    assert ran == [card["href"]]
    [held] = ledger.tile_maps()
    assert held.lease is not None
    assert ledger.give_back_tile(ledger.holding_tiles(held.lease.run)[0], Actor("x"), "stopped", "by a test")
    with pytest.raises(AirflowSkipException, match="nothing is left to do"):
        operator.execute(running)


def test_the_command_of_the_stage_is_a_verb_of_undersky() -> None:
    from undersky.cli.parser import make_parser
    from undersky.tile_refs import TileStage
    from undersky_airflow.runners import Task

    task = Task(TileStage.ROLL, "s3://undersky/rolls/run/32TQM-1/order.json", timedelta(hours=1), "roll")
    parsed = make_parser().parse_args(task.arguments)
    assert (parsed.stage, parsed.href) == ("roll", task.href)
