"""SIGTERM and Ctrl-C end a stage in good order: the work on a scene is interrupted, bookkeeping is not."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_S = 0.05


class Stopped(BaseException):
    """SIGTERM or Ctrl-C arrived; no `except Exception` may swallow it."""


@dataclass(slots=True)
class Stop:
    """Whether the process was asked to end; asked while a scene is worked on, it interrupts that."""

    asked: bool = False
    _within: bool = False
    _interrupts: bool = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler. What is being written down is finished first."""
        self.asked = True
        if self._interrupts:
            self._interrupts = False
            raise Stopped

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within, the first signal raises `Stopped`."""
        self._within = self._interrupts = not self.asked
        try:
            if self.asked:
                raise Stopped
            yield
        finally:
            self._within = self._interrupts = False

    def lost(self) -> bool:
        """The exception did not arrive: the next signal raises it again; whether one is still wanted."""
        self._interrupts = self._within
        return self._within


@contextmanager
def stopping() -> Iterator[Stop]:
    """SIGTERM and SIGINT end the stage in good order; where signals cannot be had, nothing changes."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with _raised_again(stop):
            yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _raised_again(stop: Stop) -> Iterator[None]:
    """A signal that hits a callback of the garbage collector or a `__del__` comes a second time.

    Python hands what is raised there to `sys.unraisablehook` and goes on as if nothing had been.
    """
    hook, timers = sys.unraisablehook, list[threading.Timer]()

    def again(lost: "UnraisableHookArgs") -> None:
        if not isinstance(lost.exc_value, Stopped):
            hook(lost)
        elif stop.lost():
            timers.append(threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM)))
            timers[-1].start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for timer in timers:
            timer.cancel()
            timer.join()
