"""The registry as the chart starts it, word for word, on a real PostgreSQL; paths and ports are a test's."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

pytestmark = pytest.mark.oracle
BIN = Path(sys.executable).parent
ADMIN = "the-admins-password"
LOGINS = {
    "UNDERSKY_RELEASE_LOGIN": "release:the-releasers-password",
    "UNDERSKY_TRAINER_LOGIN": "trainer:the-trainers-password",
    "MLFLOW_TRACKING_USERNAME": "reader",
    "MLFLOW_TRACKING_PASSWORD": "the-readers-password",
}


@pytest.fixture(scope="module")
def database(postgres):
    """The PG* variables of an empty database, as the Secret undersky-mlflow holds them."""
    url = make_url(postgres)
    name = f"mlflow_{uuid.uuid4().hex[:8]}"
    engine = create_engine(url.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    password = "never % asked / for @ on a socket"
    return {
        "PGHOST": str(url.query["host"]),
        "PGUSER": url.username,
        "PGDATABASE": name,
        "PGPASSWORD": password,
    }


@pytest.fixture(scope="module")
def server(database, find, tmp_path_factory):
    """Its address, and the folder that it may write to."""
    folder = tmp_path_factory.mktemp("registry")
    pod = find("trial", "Deployment", "undersky-mlflow")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    auth = folder / "auth.ini"
    auth.write_text(find("trial", "ConfigMap", "undersky-mlflow")["data"]["auth.ini"])
    (folder / "scratch").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [word.replace("0.0.0.0", "127.0.0.1").replace("=5000", f"={port}") for word in container["args"]]
    given = {
        each["name"]: each["value"]
        .replace("/etc/mlflow/auth.ini", str(auth))
        .replace("/scratch", f"{folder}/scratch")
        for each in container["env"]
    }
    secrets = {**database, "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN, "MLFLOW_FLASK_SERVER_SECRET_KEY": "a test's"}
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", **given, **secrets}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*container["command"], *words],
            env=environment,
            cwd=folder / "scratch",
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield _answering(f"http://127.0.0.1:{port}", process, log), folder / "scratch"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answering(url, process, log):
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return url
        except httpx.HTTPError:
            time.sleep(0.2)
    pytest.fail(f"MLflow did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _make_accounts(url, find):
    """The chart's job, run here."""
    spec = find("trial", "Job", "undersky-accounts")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    secrets = {**LOGINS, "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN}
    login = next(each["value"] for each in container["env"] if each["name"] == "UNDERSKY_ADMIN_LOGIN")
    login = login.replace("$(MLFLOW_AUTH_ADMIN_PASSWORD)", ADMIN)  # as Kubernetes puts it in
    kept = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    environment = {**kept, **secrets, "UNDERSKY_ADMIN_LOGIN": login, "UNDERSKY_REGISTRY": url}
    return subprocess.run(container["command"], env=environment, capture_output=True, text=True, check=False)


def test_it_starts_knows_its_administrator_and_nobody_else(server, find):
    url, _ = server
    users = f"{url}/api/2.0/mlflow/users/get?username=admin"
    assert httpx.get(users, timeout=30).status_code == httpx.codes.UNAUTHORIZED
    assert (
        httpx.get(users, auth=("admin", "password1234"), timeout=30).status_code == httpx.codes.UNAUTHORIZED
    )
    assert httpx.get(users, auth=("admin", ADMIN), timeout=30).is_success


def test_the_job_makes_accounts_of_which_one_owns_the_names_of_all_models(server, find):
    url, _ = server
    for _ in range(2):
        done = _make_accounts(url, find)
        assert done.returncode == 0, done.stderr
        assert "all models are release's" in done.stdout
    ask = {"name": "vessels"}
    taken = f"{url}/api/2.0/mlflow/registered-models/delete"
    reader = ("reader", LOGINS["MLFLOW_TRACKING_PASSWORD"])
    refused = httpx.request("DELETE", taken, json=ask, auth=reader, timeout=30)
    assert refused.status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("undersky-mlflow.undersky.svc:5000", True), ("localhost:5000", True), ("evil.example", False)],
)
def test_it_answers_under_its_own_names_alone(host, allowed, server):
    url, _ = server
    answer = httpx.get(f"{url}/", headers={"Host": host}, auth=("admin", ADMIN), timeout=30)
    assert ("Invalid Host" not in answer.text) == allowed


def test_it_writes_nothing_beside_its_scratch(server):
    _, scratch = server
    assert {path.name for path in scratch.parent.iterdir()} == {"auth.ini", "log", "scratch"}
    assert list(scratch.rglob("*.db")) == []
