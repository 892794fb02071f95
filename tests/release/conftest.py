"""Lets the tests here import `orders`, and the toy of the trainings; one thread, for the arrays are small."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
sys.path.insert(0, str(Path(__file__).parent))
from orders import Works

from undersky.services.store import Store
from undersky.settings import Settings

torch.set_num_threads(1)


@pytest.fixture
def works(store: Store, tmp_path: Path) -> Works:
    """Nothing is made yet; there is no registry."""
    return Works(store, Settings(scratch=tmp_path / "scratch", threads=1, registry=None, samples=None))
