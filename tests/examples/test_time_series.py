"""The notebook runs on products that the commands it names have made."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from undersky.cli import main

NOTEBOOK = Path(__file__).parents[2] / "examples" / "time_series.ipynb"
SCENES = [("S2B", "2025-04-10"), ("S2B", "2025-07-24"), ("L9", "2025-06-30")]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """Products of one place on three days, made by the command line."""
    folder = tmp_path_factory.mktemp("season")
    for sensor, day in SCENES:
        ground = ["--seed", "3", "--theme", "fields", "--size", "1800", "--clouds", "5"]
        made = main(["simulate", "--sensor", sensor, "--date", day, *ground, "--out", str(folder / "scenes")])
        assert made == 0
    for scene in sorted((folder / "scenes").iterdir()):
        if scene.suffix != ".truth":
            assert main(["correct", str(scene), "--out", str(folder / "products")]) == 0
    return folder / "products"


@pytest.fixture(scope="module")
def printed(season, tmp_path_factory):
    """Everything the executed notebook printed."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    before = os.environ.get("UNDERSKY_PRODUCTS")
    os.environ["UNDERSKY_PRODUCTS"] = str(season)
    try:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(season)}}).execute()
    finally:
        os.environ.pop("UNDERSKY_PRODUCTS")
        if before is not None:
            os.environ["UNDERSKY_PRODUCTS"] = before
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "the notebook drew no figure"
    return "".join(output.get("text", "") for output in outputs)


def test_every_product_on_disk_is_one_point_with_an_error_bar(printed):
    days = re.findall(r"^(2025-\d\d-\d\d)  NDVI -?\d\.\d{3} \+- \d\.\d{3}", printed, flags=re.MULTILINE)
    assert days == ["2025-04-10", "2025-06-30", "2025-07-24"]


def test_fields_are_greener_in_july_than_in_early_april(printed):
    value = dict(re.findall(r"^(2025-\d\d-\d\d)  NDVI (-?\d\.\d{3})", printed, flags=re.MULTILINE))
    assert float(value["2025-07-24"]) > float(value["2025-04-10"])


def test_the_error_bars_are_neither_nothing_nor_everything(printed):
    bars = [float(bar) for bar in re.findall(r"\+- (\d\.\d{3})", printed)]
    assert all(0.0 < bar < 0.5 for bar in bars)
