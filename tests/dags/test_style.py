"""A DAG file reads like the sentence it automates: STYLE's rules, on the syntax tree."""

import ast
from pathlib import Path

import pytest

from fixtures_airflow import ROOT

FILES = sorted((ROOT / "dags").glob("*.py"))
MAY_IMPORT = {"airflow.sdk", "undersky_airflow", "datetime"}
NO_IO = {"open", "print", "input", "exec", "eval"}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@each_file
def test_it_imports_airflow_sdk_and_our_plugin_alone(file: Path) -> None:
    names = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module if node.module == "airflow.sdk" else str(node.module).split(".")[0])
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    assert names <= MAY_IMPORT


@each_file
def test_it_has_fewer_than_a_hundred_lines(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) < 100


@each_file
def test_nothing_in_it_branches_loops_or_reads(file: Path) -> None:
    branches = (ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.With, ast.Match, ast.ListComp)
    for node in ast.walk(_tree(file)):
        assert not isinstance(node, branches), f"line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in NO_IO
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "utcnow", "environ", "getenv"}


@each_file
def test_its_function_has_its_name_and_its_docstring_is_shown(file: Path) -> None:
    tree = _tree(file)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions == [file.stem]
    assert len(ast.get_docstring(tree) or "") > 400
    assert "doc_md=__doc__" in file.read_text(encoding="utf-8")


CORE = {"refs", "tile_refs", "errors", "settings", "judgement"}


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda file: file.stem)
def test_plugins_hold_no_rule_of_the_field(file: Path) -> None:
    """Core values at the top; services and flow within functions, when a task runs; stages never."""
    tree = _tree(file)
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not str(node.module).startswith("undersky."):
            continue
        room = str(node.module).split(".")[1]
        core = room in CORE
        later = room in {"flow", "services"} and id(node) not in top
        assert core or later, f"{file.name}:{node.lineno} imports {node.module}"
        assert id(node) not in guarded or room in {"flow", "services", *CORE}


def test_only_the_files_of_pods_know_kubernetes() -> None:
    knows = {
        file.stem
        for file in (ROOT / "plugins").rglob("*.py")
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.ImportFrom) and "kubernetes" in str(node.module)
    }
    assert knows == {"pods", "pod_spec", "pod_watch"}


def test_only_the_runner_and_the_child_look_at_the_environment() -> None:
    readers = {
        file.stem
        for file in (ROOT / "plugins").rglob("*.py")
        if "os.environ" in file.read_text(encoding="utf-8")
    }
    assert readers == {"runners"}


def test_airflow_executes_no_file_of_the_package_by_its_bare_name() -> None:
    # The form `undersky_airflow/` without the leading slash is ignored silently.
    assert (ROOT / "plugins" / ".airflowignore").read_text(encoding="utf-8") == "/undersky_airflow/\n"
