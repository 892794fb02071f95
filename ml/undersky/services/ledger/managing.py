"""What people do with scenes: retry, release, skip, remake.

A dry run is the same work in a transaction that is rolled back, so that it cannot say anything else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Select, exists, func, or_, select

from undersky.errors import ConfigError
from undersky.refs import Kind, Lane
from undersky.services.ledger.connecting import converted
from undersky.services.ledger.history import UNLEASED, Record, Why, move_acquisition, move_product
from undersky.services.ledger.records import (
    OPEN_ACQUISITION,
    OPEN_PRODUCT,
    AcquisitionState,
    Action,
    Actor,
    Change,
    ProductState,
    Selection,
)
from undersky.services.ledger.selecting import acquisitions_meant, products_meant
from undersky.services.ledger.tables import acquisition, product
from undersky.services.ledger.wanting import is_current, want_again, want_surface

Acquisitions = tuple[AcquisitionState, ...]
Products = tuple[ProductState, ...]

FAILED = AcquisitionState.FAILED, ProductState.FAILED


@dataclass(frozen=True, slots=True)
class Order:
    """Who orders what, and why."""

    by: Actor
    why: str
    lane: Lane
    """Of what is made again."""
    dry_run: bool = False


def manage(engine: Engine, action: Action, selection: Selection, order: Order) -> tuple[Change, ...]:
    """What changes, or with `dry_run` would change.

    Raises:
        ConfigError: The selection or the reason is empty.
    """
    if selection.is_empty:
        raise ConfigError(f"{action} of everything is refused: say which scenes, by state, reason, tile, ...")
    if not order.why.strip():
        raise ConfigError(f"{action} needs a reason: it stands in the history of every scene")
    with converted(engine), engine.connect() as connection, connection.begin() as transaction:
        changes = tuple(ACTIONS[action](connection, selection, order))
        if order.dry_run:
            transaction.rollback()
    return changes


def _retry(connection: Connection, selection: Selection, order: Order) -> Iterator[Change]:
    """Failed, quarantined and delayed scenes are tried now; skipped and held ones if named."""
    why = Why("retried_by_hand", order.why)
    fresh: dict[str, object] = {"tries": 0, "not_before": None, **UNLEASED}
    named = selection.state is not None or selection.scenes
    ended: Acquisitions = (AcquisitionState.FAILED, AcquisitionState.QUARANTINED)
    ended += (AcquisitionState.SKIPPED,) if named else ()
    delayed = _is_delayed(acquisition, OPEN_ACQUISITION)
    for row in _acquisitions(connection, selection, or_(acquisition.c.state.in_(ended), delayed)):
        state = row.state if row.state in OPEN_ACQUISITION else AcquisitionState.DISCOVERED
        yield _change("retry", row, state)
        move_acquisition(connection, row, state, why, order.by, token=row.token + 1, **fresh)
    stuck: Products = (ProductState.FAILED, *((ProductState.HELD,) if named else ()))
    late = _is_delayed(product, OPEN_PRODUCT)
    for row in _products(connection, selection, or_(product.c.state.in_(stuck), late), only_valid=True):
        if row.state not in OPEN_PRODUCT and _has_open(connection, row):
            continue
        yield _change("retry", row, ProductState.WANTED)
        move_product(connection, row, ProductState.WANTED, why, order.by, token=row.token + 1, **fresh)


def _release(connection: Connection, selection: Selection, order: Order) -> Iterator[Change]:
    """Held products are published; quarantined or skipped acquisitions, if named, count as valid."""
    why = Why("released_by_hand", order.why)
    fresh: dict[str, object] = {"tries": 0, "not_before": None, **UNLEASED}
    if selection.state is not None or selection.scenes:
        states = (AcquisitionState.QUARANTINED, AcquisitionState.SKIPPED)
        here = acquisition.c.state.in_(states) & acquisition.c.l1.is_not(None)
        for row in _acquisitions(connection, selection, here):
            yield _change("release", row, AcquisitionState.VALID)
            valid = move_acquisition(
                connection, row, AcquisitionState.VALID, why, order.by, token=row.token + 1, **fresh
            )
            want_surface(connection, valid, why, order.by, lane=Lane(row.lane))
    held = product.c.state == ProductState.HELD
    for row in _products(connection, selection, held, only_valid=True):
        if _has_open(connection, row):
            continue
        yield _change("release", row, ProductState.WANTED)
        # Through the stages again, where what lies in the store is found, and past the expectation.
        move_product(
            connection,
            row,
            ProductState.WANTED,
            why,
            order.by,
            token=row.token + 1,
            released=True,
            **fresh,
        )


def _skip(connection: Connection, selection: Selection, order: Order) -> Iterator[Change]:
    """Nothing more is done; what is published stays."""
    why = Why("skipped_by_hand", order.why)
    unpublished: Products = (*OPEN_PRODUCT, ProductState.HELD, ProductState.FAILED)
    for row in _products(connection, selection, product.c.state.in_(unpublished)):
        yield _change("skip", row, ProductState.WITHDRAWN)
        move_product(connection, row, ProductState.WITHDRAWN, why, order.by, token=row.token + 1, **UNLEASED)
        if row.kind != Kind.SURFACE:
            continue
        parent = connection.execute(select(acquisition).where(acquisition.c.key == row.acquisition)).one()
        if parent.state == AcquisitionState.VALID and not _has_published(connection, parent.key):
            yield _change("skip", parent, AcquisitionState.SKIPPED)
            _skip_acquisition(connection, parent, why, order.by)
    waiting: Acquisitions = (*OPEN_ACQUISITION, AcquisitionState.QUARANTINED, AcquisitionState.FAILED)
    for row in _acquisitions(connection, selection, acquisition.c.state.in_(waiting)):
        yield _change("skip", row, AcquisitionState.SKIPPED)
        _skip_acquisition(connection, row, why, order.by)


def _remake(connection: Connection, selection: Selection, order: Order) -> Iterator[Change]:
    """The newest product of each acquisition is made again: published ones, or the state that is named.

    Not the maps of a surface product that is made again: the new one is mapped by itself.
    """
    why = Why("remade_by_hand", order.why)
    again = (ProductState.PUBLISHED, ProductState.HELD, ProductState.FAILED, ProductState.WITHDRAWN)
    state = ProductState.PUBLISHED if selection.state is None else selection.state
    wanted = product.c.state.in_(again) & (product.c.state == state) & product.c.successor.is_(None)
    rows = _products(connection, replace(selection, state=None), wanted, only_valid=True)
    anew = {row.acquisition for row in rows if row.kind == Kind.SURFACE}
    for row in rows:
        if row.kind != Kind.SURFACE and row.acquisition in anew:
            continue
        parent = connection.execute(select(acquisition).where(acquisition.c.key == row.acquisition)).one()
        born = want_again(connection, parent, why, order.by, kind=Kind(row.kind), lane=order.lane)
        if born is None:
            continue
        yield _change("remake", row, ProductState.WANTED)
        if row.state in (ProductState.HELD, ProductState.FAILED):
            aside = Why("remade", f"made again as product {born.id}: {order.why}")
            move_product(connection, row, ProductState.WITHDRAWN, aside, order.by, successor=born.id)


ACTIONS: dict[Action, Callable[[Connection, Selection, Order], Iterator[Change]]] = {
    "retry": _retry,
    "release": _release,
    "skip": _skip,
    "remake": _remake,
}


def _acquisitions(connection: Connection, selection: Selection, also: Any) -> list[Record]:
    """The acquisitions that are meant, locked."""
    statement = acquisitions_meant(selection).where(also)
    return _locked(connection, statement.order_by(acquisition.c.key), acquisition)


def _products(
    connection: Connection, selection: Selection, also: Any, *, only_valid: bool = False
) -> list[Record]:
    """The products that are meant, locked, after their acquisitions (always in that order).

    Args:
        connection: In a transaction.
        selection: Which.
        also: What else must hold.
        only_valid: Leave out those of which nothing could come: of an acquisition that is not valid, and maps
            of a surface product that does not count any more.
    """
    statement = products_meant(selection).where(also)
    if only_valid:
        source = product.alias("source")
        mapped = exists().where(source.c.acquisition == product.c.acquisition, is_current(source))
        statement = statement.where(
            acquisition.c.state == AcquisitionState.VALID, or_(product.c.kind == Kind.SURFACE, mapped)
        )
    keys = {row.acquisition for row in connection.execute(statement)}
    parents = select(acquisition).where(acquisition.c.key.in_(keys)).order_by(acquisition.c.key)
    connection.execute(parents.with_for_update(key_share=True)).all()
    return _locked(connection, statement.order_by(product.c.acquisition, product.c.id), product)


def _locked(connection: Connection, statement: Select[Any], table: Any) -> list[Record]:
    return list(connection.execute(statement.with_for_update(key_share=True, of=table)).all())


def _skip_acquisition(connection: Connection, row: Record, why: Why, by: Actor) -> None:
    values = {"token": row.token + 1, "not_before": None, **UNLEASED}
    move_acquisition(connection, row, AcquisitionState.SKIPPED, why, by, **values)


def _is_delayed(table: Any, states: Acquisitions | Products) -> Any:
    """Waiting for the pause after a failed try, held by nobody."""
    return table.c.state.in_(states) & (table.c.not_before > func.now()) & table.c.holder.is_(None)


def _has_open(connection: Connection, row: Record) -> bool:
    others = select(product.c.id).where(
        product.c.acquisition == row.acquisition,
        product.c.kind == row.kind,
        product.c.id != row.id,
        product.c.state.in_(OPEN_PRODUCT),
    )
    return connection.execute(others).first() is not None


def _has_published(connection: Connection, key: str) -> bool:
    found = exists().where(
        product.c.acquisition == key,
        product.c.kind == Kind.SURFACE,
        product.c.state == ProductState.PUBLISHED,
    )
    return bool(connection.scalar(select(found)))


def _change(action: Action, row: Record, after: str) -> Change:
    columns = row._mapping  # noqa: SLF001  SQLAlchemy's public name for it
    is_product = "acquisition" in columns
    return Change(
        action=action,
        acquisition=columns["acquisition"] if is_product else columns["key"],
        scene=row.scene,
        tile=row.tile,
        product=row.id if is_product else None,
        before=row.state,
        after=str(after),
        reason=row.reason,
        kind=row.kind if is_product else None,
    )
