"""Figures on their way to the server: sent in batches beside the training, which never waits for them."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from undersky.errors import UnderskyError

EVERY_S = 2.0
"""The server hears of a running training this often at most."""
AFTER_FAILURE_S = 30.0
"""A server that failed is left alone for this long."""
_MOST = 20_000
"""Points that wait at most; the oldest are dropped beyond."""


class Point(NamedTuple):
    """One figure at one step."""

    name: str
    """`loss`."""
    value: float
    """NaN and infinities too."""
    step: int
    """Of the training."""
    at_ms: int
    """When, milliseconds since 1970."""


class Outbox:
    """What is to be sent; used by one thread, which neither waits nor hears of errors until it closes."""

    def __init__(
        self,
        send: Callable[[Sequence[Point]], None],
        *,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send, self._tell, self._clock = send, tell, clock
        self._waiting: list[Point] = []
        self._due = 0.0
        self._is_told = False
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._under_way: Future[Sequence[Point]] | None = None

    def put(self, points: Iterable[Point]) -> None:
        """The points are sent, now or with later ones, or again after the server failed."""
        self._waiting = [*self._waiting, *points][-_MOST:]
        if self._under_way is not None:
            if not self._under_way.done():
                return
            self._take_back()
        if self._waiting and self._clock() >= self._due:
            self._due = self._clock() + EVERY_S
            batch, self._waiting = self._waiting, []
            self._under_way = self._worker.submit(self._deliver, batch)

    def close(self) -> bool:
        """Nothing is under way any more; whether everything that was put has arrived."""
        if self._under_way is not None:
            self._take_back()
        self._worker.shutdown()
        left, self._waiting = self._waiting, []
        return not (left and self._deliver(left))

    def _take_back(self) -> None:
        """What did not arrive waits again, for longer."""
        if self._under_way is None:
            return
        failed, self._under_way = self._under_way.result(), None
        if failed:
            self._due = self._clock() + AFTER_FAILURE_S
            self._waiting = [*failed, *self._waiting][-_MOST:]

    def _deliver(self, batch: Sequence[Point]) -> Sequence[Point]:
        """Sends it; what did not arrive comes back."""
        try:
            self._send(batch)
        except UnderskyError as error:
            if not self._is_told:
                self._is_told = True
                self._tell(f"the training goes on, its figures wait: {error}")
            return batch
        return ()
