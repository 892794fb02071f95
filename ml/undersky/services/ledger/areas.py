"""Areas: what is wanted."""

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from undersky.errors import ConfigError
from undersky.services.ledger.records import Actor, Area
from undersky.services.ledger.rows import area_of
from undersky.services.ledger.tables import area, area_history


def add(connection: Connection, wanted: Area, by: Actor) -> None:
    """The area is wanted.

    Raises:
        ConfigError: Another has that name.
    """
    statement = upsert(area).values(
        name=wanted.name,
        geometry=dict(wanted.geometry),
        collections=list(wanted.collections),
        since=wanted.since,
        until=wanted.until,
        max_cloud=wanted.max_cloud,
        profiles=list(wanted.profiles),
        paused=wanted.paused,
        paused_reason=wanted.paused_reason,
        run=by.run,
    )
    added = connection.execute(statement.on_conflict_do_nothing().returning(area.c.name)).one_or_none()
    if added is None:
        raise ConfigError(
            f"an area called {wanted.name} is there already: give this one another name, "
            "or pause the old one with `undersky area pause`"
        )
    _note(connection, wanted.name, "added", "", by)


def listed(connection: Connection, *, active: bool) -> tuple[Area, ...]:
    """Every area, by name."""
    statement = select(area).order_by(area.c.name)
    if active:
        statement = statement.where(~area.c.paused)
    return tuple(area_of(row) for row in connection.execute(statement))


def pause(connection: Connection, name: str, reason: str, by: Actor) -> None:
    """Nothing new is searched there.

    Raises:
        ConfigError: No such area.
    """
    _set(connection, name, paused=True, reason=reason)
    _note(connection, name, "paused", reason, by)


def resume(connection: Connection, name: str, by: Actor) -> None:
    """The area is searched again.

    Raises:
        ConfigError: No such area.
    """
    _set(connection, name, paused=False, reason=None)
    _note(connection, name, "resumed", "", by)


def _set(connection: Connection, name: str, *, paused: bool, reason: str | None) -> None:
    statement = update(area).where(area.c.name == name).values(paused=paused, paused_reason=reason)
    if connection.execute(statement.returning(area.c.name)).one_or_none() is None:
        names = ", ".join(connection.scalars(select(area.c.name).order_by(area.c.name)))
        raise ConfigError(f"no area is called {name!r}: {names or 'there is none yet'}")


def _note(connection: Connection, name: str, what: str, sentence: str, by: Actor) -> None:
    connection.execute(
        insert(area_history).values(
            area=name, what=what, sentence=sentence, run=by.run, task=by.task, log=by.log
        )
    )
