"""The locks, the lists they come from and the package agree."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("runtime", "airflow", "dev")


def asked(name):
    """Distributions that a list names, lower case, without versions."""
    lines = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return {re.split(r"[\[<>=; ]", line)[0].lower() for line in lines if line and line[0] not in "#-"}


def locked(name):
    """Version by distribution and marker."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^ \n]+)(?: ; (.*))?$", text, flags=re.MULTILINE)
    return {(pin.lower(), marker): version for pin, version, marker in pins}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_no_path(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--find-links|file:", text)


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_asked_for_is_locked(name):
    assert asked(name) - {pin for pin, _ in locked(name)} == set()


@pytest.mark.parametrize("name", ["runtime", "airflow"])
def test_the_images_run_what_is_tested(name):
    tested = {pin: version for (pin, _), version in locked("dev").items()}
    versions = {version for (_, _), version in locked("dev").items()}
    assert all(pin in tested and version in versions for (pin, _), version in locked(name).items())


def test_the_package_depends_on_what_the_worker_s_list_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[\[<>=; ]", line)[0].lower() for line in project["dependencies"]}
    theirs = {"filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions", "setuptools"}
    theirs |= {"kornia-rs", "packaging"}
    assert named - {"torch", "kornia", "monai"} == asked("runtime") - theirs
