"""What the ledger is told: who acts, what is wanted, what upstream announced, which scenes are meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from undersky.errors import ConfigError, UnderskyError
from undersky.refs import FileRef, Kind, Lane

GeoJSON = Mapping[str, object]
"""A GeoJSON geometry, longitude and latitude in degrees."""

Work = Literal["ingest", "surface", "landcover", "vessels"]
"""What a claim is for: bringing a scene home, or making its product of that kind."""

Action = Literal["retry", "release", "skip", "remake"]
"""What a person may do with scenes."""

ReleaseKind = Literal["bootstrap", "promotion", "rollback"]
"""Why there is another release set: the first models, a better one, or back to an earlier one."""


class LeaseLost(UnderskyError):  # noqa: N818  it is an event of the flow more than a fault
    """The lease under which this was to be written has ended: another holder, a newer delivery or a person.

    Whoever gets it drops what he holds: the row has gone on without him, and nothing was written.
    """


class AcquisitionState(StrEnum):
    """Where an acquisition stands."""

    DISCOVERED = "discovered"
    """Announced upstream and wanted."""
    INGESTED = "ingested"
    """Its files lie in the own store; not judged yet."""
    VALID = "valid"
    QUARANTINED = "quarantined"
    """The delivered data cannot be used as it is."""
    SKIPPED = "skipped"
    """An expected non-product, or a person said so."""
    SUPERSEDED = "superseded"
    """Only of a delivery: a newer one took its place."""
    FAILED = "failed"
    """A fault of ours, or given up after too many tries."""


class ProductState(StrEnum):
    """Where a product stands."""

    WANTED = "wanted"
    MADE = "made"
    """Its assets lie in the store."""
    CHECKED = "checked"
    """Judged good; the Item waits to be put."""
    PUBLISHED = "published"
    HELD = "held"
    """Judged bad: a person decides."""
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    """Not wanted any more; what was published before stays readable."""


class CampaignState(StrEnum):
    """Where a campaign stands."""

    PROPOSED = "proposed"
    """Estimated; a person has not let it run yet."""
    RUNNING = "running"
    PAUSED = "paused"
    """By a person, or because its budget is used up."""
    DONE = "done"
    """Nothing was left to make again."""
    ABORTED = "aborted"
    """What waited is not wanted any more; it may be resumed."""


OPEN_PRODUCT = (ProductState.WANTED, ProductState.MADE, ProductState.CHECKED)
"""States in which a product is still to be worked on."""

OPEN_ACQUISITION = (AcquisitionState.DISCOVERED, AcquisitionState.INGESTED)
"""States in which an acquisition is still to be brought home."""


class Announced(StrEnum):
    """What an announcement meant."""

    NEW = "new"
    KNOWN = "known"
    """The same delivery was announced before."""
    NEWER = "newer"
    """A newer delivery of a known acquisition: it is to be brought home again."""
    OLDER = "older"
    """An older delivery than the known one: recorded, otherwise ignored."""
    TWIN = "twin"
    """The other side of a datastrip seam: an acquisition of its own, under a key of its own."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: goes into the history of every row."""

    run: str
    """Id of the run, unique among all DAGs; the user's name by hand."""
    task: str = "by-hand"
    attempt: int = 1
    log: str | None = None
    """Address of the log."""


@dataclass(frozen=True, slots=True)
class Area:
    """A piece of ground somebody wants maps of."""

    name: str
    geometry: GeoJSON
    collections: tuple[str, ...]
    """Level-1 collections: `sentinel-2-l1c`, `landsat-c2-l1`."""
    since: date
    until: date | None = None
    """Last day wanted; None for ever."""
    max_cloud: float | None = None
    """Percent, as the provider states it; None takes everything."""
    profiles: tuple[str, ...] = ()
    """Providers to ask, by preference; empty for every one that has the collection."""
    paused: bool = False
    paused_reason: str | None = None
    created: datetime | None = None
    """None before the ledger has it."""

    def __post_init__(self) -> None:
        if not self.name or not self.collections:
            raise ConfigError(f"area {self.name!r} needs a name and at least one collection")
        if self.until is not None and self.until < self.since:
            raise ConfigError(f"area {self.name}: it ends {self.until}, before it begins {self.since}")


@dataclass(frozen=True, slots=True)
class Announcement:
    """One delivery of an acquisition, as upstream announces it."""

    key: str
    """Granule key: `S2B_20250619T095753_32TQM`, `LC09_192029_20250613`."""
    scene: str
    """Id of the delivered product."""
    collection: str
    platform: str
    tile: str
    """MGRS tile, or Landsat path and row."""
    sensed: datetime
    """Start of sensing (aware)."""
    files: tuple[FileRef, ...]
    """Upstream files."""
    profile: str
    area: str
    lane: Lane = Lane.FRESH
    baseline: str | None = None
    """Processing baseline, `05.11`; None where the agency has none."""
    tier: str | None = None
    """Landsat: `RT`, `T1` or `T2`."""
    produced: datetime | None = None
    """When the agency processed it (aware)."""
    cloud_percent: float | None = None
    sun_elevation: float | None = None
    """Degrees."""
    geometry: GeoJSON | None = None
    datastrip: str | None = None
    """Datastrip id, or the start of its sensing, `20250619T095748`: tells seam twins apart."""

    def __post_init__(self) -> None:
        moments = (self.sensed,) if self.produced is None else (self.sensed, self.produced)
        if any(moment.tzinfo is None for moment in moments):
            raise ValueError(f"{self.scene}: a time without a time zone")


@dataclass(frozen=True, slots=True)
class Search:
    """One question to an upstream archive and what came of it."""

    area: str
    profile: str
    collection: str
    begin: datetime
    """Start of the searched window of sensing (aware)."""
    end: datetime
    lane: Lane = Lane.FRESH
    found: int = 0
    accepted: int = 0
    pages: int = 0
    seconds: float = 0.0
    error: str | None = None
    """Why it ended early; None when it went through."""
    id: int | None = None
    """None before the ledger has it."""
    time: datetime | None = None
    """When it was recorded."""
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """An id that a search found and that is not wanted."""

    item_id: str
    reason: str
    """Stable code."""
    sentence: str
    tile: str | None = None
    sensed: datetime | None = None
    collection: str | None = None
    area: str | None = None
    """Of the search; filled by the ledger."""
    profile: str | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which scenes a person means: every criterion that is given must hold."""

    scenes: tuple[str, ...] = ()
    """Keys of acquisitions, or ids of delivered scenes."""
    state: str | None = None
    """State of the acquisition or of the product."""
    reason: str | None = None
    """Reason code of that state."""
    since: datetime | None = None
    """In that state since then, or entered it later (aware)."""
    tile: str | None = None
    model: str | None = None
    """Label, registry version or digest of a model that made the product, or digest of its release set."""
    collection: str | None = None
    """Level-1 collection."""
    sensed_from: date | None = None
    """First day of sensing (UTC)."""
    sensed_until: date | None = None
    """Last day of sensing (UTC); that day counts too."""
    area: str | None = None
    """Area for which the acquisition was searched."""
    kind: Kind | None = None
    """Kind of the product: with it only products are meant, never acquisitions themselves."""

    def __post_init__(self) -> None:
        if self.since is not None and self.since.tzinfo is None:
            raise ConfigError("--since needs a time zone, 2026-11-22T10:00Z")
        if self.sensed_from and self.sensed_until and self.sensed_from > self.sensed_until:
            raise ConfigError(
                f"sensed from {self.sensed_from} until {self.sensed_until} is no span of days: "
                "the first day must not come after the last"
            )
        known = {*map(str, AcquisitionState), *map(str, ProductState)}
        if self.state is not None and self.state not in known:
            raise ConfigError(f"no state is called {self.state!r}: one of {', '.join(sorted(known))}")

    @property
    def is_empty(self) -> bool:
        """Whether it means everything."""
        return self == Selection()


@dataclass(frozen=True, slots=True)
class Change:
    """What an action does, or would do, to one acquisition or product."""

    action: Action
    acquisition: str
    scene: str
    tile: str
    product: int | None
    """Row of the product; None where the acquisition itself changes."""
    before: str
    """State."""
    after: str
    reason: str
    """Reason code it had."""
    kind: str | None = None
    """Kind of the product; None where the acquisition itself changes."""
