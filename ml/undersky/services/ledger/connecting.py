"""The way to PostgreSQL, and what its errors mean to an operator."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from undersky.errors import ConfigError, ServiceError

OPTIONS = "-c lock_timeout=60s -c statement_timeout=300s -c idle_in_transaction_session_timeout=300s"
"""A partner that hangs or vanishes with a lock in its hand must not stop everybody else for ever."""

OPERATOR = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "no password supplied",
    "could not translate host name",
)
"""Parts of PostgreSQL's messages that no retry helps against."""

BUSY = ("LockNotAvailable", "QueryCanceled", "DeadlockDetected", "SerializationFailure")
"""Errors of a server that is there, and had no room for this transaction."""


def engine_for(url: str) -> Engine:
    """Connections to the ledger's database; none is made yet.

    Raises:
        ConfigError: The address is not one of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The address may hold a password: it is not repeated.
        raise ConfigError("UNDERSKY_LEDGER is no address: give postgresql://user@host/database") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(
            f"the ledger needs PostgreSQL (claims are its row locks), UNDERSKY_LEDGER names "
            f"{parsed.get_backend_name()}: give postgresql://user@host/database"
        )
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=12,
        connect_args={"options": OPTIONS, "connect_timeout": 10, "application_name": "undersky"},
    )


def place(url: URL) -> str:
    """The address as a message may show it: no password, no options."""
    host = url.host or url.query.get("host") or "this machine"
    return f"{url.username or ''}@{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"


@contextmanager
def converted(engine: Engine) -> Iterator[None]:
    """What PostgreSQL and its driver raise, as errors of ours.

    Raises:
        ConfigError: The operator must act: address, password, rights, schema.
        ServiceError: The server is away or busy; the transaction was rolled back.
    """
    try:
        yield
    except PoolTimeout as error:
        raise ServiceError(
            f"the ledger {place(engine.url)} gave no connection in 30 s: all are in use"
        ) from error
    except ProgrammingError as error:
        if "UndefinedTable" in type(error.orig).__name__ or "UndefinedColumn" in type(error.orig).__name__:
            raise ConfigError(
                f"the schema of the ledger {place(engine.url)} changed under this process: "
                "run `undersky ledger migrate` and start it again"
            ) from error
        if "InsufficientPrivilege" in type(error.orig).__name__:
            raise ConfigError(f"the ledger {place(engine.url)} refuses: {_first_line(error)}") from error
        raise
    except OperationalError as error:
        raise _meaning(engine, error) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise _meaning(engine, error) from error


def _meaning(engine: Engine, error: DBAPIError) -> ConfigError | ServiceError:
    said = _first_line(error)
    if type(error.orig).__name__ in BUSY:
        return ServiceError(
            f"the ledger {place(engine.url)} was busy: {said}; nothing was written, the same call may "
            "succeed later: who holds a lock for so long stands in pg_stat_activity"
        )
    if any(part in said for part in OPERATOR):
        return ConfigError(f"the ledger {place(engine.url)} refuses: {said}: check UNDERSKY_LEDGER")
    return ServiceError(
        f"the ledger {place(engine.url)} does not answer: {said}: is PostgreSQL up and UNDERSKY_LEDGER right?"
    )


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
