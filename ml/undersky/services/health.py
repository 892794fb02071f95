"""Signs of life and clocks of the services, for the doctor."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from sqlalchemy import text

from undersky.errors import ServiceError
from undersky.services.ledger.connecting import converted, engine_for

_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Sign:
    """What a server answered to a simple question."""

    status: int
    """HTTP status; any at all means that a server is there."""
    ahead_s: float | None
    """How far its clock is ahead of ours, seconds, within a second; None where it does not tell the time."""


def sign_of_life(url: str) -> Sign:
    """What the server at an http address answers; nothing is sent but the request itself.

    Raises:
        ServiceError: Nothing answers there.
    """
    begin = datetime.now(UTC)
    try:
        answer = httpx.get(url, timeout=_PATIENCE_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(f"{url} does not answer ({type(error).__name__}: {error})") from error
    middle = begin + (datetime.now(UTC) - begin) / 2
    try:
        told = parsedate_to_datetime(answer.headers["date"])
        # Date counts whole seconds, so the true one lies half a second later on average.
        ahead = (told - middle).total_seconds() + 0.5
    except (KeyError, ValueError, TypeError):
        ahead = None
    return Sign(answer.status_code, ahead)


def database_ahead_s(url: str) -> float:
    """How far the clock of the ledger's database is ahead of ours, seconds; its schema does not matter.

    Raises:
        ConfigError: Wrong address or password.
        ServiceError: It does not answer.
    """
    engine = engine_for(url)
    try:
        with converted(engine), engine.connect() as connection:
            begin = datetime.now(UTC)
            told = connection.scalar(text("select clock_timestamp()"))
            middle = begin + (datetime.now(UTC) - begin) / 2
    finally:
        engine.dispose()
    return float((told - middle).total_seconds())
