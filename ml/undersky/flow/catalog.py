"""What an index says of published Items: monthly catalogs, Collections, the root. JSON in, JSON out.

    stac/catalog.json                               root --child--> Collections
    stac/<collection>/collection.json               --child--> months;  asset items.parquet
    stac/<collection>/<yyyy>/<mm>/catalog.json      --item--> current Items

All of it follows from the Items, so that all of it may be thrown away and made again.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

from undersky.flow.published import (
    ITEM_TYPE,
    ROOT,
    Json,
    collection_key,
    link,
    month_key,
    resolved,
)

STAC_VERSION = "1.1.0"
PARQUET_TYPE = "application/vnd.apache.parquet"

_TITLE = "Undersky: maps of the ground under the sky"
_ABOUT = (
    "Surface reflectance with a 1-sigma uncertainty for every pixel and band, quality bits, and the "
    "atmosphere that was removed. Terrain illumination is not corrected."
)
_ABOUT_ALL = f"{_ABOUT} Made of it: land cover with its confidence, and ships."
_LAND_COVER = (
    "The class of every clear pixel, in the classes and codes of ESA WorldCover, and how sure the model is. "
    "Made of one surface reflectance product, to which each Item links."
)
_SHIPS = (
    "Ships as boxes with score and length, and pictures of them. Made of one surface reflectance product, to "
    "which each Item links."
)
_LATEST = (
    "What the ground of a tile is now: its land-cover maps of a year fused by their confidence, with the day "
    "of the last clear view, the number of views, and where the ground became another."
)
_MAPS = {
    "landcover": ("Land cover", _LAND_COVER),
    "vessels": ("Ships", _SHIPS),
    "latest": ("Latest land cover", _LATEST),
}
"""Title and description of the Collections of maps, by the end of their id."""
_LEFT_OUT = {
    *("undersky:source_sha256", "undersky:parameters", "undersky:notes"),
    *("undersky:validation", "undersky:atmosphere", "undersky:maps", "undersky:models"),
}
"""Properties that are long, or whose keys differ: an index is a table. The Item has them."""
_OF_ONE_FILE = {"href", "proj:shape", "proj:transform", "file:size", "file:checksum", "statistics"}
_OF_ONE_ITEM = ("grid/", "view/", "file/", "version/", "timestamps/")
_SUMMARISED = ("platform", "constellation", "processing:level", "proj:code")


def indexed_item(item: Mapping[str, Any], key: str, *, base: str) -> Json:
    """A published Item as an index holds it: absolute hrefs, and only what every Item has.

    Args:
        item: As it was published, hrefs relative.
        key: Where it lies.
        base: Address of the bucket as readers reach it, `https://host/bucket`, without a slash at its end.
    """
    properties = {name: value for name, value in item["properties"].items() if name not in _LEFT_OUT}
    assets = {
        name: {**asset, "href": f"{base}/{resolved(asset['href'], key)}"}
        for name, asset in item["assets"].items()
    }
    own = {"rel": "self", "href": f"{base}/{key}", "type": ITEM_TYPE}
    collection = {
        "rel": "collection",
        "href": f"{base}/{collection_key(item['collection'])}",
        "type": "application/json",
    }
    return {**item, "properties": properties, "assets": assets, "links": [own, collection]}


def root_catalog(collections: Iterable[str]) -> Json:
    """The root, with the Collections as children."""
    links = [link("child", ROOT, collection_key(name), title=name) for name in collections]
    return _catalog("undersky", _TITLE, ROOT, links, about=_ABOUT_ALL)


def month_catalog(
    collection: str, month: str, items: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> Json:
    """One month of a Collection.

    Args:
        collection: Its id.
        month: `2025/06`.
        items: Its current Items.
        keys: Where they lie, in the same order.
    """
    at = f"stac/{collection}/{month}/catalog.json"
    links = [
        link("parent", at, collection_key(collection)),
        *(
            link("item", at, key, kind=ITEM_TYPE, title=str(item["id"]))
            for item, key in zip(items, keys, strict=True)
        ),
    ]
    name = month.replace("/", "-")
    about = _told(collection)[1]
    return _catalog(f"{collection}-{name}", f"{collection}, {name}", at, links, about=about)


def collection_document(name: str, items: Sequence[Mapping[str, Any]], months: Sequence[str]) -> Json:
    """The Collection of these Items: their extent, and what all of them say alike.

    Args:
        name: Its id.
        items: Its current Items, newest first; at least one.
        months: `2025/06`, ascending.
    """
    at, newest = collection_key(name), items[0]
    # a rolling map is of several platforms, and of one constellation
    platforms = _values(items, "platform") or _values(items, "constellation")
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [
            uri
            for uri in newest.get("stac_extensions", ())
            if not uri.removeprefix("https://stac-extensions.github.io/").startswith(_OF_ONE_ITEM)
        ],
        "id": name,
        "title": f"{_told(name)[0]} of {', '.join(platforms)}",
        "description": _told(name)[1],
        "license": newest["properties"].get("license", "other"),
        "providers": newest["properties"].get("providers", []),
        "extent": {
            "spatial": {"bbox": [_together(item["bbox"] for item in items)]},
            "temporal": {"interval": [_interval(items)]},
        },
        "summaries": {
            **{field: found for field in _SUMMARISED if (found := _values(items, field))},
            "instruments": sorted({i for item in items for i in item["properties"].get("instruments", ())}),
        },
        "item_assets": _assets_alike(items),
        "links": [
            link("root", at, ROOT, title=_TITLE),
            link("parent", at, ROOT, title=_TITLE),
            *(link("child", at, f"stac/{name}/{month}/catalog.json", title=month) for month in months),
        ],
        "assets": {
            "items": {
                "href": "./items.parquet",
                "type": PARQUET_TYPE,
                "title": "All current Items, stac-geoparquet",
                "roles": ["collection-mirror"],
            }
        },
    }


def month_of(key: str) -> str:
    """`2025/06` of the key of an Item."""
    return "/".join(month_key(key).split("/")[2:4])


def _told(collection: str) -> tuple[str, str]:
    """What a Collection holds: the beginning of its title, and its description."""
    return _MAPS.get(collection.rpartition("-")[2], ("Surface reflectance", _ABOUT))


def _catalog(name: str, title: str, at: str, links: Sequence[Json], *, about: str) -> Json:
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": name,
        "title": title,
        "description": about,
        "links": [link("root", at, ROOT, title=_TITLE), *links],
    }


def _values(items: Sequence[Mapping[str, Any]], field: str) -> list[str]:
    return sorted({str(value) for item in items if (value := item["properties"].get(field)) is not None})


def _interval(items: Sequence[Mapping[str, Any]]) -> list[str]:
    times = sorted(str(item["properties"]["datetime"]) for item in items)
    return [times[0], times[-1]]


def _together(boxes: Iterable[Sequence[float]]) -> list[float]:
    """The box around all; around the whole globe where one crosses the antimeridian (its west > its east)."""
    wests, souths, easts, norths = zip(*boxes, strict=True)
    if any(west > east for west, east in zip(wests, easts, strict=True)):
        return [-180.0, min(souths), 180.0, max(norths)]
    return [min(wests), min(souths), max(easts), max(norths)]


def _assets_alike(items: Sequence[Mapping[str, Any]]) -> Json:
    """What the assets of all Items say alike; an asset that some lack is left out."""
    found = reduce(_alike, (item["assets"] for item in items))
    return {name: _common(asset) for name, asset in found.items()} if isinstance(found, Mapping) else {}


def _alike(one: Any, other: Any) -> Any:
    """What two JSON values share; None where they share nothing."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        shared = {name: _alike(one[name], other[name]) for name in one if name in other}
        return {name: value for name, value in shared.items() if value is not None}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = [_alike(a, b) for a, b in zip(one, other, strict=True)]
        return None if None in parts else parts
    return one if one == other else None


def _common(value: Any) -> Any:
    """The value without what belongs to one file."""
    if isinstance(value, Mapping):
        return {name: _common(each) for name, each in value.items() if name not in _OF_ONE_FILE}
    return [_common(each) for each in value] if isinstance(value, list) else value
