"""Holds the table of docs/architecture.md: which folder may import which, and who owns which library."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ml" / "undersky"

CORE = {
    "errors",
    "refs",
    "judgement",
    "tile_refs",
    "section",
    "bands",
    "quality",
    "grid",
    "scene",
    "tiles",
    "strict_yaml",
    "landcover",
}
CORE_MAY = {
    "errors": set(),
    "refs": set(),
    "judgement": {"refs"},
    "tile_refs": {"refs"},
    "tiles": {"errors"},
    "strict_yaml": set(),
    "section": {"errors"},
    "landcover": set(),
    "quality": set(),
    "bands": {"errors"},
    "grid": {"errors"},
    "scene": {"bands", "grid", "quality", "errors"},
}
MAY_IMPORT = {
    "sensors": set(),
    "atmosphere": set(),
    "raster": set(),
    "models": set(),
    "vectors": set(),
    "services": {"settings"},
    "stac": {"raster"},
    "synth": {"sensors", "atmosphere", "raster"},
    "validation": {"raster"},
    "labels": {"raster"},
    "pages": set(),
    "datasets": {"sensors", "atmosphere", "raster", "synth"},
    "inference": {"models", "atmosphere", "raster"},
    "evaluation": {"models", "datasets", "inference", "atmosphere", "raster"},
    "training": {"datasets", "models", "atmosphere", "evaluation", "inference"},
    "flow": {"services", "settings", "pages"},
    "batch": {"stages", "services", "settings", "sensors", "validation", "stac", "raster"},
    "release": {
        *("stages", "services", "settings", "models", "evaluation", "training", "datasets", "inference"),
        "batch",  # its scratch folders alone
    },
    "settings": set(),
    "log": set(),
    "stages": {
        *("sensors", "atmosphere", "raster", "models", "services", "stac", "synth", "validation"),
        *("vectors", "datasets", "inference", "evaluation", "training", "labels", "pages"),
    },
    "cli": {"stages", "flow", "batch", "release", "settings", "log", "services"},
    "__main__": {"cli"},
}
OWNERS = {
    "boto3": {"services"},
    "alembic": {"services"},
    "httpx": {"services"},
    "requests": {"services"},
    "rustac": {"services"},
    "sqlalchemy": {"services"},
    "mlflow": {"services"},
    "pystac_client": {"services"},
    "great_expectations": {"validation"},
    "geopandas": {"labels", "vectors"},
    "pyogrio": {"labels"},
    "pystac": {"stac"},
    "defusedxml": {"sensors"},
    "matplotlib": {"evaluation"},
    "torch": {"models", "datasets", "training", "inference", "evaluation", "atmosphere"},
    "monai": {"models", "training", "inference", "evaluation"},
    "kornia": {"models", "datasets", "training", "inference", "evaluation", "atmosphere"},
    "structlog": {"log"},
    "pydantic_settings": {"settings"},
}


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _room(module: Path) -> str:
    parts = module.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def _imports(module: Path) -> set[str]:
    """Dotted names of everything a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide the arrow"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _rooms_imported(module: Path) -> set[str]:
    return {name.split(".")[1] for name in _imports(module) if name.startswith("undersky.")} - {"__version__"}


@pytest.mark.parametrize("module", _modules(), ids=lambda m: str(m.relative_to(PACKAGE)))
def test_no_arrow_points_back(module: Path) -> None:
    room = _room(module)
    if room == "__init__":
        allowed: set[str] = set()
    elif room in CORE:
        allowed = CORE_MAY[room]
    else:
        allowed = MAY_IMPORT[room] | CORE | {room}
    assert _rooms_imported(module) <= allowed


@pytest.mark.parametrize("module", _modules(), ids=lambda m: str(m.relative_to(PACKAGE)))
def test_each_outside_library_has_its_owners(module: Path) -> None:
    room = _room(module)
    roots = {name.split(".")[0] for name in _imports(module)}
    strangers = {root for root in roots & OWNERS.keys() if room not in OWNERS[root]}
    assert not strangers, f"{room} imports {strangers}: their owners are elsewhere"


def test_stages_never_import_each_other() -> None:
    for module in sorted((PACKAGE / "stages").glob("*.py")):
        assert not any(name.startswith("undersky.stages") for name in _imports(module)), module.name


def test_only_settings_reads_the_environment() -> None:
    for module in _modules():
        reads = re.search(r"os\.environ|getenv", module.read_text(encoding="utf-8"))
        assert not reads or _room(module) == "settings", f"{module.name} reads the environment"


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    long = {m.name: n for m in _modules() if (n := len(m.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


def test_no_folder_is_named_after_a_kind_of_code() -> None:
    names = {part for module in _modules() for part in module.relative_to(PACKAGE).with_suffix("").parts}
    assert not names & {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("name", ["undersky.scene", "undersky.sensors", "undersky.cli"])
def test_importing_it_loads_nothing_heavy(name: str) -> None:
    heavy = "{'torch', 'matplotlib', 'mlflow', 'pandas'}"
    code = f"import sys, {name}; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
