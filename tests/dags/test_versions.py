"""DAGs, plugin, package and Airflow go together, or the UI says which two do not."""

import ast
import json
import re
from pathlib import Path

import pytest

import undersky
from fixtures_airflow import ROOT, run_python
from undersky.errors import ConfigError
from undersky_airflow.versions import AIRFLOW, RELEASE, written_for

FILES = sorted((ROOT / "dags").glob("*.py"))

PROCESSED = """
import json, sys
from airflow.dag_processing.processor import DagFileParseRequest, _parse_file
import structlog
asked = DagFileParseRequest(file=sys.argv[1], bundle_path=sys.argv[2], bundle_name="dags")
done = _parse_file(asked, structlog.get_logger())
print(json.dumps({"dags": len(done.serialized_dags), "errors": done.import_errors}))
"""


def processed(file: Path) -> tuple[int, str]:
    """How many DAGs Airflow's own processor finds in a file, and what the UI shows as its import error."""
    argv = f"import sys; sys.argv = ['x', {str(file)!r}, {str(file.parent)!r}]\n"
    found = json.loads(run_python(argv + PROCESSED).output.splitlines()[-1])
    return found["dags"], " ".join(found["errors"].values())


def airflow_is(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str) -> None:
    """Another Airflow is the one that is installed."""
    there = folder / f"apache_airflow_core-{version}.dist-info"
    there.mkdir()
    (there / "METADATA").write_text(f"Metadata-Version: 2.1\nName: apache-airflow-core\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_plugin_and_package_are_of_one_release() -> None:
    assert undersky.__version__.startswith(f"{RELEASE}.")


def test_the_airflow_that_is_locked_is_the_one_that_is_supported() -> None:
    locked = (ROOT / "requirements" / "airflow.txt").read_text(encoding="utf-8")
    assert re.search(rf"^apache-airflow-core=={re.escape(AIRFLOW)}\.\d+", locked, re.MULTILINE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_dag_file_says_first_which_release_it_was_written_for(file: Path) -> None:
    _, imported, said, *_ = ast.parse(file.read_text(encoding="utf-8")).body
    assert ast.unparse(imported) == "from undersky_airflow.versions import written_for"
    assert ast.unparse(said) == f"__release__ = written_for('{RELEASE}')"


def test_what_belongs_together_passes() -> None:
    assert written_for(RELEASE) == RELEASE


def test_a_dag_of_another_release_is_an_import_error_that_names_both(tmp_path: Path) -> None:
    dag = (ROOT / "dags" / "surface_maps.py").read_text(encoding="utf-8")
    later = dag.replace(f'written_for("{RELEASE}")', 'written_for("0.9")')
    # What the later plugin calls otherwise would be an ImportError of its own, were it looked for first.
    later = later.replace("import surface_batch", "import surface_batch_of_0_9")
    (tmp_path / "surface_maps.py").write_text(later, encoding="utf-8")
    found, error = processed(tmp_path / "surface_maps.py")
    assert found == 0
    assert f"ConfigError: this DAG is of Undersky 0.9, the plugin is of {RELEASE}: " in error
    assert "surface_batch_of_0_9" not in error.splitlines()[-1]


def test_the_same_file_of_this_release_is_a_dag() -> None:
    assert processed(ROOT / "dags" / "surface_maps.py") == (1, "")


def test_a_package_of_another_release_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undersky, "__version__", "0.2.1")
    with pytest.raises(
        ConfigError, match=rf"plugin is of Undersky {RELEASE}, the package beside it is 0\.2\.1"
    ):
        written_for(RELEASE)


@pytest.mark.parametrize("version", ["3.2.1", "3.4.0", "3.30.0", "2.11.0"])
def test_an_airflow_that_nobody_tried_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    airflow_is(monkeypatch, tmp_path, version)
    with pytest.raises(ConfigError, match=rf"works with Airflow {AIRFLOW}, {version} is installed"):
        written_for(RELEASE)


def test_a_patch_of_the_airflow_that_is_known_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    airflow_is(monkeypatch, tmp_path, f"{AIRFLOW}.99")
    assert written_for(RELEASE) == RELEASE


def test_asking_loads_neither_airflow_nor_anything_of_the_field() -> None:
    code = """
import json, sys
from undersky_airflow.versions import written_for
written_for("%s")
ours = ("undersky", "airflow", "pydantic")
print(json.dumps(sorted(name for name in sys.modules if name.startswith(ours))))
"""
    loaded = run_python(code % RELEASE).result
    assert loaded == ["undersky", "undersky.errors", "undersky_airflow", "undersky_airflow.versions"]
