import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from onemachine.folder import Folder
from onemachine.processes import MARK, Spawned, clean_up, in_session, members, spawn, tail

SLEEPER = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"]
FAMILY = """
import subprocess, sys, time
sleep = [sys.executable, '-c', 'import time; time.sleep(60)']
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True)
print('begun', flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('begun', flush=True)
time.sleep(60)
"""


def environment(folder: Folder) -> dict[str, str]:
    return {**os.environ, MARK: folder.secrets().stack}


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


Start = Callable[..., psutil.Process]


@pytest.fixture
def start() -> Iterator[Start]:
    spawned: list[Spawned] = []

    def begin(
        folder: Folder, name: str, command: list[str], env: dict[str, str] | None = None
    ) -> psutil.Process:
        begun = spawn(name, command, folder=folder, environment=env or environment(folder))
        spawned.append(begun)
        until(lambda: b"begun" in begun.log.read_bytes())
        return psutil.Process(begun.process.pid)

    yield begin
    for each in spawned:
        each.process.kill()
        each.process.wait()


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_component_leads_a_session_and_is_noted_with_its_start(folder: Folder, start: Start) -> None:
    process = start(folder, "one", SLEEPER)
    note = json.loads((folder.pids / "one.json").read_text())
    assert os.getsid(process.pid) == process.pid
    assert note == {"name": "one", "pid": process.pid, "started": process.create_time()}
    assert [found.pid for found in in_session(process.pid)] == [process.pid]


def test_all_descendants_are_found_even_those_that_left_the_session(folder: Folder, start: Start) -> None:
    parent = start(folder, "family", [sys.executable, "-c", FAMILY])
    family = {parent.pid, *(child.pid for child in parent.children())}
    assert len(family) == 3
    assert {found.pid for found in members(folder, mark=folder.secrets().stack)} == family
    parent.kill()
    until(lambda: not alive(parent))
    assert {found.pid for found in members(folder, mark=folder.secrets().stack)} == family - {parent.pid}


def test_cleaning_up_ends_the_whole_family_and_nobody_else(folder: Folder, start: Start) -> None:
    stranger = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
    other = Folder.at(folder.path.parent / "other")
    neighbour = start(other, "one", SLEEPER)
    parent = start(folder, "family", [sys.executable, "-c", FAMILY])
    family = [parent, *parent.children()]
    try:
        ended = clean_up(folder, mark=folder.secrets().stack)
        assert len(ended) == 3
        assert not any(alive(process) for process in family)
        assert stranger.poll() is None
        assert alive(neighbour)
        assert not list(folder.pids.glob("*.json"))
    finally:
        stranger.kill()
        stranger.wait()
        clean_up(other, mark=other.secrets().stack)
    assert clean_up(folder, mark=folder.secrets().stack) == []


def test_one_that_ignores_the_request_is_killed(folder: Folder, start: Start) -> None:
    process = start(folder, "stubborn", [sys.executable, "-c", STUBBORN])
    began = time.monotonic()
    clean_up(folder, mark=folder.secrets().stack, patience_s=0.5)
    assert not alive(process)
    assert time.monotonic() - began < 30


def test_a_member_that_hides_its_mark_is_found_by_its_session(folder: Folder, start: Start) -> None:
    """Servers that set their title overwrite the environment that others see."""
    bare = {name: value for name, value in os.environ.items() if name != MARK}
    process = start(folder, "bare", SLEEPER, bare)
    assert [found.pid for found in members(folder, mark=folder.secrets().stack)] == [process.pid]


def test_a_number_that_another_process_has_by_now_is_left_alone(folder: Folder) -> None:
    stranger = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL, start_new_session=True)
    born = psutil.Process(stranger.pid).create_time()
    note = {"name": "old", "pid": stranger.pid, "started": born - 3600}
    (folder.pids / "old.json").write_text(json.dumps(note))
    (folder.pids / "torn.json").write_text('{"pid": ')
    try:
        assert clean_up(folder, mark=folder.secrets().stack) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_the_tail_is_that_of_the_last_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("--- started 1\nold\n--- started 2\nfirst\n\nsecond\nthird\n")
    assert tail(log, lines=2) == "    second\n    third"
    assert tail(log) == "    first\n    second\n    third"
    log.write_text("--- started 1\n")
    assert tail(log) == "    (it said nothing)"
    assert tail(tmp_path / "none") == "    (no log)"


def test_output_of_children_lands_in_the_log(folder: Folder) -> None:
    spawned = spawn(
        "loud", ["sh", "-c", "echo out; echo err >&2"], folder=folder, environment=environment(folder)
    )
    spawned.process.wait()
    assert tail(spawned.log) == "    out\n    err"
