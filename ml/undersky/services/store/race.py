"""Whether a server's conditional puts can be trusted: writers race for one key, exactly one may win."""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undersky.errors import UnderskyError
from undersky.services.store.values import PreconditionFailed

if TYPE_CHECKING:
    from undersky.services.store.bucket import Store


@dataclass(frozen=True, slots=True)
class RaceReport:
    """What a server did with racing writers."""

    writers: int
    winners: tuple[int, ...]
    """Per round, how many writers were told that their put was carried out."""
    kept: tuple[bool, ...]
    """Per round, whether the object holds what the winner wrote."""
    errors: int
    """Puts that ended in neither a win nor a refusal."""
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every round had exactly one winner, whose bytes are there."""
        return all(number == 1 for number in self.winners) and all(self.kept)

    @property
    def sentence(self) -> str:
        """For a person."""
        if self.holds:
            return (
                f"{self.writers} writers raced {len(self.winners)} times for one key: always exactly one won"
            )
        return (
            f"{self.writers} writers raced for one key: {list(self.winners)} won per round, expected 1 each "
            f"({self.errors} errors); set UNDERSKY_COMMIT=ledger, or use a server with conditional puts"
        )


def race(store: "Store", *, writers: int, rounds: int) -> RaceReport:
    """Lets that many writers put different bytes to one absent key at once, that many times.

    The keys lie under `doctor/` and are deleted again.

    Raises:
        ConfigError: The bucket is not there or refuses.
        ServiceError: The server does not answer.
    """
    store.check()
    begin = time.monotonic()
    name = f"doctor/race-{uuid.uuid4().hex}"
    won: list[int] = []
    kept: list[bool] = []
    errors = 0
    for number in range(rounds):
        key = f"{name}-{number}"
        try:
            winners, failed = _round(store, key, writers)
            won.append(len(winners))
            kept.append(store.find(key) in [_body(key, winner) for winner in winners])
            errors += failed
        finally:
            with suppress(UnderskyError):
                store.delete(key)
    return RaceReport(writers, tuple(won), tuple(kept), errors, time.monotonic() - begin)


def _round(store: "Store", key: str, writers: int) -> tuple[list[int], int]:
    """Who won, and how many ended in an error."""
    start = threading.Barrier(writers)

    def write(number: int) -> bool | None:
        start.wait()
        try:
            store.put(key, _body(key, number), content_type="text/plain", if_absent=True)
        except PreconditionFailed:
            return False
        except UnderskyError:
            return None
        return True

    with ThreadPoolExecutor(writers) as pool:
        told = list(pool.map(write, range(writers)))
    return [number for number, won in enumerate(told) if won], told.count(None)


def _body(key: str, writer: int) -> bytes:
    return f"{key} by writer {writer}".encode()
