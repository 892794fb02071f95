"""A cluster of one node, behind an API server on loopback, that runs pods as processes."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from cluster.api import ApiServer
from cluster.control import Control
from cluster.kubelet import namespace_command
from undersky.services.store import Store
from undersky_airflow.rooms import STAGES

IMAGE = "registry.example/undersky-worker:test"
PRIORITIES = {"undersky-scenes": 1000, "undersky-training": 10}
QUICK = {
    "every": {"poll_s": 0.5, "grace_s": 10, "lost_after_s": 1, "schedule_s": 60, "startup_s": 30},
    "train": {"grace_s": 30},
}
"""A table of pods that are looked at often."""


@dataclass
class FakeCluster:
    """The cluster, and how a task reaches it."""

    control: Control
    server: ApiServer

    @property
    def settings(self) -> dict[str, str]:
        """Of the tasks."""
        return {
            "UNDERSKY_RUNTIME": "kubernetes",
            "UNDERSKY_KUBECONFIG": str(self.server.kubeconfig),
            "UNDERSKY_WORKER_IMAGE": IMAGE,
            "UNDERSKY_PODS": yaml.safe_dump(QUICK),
        }

    def close(self) -> None:
        """No server, no process of it is left."""
        self.control.close()
        self.server.stop()


def make_cluster(
    folder: Path,
    *,
    worker: tuple[str, ...] = (sys.executable, "-m", "undersky"),
    store: Mapping[str, str] | None = None,
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> FakeCluster:
    """A cluster.

    Args:
        folder: For logs and the kubeconfig.
        worker: The command that stands for the worker image.
        store: Keys of the store; those of the environment when None.
        more: More secrets, by name.
    """
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    store = store or {name: os.environ.get(name, "") for name in keys}
    control = Control(
        folder,
        images={IMAGE: worker},
        secrets={
            "undersky-store": {**store, "AWS_DEFAULT_REGION": "us-east-1"},
            "undersky-providers": {},
            "undersky-trainer": {},
            **(more or {}),
        },
        priorities=PRIORITIES,
        service_accounts=frozenset(f"undersky-{stage}" for stage in STAGES),
    )
    return FakeCluster(control, ApiServer(control, folder))


@pytest.fixture
def cluster(tmp_path: Path, weed: Store) -> Iterator[FakeCluster]:
    """Its worker image is the real `undersky`, with the keys of the store; skips without PID namespaces."""
    if namespace_command() is None:
        pytest.skip("no PID namespace can be made here: `unshare --pid --fork true` fails")
    made = make_cluster(tmp_path)
    yield made
    made.close()
