"""What a page shows of a run, before it is HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SURFACE, LANDCOVER = "surface", "landcover"
"""Kinds of product that are drawn in their own way; every other kind is a map of objects."""

GOOD = frozenset({"published", "made"})
"""States of a product that need nobody's attention; `made` of one that was made by hand."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture that a page carries inside."""

    data: bytes
    """The file."""
    media_type: str
    """`image/jpeg`, `image/png`."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where to read on."""

    text: str
    """What lies there."""
    href: str
    """Relative to the page, or absolute."""


@dataclass(frozen=True, slots=True)
class Found:
    """One object of a map of objects."""

    score: float
    """How sure the model is, 0 .. 1."""
    length_m: float
    """Longer side of its box."""
    lon: float
    """Of its centre, degrees."""
    lat: float
    """Of its centre, degrees."""
    chip: str | None = None
    """Its picture as a data URI, `data:image/png;base64,...`; None where the map carries none."""


@dataclass(frozen=True, slots=True)
class PageProduct:
    """One product of a scene: its reflectance, or a map of it."""

    kind: str
    """`surface`, `landcover`, `vessels`."""
    state: str
    """`published`, `held`, `skipped`, `failed`, `given back`; `made` by hand."""
    id: str | None = None
    """Of its Item; None where nothing was made."""
    digest: str | None = None
    """Of everything that made it."""
    sentence: str = ""
    """Why it has that state, where it is not a good one."""
    failed: tuple[str, ...] = ()
    """A sentence for each expectation that did not hold."""
    note: str = ""
    """What else a reader should know: that an earlier run made it."""
    models: tuple[str, ...] = ()
    """Name, version and head of the digest of each model that made it."""
    links: tuple[Link, ...] = ()
    """To its Item, its assets, its Data Docs."""
    pictures: Mapping[str, Figure] = field(default_factory=dict)
    """`before` and `after` of a surface product, `map` of any other."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Percent of the quality flags, or of the classes; what a map of objects says of itself."""
    objects: tuple[Found, ...] = ()
    """The surest first."""
    more_objects: int = 0
    """How many there are beside these."""

    @property
    def is_good(self) -> bool:
        """Whether nobody needs to look after it."""
        return self.state in GOOD


@dataclass(frozen=True, slots=True)
class PageScene:
    """One acquisition and all that a run made of it."""

    key: str
    """Key of the acquisition in the ledger, or the product's id by hand."""
    title: str
    """For a person: `32TQM, 13 June 2025 10:15 UTC`."""
    products: tuple[PageProduct, ...]
    """The surface product first."""

    @property
    def needs_a_look(self) -> bool:
        """Whether something of it is not as it should be."""
        return any(product.state in ("held", "failed") for product in self.products)

    @property
    def was_made(self) -> bool:
        """Whether there is something to be seen."""
        return any(product.id is not None for product in self.products)


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above everything."""

    title: str
    """`Land cover and vessels`."""
    run: str
    """Id of the run; `by hand`."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else is known of the run: when it ended, the release set."""
