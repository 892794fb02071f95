"""How a pod ended, read from what the cluster says of it. Loads no Kubernetes client.

    what the cluster says                                  ending          counts as
    container exited 0                                     completed       exit 0
    container exited otherwise                             failed          its exit code
    OOMKilled                                              out_of_memory   a crash; again with more memory
    reason Evicted, disruption by kubelet or eviction API  evicted         taken away: again
    disruption by the scheduler                            preempted       taken away: again
    reason NodeLost, disruption by the taint manager       node_lost       taken away: again
    phase Unknown                                          unknown         taken away: again
    gone                                                   missing         taken away: again
    its container cannot be made, its image has no name    misconfigured   exit 2: an operator must act
    its image does not come                                image_pull      again
    no node has room for it                                not_scheduled   again
    reason DeadlineExceeded, or Airflow's timeout          deadline        a timeout

Source: Kubernetes documentation, Pod Lifecycle (phases, container states) and Disruptions (pod disruption
conditions, the condition `DisruptionTarget`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class PodEnding(StrEnum):
    """What became of a pod."""

    COMPLETED = "completed"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    EVICTED = "evicted"
    PREEMPTED = "preempted"
    NODE_LOST = "node_lost"
    UNKNOWN = "unknown"
    MISSING = "missing"
    MISCONFIGURED = "misconfigured"
    IMAGE_PULL = "image_pull"
    NOT_SCHEDULED = "not_scheduled"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class PodEnd:
    """The ending, with what is known of it."""

    ending: PodEnding
    said: str
    """What the cluster says, for a message."""
    code: int | None = None
    """Exit code of the stage, where there is one."""


_BY_REASON = {
    "Evicted": PodEnding.EVICTED,
    "Preempting": PodEnding.PREEMPTED,
    "NodeLost": PodEnding.NODE_LOST,
    "NodeShutdown": PodEnding.NODE_LOST,
    "Terminated": PodEnding.NODE_LOST,  # graceful shutdown of its node
    "DeadlineExceeded": PodEnding.DEADLINE,
}
_BY_DISRUPTION = {
    "PreemptionByScheduler": PodEnding.PREEMPTED,
    "PreemptionByKubeScheduler": PodEnding.PREEMPTED,  # its name before 1.27
    "DeletionByTaintManager": PodEnding.NODE_LOST,
    "DeletionByPodGC": PodEnding.NODE_LOST,
    "EvictionByEvictionAPI": PodEnding.EVICTED,
    "TerminationByKubelet": PodEnding.EVICTED,
}
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ImageInspectError")
_MISCONFIGURED = (
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    *("InvalidImageName", "ErrImageNeverPull"),
)

Status = Mapping[str, Any]
"""What is known of a pod, as `status_of` writes it: plain JSON, to be carried in an event."""


def status_of(pod: Any) -> Status:
    """What matters of a pod's status.

    Args:
        pod: A V1Pod, of either of the two Kubernetes clients.
    """
    status = pod.status
    return {
        "phase": status.phase,
        "reason": status.reason,
        "message": status.message,
        "conditions": [
            {"type": each.type, "status": each.status, "reason": each.reason, "message": each.message}
            for each in status.conditions or []
        ],
        "containers": {each.name: _state_of(each.state) for each in status.container_statuses or []},
    }


def _state_of(state: Any) -> Status:
    if state is None:
        return {}
    if state.terminated is not None:
        return {"exit_code": state.terminated.exit_code, "reason": state.terminated.reason}
    if state.waiting is not None:
        return {"waits": state.waiting.reason, "message": state.waiting.message}
    return {}


def hopeless(status: Status, container: str) -> str | None:
    """Why its container will never begin, however long one waits; None where it may."""
    waits = status["containers"].get(container, {}).get("waits")
    return waits if waits in _MISCONFIGURED else None


def end_of(status: Status | None, container: str, *, event: str = "") -> PodEnd | None:
    """How the pod ended; None while it runs.

    Args:
        status: What is known of it; None where it is gone.
        container: Name of the stage's container.
        event: What the watch said last: `success`, `failed`, `timeout`, `error`; empty where nobody watched.
    """
    if status is None:
        return _gone(event)
    state = status["containers"].get(container, {})
    if state.get("exit_code") == 0:  # it was done before anybody took it away
        return PodEnd(PodEnding.COMPLETED, "exit 0", 0)
    return _taken(status) or _exited(state) or _lost(status) or _never_began(status, state, event=event)


def _gone(event: str) -> PodEnd:
    if event == "success":
        return PodEnd(PodEnding.COMPLETED, "it had ended well, and was cleared away", 0)
    return PodEnd(PodEnding.MISSING, "it is gone: deleted, cleared away, or lost with its node")


def _taken(status: Status) -> PodEnd | None:
    """An ending from outside: what the container itself returned then says nothing."""
    by_reason = _BY_REASON.get(str(status["reason"]))
    if by_reason is not None:
        return PodEnd(by_reason, _spelled(status))
    for condition in status["conditions"]:
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return PodEnd(
                _BY_DISRUPTION.get(str(condition["reason"]), PodEnding.EVICTED), _spelled(condition)
            )
    return None


def _exited(state: Status) -> PodEnd | None:
    if "exit_code" not in state:
        return None
    code = int(state["exit_code"])
    if state["reason"] == "ContainerStatusUnknown":
        return PodEnd(PodEnding.NODE_LOST, "its node cannot tell how it ended")
    if state["reason"] == "OOMKilled":
        return PodEnd(PodEnding.OUT_OF_MEMORY, "it was killed for its use of memory", code)
    return PodEnd(PodEnding.FAILED, f"exit {code}", code)


def _lost(status: Status) -> PodEnd | None:
    if status["phase"] == "Unknown":
        return PodEnd(PodEnding.UNKNOWN, "the cluster has lost sight of it")
    if status["phase"] == "Failed":
        return PodEnd(PodEnding.UNKNOWN, f"it failed before its container ran: {_spelled(status)}")
    return None


def _never_began(status: Status, state: Status, *, event: str) -> PodEnd | None:
    if state.get("waits") in _MISCONFIGURED:
        said = f"{state['waits']}: {state['message'] or 'no more is said'}"
        return PodEnd(PodEnding.MISCONFIGURED, said)
    if state.get("waits") in _NO_IMAGE:
        return PodEnd(PodEnding.IMAGE_PULL, f"{state['waits']}: {state['message'] or 'no more is said'}")
    if event != "timeout":
        return None
    if status["phase"] != "Pending":
        return PodEnd(PodEnding.DEADLINE, "it ran into the timeout of its task")
    for condition in status["conditions"]:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return PodEnd(PodEnding.NOT_SCHEDULED, _spelled(condition))
    return PodEnd(
        PodEnding.IMAGE_PULL, f"it never began: {state.get('waits') or 'its node does not say why'}"
    )


def _spelled(status: Status) -> str:
    said = (status["reason"], status["message"])
    return ": ".join(str(part) for part in said if part) or "no reason is given"
