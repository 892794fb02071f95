"""Rolling maps: which tiles need another one, who makes it, which one counts.

    current maps of a tile, no older than the horizon  --differ from-->  those its rolling map was made of
        --> claimed: one lease a tile --> rolled, or taken back where no map is left

There is nothing to be told when a map is published, succeeded, or deprecated with its model: the sets differ
then, and the next claim sees it. No tile is given up: it waits longer after each failure, six hours at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CTE, ColumnElement, Connection, Text, and_, cast, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from undersky.errors import ConfigError
from undersky.refs import Kind, Made
from undersky.services.ledger.history import UNLEASED, Record, Why
from undersky.services.ledger.leases import Patience
from undersky.services.ledger.records import Actor, LeaseLost, ProductState
from undersky.services.ledger.tables import product, tile_map
from undersky.services.ledger.views import Lease
from undersky.tile_refs import HORIZON_DAYS, MOST_MAPS, ROLL_RULE, TileRef

WANTED, BUILT, EMPTY = "wanted", "built", "empty"
"""States: none was made yet; one lies in the catalog; no map is left that it could be of."""

_SET = ARRAY(Text)


@dataclass(frozen=True, slots=True)
class TileMap:
    """The rolling map of a tile, as the ledger knows it."""

    collection: str
    """Of the maps it is made of: `sentinel-2-landcover`."""
    tile: str
    state: str
    """`wanted`, `built` or `empty`; of the map that is there, not of the next one."""
    reason: str
    """Why it stands so."""
    sentence: str
    products: tuple[str, ...]
    """Digests of the maps it was made of, sorted."""
    digest: str | None
    href: str | None
    """Where its Item lies; None where there is none."""
    built: datetime | None
    tries: int
    """Failed ones since it was built last."""
    not_before: datetime | None
    """Nobody makes it again earlier."""
    lease: Lease | None
    """Of whoever makes it again."""


def claim(connection: Connection, *, limit: int, by: Actor, lease: timedelta) -> list[TileRef]:
    """Up to that many tiles whose rolling map is not of the maps that count, leased; newest sensing first."""
    current = _current()
    tiles = select(current.c.collection, current.c.tile).distinct()
    connection.execute(upsert(tile_map).from_select(["collection", "tile"], tiles).on_conflict_do_nothing())
    wanted = _wanted(current)
    digests = func.coalesce(wanted.c.digests, cast(literal("{}"), _SET)).label("digests")
    stale = (
        select(tile_map, digests)
        .join_from(tile_map, wanted, _same_tile(wanted), isouter=True)
        .where(
            or_(tile_map.c.products != digests, tile_map.c.rule.is_distinct_from(ROLL_RULE)),
            or_(tile_map.c.lease_until.is_(None), tile_map.c.lease_until < func.now()),
            or_(tile_map.c.not_before.is_(None), tile_map.c.not_before <= func.now()),
        )
        .order_by(wanted.c.newest.desc().nulls_last(), tile_map.c.collection, tile_map.c.tile)
        .limit(limit)
        .with_for_update(skip_locked=True, of=tile_map)
    )
    return _refs(connection, [_lease(connection, row, by, lease) for row in connection.execute(stale).all()])


def holding(connection: Connection, run: str) -> list[TileRef]:
    """The tiles that the run holds."""
    mine = select(tile_map).where(tile_map.c.holder == run).order_by(tile_map.c.collection, tile_map.c.tile)
    return _refs(connection, connection.execute(mine).all())


def renew(connection: Connection, ref: TileRef, lease: timedelta, by: Actor) -> bool:
    """Whether the lease stands, from now on for that long."""
    held = (*_is(ref), tile_map.c.token == ref.token, tile_map.c.holder.is_not(None))
    values = {"lease_until": func.now() + lease, "holder_task": by.task}
    done = update(tile_map).where(*held).values(values).returning(tile_map.c.token)
    return connection.execute(done).one_or_none() is not None


def give_back(connection: Connection, ref: TileRef, why: Why, by: Actor, patience: Patience) -> bool:
    """Whether the lease still stood; then the tile waits for its next try."""
    try:
        row = locked(connection, ref)
    except LeaseLost:
        return False
    if row.holder is None:
        return False
    tries = row.tries + 1
    again = {"tries": tries, "not_before": func.now() + patience.pause(tries), "token": row.token + 1}
    _change(connection, ref, why, by, {**again, **UNLEASED})
    return True


def locked(connection: Connection, ref: TileRef) -> Record:
    """The tile's row, locked, its token still the lease's.

    Raises:
        LeaseLost: The token is stale.
    """
    row = connection.execute(select(tile_map).where(*_is(ref)).with_for_update()).one_or_none()
    if row is None:
        raise LeaseLost(f"{ref.tile}: the ledger has no such tile; it was written for another ledger")
    if row.token != ref.token:
        now = f"held by {row.holder}" if row.holder else f"{row.state} ({row.reason})"
        raise LeaseLost(
            f"{ref.tile}: lease {ref.token} has ended, the row is at {row.token} and {now}: nothing was "
            "written, drop this work"
        )
    return row


class Rolling:
    """A tile whose row is locked while its Item is put; what is said here holds when the block ends."""

    def __init__(self, connection: Connection, ref: TileRef, row: Record, by: Actor) -> None:
        self._connection, self._ref, self._row, self._by = connection, ref, row, by
        self.earlier: str | None = row.href
        """Where the Item lies that the new one takes the place of."""
        self.done: bool = row.holder is None
        """Whether an earlier try said how it ended: nothing is left to do."""
        self.digest: str | None = row.digest
        """Of the rolling map that is there."""

    def gone(self) -> tuple[str, ...]:
        """Digests of maps it was made of that do not count any more: succeeded, or their model taken back."""
        counting = select(product.c.digest).where(
            *_counts(), product.c.collection == self._ref.collection, product.c.tile == self._ref.tile
        )
        there = set(self._connection.scalars(counting))
        return tuple(each.digest for each in self._ref.products if each.digest not in there)

    def rolled(self, made: Made, href: str) -> None:
        """The Item lies there: the rolling map of the tile, of the maps that were claimed."""
        new = {
            "state": BUILT, "digest": made.digest, "href": href, "built": func.clock_timestamp(),
            "made": made.model_dump(mode="json", exclude_none=True),
        }  # fmt: skip
        self._end(Why("rolled", f"of {len(self._ref.products)} maps: {href}"), new)

    def emptied(self) -> None:
        """The tile has no rolling map any more: no map counts that it could be of."""
        new = {"state": EMPTY, "digest": None, "href": None, "made": None}
        self._end(Why("no_maps", "no published map is left that counts"), new)

    def outdated(self, gone: Sequence[str]) -> None:
        """What was made is of a map that does not count any more: it is made again, at once."""
        sentence = f"{len(gone)} of its maps did not count any more when it was to be published"
        values = {"token": self._row.token + 1, "not_before": None, **UNLEASED}
        _change(self._connection, self._ref, Why("outdated", sentence), self._by, values)

    def _end(self, why: Why, new: Mapping[str, object]) -> None:
        done = {
            "products": self._row.wanted, "rule": ROLL_RULE, "tries": 0, "not_before": None, **UNLEASED,
        }  # fmt: skip
        _change(self._connection, self._ref, why, self._by, {**new, **done})


def listed(connection: Connection) -> tuple[TileMap, ...]:
    """Every tile that ever had a map, by name."""
    rows = connection.execute(select(tile_map).order_by(tile_map.c.collection, tile_map.c.tile))
    return tuple(
        TileMap(
            collection=row.collection,
            tile=row.tile,
            state=row.state,
            reason=row.reason,
            sentence=row.sentence,
            products=tuple(row.products),
            digest=row.digest,
            href=row.href,
            built=row.built,
            tries=row.tries,
            not_before=row.not_before,
            lease=_lease_of(row),
        )
        for row in rows
    )


def again(connection: Connection, tile: str, by: Actor, *, why: str) -> int:
    """How many rolling maps of that tile are to be made again, of whatever maps count then.

    Raises:
        ConfigError: The tile has none.
    """
    values = {
        "rule": None, "not_before": None, "reason": "again", "sentence": why, "log": by.log,
        "changed": func.clock_timestamp(), "token": tile_map.c.token + 1, **UNLEASED,
    }  # fmt: skip
    number = connection.execute(update(tile_map).where(tile_map.c.tile == tile).values(values)).rowcount
    if not number:
        raise ConfigError(f"no tile {tile} has a rolling map: `undersky rolling list` names those that have")
    return number


def _counts() -> tuple[ColumnElement[bool], ...]:
    """Whether a map is one that counts."""
    return (
        product.c.kind == Kind.LANDCOVER,
        product.c.state == ProductState.PUBLISHED,
        product.c.successor.is_(None),
        product.c.deprecated.is_(None),
    )


def _current() -> CTE:
    """The maps that rolling maps are to be made of."""
    tile = (product.c.collection, product.c.tile)
    newest_first = (product.c.sensed.desc(), product.c.digest.desc())
    counting = (
        select(
            *(*tile, product.c.digest, product.c.sensed),
            func.max(product.c.sensed).over(partition_by=tile).label("newest"),
            func.row_number().over(partition_by=tile, order_by=newest_first).label("place"),
        )
        .where(*_counts())
        .subquery("counting")
    )
    within = counting.c.sensed > counting.c.newest - timedelta(days=HORIZON_DAYS)
    return select(counting).where(within, counting.c.place <= MOST_MAPS).cte("current")


def _wanted(current: CTE) -> CTE:
    """Of each tile the set that counts, sorted."""
    digests = func.array_agg(aggregate_order_by(current.c.digest, current.c.digest), type_=_SET)
    return (
        select(
            current.c.collection,
            current.c.tile,
            digests.label("digests"),
            func.max(current.c.newest).label("newest"),
        )
        .group_by(current.c.collection, current.c.tile)
        .cte("wanted")
    )


def _same_tile(wanted: CTE) -> ColumnElement[bool]:
    return and_(wanted.c.collection == tile_map.c.collection, wanted.c.tile == tile_map.c.tile)


def _is(ref: TileRef) -> tuple[ColumnElement[bool], ...]:
    return tile_map.c.collection == ref.collection, tile_map.c.tile == ref.tile


def _lease(connection: Connection, row: Record, by: Actor, lease: timedelta) -> Record:
    """The row, under lease; one on which somebody worked who then fell silent has a try more behind it."""
    silent = row.holder is not None and row.holder_task != by.task
    values = {
        "token": row.token + 1, "holder": by.run, "holder_task": by.task, "lease_until": func.now() + lease,
        "not_before": None, "wanted": row.digests, "tries": row.tries + silent, "reason": "claimed",
        "sentence": f"for {lease}, of {len(row.digests)} maps", "log": by.log,
        "changed": func.clock_timestamp(),
    }  # fmt: skip
    here = (tile_map.c.collection == row.collection, tile_map.c.tile == row.tile)
    return connection.execute(update(tile_map).where(*here).values(values).returning(tile_map)).one()


def _change(connection: Connection, ref: TileRef, why: Why, by: Actor, values: Mapping[str, object]) -> None:
    said = {"reason": why.reason, "sentence": why.sentence, "log": by.log, "changed": func.clock_timestamp()}
    connection.execute(update(tile_map).where(*_is(ref)).values({**said, **values}))


def _refs(connection: Connection, rows: Sequence[Record]) -> list[TileRef]:
    digests = {digest for row in rows for digest in row.wanted}
    made = select(product).where(product.c.digest.in_(digests), product.c.state == ProductState.PUBLISHED)
    maps = {(each.collection, each.tile, each.digest): each for each in connection.execute(made)}
    refs = []
    for row in rows:
        keys = [(row.collection, row.tile, digest) for digest in row.wanted]
        found = sorted((maps[key] for key in keys if key in maps), key=lambda one: (one.sensed, one.digest))
        refs.append(
            TileRef(
                collection=row.collection,
                tile=row.tile,
                token=row.token,
                products=tuple(Made.model_validate(one.made) for one in found),
                sensed=found[-1].sensed if found else None,
            )
        )
    return refs


def _lease_of(row: Record) -> Lease | None:
    if row.holder is None:
        return None
    return Lease(run=row.holder, task=row.holder_task or "", until=row.lease_until, token=row.token)
