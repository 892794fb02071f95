import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from onemachine.folder import Folder
from onemachine.processes import clean_up

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder.at(tmp_path / "stack")
    yield made
    clean_up(made, mark=made.secrets().stack, patience_s=0.5)
