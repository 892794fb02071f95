r"""Products become wanted: surface reflectance of every valid acquisition, maps of every published one.

    acquisition --valid--> surface --published--> landcover
                                            \---> vessels       where the satellite sees ships

A surface product is mapped once: whatever becomes of the map, another one is wanted only by a person, by a
campaign, or because another surface product takes the place of that one.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, String, case, cast, exists, func, insert, literal, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from undersky.refs import Kind, Lane
from undersky.services.ledger.history import UNLEASED, Record, Why, move_product, note
from undersky.services.ledger.records import OPEN_PRODUCT, Actor, ProductState
from undersky.services.ledger.tables import acquisition, history, product

COLLECTIONS: Mapping[Kind, tuple[str, ...]] = {
    Kind.LANDCOVER: ("sentinel-2-l1c", "landsat-c2-l1"),
    Kind.VESSELS: ("sentinel-2-l1c",),  # at 30 m most ships are smaller than a pixel
}
"""Level-1 collections of which a kind of map is made."""

FRESH_FOR = timedelta(days=2)
"""A surface product that was published longer ago is mapped in the historical lane."""

LOCK = "undersky want_maps"
"""Of `pg_advisory_xact_lock`: of two claims at once the second sees what the first wanted."""

UNPUBLISHED = (*OPEN_PRODUCT, ProductState.HELD, ProductState.FAILED)
"""Maps that a newer surface product makes pointless."""


def want_surface(
    connection: Connection, row: Record, why: Why, by: Actor, *, lane: Lane, campaign: str | None = None
) -> Record | None:
    """A surface product of the acquisition waits to be made, for a campaign if named; None if one waits.

    The caller holds the acquisition's lock.
    """
    return _want(connection, row, why, by, kind=Kind.SURFACE, lane=lane, campaign=campaign, source=None)


def want_again(
    connection: Connection,
    row: Record,
    why: Why,
    by: Actor,
    *,
    kind: Kind,
    lane: Lane,
    campaign: str | None = None,
) -> Record | None:
    """As `want_surface`, for any kind; None also where a map has no surface product to be made of.

    The caller holds the acquisition's lock.
    """
    if kind is Kind.SURFACE:
        return want_surface(connection, row, why, by, lane=lane, campaign=campaign)
    current = select(product.c.id).where(product.c.acquisition == row.key, is_current(product))
    source = connection.scalar(current.order_by(product.c.id.desc()).limit(1))
    if source is None:
        return None
    return _want(connection, row, why, by, kind=kind, lane=lane, campaign=campaign, source=source)


def want_maps(connection: Connection, kinds: Iterable[Kind], by: Actor) -> int:
    """How many maps are wanted that were not: each current surface product is mapped once in each kind.

    What waits for a map of a surface product that does not count any more is withdrawn.
    """
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(LOCK, 0))))
    _withdraw_outdated(connection, by)
    return sum(_want_missing(connection, kind, by) for kind in kinds if kind.is_map)


def is_current(table: Any) -> Any:
    """Whether a row is the surface product that counts: the newest, and of models that are in use."""
    return (
        (table.c.kind == Kind.SURFACE)
        & (table.c.state == ProductState.PUBLISHED)
        & table.c.successor.is_(None)
        & table.c.deprecated.is_(None)
    )


def outdated(source: Record) -> Why | None:
    """Why no map is to be made of that surface product any more; None while it counts."""
    name = f"surface product {source.id}"
    if source.successor is not None:
        return Why("superseded", f"product {source.successor} took the place of {name}: that one is mapped")
    if source.state != ProductState.PUBLISHED:
        return Why("superseded", f"{name}, of which it was to be made, is {source.state}: {source.sentence}")
    if source.deprecated is not None:
        return Why("source_deprecated", f"{name}, of which it was to be made: {source.deprecated}")
    return None


def _want(
    connection: Connection,
    row: Record,
    why: Why,
    by: Actor,
    *,
    kind: Kind,
    lane: Lane,
    campaign: str | None,
    source: int | None,
) -> Record | None:
    waiting = select(product.c.id).where(
        product.c.acquisition == row.key, product.c.kind == kind, product.c.state.in_(OPEN_PRODUCT)
    )
    if connection.execute(waiting).first() is not None:
        return None
    born = connection.execute(
        insert(product)
        .values(
            acquisition=row.key,
            kind=kind,
            scene=row.scene,
            tile=row.tile,
            sensed=row.sensed,
            lane=lane,
            state=ProductState.WANTED,
            reason=why.reason,
            sentence=why.sentence,
            log=by.log,
            campaign=campaign,
            source=source,
        )
        .returning(product)
    ).one()
    note(connection, born, ProductState.WANTED, why, by, born=True)
    return born


def _withdraw_outdated(connection: Connection, by: Actor) -> None:
    source = product.alias("source")
    pointless = (
        select(product)
        .join(source, source.c.id == product.c.source)
        .where(product.c.state.in_(UNPUBLISHED), ~is_current(source))
        .order_by(product.c.acquisition, product.c.id)
        .with_for_update(key_share=True, of=product)
    )
    for row in connection.execute(pointless).all():
        why = outdated(connection.execute(select(product).where(product.c.id == row.source)).one())
        if why is not None:
            # The raised token: whoever works on it can no longer write.
            move_product(connection, row, ProductState.WITHDRAWN, why, by, token=row.token + 1, **UNLEASED)


def _want_missing(connection: Connection, kind: Kind, by: Actor) -> int:
    """In one statement, with a line in the history of each: the first model of a kind maps the archive."""
    surface, other = product.alias("surface"), product.alias("other")
    is_late = surface.c.published < func.now() - FRESH_FOR
    fields = {
        "acquisition": surface.c.acquisition,
        "kind": literal(str(kind)),
        "scene": surface.c.scene,
        "tile": surface.c.tile,
        "sensed": surface.c.sensed,
        "lane": case((is_late, literal(str(Lane.HISTORICAL))), else_=surface.c.lane),
        "state": literal(str(ProductState.WANTED)),
        "reason": literal("wanted"),
        "sentence": literal("surface product ") + cast(surface.c.id, String) + literal(" is published"),
        "log": literal(by.log, String),
        "source": surface.c.id,
    }
    mapped = exists().where(other.c.source == surface.c.id, other.c.kind == kind)
    waits = exists().where(
        other.c.acquisition == surface.c.acquisition, other.c.kind == kind, other.c.state.in_(OPEN_PRODUCT)
    )
    missing = (
        select(*(value.label(name) for name, value in fields.items()))
        .join_from(surface, acquisition, acquisition.c.key == surface.c.acquisition)
        .where(is_current(surface), acquisition.c.collection.in_(COLLECTIONS[kind]), ~or_(mapped, waits))
    )
    born = (
        upsert(product)
        .from_select(list(fields), missing)
        .on_conflict_do_nothing()
        .returning(product.c.id, product.c.acquisition, product.c.scene, product.c.sentence)
        .cte("born")
    )
    line = {
        "acquisition": born.c.acquisition,
        "product": born.c.id,
        "scene": born.c.scene,
        "run": literal(by.run),
        "task": literal(by.task),
        "attempt": literal(by.attempt),
        "reason": literal("wanted"),
        "sentence": born.c.sentence,
        "log": literal(by.log, String),
        "after": literal(str(ProductState.WANTED)),
    }
    lines = insert(history).from_select(
        list(line), select(*(value.label(name) for name, value in line.items()))
    )
    return connection.execute(lines).rowcount
