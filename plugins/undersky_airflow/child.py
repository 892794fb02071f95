"""A child process that ends when its task does, however that ends."""

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

GRACE_S = 4.0
"""Between SIGTERM and SIGKILL; below the five seconds that Airflow's supervisor gives the task itself."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """A command in a process group of its own; no process of the group outlives `run`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._kill_at = float("inf")

    def run(self, say: Callable[[str], None]) -> int:
        """Exit code of the command, negative for a signal. Each line it writes is said as it comes."""
        try:
            process = self._process = subprocess.Popen(  # noqa: S603  the command is the operator's setting
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_dying_with_its_parent() if sys.platform == "linux" else None,  # noqa: PLW1509  see there
            )
            self._listen(process, say)
            return process.wait()
        finally:
            self._end()

    def stop(self) -> None:
        """Asks the group to end; `run` kills what is left after the grace.

        Only signals are sent: this may be called by a signal handler on top of `run`.
        """
        if self._process is not None:
            self._kill_at = min(self._kill_at, time.monotonic() + GRACE_S)
            _signal_group(self._process.pid, signal.SIGTERM)

    def _listen(self, process: subprocess.Popen[bytes], say: Callable[[str], None]) -> None:
        """Until the command has ended: a grandchild that holds the pipe open holds nobody up."""
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        rest = b""
        with selectors.DefaultSelector() as ready:
            ready.register(pipe, selectors.EVENT_READ)
            running = True
            while running:
                running = process.poll() is None
                if time.monotonic() > self._kill_at:
                    _signal_group(process.pid, signal.SIGKILL)
                ready.select(0.2 if running else 0)
                rest = _said(rest + _read_all(pipe), say)
        if rest:
            say(rest.decode(errors="replace"))

    def _end(self) -> None:
        """No process of the group is left."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read_all(pipe: int) -> bytes:
    read = bytearray()
    with suppress(BlockingIOError):
        while part := os.read(pipe, 65536):
            read += part
    return bytes(read)


def _said(text: bytes, say: Callable[[str], None]) -> bytes:
    """Says every whole line; the piece after the last one is returned."""
    *lines, rest = text.split(b"\n")
    for line in lines:
        say(line.decode(errors="replace").rstrip())
    return rest


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _dying_with_its_parent() -> Callable[[], None]:
    """What the child does before it becomes the command: SIGKILL reaches it when the task process is killed.

    Linux alone has this; elsewhere a task that is killed by SIGKILL leaves its stage to finish by itself,
    which harms nothing: the next try finds the outcomes. Between fork and exec only the C function below is
    called, which takes no lock that another thread could hold.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return prepare
