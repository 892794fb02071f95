"""Airflow in tests: a home of its own for this session, set before anything imports Airflow.

Whatever runs a DAG does so in a child process: Airflow configures logging and a database when it starts.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HOME = Path(tempfile.gettempdir()) / f"undersky-airflow-{os.getpid()}"
SETTINGS = {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
}
os.environ.update(SETTINGS)


@atexit.register
def _clean() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Ran:
    """A Python program that ran beside the tests."""

    code: int
    output: str

    @property
    def result(self) -> Any:
        """What it printed last, as JSON."""
        return json.loads(self.output.strip().splitlines()[-1])


def run_python(code: str, **environment: str) -> Ran:
    """Runs a program with the plugins and DAGs on its path; fails the test if it fails."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("plugins", "dags", "ml"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return Ran(done.returncode, done.stdout)


def context(**differs: Any) -> Any:
    """A task's context as far as the plugins look into it."""
    facts = {
        "dag_id": "surface_maps",
        "run_id": "scheduled__2026-11-22T18:30:00+00:00",
        "task_id": "surface_batch.correct",
        "try_number": 1,
        "map_index": 3,
        **differs,
    }
    run = SimpleNamespace(
        dag_id=facts["dag_id"],
        run_id=facts["run_id"],
        run_after=datetime(2026, 11, 22, 18, 30, tzinfo=UTC),
        triggering_user_name=None,
    )
    ti = SimpleNamespace(
        **facts,
        start_date=datetime(2026, 11, 22, 18, 31, tzinfo=UTC),
        log_url=f"http://localhost:8080/dags/{facts['dag_id']}/runs/x/tasks/{facts['task_id']}?try_number=1",
        get_task_states=lambda **_: {facts["run_id"]: facts.get("states", {})},
        xcom_push=lambda **_: None,
    )
    return {"dag_run": run, "ti": ti, "run_id": facts["run_id"], "dag": SimpleNamespace(), "params": {}}


@pytest.fixture(scope="session")
def airflow_database() -> Path:
    """A migrated metadata database, for the whole session."""
    code = "import airflow.settings as s; s.configure_orm(); from airflow.utils.db import initdb; initdb()"
    run_python(code)
    return HOME
