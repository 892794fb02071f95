"""Areas: a GeoJSON file and a few words become something that every search asks for from now on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from undersky.errors import ConfigError
from undersky.flow.geojson import Ground, read_ground
from undersky.flow.words import listed
from undersky.services.ledger import Area
from undersky.services.profiles import Profile

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FIRST = {"sentinel-2-l1c": date(2015, 6, 27), "landsat-c2-l1": date(2013, 3, 18)}
"""First days of Sentinel-2A and of Landsat 8: nothing that Undersky reads was sensed before."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for, as it was typed."""

    file: Path
    since: date
    collections: Sequence[str]
    until: date | None = None
    profiles: Sequence[str] = ()
    max_cloud: float | None = None
    """Percent."""
    name: str | None = None
    """None takes the feature's name, or the file's."""


def area_of(wish: Wish, *, profiles: Mapping[str, Profile], today: date) -> tuple[Area, Ground]:
    """The area that is meant, checked, and the ground it covers.

    Args:
        wish: What was asked for.
        profiles: Every provider there is.
        today: To tell dates that cannot be meant.

    Raises:
        ConfigError: The file draws no usable ground; or a name, date, collection, profile or limit is wrong.
    """
    ground = read_ground(wish.file)
    collections = tuple(dict.fromkeys(wish.collections))
    _check_collections(collections, wish.profiles, profiles)
    _check_dates(wish, collections, today)
    if wish.max_cloud is not None and not 0 <= wish.max_cloud <= 100:
        raise ConfigError(f"--max-cloud {wish.max_cloud:g} is no percentage; expected 0 to 100")
    area = Area(
        name=_name(wish, ground),
        geometry=ground.geometry,
        collections=collections,
        since=wish.since,
        until=wish.until,
        max_cloud=wish.max_cloud,
        profiles=tuple(dict.fromkeys(wish.profiles)),
    )
    return area, ground


def _check_collections(
    collections: Sequence[str], chosen: Sequence[str], profiles: Mapping[str, Profile]
) -> None:
    unknown = [name for name in chosen if name not in profiles]
    if unknown:
        raise ConfigError(f"no profile is called {listed(unknown)}; there are {listed([*profiles], most=20)}")
    for collection in collections:
        if collection not in _FIRST:
            raise ConfigError(f"{collection!r} is no collection of ours; there are {listed([*_FIRST])}")
        having = [profile.name for profile in profiles.values() if collection in profile.collections]
        if chosen and not set(chosen) & set(having):
            raise ConfigError(
                f"{collection} is in none of the profiles {listed([*chosen])}; {listed(having)} has it"
            )
        if not having:
            raise ConfigError(
                f"no profile has {collection}: lay one into UNDERSKY_PROFILES (docs/providers.md)"
            )


def _check_dates(wish: Wish, collections: Sequence[str], today: date) -> None:
    if (wish.since - today).days > 366:
        raise ConfigError(f"--from {wish.since} is more than a year ahead of {today}: is the year right?")
    if wish.until is not None and wish.until < wish.since:
        raise ConfigError(f"--until {wish.until} is before --from {wish.since}")
    for collection in collections:
        if wish.since < _FIRST[collection]:
            raise ConfigError(
                f"--from {wish.since}: {collection} begins on {_FIRST[collection]}, nothing is older"
            )


def _name(wish: Wish, ground: Ground) -> str:
    """The chosen name, which must be plain; else one made of the feature's or the file's."""
    if wish.name is not None:
        if not _NAME.fullmatch(wish.name):
            raise ConfigError(
                f"--name {wish.name!r} is no name: lower case letters, digits and hyphens, at most 63"
            )
        return wish.name
    plain = re.sub(r"[^a-z0-9]+", "-", (ground.name or wish.file.stem).lower()).strip("-")[:63].strip("-")
    if not plain:
        raise ConfigError(f"{wish.file} gives the area no name that can be typed: give one with --name")
    return plain
