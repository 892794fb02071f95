"""A stage as a task: lease renewed, run by the runner of the settings, its end translated."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures_airflow import context
from undersky.refs import FileRef, Lane, ReleaseStage, Stage
from undersky.services.ledger import Actor, Announcement, Ledger
from undersky.services.store import Store
from undersky.tile_refs import TileStage

KEY = "S2B_20250619T095753_32TQM"


@pytest.fixture
def card(ledger: Ledger, ledger_url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A batch of one scene that the run holds."""
    from undersky.flow.claim import claim
    from undersky_airflow.actors import run_key

    monkeypatch.setenv("UNDERSKY_LEDGER", ledger_url)
    monkeypatch.setenv("UNDERSKY_STORE", store.url)
    monkeypatch.delenv("UNDERSKY_S3_ENDPOINT", raising=False)
    ledger.announce(
        Announcement(
            key=KEY,
            scene="S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734",
            collection="sentinel-2-l1c",
            platform="sentinel-2b",
            tile="32TQM",
            sensed=datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC),
            files=(FileRef(name="a", href="https://archive.example/a"),),
            profile="copernicus-dataspace",
            area="po",
        ),
        Actor(run="a-test"),
    )
    run = run_key(context())
    (href,) = claim(
        ledger,
        store,
        work="ingest",
        lane=Lane.FRESH,
        run=run,
        by=Actor(run=run),
        limit=10,
        batch_scenes=4,
        lease=timedelta(minutes=1),
    )
    return {"href": href, "label": "32TQM, 1 scene"}


def _operator(card: dict[str, str]) -> Any:
    from undersky_airflow.stages import StageOperator

    return StageOperator(task_id="ingest", stage=Stage.INGEST, batch=card)


def _execute(operator: Any) -> None:
    from airflow.sdk.bases.operator import ExecutorSafeguard

    token = ExecutorSafeguard.tracker.set(operator)
    try:
        operator.execute(context())
    finally:
        ExecutorSafeguard.tracker.reset(token)


def _worker(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    file = folder / "worker.py"
    file.write_text(code, encoding="utf-8")
    monkeypatch.setenv("UNDERSKY_WORKER", f"{sys.executable} {file}")


def test_every_stage_has_its_needs_and_its_room() -> None:
    from undersky_airflow import releases, stages
    from undersky_airflow.rooms import STAGES, room_of

    assert set(stages.NEEDS) == set(Stage)
    assert set(releases.NEEDS) == set(ReleaseStage)
    assert set(STAGES) == {*Stage, *ReleaseStage, *TileStage}
    assert all(room_of(stage, None).memory for stage in STAGES)


def test_a_stage_that_ends_well_returns_and_its_lease_stands(
    card: dict[str, str], ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _worker(monkeypatch, tmp_path, "")
    _execute(_operator(card))
    story = ledger.story(KEY)
    assert story is not None
    assert story.acquisition.lease is not None
    assert story.acquisition.lease.until - datetime.now(UTC) > timedelta(hours=1), "it was one minute"


@pytest.mark.parametrize(
    ("code", "error"), [(75, "StageUnfinished"), (1, "StageCrashed"), (2, "AirflowFail")]
)
def test_a_stage_that_ends_otherwise_raises_what_the_rule_knows(
    card: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, error: str
) -> None:
    from airflow.sdk.exceptions import AirflowException

    _worker(monkeypatch, tmp_path, f"raise SystemExit({code})")
    with pytest.raises(AirflowException) as caught:
        _execute(_operator(card))
    assert type(caught.value).__name__.startswith(error)


def test_killing_a_task_that_has_not_begun_does_nothing(card: dict[str, str]) -> None:
    _operator(card).on_kill()


def test_in_the_pod_runtime_it_defers_and_judges_when_it_comes_back(
    card: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowException, TaskDeferred

    from undersky_airflow.endings import PodEnd, PodEnding
    from undersky_airflow.pods import StagePod

    class Deferred(TaskDeferred):
        def __init__(self) -> None:
            BaseException.__init__(self)

    def launch(self: Any, context: Any) -> None:
        assert self.arguments == ["batch", "ingest", card["href"]]
        raise Deferred

    def come_back(self: Any, context: Any, event: Any) -> PodEnd:
        ends = {"success": PodEnd(PodEnding.COMPLETED, "exit 0", 0)}
        return ends.get(event["status"], PodEnd(PodEnding.NODE_LOST, "lost"))

    monkeypatch.setenv("UNDERSKY_RUNTIME", "kubernetes")
    monkeypatch.setenv("UNDERSKY_WORKER_IMAGE", "registry.example/worker:1")
    monkeypatch.setattr(StagePod, "launch", launch)
    monkeypatch.setattr(StagePod, "come_back", come_back)
    with pytest.raises(TaskDeferred):
        _execute(_operator(card))
    operator = _operator(card)
    operator.trigger_reentry(context(), {"name": "p-1", "status": "success"})
    with pytest.raises(AirflowException, match="pod p-1: node_lost: lost"):
        operator.trigger_reentry(context(), {"name": "p-1", "status": "error"})


def test_where_nobody_watched_to_the_end_nothing_is_left_running(
    card: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import TaskDeferralTimeout

    from undersky_airflow.pods import StagePod

    abandoned: list[str] = []
    monkeypatch.setenv("UNDERSKY_RUNTIME", "kubernetes")
    monkeypatch.setenv("UNDERSKY_WORKER_IMAGE", "registry.example/worker:1")
    monkeypatch.setattr(StagePod, "abandon", lambda self, _: abandoned.append(self.arguments[-1]))
    with pytest.raises(TaskDeferralTimeout):
        _operator(card).resume_execution("__fail__", {"error": "Trigger timeout"}, context())
    assert abandoned == [card["href"]]


def test_the_lease_of_a_pod_counts_the_wait_for_a_node(
    card: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = _operator(card).lasts()
    monkeypatch.setenv("UNDERSKY_RUNTIME", "kubernetes")
    assert _operator(card).lasts() - alone == timedelta(seconds=3600 + 900)
