"""The toy task is known to every test here."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from toy import TOY  # the table knows the toy from now on

from undersky.training.recipe import read_recipe


@pytest.fixture
def write(tmp_path):
    """Writes a recipe of the toy, some keys other than usual, and gives its path."""

    def written(**changes):
        path = tmp_path / "toy.yaml"
        path.write_text("\n".join(f"{key}: {value}" for key, value in (TOY | changes).items()))
        return path

    return written


@pytest.fixture
def recipe(write):
    """Reads such a recipe."""
    return lambda **changes: read_recipe(write(**changes))
