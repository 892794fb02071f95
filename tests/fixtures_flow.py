"""DAGs run by Airflow itself, in a process of their own: over a real ledger and a real S3 server."""

import json
from datetime import UTC, datetime

from fixtures_airflow import run_python
from undersky.refs import FileRef
from undersky.services.ledger import Actor, Announcement, Ledger

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
{before}
import airflow.settings
airflow.settings.configure_orm()
import {dag}
run = {dag}.{dag}().test()
tasks = [[ti.task_id, ti.map_index, str(ti.state), ti.rendered_map_index] for ti in run.get_task_instances()]
print(json.dumps({{"state": str(run.state.value), "run": run.run_id, "tasks": sorted(tasks)}}))
"""

QUICK_RETRIES = """
from datetime import timedelta
from undersky_airflow import exits
exits.FIRST_WAIT = timedelta(seconds=1)
"""
"""What a run begins with that need not wait long between tries."""

Tasks = dict[str, tuple[str, str | None]]


def run_flow(dag: str, *, before: str = "", **settings: str) -> tuple[str, Tasks, str]:
    """Runs a DAG to its end: its state, state and label of each task, and all that was logged."""
    done = run_python(RUN.format(dag=dag, before=before), **settings)
    result = json.loads(done.output.strip().splitlines()[-1])
    states: Tasks = {
        f"{task}[{index}]" if index >= 0 else task: (state, label)
        for task, index, state, label in result["tasks"]
    }
    return result["state"], states, done.output


def announce(ledger: Ledger, *tiles: str) -> None:
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


def states(ledger: Ledger, *tiles: str) -> dict[str, str]:
    day = datetime(2025, 6, 19, tzinfo=UTC).date()
    return {tile: str(found[0].state) for tile in tiles if (found := ledger.find(tile, day))}
