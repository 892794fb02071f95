"""What every test may ask for."""

import os
from pathlib import Path

import pytest

from undersky.settings import one_thread_a_library

one_thread_a_library()

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real scenes; a test that asks for it is skipped, and says so, where it is absent."""
    folder = Path(os.environ.get("UNDERSKY_SAMPLES", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scenes at {folder}: set UNDERSKY_SAMPLES to the folder that holds them")
    return folder
