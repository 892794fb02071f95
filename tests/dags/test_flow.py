"""A DAG, run by Airflow itself: real ledger, real S3 server, stages that a small worker plays."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures_flow import WORKER, announce, run_flow, states
from undersky.services.ledger import Ledger
from undersky.services.store import Store

pytestmark = pytest.mark.slow
TILES = ("32TQM", "32TQL", "32TPM", "32TPL")


@pytest.fixture
def run_dag(airflow_database: Path, ledger: Ledger, ledger_url: str, weed: Store, tmp_path: Path) -> Any:
    """Runs a DAG to its end, in a process of its own; what became of its tasks."""
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER, encoding="utf-8")

    def run(dag: str, **environment: str) -> tuple[str, dict[str, tuple[str, str | None]]]:
        settings = {
            "UNDERSKY_LEDGER": ledger_url,
            "UNDERSKY_STORE": weed.url,
            "UNDERSKY_S3_ENDPOINT": os.environ["UNDERSKY_S3_ENDPOINT"],
            "UNDERSKY_PUBLIC_URL": "https://data.example/undersky",
            "UNDERSKY_WORKER": f"{sys.executable} {worker}",
            "UNDERSKY_BATCH_SCENES": "2",
        }
        return run_flow(dag, **settings, **environment)[:2]

    return run


def test_a_run_that_finds_nothing_ends_green_without_a_mapped_task(run_dag: Any) -> None:
    for dag in ("ingest_acquisitions", "surface_maps"):
        state, tasks = run_dag(dag)
        assert state == "success"
        assert tasks["account"][0] == "success"
        assert not [name for name in tasks if "[" in name]


def test_each_batch_flows_alone_and_every_scene_ends_as_its_outcome_says(
    run_dag: Any, ledger: Ledger
) -> None:
    announce(ledger, "32TQM", "32TQL", "32TPM")
    state, tasks = run_dag("ingest_acquisitions")
    assert state == "success", tasks
    assert tasks["ingest_batch.ingest[0]"] == ("success", "32TPM +1, 2 scenes")
    assert tasks["ingest_batch.settle[1]"] == ("success", "32TQM, 1 scene")
    assert states(ledger, *TILES) == {"32TQM": "valid", "32TQL": "valid", "32TPM": "quarantined"}


def test_a_failed_batch_makes_the_run_red_and_holds_up_no_other(run_dag: Any, ledger: Ledger) -> None:
    announce(ledger, "32TQM", "32TQL", "32TPL")
    state, tasks = run_dag("ingest_acquisitions", FAILS="32TPL")
    assert state == "failed"
    assert tasks["ingest_batch.ingest[0]"][0] == "failed"
    assert tasks["ingest_batch.settle[0]"][0] == "success", "its scenes were given back"
    assert tasks["account"][0] == "failed"
    assert states(ledger, *TILES) == {"32TQM": "valid", "32TQL": "discovered", "32TPL": "discovered"}
    waiting = {(queue.work, queue.delayed) for queue in ledger.waiting() if queue.delayed}
    assert waiting == {("ingest", 2)}


def test_without_a_registry_nothing_is_claimed_and_the_run_is_red(run_dag: Any, ledger: Ledger) -> None:
    announce(ledger, "32TQM")
    assert run_dag("ingest_acquisitions")[0] == "success"
    state, tasks = run_dag("surface_maps")
    assert state == "failed"
    assert tasks["pin"][0] == "failed"
    assert tasks["claim_surface"][0] == "upstream_failed"
    assert tasks["account"][0] == "failed"
    (ready,) = [queue.ready for queue in ledger.waiting() if queue.ready]
    assert ready == 1
