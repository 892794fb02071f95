"""The cluster behind the API: admits pods, finds them a node, starts them, lets faults happen to them."""

import itertools
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import kubernetes_validate

from cluster.faults import MIDWAY, Fault
from cluster.kubelet import Running, ended, live
from cluster.pods import Json, Pod, now

RELEASE = "1.35"


class RefusedError(Exception):
    """The API says no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Control:
    """Everything but HTTP."""

    folder: Path
    images: Mapping[str, Sequence[str]]
    """The command that stands for an image's entry."""
    secrets: Mapping[str, Mapping[str, str]]
    priorities: Mapping[str, int]
    service_accounts: frozenset[str]
    gpus: int = 2
    script: dict[tuple[str, str], list[Fault]] = field(default_factory=dict)
    """By stage and batch: what happens to its first pod, its second, ...; `*` is any batch."""
    midway: dict[str, str] = field(default_factory=dict)
    """By stage: what a pod must have said before something happens to it; at once without."""
    image_pull_s: float = 3.0
    quota: str = ""
    """Why no more pods are admitted."""
    api_trouble: Callable[[Fault], None] = lambda _: None
    """Lets something happen to the API server itself."""

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.pods: dict[str, Pod] = {}
        self.ever: list[Pod] = []
        """Every pod that was ever admitted."""
        self.alive: Counter[tuple[str, str, str]] = Counter()
        """Processes that work now, by run, stage and batch."""
        self.most_alive: Counter[tuple[str, str, str]] = Counter()
        self.happened: list[tuple[str, str, Fault]] = []
        self._numbers = itertools.count(1)
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    # Admission

    def create(self, namespace: str, body: Json) -> Pod:
        """The pod is admitted and on its way.

        Raises:
            RefusedError: As Kubernetes would.
        """
        body = {"apiVersion": "v1", "kind": "Pod", **body}
        try:
            kubernetes_validate.validate(body, RELEASE, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise RefusedError(422, "Invalid", str(error)) from error
        spec, name = body["spec"], body["metadata"]["name"]
        if spec.get("serviceAccountName") not in self.service_accounts:
            raise RefusedError(
                403, "Forbidden", f"service account {spec.get('serviceAccountName')} not found"
            )
        if (chosen := spec.get("priorityClassName")) and chosen not in self.priorities:
            raise RefusedError(403, "Forbidden", f"no PriorityClass with name {chosen} was found")
        if self.quota:
            raise RefusedError(403, "Forbidden", f'pods "{name}" is forbidden: exceeded quota: {self.quota}')
        with self.lock:
            if name in self.pods:
                raise RefusedError(409, "AlreadyExists", f'pods "{name}" already exists')
            meta = {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
            body["metadata"] = {**body["metadata"], **meta, "resourceVersion": str(next(self._numbers))}
            pod = Pod(body, self.folder / f"{name}.log", priority=self.priorities.get(chosen or "", 0))
            pod.status = {"phase": "Pending", "conditions": []}
            pod.fault = self._next_fault(pod)
            self.pods[name] = pod
            self.ever.append(pod)
        thread = threading.Thread(target=self._run, args=(pod,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return pod

    def delete(self, pod: Pod, grace_s: float | None) -> None:
        """Told to end; gone after its grace, at once where that is nothing."""
        with self.lock:
            pod.deleted = pod.deleted or now()
            pod.grace_s = (
                pod.body["spec"].get("terminationGracePeriodSeconds", 30) if grace_s is None else grace_s
            )
            if pod.has_ended or not pod.status.get("containerStatuses") or grace_s == 0:
                self.pods.pop(pod.name, None)
            pod.told_to_end.set()

    def close(self) -> None:
        """No process of any pod is left."""
        self._closed.set()
        for pod in list(self.ever):
            pod.grace_s = 0
            pod.told_to_end.set()
        for thread in self._threads:
            thread.join(20)

    def _next_fault(self, pod: Pod) -> Fault | None:
        _, stage, batch = pod.work
        for key in ((stage, batch), (stage, "*")):
            if self.script.get(key):
                fault = self.script[key].pop(0)
                self.happened.append((stage, batch, fault))
                return fault
        return None

    # The life of a pod

    def _run(self, pod: Pod) -> None:
        try:
            if self._scheduled(pod) and self._pulled(pod):
                self._work(pod)
        finally:
            with self.lock:
                held = (Fault.UNKNOWN, Fault.NODE_LOST, Fault.STUCK)
                if (pod.deleted and pod.fault not in held) or pod.fault in (
                    Fault.COLLECTED,
                    Fault.VANISHED,
                ):
                    self.pods.pop(pod.name, None)

    def _scheduled(self, pod: Pod) -> bool:
        """Whether it found a node; pods of less importance are asked to go."""
        while not pod.told_to_end.is_set():
            with self.lock:
                free = self.gpus - sum(each.gpus for each in self._on_nodes())
                if pod.gpus <= free:
                    pod.condition("PodScheduled", "")
                    pod.event("Scheduled", "assigned to the only node")
                    return True
                said = f"0/1 nodes are available: 1 Insufficient nvidia.com/gpu ({free} free)."
                pod.condition("PodScheduled", "Unschedulable", holds=False, message=said)
                for each in sorted(self._on_nodes(), key=lambda one: one.priority):
                    if each.gpus and each.priority < pod.priority and not each.deleted:
                        self._preempt(each, by=pod)
                        break
            pod.told_to_end.wait(0.2)
        return False

    def _on_nodes(self) -> list[Pod]:
        return [
            each
            for each in self.pods.values()
            if not each.has_ended
            and any(
                one["type"] == "PodScheduled" and one["status"] == "True" for one in each.status["conditions"]
            )
        ]

    def _preempt(self, pod: Pod, *, by: Pod) -> None:
        said = f"preempted by {by.name}"
        pod.condition("DisruptionTarget", "PreemptionByScheduler", message=said)
        pod.event("Preempted", said, kind="Warning")
        self.happened.append((pod.work[1], pod.work[2], Fault.PREEMPTED))
        self.delete(pod, None)

    def _pulled(self, pod: Pod) -> bool:
        """Whether its image came."""
        with self.lock:
            pod.is_in("waiting", reason="ContainerCreating")
        if pod.fault is Fault.SLOW_IMAGE:
            pod.event("Pulling", f"pulling image {pod.container['image']}")
            pod.told_to_end.wait(self.image_pull_s)
        if pod.fault is Fault.API_AWAY_EARLY:
            self.api_trouble(Fault.API_RESTARTS)
        missing = pod.container["image"] not in self.images
        if missing or pod.fault is Fault.NO_IMAGE:
            said = f'failed to resolve reference "{pod.container["image"]}": not found'
            with self.lock:
                pod.is_in("waiting", reason="ErrImagePull", message=said)
            pod.event("Failed", said, kind="Warning")
            pod.told_to_end.wait()
            return False
        return not pod.told_to_end.is_set()

    def _work(self, pod: Pod) -> None:
        with self.lock:
            self.alive[pod.work] += 1
            self.most_alive[pod.work] = max(self.most_alive[pod.work], self.alive[pod.work])
            running = Running(pod, self.images[pod.container["image"]], self._environment(pod))
            pod.status |= {"phase": "Running", "startTime": now()}
            pod.is_in("running", startedAt=now())
        try:
            live(pod, running, midway=lambda process: self._midway(pod, process), lock=self.lock)
        finally:
            running.kill()
            running.clear()
            with self.lock:
                self.alive[pod.work] -= 1

    def _environment(self, pod: Pod) -> dict[str, str]:
        given: dict[str, str] = {}
        for source in pod.container.get("envFrom", []):
            given |= self.secrets[source["secretRef"]["name"]]
        return given | {each["name"]: each.get("value", "") for each in pod.container.get("env", [])}

    # Faults

    def _midway(self, pod: Pod, process: Running) -> bool:
        """Whether what happens to it ends it."""
        if pod.fault not in MIDWAY or not self._is_midway(pod, process):
            return False
        if pod.fault in (Fault.API_RESTARTS, Fault.API_FAILS):
            self.api_trouble(pod.fault)
            return False
        if pod.fault is Fault.OOM and pod.container["resources"]["limits"]["memory"] != self._first_memory(
            pod
        ):
            return False
        act = {
            Fault.EVICTED: self._evicted,
            Fault.PREEMPTED: self._preempted,
            Fault.OOM: self._oom,
            Fault.VANISHED: self._vanished,
            Fault.UNKNOWN: self._unknown,
            Fault.NODE_LOST: self._node_lost,
            Fault.STUCK: self._stuck,
        }[pod.fault]
        act(pod, process)
        return True

    def _is_midway(self, pod: Pod, process: Running) -> bool:
        """As soon as it has said what it must; not at all where it ends before."""
        awaited = self.midway.get(pod.work[1], "")
        while awaited not in pod.log.read_text(encoding="utf-8", errors="replace"):
            if process.code() is not None or pod.told_to_end.wait(0.05):
                return False
        return True

    def _first_memory(self, pod: Pod) -> str:
        first = next(each for each in self.ever if each.work == pod.work)
        return str(first.container["resources"]["limits"]["memory"])

    def _grace_s(self, pod: Pod) -> float:
        """What it has to write down what it holds."""
        return float(pod.body["spec"].get("terminationGracePeriodSeconds", 30))

    def _evicted(self, pod: Pod, process: Running) -> None:
        code = process.end(self._grace_s(pod))
        with self.lock:
            ended(pod, code or 137)
            said = "The node was low on resource: memory."
            pod.status |= {"phase": "Failed", "reason": "Evicted", "message": said}
            pod.condition("DisruptionTarget", "TerminationByKubelet", message=said)

    def _preempted(self, pod: Pod, process: Running) -> None:
        with self.lock:
            pod.deleted = now()
            pod.condition("DisruptionTarget", "PreemptionByScheduler", message="for a pod of more importance")
        time.sleep(1.5)  # a watch looks that often
        code = process.end(self._grace_s(pod))
        with self.lock:
            ended(pod, code)

    def _oom(self, pod: Pod, process: Running) -> None:
        process.kill()
        with self.lock:
            ended(pod, 137, reason="OOMKilled")

    def _vanished(self, _: Pod, process: Running) -> None:
        process.kill()

    def _unknown(self, pod: Pod, process: Running) -> None:
        process.signal(signal.SIGKILL)
        with self.lock:
            pod.status |= {"phase": "Unknown"}

    def _node_lost(self, pod: Pod, process: Running) -> None:
        process.signal(signal.SIGKILL)
        with self.lock:
            pod.deleted = now()
            pod.condition("DisruptionTarget", "DeletionByTaintManager", message="its node is unreachable")

    def _stuck(self, pod: Pod, process: Running) -> None:
        process.signal(signal.SIGKILL)
        with self.lock:
            pod.deleted = now()
