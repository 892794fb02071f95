"""What an announcement means: a new acquisition, a known delivery, a newer or older one, or a seam twin.

Announcements come several times, from several searches at once, late, and in any order. Whatever the order,
an acquisition ends as one row that names its newest delivery, and every delivery is on record.
"""

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from undersky.refs import Kind
from undersky.services.ledger.history import UNLEASED, Record, Why, move_acquisition, move_product, note
from undersky.services.ledger.records import (
    OPEN_ACQUISITION,
    OPEN_PRODUCT,
    AcquisitionState,
    Actor,
    Announced,
    Announcement,
    ProductState,
)
from undersky.services.ledger.rows import files_json
from undersky.services.ledger.tables import acquisition, delivery, product

SAME_STRIP_SECONDS = 10
"""Datastrips of one datatake that begin this close are one strip: reprocessing moves the start a little,
while the strips of seam twins were downlinked apart."""

UNPUBLISHED = (*OPEN_PRODUCT, ProductState.HELD, ProductState.FAILED)
"""Surface products that a newer delivery makes pointless."""


def announce(connection: Connection, said: Announcement, by: Actor) -> Announced:
    """The delivery is on record."""
    known = _delivered(connection, said)
    if known is not None:
        _refresh_links(connection, known, said, by)
        return Announced.KNOWN
    if _insert(connection, said.key, said, Why("announced", _described(said)), by):
        return Announced.NEW
    family = _locked_family(connection, said.key)
    strip = _strip(said.datastrip)
    row = next((row for row in family if _same_strip(strip, _strip(row.datastrip))), None)
    if row is None and strip is not None:
        why = Why("seam_twin", f"{_described(said)}: the other side of a datastrip seam of {said.key}")
        _insert(connection, f"{said.key}_S{strip:%Y%m%dT%H%M%S}", said, why, by)
        return Announced.TWIN
    return _deliver(connection, row or family[0], said, by)


def _delivered(connection: Connection, said: Announcement) -> str | None:
    """Key of the acquisition that has this delivery already."""
    owner = delivery.c.acquisition
    twin = owner.startswith(f"{said.key}_S", autoescape=True)
    return connection.scalar(
        select(owner).where(delivery.c.scene == said.scene, or_(owner == said.key, twin))
    )


def _locked_family(connection: Connection, key: str) -> list[Record]:
    """The acquisition of that key and its seam twins, locked; always the base first."""
    base = select(acquisition).where(acquisition.c.key == key).with_for_update(key_share=True)
    found = [connection.execute(base).one()]
    # Only now: a twin that another transaction inserted while it held the base is seen.
    twins = acquisition.c.key.startswith(f"{key}_S", autoescape=True)
    rest = select(acquisition).where(twins).order_by(acquisition.c.key).with_for_update(key_share=True)
    return [*found, *connection.execute(rest)]


def _insert(connection: Connection, key: str, said: Announcement, why: Why, by: Actor) -> bool:
    """Whether the acquisition was new."""
    statement = upsert(acquisition).values(
        key=key,
        platform=said.platform,
        collection=said.collection,
        tile=said.tile,
        sensed=said.sensed,
        state=AcquisitionState.DISCOVERED,
        reason=why.reason,
        sentence=why.sentence,
        log=by.log,
        **_delivered_values(said),
    )
    row = connection.execute(statement.on_conflict_do_nothing().returning(acquisition)).one_or_none()
    if row is None:
        return False
    note(connection, row, AcquisitionState.DISCOVERED, why, by, born=True)
    _record_delivery(connection, key, said, superseded_by=None)
    return True


def _deliver(connection: Connection, row: Record, said: Announcement, by: Actor) -> Announced:
    """Another delivery of a known acquisition, whose row is locked."""
    newer = _is_newer(said, row)
    if not _record_delivery(connection, row.key, said, superseded_by=None if newer else row.scene):
        return Announced.KNOWN
    if not newer:
        sentence = f"{_described(said)} is no newer than {row.scene}, which stays"
        note(connection, row, row.state, Why("older_delivery", sentence), by)
        return Announced.OLDER
    _supersede(connection, row, said, by)
    return Announced.NEWER


def _supersede(connection: Connection, row: Record, said: Announcement, by: Actor) -> None:
    why = Why("newer_delivery", f"{_described(said)} takes the place of {row.scene}")
    connection.execute(
        update(delivery)
        .where(delivery.c.acquisition == row.key, delivery.c.scene != said.scene)
        .values(superseded_by=said.scene)
    )
    # The raised token: whoever works on the older delivery can no longer write.
    move_acquisition(
        connection,
        row,
        AcquisitionState.DISCOVERED,
        why,
        by,
        token=row.token + 1,
        tries=0,
        not_before=None,
        l1=None,
        **UNLEASED,
        **_delivered_values(said),
    )
    # Not the maps: they are of a surface product that stays published until another takes its place.
    pointless = select(product).where(
        product.c.acquisition == row.key,
        product.c.kind == Kind.SURFACE,
        product.c.state.in_(UNPUBLISHED),
    )
    for old in connection.execute(pointless.order_by(product.c.id).with_for_update(key_share=True)).all():
        move_product(connection, old, ProductState.WITHDRAWN, why, by, token=old.token + 1, **UNLEASED)


def _refresh_links(connection: Connection, key: str, said: Announcement, by: Actor) -> None:
    """A delivery that still has to be fetched is fetched from where its provider now says it lies."""
    files = files_json(said.files)
    stale = select(acquisition).where(
        acquisition.c.key == key,
        acquisition.c.scene == said.scene,
        acquisition.c.profile == said.profile,
        acquisition.c.state.in_((*OPEN_ACQUISITION, AcquisitionState.FAILED)),
        acquisition.c.files != files,
    )
    row = connection.execute(stale.with_for_update(key_share=True)).one_or_none()
    if row is None:
        return
    note(connection, row, row.state, Why("links_changed", f"{said.profile} announces other files"), by)
    connection.execute(update(acquisition).where(acquisition.c.key == key).values(files=files))


def _delivered_values(said: Announcement) -> dict[str, object]:
    """What a delivery says about its acquisition."""
    return {
        "scene": said.scene,
        "profile": said.profile,
        "area": said.area,
        "lane": said.lane,
        "baseline": said.baseline,
        "tier": said.tier,
        "produced": said.produced,
        "datastrip": said.datastrip,
        "cloud_percent": said.cloud_percent,
        "sun_elevation": said.sun_elevation,
        "geometry": None if said.geometry is None else dict(said.geometry),
        "files": files_json(said.files),
    }


def _record_delivery(
    connection: Connection, key: str, said: Announcement, *, superseded_by: str | None
) -> bool:
    """Whether the delivery was not on record before."""
    statement = upsert(delivery).values(
        acquisition=key,
        scene=said.scene,
        profile=said.profile,
        baseline=said.baseline,
        tier=said.tier,
        produced=said.produced,
        superseded_by=superseded_by,
    )
    done = connection.execute(statement.on_conflict_do_nothing().returning(delivery.c.scene))
    return done.one_or_none() is not None


def _is_newer(said: Announcement, row: Record) -> bool:
    """Baseline decides, then tier (real time is the worst), then the processing time.

    What one side does not know decides nothing, and on a tie the known delivery stays: two providers may
    name the same delivery differently.
    """
    criteria: tuple[tuple[Any, Any], ...] = (
        (_numbers(said.baseline), _numbers(row.baseline)),
        (_settled(said.tier), _settled(row.tier)),
        (said.produced, row.produced),
    )
    for mine, its in criteria:
        if mine is not None and its is not None and mine != its:
            return bool(mine > its)
    return False


def _numbers(baseline: str | None) -> tuple[int, ...] | None:
    """`05.11` and `N0511` as (5, 11)."""
    if baseline is None:
        return None
    if sentinel := re.fullmatch(r"N(\d\d)(\d\d)", baseline):
        return tuple(int(part) for part in sentinel.groups())
    return tuple(int(part) for part in re.findall(r"\d+", baseline)) or None


def _settled(tier: str | None) -> bool | None:
    return None if tier is None else tier.upper() != "RT"


def _strip(datastrip: str | None) -> datetime | None:
    """Start of sensing of the datastrip, which its id ends with: `..._S20250619T095748_N05.11`."""
    found = re.search(r"_S(\d{8}T\d{6})", datastrip or "") or re.fullmatch(r"(\d{8}T\d{6})", datastrip or "")
    return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if found else None


def _same_strip(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return True
    return abs((one - other).total_seconds()) <= SAME_STRIP_SECONDS


def _described(said: Announcement) -> str:
    facts = [
        f"baseline {said.baseline}" if said.baseline else "",
        said.tier or "",
        f"made {said.produced:%Y-%m-%d %H:%M}" if said.produced else "",
    ]
    known = ", ".join(fact for fact in facts if fact)
    return f"{said.scene}{f' ({known})' if known else ''} from {said.profile}"
