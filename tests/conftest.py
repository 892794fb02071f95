"""What every test may ask for."""

import os
import sys
from pathlib import Path

import pytest

from undersky.settings import one_thread_a_library

sys.path.insert(0, str(Path(__file__).parent))
from fixtures_archive import archive  # noqa: F401  fixtures of every test
from fixtures_ledger import empty_url, ledger, ledger_database, ledger_url, postgres  # noqa: F401  likewise
from fixtures_registry import registry, registry_server  # noqa: F401  likewise
from fixtures_store import S3Server, store, weed, weed_server  # noqa: F401  fixtures of every test
from fixtures_transfer import transfers  # noqa: F401  likewise
from fixtures_upstream import upstream  # noqa: F401  fixtures of every test

one_thread_a_library()

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real scenes; a test that asks for it is skipped, and says so, where it is absent."""
    folder = Path(os.environ.get("UNDERSKY_SAMPLES", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scenes at {folder}: set UNDERSKY_SAMPLES to the folder that holds them")
    return folder
