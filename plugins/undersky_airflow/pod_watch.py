"""A pod watched from the triggerer: Airflow's trigger, with more patience and a longer memory.

- An API server that restarts, throttles or fails is asked again, until the task's time is over.
- A pod that should be gone, or that the cluster has lost sight of, ends the watch instead of outlasting it.
- What was last seen of a pod goes into the event: a pre-empted one is gone before anybody can read why.
- The kubeconfig is read here, not carried through the metadata database.
"""

import asyncio
import logging
import math
import time
from functools import cached_property
from typing import Any, Self

import yaml
from aiohttp import ClientError
from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook
from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from kubernetes_asyncio.client import ApiException

from undersky.settings import read_settings
from undersky_airflow.endings import hopeless, status_of

log = logging.getLogger(__name__)

SEEN, LOST = "seen", "lost"
"""Keys of the event: the last status of the pod; whether the cluster will not end it."""
_LONGEST_PAUSE_S = 30.0
_PASSING = (None, 0, 408, 409, 429, 500, 502, 503, 504)


class PodLostError(Exception):
    """Nothing more will come of the pod."""


class StageWatch(KubernetesPodTrigger):
    """Fires when the pod has ended, is gone, is lost, or its time is over."""

    def __init__(self, *, lost_after_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lost_after_s = lost_after_s
        self._lost_since = math.inf

    @classmethod
    def instead_of(cls, trigger: KubernetesPodTrigger, *, lost_after_s: float) -> Self:
        """Watches the same pod."""
        return cls(**{**trigger.serialize()[1], "config_dict": None}, lost_after_s=lost_after_s)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How it is made anew in the triggerer."""
        where = f"{type(self).__module__}.{type(self).__qualname__}"
        return where, {**super().serialize()[1], "lost_after_s": self.lost_after_s}

    @cached_property
    def hook(self) -> "PatientHook":
        """The cluster that the settings name."""
        kubeconfig = read_settings().kubeconfig
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8")) if kubeconfig else None
        return PatientHook(self, in_cluster=config is None, config_dict=config)

    @property
    def is_over(self) -> bool:
        """Whether the task's time is."""
        deadline = self.trigger_kwargs.get("_execution_deadline")
        return deadline is not None and time.time() >= deadline

    def note(self, pod: Any) -> None:
        """What was seen of the pod goes into the event.

        Raises:
            PodLostError: It is not worth waiting for any longer.
        """
        seen = self.trigger_kwargs[SEEN] = status_of(pod)
        if self.last_log_time is not None:
            self.trigger_kwargs["last_log_time"] = self.last_log_time
        if waits := hopeless(seen, self.base_container_name):
            raise PodLostError(f"{self.pod_name} cannot begin: {waits}")
        if pod.metadata.deletion_timestamp is None and pod.status.phase != "Unknown":
            self._lost_since = math.inf
            return
        now = time.monotonic()
        self._lost_since = min(now, self._lost_since)
        if now - self._lost_since > self.lost_after_s + (self.termination_grace_period or 0):
            self.trigger_kwargs[LOST] = True
            raise PodLostError(f"{self.pod_name} has been lost for {now - self._lost_since:.0f} s")


class PatientHook(AsyncKubernetesHook):
    """An API server that restarts, throttles or fails is asked again; logs can wait."""

    def __init__(self, watch: StageWatch, **kwargs: Any) -> None:
        super().__init__(conn_id=None, kubernetes_conn_id=None, **kwargs)
        self._watch = watch

    async def get_pod(self, name: str, namespace: str) -> Any:
        """The pod, as soon as the API server tells.

        Raises:
            ApiException: It is gone, or nobody may ask.
            PodLostError: As `note` says.
        """
        pause = 1.0
        while True:
            try:
                pod = await super().get_pod(name=name, namespace=namespace)
            except (ApiException, ClientError, TimeoutError, OSError) as error:
                if self._watch.is_over or (isinstance(error, ApiException) and error.status not in _PASSING):
                    raise
                log.warning("the API server is asked again in %.0f s: %s", pause, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._watch.note(pod)
                return pod

    async def read_logs(self, *args: Any, **kwargs: Any) -> list[str]:
        """What the pod said; nothing where it cannot be read now: the whole of it is fetched at the end."""
        try:
            lines: list[str] = await super().read_logs(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  no log is worth the watch
            log.warning("the log of the pod cannot be read now: %s", error)
            return []
        return lines
