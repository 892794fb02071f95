"""One running stack for the whole session: real servers, real Airflow, a folder of its own."""

import os
from collections.abc import Iterator

import pytest
from onemachine.airflow import api
from onemachine.folder import Folder
from onemachine.stack import running
from showcase.flow import Flow

from stack_world import World, add_areas, model
from undersky.services.ledger import Ledger


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    before = {name: os.environ.pop(name) for name in ("UNDERSKY_SAMPLES",) if name in os.environ}
    folder = Folder.at(tmp_path_factory.mktemp("e2e") / "stack")
    with running(folder, purpose="the end-to-end tests", say=print, more=model) as stack:
        stack.supervisor.wait_for([component.name for component in stack.supervisor.components])
        ledger = Ledger.open(stack.environment["UNDERSKY_LEDGER"])
        add_areas(ledger)
        world = World(stack, ledger, Flow(stack, api(stack.site), ledger))
        world.flow.unpause()
        yield world
        ledger.close()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the stack's account on the bucket."""
    for name, value in world.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
