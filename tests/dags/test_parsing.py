"""DAG files parse fast, load nothing heavy, and survive serialisation."""

import json
from typing import Any

from fixtures_airflow import ROOT, run_python

DAGS = {
    *("ingest_acquisitions", "surface_maps", "ground_maps", "historical_scenes", "manage_scenes"),
    *("model_release", "reprocess"),
}
HEAVY = {
    *("numpy", "pandas", "torch", "mlflow", "rasterio", "great_expectations", "kubernetes", "boto3"),
    *("pystac", "pystac_client", "rustac", "scipy"),
}


def test_every_file_is_a_dag_of_its_name(parsed: Any) -> None:
    assert set(parsed["dags"]) == DAGS == {file.stem for file in (ROOT / "dags").glob("*.py")}


def test_parsing_loads_nothing_heavy(parsed: Any) -> None:
    assert not HEAVY & set(parsed["modules"])


def test_parsing_costs_little_beside_loading_airflow(parsed: Any) -> None:
    assert parsed["import"] < 5, "Airflow gives a DAG file thirty seconds, under load"


def test_every_task_survives_serialisation(parsed: Any) -> None:
    for dag in parsed["dags"].values():
        assert dag["tasks_read_back"] == sorted(dag["tasks"])


def test_airflow_finds_them_without_an_error_and_loads_the_one_plugin() -> None:
    code = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow import plugins_manager
bag = DagBag()
plugins, errors = plugins_manager._get_plugins()
ours = [plugin.name for plugin in plugins if "undersky" in plugin.name]
print(json.dumps({"dags": sorted(bag.dags), "errors": bag.import_errors, "plugins": ours, "wrong": errors,
                  "bare": sorted({"exits", "steps", "stages", "links"} & set(sys.modules))}))
"""
    found = json.loads(run_python(code).output.splitlines()[-1])
    assert found == {"dags": sorted(DAGS), "errors": {}, "plugins": ["undersky"], "wrong": {}, "bare": []}
