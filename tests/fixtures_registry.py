"""The real model registry for tests: one MLflow with accounts a session; models are named by the test."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from undersky.judgement import GateOutcome, Judgement, Verdict
from undersky.services.accounts import Account, ensure_account

ADMIN = Account("admin", "the-admins-password")
RELEASE = Account("release", "the-releasers-password")
TRAINER = Account("trainer", "the-trainers-password")
READER = Account("reader", "the-readers-password")


@dataclass(frozen=True, slots=True)
class RegistryServer:
    """A running MLflow with basic auth, and the accounts on it."""

    uri: str
    admin: Account = ADMIN
    release: Account = RELEASE
    trainer: Account = TRAINER
    reader: Account = READER


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """MLflow on a free loopback port, with `release`, `trainer` and `reader`; it ends with the session."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _command(folder, port),
            stdout=log,
            stderr=log,
            env=server_environment(folder, f"sqlite:///{folder / 'auth.db'}"),
            start_new_session=True,
        )
    try:
        _wait_for(port, process, folder / "log")
        server = RegistryServer(f"http://127.0.0.1:{port}")
        for account in (server.release, server.trainer, server.reader):
            ensure_account(server.uri, account, admin=server.admin)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def registry(registry_server: RegistryServer, monkeypatch: pytest.MonkeyPatch):
    """Opens the registry as an account, `registry(registry.server.reader)`; `registry.name` is unused."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "nobody-signed-in")  # and is put back after who was opened

    class Opened:
        name = f"correction-{uuid.uuid4().hex[:8]}"
        server = registry_server

        def __call__(self, account: Account = RELEASE):
            from undersky.services.registry import Registry

            return Registry.open(registry_server.uri, account)

        @staticmethod
        def forget(name: str) -> None:
            """No model of that name is registered."""
            httpx.request(
                "DELETE",
                f"{registry_server.uri}/api/2.0/mlflow/registered-models/delete",
                json={"name": name},
                auth=(ADMIN.name, ADMIN.password),
                timeout=60,
            )

    return Opened()


def _command(folder: Path, port: int) -> list[str]:
    mlflow = str(Path(sys.executable).parent / "mlflow")
    where = f"sqlite:///{folder / 'mlflow.db'}"
    listen = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    files = ("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts"))
    return [mlflow, "server", "--app-name", "basic-auth", "--backend-store-uri", where, *listen, *files]


def server_environment(folder: Path, accounts: str) -> dict[str, str]:
    """Of an MLflow with basic auth whose accounts lie in that database; its settings lie in the folder."""
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\nauth_cache_ttl_seconds = 60\n"
        f"database_uri = {accounts.replace('%', '%%')}\n"
        f"admin_username = {ADMIN.name}\nadmin_password = {ADMIN.password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"MLflow did not start:\n{log.read_text(errors='replace')[-2000:]}")


def a_verdict(name: str, package: str = "ab" * 32, label: str = "physics-1", **changed: object) -> Verdict:
    """What a person says of a package."""
    known: dict[str, object] = {
        "name": name, "label": label, "package": package, "decision": "a test said so", "by": "test",
        "at": datetime(2026, 1, 1, tzinfo=UTC), "suites": {"direct-6s": "cd" * 32},
        "scenes": {"direct-6s": 2}, "metrics": {"direct-6s": {"rmse": 0.01}}, "code_version": "0",
    }  # fmt: skip
    return Verdict.model_validate(known | changed)


def a_judgement(
    name: str, package: str = "ab" * 32, label: str = "network-2", **changed: object
) -> Judgement:
    """What the gate says of a package."""
    known: dict[str, object] = {
        "model": name, "candidate": package, "candidate_label": label, "champion": "ef" * 32,
        "champion_label": "network-1", "gate": "12" * 32, "gate_version": 1, "outcome": GateOutcome.PASS,
        "sentence": "nowhere worse", "findings": (), "suites": {"direct-6s": "cd" * 32},
        "scenes": {"direct-6s": 2}, "metrics": {"direct-6s": {"rmse": 0.01, "in_spec_percent": 88.5}},
        "champion_metrics": {"direct-6s": {"rmse": 0.02}}, "code_version": "0",
    }  # fmt: skip
    return Judgement.model_validate(known | changed)
