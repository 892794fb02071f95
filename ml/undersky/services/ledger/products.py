"""Products on their way from wanted to published."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, func, or_, select, update

from undersky.errors import ConfigError
from undersky.refs import Ending, Judged, Kind, Made, Outcome, SceneRef
from undersky.services.ledger.history import UNLEASED, Record, Why, move_acquisition, move_product, note
from undersky.services.ledger.leases import Patience, end_try, locked
from undersky.services.ledger.records import AcquisitionState, Actor, LeaseLost, ProductState
from undersky.services.ledger.tables import acquisition, product
from undersky.services.ledger.views import Predecessor
from undersky.services.ledger.wanting import outdated

PASSED = {
    ProductState.MADE: (ProductState.MADE, ProductState.CHECKED, ProductState.PUBLISHED),
    ProductState.CHECKED: (ProductState.CHECKED, ProductState.PUBLISHED),
}
"""States in which a product has that step behind it."""

ENDS_BOTH = {
    Ending.SKIPPED: AcquisitionState.SKIPPED,
    Ending.QUARANTINED: AcquisitionState.QUARANTINED,
}
"""Endings of a surface product that speak about its acquisition; those of a map speak about the map."""


def made(
    connection: Connection, ref: SceneRef, product_made: Made, by: Actor, *, is_lost: bool = False
) -> ProductState:
    """The assets are on record.

    Args:
        connection: In a transaction.
        ref: The scene, with its lease.
        product_made: What was made.
        by: Who.
        is_lost: No Item lies where that product's belongs: an equal one that is published says nothing then.

    Raises:
        LeaseLost: The lease has ended.
    """
    row = locked(connection, ref)
    if row.holder is None or (_is_behind(row, ProductState.MADE) and row.digest == product_made.digest):
        return ProductState(row.state)
    twin = _same_product(connection, row, product_made.digest)
    if twin is not None and _counts(twin, is_lost=is_lost):
        why = Why("same_product", f"it equals product {twin.id}, {twin.state}: {product_made.id}")
        if row.source is not None:
            # The equal map is of the surface product that counts now: nobody has to make it again for that.
            connection.execute(update(product).where(product.c.id == twin.id).values(source=row.source))
        return _state(
            move_product(connection, row, ProductState.WITHDRAWN, why, by, successor=twin.id, **UNLEASED)
        )
    if twin is not None:
        why = Why("same_product", f"it was made again as product {row.id}")
        move_product(connection, twin, ProductState.WITHDRAWN, why, by, successor=row.id)
    why = Why("made", f"{product_made.id}, {product_made.bytes / 1e6:.1f} MB in {product_made.seconds:.0f} s")
    values = {
        "digest": product_made.digest,
        "collection": product_made.collection,
        "made": product_made.model_dump(mode="json", exclude_none=True),
        "judged": None,
        # Who released it looked at those pixels, not at what another model makes of the scene.
        "released": row.released and row.digest in (None, product_made.digest),
    }
    return _state(move_product(connection, row, ProductState.MADE, why, by, **values))


def checked(connection: Connection, ref: SceneRef, judged: Judged | None, by: Actor) -> ProductState:
    """The product was judged good.

    Raises:
        LeaseLost: The lease has ended.
    """
    row = locked(connection, ref)
    if row.holder is None or _is_behind(row, ProductState.CHECKED):
        return ProductState(row.state)
    _need_state(row, ProductState.MADE, "checked")
    said = f"{judged.expectations} expectations, {len(judged.failed)} failed" if judged else "not judged"
    values = {"judged": _json(judged)}
    return _state(move_product(connection, row, ProductState.CHECKED, Why("checked", said), by, **values))


def ended(
    connection: Connection, ref: SceneRef, outcome: Outcome, by: Actor, patience: Patience
) -> ProductState:
    """The work ended other than done.

    Raises:
        LeaseLost: The lease has ended.
    """
    if outcome.ending == Ending.DONE:
        raise ValueError(f"{ref.acquisition}: a done scene is made, checked and published, not ended")
    if outcome.ending in ENDS_BOTH:
        _lock_acquisition(connection, ref.acquisition)
    row = locked(connection, ref)
    if row.holder is None:
        # The same token and no holder: this very lease was ended before, by an earlier try of the step.
        return ProductState(row.state)
    why = Why(outcome.reason, outcome.sentence)
    if outcome.ending == Ending.RETRY:
        return ProductState(end_try(connection, row, why, by, patience))
    if outcome.ending == Ending.HELD:
        return _held(connection, row, outcome, by)
    if outcome.ending == Ending.FAILED:
        return _state(move_product(connection, row, ProductState.FAILED, why, by, **UNLEASED))
    if row.kind == Kind.SURFACE:
        parent = _lock_acquisition(connection, ref.acquisition)
        move_acquisition(connection, parent, ENDS_BOTH[outcome.ending], why, by)
    return _state(move_product(connection, row, ProductState.WITHDRAWN, why, by, **UNLEASED))


class Publishing:
    """A product whose row is locked while its Item is put; `published` makes it so when the block ends."""

    def __init__(
        self,
        connection: Connection,
        row: Record,
        predecessors: tuple[Predecessor, ...],
        by: Actor,
        *,
        source: Record | None = None,
    ) -> None:
        self._connection = connection
        self._row = row
        self._by = by
        self.predecessors = predecessors
        """Products that this one takes the place of: their Items get a successor link."""
        self.done: bool = row.state == ProductState.PUBLISHED
        """Whether an earlier try published it: nothing is left to do."""
        self.href: str | None = row.href
        """Where its Item lies, if `done`."""
        self.source_href: str | None = None if source is None else source.href
        """Where the Item of the surface product lies that a map is made of."""
        self.outdated: Why | None = None if source is None or self.done else outdated(source)
        """Why a map must not be published any more: its surface product does not count. None if it may."""

    def give_up(self) -> None:
        """The outdated map is not wanted any more; the surface product that counts gets one of its own."""
        if self.outdated is not None:
            move_product(
                self._connection, self._row, ProductState.WITHDRAWN, self.outdated, self._by, **UNLEASED
            )

    def published(self, item_href: str, predecessors: Sequence[Predecessor] | None = None) -> None:
        """The Item lies there; the predecessors (the published ones, unless told) have it as successor."""
        if self.done:
            return
        connection, row, by = self._connection, self._row, self._by
        every = [each for each in self.predecessors if each.is_published]
        for old in every if predecessors is None else predecessors:
            held = connection.execute(select(product).where(product.c.id == old.product)).one()
            note(connection, held, held.state, Why("has_successor", f"product {row.id} took its place"), by)
            connection.execute(
                update(product)
                .where(product.c.id == old.product)
                .values(successor=row.id, changed=func.clock_timestamp())
            )
        values = {"href": item_href, "published": func.clock_timestamp(), "not_before": None, **UNLEASED}
        move_product(connection, row, ProductState.PUBLISHED, Why("published", item_href), by, **values)
        self.done, self.href = True, item_href


def publishing(connection: Connection, ref: SceneRef, product_made: Made, by: Actor) -> Publishing:
    """The product, locked, its lease checked, ready to be published.

    Raises:
        LeaseLost: The lease has ended.
    """
    # The acquisition too: two products of one acquisition are published one after the other, and a newer
    # delivery waits until the Item is there.
    _lock_acquisition(connection, ref.acquisition)
    row = locked(connection, ref)
    if row.state != ProductState.PUBLISHED:
        if row.holder is None:
            raise LeaseLost(
                f"{ref.acquisition}: product {row.id} was settled as {row.state} ({row.reason}) under this "
                "very lease: there is nothing to publish"
            )
        _need_state(row, ProductState.CHECKED, "published")
    if row.digest != product_made.digest:
        raise LeaseLost(
            f"{ref.acquisition}: product {row.id} was recorded with digest {row.digest}, "
            f"{product_made.digest} cannot be published in its place: say `made` first"
        )
    made_of = select(product).where(product.c.id == row.source)
    source = None if row.source is None else connection.execute(made_of).one()
    return Publishing(connection, row, _predecessors(connection, row), by, source=source)


def withdraw(connection: Connection, number: int, by: Actor, *, why: str) -> None:
    """The product is not wanted any more.

    Raises:
        ConfigError: No such product, or withdrawn already.
    """
    key = connection.scalar(select(product.c.acquisition).where(product.c.id == number))
    if key is None:
        raise ConfigError(f"there is no product {number}: `undersky show SCENE` names a scene's products")
    _lock_acquisition(connection, key)
    row = connection.execute(
        select(product).where(product.c.id == number).with_for_update(key_share=True)
    ).one()
    if row.state == ProductState.WITHDRAWN:
        raise ConfigError(f"product {number} of {key} is withdrawn already: {row.sentence or row.reason}")
    reason = Why("withdrawn_by_hand", why)
    move_product(connection, row, ProductState.WITHDRAWN, reason, by, token=row.token + 1, **UNLEASED)


def _held(connection: Connection, row: Record, outcome: Outcome, by: Actor) -> ProductState:
    values: dict[str, object] = {"judged": _json(outcome.judged)}
    if row.released:
        sentence = f"{outcome.sentence} (released by a person, so it is published)"
        why = Why("released", sentence)
        return _state(move_product(connection, row, ProductState.CHECKED, why, by, **values))
    why = Why(outcome.reason, outcome.sentence)
    return _state(move_product(connection, row, ProductState.HELD, why, by, **values, **UNLEASED))


def _lock_acquisition(connection: Connection, key: str) -> Record:
    """The acquisition, locked; always before its products, so that nobody waits crosswise."""
    statement = select(acquisition).where(acquisition.c.key == key).with_for_update(key_share=True)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise LeaseLost(f"{key}: the ledger has no such acquisition; it was written for another ledger")
    return row


def _same_product(connection: Connection, row: Record, digest: str) -> Record | None:
    return connection.execute(
        select(product)
        .where(
            product.c.acquisition == row.acquisition,
            product.c.kind == row.kind,
            product.c.digest == digest,
            product.c.id != row.id,
            product.c.state != ProductState.WITHDRAWN,
        )
        .with_for_update(key_share=True)
    ).one_or_none()


def _counts(twin: Record, *, is_lost: bool) -> bool:
    """Whether an equal product says all that this one could.

    One that another took the place of, or whose model was withdrawn, does not: the models went back to where
    they were, and what they make is to be published as the newest. Nor does one whose Item was lost.
    """
    if twin.state == ProductState.PUBLISHED:
        return twin.successor is None and twin.deprecated is None and not is_lost
    return bool(twin.state == ProductState.HELD)


def _predecessors(connection: Connection, row: Record) -> tuple[Predecessor, ...]:
    """Published ones, and ended ones that were made: a process may have died after it put such an Item."""
    ended = and_(
        product.c.state.in_((ProductState.WITHDRAWN, ProductState.FAILED)),
        product.c.made.is_not(None),
        product.c.digest != row.digest,
    )
    statement = (
        select(product)
        .where(
            product.c.acquisition == row.acquisition,
            product.c.kind == row.kind,
            product.c.id != row.id,
            or_(product.c.state == ProductState.PUBLISHED, ended),
            product.c.successor.is_(None),
        )
        .order_by(product.c.id)
    )
    return tuple(
        Predecessor(
            product=old.id,
            digest=old.digest,
            href=old.href,
            made=Made.model_validate(old.made),
            is_published=old.state == ProductState.PUBLISHED,
        )
        for old in connection.execute(statement)
    )


def _is_behind(row: Record, step: ProductState) -> bool:
    return row.state in PASSED[step]


def _need_state(row: Record, needed: ProductState, wanted: str) -> None:
    if row.state != needed:
        raise ValueError(
            f"{row.acquisition}: product {row.id} is {row.state}; only a {needed} one can be {wanted}"
        )


def _json(judged: Judged | None) -> dict[str, object] | None:
    return None if judged is None else judged.model_dump(mode="json", exclude_none=True)


def _state(row: Record) -> ProductState:
    return ProductState(row.state)
