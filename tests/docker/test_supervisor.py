import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from onemachine.component import Component
from onemachine.folder import Folder, StackError
from onemachine.processes import MARK, members
from onemachine.supervisor import Supervisor

DOCKER = Path(__file__).parents[2] / "docker"
SERVER = "import pathlib, time; pathlib.Path({file!r}).touch(); print('serving', flush=True); time.sleep(60)"

SUPERVISED = """
import os, sys
sys.path.insert(0, {docker!r})
from pathlib import Path
from onemachine.component import Component
from onemachine.folder import Folder
from onemachine.processes import MARK
from onemachine.supervisor import Supervisor, ends_by_signal, watched
folder = Folder.at(Path({folder!r}))
mark = folder.secrets().stack
code = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.{term}); " \\
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); " \\
    "time.sleep(60)"
environment = {{**os.environ, MARK: mark}}
one = Component("one", (sys.executable, "-c", code), environment, waits_for=lambda: None, stop_s=1)
with folder.locked("a test") as lock, ends_by_signal(), watched(folder, lock=lock):
    supervisor = Supervisor(folder, mark, {{}}, [one], lambda line: None)
    try:
        supervisor.start()
        print("up", flush=True)
        import time
        while True:
            time.sleep(0.1)
    finally:
        supervisor.stop()
"""


class Site:
    """Components that are small Python programs, and the sentences that were said."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.mark = folder.secrets().stack
        self.said: list[str] = []

    def server(self, name: str, code: str | None = None, **properties: object) -> Component:
        file = self.folder.path / f"{name}.there"
        command = (sys.executable, "-c", code or SERVER.format(file=str(file)))
        waits_for = properties.pop("waits_for", lambda: None if file.exists() else "no file yet")
        return Component(name, command, {**os.environ, MARK: self.mark}, waits_for=waits_for, **properties)

    def supervisor(self, *components: Component) -> Supervisor:
        return Supervisor(self.folder, self.mark, {"one": 1}, components, self.said.append)

    def alive(self) -> list[psutil.Process]:
        return members(self.folder, mark=self.mark)


@pytest.fixture
def site(folder: Folder) -> Site:
    return Site(folder)


@pytest.fixture
def supervised(folder: Folder) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running = []

    def begin(term: str = "SIG_DFL") -> subprocess.Popen[str]:
        code = SUPERVISED.format(docker=str(DOCKER), folder=str(folder.path), term=term)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        while process.stdout.readline() != "up\n":
            assert process.poll() is None
        until(lambda: len(members(folder, mark=folder.secrets().stack)) == 2)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_each_starts_when_what_it_needs_is_ready_and_is_told(site: Site) -> None:
    order: list[str] = []
    note = lambda name: lambda: order.append(name)  # noqa: E731  a word for each hook
    second = site.server("second", needs=("first",), prepare=note("prepare second"))
    first = site.server("first", prepare=note("prepare first"), afterwards=note("after first"))
    supervisor = site.supervisor(second, first)
    supervisor.start()
    assert order == ["prepare first", "after first", "prepare second"]
    assert [line.split()[0] for line in site.said] == ["first", "second"]
    assert len(site.alive()) == 2
    assert supervisor.memory_mb() > 1
    supervisor.stop()
    assert site.alive() == []


def test_one_that_dies_while_starting_is_named_with_the_end_of_its_log(site: Site) -> None:
    broken = site.server("broken", "print('no room on the table'); raise SystemExit(7)")
    supervisor = site.supervisor(broken, site.server("other"))
    with pytest.raises(
        StackError, match=r"(?s)broken ended with 7; its log .*broken\.log ends with.*no room on"
    ):
        supervisor.start()
    supervisor.stop()
    assert site.alive() == []


def test_one_that_dies_later_is_named_and_how(site: Site) -> None:
    supervisor = site.supervisor(site.server("one"), site.server("two"))
    supervisor.start()
    supervisor.check()
    os.kill(supervisor.running["two"].process.pid, signal.SIGKILL)
    supervisor.running["two"].process.wait()
    with pytest.raises(StackError, match=r"(?s)two was killed by SIGKILL; its log .*serving"):
        supervisor.check()
    supervisor.stop()


def test_one_that_never_gets_ready_says_what_it_waits_for(site: Site) -> None:
    slow = site.server("slow", waits_for=lambda: "the moon", patience_s=0.6)
    supervisor = site.supervisor(slow, site.server("needy", needs=("slow",)))
    with pytest.raises(StackError, match=r"(?s)slow is not ready after 1 s: the moon; its log .*serving"):
        supervisor.start()
    supervisor.stop()
    assert site.alive() == []


def test_a_preparation_that_fails_stops_the_start(site: Site) -> None:
    def fail() -> None:
        raise StackError("the table could not be laid")

    supervisor = site.supervisor(site.server("one", prepare=fail))
    with pytest.raises(StackError, match="could not be laid"):
        supervisor.start()
    supervisor.stop()


def test_a_defect_of_our_own_is_not_swallowed_by_the_thread(site: Site) -> None:
    supervisor = site.supervisor(site.server("one", prepare=lambda: 1 / 0))
    with pytest.raises(StackError, match="one could not be started: ZeroDivisionError"):
        supervisor.start()
    supervisor.stop()


def test_a_port_that_was_taken_meanwhile_is_said_before_the_server_trips_over_it(site: Site) -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        supervisor = site.supervisor(site.server("one", port="one"))
        supervisor.ports = {"one": server.getsockname()[1]}
        with pytest.raises(StackError, match=r"one needs port .* just taken by process"):
            supervisor.start()
    supervisor.stop()


def test_a_killed_component_runs_anew_after_a_restart(site: Site) -> None:
    supervisor = site.supervisor(site.server("one"))
    supervisor.start()
    old = supervisor.running["one"].process.pid
    os.kill(old, signal.SIGKILL)
    supervisor.restart("one")
    supervisor.check()
    assert supervisor.running["one"].process.pid != old
    assert [process.pid for process in site.alive()] == [supervisor.running["one"].process.pid]
    supervisor.stop()


def test_those_that_others_lean_on_stop_last(site: Site) -> None:
    log = site.folder.path / "ends"
    code = (
        "import signal, sys, time\ndef end(*_):\n    open({log!r}, 'a').write('{name} ')\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('begun', flush=True)\ntime.sleep(60)"
    )

    def component(name: str, **properties: object) -> Component:
        said = site.folder.logs / f"{name}.log"
        return site.server(
            name,
            code.format(log=str(log), name=name),
            waits_for=lambda: None if b"begun" in said.read_bytes() else "not yet",
            **properties,
        )

    supervisor = site.supervisor(component("database", stops_last=True), component("user"))
    supervisor.start()
    supervisor.stop()
    assert log.read_text() == "user database "


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_process_behind(
    folder: Folder, supervised: Callable[..., subprocess.Popen[str]], number: int
) -> None:
    process = supervised()
    process.send_signal(number)
    process.wait(20)
    assert members(folder, mark=folder.secrets().stack) == []
    assert folder.holder() is None


def test_a_supervisor_that_is_killed_leaves_no_process_behind(
    folder: Folder, supervised: Callable[..., subprocess.Popen[str]]
) -> None:
    process = supervised()
    process.kill()
    process.wait()
    until(lambda: not members(folder, mark=folder.secrets().stack))
    with folder.locked("the next"):
        pass


def test_a_second_signal_kills_those_that_ignore_the_first(
    folder: Folder, supervised: Callable[..., subprocess.Popen[str]]
) -> None:
    process = supervised("SIG_IGN")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.wait(10)
    assert members(folder, mark=folder.secrets().stack) == []
