"""Starts the components in the order of their needs, watches them, and leaves none behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from onemachine.component import Component
from onemachine.folder import Folder, StackError
from onemachine.ports import is_taken, owner_of
from onemachine.processes import Spawned, clean_up, in_session, members, memory_mb, spawn, tail, terminate

Say = Callable[[str], None]


@dataclass(slots=True)
class Supervisor:
    """The components of one stack, all started by this process."""

    folder: Folder
    """Where they live."""
    mark: str
    """What their environment carries."""
    ports: Mapping[str, int]
    """Where they listen."""
    components: Sequence[Component]
    """In the order of their needs."""
    say: Say
    """Told a sentence now and then."""
    running: dict[str, Spawned] = field(default_factory=dict)
    """First process of each started component."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What each needed to be ready."""
    _ready: dict[str, threading.Event] = field(default_factory=dict)
    _failures: list[StackError] = field(default_factory=list)
    _aborted: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Every component is ready.

        Raises:
            StackError: One could not be started; the message shows the end of its log.
        """
        self.begin()
        self.wait_for(component.name for component in self.components)

    def begin(self) -> None:
        """The components are being started, each as soon as those it needs are ready."""
        self._ready = {component.name: threading.Event() for component in self.components}
        for component in self.components:
            threading.Thread(target=self._bring_up, args=(component,), daemon=True).start()

    def wait_for(self, names: Iterator[str] | Sequence[str]) -> None:
        """Those components are ready.

        Raises:
            StackError: One could not be started, or a started one died.
        """
        for name in names:
            while not self._ready[name].wait(0.2):
                self.check()

    def check(self) -> None:
        """Nothing, while all goes well.

        Raises:
            StackError: A component could not be started or has died; the message shows the end of its log.
        """
        if self._failures:
            raise self._failures[0]
        for name, spawned in list(self.running.items()):
            code = spawned.process.poll()
            if code is not None and self._ready[name].is_set():
                raise StackError(_died(spawned, code))

    def restart(self, name: str) -> None:
        """The component runs anew, whatever became of the old one.

        Raises:
            StackError: It could not be started.
        """
        component = next(found for found in self.components if found.name == name)
        self._ready[name].clear()
        old = self.running.pop(name)
        terminate(in_session(old.process.pid), patience_s=component.stop_s)
        old.process.wait()
        self._bring_up(component)
        self.check()

    def stop(self) -> None:
        """No process of the stack lives. A second Ctrl-C makes it kill instead of asking."""
        self._aborted.set()
        with _hurry_on_signal() as hurried:
            first = [c for c in self.components if not c.stops_last and c.name in self.running]
            last = [c for c in self.components if c.stops_last and c.name in self.running]
            groups = [process for c in first for process in in_session(self.running[c.name].process.pid)]
            patience = max((c.stop_s for c in first), default=0.0)
            _end(groups, signal.SIGTERM, patience_s=patience, hurried=hurried)
            for component in last:
                _ask(self.running[component.name], component.stop_signal)
            servers = [process for c in last for process in in_session(self.running[c.name].process.pid)]
            patience = max((c.stop_s for c in last), default=0.0)
            _end(servers, None, patience_s=patience, hurried=hurried)
            clean_up(self.folder, mark=self.mark, patience_s=0.0 if hurried.is_set() else 3.0)
        for spawned in self.running.values():
            spawned.process.poll()
        self.running.clear()

    def memory_mb(self) -> float:
        """Megabytes that the whole stack holds."""
        return memory_mb(members(self.folder, mark=self.mark))

    def _bring_up(self, component: Component) -> None:
        try:
            for need in component.needs:
                while not self._ready[need].wait(0.1):
                    if self._aborted.is_set() or self._failures:
                        return
            began = time.monotonic()
            self._run(component)
            if self._aborted.is_set():
                return
            self.seconds[component.name] = time.monotonic() - began
            self._ready[component.name].set()
            self.say(f"{component.name} ready after {self.seconds[component.name]:.0f} s")
        except StackError as error:
            self._failures.append(error)
        except Exception as error:  # noqa: BLE001  a thread's error must reach the one who waits
            self._failures.append(StackError(f"{component.name} could not be started: {error!r}"))

    def _run(self, component: Component) -> None:
        if component.prepare is not None:
            component.prepare()
        if component.command:
            port = None if component.port is None else self.ports[component.port]
            if port is not None and is_taken(port):
                raise StackError(
                    f"{component.name} needs port {port}, just taken by {owner_of(port)}: start again"
                )
            if self._aborted.is_set():
                return
            self.running[component.name] = spawn(
                component.name, component.command, folder=self.folder, environment=component.environment
            )
        self._await(component)
        if component.afterwards is not None and not self._aborted.is_set():
            component.afterwards()

    def _await(self, component: Component) -> None:
        deadline = time.monotonic() + component.patience_s
        while not self._aborted.is_set() and (missing := component.waits_for()) is not None:
            spawned = self.running.get(component.name)
            if spawned is not None and (code := spawned.process.poll()) is not None:
                raise StackError(_died(spawned, code))
            if time.monotonic() > deadline:
                end = "" if spawned is None else f"; its log {spawned.log} ends with\n{tail(spawned.log)}"
                raise StackError(
                    f"{component.name} is not ready after {component.patience_s:.0f} s: {missing}{end}"
                )
            time.sleep(0.25)


@contextmanager
def watched(folder: Folder, *, lock: int) -> Iterator[None]:
    """A watchdog ends the stack should this process die without doing so; it holds the lock until then."""
    script = Path(__file__).with_name("watchdog.py")
    watchdog = subprocess.Popen(
        [sys.executable, str(script), str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(lock,),
    )
    try:
        yield
    finally:
        with suppress(OSError):
            watchdog.communicate(timeout=30)


def _died(spawned: Spawned, code: int) -> str:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return f"{spawned.name} {how}; its log {spawned.log} ends with\n{tail(spawned.log)}"


def _ask(spawned: Spawned, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(spawned.process.pid, number)


def _end(
    processes: Sequence[psutil.Process], number: int | None, *, patience_s: float, hurried: threading.Event
) -> None:
    for process in processes:
        with suppress(psutil.Error):
            if number is not None:
                process.send_signal(number)
    alive = list(processes)
    deadline = time.monotonic() + patience_s
    while alive and time.monotonic() < deadline and not hurried.is_set():
        _, alive = psutil.wait_procs(alive, timeout=0.2)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


@contextmanager
def _hurry_on_signal() -> Iterator[threading.Event]:
    hurried = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield hurried
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: hurried.set()) for number in numbers]
    try:
        yield hurried
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def ends_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, by KeyboardInterrupt.

    Ctrl-C too, even where the process was begun in the background and so ignores it.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
