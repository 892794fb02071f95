"""Airflow's four components, each leading a session of its own: `airflow standalone` orphans its children."""

import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from onemachine.component import ROOT, Component, Site, answers, fetch, run_once
from onemachine.folder import write_private
from onemachine.ports import LOOPBACK
from onemachine.rest import AirflowApi, lay_out_pools

POOLS = ROOT / "plugins" / "pools.json"
LIGHT_TASKS = 3
"""Steps that run beside every slot of the pools."""

HEALTH = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
"""Name of each component in Airflow's own report of its health."""


def airflow(site: Site, *, flow: Mapping[str, str]) -> list[Component]:
    """API server, scheduler, DAG processor and triggerer over one database; tasks run as child processes.

    Args:
        site: Where.
        flow: The settings under which the tasks run.
    """
    environment = {**site.environment, **flow, **_settings(site)}
    commands = {
        "api-server": (
            "api-server",
            "--host",
            LOOPBACK,
            "--port",
            str(site.ports["airflow"]),
            "--workers",
            "1",
        ),
        # The log servers would listen on every address; on one machine the files are read in place.
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "dag-processor": ("dag-processor",),
        "triggerer": ("triggerer", "--skip-serve-logs"),
    }
    return [
        Component(
            name,
            (sys.executable, "-m", "airflow", *command),
            environment,
            waits_for=_health(site, name),
            needs=("migration",),
            afterwards=(lambda: _make_pools(site)) if name == "api-server" else None,
            port="airflow" if name == "api-server" else None,
            patience_s=300.0,
            stop_s=15.0,
        )
        for name, command in commands.items()
    ]


def migrate(site: Site) -> None:
    """The metadata database has the tables of this Airflow."""
    home = _home(site)
    home.mkdir(exist_ok=True)
    passwords = {"admin": site.secrets.airflow_admin}
    write_private(home / "passwords.json", json.dumps(passwords))
    done = home / f"migrated-{version('apache-airflow-core')}"
    if done.exists():
        return
    environment = {**site.environment, **_settings(site)}
    run_once(
        "airflow-migrate",
        (sys.executable, "-m", "airflow", "db", "migrate"),
        site=site,
        environment=environment,
        patience_s=300.0,
    )
    done.touch()


def api(site: Site) -> AirflowApi:
    """The REST API of the stack's Airflow."""
    return AirflowApi(site.url("airflow"), site.secrets.airflow_admin)


def _make_pools(site: Site) -> None:
    text = POOLS.read_text(encoding="utf-8")
    lay_out_pools(api(site), json.loads(text))


def _slots() -> int:
    """Slots of all pools: batches that hang in every one of them still leave room for the light tasks."""
    return sum(int(pool["slots"]) for pool in json.loads(POOLS.read_text(encoding="utf-8")).values())


def _home(site: Site) -> Path:
    return site.folder.path / "airflow"


def _settings(site: Site) -> dict[str, str]:
    home, url = _home(site), site.url("airflow")
    sections: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": ROOT / "dags",
            "plugins_folder": ROOT / "plugins",
            "executor": "LocalExecutor",
            "parallelism": _slots() + LIGHT_TASKS,
            "load_examples": False,
            "dags_are_paused_at_creation": True,
            "fernet_key": site.secrets.airflow_fernet,
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": "admin:admin",
            "simple_auth_manager_passwords_file": home / "passwords.json",
            "execution_api_server_url": f"{url}/execution/",
        },
        "database": {"sql_alchemy_conn": site.database("airflow", driver="postgresql+psycopg2")},
        "api": {
            "host": LOOPBACK,
            "port": site.ports["airflow"],
            "base_url": url,
            "secret_key": site.secrets.airflow_api,
            "workers": 1,
        },
        "api_auth": {"jwt_secret": site.secrets.airflow_jwt},
        "logging": {"base_log_folder": home / "logs", "colored_console_log": False},
        "scheduler": {
            "enable_health_check": False,
            # A task whose machine went down is noticed after a minute, not after five.
            "task_instance_heartbeat_timeout": 60,
            "task_instance_heartbeat_timeout_detection_interval": 10,
            "orphaned_tasks_check_interval": 30,
        },
        "dag_processor": {"parsing_processes": 1, "refresh_interval": 30},
        "workers": {"missing_dag_retry_delay": 10},
        "usage_data_collection": {"enabled": False},
    }
    flat = {
        f"AIRFLOW__{section}__{name}".upper(): str(value)
        for section, values in sections.items()
        for name, value in values.items()
    }
    return {"AIRFLOW_HOME": str(home), **flat}


def _health(site: Site, name: str) -> Callable[[], str | None]:
    if name == "api-server":
        return lambda: answers(f"{site.url('airflow')}/api/v2/version")
    return lambda: _unhealthy(site, HEALTH[name])


def _unhealthy(site: Site, part: str) -> str | None:
    url = f"{site.url('airflow')}/api/v2/monitor/health"
    try:
        report = json.loads(fetch(url)[1])
        status = (report.get(part) or {}).get("status")
    except (OSError, ValueError, AttributeError) as error:
        return f"{url} gives no report ({error})"
    return None if status == "healthy" else f"Airflow calls it {status}"
