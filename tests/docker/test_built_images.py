"""The images, built and run for real where a builder is: docker, or buildah and podman as root.

Containers see no network, cannot write to their root, and have no capability.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bases import AIRFLOW, PYTHON, Builder, base_arguments, builder, wheels
from onemachine.component import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(5400),
]  # gigabytes, on a machine that does other things too

TAG = "localhost/undersky-tested"
USER = "10001:10001"
SCENE = ("simulate", "--sensor", "L9", "--date", "2025-06-13", "--seed", "3", "--size", "7200")


@pytest.fixture(scope="module")
def program() -> Builder:
    found = builder()
    if found is None:
        pytest.skip(
            "nothing builds images here: neither Docker's engine, nor buildah, podman and runc for root"
        )
    return found


@pytest.fixture(scope="module")
def worker(program: Builder) -> str:
    return built(program, "worker", PYTHON)


@pytest.fixture(scope="module")
def airflow(program: Builder) -> str:
    return built(program, "airflow", AIRFLOW)


@pytest.fixture(scope="module")
def onemachine(program: Builder) -> str:
    return built(program, "airflow", AIRFLOW, target="onemachine")


def built(program: Builder, name: str, base: tuple[str, str], *, target: str | None = None) -> str:
    bases = base_arguments(program, base)
    if bases is None:
        pytest.skip(f"{':'.join(base)} can neither be fetched nor be stood in for: no debootstrap")
    tag = f"{TAG}-{target or name}:1"
    arguments = {**bases, "REVISION": "abc123", "SOURCE": "https://example.org/undersky"}
    file = ROOT / "docker" / f"{name}.Dockerfile"
    program.build(file, tag, target=target, arguments=arguments, wheels=wheels())
    return tag


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder that the worker's user may write."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    shutil.chown(folder, 10001, 10001)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def run(program: Builder, worker: str, scratch: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The worker image as a pod runs it: /scratch is all that it may write."""
    options = ("--user", USER, "--volume", f"{scratch}:/scratch", "--tmpfs", "/dev/shm")
    return lambda *command, **more: program.run(
        worker, *command, options=[*options, *more.get("options", ())]
    )


def test_the_worker_corrects_a_simulated_scene_and_commits_the_product(run, scratch):
    made = run(*SCENE, "--out", "/scratch/l1")
    assert made.returncode == 0, made.stderr[-3000:]
    (scene,) = (scratch / "l1").glob("*_T1")
    command = ("correct", f"/scratch/l1/{scene.name}", "--out", "/scratch/products", "--altitude", "200")
    done = run(*command)
    assert done.returncode == 0, done.stderr[-3000:]
    (product,) = (each for each in (scratch / "products").iterdir() if each.is_dir())
    item = json.loads((product / f"{product.name}.json").read_text(encoding="utf-8"))
    missing = [asset for asset in item["assets"].values() if not (product / asset["href"]).exists()]
    assert len(item["assets"]) > 5
    assert missing == []


def test_the_worker_runs_as_a_pod_asks_for_it_and_by_hand(run):
    by_hand = run("correct", "--help")
    as_a_pod = run("correct", "--help", options=("--entrypoint", "undersky"))
    assert by_hand.returncode == as_a_pod.returncode == 0
    assert by_hand.stdout == as_a_pod.stdout != ""


def test_the_worker_tells_how_it_ended_by_its_exit_code_and_a_sentence(run):
    done = run("ledger", "migrate")
    assert done.returncode == 2
    assert "UNDERSKY_LEDGER" in done.stderr


def test_the_worker_holds_no_compiler_no_installer_and_no_airflow(run):
    tools = "for tool in gcc cc g++ ld make pip uv airflow; do command -v $tool; done; true"
    assert run("-c", tools, options=("--entrypoint", "sh")).stdout == ""
    script = "import importlib.util as u; print([n for n in ('airflow', 'pip') if u.find_spec(n)])"
    assert run("-c", script, options=("--entrypoint", "/opt/undersky/bin/python")).stdout.strip() == "[]"


def test_the_worker_has_torch_and_every_library_it_needs(run):
    script = (
        "import torch, kornia, monai, rasterio, great_expectations, mlflow.server; print(torch.__version__)"
    )
    done = run("-W", "ignore", "-c", script, options=("--entrypoint", "/opt/undersky/bin/python"))
    assert done.stdout.startswith("2.13.0"), done.stderr[-3000:]


def test_the_worker_can_write_to_its_scratch_alone(run):
    script = "touch /scratch/x; for f in / /opt /etc; do touch $f/x 2>/dev/null && echo $f; done; id -u"
    assert run("-c", script, options=("--entrypoint", "sh")).stdout.split() == ["10001"]


@pytest.mark.parametrize("name", ["worker", "airflow", "onemachine"])
def test_an_image_says_what_it_is_and_that_it_is_nobody_special(name, program, request):
    from undersky import __version__

    image = request.getfixturevalue(name)
    labels = json.loads(program.inspect(image, "{{json .Config.Labels}}"))
    about = {key.rpartition(".")[2]: value for key, value in labels.items() if "opencontainers.image" in key}
    assert about["title"] == f"undersky-{name}"
    assert about["version"] == __version__
    assert (about["revision"], about["source"]) == ("abc123", "https://example.org/undersky")
    assert about["licenses"] == "Apache-2.0"
    assert program.inspect(image, "{{.Config.User}}").split(":")[0] in ("10001", "50000")


@pytest.fixture
def orchestrate(program: Builder, airflow: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The Airflow image with a database in memory; it may write to its logs and /tmp."""
    settings = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////tmp/airflow.db",
        "PYTHONWARNINGS": "ignore",
    }
    options = ("--tmpfs", "/tmp", "--tmpfs", "/opt/airflow/logs:mode=1777")
    return lambda *command: program.run(airflow, *command, options=options, environment=settings)


def test_the_airflow_image_parses_every_dag_without_an_error(orchestrate):
    script = "airflow db migrate >/dev/null 2>&1; airflow dags reserialize >/dev/null 2>&1; "
    script += "airflow dags list-import-errors -o json; echo; airflow dags list -o json"
    done = orchestrate("bash", "-c", script)
    assert done.returncode == 0, done.stderr[-3000:]
    errors, dags = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert errors == []
    assert {dag["dag_id"] for dag in dags} == {path.stem for path in (ROOT / "dags").glob("*.py")}


def test_the_airflow_image_loads_the_plugin_and_every_step_and_has_no_science(orchestrate):
    script = (
        "import importlib, importlib.util as u, pkgutil, undersky.flow, undersky.services, undersky_plugin\n"
        "for p in (undersky.flow, undersky.services):\n"
        "    for m in pkgutil.walk_packages(p.__path__, p.__name__ + '.'):\n"
        "        if '.migrations' not in m.name: importlib.import_module(m.name)\n"
        "science = ('torch', 'kornia', 'monai', 'rasterio', 'great_expectations', 'geopandas')\n"
        "print([n for n in science if u.find_spec(n)])"
    )
    done = orchestrate("bash", "-c", 'PYTHONPATH=/opt/airflow/plugins python -c "$0"', script)
    assert done.stdout.strip().endswith("[]"), done.stderr[-3000:]


def test_the_airflow_image_runs_our_command_too(program, airflow):
    done = program.run(airflow, "--version", options=("--entrypoint", "undersky"))
    assert done.returncode == 0, done.stderr[-3000:]


def test_one_machine_s_image_has_both_and_the_scheduler_finds_the_worker(program, onemachine):
    script = (
        'airflow version && $UNDERSKY_WORKER "$@" --out /scratch/l1 && /opt/undersky/bin/mlflow --version'
    )
    options = ("--tmpfs", "/tmp", "--volume", "/scratch")
    done = program.run(onemachine, "bash", "-c", script, "worker", *SCENE, options=options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "3.3.2" in done.stdout
    assert "/scratch/l1/LC09" in done.stdout
