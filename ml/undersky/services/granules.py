"""Who an upstream Item is: identity from its name, facts from its properties, files by the profile's rules.

    Item --read_item--> Announcement      a delivery that an area wants
                    --> Rejection         with a stable reason and a sentence

Identity: platform, datatake and tile of a Sentinel-2 granule; sensor, path and row, and date of a Landsat
scene. It stands in the product's name, which every provider keeps, whatever dialect its Items have.

Sources: Sentinel-2 Products Specification 14.9, section 4.8; LSDS-1822, section 3 (names of Landsat).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shapely.errors import ShapelyError
from shapely.geometry import shape

from undersky.refs import Lane
from undersky.services.item_files import files_of
from undersky.services.ledger import Announcement, Area, Rejection
from undersky.services.profiles import Profile
from undersky.services.scene_names import Refused, SceneName, read_name

Item = Mapping[str, object]

MIN_SUN_ELEVATION = 13.0
"""Degrees at the scene's centre: the radiative-transfer tables end at a sun zenith of 77."""
MAX_ID = 200
"""Characters of an id that are kept: an Item may say anything."""


@dataclass(frozen=True, slots=True)
class Wish:
    """For whom Items are read."""

    area: Area
    collection: str
    """Ours."""
    lane: Lane
    now: datetime
    """Aware: decides whether an Item that lacks files may still be completed."""


def read_item(item: object, profile: Profile, wish: Wish) -> Announcement | Rejection:
    """What an Item announces, or why it is not wanted. Never raises for anything an Item can hold."""
    id_ = item_id(item)
    tile: str | None = None
    sensed: datetime | None = None
    try:
        properties = _properties(item)
        name = _named(id_, properties, wish.collection)
        tile, sensed = name.tile, _sensed(name, properties)
        return _announced(_mapping(item), name, sensed, profile=profile, wish=wish)
    except Refused as refusal:
        return Rejection(id_, refusal.reason, str(refusal), tile, sensed, wish.collection)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ShapelyError) as error:
        sentence = f"the Item cannot be read ({type(error).__name__}: {str(error)[:120]})"
        return Rejection(id_, "broken_item", sentence, tile, sensed, wish.collection)


def item_id(item: object) -> str:
    """The Item's id as the ledger may keep it, `(no id)` where it has none."""
    id_ = item.get("id") if isinstance(item, Mapping) else None
    text = id_ if isinstance(id_, str) and id_ else "(no id)"
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_ID])


def _announced(
    item: Item, name: SceneName, sensed: datetime, *, profile: Profile, wish: Wish
) -> Announcement:
    properties = _properties(item)
    cloud = _number(properties, "eo:cloud_cover", low=0.0, high=100.0)
    elevation = _number(properties, "view:sun_elevation", "eo:sun_elevation", low=-90.0, high=90.0)
    _check_tile(name, properties)
    _check_wanted(wish, sensed, cloud=cloud, elevation=elevation)
    geometry = _mapping(item.get("geometry"))
    _check_place(geometry, wish.area)
    updated = _instant(properties, "updated", "created", "published") or sensed
    settled = wish.now - updated > timedelta(hours=profile.latency_hours)
    return Announcement(
        key=name.key,
        scene=name.scene,
        collection=wish.collection,
        platform=name.platform,
        tile=name.tile,
        sensed=sensed,
        files=files_of(item, name, profile, collection=wish.collection, settled=settled),
        profile=profile.name,
        area=wish.area.name,
        lane=wish.lane,
        baseline=name.baseline,
        tier=name.tier,
        produced=_instant(properties, "processing:datetime", "s2:generation_time") or name.produced,
        cloud_percent=cloud,
        sun_elevation=elevation,
        geometry=dict(geometry),
        datastrip=_text(properties, "eopf:datastrip_id", "s2:datastrip_id"),
    )


def _named(id_: str, properties: Item, collection: str) -> SceneName:
    """The name, from the first of the places where providers keep it that holds one."""
    places = [_text(properties, key) for key in ("s2:product_uri", "title", "landsat:product_id")]
    names = [id_, *(place for place in places if place)]
    refusal: Refused | None = None
    for candidate in names:
        try:
            return read_name(candidate, collection)
        except Refused as error:
            # a name of another level says more than one that is none
            refusal = error if refusal is None or error.reason != "unknown_id" else refusal
    raise refusal or Refused("unknown_id", f"{id_!r} is no name of a product")


def _sensed(name: SceneName, properties: Item) -> datetime:
    """Start of the datatake of Sentinel-2, scene centre of Landsat."""
    stated = _instant(properties, "datetime", "start_datetime")
    if not name.is_landsat or stated is None:
        return name.sensed
    if abs(stated - name.sensed) > timedelta(days=1):
        raise Refused(
            "contradictory_item", f"{name.scene} is called so, its Item was sensed {stated:%Y-%m-%d}"
        )
    return stated


def _check_tile(name: SceneName, properties: Item) -> None:
    code = _text(properties, "grid:code")
    if code is not None and code.startswith("MGRS-") and code[5:].zfill(5) != name.tile:
        raise Refused("contradictory_item", f"{name.scene} is of tile {name.tile}, its Item says {code}")


def _check_wanted(wish: Wish, sensed: datetime, *, cloud: float | None, elevation: float | None) -> None:
    area = wish.area
    if sensed.date() < area.since or (area.until is not None and sensed.date() > area.until):
        wanted = f"{area.since} to {area.until or 'now on'}"
        raise Refused("outside_dates", f"sensed {sensed:%Y-%m-%d}; area {area.name} wants {wanted}")
    if cloud is not None and area.max_cloud is not None and cloud > area.max_cloud:
        raise Refused("too_cloudy", f"{cloud:.0f} % cloud; area {area.name} takes up to {area.max_cloud:g} %")
    if elevation is not None and elevation < MIN_SUN_ELEVATION:
        raise Refused(
            "sun_too_low",
            f"the sun stands {elevation:.1f} degrees high; the correction needs {MIN_SUN_ELEVATION:g}",
        )


def _check_place(geometry: Item, area: Area) -> None:
    if not shape(geometry).intersects(shape(area.geometry)):
        raise Refused("outside_area", f"its footprint does not touch area {area.name}")


def _properties(item: object) -> Item:
    return _mapping(_mapping(item).get("properties"))


def _mapping(value: object) -> Item:
    if not isinstance(value, Mapping):
        raise TypeError(f"found {type(value).__name__} where an object belongs")
    return value


def _text(properties: Item, *keys: str) -> str | None:
    found = (properties.get(key) for key in keys)
    return next((value for value in found if isinstance(value, str) and 0 < len(value) <= MAX_ID), None)


def _number(properties: Item, *keys: str, low: float, high: float) -> float | None:
    """The first number within limits; agencies write -1 for unknown."""
    for value in _values(properties, keys):
        if isinstance(value, int | float) and math.isfinite(value) and low <= value <= high:
            return float(value)
    return None


def _instant(properties: Item, *keys: str) -> datetime | None:
    for value in _values(properties, keys):
        if isinstance(value, str):
            try:
                instant = datetime.fromisoformat(value[:MAX_ID])
            except ValueError:
                continue
            return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return None


def _values(properties: Item, keys: Iterable[str]) -> Iterable[object]:
    return (properties[key] for key in keys if key in properties and not isinstance(properties[key], bool))
