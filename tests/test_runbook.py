"""The runbook knows every code that the system gives, no other, and its commands are real ones.

A reason is whatever reaches a parameter, a field or a variable called `reason`; those of expectations and of
enumerations are asked of the code itself.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from undersky.batch.driver import Trouble
from undersky.cli.parser import make_parser
from undersky.errors import Reason, ServiceError
from undersky.flow.doctor import LOOKS
from undersky.judgement import GateOutcome
from undersky.scene import Finding
from undersky.services.ledger import AcquisitionState, CampaignState, ProductState
from undersky.validation.judge import RULES
from undersky_airflow.endings import PodEnding

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "ml" / "undersky"

UPSTREAM = ("services/granules.py", "services/scene_names.py", "services/item_files.py", "services/access.py")
"""Modules that say why something upstream is not wanted."""
NO_ROW = "flow/absent.py"
"""Says why the ledger has no row."""

_CODE = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"`(undersky [^`]+)`|^(undersky [^\n]+)$", re.MULTILINE)


def sections() -> dict[str, list[list[str]]]:
    """Heading of the second order to the rows of its tables, without their heads."""
    found: dict[str, list[list[str]]] = {}
    for part in PAGE.split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table_lines(body)]
        found[title] = rows
    return found


def table_lines(body: str) -> Iterator[str]:
    """Lines of tables below their rule."""
    below = False
    for line in body.splitlines():
        below = line.startswith("|") and (below or line.startswith("|---"))
        if below and not line.startswith("|---"):
            yield line


def explained(section: str) -> list[str]:
    """Codes in the first cells of a section's tables, as often as they stand there."""
    return [code for row in sections()[section] for code in _CODE.findall(row[0])]


def modules() -> dict[str, ast.Module]:
    """Path below the package to the syntax tree of each module."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def doors(tree: ast.Module) -> dict[str, int]:
    """Functions and classes that take a `reason`, and the position at which they do."""
    found = {}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.FunctionDef):
            names = [each.arg for each in node.args.args if each.arg not in ("self", "cls")]
        elif isinstance(node, ast.ClassDef):
            start = [
                each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"
            ]
            fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
            names = [each.arg for each in start[0].args.args[1:]] if start else []
            names = names or [field.id for field in fields if isinstance(field, ast.Name)]
        if "reason" in names:
            found[node.name] = names.index("reason")
    return found


def said(tree: ast.Module, everywhere: dict[str, int]) -> set[str]:
    """Literals that reach a `reason` in a module, also by way of a constant or either side of an `if`."""
    known = everywhere | doors(tree)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def literals(node: ast.expr) -> set[str]:
        if isinstance(node, ast.Name) and node.id in constants:
            node = constants[node.id]
        if isinstance(node, ast.IfExp):
            return literals(node.body) | literals(node.orelse)
        return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()

    return {code for node in ast.walk(tree) for each in reasons_in(node, known) for code in literals(each)}


def reasons_in(node: ast.AST, known: dict[str, int]) -> Iterator[ast.expr]:
    """Expressions that become a reason in one node of the tree."""
    match node:
        case ast.Call():
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            yield from node.args[known[name] : known[name] + 1] if name in known else ()
            yield from (each.value for each in node.keywords if each.arg == "reason")
        case ast.Assign():
            if any(getattr(each, "attr", getattr(each, "id", None)) == "reason" for each in node.targets):
                yield node.value
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            yield from (value for key, value in pairs if getattr(key, "value", None) == "reason")


@cache
def collected() -> dict[str, set[str]]:
    """Module to the reasons that it gives."""
    trees = modules()
    everywhere = {name: at for tree in trees.values() for name, at in doors(tree).items()}
    return {name: said(tree, everywhere) for name, tree in trees.items()}


def reasons() -> set[str]:
    """Every reason of a scene, a product or a tile."""
    spoken = {
        code for name, codes in collected().items() if name not in (*UPSTREAM, NO_ROW) for code in codes
    }
    rules = {rule.code for suite in RULES.values() for rule in suite}
    # A file that leads astray is refused at its download too, as what its search would have said.
    return spoken | rules | {*map(str, Reason), *map(str, Trouble)} | {"hostile_href"}


def test_every_reason_of_a_scene_or_product_is_explained_once_and_none_that_is_gone() -> None:
    assert sorted(explained("Reasons")) == sorted(reasons())


def test_every_reason_of_something_upstream_is_explained() -> None:
    found = {code for name in UPSTREAM for code in collected()[name]}
    assert sorted(explained("Rejected by a search")) == sorted(found)


def test_every_answer_without_a_row_is_explained() -> None:
    assert sorted(explained("No row")) == sorted(collected()[NO_ROW])


def test_every_state_is_explained() -> None:
    reported = {"given_back", "lost", "retry", "emptied"}
    kept = {str(state) for kind in (AcquisitionState, ProductState, CampaignState) for state in kind}
    assert sorted(explained("States")) == sorted(kept | reported)


def test_every_note_of_a_reader_is_explained() -> None:
    assert sorted(explained("Notes of a reader")) == sorted(map(str, Finding))


def test_every_outcome_of_the_gate_every_check_and_every_end_of_a_pod_is_explained() -> None:
    assert sorted(explained("The gate")) == sorted(map(str, GateOutcome))
    assert explained("The doctor") == [name for name, _ in LOOKS]
    assert sorted(explained("The end of a pod")) == sorted(map(str, PodEnding))


def test_every_exit_code_is_explained() -> None:
    assert explained("The end of a task")[:6] == ["0", "1", "2", "3", "4", str(ServiceError.exit_code)]


def test_the_collector_finds_what_is_written_in_each_way() -> None:
    tree = ast.parse(
        "LATE = 'late_code'\n"
        "class Why:\n    reason: str\n    sentence: str = ''\n"
        "def gave(ref, reason): ...\n"
        "class Bad(Exception):\n    reason = 'as_class'\n"
        "Why('by_class', 'x'); self.gave(ref, LATE); f(reason='by_keyword')\n"
        "gave(ref, 'left' if x else 'right'); update({'reason': 'by_dict', 'other': 'no'})\n"
        "gave('not_this', outcome.reason)\n"
    )
    assert said(tree, {}) == {
        *("late_code", "as_class", "by_class", "by_keyword", "left", "right", "by_dict")
    }


@pytest.mark.parametrize("section", sorted(sections()))
def test_every_code_has_a_meaning_and_something_to_do(section: str) -> None:
    for row in sections()[section]:
        assert len(row) == 3, f"{section}: {row[0]}"
        assert all(row), f"{section}: {row[0]} says nothing"


def commands() -> list[str]:
    return sorted({one or other for one, other in _COMMAND.findall(PAGE)})


@pytest.mark.parametrize("command", commands())
def test_every_command_on_the_page_is_a_verb_with_options_that_exist(command: str) -> None:
    _, *words = shlex.split(command)
    try:
        arguments = make_parser().parse_args(words)
    except SystemExit:
        pytest.fail(f"`{command}` is refused by the command line")
    assert callable(arguments.verb)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(#([^)]+)\)", PAGE))))
def test_every_link_leads_to_a_heading_of_the_page(link: str) -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    assert link in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"docs/[a-z-]+\.md", PAGE))))
def test_every_page_that_it_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"UNDERSKY_[A-Z0-9_]+", PAGE))))
def test_every_setting_that_it_names_is_one(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
