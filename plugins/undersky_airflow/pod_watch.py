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
from kubernetes_asyncio.client.models import V1Pod

from undersky.settings import read_settings
from undersky_airflow.endings import status_of

log = logging.getLogger(__name__)

SEEN = "seen"
"""Key of the event under which the last status of the pod stands."""
_LONGEST_PAUSE_S = 30.0
_PASSING = (408, 409, 429, 500, 502, 503, 504)


class PodLostError(Exception):
    """The cluster does not end the pod, and does not know of it."""


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
    def hook(self) -> AsyncKubernetesHook:
        """The cluster that the settings name."""
        kubeconfig = read_settings().kubeconfig
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8")) if kubeconfig else None
        return AsyncKubernetesHook(
            conn_id=None, kubernetes_conn_id=None, in_cluster=config is None, config_dict=config
        )

    async def _get_pod(self) -> V1Pod:  # type: ignore[override]  # theirs is wrapped in a retry
        """The pod, as soon as the API server tells.

        Raises:
            ApiException: It is gone, or nobody may ask.
            PodLostError: It should have been gone for long.
        """
        pause = 1.0
        while True:
            try:
                pod = await self.hook.get_pod(name=self.pod_name, namespace=self.pod_namespace)
            except (ApiException, ClientError, TimeoutError, OSError) as error:
                if self._is_final(error):
                    raise
                log.warning("the API server is asked again in %.0f s: %s", pause, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._note(pod)
                return pod  # type: ignore[no-any-return]  # their client is not typed

    def _is_final(self, error: Exception) -> bool:
        if isinstance(error, ApiException) and error.status and error.status not in _PASSING:
            return True
        deadline = self.trigger_kwargs.get("_execution_deadline")
        return deadline is not None and time.time() >= deadline

    def _note(self, pod: Any) -> None:
        self.trigger_kwargs[SEEN] = status_of(pod)
        if pod.metadata.deletion_timestamp is None and pod.status.phase != "Unknown":
            self._lost_since = math.inf
            return
        now = time.monotonic()
        self._lost_since = min(now, self._lost_since)
        if now - self._lost_since > self.lost_after_s + (self.termination_grace_period or 0):
            raise PodLostError(f"{self.pod_name} has been lost for {now - self._lost_since:.0f} s")
