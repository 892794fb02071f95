"""A DAG, run by Airflow itself: real ledger, real S3 server, stages that a small worker plays."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures_airflow import run_python
from undersky.refs import FileRef
from undersky.services.ledger import Actor, Announcement, Ledger
from undersky.services.store import Store

pytestmark = pytest.mark.slow
BY = Actor(run="a-test")

WORKER = """
import os, sys
from undersky.refs import Batch, Ending, FileRef, Ingested, Judged, Manifest, Outcome, Stage
from undersky.services.store import Store

stage, href = Stage(sys.argv[2]), sys.argv[3]
store = Store.open(os.environ["UNDERSKY_STORE"], endpoint=os.environ["UNDERSKY_S3_ENDPOINT"])
batch = Batch.from_json(store.get(store.key(href)))
print("scenes:", len(batch.scenes), "ledger" if "UNDERSKY_LEDGER" in os.environ else "no ledger")
if any(scene.tile == os.environ.get("FAILS") for scene in batch.scenes):
    sys.exit(2)

def outcome(scene):
    file = FileRef(name="a", href=store.href("l1/" + scene.scene + "/a"), size=1, checksum="sha256:00")
    bad = stage == Stage.VALIDATE_L1 and scene.tile == "32TPM"
    return Outcome(
        acquisition=scene.acquisition, scene=scene.scene, stage=stage,
        ending=Ending.QUARANTINED if bad else Ending.DONE, reason="all_nodata" if bad else "ok",
        ingested=Ingested(files=(file,), bytes=1, fetched=1),
        judged=Judged(expectations=1, docs=store.href("reports/docs.html")),
    )

manifest = Manifest(run=batch.run, batch=batch.name, stage=stage, outcomes=tuple(map(outcome, batch.scenes)))
store.put_json(store.key(href).rpartition("/")[0] + "/" + stage + ".json", manifest)
"""

RUN = """
import json, sys
import airflow.settings
airflow.settings.configure_orm()
import {dag}
run = {dag}.{dag}().test()
tasks = [[ti.task_id, ti.map_index, str(ti.state), ti.rendered_map_index] for ti in run.get_task_instances()]
print(json.dumps({{"state": str(run.state.value), "run": run.run_id, "tasks": sorted(tasks)}}))
"""


@pytest.fixture
def run_dag(airflow_database: Path, ledger: Ledger, ledger_url: str, weed: Store, tmp_path: Path) -> Any:
    """Runs a DAG to its end, in a process of its own; what became of its tasks."""
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER, encoding="utf-8")
    import sys

    def run(dag: str, **environment: str) -> tuple[str, dict[str, tuple[str, str | None]]]:
        settings = {
            "UNDERSKY_LEDGER": ledger_url,
            "UNDERSKY_STORE": weed.url,
            "UNDERSKY_S3_ENDPOINT": os.environ["UNDERSKY_S3_ENDPOINT"],
            "UNDERSKY_PUBLIC_URL": "https://data.example/undersky",
            "UNDERSKY_WORKER": f"{sys.executable} {worker}",
            "UNDERSKY_BATCH_SCENES": "2",
        }
        done = run_python(RUN.format(dag=dag), **settings, **environment)
        result = json.loads(done.output.strip().splitlines()[-1])
        states = {
            f"{task}[{index}]" if index >= 0 else task: (state, label)
            for task, index, state, label in result["tasks"]
        }
        return result["state"], states

    return run


def _announce(ledger: Ledger, *tiles: str) -> None:
    for minute, tile in enumerate(tiles):
        ledger.announce(
            Announcement(
                key=f"S2B_20250619T09{minute:02d}53_{tile}",
                scene=f"S2B_MSIL1C_20250619T09{minute:02d}53_N0511_R066_T{tile}_20250619T132734",
                collection="sentinel-2-l1c",
                platform="sentinel-2b",
                tile=tile,
                sensed=datetime(2025, 6, 19, 9, minute, 53, tzinfo=UTC),
                files=(FileRef(name="a", href="https://archive.example/a"),),
                profile="copernicus-dataspace",
                area="po",
            ),
            BY,
        )


def _states(ledger: Ledger) -> dict[str, str]:
    day = datetime(2025, 6, 19, tzinfo=UTC).date()
    tiles = ("32TQM", "32TQL", "32TPM", "32TPL")
    return {tile: str(found[0].state) for tile in tiles if (found := ledger.find(tile, day))}


def test_a_run_that_finds_nothing_ends_green_without_a_mapped_task(run_dag: Any) -> None:
    for dag in ("ingest_acquisitions", "surface_maps"):
        state, tasks = run_dag(dag)
        assert state == "success"
        assert tasks["account"][0] == "success"
        assert not [name for name in tasks if "[" in name]


def test_each_batch_flows_alone_and_every_scene_ends_as_its_outcome_says(
    run_dag: Any, ledger: Ledger
) -> None:
    _announce(ledger, "32TQM", "32TQL", "32TPM")
    state, tasks = run_dag("ingest_acquisitions")
    assert state == "success", tasks
    assert tasks["ingest_batch.ingest[0]"] == ("success", "32TPM +1, 2 scenes")
    assert tasks["ingest_batch.settle[1]"] == ("success", "32TQM, 1 scene")
    assert _states(ledger) == {"32TQM": "valid", "32TQL": "valid", "32TPM": "quarantined"}


def test_a_failed_batch_makes_the_run_red_and_holds_up_no_other(run_dag: Any, ledger: Ledger) -> None:
    _announce(ledger, "32TQM", "32TQL", "32TPL")
    state, tasks = run_dag("ingest_acquisitions", FAILS="32TPL")
    assert state == "failed"
    assert tasks["ingest_batch.ingest[0]"][0] == "failed"
    assert tasks["ingest_batch.settle[0]"][0] == "success", "its scenes were given back"
    assert tasks["account"][0] == "failed"
    assert _states(ledger) == {"32TQM": "valid", "32TQL": "discovered", "32TPL": "discovered"}
    waiting = {(queue.work, queue.delayed) for queue in ledger.waiting() if queue.delayed}
    assert waiting == {("ingest", 2)}


def test_without_a_registry_nothing_is_claimed_and_the_run_is_red(run_dag: Any, ledger: Ledger) -> None:
    _announce(ledger, "32TQM")
    assert run_dag("ingest_acquisitions")[0] == "success"
    state, tasks = run_dag("surface_maps")
    assert state == "failed"
    assert tasks["pin"][0] == "failed"
    assert tasks["claim_surface"][0] == "upstream_failed"
    assert tasks["account"][0] == "failed"
    (ready,) = [queue.ready for queue in ledger.waiting() if queue.ready]
    assert ready == 1
