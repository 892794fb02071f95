"""The ledger as everybody else sees it: every method is one transaction."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Self

from sqlalchemy import Engine, func, select

from undersky.refs import Judged, Kind, Lane, Made, Outcome, ReleaseSet, SceneRef
from undersky.services.ledger import (
    announcing,
    areas,
    leases,
    products,
    restoring,
    schema,
    searches,
    settling,
    wanting,
)
from undersky.services.ledger.connecting import converted, engine_for
from undersky.services.ledger.history import Why
from undersky.services.ledger.leases import Patience
from undersky.services.ledger.products import Publishing
from undersky.services.ledger.records import (
    AcquisitionState,
    Actor,
    Announced,
    Announcement,
    Area,
    ProductState,
    Rejection,
    Search,
    Work,
)
from undersky.services.ledger.restoring import Fenced
from undersky.services.ledger.tiles import Tiles


class Ledger(Tiles):
    """The truth about every acquisition and product, in PostgreSQL.

    Every method is one transaction: it happens as a whole or not at all. Leases are judged by the clock of
    the database alone. May be used from several threads.

    Raises:
        ServiceError: (every method) the database does not answer, or was too busy; nothing was written.
    """

    def __init__(self, engine: Engine, *, patience: Patience) -> None:
        super().__init__(engine)
        self._patience = patience

    @classmethod
    def open(cls, url: str, *, max_tries: int = 5, backoff: timedelta = timedelta(minutes=2)) -> Self:
        """The ledger, its schema checked.

        Args:
            url: PostgreSQL address, `postgresql://user@host/database`.
            max_tries: Runs that may try a scene before it counts as failed.
            backoff: Pause after a first failed try; four times as long after each further one, at most six
                hours.

        Raises:
            ConfigError: Wrong address or password, or a schema that is not migrated, or newer than this code.
            ServiceError: The database does not answer.
        """
        engine = engine_for(url)
        try:
            with converted(engine), engine.connect() as connection:
                schema.check(connection)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, patience=Patience(max_tries, backoff))

    @staticmethod
    def migrate(url: str) -> str:
        """Brings the schema up to date, once, however many do it at a time; the revision it has then.

        Raises:
            ConfigError: Wrong address or password, or a schema newer than this code.
            ServiceError: The database does not answer.
        """
        return schema.migrate(url)

    def close(self) -> None:
        """Ends every connection."""
        self._engine.dispose()

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Of all processes only this one is inside a block of that name; the others wait for a minute.

        The lock is the connection's: it ends with a process that dies, and holds no transaction open.

        Raises:
            ServiceError: Somebody else is inside for longer than a minute.
        """
        key = func.hashtextextended(name, 0)
        with converted(self._engine), self._engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(select(func.pg_advisory_lock(key)))
            try:
                yield
            finally:
                connection.execute(select(func.pg_advisory_unlock(key)))

    # areas

    def add_area(self, area: Area, by: Actor) -> None:
        """The area is wanted from now on.

        Raises:
            ConfigError: Another area has that name.
        """
        with self._transaction() as connection:
            areas.add(connection, area, by)

    def areas(self, *, active: bool = False) -> tuple[Area, ...]:
        """Every area, by name; only those that are not paused if `active`."""
        with self._transaction() as connection:
            return areas.listed(connection, active=active)

    def pause_area(self, name: str, reason: str, by: Actor) -> None:
        """Nothing new is searched there; what is known goes on.

        Raises:
            ConfigError: No area has that name.
        """
        with self._transaction() as connection:
            areas.pause(connection, name, reason, by)

    def resume_area(self, name: str, by: Actor) -> None:
        """The area is searched again.

        Raises:
            ConfigError: No area has that name.
        """
        with self._transaction() as connection:
            areas.resume(connection, name, by)

    # searches

    def record_search(self, search: Search, rejections: Sequence[Rejection], by: Actor) -> int:
        """The search and what it rejected are on record; its id.

        An id that area and profile rejected before for the same reason is one row, seen again.
        """
        with self._transaction() as connection:
            return searches.record(connection, search, rejections, by)

    def searches(
        self, *, area: str | None = None, covering: datetime | None = None, limit: int = 100
    ) -> tuple[Search, ...]:
        """Searches, newest first; only those whose window holds the moment `covering`."""
        with self._transaction() as connection:
            return searches.listed(connection, area=area, covering=covering, limit=limit)

    def rejections(
        self, *, tile: str | None = None, day: date | None = None, item_id: str | None = None
    ) -> tuple[Rejection, ...]:
        """What was found and not wanted, newest first."""
        with self._transaction() as connection:
            return searches.rejections(connection, tile=tile, day=day, item_id=item_id)

    def announce(self, announcement: Announcement, by: Actor) -> Announced:
        """The delivery is on record, once, however often and by whomever it is announced."""
        with self._transaction() as connection:
            return announcing.announce(connection, announcement, by)

    # leases

    def claim(
        self,
        work: Work,
        *,
        lane: Lane,
        limit: int,
        by: Actor,
        lease: timedelta,
        release: ReleaseSet | None = None,
    ) -> list[SceneRef]:
        """Up to `limit` scenes of that lane that nobody else works on, newest sensing first.

        A scene whose last lease expired is among them, and its history says so; one whose tries are used up
        becomes failed instead.
        """
        with self._transaction() as connection:
            return leases.claim(
                connection,
                work,
                leases.Terms(lane, limit, lease, release.digest if release else None),
                by,
                self._patience,
            )

    def holding(self, run: str, work: Work | None = None) -> list[SceneRef]:
        """The scenes whose lease that run holds, expired or not, newest sensing first."""
        with self._transaction() as connection:
            return leases.holding(connection, run, work)

    def renew(self, refs: Sequence[SceneRef], by: Actor, lease: timedelta) -> list[SceneRef]:
        """The leases stand from now on for `lease`; what comes back are the scenes that are lost."""
        with self._transaction() as connection:
            return leases.renew(connection, refs, lease, by)

    def give_back(self, refs: Sequence[SceneRef], by: Actor, reason: str, sentence: str) -> list[SceneRef]:
        """The scenes may be claimed again after a pause, or are failed if their tries are used up.

        Returns:
            Those whose lease had ended already; nothing was written for them.
        """
        with self._transaction() as connection:
            return [
                ref
                for ref in sorted(refs, key=leases.order)
                if leases.give_back(connection, ref, Why(reason, sentence), by, self._patience) is None
            ]

    def fence(self, by: Actor) -> Fenced:
        """After a restore: every lease has ended, and no token that was ever given is given again.

        Raises:
            ServiceError: Somebody works with the ledger and holds its tables.
        """
        with self._transaction() as connection:
            return restoring.fence(connection, by)

    # ingest

    def settle(self, ref: SceneRef, outcome: Outcome, by: Actor) -> AcquisitionState:
        """The acquisition stands where its outcome puts it; saying it twice changes nothing.

        An outcome with `ingested` puts the files on record (`ingested`); a `done` of validate-l1 makes it
        `valid` and a surface product wanted. `retry` gives it back. Any state but `ingested` ends the lease.

        Args:
            ref: The scene, with its lease.
            outcome: Of validate-l1, with the `ingested` of the stage before; or of ingest.
            by: Who.

        Raises:
            LeaseLost: The lease has ended.
        """
        with self._transaction() as connection:
            return settling.settle(connection, ref, outcome, by, self._patience)

    # products

    def want_maps(self, kinds: Iterable[Kind], by: Actor) -> int:
        """Of every current surface product a map of each kind was wanted; saying it twice changes nothing.

        Current is what is published, has no successor and is not deprecated. A map of a surface product that
        is not, if unpublished, is withdrawn (`superseded`, `source_deprecated`). Ships are looked for in
        Sentinel-2 alone. A map waits in the lane of its surface product; in the historical one where that was
        published more than two days ago.

        Args:
            kinds: Those whose model is released.
            by: Who.

        Returns:
            How many maps are wanted that were not.
        """
        with self._transaction() as connection:
            return wanting.want_maps(connection, kinds, by)

    def made(self, ref: SceneRef, made: Made, by: Actor, *, is_lost: bool = False) -> ProductState:
        """The product's assets are on record; saying it twice changes nothing.

        Args:
            ref: The scene, with its lease.
            made: What was made.
            by: Who.
            is_lost: No Item lies where that product's belongs: an equal one that is published is made again.

        Returns:
            `made`; `withdrawn` if the acquisition has that very product already (reason `same_product`); or
            the state that an earlier saying led to.

        Raises:
            LeaseLost: The lease has ended.
        """
        with self._transaction() as connection:
            return products.made(connection, ref, made, by, is_lost=is_lost)

    def checked(self, ref: SceneRef, judged: Judged | None, by: Actor) -> ProductState:
        """The product was judged good and waits to be published.

        Raises:
            LeaseLost: The lease has ended.
        """
        with self._transaction() as connection:
            return products.checked(connection, ref, judged, by)

    def ended(self, ref: SceneRef, outcome: Outcome, by: Actor) -> ProductState:
        """The work on a product ended other than `done`: held, retry, failed, skipped or quarantined.

        Returns:
            `checked` where the outcome says held but a person has released the product: publish it.
            `withdrawn` where skipped or quarantined: the acquisition itself has that state now, unless it is
            a map that ended so.

        Raises:
            LeaseLost: The lease has ended.
        """
        with self._transaction() as connection:
            return products.ended(connection, ref, outcome, by, self._patience)

    def held(self, ref: SceneRef, outcome: Outcome, by: Actor) -> ProductState:
        """As `ended`."""
        return self.ended(ref, outcome, by)

    def failed(self, ref: SceneRef, outcome: Outcome, by: Actor) -> ProductState:
        """As `ended`."""
        return self.ended(ref, outcome, by)

    @contextmanager
    def publishing(self, ref: SceneRef, made: Made, by: Actor) -> Iterator[Publishing]:
        """The product's row is locked and its lease checked: the Item may be put, and then `published` said.

        Nobody else can claim or change the row meanwhile. If the block ends without `published`, or with an
        exception, nothing has changed here.

        Raises:
            LeaseLost: The lease has ended.
        """
        with self._transaction() as connection:
            yield products.publishing(connection, ref, made, by)

    def withdraw(self, product: int, by: Actor, *, why: str) -> None:
        """The product is not wanted any more; a published Item stays readable.

        Raises:
            ConfigError: No such product, or it is withdrawn already.
        """
        with self._transaction() as connection:
            products.withdraw(connection, product, by, why=why)
