"""One running stack for the whole session: real servers, real Airflow, a folder of its own."""

import os
from collections.abc import Iterator

import pytest
from onemachine.folder import Folder

from stack_world import World, running_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    before = {name: os.environ.pop(name) for name in ("UNDERSKY_SAMPLES",) if name in os.environ}
    folder = Folder.at(tmp_path_factory.mktemp("e2e") / "stack")
    with running_world(folder, purpose="the end-to-end tests") as world:
        yield world
    os.environ.update(before)


@pytest.fixture(autouse=True)
def credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the stack's account on the bucket."""
    for name, value in world.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
