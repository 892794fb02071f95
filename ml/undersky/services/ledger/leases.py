"""Claims: a lease on a row, with a fencing token that every later write must name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, true, update

from undersky.refs import Lane, SceneRef
from undersky.services.ledger.history import UNLEASED, Record, Why, move_acquisition, move_product, note_all
from undersky.services.ledger.records import (
    OPEN_ACQUISITION,
    OPEN_PRODUCT,
    AcquisitionState,
    Actor,
    LeaseLost,
    ProductState,
    Work,
)
from undersky.services.ledger.rows import ingest_ref, product_ref
from undersky.services.ledger.tables import acquisition, product

LONGEST_PAUSE = timedelta(hours=6)
NOT_ITS_FAULT = frozenset({"service_failed", "stopped", "config", "scratch_full", "model_withdrawn"})
"""Reasons that say nothing about the scene: it waits longer each time, and is never given up for them."""

AT_REST = (*OPEN_ACQUISITION, ProductState.WANTED)
"""States that a claim leaves as they are."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and at what distance a scene is tried."""

    max_tries: int
    """Runs that may try it."""
    backoff: timedelta
    """Pause after the first failed try."""

    def pause(self, tries: int) -> timedelta:
        """After that many failed tries."""
        longest = self.backoff.total_seconds() * 4.0 ** min(tries - 1, 20)
        return min(timedelta(seconds=min(longest, 1e7)), LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a claim."""

    lane: Lane
    limit: int
    lease: timedelta
    release: str | None
    """Digest of the pinned release set."""


def claim(connection: Connection, work: Work, terms: Terms, by: Actor, patience: Patience) -> list[SceneRef]:
    """Up to that many scenes, leased to the actor's run."""
    queue = _queue(work)
    refs: list[SceneRef] = []
    # Rows whose tries are used up leave the queue here and count for nothing: look again in their place.
    while True:
        rows = _free(connection, queue, terms, limit=terms.limit - len(refs))
        leased = [row for row in rows if not _given_up(connection, row, by, patience)]
        refs += _lease_all(connection, work, leased, terms, by)
        if len(leased) == len(rows):
            break
    return refs


def holding(connection: Connection, run: str, work: Work | None) -> list[SceneRef]:
    """The scenes that the run holds, newest sensing first."""
    refs: list[SceneRef] = []
    if work in (None, "ingest"):
        mine = select(acquisition).where(acquisition.c.holder == run).order_by(acquisition.c.sensed.desc())
        refs += [ingest_ref(row) for row in connection.execute(mine)]
    if work != "ingest":
        mine = select(product).where(product.c.holder == run).order_by(product.c.sensed.desc())
        if work is not None:
            mine = mine.where(product.c.kind == work)
        refs += _product_refs(connection, connection.execute(mine).all())
    return refs


def locked(connection: Connection, ref: SceneRef) -> Record:
    """The row that the scene is about, locked, its token still the lease's.

    Raises:
        LeaseLost: The token is stale.
    """
    if ref.product is None:
        statement = select(acquisition).where(acquisition.c.key == ref.acquisition)
    else:
        statement = select(product).where(product.c.id == ref.product)
    row = connection.execute(statement.with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise LeaseLost(f"{ref.acquisition}: the ledger has no such row; it was written for another ledger")
    if row.token != ref.token:
        now = f"held by {row.holder}" if row.holder else f"{row.state} ({row.reason})"
        raise LeaseLost(
            f"{ref.acquisition}: lease {ref.token} has ended, the row is at {row.token} and {now}: "
            "nothing was written, drop this work"
        )
    return row


def renew(connection: Connection, refs: Sequence[SceneRef], lease: timedelta, by: Actor) -> list[SceneRef]:
    """The leases stand from now on; those that are lost come back."""
    lost = []
    for ref in sorted(refs, key=order):
        table = acquisition if ref.product is None else product
        mine = acquisition.c.key == ref.acquisition if ref.product is None else product.c.id == ref.product
        held = (mine, table.c.token == ref.token, table.c.holder.is_not(None))
        done = update(table).where(*held).values(lease_until=func.now() + lease, holder_task=by.task)
        if connection.execute(done.returning(table.c.token)).one_or_none() is None:
            lost.append(ref)
    return lost


def order(ref: SceneRef) -> tuple[str, int]:
    """The one order in which rows are locked, so that nobody waits crosswise."""
    return ref.acquisition, ref.product or 0


def give_back(connection: Connection, ref: SceneRef, why: Why, by: Actor, patience: Patience) -> str | None:
    """The state it has then; None if the lease has ended already."""
    try:
        row = locked(connection, ref)
    except LeaseLost:
        return None
    if row.holder is None:
        return None
    return end_try(connection, row, why, by, patience)


def end_try(connection: Connection, row: Record, why: Why, by: Actor, patience: Patience) -> str:
    """A try is over without a result: the row waits for the next one, or is failed; the state it has then."""
    tries = row.tries + 1
    is_patient = why.reason in NOT_ITS_FAULT
    if tries >= patience.max_tries and not is_patient:
        return _fail(connection, row, why, by, tries)
    pause = patience.pause(tries)
    count = f"try {tries}" if is_patient else f"try {tries} of {patience.max_tries}"
    again = Why(why.reason, f"{why.sentence} ({count}, next in {_short(pause)})")
    # The token is raised here too: a late word of the holder who gave it back no longer counts.
    values = {"tries": tries, "not_before": func.now() + pause, "token": row.token + 1, **UNLEASED}
    if _is_product(row):
        return str(move_product(connection, row, ProductState.WANTED, again, by, **values).state)
    return str(move_acquisition(connection, row, row.state, again, by, **values).state)


@dataclass(frozen=True, slots=True)
class _Queue:
    """The rows among which a claim chooses."""

    table: Table
    states: Sequence[str]
    """In which a row waits."""
    is_its: ColumnElement[bool]
    """Whether a row of the table is of that work at all."""


def _queue(work: Work) -> _Queue:
    if work == "ingest":
        return _Queue(acquisition, OPEN_ACQUISITION, true())
    return _Queue(product, OPEN_PRODUCT, product.c.kind == work)


def _free(connection: Connection, queue: _Queue, terms: Terms, *, limit: int) -> Sequence[Record]:
    """Rows that nobody works on, locked; rows that somebody else is just taking are passed over."""
    table = queue.table
    statement = (
        select(table)
        .where(
            queue.is_its,
            table.c.lane == terms.lane,
            table.c.state.in_(queue.states),
            or_(table.c.lease_until.is_(None), table.c.lease_until < func.now()),
            or_(table.c.not_before.is_(None), table.c.not_before <= func.now()),
        )
        .order_by(table.c.sensed.desc())
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return connection.execute(statement).all()


def _given_up(connection: Connection, row: Record, by: Actor, patience: Patience) -> bool:
    """Whether the row's tries were used up by holders who fell silent: it is failed then."""
    if not _was_begun(row, by) or row.tries + 1 < patience.max_tries:
        return False
    _fail(connection, row, _expired(row), by, row.tries + 1)
    return True


def _lease_all(
    connection: Connection, work: Work, rows: Sequence[Record], terms: Terms, by: Actor
) -> list[SceneRef]:
    # Nearly all of them are free and fresh: those in two statements, however many they are.
    free = [row for row in rows if row.holder is None and row.state in AT_REST]
    done = _lease_free(connection, acquisition if work == "ingest" else product, free, terms, by)
    leased = [done.get(_id(row)) or _lease_one(connection, row, terms, by) for row in rows]
    if work == "ingest":
        return [ingest_ref(row) for row in leased]
    return _product_refs(connection, leased)


def _lease_free(
    connection: Connection, table: Table, rows: Sequence[Record], terms: Terms, by: Actor
) -> dict[str | int, Record]:
    """The rows as they are under lease."""
    if not rows:
        return {}
    why = Why("claimed", f"for {terms.lease}")
    note_all(connection, rows, why, by)
    key = table.primary_key.columns[0]
    values = {
        "reason": why.reason,
        "sentence": why.sentence,
        "log": by.log,
        "changed": func.clock_timestamp(),
        "token": table.c.token + 1,
        **_lease(terms, by, is_product=table is product),
    }
    statement = update(table).where(key.in_([_id(row) for row in rows])).values(values)
    return {_id(row): row for row in connection.execute(statement.returning(table))}


def _lease(terms: Terms, by: Actor, *, is_product: bool) -> dict[str, object]:
    """What a row has that is under lease, beside its token."""
    release = {"release": terms.release} if is_product and terms.release else {}
    until = func.now() + terms.lease
    return {"holder": by.run, "holder_task": by.task, "lease_until": until, "not_before": None, **release}


def _lease_one(connection: Connection, row: Record, terms: Terms, by: Actor) -> Record:
    """A row whose last holder fell silent, or left it half done, under lease."""
    why = Why("claimed", f"for {terms.lease}") if row.holder is None else _expired(row)
    values = {
        "token": row.token + 1,
        "tries": row.tries + _was_begun(row, by),
        **_lease(terms, by, is_product=_is_product(row)),
    }
    if not _is_product(row):
        return move_acquisition(connection, row, row.state, why, by, **values)
    # What an earlier try had made is made again: the same bytes under the same digest.
    return move_product(connection, row, ProductState.WANTED, why, by, **values)


def _product_refs(connection: Connection, rows: Sequence[Record]) -> list[SceneRef]:
    keys = {row.acquisition for row in rows}
    parents = {
        parent.key: parent
        for parent in connection.execute(select(acquisition).where(acquisition.c.key.in_(keys)))
    }
    of_maps = select(product).where(product.c.id.in_({row.source for row in rows if row.source is not None}))
    sources = {source.id: source for source in connection.execute(of_maps)}
    return [product_ref(row, parents[row.acquisition], sources.get(row.source)) for row in rows]


def _fail(connection: Connection, row: Record, why: Why, by: Actor, tries: int) -> str:
    final = Why(why.reason, f"{why.sentence} (given up after {tries} tries: `undersky retry` tries again)")
    values = {"tries": tries, "not_before": None, "token": row.token + 1, **UNLEASED}
    if _is_product(row):
        return str(move_product(connection, row, ProductState.FAILED, final, by, **values).state)
    return str(move_acquisition(connection, row, AcquisitionState.FAILED, final, by, **values).state)


def _was_begun(row: Record, by: Actor) -> bool:
    """Whether a stage worked under the row's last lease: it renews it under its own name.

    Where the claim's own name still stands, the batch only waited for its turn: that is nobody's try.
    """
    return row.holder is not None and row.holder_task != by.task


def _expired(row: Record) -> Why:
    silent = f"the lease of {row.holder} ({row.holder_task}) ran out at {row.lease_until:%Y-%m-%d %H:%M:%SZ}"
    return Why("lease_expired", f"{silent} without a word")


def _is_product(row: Record) -> bool:
    return "acquisition" in row._mapping  # noqa: SLF001  SQLAlchemy's public name for it


def _id(row: Record) -> str | int:
    number: str | int = row.id if _is_product(row) else row.key
    return number


def _short(pause: timedelta) -> str:
    minutes = pause.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes >= 1 else f"{pause.total_seconds():.0f} s"
