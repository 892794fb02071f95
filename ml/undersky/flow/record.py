"""`undersky record PROFILE`: a current Item of each collection of a provider, kept for the contract tests.

    tests/upstream/items/<profile>-<collection>.json     {"label": "recorded", "recorded": ..., "item": {...}}

Items there that nobody recorded are written from the providers' documents and labelled "unrecorded";
recording puts true ones in their place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from undersky.errors import ConfigError, ServiceError
from undersky.refs import Lane
from undersky.services.granules import Wish, item_id, read_item
from undersky.services.ledger import Announcement, Area
from undersky.services.profiles import Profile
from undersky.services.search import Question, search

_PLACE = {
    "type": "Polygon",
    "coordinates": [[[6.0, 44.0], [16.0, 44.0], [16.0, 50.0], [6.0, 50.0], [6.0, 44.0]]],
}
"""Central Europe: scenes of every provider on every day."""
_DAYS = (10, 40)
"""Searched one after the other, until something is found."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One Item that was kept."""

    path: Path
    collection: str
    id: str
    reads: bool
    """Whether it would be announced."""
    sentence: str
    """What became of it, or why it would be rejected."""


def record(
    profiles: Mapping[str, Profile],
    name: str,
    folder: Path,
    *,
    now: datetime,
    place: Mapping[str, object] | None = None,
) -> tuple[Recorded, ...]:
    """A current Item of each collection is kept in the folder, in the place of what was there.

    An Item that can be read is taken before one that cannot; if none can, the first one is kept all the same,
    so that the contract test shows what has changed.

    Args:
        profiles: All that are known.
        name: Whose Items.
        folder: `tests/upstream/items` of a checkout.
        now: Aware.
        place: GeoJSON to look in; central Europe when None.

    Raises:
        ConfigError: No such profile or folder.
        ServiceError: The provider does not answer, or has nothing there.
    """
    if name not in profiles:
        raise ConfigError(f"no profile is called {name!r}; known: {', '.join(profiles)}")
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; run this in a checkout, or name the folder")
    profile = profiles[name]
    return tuple(
        _record(profile, collection, folder, now=now, place=place or _PLACE)
        for collection in profile.collections
    )


def file_name(profile: str, collection: str) -> str:
    """Of the Item of a profile's collection."""
    return f"{profile}-{collection}.json"


def _record(
    profile: Profile, collection: str, folder: Path, *, now: datetime, place: Mapping[str, object]
) -> Recorded:
    area = Area("recording", place, (collection,), since=date(2013, 1, 1))
    wish = Wish(area, collection, Lane.FRESH, now)
    items = _some_items(profile, collection, place, now)
    read = [(item, read_item(item, profile, wish)) for item in items]
    item, outcome = next((pair for pair in read if isinstance(pair[1], Announcement)), read[0])
    kept = {
        "label": "recorded",
        "profile": profile.name,
        "collection": collection,
        "source": profile.stac,
        "recorded": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "item": item,
    }
    path = folder / file_name(profile.name, collection)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
    if isinstance(outcome, Announcement):
        return Recorded(path, collection, item_id(item), reads=True, sentence=f"granule {outcome.key}")
    return Recorded(path, collection, item_id(item), reads=False, sentence=outcome.sentence)


def _some_items(
    profile: Profile, collection: str, place: Mapping[str, object], now: datetime
) -> tuple[object, ...]:
    for days in _DAYS:
        question = Question(collection, place, now - timedelta(days=days), now)
        page = next(search(profile, question), None)
        if page is not None and page.items:
            return page.items
    raise ServiceError(
        f"{profile.stac} has no {collection} of the last {_DAYS[-1]} days over the place asked for"
    )
