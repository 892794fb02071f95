"""SIGTERM and Ctrl-C end a stage in good order: the work on a scene is interrupted, bookkeeping is not."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Stopped(BaseException):
    """SIGTERM or Ctrl-C arrived; no `except Exception` may swallow it."""


@dataclass(slots=True)
class Stop:
    """Whether the process was asked to end; asked while a scene is worked on, it interrupts that."""

    asked: bool = False
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
        self._interrupts = not self.asked
        try:
            if self.asked:
                raise Stopped
            yield
        finally:
            self._interrupts = False


@contextmanager
def stopping() -> Iterator[Stop]:
    """SIGTERM and SIGINT end the stage in good order; where signals cannot be had, nothing changes."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
