"""What people ask: each answer is one statement, or one a table."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from undersky.refs import Kind, Lane
from undersky.services.ledger import searches
from undersky.services.ledger.records import OPEN_ACQUISITION, OPEN_PRODUCT, ProductState, Selection
from undersky.services.ledger.rows import acquisition_of, delivery_of, event_of, product_of
from undersky.services.ledger.selecting import acquisitions_meant, keys_of, products_meant
from undersky.services.ledger.tables import acquisition, delivery, history, product
from undersky.services.ledger.views import Acquisition, Count, Day, Event, Product, Story, Waiting

PAGE = 1000
"""Products read at a time."""


def waiting(connection: Connection) -> tuple[Waiting, ...]:
    """The queues, ingest before surface before maps, fresh before historical; empty ones too."""
    queues = union_all(
        _queue(None, acquisition, acquisition.c.key, OPEN_ACQUISITION),
        _queue(product.c.kind, product, product.c.acquisition, OPEN_PRODUCT),
    )
    found = {
        (row.work, row.lane): Waiting(
            work=row.work,
            lane=Lane(row.lane),
            ready=row.ready,
            delayed=row.delayed,
            leased=row.leased,
            expired=row.expired,
            oldest=row.oldest,
            oldest_since=row.oldest_since,
        )
        for row in connection.execute(queues)
    }
    empty = (
        Waiting(work, lane, ready=0, delayed=0, leased=0, expired=0, oldest=None, oldest_since=None)
        for work in ("ingest", *map(str, Kind))
        for lane in Lane
    )
    return tuple(found.get((queue.work, queue.lane), queue) for queue in empty)


def counts(connection: Connection, since: datetime | None) -> tuple[Count, ...]:
    """Rows by lane, kind, state and reason; only those that changed since then."""
    nothing: ColumnElement[Any] = cast(null(), Text)
    tables = (("acquisition", acquisition, nothing), ("product", product, product.c.kind))
    statement = union_all(
        *(
            select(
                literal(what).label("what"),
                kind.label("kind"),
                table.c.lane,
                table.c.state,
                table.c.reason,
                func.count().label("number"),
            )
            .where(literal(True) if since is None else table.c.changed >= since)
            .group_by(table.c.lane, table.c.state, table.c.reason, *(() if kind is nothing else (kind,)))
            for what, table, kind in tables
        )
    )
    found = (
        Count(
            what=row.what,
            lane=Lane(row.lane),
            state=row.state,
            reason=row.reason,
            number=row.number,
            kind=Kind(row.kind) if row.kind else None,
        )
        for row in connection.execute(statement)
    )
    kinds = [None, *Kind]
    return tuple(
        sorted(found, key=lambda one: (one.what, kinds.index(one.kind), one.lane, one.state, one.reason))
    )


def story(connection: Connection, name: str) -> Story | None:
    """Everything about the acquisition of that key, or of which that scene is a delivery."""
    meant = acquisition.c.key.in_(keys_of((name,)))
    row = connection.execute(select(acquisition).where(meant).order_by(acquisition.c.key)).first()
    if row is None:
        return None
    deliveries = select(delivery).where(delivery.c.acquisition == row.key)
    products_of = products_meant(Selection()).where(product.c.acquisition == row.key)
    events_of = select(history).where(history.c.acquisition == row.key)
    return Story(
        acquisition=acquisition_of(row),
        deliveries=tuple(
            map(delivery_of, connection.execute(deliveries.order_by(delivery.c.announced, delivery.c.scene)))
        ),
        products=tuple(map(product_of, connection.execute(products_of.order_by(product.c.id)))),
        history=tuple(map(event_of, connection.execute(events_of.order_by(history.c.id)))),
    )


def find(connection: Connection, tile: str, day: date) -> tuple[Acquisition, ...]:
    """Acquisitions of the tile on that day (UTC), earliest first."""
    begin, end = searches.bounds(day)
    statement = select(acquisition).where(
        acquisition.c.tile == tile, acquisition.c.sensed >= begin, acquisition.c.sensed < end
    )
    rows = connection.execute(statement.order_by(acquisition.c.sensed, acquisition.c.key))
    return tuple(map(acquisition_of, rows))


def day(connection: Connection, tile: str, wanted: date) -> Day:
    """What is known about the tile on that day (UTC)."""
    begin, end = searches.bounds(wanted)
    made = products_meant(Selection(tile=tile)).where(product.c.sensed >= begin, product.c.sensed < end)
    return Day(
        acquisitions=find(connection, tile, wanted),
        products=tuple(map(product_of, connection.execute(made.order_by(product.c.id)))),
        rejections=searches.rejections(connection, tile=tile, day=wanted, item_id=None),
        searches=searches.of_day(connection, wanted),
    )


def acquisitions(connection: Connection, selection: Selection, *, limit: int) -> tuple[Acquisition, ...]:
    """Acquisitions that match, newest change first."""
    statement = acquisitions_meant(selection).order_by(acquisition.c.changed.desc(), acquisition.c.key)
    return tuple(map(acquisition_of, connection.execute(statement.limit(limit))))


def products(connection: Connection, selection: Selection, *, limit: int) -> tuple[Product, ...]:
    """Products that match, newest change first."""
    statement = products_meant(selection).order_by(product.c.changed.desc(), product.c.id.desc())
    return tuple(map(product_of, connection.execute(statement.limit(limit))))


def published(
    connection: Connection, collection: str | None, *, current: bool, after: int
) -> tuple[Product, ...]:
    """A page of published products whose row comes after that one."""
    statement = products_meant(Selection()).where(
        product.c.state == ProductState.PUBLISHED, product.c.id > after
    )
    if collection is not None:
        statement = statement.where(product.c.collection == collection)
    if current:
        statement = statement.where(product.c.successor.is_(None))
    return tuple(map(product_of, connection.execute(statement.order_by(product.c.id).limit(PAGE))))


def events(connection: Connection, run: str) -> tuple[Event, ...]:
    """What the run changed, oldest first."""
    statement = select(history).where(history.c.run == run).order_by(history.c.id)
    return tuple(map(event_of, connection.execute(statement)))


def of_digests(connection: Connection, digests: Sequence[str]) -> tuple[Product, ...]:
    """The products that have these digests, oldest first."""
    statement = products_meant(Selection()).where(product.c.digest.in_(digests)).order_by(product.c.id)
    return tuple(map(product_of, connection.execute(statement)))


def _queue(
    kind: ColumnElement[str] | None, table: Table, key: ColumnElement[str], states: Sequence[str]
) -> Select[Any]:
    """The queues of a table: one a lane, and one a kind where the table has kinds."""
    now = func.now()
    silent = table.c.lease_until < now
    free = or_(table.c.holder.is_(None), silent)
    late = table.c.not_before > now
    since = table.c.wanted_since
    statement: Select[Any] = (
        select(
            (literal("ingest") if kind is None else kind).label("work"),
            table.c.lane,
            func.count().filter(free, func.coalesce(~late, literal(True))).label("ready"),
            func.count().filter(free, late).label("delayed"),
            func.count().filter(~free).label("leased"),
            func.count().filter(silent).label("expired"),
            func.array_agg(aggregate_order_by(key, since), type_=ARRAY(Text))[1].label("oldest"),
            func.min(since).label("oldest_since"),
        )
        .where(table.c.state.in_(states))
        .group_by(table.c.lane, *(() if kind is None else (kind,)))
    )
    return statement
