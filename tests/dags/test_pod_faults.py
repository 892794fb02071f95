"""Scenes through pods, whatever happens to these: real Airflow, its Kubernetes operator, real processes."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.api import TOKEN
from cluster.faults import Fault
from cluster.kubelet import namespace_command
from fixtures_cluster import FakeCluster, make_cluster
from fixtures_flow import QUICK_RETRIES, WORKER, Tasks, announce, run_flow, states
from undersky.services.ledger import Ledger
from undersky.services.store import Store

pytestmark = pytest.mark.faults

CANARIES = {
    "UNDERSKY_RELEASE_LOGIN": "release:canary-of-the-releaser",
    "UNDERSKY_TRAINER_LOGIN": "trainer:canary-of-the-trainer",
    "UNDERSKY_CREDENTIALS": '{"a-provider": {"username": "u", "password": "canary-of-a-provider"}}',
    "MLFLOW_TRACKING_PASSWORD": "canary-of-the-reader",
}
"""Secrets of the tasks, which nobody else may see."""
TILES = tuple(f"32T{column}{row}" for column in "PQ" for row in "ABCDEFGHJK")


@pytest.fixture
def played(weed: Store, tmp_path: Path) -> Iterator[FakeCluster]:
    """A cluster whose image holds a small worker that plays each stage."""
    if namespace_command() is None:
        pytest.skip("no PID namespace can be made here: `unshare --pid --fork true` fails")
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER, encoding="utf-8")
    made = make_cluster(tmp_path, worker=(sys.executable, str(worker)))
    yield made
    made.close()


@pytest.fixture
def run_dag(played: FakeCluster, airflow_database: Path, ledger_url: str, weed: Store) -> Any:
    def run(dag: str) -> tuple[str, Tasks, str]:
        return run_flow(
            dag,
            before=QUICK_RETRIES,
            UNDERSKY_LEDGER=ledger_url,
            UNDERSKY_STORE=weed.url,
            UNDERSKY_S3_ENDPOINT=os.environ["UNDERSKY_S3_ENDPOINT"],
            UNDERSKY_PUBLIC_URL="https://data.example/undersky",
            UNDERSKY_BATCH_SCENES="1",
            **CANARIES,
            **played.settings,
        )

    return run


@pytest.mark.timeout(1500)
def test_every_fault_in_turn_and_all_scenes_end_right(
    run_dag: Any, played: FakeCluster, ledger: Ledger
) -> None:
    faults, stages = list(Fault), ("ingest", "validate-l1")
    tiles = TILES[: len(faults) // len(stages)]
    announce(ledger, *tiles)
    for number, fault in enumerate(faults):
        batch, stage = divmod(number, len(stages))
        played.control.script[(stages[stage], f"{batch:03d}")] = [fault]
    state, _, log = run_dag("ingest_acquisitions")
    assert state == "success", log[-20000:]
    assert sorted(fault for _, _, fault in played.control.happened) == sorted(faults)
    assert states(ledger, *tiles) == dict.fromkeys(tiles, "valid")
    assert played.control.pods == {}, "no pod is left"
    assert set(played.control.most_alive.values()) == {1}, "at most one pod works on a batch"
    specs = json.dumps([pod.body for pod in played.control.ever])
    said = log + "".join(pod.log.read_text() for pod in played.control.ever if pod.log.exists())
    for secret in ("canary", TOKEN, os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in specs
        assert secret not in said
    for fault in ("evicted", "preempted", "out_of_memory", "missing", "unknown", "node_lost", "image_pull"):
        assert f": {fault}: " in log, fault
