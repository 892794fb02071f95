"""What the Dockerfiles say, and that the plugin needs no more than the Airflow image holds."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from onemachine.component import ROOT

DOCKERFILES = ("worker", "airflow")
LABELS = ("title", "description", "licenses", "version", "revision", "source")
each_dockerfile = pytest.mark.parametrize("name", DOCKERFILES)


@dataclass(slots=True)
class BuildStage:
    """One `FROM` and what follows."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    """Instruction and what it says, lines joined."""

    def said(self, instruction: str) -> list[str]:
        return [text for word, text in self.steps if word == instruction]


def dockerfile(name: str) -> Path:
    return ROOT / "docker" / f"{name}.Dockerfile"


def stages(name: str) -> dict[str, BuildStage]:
    """By name, in the order of the file."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile(name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, BuildStage] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, alias = rest.partition(" AS ")
            found[alias] = BuildStage(base, alias)
        elif word and found:
            list(found.values())[-1].steps.append((word, rest))
    return found


def lineage(name: str, stage: str) -> list[BuildStage]:
    """The stage and those it is made from, the first one first: all of them end in the image."""
    by_name = stages(name)
    line = [by_name[stage]]
    while line[0].base in by_name:
        line.insert(0, by_name[line[0].base])
    return line


def steps(name: str, stage: str) -> list[tuple[str, str]]:
    return [step for each in lineage(name, stage) for step in each.steps]


ENDS = [("worker", "worker"), ("airflow", "airflow"), ("airflow", "onemachine")]
each_image = pytest.mark.parametrize(("name", "stage"), ENDS)


@each_dockerfile
def test_hadolint_finds_nothing(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, dockerfile(name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each_dockerfile
def test_hadolint_is_told_to_overlook_no_more_than_has_a_reason(name: str) -> None:
    lines = dockerfile(name).read_text(encoding="utf-8").splitlines()
    overlooked = {
        rule
        for line in lines
        if line.startswith("# hadolint ignore=")
        for rule in line.partition("=")[2].split(",")
    }
    # DL3008: Debian keeps no old versions to pin. SC2086: options that are meant to be split at spaces.
    # DL3042: pip's cache is a mount. hadolint calls it no pip where the tools' own path stands before it.
    assert overlooked <= {"DL3008", "SC2086", "DL3042"}
    assert "DL3008" in overlooked


@each_dockerfile
def test_the_last_stage_is_what_is_built_when_none_is_named(name: str) -> None:
    assert list(stages(name))[-1] == name


@each_dockerfile
def test_a_base_is_named_by_version_and_can_be_pinned_by_digest(name: str) -> None:
    text = dockerfile(name).read_text(encoding="utf-8")
    version = re.search(r"^ARG BASE_VERSION=(\S+)$", text, flags=re.MULTILINE)
    assert version is not None
    assert re.search(r"\d+\.\d+", version[1])
    assert re.search(r"^ARG BASE_DIGEST=$", text, flags=re.MULTILINE)
    outside = {stage.base for stage in stages(name).values()} - set(stages(name)) - {"scratch"}
    assert outside == {"${BASE}:${BASE_VERSION}${BASE_DIGEST:+@${BASE_DIGEST}}"}


def test_airflow_s_base_is_the_version_of_the_lock() -> None:
    text = dockerfile("airflow").read_text(encoding="utf-8")
    lock = (ROOT / "requirements" / "airflow.txt").read_text(encoding="utf-8")
    version = re.search(r"^apache-airflow==(\S+)$", lock, flags=re.MULTILINE)
    assert version is not None
    assert f"ARG BASE_VERSION=slim-{version[1]}-python3.11\n" in text


@each_image
def test_nobody_is_root_in_the_end(name: str, stage: str) -> None:
    users = [text for word, text in steps(name, stage) if word == "USER"]
    assert users[-1] in ("10001:10001", "50000")


@each_image
def test_an_image_says_what_it_is(name: str, stage: str) -> None:
    from undersky import __version__

    labels = " ".join(text for word, text in steps(name, stage) if word == "LABEL")
    assert [one for one in LABELS if f"org.opencontainers.image.{one}=" not in labels] == []
    assert ("ARG", f"VERSION={__version__}") in steps(name, stage)


@each_image
def test_no_compiler_and_no_headers_get_into_an_image(name: str, stage: str) -> None:
    installed = " ".join(text for word, text in steps(name, stage) if word == "RUN" and "apt-get" in text)
    assert not re.search(r"\b(gcc|g\+\+|gfortran|make|build-essential|\w+-dev)\b", installed)


@each_dockerfile
def test_packages_come_from_the_locks_as_wheels_and_through_a_cache(name: str) -> None:
    installs = [
        text
        for stage in stages(name).values()
        for text in stage.said("RUN")
        if "pip install" in text and "--requirement" in text
    ]
    assert installs
    for text in installs:
        assert re.search(r"--requirement (\S*/)?(runtime|airflow)\.txt", text)
        assert re.search(r"--no-build |--only-binary :all: ", text)
        assert "--mount=type=cache" in text


@each_dockerfile
def test_undersky_itself_is_a_wheel_and_brings_no_need_of_its_own(name: str) -> None:
    ours = [
        text
        for stage in stages(name).values()
        for text in stage.said("RUN")
        if "pip install" in text and ".whl" in text
    ]
    ours = [text for text in ours if "find-links" not in text]
    assert ours
    assert all("--no-deps" in text and "--editable" not in text for text in ours)


@each_dockerfile
def test_torch_is_that_of_the_makefile(name: str) -> None:
    made = re.search(r"^TORCH := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert made is not None
    assert f'ARG TORCH="{made[1]}"' in dockerfile(name).read_text(encoding="utf-8")


def test_airflow_s_image_never_asks_for_torch() -> None:
    assert not any("$TORCH" in text for _, text in steps("airflow", "airflow"))


@each_dockerfile
def test_no_heredoc_keeps_an_older_buildah_from_building(name: str) -> None:
    assert "<<" not in dockerfile(name).read_text(encoding="utf-8")


def context() -> set[str]:
    """First parts of what `.dockerignore` lets in."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if line and not line.startswith("#")) == "*"
    return {line[1:].split("/")[0] for line in lines if line.startswith("!")}


def test_the_builder_gets_what_is_copied_and_nothing_else() -> None:
    copied = {
        source.split("/")[0]
        for name in DOCKERFILES
        for stage in stages(name).values()
        for text in stage.said("COPY")
        if "--from" not in text
        for source in [word for word in text.split() if not word.startswith("--")][:-1]
    }
    assert context() == copied


@each_dockerfile
def test_no_image_names_a_machine_or_an_index_of_its_maker(name: str) -> None:
    text = dockerfile(name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|--(extra-|default-)?index|--trusted-host", text)


def test_the_plugin_s_steps_load_where_only_airflow_s_lock_is(lean: Path) -> None:
    """Every module of the flow and of the services, and the plugin itself, without science."""
    script = """
import importlib, pkgutil, sys
names = ["undersky.cli", "undersky_airflow", "undersky_plugin"]
for package in ("undersky.flow", "undersky.services", "undersky_airflow"):
    found = importlib.import_module(package)
    names += [module.name for module in pkgutil.walk_packages(found.__path__, f"{package}.")]
for name in names:
    if not name.startswith("undersky.services.ledger.migrations"):
        importlib.import_module(name)
science = {"torch", "rasterio", "great_expectations", "kornia", "monai", "geopandas"}
there = [name for name in science if importlib.util.find_spec(name)]
print(len(names), sorted(science & set(sys.modules)), there)
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'ml'}:{ROOT / 'plugins'}", "AIRFLOW_HOME": str(lean)}
    environment.pop("PYTHONPYCACHEPREFIX", None)  # the packages are links: they are compiled where they lie
    command = [lean / "bin" / "python", "-W", "ignore", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    count, loaded = done.stdout.splitlines()[-1].split(" ", 1)
    assert int(count) > 70
    assert loaded == "[] []"


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with those packages of this one that `requirements/airflow.txt` names, and no other."""
    folder = tmp_path_factory.mktemp("lean") / "venv"
    python = sys.executable
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for path in _files_of_the_lock():
        link = site / path.name
        if not link.exists():
            link.symlink_to(path)
    yield folder
    shutil.rmtree(folder)


def _files_of_the_lock() -> set[Path]:
    """Top entries in site-packages of all distributions that the lock names; namespace folders are shared."""
    from importlib.metadata import distributions

    lock = (ROOT / "requirements" / "airflow.txt").read_text(encoding="utf-8")
    wanted = {_plain(name) for name in re.findall(r"^([\w.-]+)==", lock, flags=re.MULTILINE)}
    tops = set()
    for distribution in distributions():
        if _plain(distribution.name) in wanted:
            tops |= {
                Path(str(distribution.locate_file(file.parts[0])))
                for file in distribution.files or []
                if file.parts[0] not in ("..", "__pycache__")
            }
    return {top for top in tops if top.exists()}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
