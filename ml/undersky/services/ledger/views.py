"""What the ledger answers."""

from dataclasses import dataclass
from datetime import datetime

from undersky.refs import FileRef, Judged, Kind, Lane, Made, ModelRef, ReleaseSet
from undersky.services.ledger.records import (
    AcquisitionState,
    CampaignState,
    GeoJSON,
    ProductState,
    Rejection,
    ReleaseKind,
    Search,
    Selection,
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on a row, and until when nobody else may."""

    run: str
    task: str
    until: datetime
    token: int


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One row of the ledger: a sensor event and where its bringing home stands."""

    key: str
    scene: str
    """Id of the newest delivery."""
    collection: str
    platform: str
    tile: str
    sensed: datetime
    lane: Lane
    profile: str
    area: str
    state: AcquisitionState
    reason: str
    sentence: str
    log: str | None
    """Log of whoever changed it last."""
    state_since: datetime
    wanted_since: datetime
    """Since when it waits to be brought home, or did when it last waited."""
    discovered: datetime
    """When it was first announced."""
    changed: datetime
    tries: int
    not_before: datetime | None
    """Nobody may claim it earlier."""
    lease: Lease | None
    """None while nobody works on it; one that has expired is shown as it is."""
    baseline: str | None
    tier: str | None
    produced: datetime | None
    cloud_percent: float | None
    sun_elevation: float | None
    datastrip: str | None
    geometry: GeoJSON | None
    files: tuple[FileRef, ...]
    """Upstream."""
    l1: tuple[FileRef, ...]
    """In the own store; empty before it is ingested."""


@dataclass(frozen=True, slots=True)
class Product:
    """One row of the ledger: a product that is wanted, made or published."""

    id: int
    acquisition: str
    kind: Kind
    state: ProductState
    reason: str
    sentence: str
    log: str | None
    state_since: datetime
    wanted_since: datetime
    """Since when it waits to be made and published, or did when it last waited."""
    created: datetime
    lane: Lane
    scene: str
    """Delivery it is made from."""
    tile: str
    sensed: datetime
    tries: int
    not_before: datetime | None
    lease: Lease | None
    digest: str | None
    """None before it is made."""
    made: Made | None
    judged: Judged | None
    release: str | None
    """Digest of the release set that its last claim pinned."""
    href: str | None
    """Where the Item lies; None before it is published."""
    published: datetime | None
    successor: int | None
    """Row of the product that took its place."""
    released: bool
    """A person has released it: a failed expectation does not hold it again."""
    geometry: GeoJSON | None = None
    """Of the acquisition."""
    collection: str | None = None
    """Level-1 collection of the acquisition."""
    deprecated: str | None = None
    """Why nobody should use it any more: its model was withdrawn."""
    campaign: str | None = None
    """Campaign for which it was wanted."""
    source: int | None = None
    """Row of the surface product that a map is made of."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivered version of an acquisition."""

    scene: str
    acquisition: str
    profile: str
    baseline: str | None
    tier: str | None
    produced: datetime | None
    announced: datetime
    superseded_by: str | None
    """Scene id of the delivery that took its place; None while it counts."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history."""

    id: int
    time: datetime
    acquisition: str
    product: int | None
    scene: str
    run: str
    task: str
    attempt: int
    reason: str
    sentence: str
    log: str | None
    before: str | None
    """State; None at the birth of a row."""
    after: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the ledger knows about one acquisition."""

    acquisition: Acquisition
    deliveries: tuple[Delivery, ...]
    """Oldest first."""
    products: tuple[Product, ...]
    """Oldest first."""
    history: tuple[Event, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows stand somewhere."""

    what: str
    """`acquisition` or `product`."""
    lane: Lane
    state: str
    reason: str
    number: int
    kind: Kind | None = None
    """Of the products; None of acquisitions."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue: what one kind of claim has before it."""

    work: str
    """`ingest`, or a kind of product."""
    lane: Lane
    ready: int
    """Claimable now."""
    delayed: int
    """Waiting for the pause after a failed try to end."""
    leased: int
    """Being worked on."""
    expired: int
    """Of the ready ones, those whose last holder fell silent."""
    oldest: str | None
    """Acquisition that waits longest, leased or not."""
    oldest_since: datetime | None
    """Since when it waits."""

    @property
    def number(self) -> int:
        """All of them."""
        return self.ready + self.delayed + self.leased


@dataclass(frozen=True, slots=True)
class Day:
    """What the ledger knows about one tile on one day: the ground on which `why` stands."""

    acquisitions: tuple[Acquisition, ...]
    products: tuple[Product, ...]
    rejections: tuple[Rejection, ...]
    searches: tuple[Search, ...]
    """Whose window holds a part of that day, newest first."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A product of the same acquisition and kind that another one takes the place of."""

    product: int
    """Row in the ledger."""
    digest: str
    href: str | None
    """Where its Item lies, if it was published."""
    made: Made
    """What was made; its Item may lie in the store though nobody lived to say so."""
    is_published: bool


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """A release set that was in use, or is: the newest one."""

    id: int
    digest: str
    """Of the release set."""
    release: ReleaseSet
    kind: ReleaseKind
    why: str
    run: str
    """Who set it."""
    task: str
    log: str | None
    time: datetime
    withdrawn: ModelRef | None
    """The model version that a rollback took out of use."""


@dataclass(frozen=True, slots=True)
class CampaignEstimate:
    """What making a selection again costs, as it cost the last time."""

    scenes: int
    hours: float
    """Of one CPU core."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """A selection whose products are made again with the current models, a few at a time."""

    name: str
    selection: Selection
    why: str
    state: CampaignState
    sentence: str
    """Why it has that state."""
    at_once: int
    """Products that may wait or be worked on at a time."""
    budget_hours: float | None
    """Hours of one CPU core after which it is paused; None for as many as it takes."""
    estimate: CampaignEstimate
    """When it was proposed."""
    created: datetime
    state_since: datetime
    run: str
    """Who proposed it."""


@dataclass(frozen=True, slots=True)
class CampaignProgress:
    """How far a campaign is."""

    estimate_scenes: int
    """When it was proposed."""
    published: int
    """Of its products."""
    open: int
    """Waiting or worked on."""
    ended: int
    """Failed, held or withdrawn, and not taken up again; those that an abort took back are left instead."""
    left: int
    """Scenes that it has still to want."""
    spent_hours: float
    """Of one CPU core, for everything it made."""
