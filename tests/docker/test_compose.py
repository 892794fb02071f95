"""`docker/compose.yaml` is the stack of processes in containers: same settings, no secret, no open port."""

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from onemachine.airflow import LIGHT_TASKS, POOLS
from onemachine.airflow import _settings as airflow_settings
from onemachine.component import Site
from onemachine.folder import Folder, Secrets
from onemachine.ports import DEFAULTS
from onemachine.postgres import DATABASES
from onemachine.stack import flow_settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "compose.yaml"
MAKE_SECRETS = ROOT / "docker" / "compose" / "env.py"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"migration", "accounts", "undersky"}
"""Services that do their work and end."""
OURS = "undersky-onemachine"
each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(Folder.at(tmp_path_factory.mktemp("stack")), Secrets.generate(), DEFAULTS, {})


def environment(name: str) -> dict[str, Any]:
    found: dict[str, Any] = SERVICES[name].get("environment", {})
    return found


def test_the_flow_is_set_as_in_the_stack_of_processes(site: Site) -> None:
    # No profiles: nobody plays the archives here. Credentials: the real ones may want a login.
    expected = set(flow_settings(site)) - {"UNDERSKY_PROFILES"} | {"UNDERSKY_CREDENTIALS"}
    assert set(COMPOSE["x-flow"]) == expected


def test_what_names_no_place_and_no_secret_has_the_same_value(site: Site) -> None:
    processes = {**flow_settings(site), **airflow_settings(site)}
    containers = {**COMPOSE["x-flow"], **COMPOSE["x-airflow"]}
    other = re.compile(r"127\.0\.0\.1|:\d{4}|/|\$\{|\b\d+\.\d+\.\d+\.\d+")
    same = {
        name: value
        for name, value in processes.items()
        if name in containers and not other.search(value) and not other.search(str(containers[name]))
    }
    assert len(same) >= 20
    assert {name: containers[name] for name in same} == same


def test_airflow_is_set_as_in_the_stack_of_processes(site: Site) -> None:
    assert set(COMPOSE["x-airflow"]) == set(airflow_settings(site)) - {"AIRFLOW_HOME"}


def test_tasks_run_beside_every_slot_of_the_pools() -> None:
    slots = sum(pool["slots"] for pool in json.loads(POOLS.read_text(encoding="utf-8")).values())
    assert int(COMPOSE["x-airflow"]["AIRFLOW__CORE__PARALLELISM"]) == slots + LIGHT_TASKS


@pytest.mark.parametrize("name", ["migration", "scheduler", "dag-processor", "triggerer", "api-server"])
def test_every_part_of_airflow_gets_both(name: str) -> None:
    assert {**COMPOSE["x-flow"], **COMPOSE["x-airflow"]}.items() <= environment(name).items()


def test_every_database_of_the_process_stack_is_made() -> None:
    script = (ROOT / "docker" / "compose" / "databases.sql").read_text(encoding="utf-8")
    assert {*re.findall(r"CREATE DATABASE (\w+)", script), environment("postgres")["POSTGRES_USER"]} == set(
        DATABASES
    )


def test_no_password_and_no_key_stands_in_the_file() -> None:
    secret = re.compile(r"PASS|SECRET|LOGIN|ADMIN|ACCESS_KEY|FERNET|LEDGER|CONN$|SERVER_SECRET")
    found = [
        (name, key, value)
        for name in SERVICES
        for key, value in environment(name).items()
        if secret.search(key) and not key.endswith("_FILE") and value is not None
    ]
    assert len(found) > 30
    assert [each for each in found if not re.search(r"\$\{STACK_\w+:\?[^}]*\}", str(each[2]))] == []


def test_every_secret_is_asked_for_and_never_has_a_default() -> None:
    text = FILE.read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(STACK_\w+)", text))
    assert asked == {line.partition("=")[0] for line in generated().splitlines()}
    assert not re.search(r"\$\{STACK_\w+(:?-|\})", text)


def test_the_secrets_are_those_of_the_stack_of_processes() -> None:
    theirs = {f"STACK_{name.upper()}" for name in Secrets.__dataclass_fields__} - {"STACK_STACK"}
    assert {line.partition("=")[0] for line in generated().splitlines()} == theirs


def generated() -> str:
    code = f"import runpy; print(runpy.run_path({str(MAKE_SECRETS)!r})['generate'](), end='')"
    return subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_secrets_differ_each_time_and_hold_nothing_that_a_shell_or_a_url_would_read() -> None:
    one, other = generated(), generated()
    values = [line.partition("=")[2] for text in (one, other) for line in text.splitlines()]
    assert len(set(values)) == len(values)
    assert all(re.fullmatch(r"[\w-]{16,}=?", value) for value in values)


def test_the_file_of_secrets_is_for_its_owner_alone_and_is_never_replaced(tmp_path: Path) -> None:
    script = tmp_path / "docker" / "compose" / "env.py"
    script.parent.mkdir(parents=True)
    shutil.copy(MAKE_SECRETS, script)
    for _ in range(2):
        subprocess.run([sys.executable, "-S", script], check=True, capture_output=True)
        file = tmp_path / "docker" / ".env"
        before, mode = file.read_text(encoding="utf-8"), stat.S_IMODE(file.stat().st_mode)
        assert mode == 0o600
    assert file.read_text(encoding="utf-8") == before


def test_git_never_sees_the_file_of_secrets() -> None:
    done = subprocess.run(["git", "check-ignore", "--quiet", "docker/.env"], cwd=ROOT, check=False)
    assert done.returncode == 0


@each_service
def test_only_this_machine_reaches_a_port(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))


def test_people_reach_what_the_process_stack_shows_them_at_the_same_ports() -> None:
    ports = {int(port.split(":")[1]) for service in SERVICES.values() for port in service.get("ports", [])}
    assert ports == {DEFAULTS[name] for name in ("airflow", "mlflow", "s3", "catalog")}


@each_service
def test_an_image_has_a_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image
    assert re.match(r"\d+\.\d+", tag)


def test_our_image_has_the_version_of_the_package() -> None:
    from undersky import __version__

    images = {service["image"] for service in SERVICES.values()}
    assert f"{OURS}:{__version__}" in images


@each_service
def test_a_container_can_write_to_its_volumes_alone(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@each_service
def test_a_server_says_whether_it_is_well(name: str) -> None:
    assert ("healthcheck" in SERVICES[name]) == (name not in ONCE)


@each_service
def test_it_waits_for_what_is_there_in_the_way_that_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert how == {"condition": expected}


@each_service
def test_every_file_that_is_mounted_exists_and_every_volume_is_declared(name: str) -> None:
    for source, *_ in (volume.split(":") for volume in SERVICES[name].get("volumes", [])):
        assert (FILE.parent / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@each_service
def test_every_script_that_is_run_is_there(name: str) -> None:
    service = SERVICES[name]
    words = [
        *service.get("entrypoint", []),
        *service.get("command", []),
        *service.get("healthcheck", {}).get("test", []),
        *map(str, environment(name).values()),
    ]
    scripts = [word for word in words if str(word).startswith("/compose/")]
    assert [script for script in scripts if not (FILE.parent / script[1:]).is_file()] == []


@each_service
def test_every_verb_of_ours_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from undersky.cli import main

    entry = SERVICES[name].get("entrypoint", [])
    script = (FILE.parent / "compose" / "migrate.sh").read_text(encoding="utf-8")
    lines = [entry] if entry[:1] == ["undersky"] else []
    lines += [line.split() for line in script.splitlines() if line.startswith("undersky")]
    for _, *verb in lines:
        with pytest.raises(SystemExit) as ended:
            main([*verb, "--help"])
        assert ended.value.code == 0


def test_the_server_s_health_is_told_apart(tmp_path: Path) -> None:
    script = ROOT / "docker" / "compose" / "healthy.py"
    report = tmp_path / "health.json"
    report.write_text(json.dumps({"scheduler": {"status": "healthy"}, "triggerer": {"status": None}}))

    def code(*arguments: str) -> int:
        return subprocess.run([sys.executable, "-S", script, *arguments], check=False).returncode

    assert code(report.as_uri()) == 0
    assert code(report.as_uri(), "scheduler") == 0
    assert code(report.as_uri(), "triggerer") == 1
    assert code(report.as_uri(), "dag_processor") == 1
    assert code((tmp_path / "nobody").as_uri()) == 1


def test_compose_itself_takes_the_file(tmp_path: Path) -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no `docker compose` here: nothing but Compose itself reads its own format for certain")
    secrets = tmp_path / "env"
    secrets.write_text(generated(), encoding="utf-8")
    command = ["docker", "compose", "--env-file", str(secrets), "--file", str(FILE), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
