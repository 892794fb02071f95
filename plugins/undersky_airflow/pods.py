"""A stage as a pod: a fresh one for each try, watched from the triggerer, gone at the end whatever that is.

Loads the Kubernetes client.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, Self, TypeVar

import tenacity
from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import TaskDeferred
from kubernetes.client import ApiException
from kubernetes.client import models as k8s
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from undersky.errors import ConfigError, ServiceError
from undersky.settings import Settings, needed
from undersky_airflow import pod_spec
from undersky_airflow.actors import run_key
from undersky_airflow.endings import PodEnd, PodEnding, Status, end_of, status_of
from undersky_airflow.pod_watch import LOST, SEEN, StageWatch
from undersky_airflow.rooms import Room
from undersky_airflow.runners import Task

T = TypeVar("T")

LOGS_EVERY_S = 20
"""What a running stage says reaches Airflow's log that often."""
PATIENCE_S = 30.0
"""The API server is asked again for so long."""
MOST_WATCHES = 20
"""A pod that runs on is watched again so often, where watches fail at once and not the pod."""
_LIVED_S = 300
"""A watch that held for so long was a good one."""
_GONE, _EXISTS, _UNKNOWN_CALLER, _FORBIDDEN = 404, 409, 401, 403
_REFUSED = (400, 403, 404, 422)  # 404: there is no such namespace


class StagePod(KubernetesPodOperator):
    """One try of a stage in a pod of its own, restricted, with secrets by reference alone.

    There is no XCom sidecar: results are manifests in the store. `durable=False`: a later try never takes up
    a pod, which it might find evicted or half dead; it ends what an earlier one left, and begins anew.
    """

    room: Room

    @cached_property
    def hook(self) -> KubernetesHook:
        """The cluster that the settings name, and no connection of Airflow."""
        return KubernetesHook(
            conn_id=None, kubernetes_conn_id=None, in_cluster=self.in_cluster, config_file=self.config_file
        )

    @classmethod
    def for_task(cls, task: Task, settings: Settings, room: Room) -> Self:
        """The pod of that try.

        Raises:
            ConfigError: No worker image is set.
        """
        image = room.image or needed(
            settings.worker_image, "worker_image", cure="name the image of the stages"
        )
        pod = cls(
            task_id=task.name.rpartition(".")[2],
            name=f"undersky-{task.stage}",
            namespace=settings.worker_namespace,
            image=image,
            image_pull_policy=settings.worker_pull_policy,
            cmds=["undersky"],
            arguments=task.arguments,
            labels={
                **room.labels,
                "app.kubernetes.io/name": "undersky",
                "app.kubernetes.io/component": "stage",
                "undersky/stage": str(task.stage),
                "undersky/batch": _label(task.href.split("/")[-2]),
            },
            kubernetes_conn_id=None,
            in_cluster=settings.kubeconfig is None,
            config_file=str(settings.kubeconfig) if settings.kubeconfig else None,
            active_deadline_seconds=int(task.timeout.total_seconds()),
            # The pod's own deadline comes first; Airflow's is the one that catches a lost node.
            execution_timeout=task.timeout + room.waiting,
            termination_grace_period=room.grace_s,
            termination_message_policy="FallbackToLogsOnError",
            startup_timeout_seconds=room.startup_s,
            schedule_timeout_seconds=room.schedule_s,
            startup_check_interval_seconds=max(1, int(room.poll_s)),
            poll_interval=room.poll_s,
            logging_interval=LOGS_EVERY_S,
            deferrable=True,
            durable=False,
            do_xcom_push=False,
            random_name_suffix=True,
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            **pod_spec.of(room, task.stage, settings),
        )
        pod.room = room
        return pod

    def launch(self, context: Context) -> None:
        """The pod exists, and no other of this batch and stage.

        Raises:
            TaskDeferred: Always.
            ConfigError: The cluster refuses the pod.
            ServiceError: Its API does not answer, or an earlier pod cannot be ended.
        """
        self._name_the_run(context)
        self._end_predecessors()
        self.trigger_kwargs = {"watches": 0, "watched_from": time.time()}
        self.pod = self.build_pod_request_obj(context)
        self._create(self.pod)
        self._watch(context)

    def come_back(self, context: Context, event: Mapping[str, Any]) -> PodEnd:
        """How the pod ended. Its log is in the task's, and it is gone.

        Raises:
            TaskDeferred: It runs on: whoever watched it failed.
            ServiceError: The API does not answer.
        """
        self._name_the_run(context)
        self.namespace = str(event["namespace"])
        self.pod = found = self._find(str(event["name"]))
        end = self._end(status_of(found) if found is not None else None, event)
        if end is None:
            end = self._watch_again(context, event)
        if found is not None:
            self._tell(found, end, since=event.get("last_log_time"))
            lost = end.ending is PodEnding.NODE_LOST or found.status.phase == "Unknown"
            self._remove([found], force=lost)
            self.pod = None
        return end

    def abandon(self, context: Context) -> None:
        """Nobody watches it any more: it is told to end.

        Raises:
            ServiceError: The API does not answer.
        """
        self._name_the_run(context)
        self._remove(self._left())

    def _end(self, seen: Status | None, event: Mapping[str, Any]) -> PodEnd | None:
        """How it ended, by what is seen of it now or was seen last; None while it runs."""
        container, before = self.base_container_name, event.get(SEEN)
        end = end_of(seen, container, event=str(event["status"]))
        if end is None and event.get(LOST):
            return PodEnd(PodEnding.NODE_LOST, "the cluster does not end it: see the node that it is on")
        if end is not None and end.ending is PodEnding.MISSING and before:
            return end_of(before, container) or end
        return end

    def _name_the_run(self, context: Context) -> None:
        self.labels = {**self.labels, "undersky/run": _label(run_key(context))}

    # What the API is asked; it may restart, throttle and fail.

    def _find(self, name: str) -> k8s.V1Pod | None:
        try:
            return self._asked(lambda: self.client.read_namespaced_pod(name, self.namespace))
        except ApiException as error:
            if error.status == _GONE:
                return None
            raise

    def _create(self, pod: k8s.V1Pod) -> None:
        name = pod.metadata.name
        try:
            self._asked(lambda: self.client.create_namespaced_pod(self.namespace, pod))
        except ApiException as error:
            if error.status == _EXISTS and self._find(name) is not None:
                return  # the answer to the first request was lost on its way
            if "exceeded quota" in str(error.body):  # others will end
                raise ServiceError(f"there is no room for pod {name}: {error.body}") from error
            if error.status in _REFUSED:
                raise ConfigError(f"the cluster refuses pod {name}: {error.body or error.reason}") from error
            raise ServiceError(f"pod {name} cannot be made: {error.status} {error.reason}") from error
        self.log.info("pod %s of namespace %s", name, self.namespace)

    def _end_predecessors(self) -> None:
        """No pod of this batch and stage is left: one at most may work on it."""
        for force in (False, True):
            if not (pods := self._left()):
                return
            self.log.warning("ends what an earlier try left: %s", [pod.metadata.name for pod in pods])
            self._remove(pods, force=force)
            until = time.monotonic() + (30 if force else self.room.grace_s + 30)
            while time.monotonic() < until and self._left():
                time.sleep(min(self.room.poll_s, 2.0))
        if pods := self._left():
            names = ", ".join(pod.metadata.name for pod in pods)
            raise ServiceError(f"{names} of an earlier try cannot be ended: see the node that it is on")

    def _left(self) -> list[k8s.V1Pod]:
        """Pods of this batch and stage, of whatever try."""
        chosen = ("undersky/run", "undersky/stage", "undersky/batch")
        selector = ",".join(f"{name}={self.labels[name]}" for name in chosen)
        found = self._asked(lambda: self.client.list_namespaced_pod(self.namespace, label_selector=selector))
        return list(found.items)

    def _remove(self, pods: Iterable[k8s.V1Pod], *, force: bool = False) -> None:
        """They are told to end, and are gone within their grace; at once where nobody is left to be told."""
        delete, grace = self.client.delete_namespaced_pod, 0 if force else self.room.grace_s
        for pod in pods:
            name = pod.metadata.name
            try:
                self._asked(partial(delete, name, self.namespace, grace_period_seconds=grace))
            except ApiException as error:
                if error.status != _GONE:
                    raise

    def _asked(self, request: Callable[[], T]) -> T:
        """What the API answers, asked again for a while.

        Raises:
            ApiException: It has no such pod, or refuses this one.
            ConfigError: It may not be asked, or cannot be found.
            ServiceError: It does not answer.
        """
        patient = tenacity.Retrying(
            stop=tenacity.stop_after_delay(PATIENCE_S),
            wait=tenacity.wait_exponential(min=0.5, max=8),
            retry=tenacity.retry_if_exception(_passes),
            reraise=True,
        )
        try:
            return patient(request)
        except ConfigException as error:
            raise ConfigError(f"the cluster cannot be reached: {error}; see UNDERSKY_KUBECONFIG") from error
        except (HTTPError, OSError) as error:
            raise ServiceError(f"the API of the cluster does not answer: {error}") from error
        except ApiException as error:
            if error.status == _UNKNOWN_CALLER or _passes(error):
                raise ServiceError(f"the API of the cluster fails: {error.status} {error.reason}") from error
            if error.status == _FORBIDDEN and "cannot" in str(error.body):
                raise ConfigError(f"Airflow lacks rights in {self.namespace}: {error.body}") from error
            raise

    # What is seen of it from Airflow.

    def _watch(self, context: Context, **deferral: Any) -> None:
        try:
            self.invoke_defer_method(context=context, **deferral)
        except TaskDeferred as deferred:
            raise TaskDeferred(
                trigger=StageWatch.instead_of(deferred.trigger, lost_after_s=self.room.lost_after_s),
                method_name=deferred.method_name,
                timeout=deferred.timeout,
            ) from None

    def _watch_again(self, context: Context, event: Mapping[str, Any]) -> PodEnd:
        """It is watched on; how it ended, where that was tried often enough."""
        lived = time.time() - float(event.get("watched_from", 0))
        times = 1 if lived > _LIVED_S else int(event.get("watches", 0)) + 1
        if times > MOST_WATCHES:
            return PodEnd(PodEnding.UNKNOWN, f"it cannot be watched: {event.get('message')}")
        self.log.warning("watched again, the pod runs on: %s", event.get("message"))
        self.trigger_kwargs = {"watches": times, "watched_from": time.time()}
        self._watch(context, last_log_time=event.get("last_log_time"))
        raise AssertionError("it defers")

    def _tell(self, pod: k8s.V1Pod, end: PodEnd, *, since: Any) -> None:
        """The log of the pod is in the task's; what the cluster noted too, unless it ended well."""
        if end.ending not in (PodEnding.IMAGE_PULL, PodEnding.NOT_SCHEDULED):
            with suppress(HTTPError, ApiException, OSError):  # evicted, it has none
                self._write_logs(pod, since_time=since)
        if end.ending is not PodEnding.COMPLETED:
            self._read_pod_events(pod, reraise=False)


def _passes(error: BaseException) -> bool:
    """Whether the same request may be answered later."""
    if isinstance(error, ApiException):
        return error.status in (0, None, 408, 429, 500, 502, 503, 504)
    return isinstance(error, HTTPError | OSError)


def _label(text: str) -> str:
    """The end of the text, as a label may be."""
    return text[-63:].strip("-_.")
