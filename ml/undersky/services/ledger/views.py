"""What the ledger answers."""

from dataclasses import dataclass
from datetime import datetime

from undersky.refs import FileRef, Judged, Lane, Made
from undersky.services.ledger.records import AcquisitionState, GeoJSON, ProductState, Rejection, Search


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
    kind: str
    """`surface`."""
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


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue: what one kind of claim has before it."""

    work: str
    """`ingest` or `surface`."""
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
