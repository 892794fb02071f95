"""What people ask the ledger and tell it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from sqlalchemy import Connection, Engine

from undersky.refs import Lane
from undersky.services.ledger import managing, queries
from undersky.services.ledger.connecting import converted
from undersky.services.ledger.records import Action, Actor, Change, Selection
from undersky.services.ledger.views import Acquisition, Count, Day, Event, Product, Story, Waiting


class People:
    """The part of the ledger that answers questions and takes orders; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with converted(self._engine), self._engine.begin() as connection:
            yield connection

    def manage(
        self,
        action: Action,
        selection: Selection,
        *,
        by: Actor,
        why: str,
        dry_run: bool = False,
        lane: Lane = Lane.HISTORICAL,
    ) -> tuple[Change, ...]:
        """What `retry`, `release`, `skip` or `remake` changes, or with `dry_run` would change.

        Args:
            action: What to do.
                retry: failed, quarantined and delayed scenes are tried again now; skipped and held ones if
                they or their state are named.
                release: held products are published; quarantined and skipped acquisitions, if they or their
                state are named, count as valid.
                skip: nothing more is done; what is published stays.
                remake: a published product (a held, failed or withdrawn one if its state is named) is made
                again; what is published stays until then.
            selection: Which; an empty one is refused.
            by: Who.
            why: The reason, for the history.
            dry_run: Change nothing.
            lane: In which a remake waits: historical ones never delay fresh scenes.

        Raises:
            ConfigError: The selection or the reason is empty.
        """
        return managing.manage(
            self._engine, action, selection, managing.Order(by=by, why=why, lane=lane, dry_run=dry_run)
        )

    def retry(
        self, selection: Selection, *, by: Actor, why: str, dry_run: bool = False
    ) -> tuple[Change, ...]:
        """As `manage("retry", ...)`."""
        return self.manage("retry", selection, by=by, why=why, dry_run=dry_run)

    def skip(self, selection: Selection, *, by: Actor, why: str, dry_run: bool = False) -> tuple[Change, ...]:
        """As `manage("skip", ...)`."""
        return self.manage("skip", selection, by=by, why=why, dry_run=dry_run)

    def remake(
        self,
        selection: Selection,
        *,
        by: Actor,
        why: str,
        dry_run: bool = False,
        lane: Lane = Lane.HISTORICAL,
    ) -> tuple[Change, ...]:
        """As `manage("remake", ...)`."""
        return self.manage("remake", selection, by=by, why=why, dry_run=dry_run, lane=lane)

    def waiting(self) -> tuple[Waiting, ...]:
        """The queues: one for each work and lane, empty ones too."""
        with self._transaction() as connection:
            return queries.waiting(connection)

    def counts(self, *, since: datetime | None = None) -> tuple[Count, ...]:
        """Rows by lane, state and reason; only those that changed since then (aware)."""
        with self._transaction() as connection:
            return queries.counts(connection, since)

    def story(self, key_or_scene: str) -> Story | None:
        """Everything about one acquisition, by its key or the id of any delivery; None if unknown."""
        with self._transaction() as connection:
            return queries.story(connection, key_or_scene)

    def day(self, tile: str, day: date) -> Day:
        """What is known about one tile on one day (UTC)."""
        with self._transaction() as connection:
            return queries.day(connection, tile, day)

    def find(self, tile: str, day: date) -> tuple[Acquisition, ...]:
        """Acquisitions of one tile on one day (UTC), earliest first."""
        with self._transaction() as connection:
            return queries.find(connection, tile, day)

    def acquisitions(self, selection: Selection, *, limit: int = 100) -> tuple[Acquisition, ...]:
        """Acquisitions that match, newest change first; state and reason are the acquisition's."""
        with self._transaction() as connection:
            return queries.acquisitions(connection, selection, limit=limit)

    def products(self, selection: Selection, *, limit: int = 100) -> tuple[Product, ...]:
        """Products that match, newest change first; state and reason are the product's."""
        with self._transaction() as connection:
            return queries.products(connection, selection, limit=limit)

    def published(self, collection: str | None = None, *, current: bool = False) -> Iterator[Product]:
        """Published products in the order in which they were first wanted, read a page at a time.

        Args:
            collection: Of the product, as its Item names it.
            current: Only those that have no successor.
        """
        last = 0
        while True:
            with self._transaction() as connection:
                page = queries.published(connection, collection, current=current, after=last)
            yield from page
            if not page:
                return
            last = page[-1].id

    def events(self, run: str) -> tuple[Event, ...]:
        """What that run changed, oldest first."""
        with self._transaction() as connection:
            return queries.events(connection, run)

    def of_digests(self, digests: Sequence[str]) -> tuple[Product, ...]:
        """The products that have these digests, in whatever state."""
        with self._transaction() as connection:
            return queries.of_digests(connection, digests)
