"""What a campaign has still to make again, what that costs, and the next few scenes of it.

selection, release set --> published products of another model, or deprecated
                           without those waiting, and those it tried in vain
                       --> wanted in the historical lane, newest sensing first
"""

from typing import Any

from sqlalchemy import BigInteger, Connection, Select, cast, exists, func, or_, select

from undersky.errors import ConfigError
from undersky.refs import Lane, ReleaseSet
from undersky.services.ledger import campaigns
from undersky.services.ledger.campaigns import TAKEN_BACK, Move
from undersky.services.ledger.history import Record, Why
from undersky.services.ledger.records import (
    OPEN_PRODUCT,
    AcquisitionState,
    Actor,
    CampaignState,
    ProductState,
    Selection,
)
from undersky.services.ledger.rows import campaign_of
from undersky.services.ledger.selecting import products_meant
from undersky.services.ledger.settling import SURFACE, want_surface
from undersky.services.ledger.tables import acquisition, made_with, product
from undersky.services.ledger.views import Campaign, CampaignEstimate, CampaignProgress

MODEL = "correction"
"""The model that makes surface products."""

ENDED = (ProductState.FAILED, ProductState.HELD, ProductState.WITHDRAWN)
"""States in which a campaign has tried a scene in vain."""


def estimate(connection: Connection, selection: Selection, release: ReleaseSet) -> CampaignEstimate:
    """What making the selection again would cost, as it cost the last time.

    Raises:
        ConfigError: The release set has no correction model.
    """
    scenes = _left(selection, _digest(release)).subquery()
    size = cast(scenes.c.made["bytes"].as_string(), BigInteger)
    row = connection.execute(
        select(
            func.count().label("scenes"),
            func.coalesce(func.sum(_seconds(scenes)), 0.0).label("seconds"),
            func.coalesce(func.sum(size), 0).label("bytes"),
        ).select_from(scenes)
    ).one()
    return CampaignEstimate(scenes=row.scenes, hours=row.seconds / 3600, bytes=int(row.bytes))


def progress(connection: Connection, name: str, release: ReleaseSet) -> CampaignProgress:
    """How far the campaign is.

    Raises:
        ConfigError: No such campaign, or a release set without a correction model.
    """
    found = campaigns.one(connection, name)
    scenes = _left(found.selection, _digest(release), name).subquery()
    left = connection.scalar(select(func.count()).select_from(scenes))
    own = _own(connection, name)
    return CampaignProgress(
        estimate_scenes=found.estimate.scenes,
        published=own.published,
        open=own.open,
        ended=own.ended,
        left=left or 0,
        spent_hours=own.seconds / 3600,
    )


def feed(connection: Connection, name: str, release: ReleaseSet, by: Actor) -> int:
    """How many more scenes are wanted; the campaign is paused or done if that is what it comes to.

    Raises:
        ConfigError: No such campaign, or a release set without a correction model.
    """
    row = campaigns.locked(connection, name)
    found, digest, own = campaign_of(row), _digest(release), _own(connection, name)
    if found.state != CampaignState.RUNNING:
        return 0
    rest = _left(found.selection, digest, name)
    stop = _end(found, own, is_left=connection.execute(rest.limit(1)).first() is not None)
    if stop is not None:
        campaigns.enter(connection, row, stop, by)
        return 0
    return _want(connection, found, rest, by, limit=found.at_once - own.open)


def _end(found: Campaign, own: Record, *, is_left: bool) -> Move | None:
    """Where the running campaign ends for now; None if it goes on."""
    if not is_left and not own.open:
        told = f"nothing is left to make again; {own.published} products were published, {own.ended} ended"
        return Move(CampaignState.DONE, told)
    budget, spent = found.budget_hours, own.seconds / 3600
    if is_left and budget is not None and spent >= budget:
        told = f"its budget of {budget:g} hours is used up, {spent:.2f} were spent: raise it to go on"
        return Move(CampaignState.PAUSED, told)
    return None


def _want(connection: Connection, found: Campaign, rest: Select[Any], by: Actor, *, limit: int) -> int:
    """Up to that many of the rest are wanted; how many."""
    if limit < 1:
        return 0
    newest = product.c.sensed.desc(), product.c.acquisition
    keys = [row.acquisition for row in connection.execute(rest.order_by(*newest).limit(limit))]
    parents = select(acquisition).where(acquisition.c.key.in_(keys)).order_by(acquisition.c.key)
    held = {row.key: row for row in connection.execute(parents.with_for_update(key_share=True))}
    # Again, now that they are locked: one may have been made again, or delivered anew, meanwhile.
    still = rest.where(product.c.acquisition.in_(keys)).order_by(*newest)
    why = Why("campaign", f"campaign {found.name}: {found.why}")
    born = [
        want_surface(connection, held[row.acquisition], why, by, lane=Lane.HISTORICAL, campaign=found.name)
        for row in connection.execute(still).all()
    ]
    return sum(row is not None for row in born)


def _left(selection: Selection, digest: str, name: str | None = None) -> Select[Any]:
    """Newest published products that are meant, not made with that model and not being made again."""
    other = product.alias("other")
    newer = (other.c.state == ProductState.PUBLISHED) & other.c.successor.is_(None)
    statement = products_meant(selection).where(
        acquisition.c.state == AcquisitionState.VALID,
        product.c.kind == SURFACE,
        product.c.state == ProductState.PUBLISHED,
        product.c.successor.is_(None),
        or_(product.c.deprecated.is_not(None), made_with.is_distinct_from(digest)),
        ~_beside(other, newer & (other.c.id > product.c.id)),
        ~_beside(other, other.c.state.in_(OPEN_PRODUCT)),
    )
    if name is None:
        return statement
    tried = other.c.state.in_(ENDED) & (other.c.reason != TAKEN_BACK)
    return statement.where(~_beside(other, (other.c.campaign == name) & tried))


def _beside(other: Any, condition: Any) -> Any:
    """Whether the product's acquisition has another of its kind of which that is true."""
    same = (other.c.acquisition == product.c.acquisition) & (other.c.kind == product.c.kind)
    return exists().where(same, condition)


def _own(connection: Connection, name: str) -> Record:
    """How the products that the campaign wanted stand, and what they took."""
    ended = product.c.state.in_(ENDED) & (product.c.reason != TAKEN_BACK)
    return connection.execute(
        select(
            func.count().filter(product.c.state == ProductState.PUBLISHED).label("published"),
            func.count().filter(product.c.state.in_(OPEN_PRODUCT)).label("open"),
            func.count().filter(ended).label("ended"),
            func.coalesce(func.sum(_seconds(product)), 0.0).label("seconds"),
        ).where(product.c.campaign == name)
    ).one()


def _seconds(table: Any) -> Any:
    """Seconds of one CPU core that a product took."""
    return table.c.made["cpu_seconds"].as_float()


def _digest(release: ReleaseSet) -> str:
    try:
        return release.model(MODEL).digest
    except KeyError as error:
        names = ", ".join(model.name for model in release.models) or "nothing"
        raise ConfigError(
            f"release set {release.digest[:12]} has no model {MODEL}, only {names}: nothing can be made again"
        ) from error
