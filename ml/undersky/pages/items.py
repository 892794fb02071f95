"""A product's STAC Item, as a page shows it: JSON and files in, values out; callers know where they lie."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from undersky.pages.figures import figure
from undersky.pages.values import LANDCOVER, SURFACE, Figure, Found, Link, PageProduct

Json = Mapping[str, Any]
Read = Callable[[str], bytes | None]
"""The file behind the href of an asset; None where it is gone."""

MOST_OBJECTS = 60
"""Objects of one map that a page lists."""

_CHIP = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
_MOST_CHIP = 16_000
_MOST_TABLE = 20_000_000
"""Bytes of a table of objects that a page reads: a larger one is of thousands, which is no good map."""
_GEOJSON = "application/geo+json"
_TABLE = "application/vnd.apache.parquet"
_PICTURES = {"before": "thumbnail_before", "after": "thumbnail"}


def kind_of(item: Json) -> str:
    """Kind of product, by the name of its collection."""
    ending = str(item.get("collection", "")).rpartition("-")[2]
    return SURFACE if ending == "sr" else ending


def product_of_item(
    item: Json, *, state: str, read: Read, link: Callable[[str], str], kind: str | None = None
) -> PageProduct:
    """The product with its pictures, figures and objects; what cannot be read is left out.

    Args:
        item: STAC Item that `undersky correct`, `map` or `detect` made.
        state: Of the product.
        read: Fetches an asset by its href.
        link: Makes of an asset's href one that leads there from the page.
        kind: Of product; by the name of its collection when None.
    """
    properties, assets, kind = item["properties"], item["assets"], kind or kind_of(item)
    names = _PICTURES if kind == SURFACE else {"map": "thumbnail"}
    pictures = {role: _picture(assets.get(key), read) for role, key in names.items()}
    objects = () if kind in (SURFACE, LANDCOVER) else _objects(assets, read)
    shares = properties.get("undersky:quality_percent" if kind == SURFACE else "undersky:summary", {})
    count = max(len(objects), int(shares.get(kind, 0)))
    return PageProduct(
        kind=kind,
        state=state,
        id=str(item["id"]),
        digest=str(properties["undersky:digest"]),
        models=tuple(_model(properties[key]) for key in _MODELS if properties.get(key)),
        links=tuple(Link(text, link(href)) for text, href in _told(assets, kind)),
        pictures={role: picture for role, picture in pictures.items() if picture is not None},
        figures={name: float(value) for name, value in shares.items()},
        objects=objects[:MOST_OBJECTS],
        more_objects=count - len(objects[:MOST_OBJECTS]),
    )


_MODELS = ("undersky:model", "undersky:quality_model")


def _model(told: Json) -> str:
    """`landcover 3 (1a2b3c4d5e6f)`."""
    version = told.get("label") or told.get("version")
    words = [str(told["name"]), *([str(version)] if version else [])]
    digest = told.get("digest")
    return " ".join(words) + (f" ({str(digest)[:12]})" if digest else "")


def _picture(asset: Json | None, read: Read) -> Figure | None:
    data = None if asset is None else read(str(asset["href"]))
    return None if data is None else figure(data)


def _told(assets: Json, kind: str) -> list[tuple[str, str]]:
    """The assets that are worth a link of their own, as text and href."""
    if kind == SURFACE:
        wanted = {"quality": "quality mask"}
    elif kind == LANDCOVER:
        wanted = {"landcover": "land cover, COG", "confidence": "confidence, COG"}
    else:
        types = {_TABLE: "GeoParquet", _GEOJSON: "GeoJSON"}
        wanted = {key: types[asset["type"]] for key, asset in assets.items() if asset.get("type") in types}
    return [(text, str(assets[key]["href"])) for key, text in wanted.items() if key in assets]


def _objects(assets: Json, read: Read) -> tuple[Found, ...]:
    """What the GeoJSON holds, the surest first; nothing where it cannot be read."""
    asset = next((each for each in assets.values() if each.get("type") == _GEOJSON), None)
    is_small = asset is not None and int(asset.get("file:size", 0)) <= _MOST_TABLE
    data = read(str(asset["href"])) if asset is not None and is_small else None
    if data is None:
        return ()
    try:
        found = [_found(feature) for feature in json.loads(data)["features"]]
    except (ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
        return ()
    return tuple(sorted(found, key=lambda one: -one.score))


def _found(feature: Json) -> Found:
    properties, chip = feature["properties"], feature["properties"].get("chip")
    # the ring closes where it began
    corners: Sequence[Sequence[float]] = feature["geometry"]["coordinates"][0][:-1]
    lon, lat = (sum(float(corner[axis]) for corner in corners) / len(corners) for axis in (0, 1))
    usable = isinstance(chip, str) and len(chip) <= _MOST_CHIP and _CHIP.fullmatch(chip) is not None
    return Found(
        score=float(properties["score"]),
        length_m=float(properties["length_m"]),
        lon=lon,
        lat=lat,
        chip=chip if usable else None,
    )
