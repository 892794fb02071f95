"""A ledger that was restored from a backup: no lease of before counts any more.

    backup: token 7 .. given: 8, 9 .. disaster .. restored: token 7 .. given: 8       to another run

So a stage that outlived the disaster would hold a token that is given a second time: for the same row, or,
where the row came after the backup, for another scene's. Therefore every token, and that of every row to
come, is raised over all that was ever given: to the clock in milliseconds, faster than leases are given.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select, text, update

from undersky.services.ledger.history import UNLEASED, Why, note_all
from undersky.services.ledger.records import Actor
from undersky.services.ledger.tables import SCHEMA, acquisition, product, tile_map

_LEASED = (acquisition, product, tile_map)
"""Tables whose rows are leased; in the one order in which they are locked."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """What `fence` did."""

    token: int
    """No lease of a lower one counts."""
    leases: int
    """Leases of the backup that ended: their rows may be claimed at once."""


def fence(connection: Connection, by: Actor) -> Fenced:
    """Every lease has ended, and no token that was ever given is given again; saying it again is safe."""
    names = ", ".join(f"{SCHEMA}.{table.name}" for table in _LEASED)
    connection.execute(text(f"lock table {names} in access exclusive mode"))
    now = func.floor(func.extract("epoch", func.clock_timestamp()) * 1000)
    token = int(connection.execute(select(now)).scalar_one())
    leases = sum(_end_all(connection, table, by) for table in _LEASED)
    for table in _LEASED:
        connection.execute(update(table).values(token=func.greatest(table.c.token + 1, token)))
        default = f"alter table {SCHEMA}.{table.name} alter column token set default {token}"
        connection.execute(text(default))
    return Fenced(token, leases)


def _end_all(connection: Connection, table: Table, by: Actor) -> int:
    """How many rows of the table were under lease; none is."""
    held = connection.execute(select(table).where(table.c.holder.is_not(None))).all()
    why = Why("ledger_restored", "the ledger was restored from a backup: leases of before count no more")
    if held and table is not tile_map:  # tiles have no history
        note_all(connection, held, why, by)
    said = {"reason": why.reason, "sentence": why.sentence, "log": by.log, "changed": func.clock_timestamp()}
    connection.execute(
        update(table).where(table.c.holder.is_not(None)).values({**said, "not_before": None, **UNLEASED})
    )
    return len(held)
