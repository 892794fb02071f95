"""Searches of upstream, and what they found that is not wanted."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from undersky.services.ledger.records import Actor, Rejection, Search
from undersky.services.ledger.rows import rejection_of, search_of
from undersky.services.ledger.tables import rejection, search


def record(connection: Connection, done: Search, rejected: Sequence[Rejection], by: Actor) -> int:
    """The search and its rejections are on record; the id of the search."""
    number: int = connection.execute(
        insert(search)
        .values(
            area=done.area,
            profile=done.profile,
            collection=done.collection,
            lane=done.lane,
            begin=done.begin,
            end=done.end,
            found=done.found,
            accepted=done.accepted,
            pages=done.pages,
            seconds=done.seconds,
            error=done.error,
            run=by.run,
            task=by.task,
            attempt=by.attempt,
            log=by.log,
        )
        .returning(search.c.id)
    ).scalar_one()
    # One order for everybody: two searches that reject the same ids must not wait for each other crosswise.
    # An id twice in one search is one row: PostgreSQL refuses to meet a row twice in one upsert.
    once = {(one.item_id, one.reason): one for one in rejected}
    rows = [_row(done, one, number) for _, one in sorted(once.items())]
    if rows:
        new = upsert(rejection)
        connection.execute(
            new.on_conflict_do_update(
                constraint="rejection_once",
                set_={
                    "sentence": new.excluded.sentence,
                    "last_search": new.excluded.last_search,
                    "last_seen": func.clock_timestamp(),
                },
            ),
            rows,
        )
    return number


def listed(
    connection: Connection, *, area: str | None, covering: datetime | None, limit: int
) -> tuple[Search, ...]:
    """Searches, newest first."""
    statement = select(search).order_by(search.c.id.desc()).limit(limit)
    if area is not None:
        statement = statement.where(search.c.area == area)
    if covering is not None:
        statement = statement.where(search.c.begin <= covering, search.c.end > covering)
    return tuple(search_of(row) for row in connection.execute(statement))


def of_day(connection: Connection, day: date, *, limit: int = 100) -> tuple[Search, ...]:
    """Searches whose window holds a part of that day, newest first."""
    begin, end = bounds(day)
    statement = (
        select(search)
        .where(search.c.begin < end, search.c.end > begin)
        .order_by(search.c.id.desc())
        .limit(limit)
    )
    return tuple(search_of(row) for row in connection.execute(statement))


def rejections(
    connection: Connection, *, tile: str | None, day: date | None, item_id: str | None
) -> tuple[Rejection, ...]:
    """Rejections, newest first."""
    statement = select(rejection).order_by(rejection.c.last_seen.desc()).limit(1000)
    if tile is not None:
        statement = statement.where(rejection.c.tile == tile)
    if day is not None:
        begin, end = bounds(day)
        statement = statement.where(rejection.c.sensed >= begin, rejection.c.sensed < end)
    if item_id is not None:
        statement = statement.where(rejection.c.item_id == item_id)
    return tuple(rejection_of(row) for row in connection.execute(statement))


def bounds(day: date) -> tuple[datetime, datetime]:
    """Begin and end of a day, UTC."""
    begin = datetime.combine(day, time.min, UTC)
    return begin, begin + timedelta(days=1)


def _row(done: Search, one: Rejection, number: int) -> dict[str, object]:
    return {
        "area": done.area,
        "profile": done.profile,
        "item_id": one.item_id,
        "reason": one.reason,
        "sentence": one.sentence,
        "collection": one.collection or done.collection,
        "tile": one.tile,
        "sensed": one.sensed,
        "first_search": number,
        "last_search": number,
    }
