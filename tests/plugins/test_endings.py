"""What the cluster says of a pod, and what Airflow makes of it."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout

from undersky_airflow.endings import PodEnd, PodEnding, end_of, status_of
from undersky_airflow.exits import RetryRule, StageInterrupted, StageOutOfMemory, code_of


def _status(phase: str = "Running", **facts: Any) -> dict[str, Any]:
    return {"phase": phase, "reason": None, "message": None, "conditions": [], "containers": {}, **facts}


def _exited(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"containers": {"base": {"exit_code": code, "reason": reason}}}


def _disrupted(reason: str) -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "so it is"}
    return {"conditions": [condition]}


def _waits(reason: str, message: str | None = None) -> dict[str, Any]:
    return {"containers": {"base": {"waits": reason, "message": message}}}


UNSCHEDULED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "Insufficient nvidia.com/gpu",
}
ENDINGS = [
    (_status("Succeeded", **_exited(0, "Completed")), "success", PodEnding.COMPLETED),
    (_status("Failed", **_exited(75)), "failed", PodEnding.FAILED),
    (_status("Failed", **_exited(137, "OOMKilled")), "failed", PodEnding.OUT_OF_MEMORY),
    (_status("Failed", **_exited(137), reason="Evicted"), "failed", PodEnding.EVICTED),
    (_status("Failed", **_exited(143), **_disrupted("EvictionByEvictionAPI")), "failed", PodEnding.EVICTED),
    (_status("Failed", **_exited(143), **_disrupted("TerminationByKubelet")), "failed", PodEnding.EVICTED),
    (_status("Failed", **_exited(75), **_disrupted("PreemptionByScheduler")), "failed", PodEnding.PREEMPTED),
    (_status("Running", **_disrupted("DeletionByTaintManager")), "error", PodEnding.NODE_LOST),
    (_status("Failed", reason="NodeLost"), "failed", PodEnding.NODE_LOST),
    (_status("Unknown"), "error", PodEnding.UNKNOWN),
    (_status("Failed", message="no CNI"), "failed", PodEnding.UNKNOWN),
    (None, "error", PodEnding.MISSING),
    (None, "success", PodEnding.COMPLETED),
    (_status("Pending", **_waits("ImagePullBackOff", "not found")), "error", PodEnding.IMAGE_PULL),
    (_status("Pending", **_waits("ContainerCreating")), "timeout", PodEnding.IMAGE_PULL),
    (
        _status("Pending", **_waits("CreateContainerConfigError", "no secret")),
        "error",
        PodEnding.MISCONFIGURED,
    ),
    (_status("Pending", **_waits("InvalidImageName")), "error", PodEnding.MISCONFIGURED),
    (_status("Failed", **_exited(137, "ContainerStatusUnknown")), "failed", PodEnding.NODE_LOST),
    (_status("Pending", conditions=[UNSCHEDULED]), "timeout", PodEnding.NOT_SCHEDULED),
    (_status("Failed", reason="DeadlineExceeded"), "failed", PodEnding.DEADLINE),
    (_status("Running"), "timeout", PodEnding.DEADLINE),
]


@pytest.mark.parametrize(("status", "event", "ending"), ENDINGS)
def test_each_end_has_its_name(status: Any, event: str, ending: PodEnding) -> None:
    end = end_of(status, "base", event=event)
    assert end is not None
    assert end.ending is ending
    assert end.said


def test_every_ending_is_met() -> None:
    assert {ending for _, _, ending in ENDINGS} == set(PodEnding)


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_one_that_runs_has_not_ended_whatever_became_of_the_watch(phase: str) -> None:
    assert end_of(_status(phase), "base", event="error") is None


def test_work_that_was_done_before_the_pod_was_taken_away_is_done() -> None:
    end = end_of(_status("Succeeded", **_exited(0), **_disrupted("PreemptionByScheduler")), "base")
    assert end == PodEnd(PodEnding.COMPLETED, "exit 0", 0)


def test_a_container_beside_the_stage_decides_nothing() -> None:
    status = _status("Running", containers={"istio-proxy": {"exit_code": 1, "reason": "Error"}})
    assert end_of(status, "base") is None


@pytest.mark.parametrize("client", ["kubernetes.client", "kubernetes_asyncio.client"])
def test_both_clients_say_the_same(client: str) -> None:
    import importlib

    k8s = importlib.import_module(client)
    terminated = k8s.V1ContainerStateTerminated(exit_code=137, reason="OOMKilled")
    container = k8s.V1ContainerStatus(
        name="base",
        image="i",
        image_id="i",
        ready=False,
        restart_count=0,
        state=k8s.V1ContainerState(terminated=terminated),
    )
    pod = k8s.V1Pod(status=k8s.V1PodStatus(phase="Failed", container_statuses=[container]))
    assert status_of(pod) == _status("Failed", **_exited(137, "OOMKilled"))


def test_an_exit_code_is_the_stages_own() -> None:
    assert code_of(PodEnd(PodEnding.COMPLETED, "exit 0", 0), "p") == 0
    assert code_of(PodEnd(PodEnding.FAILED, "exit 2", 2), "p") == 2


@pytest.mark.parametrize("ending", [each for each in PodEnding if each not in ("completed", "failed")])
def test_every_other_end_is_an_exception_that_names_pod_and_ending(ending: PodEnding) -> None:
    kinds = {
        PodEnding.OUT_OF_MEMORY: StageOutOfMemory,
        PodEnding.DEADLINE: AirflowTaskTimeout,
        PodEnding.MISCONFIGURED: AirflowFailException,
    }
    with pytest.raises(kinds.get(ending, StageInterrupted), match=f"pod p-1: {ending}: because"):
        code_of(PodEnd(ending, "because"), "p-1")


def test_what_was_taken_away_is_tried_again_as_long_as_the_task_allows() -> None:
    rule = RetryRule(50)
    for used in range(1, 51):
        decision = rule.evaluate(StageInterrupted("evicted"), used, 50)
        assert decision.action.value == "retry"
        assert decision.retry_delay is not None
        assert decision.retry_delay.total_seconds() <= 600


def test_want_of_memory_counts_as_a_crash() -> None:
    rule = RetryRule()
    actions = [rule.evaluate(StageOutOfMemory("oom"), used, 3).action.value for used in (1, 2, 3)]
    assert actions == ["retry", "retry", "fail"]


def test_interruptions_are_no_crashes_and_a_cleared_task_begins_anew() -> None:
    notes: dict[str, Any] = {}
    context: Any = {"task_state_store": SimpleNamespace(get=notes.get, set=notes.__setitem__)}
    rule = RetryRule()

    def act(error: Exception, used: int, most: int = 3) -> str:
        return rule.evaluate(error, used, most, context).action.value

    assert [act(StageInterrupted("evicted"), used) for used in (1, 2)] == ["retry", "retry"]
    assert act(StageOutOfMemory("oom"), 3) == "retry", "its first crash"
    assert act(StageOutOfMemory("oom"), 4) == "retry", "its second"
    cleared = [act(StageOutOfMemory("oom"), used, 7) for used in (5, 6, 7)]
    assert cleared == ["retry", "retry", "fail"]


def test_want_of_memory_is_remembered_and_answered_with_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from undersky.refs import Stage
    from undersky.settings import Settings
    from undersky_airflow import pods
    from undersky_airflow.runners import PodRunner, Task

    given: list[str] = []

    class Pod:
        def launch(self, _: Any) -> None:
            raise RuntimeError("deferred")

        def come_back(self, *_: Any) -> PodEnd:
            return PodEnd(PodEnding.OUT_OF_MEMORY, "killed", 137)

        def on_kill(self) -> None: ...

    def for_task(task: Any, settings: Any, room: Any) -> Pod:
        given.append(room.memory)
        return Pod()

    monkeypatch.setattr(pods, "StagePod", SimpleNamespace(for_task=for_task))
    notes: dict[str, Any] = {}
    context: Any = {"task_state_store": SimpleNamespace(get=notes.get, set=notes.__setitem__)}
    from datetime import timedelta

    task = Task(Stage.CORRECT, "s3://b/batches/r/000/batch.json", timedelta(1), "x")
    runner = PodRunner(Settings(runtime="kubernetes"), lambda _: None)
    with pytest.raises(StageOutOfMemory):
        runner.run(task, context, {"name": "p", "status": "failed"})
    with pytest.raises(RuntimeError, match="deferred"):
        runner.run(task, context, None)
    assert given == ["3Gi", "6Gi"]
