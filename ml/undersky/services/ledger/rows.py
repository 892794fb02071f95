"""Rows of the tables as the values that leave the ledger, and values as they go into a row."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from undersky.refs import FileRef, Judged, Kind, Lane, Made, ModelRef, ReleaseSet, SceneRef
from undersky.services.ledger.history import Record
from undersky.services.ledger.records import (
    AcquisitionState,
    Area,
    CampaignState,
    ProductState,
    Rejection,
    Search,
    Selection,
)
from undersky.services.ledger.views import (
    Acquisition,
    Campaign,
    CampaignEstimate,
    Delivery,
    Event,
    Lease,
    Product,
    ReleaseRecord,
)

_SELECTION = TypeAdapter(Selection)


def files_json(files: Iterable[FileRef]) -> list[dict[str, Any]]:
    """Files as a JSON column holds them."""
    return [file.model_dump(mode="json", exclude_none=True) for file in files]


def files_of(column: list[dict[str, Any]] | None) -> tuple[FileRef, ...]:
    """Files of a JSON column."""
    return tuple(FileRef.model_validate(file) for file in column or ())


def area_of(row: Record) -> Area:
    """A row of `area`."""
    return Area(
        name=row.name,
        geometry=row.geometry,
        collections=tuple(row.collections),
        since=row.since,
        until=row.until,
        max_cloud=row.max_cloud,
        profiles=tuple(row.profiles),
        paused=row.paused,
        paused_reason=row.paused_reason,
        created=row.created,
    )


def search_of(row: Record) -> Search:
    """A row of `search`."""
    return Search(
        area=row.area,
        profile=row.profile,
        collection=row.collection,
        begin=row.begin,
        end=row.end,
        lane=Lane(row.lane),
        found=row.found,
        accepted=row.accepted,
        pages=row.pages,
        seconds=row.seconds,
        error=row.error,
        id=row.id,
        time=row.time,
        run=row.run,
    )


def rejection_of(row: Record) -> Rejection:
    """A row of `rejection`."""
    return Rejection(
        item_id=row.item_id,
        reason=row.reason,
        sentence=row.sentence,
        tile=row.tile,
        sensed=row.sensed,
        collection=row.collection,
        area=row.area,
        profile=row.profile,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
    )


def acquisition_of(row: Record) -> Acquisition:
    """A row of `acquisition`."""
    return Acquisition(
        key=row.key,
        scene=row.scene,
        collection=row.collection,
        platform=row.platform,
        tile=row.tile,
        sensed=row.sensed,
        lane=Lane(row.lane),
        profile=row.profile,
        area=row.area,
        state=AcquisitionState(row.state),
        reason=row.reason,
        sentence=row.sentence,
        log=row.log,
        state_since=row.state_since,
        wanted_since=row.wanted_since,
        discovered=row.discovered,
        changed=row.changed,
        tries=row.tries,
        not_before=row.not_before,
        lease=_lease_of(row),
        baseline=row.baseline,
        tier=row.tier,
        produced=row.produced,
        cloud_percent=row.cloud_percent,
        sun_elevation=row.sun_elevation,
        datastrip=row.datastrip,
        geometry=row.geometry,
        files=files_of(row.files),
        l1=files_of(row.l1),
    )


def product_of(row: Record) -> Product:
    """A row of `product`, with `geometry` and `l1_collection` of its acquisition where those were joined."""
    columns = row._mapping  # noqa: SLF001  SQLAlchemy's public name for it
    return Product(
        id=row.id,
        acquisition=row.acquisition,
        kind=Kind(row.kind),
        state=ProductState(row.state),
        reason=row.reason,
        sentence=row.sentence,
        log=row.log,
        state_since=row.state_since,
        wanted_since=row.wanted_since,
        created=row.created,
        lane=Lane(row.lane),
        scene=row.scene,
        tile=row.tile,
        sensed=row.sensed,
        tries=row.tries,
        not_before=row.not_before,
        lease=_lease_of(row),
        digest=row.digest,
        made=Made.model_validate(row.made) if row.made else None,
        judged=Judged.model_validate(row.judged) if row.judged else None,
        release=row.release,
        href=row.href,
        published=row.published,
        successor=row.successor,
        released=row.released,
        deprecated=row.deprecated,
        campaign=row.campaign,
        source=row.source,
        geometry=columns.get("geometry"),
        collection=columns.get("l1_collection"),
    )


def delivery_of(row: Record) -> Delivery:
    """A row of `delivery`."""
    return Delivery(
        scene=row.scene,
        acquisition=row.acquisition,
        profile=row.profile,
        baseline=row.baseline,
        tier=row.tier,
        produced=row.produced,
        announced=row.announced,
        superseded_by=row.superseded_by,
    )


def event_of(row: Record) -> Event:
    """A row of `history`."""
    return Event(
        id=row.id,
        time=row.time,
        acquisition=row.acquisition,
        product=row.product,
        scene=row.scene,
        run=row.run,
        task=row.task,
        attempt=row.attempt,
        reason=row.reason,
        sentence=row.sentence,
        log=row.log,
        before=row.before,
        after=row.after,
    )


def release_of(row: Record) -> ReleaseRecord:
    """A row of `release_set`."""
    return ReleaseRecord(
        id=row.id,
        digest=row.digest,
        release=ReleaseSet.model_validate(row.models),
        kind=row.kind,
        why=row.why,
        run=row.run,
        task=row.task,
        log=row.log,
        time=row.time,
        withdrawn=ModelRef.model_validate(row.withdrawn) if row.withdrawn else None,
    )


def selection_json(selection: Selection) -> dict[str, Any]:
    """A selection as a JSON column holds it: the criteria that are given."""
    criteria: dict[str, Any] = _SELECTION.dump_python(selection, mode="json", exclude_defaults=True)
    return criteria


def campaign_of(row: Record) -> Campaign:
    """A row of `campaign`."""
    return Campaign(
        name=row.name,
        selection=_SELECTION.validate_python(row.selection),
        why=row.why,
        state=CampaignState(row.state),
        sentence=row.sentence,
        at_once=row.at_once,
        budget_hours=row.budget_hours,
        estimate=CampaignEstimate(**row.estimate),
        created=row.created,
        state_since=row.state_since,
        run=row.run,
    )


def estimate_json(estimate: CampaignEstimate) -> dict[str, Any]:
    """An estimate as a JSON column holds it."""
    return asdict(estimate)


def ingest_ref(row: Record) -> SceneRef:
    """A leased row of `acquisition`, as a batch carries it."""
    return SceneRef(
        acquisition=row.key,
        scene=row.scene,
        collection=row.collection,
        tile=row.tile,
        sensed=row.sensed,
        lane=Lane(row.lane),
        profile=row.profile,
        token=row.token,
        cloud_percent=row.cloud_percent,
        files=files_of(row.files),
    )


def product_ref(row: Record, parent: Record, source: Record | None) -> SceneRef:
    """A leased row of `product` with its acquisition, and what it is made of, as a batch carries it."""
    return SceneRef(
        acquisition=row.acquisition,
        scene=row.scene,
        collection=parent.collection,
        tile=row.tile,
        sensed=row.sensed,
        lane=Lane(row.lane),
        profile=parent.profile,
        product=row.id,
        token=row.token,
        cloud_percent=parent.cloud_percent,
        # A map is made of surface reflectance alone: level-1 files would only make its batch longer.
        files=files_of(parent.l1) if source is None else (),
        kind=Kind(row.kind),
        surface=None if source is None else Made.model_validate(source.made),
    )


def _lease_of(row: Record) -> Lease | None:
    if row.holder is None:
        return None
    return Lease(run=row.holder, task=row.holder_task or "", until=row.lease_until, token=row.token)
