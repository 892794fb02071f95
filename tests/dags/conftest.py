"""DAGs are parsed and run in child processes."""

import json
from typing import Any

import pytest

from fixtures_airflow import ROOT, airflow_database, run_python  # noqa: F401  a fixture of every test here
from fixtures_cluster import cluster  # noqa: F401  likewise

PARSE = """
import json, sys, time, warnings
from datetime import timedelta
warnings.simplefilter("error")
import airflow.sdk
loaded = time.perf_counter()
import ground_maps, historical_scenes, ingest_acquisitions, manage_scenes, model_release, reprocess
import surface_maps
parsed = time.perf_counter()
warnings.resetwarnings()
modules = sorted({name.split(".")[0] for name in sys.modules})
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

dags = {}
for module in (
    ground_maps, historical_scenes, ingest_acquisitions, manage_scenes, model_release, reprocess, surface_maps
):
    function = getattr(module, module.__name__)
    for dag in (function(),):
        wire = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        back = DagSerialization.from_dict(wire)
        dags[dag.dag_id] = {
            "doc": dag.doc_md,
            "schedule": type(dag.timetable).__name__,
            "woken_by": sorted(asset.name for _, asset in back.timetable.asset_condition.iter_assets()),
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "timeout": dag.dagrun_timeout.total_seconds(),
            "tasks_read_back": sorted(back.task_ids),
            "links": {
                task: sorted(link.name for link in back.get_task(task).operator_extra_links)
                for task in back.task_ids
            },
            "params": {
                name: {"value": param.value, "description": param.description, **param.schema}
                for name, param in ((n, dag.params.get_param(n)) for n in dag.params)
            },
            "tasks": {
                task.task_id: {
                    "upstream": sorted(task.upstream_task_ids),
                    "mapped": task.get_closest_mapped_task_group() is not None,
                    "rule": str(getattr(task.trigger_rule, "value", task.trigger_rule)),
                    "pool": task.pool,
                    "timeout": (task.execution_timeout or timedelta()).total_seconds(),
                    "response": (getattr(task, "response_timeout", None) or timedelta()).total_seconds(),
                    "kind": type(task).__name__,
                    "form": sorted(task.params) if "Approval" in str(type(task).__mro__) else [],
                    "retries": task.retries,
                    "policy": type(task.retry_policy).__name__,
                    "weight": back.get_task(task.task_id).priority_weight,
                    "weight_rule": str(task.weight_rule),
                    "label": task.map_index_template,
                    "outlets": [asset.name for asset in task.outlets],
                    "doc": task.doc_md,
                }
                for task in dag.tasks
            },
        }
print(json.dumps({"import": parsed - loaded, "modules": modules, "dags": dags}))
"""


@pytest.fixture(scope="session")
def parsed() -> Any:
    """What the DAG processor sees."""
    return json.loads(run_python(PARSE).output.splitlines()[-1])
