"""Every change of a row goes through here, so that none is without a line in the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, update

from undersky.services.ledger.records import OPEN_ACQUISITION, OPEN_PRODUCT, Actor
from undersky.services.ledger.tables import acquisition, history, product

Record = Row[Any]
"""One row of a table, as SQLAlchemy hands it out; it does not leave the ledger."""

Values = Mapping[str, object]

OPEN = frozenset[str]({*OPEN_ACQUISITION, *OPEN_PRODUCT})

UNLEASED: Values = {"holder": None, "holder_task": None, "lease_until": None}
"""What a row has whose lease has ended."""


@dataclass(frozen=True, slots=True)
class Why:
    """What goes into the history beside the states."""

    reason: str
    """Stable code."""
    sentence: str = ""
    """For a person."""


def note(connection: Connection, row: Record, after: str, why: Why, by: Actor, *, born: bool = False) -> None:
    """One line in the history of an acquisition or product."""
    connection.execute(insert(history).values(_line(row, after, why, by, born=born)))


def note_all(connection: Connection, rows: Sequence[Record], why: Why, by: Actor) -> None:
    """One line in the history of each row, whose state stays."""
    connection.execute(insert(history), [_line(row, row.state, why, by, born=False) for row in rows])


def move_acquisition(
    connection: Connection, row: Record, state: str, why: Why, by: Actor, **values: object
) -> Record:
    """The acquisition has that state and those values, its history a line more; the row as it is then."""
    note(connection, row, state, why, by)
    changed = _changed(row, state, why, by) | values
    statement = update(acquisition).where(acquisition.c.key == row.key).values(changed)
    return connection.execute(statement.returning(acquisition)).one()


def move_product(
    connection: Connection, row: Record, state: str, why: Why, by: Actor, **values: object
) -> Record:
    """The product has that state and those values, its history a line more; the row as it is then."""
    note(connection, row, state, why, by)
    changed = _changed(row, state, why, by) | values
    return connection.execute(
        update(product).where(product.c.id == row.id).values(changed).returning(product)
    ).one()


def _changed(row: Record, state: str, why: Why, by: Actor) -> dict[str, object]:
    values: dict[str, object] = {
        "state": state,
        "reason": why.reason,
        "sentence": why.sentence,
        "log": by.log,
        "changed": func.clock_timestamp(),
    }
    if state != row.state:
        values["state_since"] = func.clock_timestamp()
    if state in OPEN and row.state not in OPEN:
        values["wanted_since"] = func.clock_timestamp()
    return values


def _line(row: Record, after: str, why: Why, by: Actor, *, born: bool) -> dict[str, object]:
    columns = row._mapping  # noqa: SLF001  SQLAlchemy's public name for it
    is_product = "acquisition" in columns
    return {
        "acquisition": columns["acquisition"] if is_product else columns["key"],
        "product": columns["id"] if is_product else None,
        "scene": columns["scene"],
        "run": by.run,
        "task": by.task,
        "attempt": by.attempt,
        "reason": why.reason,
        "sentence": why.sentence,
        "log": by.log,
        "before": None if born else columns["state"],
        "after": str(after),
    }
