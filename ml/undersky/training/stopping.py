"""SIGTERM and Ctrl-C: a step is finished and written down, anything else is broken off."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from undersky.errors import ServiceError


class _Stopped(BaseException):
    """A signal arrived where nothing has to be finished; no `except Exception` may swallow it."""


@dataclass(slots=True)
class Stop:
    """Whether this process was asked to end."""

    asked: bool = False
    _finishing: bool = False
    _process: int = field(default_factory=os.getpid)

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        if os.getpid() != self._process:  # a forked worker has inherited it, and ends as it would without
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.asked = True
        if not self._finishing:
            raise _Stopped

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Within, signals only set `asked`; whoever looks at it ends in good order."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False
        if self.asked:  # after the last look at it
            raise _Stopped


@contextmanager
def stopping() -> Iterator[Stop]:
    """SIGTERM and SIGINT end what is within; outside the main thread nothing changes.

    Raises:
        ServiceError: One of them arrived; the same command takes up where this one was.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    except _Stopped:
        raise ServiceError(
            "stopped by a signal between the steps; the same command takes up the last checkpoint"
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
