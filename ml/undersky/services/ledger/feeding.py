"""What a campaign has still to make again, what that costs, and the next few scenes of it.

selection, release set --> published products of its kind, of another model, or deprecated
                           without those waiting, and those it tried in vain
                       --> wanted in the historical lane, newest sensing first

A campaign makes one kind of product again. Maps of what it makes follow by themselves.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, cast, exists, func, or_, select

from undersky.errors import ConfigError
from undersky.refs import MODELS, Kind, Lane, ReleaseSet
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
from undersky.services.ledger.tables import acquisition, made_with, masked_with, product
from undersky.services.ledger.views import Campaign, CampaignEstimate, CampaignProgress
from undersky.services.ledger.wanting import is_current, want_again

ENDED = (ProductState.FAILED, ProductState.HELD, ProductState.WITHDRAWN)
"""States in which a campaign has tried a scene in vain."""


def estimate(connection: Connection, selection: Selection, release: ReleaseSet) -> CampaignEstimate:
    """What making the selection again would cost, as it cost the last time.

    Raises:
        ConfigError: The release set has no model of the selection's kind.
    """
    scenes = _left(selection, release).subquery()
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
        ConfigError: No such campaign, or a release set without a model of its kind.
    """
    found = campaigns.one(connection, name)
    scenes = _left(found.selection, release, name).subquery()
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
        ConfigError: No such campaign, or a release set without a model of its kind.
    """
    row = campaigns.locked(connection, name)
    found, own = campaign_of(row), _own(connection, name)
    if found.state != CampaignState.RUNNING:
        return 0
    rest = _left(found.selection, release, name)
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
    kind, lane = _kind(found.selection), Lane.HISTORICAL
    born = [
        want_again(connection, held[row.acquisition], why, by, kind=kind, lane=lane, campaign=found.name)
        for row in connection.execute(still).all()
    ]
    return sum(row is not None for row in born)


def with_kind(connection: Connection, selection: Selection) -> Selection:
    """The selection with the kind of product that it is about: surface, unless only maps match its model.

    Raises:
        ConfigError: Two kinds of maps match.
    """
    if selection.kind is not None or selection.model is None:
        return replace(selection, kind=_kind(selection))
    of_model = products_meant(Selection(model=selection.model)).where(
        product.c.state == ProductState.PUBLISHED
    )
    found = of_model.with_only_columns(product.c.kind).distinct().order_by(product.c.kind)
    kinds = [Kind(kind) for kind in connection.scalars(found)]
    if Kind.SURFACE in kinds or not kinds:
        return replace(selection, kind=Kind.SURFACE)
    if len(kinds) > 1:
        raise ConfigError(
            f"{' and '.join(kinds)} were both made by a model that is called {selection.model}: say which "
            "kind is to be made again"
        )
    return replace(selection, kind=kinds[0])


def _kind(selection: Selection) -> Kind:
    """Campaigns that were proposed before there were maps name no kind."""
    return selection.kind or Kind.SURFACE


def _left(selection: Selection, release: ReleaseSet, name: str | None = None) -> Select[Any]:
    """Newest published products that are meant, of other models than these, and not being made again."""
    kind, other = _kind(selection), product.alias("other")
    newer = (other.c.state == ProductState.PUBLISHED) & other.c.successor.is_(None)
    statement = products_meant(replace(selection, kind=kind)).where(
        acquisition.c.state == AcquisitionState.VALID,
        product.c.state == ProductState.PUBLISHED,
        product.c.successor.is_(None),
        or_(product.c.deprecated.is_not(None), _is_of_others(kind, release)),
        ~_beside(other, newer & (other.c.id > product.c.id)),
        ~_beside(other, other.c.state.in_(OPEN_PRODUCT)),
    )
    if kind.is_map:
        source = product.alias("source")
        current = exists().where(source.c.acquisition == product.c.acquisition, is_current(source))
        statement = statement.where(current)
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


def _is_of_others(kind: Kind, release: ReleaseSet) -> Any:
    """Whether a product of that kind was made with another model than the release set has."""
    digests = {model.name: model.digest for model in release.models}
    principal, *rest = MODELS[kind]
    if principal not in digests:
        names = ", ".join(digests) or "nothing"
        raise ConfigError(
            f"release set {release.digest[:12]} has no model {principal}, only {names}: nothing can be made "
            "again"
        )
    others = [made_with.is_distinct_from(digests[principal])]
    others += [masked_with.is_distinct_from(digests[name]) for name in rest if name in digests]
    return or_(*others)
