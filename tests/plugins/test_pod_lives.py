"""What becomes of one pod: launched, watched and cleared away, on a cluster that runs it as a process."""

import asyncio
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from airflow.sdk.exceptions import TaskDeferred

from cluster.faults import Fault
from cluster.kubelet import namespace_command
from fixtures_airflow import context
from fixtures_cluster import FakeCluster, make_cluster
from undersky.errors import ConfigError, ServiceError
from undersky.refs import ReleaseStage, Stage
from undersky.settings import Settings
from undersky_airflow.endings import PodEnd, PodEnding
from undersky_airflow.rooms import AnyStage, room_of
from undersky_airflow.runners import Task

pytestmark = pytest.mark.faults

WORKER = """
import os, signal, sys, time
def checkpoint(*_):
    time.sleep(1.5)  # it takes its time, in which a watch looks again
    sys.exit(75)

signal.signal(signal.SIGTERM, checkpoint)
print("at work", os.getpid(), flush=True)
time.sleep(float(os.environ.get("TAKES", "1.5")))
print("done", flush=True)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """A cluster whose stages sleep; told to end, they exit 75."""
    if namespace_command() is None:
        pytest.skip("no PID namespace can be made here: `unshare --pid --fork true` fails")
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    made = make_cluster(tmp_path, worker=(sys.executable, str(tmp_path / "worker.py")))
    made.control.midway = dict.fromkeys(("correct", "train"), "at work")
    for name, value in made.settings.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _little_grace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what never ends."""
    request.getfixturevalue("place")
    table = yaml.safe_load(os.environ["UNDERSKY_PODS"])
    table["every"]["grace_s"] = 5
    monkeypatch.setenv("UNDERSKY_PODS", yaml.safe_dump(table))


def _pod(stage: AnyStage = Stage.CORRECT, *, pods: str = "", batch: str = "000", **facts: Any) -> Any:
    from undersky_airflow.pods import StagePod

    settings = Settings()
    table = yaml.safe_load(settings.pods or "")
    table["every"] |= yaml.safe_load(pods) or {} if pods else {}
    task = Task(stage, f"s3://b/batches/r/{batch}/batch.json", timedelta(minutes=5), "surface_batch.x")
    return StagePod.for_task(task, settings, room_of(stage, yaml.safe_dump(table)))


def _there() -> Any:
    known = context()
    known["ti"].start_date = datetime.now(UTC)
    known["ti"].xcom_push = lambda *_, **__: None
    return known


def _watched(deferred: TaskDeferred) -> dict[str, Any]:
    """What the triggerer says, which makes the trigger anew from what was stored of it."""
    where, kwargs = deferred.trigger.serialize()
    module, _, name = where.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**kwargs)

    async def first() -> Any:
        async for event in trigger.run():
            return event.payload
        return None

    event: dict[str, Any] = asyncio.run(first())
    return event


def _lived(make: Callable[[], Any] = _pod) -> PodEnd:
    """How a pod ends; each time the operator is made anew, as Airflow does."""
    act: Callable[[], Any] = lambda: make().launch(_there())  # noqa: E731  replaced below
    while True:
        try:
            end: PodEnd = act()
        except TaskDeferred as deferred:
            event = _watched(deferred)
            act = lambda event=event: make().come_back(_there(), event)  # noqa: E731
        else:
            return end


EXPECTED = {
    Fault.EVICTED: PodEnding.EVICTED,
    Fault.PREEMPTED: PodEnding.PREEMPTED,
    Fault.OOM: PodEnding.OUT_OF_MEMORY,
    Fault.VANISHED: PodEnding.MISSING,
    Fault.COLLECTED: PodEnding.MISSING,
    Fault.UNKNOWN: PodEnding.UNKNOWN,
    Fault.NODE_LOST: PodEnding.NODE_LOST,
    Fault.STUCK: PodEnding.NODE_LOST,
    Fault.API_AWAY_EARLY: PodEnding.COMPLETED,
    Fault.SLOW_IMAGE: PodEnding.COMPLETED,
    Fault.NO_IMAGE: PodEnding.IMAGE_PULL,
    Fault.CREATE_LOST: PodEnding.COMPLETED,
    Fault.API_RESTARTS: PodEnding.COMPLETED,
    Fault.API_FAILS: PodEnding.COMPLETED,
}


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_ends_as_what_it_is_and_leaves_no_pod(place: FakeCluster, fault: Fault) -> None:
    place.control.script[("correct", "000")] = [fault]
    assert _lived().ending is EXPECTED[fault]
    deadline = time.monotonic() + 15
    while place.control.pods and time.monotonic() < deadline:
        time.sleep(0.1)
    assert place.control.pods == {}
    assert place.control.most_alive.total() == (0 if fault is Fault.NO_IMAGE else 1)


def test_a_pod_that_does_its_work_ends_with_its_log_in_the_tasks(
    place: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from undersky_airflow.pods import StagePod

    log = Mock()
    monkeypatch.setattr(StagePod, "log", log)
    assert _lived() == PodEnd(PodEnding.COMPLETED, "exit 0", 0)
    said = str(log.mock_calls)
    assert "at work 1" in said, "it is the first process of its namespace"
    assert "done" in said


def test_what_an_earlier_try_left_is_ended_before_the_next_begins(place: FakeCluster) -> None:
    with pytest.raises(TaskDeferred):
        _pod(pods="env: {TAKES: '600'}").launch(_there())
    (left,) = place.control.pods
    assert _lived().ending is PodEnding.COMPLETED
    assert place.control.pods == {}
    assert next(pod.name for pod in place.control.ever) == left
    assert set(place.control.most_alive.values()) == {1}


def test_pods_of_other_batches_are_left_alone(place: FakeCluster) -> None:
    with pytest.raises(TaskDeferred):
        _pod(pods="env: {TAKES: '600'}", batch="001").launch(_there())
    assert _lived().ending is PodEnding.COMPLETED
    assert [pod.work[2] for pod in place.control.pods.values()] == ["001"]


def test_maps_take_the_gpu_of_a_training_which_then_waits_for_it(place: FakeCluster) -> None:
    place.control.gpus = 1
    ends: list[PodEnd] = []
    long = "env: {TAKES: '600'}"
    training = threading.Thread(
        target=lambda: ends.append(_lived(lambda: _pod(ReleaseStage.TRAIN, pods=long, batch="t")))
    )
    training.start()
    deadline = time.monotonic() + 30
    while not place.control.alive and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _lived(lambda: _pod(Stage.MAP)).ending is PodEnding.COMPLETED
    training.join(30)
    assert [end.ending for end in ends] == [PodEnding.PREEMPTED]
    assert _lived(lambda: _pod(ReleaseStage.TRAIN, batch="t")).ending is PodEnding.COMPLETED


def test_what_no_node_can_hold_is_given_up_with_the_schedulers_words(place: FakeCluster) -> None:
    place.control.gpus = 0
    end = _lived(lambda: _pod(Stage.MAP, pods="schedule_s: 10"))
    assert end.ending is PodEnding.NOT_SCHEDULED
    assert "Insufficient nvidia.com/gpu" in end.said
    assert place.control.pods == {}


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ("priority_class: unheard-of", "no PriorityClass with name unheard-of"),
        ("service_account: nobody", "service account nobody not found"),
    ],
)
def test_what_the_cluster_refuses_is_a_setting_to_correct(place: FakeCluster, pods: str, said: str) -> None:
    with pytest.raises(ConfigError, match="the cluster refuses pod undersky-ingest-") as refused:
        _pod(Stage.INGEST, pods=pods).launch(_there())
    assert said in str(refused.value)
    assert place.control.ever == []


def test_a_full_quota_is_no_wrong_setting(place: FakeCluster) -> None:
    place.control.quota = "compute, requested: pods=1, used: pods=60, limited: pods=60"
    with pytest.raises(ServiceError, match=r"there is no room for pod .*exceeded quota"):
        _pod().launch(_there())


def test_a_pod_that_nobody_watches_any_more_is_told_to_end(place: FakeCluster) -> None:
    with pytest.raises(TaskDeferred):
        _pod(pods="env: {TAKES: '600'}").launch(_there())
    _pod().abandon(_there())
    deadline = time.monotonic() + 15
    while place.control.pods and time.monotonic() < deadline:
        time.sleep(0.1)
    assert place.control.pods == {}


def test_a_wrong_token_is_no_fault_of_the_stage(place: FakeCluster) -> None:
    text = place.server.kubeconfig.read_text()
    place.server.kubeconfig.write_text(text.replace("canary", "wrong"))
    with pytest.raises(ServiceError, match="401"):
        _pod().launch(_there())


def test_a_cluster_that_is_away_is_a_service_that_failed(
    place: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from undersky_airflow import pods

    monkeypatch.setattr(pods, "PATIENCE_S", 1.0)
    place.server.stop()
    with pytest.raises(ServiceError, match="does not answer"):
        _pod().launch(_there())


def test_a_killed_task_takes_its_pod_with_it(place: FakeCluster) -> None:
    pod = _pod(pods="env: {TAKES: '600'}")
    with pytest.raises(TaskDeferred):
        pod.launch(_there())
    pod.on_kill()
    deadline = time.monotonic() + 15
    while place.control.pods and time.monotonic() < deadline:
        time.sleep(0.1)
    assert place.control.pods == {}


def test_the_kubeconfig_is_not_carried_through_the_metadata_database(place: FakeCluster) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        _pod().launch(_there())
    assert "canary" not in str(deferred.value.trigger.serialize())
