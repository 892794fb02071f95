"""The schema's version: brought up to date under a lock, and checked before anybody works."""

from pathlib import Path

from sqlalchemy import Connection, text

from undersky.errors import ConfigError
from undersky.services.ledger.connecting import converted, engine_for, place
from undersky.services.ledger.tables import SCHEMA

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision of the schema that this code knows, oldest first; a test compares it with the migrations."""

LOCK = 0x756E6465_72736B79
"""Of `pg_advisory_xact_lock`: "undersky"."""


def migrate(url: str) -> str:
    """Brings the schema up to date; the revision it has then.

    Everything is one transaction under an advisory lock: of several that start at once one works and the
    others find it done; one that is killed leaves the schema as it was.

    Raises:
        ConfigError: Wrong address, or a schema newer than this code.
        ServiceError: The database does not answer.
    """
    engine = engine_for(url)
    try:
        with converted(engine), engine.begin() as connection:
            connection.execute(text("set local lock_timeout = '10min'"))
            connection.execute(text("set local statement_timeout = 0"))
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
            found = _version(connection)
            if found is not None:
                _refuse_newer(connection, found)
            if found != REVISIONS[-1]:
                _upgrade(connection)
        return REVISIONS[-1]
    finally:
        engine.dispose()


def check(connection: Connection) -> None:
    """The schema is the one this code was written for.

    Raises:
        ConfigError: It is absent, older or newer.
    """
    where = place(connection.engine.url)
    found = _version(connection)
    if found is None:
        raise ConfigError(f"the database {where} holds no ledger yet: run `undersky ledger migrate`")
    _refuse_newer(connection, found)
    if found != REVISIONS[-1]:
        raise ConfigError(
            f"the ledger {where} has schema {found}, this Undersky needs {REVISIONS[-1]}: "
            "run `undersky ledger migrate`"
        )


def _version(connection: Connection) -> str | None:
    exists = connection.scalar(text("select to_regclass(:name) is not null"), {"name": f"{SCHEMA}.version"})
    if not exists:
        return None
    found: str | None = connection.scalar(text(f"select version_num from {SCHEMA}.version"))  # noqa: S608
    return found


def _refuse_newer(connection: Connection, found: str) -> None:
    if found not in REVISIONS:
        raise ConfigError(
            f"the ledger {place(connection.engine.url)} has schema {found}, this Undersky knows "
            f"{REVISIONS[-1]} at most: install the version that migrated it"
        )


def _upgrade(connection: Connection) -> None:
    # Here and not above: whoever only works with the ledger does not wait for Alembic.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    connection.execute(text(f"create schema if not exists {SCHEMA}"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
