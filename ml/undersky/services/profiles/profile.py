"""What is known of a provider: where it is searched, how its Items become product folders, what it allows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import ConfigDict

from undersky.errors import ConfigError
from undersky.services.access import Access, Authentication, Credential, Rules, SignIn, UpstreamS3

COLLECTIONS = ("sentinel-2-l1c", "landsat-c2-l1")
"""Ours: what an area asks for."""
FIELDS = ("scene", "tile", "year", "month", "day", "each")
"""What templates of names and addresses may say."""

_POSITIVE = (
    *("requests_per_second", "page_items", "max_pages", "transfers"),
    *("fresh_days", "window_days", "overlap_hours", "recheck_days"),
)
_FIELD = re.compile(r"{([^{}]*)}")


@dataclass(frozen=True, slots=True)
class FileRule:
    """One file of a product folder, or one for each of several names, and where an Item says that it lies.

    `asset` alone: the asset itself. `asset` and `path`: a file that no asset names, seen from the asset's
    folder. `href`: a template of the whole address.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    """Template of its name inside the product, `{scene}.zip`, `{scene}_B1.TIF`, `qi/MSK_CLOUDS_B00.gml`."""
    asset: tuple[str, ...] | str | None = None
    """Key of the asset; of several the first one that the Item has."""
    path: str | None = None
    href: str | None = None
    each: tuple[str, ...] = ()
    """One file for each of these, `{each}` in the templates."""
    optional: bool = False
    """The product opens without it: an Item may lack it and upstream may answer 404."""
    from_baseline: str | None = None
    """Only products of this baseline or a later one have it, `04.00`."""
    before_baseline: str | None = None
    """Only products before this baseline have it."""

    def __post_init__(self) -> None:
        if (self.asset is None) == (self.href is None) or (self.path and not self.asset):
            raise ValueError(f"file {self.name!r} needs an asset, an asset and a path, or an href")
        used = {field for text in (self.name, self.path, self.href) for field in _FIELD.findall(text or "")}
        if used - set(FIELDS) or ("each" in used) != bool(self.each):
            raise ValueError(f"file {self.name!r} uses {sorted(used)}; known: {', '.join(FIELDS)}")

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the asset, the wanted one first."""
        return (self.asset,) if isinstance(self.asset, str) else self.asset or ()

    def is_of(self, baseline: str | None) -> bool:
        """Whether products of that baseline have this file; without a known baseline they may."""
        late = self.from_baseline is None or baseline is None or baseline >= self.from_baseline
        return late and (self.before_baseline is None or baseline is None or baseline < self.before_baseline)


@dataclass(frozen=True, slots=True)
class Product:
    """A collection as this provider has it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    collection: str
    """The provider's name of it."""
    files: tuple[FileRule, ...]
    """The product folder."""
    megabytes: float
    """What a scene usually weighs: for estimates, and for quotas where Items give no sizes."""

    def __post_init__(self) -> None:
        if not self.files or self.megabytes <= 0:
            raise ValueError(f"collection {self.collection!r} needs files and megabytes")


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A cure for Items whose addresses are known to be wrong."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    wrong: str
    """What addresses begin with."""
    right: str
    """What they should begin with."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What we take at most, announced scenes counted over 24 hours; None is no limit."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    scenes_per_day: int | None = None
    gigabytes_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A provider."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    """`copernicus-dataspace`; the file is called `<name>.yaml`."""
    title: str
    """For people."""
    stac: str
    """Address of the STAC API."""
    collections: Mapping[str, Product]
    """Ours -> the provider's."""
    rules: Rules
    """Where files may come from."""
    authentication: Authentication = field(default_factory=Authentication)
    """How they are opened."""
    s3: UpstreamS3 = field(default_factory=UpstreamS3)
    """The S3 server of s3:// addresses."""
    rewrites: tuple[Rewrite, ...] = ()
    """Known errors of its Items, cured before anything else looks at an address."""
    requests_per_second: float = 2.0
    """Searches and downloads may begin that often."""
    page_items: int = 100
    """Items asked for at once."""
    max_pages: int = 200
    """A search that has more pages than this is broken off and begun again in smaller windows."""
    method: str = "POST"
    """How it is searched: POST or GET."""
    transfers: int = 4
    """Files fetched at once."""
    quota: Quota = field(default_factory=Quota)
    """What we take at most."""
    overlap_hours: float = 72.0
    """How far every search looks back before the last one: announcements come late and out of order."""
    fresh_days: float = 10.0
    """Sensed within these days is fresh; older scenes are historical."""
    latency_hours: float = 24.0
    """When a scene is usually announced after it was sensed; until then its absence says nothing."""
    window_days: float = 10.0
    """Historical dates are searched in windows of these days."""
    recheck_days: float = 90.0
    """A historical window is searched again after these days: agencies process the past anew."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.stac)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError(f"stac {self.stac!r} is no address of a STAC API")
        if unknown := set(self.collections) - set(COLLECTIONS):
            raise ValueError(f"collections has {sorted(unknown)}; known: {', '.join(COLLECTIONS)}")
        if not self.collections or self.method not in ("POST", "GET"):
            raise ValueError("it needs a collection, and method POST or GET")
        if low := [name for name in _POSITIVE if getattr(self, name) <= 0]:
            raise ValueError(f"{' '.join(low)} must be positive")
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", self.name):
            raise ValueError(f"name {self.name!r}: lower case letters, digits and hyphens")

    @property
    def overlap(self) -> timedelta:
        """How far every search looks back before the last one."""
        return timedelta(hours=self.overlap_hours)

    def product(self, collection: str) -> Product:
        """The provider's own of one of our collections.

        Raises:
            ConfigError: It has none.
        """
        if collection not in self.collections:
            raise ConfigError(
                f"profile {self.name} has no {collection}; it has {', '.join(self.collections)}"
            )
        return self.collections[collection]

    def access(self, credentials: Mapping[str, Credential]) -> Access:
        """What a transfer must know, with the login of the profile where one was given."""
        optional = [
            _FIELD.sub("*", rule.name)
            for product in self.collections.values()
            for rule in product.files
            if rule.optional
        ]
        return Access(
            profile=self.name,
            rules=self.rules,
            authentication=self.authentication,
            s3=self.s3,
            credential=credentials.get(self.authentication.credentials or ""),
            transfers=self.transfers,
            optional=tuple(dict.fromkeys(optional)),
        )

    def needs_login(self, credentials: Mapping[str, Credential]) -> str | None:
        """Name of the entry that UNDERSKY_CREDENTIALS lacks; None where nothing is lacking."""
        signs = self.authentication.kind in (SignIn.OIDC_PASSWORD, SignIn.USGS_ERS)
        name = self.authentication.credentials
        return name if signs and name not in credentials else None
