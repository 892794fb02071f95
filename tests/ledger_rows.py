"""A ledger with rows in it: each function brings one acquisition into one state, as the flow would."""

from datetime import UTC, date, datetime, timedelta

from undersky.refs import (
    Ending,
    FileRef,
    Ingested,
    Judged,
    Lane,
    Made,
    ModelRef,
    Outcome,
    ReleaseSet,
    SceneRef,
    Stage,
)
from undersky.services.ledger import Actor, Announced, Announcement, Area, Ledger, Rejection, Search

BY = Actor(run="manual__2025-06-19", task="settle", log="http://airflow/log/1")
DAY = date(2025, 6, 19)
SENSED = datetime(2025, 6, 19, 9, 57, 53, tzinfo=UTC)
KEY = "S2B_20250619T095753_32TQM"
SCENE = "S2B_MSIL1C_20250619T095753_N0511_R066_T32TQM_20250619T132734"
NEWER = "S2B_MSIL1C_20250619T095753_N0512_R066_T32TQM_20250801T101010"
ITEM = "S2B_32TQM_20250619T100322_SR_1f8e2ab5"
HREF = f"s3://undersky/stac/sentinel-2-l2-undersky/2025/06/{SCENE}/{'1' * 64}.json"
MODEL = ModelRef(
    name="correction",
    version="1",
    label="physics-1",
    digest="a" * 64,
    href="s3://undersky/models/correction/a",
)
RELEASE = ReleaseSet(digest="b" * 64, models=(MODEL,))
GROUND = {
    "type": "Polygon",
    "coordinates": [[[11.0, 41.5], [12.0, 41.5], [12.0, 42.5], [11.0, 42.5], [11.0, 41.5]]],
}
"""The coast of southern Tuscany, where 32TQM lies."""
HOUR = timedelta(hours=1)


def add_area(ledger: Ledger, name: str = "maremma", **changes: object) -> Area:
    fields = {
        "geometry": GROUND,
        "collections": ("sentinel-2-l1c",),
        "since": date(2025, 6, 1),
    } | changes
    area = Area(name=name, **fields)
    ledger.add_area(area, BY)
    return area


def add_search(ledger: Ledger, *rejections: Rejection, **changes: object) -> int:
    fields = {
        "area": "maremma",
        "profile": "copernicus-dataspace",
        "collection": "sentinel-2-l1c",
        "begin": datetime(2025, 6, 10, tzinfo=UTC),
        "end": datetime(2025, 6, 30, tzinfo=UTC),
        "found": 12,
        "accepted": 11,
    } | changes
    return ledger.record_search(Search(**fields), rejections, BY)


def announcement(**changes: object) -> Announcement:
    fields = {
        "key": KEY,
        "scene": SCENE,
        "collection": "sentinel-2-l1c",
        "platform": "S2B",
        "tile": "32TQM",
        "sensed": SENSED,
        "files": (FileRef(name="MTD_MSIL1C.xml", href="https://upstream/MTD_MSIL1C.xml"),),
        "profile": "copernicus-dataspace",
        "area": "maremma",
        "baseline": "05.11",
        "produced": datetime(2025, 6, 19, 13, 27, 34, tzinfo=UTC),
        "cloud_percent": 18.5,
    } | changes
    return Announcement(**fields)


def announce(ledger: Ledger, **changes: object) -> Announced:
    return ledger.announce(announcement(**changes), BY)


def claim(ledger: Ledger, work: str = "ingest", *, by: Actor = BY, lease: timedelta = HOUR) -> SceneRef:
    release = RELEASE if work == "surface" else None
    (ref,) = ledger.claim(work, lane=Lane.FRESH, limit=1, by=by, lease=lease, release=release)
    return ref


def outcome(ref: SceneRef, ending: Ending, *, stage: Stage = Stage.VALIDATE_L1, **changes: object) -> Outcome:
    return Outcome(acquisition=ref.acquisition, scene=ref.scene, stage=stage, ending=ending, **changes)


def ingested() -> Ingested:
    file = FileRef(
        name="MTD_MSIL1C.xml", href="s3://undersky/l1/MTD_MSIL1C.xml", size=5, checksum="sha256:00"
    )
    return Ingested(files=(file,), bytes=5, fetched=5)


def settle(ledger: Ledger, ending: Ending, reason: str = "ok", sentence: str = "") -> None:
    """Announced, claimed, and ended so."""
    announce(ledger)
    ref = claim(ledger)
    said = outcome(ref, ending, reason=reason, sentence=sentence, ingested=ingested())
    ledger.settle(ref, said, BY)


def made(ref: SceneRef, digest: str = "1" * 64) -> Made:
    collection = "sentinel-2-l2-undersky"
    prefix = f"products/{collection}/2025/06/{ref.scene}/{digest}"
    return Made(
        id=f"S2B_32TQM_20250619T100322_SR_{digest[:8]}" if digest != "1" * 64 else ITEM,
        digest=digest,
        prefix=prefix,
        collection=collection,
        item=f"{prefix}/{ITEM}.json",
        bytes=15_300_000,
        seconds=90.0,
        cpu_seconds=150.0,
        cloud_percent=18.5,
        model=MODEL,
    )


def publish(ledger: Ledger, digest: str = "1" * 64, href: str = HREF) -> None:
    """The valid acquisition's product is made, checked and published."""
    ref = claim(ledger, "surface")
    ledger.made(ref, made(ref, digest), BY)
    ledger.checked(ref, Judged(expectations=12), BY)
    with ledger.publishing(ref, made(ref, digest), BY) as publishing:
        publishing.published(href)


def published(ledger: Ledger) -> None:
    settle(ledger, Ending.DONE)
    publish(ledger)


def held(ledger: Ledger) -> None:
    settle(ledger, Ending.DONE)
    ref = claim(ledger, "surface")
    ledger.made(ref, made(ref), BY)
    judged = Judged(
        expectations=12,
        failed=("B02 has 40 % negative pixels, at most 5 % expected",),
        docs="s3://undersky/docs",
    )
    said = outcome(
        ref,
        Ending.HELD,
        stage=Stage.VALIDATE_SURFACE,
        reason="negative_reflectance",
        sentence=judged.failed[0],
        judged=judged,
    )
    ledger.held(ref, said, BY)


def rejection(**changes: object) -> Rejection:
    fields = {
        "item_id": SCENE,
        "reason": "too_cloudy",
        "sentence": "92 % cloud; area maremma takes up to 60 %",
        "tile": "32TQM",
        "sensed": SENSED,
        "collection": "sentinel-2-l1c",
    } | changes
    return Rejection(**fields)
