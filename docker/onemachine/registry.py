"""MLflow with accounts: the registry where people review models."""

import sys
from collections.abc import Mapping
from pathlib import Path

from onemachine.component import Component, Site, answers, run_once
from onemachine.folder import write_private
from onemachine.ports import LOOPBACK


def registry(site: Site, *, flow: Mapping[str, str]) -> Component:
    """The server; its tables in PostgreSQL, its files under `mlflow/`."""
    home = site.folder.path / "mlflow"
    config = home / "auth.ini"
    database = site.database("mlflow", driver="postgresql+psycopg2")
    environment = {
        **site.environment,
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": site.secrets.mlflow_admin,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": site.secrets.mlflow_key,
        "MLFLOW_BACKEND_STORE_URI": database,  # not as an argument: those are seen by everybody
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    return Component(
        "mlflow",
        (
            *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"),
            *("--host", LOOPBACK, "--port", str(site.ports["mlflow"])),
            *("--serve-artifacts", "--artifacts-destination", home / "artifacts"),
        ),
        environment,
        waits_for=lambda: answers(f"{site.url('mlflow')}/health"),
        needs=("postgres",),
        prepare=lambda: _configure(home, config, database),
        afterwards=lambda: _make_accounts(site, flow),
        port="mlflow",
    )


def _make_accounts(site: Site, flow: Mapping[str, str]) -> None:
    admin = {"UNDERSKY_ADMIN_LOGIN": f"admin:{site.secrets.mlflow_admin}"}
    run_once(
        "mlflow-accounts",
        (sys.executable, "-m", "undersky", "model", "accounts"),
        site=site,
        environment={**site.environment, **flow, **admin},
        patience_s=120.0,
    )


def _configure(home: Path, config: Path, database: str) -> None:
    home.mkdir(exist_ok=True)
    lines = (
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = {database}",
        "admin_username = admin",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds = 30",
    )
    write_private(config, "\n".join(lines) + "\n")
