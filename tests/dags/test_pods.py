"""Scenes and trainings through pods: real Airflow, its Kubernetes operator, a cluster of real processes."""

import hashlib
import os
import uuid
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster.faults import Fault
from fixtures_airflow import run_python
from fixtures_archive import Archive
from fixtures_cluster import FakeCluster
from fixtures_flow import QUICK_RETRIES, run_flow
from fixtures_registry import a_verdict
from miniature import MINIATURE
from scene_batches import pin_shipped
from stack_world import add_area
from undersky.refs import Begin, ReleaseOrder, ReleaseSet
from undersky.services.ledger import Actor, Ledger
from undersky.services.store import Store
from undersky.stages.simulate import Order, request_for, simulate

pytestmark = pytest.mark.faults


def _flow(ledger_url: str, store: Store, archive: Archive, runtime: Mapping[str, str]) -> None:
    """Level-1 in, reflectance out."""
    settings = {
        "UNDERSKY_LEDGER": ledger_url,
        "UNDERSKY_STORE": store.url,
        "UNDERSKY_S3_ENDPOINT": os.environ["UNDERSKY_S3_ENDPOINT"],
        "UNDERSKY_PROFILES": str(archive.folder.parent / "served" / "profiles"),
        "UNDERSKY_REGISTRY": "http://127.0.0.1:9",  # nobody: all that was released lies in the store
        **runtime,
    }
    for dag in ("ingest_acquisitions", "surface_maps"):
        state, _, log = run_flow(dag, before=QUICK_RETRIES, **settings)
        assert state == "success", log[-8000:]


def _bucket() -> Store:
    """A new one."""
    opened = Store.open(f"s3://b-{uuid.uuid4().hex[:12]}", endpoint=os.environ["UNDERSKY_S3_ENDPOINT"])
    opened.make_bucket()
    return opened


def _released(store: Store) -> ReleaseSet:
    """The shipped correction lies in the store as a promotion puts it, approved."""
    release = pin_shipped(store)
    (model,) = release.models
    verdict = a_verdict(model.name, model.digest, model.label)
    store.put_json(f"{store.key(model.href)}/verdict.json", verdict)
    return release


def _assets(store: Store) -> dict[str, str]:
    """Digests of the assets' bytes, by key; an Item says besides when and how fast it was made."""
    keys = [each.key for each in store.list("products/") if not each.key.endswith(".json")]
    found = {key: store.get(key) for key in keys}
    return {key: hashlib.sha256(body).hexdigest() for key, body in found.items()}


def test_a_scene_ends_in_the_same_bytes_as_on_one_machine(  # noqa: PLR0917  fixtures
    cluster: FakeCluster,
    airflow_database: Path,
    archive: Archive,
    ledger_url: str,
    empty_url: str,
    weed: Store,
) -> None:
    day = datetime.now(UTC).date() - timedelta(days=1)
    request = request_for(
        "S2B", tile="32TQM", day=day, seed=3, theme="fields", cloud_percent=5.0, size_m=1800
    )
    simulate(archive.folder, order=Order(request, baseline="05.11"))
    Ledger.migrate(empty_url)
    made = []
    for url, runtime in ((ledger_url, {}), (empty_url, cluster.settings)):
        bucket = _bucket()
        with closing(Ledger.open(url)) as ledger:
            add_area(ledger, "fields", tile="32TQM")
            ledger.set_release(
                _released(bucket), kind="bootstrap", why="a test", by=Actor("a-test"), seen=None
            )
        _flow(url, bucket, archive, runtime)
        made.append(_assets(bucket))
    alone, in_pods = made
    assert len(alone) > 15
    assert in_pods == alone
    stages = {work[1] for work in cluster.control.most_alive}
    assert stages == {"ingest", "validate-l1", "correct", "validate-surface"}
    assert cluster.control.pods == {}


TRAINING = """
from airflow.sdk import dag
from undersky_airflow.defaults import MODELS
from undersky_airflow.releases import dataset, train

@dag(dag_id="training", default_args=MODELS, params={"begin": "dataset"})
def training():
    dataset("ORDER") >> train("ORDER")

training()
"""
RUN_TRAINING = """
import json, sys
import airflow.settings
airflow.settings.configure_orm()
from datetime import timedelta
from undersky_airflow import exits
exits.FIRST_WAIT = timedelta(seconds=1)
sys.path.insert(0, "FOLDER")
import training
run = training.training().test()
print(json.dumps({"state": run.state.value}))
"""


def test_a_training_that_is_preempted_goes_on_and_ends_in_the_same_weights(
    cluster: FakeCluster, airflow_database: Path, weed: Store, tmp_path: Path
) -> None:
    order = ReleaseOrder(run="one", model="correction", recipe="", begin=Begin.DATASET, by="ada")
    weights, logs = [], []
    cluster.control.script[("train", "*")] = [Fault.PREEMPTED]
    cluster.control.midway["train"] = "step="
    for runtime in ({}, cluster.settings):
        bucket = _bucket()
        bucket.put("recipes/miniature.yaml", MINIATURE.replace("steps: 6", "steps: 60").encode())
        known = order.model_copy(update={"recipe": bucket.href("recipes/miniature.yaml")})
        bucket.put_json("releases/one/order.json", known)
        settings = {
            "UNDERSKY_STORE": bucket.url,
            "UNDERSKY_S3_ENDPOINT": os.environ["UNDERSKY_S3_ENDPOINT"],
            **runtime,
        }
        dags = tmp_path / f"dags-{len(weights)}"
        dags.mkdir()
        text = TRAINING.replace("ORDER", bucket.href("releases/one/order.json"))
        (dags / "training.py").write_text(text, encoding="utf-8")
        run = RUN_TRAINING.replace("FOLDER", str(dags))
        done = run_python(run, AIRFLOW__CORE__DAGS_FOLDER=str(dags), **settings)
        assert done.result["state"] == "success", done.output[-8000:]
        (key,) = [each.key for each in bucket.list("candidates/") if each.key.endswith(".safetensors")]
        weights.append(bucket.get(key))
        logs.append(done.output)
    assert [fault for _, _, fault in cluster.control.happened] == [Fault.PREEMPTED]
    assert ["training resumes" in log for log in logs] == [False, True]
    assert weights[0] == weights[1]
    assert cluster.control.pods == {}
