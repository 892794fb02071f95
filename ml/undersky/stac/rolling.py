"""STAC 1.1 Items and Collections of rolling maps: one Item a tile, made of the Items of its maps.

    Items of the maps (JSON), oldest first  --> where, between when, by which satellites, whose data, models
    layers, digest, cost                    --> assets and provenance

`derived_from` leads to every map that it is of; `undersky:maps` names them with their digests, so that
anybody who has the maps can make the same pixels again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pystac

from undersky import __version__
from undersky.errors import ConfigError
from undersky.raster.encoding import MAPS_FORMAT_VERSION, ROLLING_LAYERS
from undersky.raster.written import WrittenFile, WrittenLayer
from undersky.stac.assets import Fields
from undersky.stac.documents import EXTENSIONS, code_of, geometry_of, surface_collection, validate
from undersky.stac.maps import COLLECTIONS, MapFile, file_asset, map_asset, map_fields, sensors_of
from undersky.stac.product import Cost
from undersky.tile_refs import LATEST, ROLL_RULE

Json = Mapping[str, Any]

_INHERITED = ("constellation", "instruments", "gsd", "license", "providers", "grid:code")
"""Properties of the newest map that are as true of all of them together."""
_DESCRIPTION = (
    "What the ground of a tile is now, in the eleven classes of ESA WorldCover: the maps of a year fused by "
    "their confidence, newer ones weighing more, with the day of the last clear view, the number of clear "
    "views and a flag where the ground became another."
)
COLLECTIONS_OF = tuple(name + LATEST for name in COLLECTIONS if name.endswith("-landcover"))
"""Every collection of rolling maps."""


@dataclass(frozen=True, slots=True)
class RollingProduct:
    """A finished rolling map, about to be described."""

    id: str
    """Item id and folder name."""
    maps: Sequence[Json]
    """Items of the maps that it is of, oldest first."""
    layers: tuple[WrittenLayer, ...]
    """Every raster, in the order of ROLLING_LAYERS."""
    thumbnail: WrittenFile
    """The map in its colours, PNG."""
    parameters: Json
    """Everything beside the maps that decides a pixel."""
    digest: str
    """sha256 over the digests of the maps, parameters, rule and format version."""
    cost: Cost
    """What the run spent."""
    summary: Mapping[str, float]
    """Percent of a class, of change, of no clear view."""

    @property
    def collection(self) -> str:
        """`sentinel-2-landcover-latest`."""
        return str(self.maps[-1]["collection"]) + LATEST


def rolling_item(product: RollingProduct) -> pystac.Item:
    """The Item with relative links, valid against the STAC 1.1 schema.

    Raises:
        ConfigError: There is no such collection, or the schema is broken: a defect found before anybody
            reads the map.
    """
    source = _source(product.collection)
    newest, times = product.maps[-1], [str(each["properties"]["datetime"]) for each in product.maps]
    grid = product.layers[0].grid
    geometry, bbox = geometry_of(grid)
    item = pystac.Item(
        id=product.id, geometry=geometry, bbox=bbox, datetime=datetime.fromisoformat(times[-1]),
        start_datetime=datetime.fromisoformat(times[0]), end_datetime=datetime.fromisoformat(times[-1]),
        properties=_properties(product, code_of(grid)), stac_extensions=list(EXTENSIONS),
    )  # fmt: skip
    item.collection_id = product.collection
    item.add_link(pystac.Link("collection", f"../{product.collection}.json", media_type="application/json"))
    for each in product.maps:
        # beside each other is where the verbs put them when both are given one DIR
        href = f"../{each['id']}/{each['id']}.json"
        item.add_link(pystac.Link("derived_from", href, "application/geo+json", str(each["id"])))
    for link in newest.get("links", ()):
        if link["rel"] == "license":
            item.add_link(pystac.Link("license", link["href"], title=link.get("title")))
    sensor = sensors_of(source, str(newest["properties"]["platform"]))[0]
    for written in product.layers:
        item.add_asset(written.layer.key, map_asset(written, sensor))
    picture = MapFile("thumbnail", product.thumbnail, "image/png", "The map in its colours", ("thumbnail",))
    item.add_asset("thumbnail", file_asset(picture))
    validate(item.to_dict(include_self_link=False, transform_hrefs=False))
    return item


def rolling_collection(name: str) -> pystac.Collection:
    """The Collection of rolling maps of that name, valid against the STAC 1.1 schema.

    Raises:
        ConfigError: There is no such collection.
    """
    surface = _source(name)
    source, sensors = surface_collection(surface), sensors_of(surface)
    collection = pystac.Collection(
        id=name,
        title=f"Latest land cover from {', '.join(sensor.platform for sensor in sensors)}",
        description=_DESCRIPTION,
        extent=source.extent,
        license="other",
        providers=source.providers,
        summaries=source.summaries,
        stac_extensions=source.stac_extensions,
    )
    collection.extra_fields["item_assets"] = {
        layer.key: map_fields(layer, sensors[0]) for layer in ROLLING_LAYERS
    }
    for link in source.get_links("license"):
        collection.add_link(pystac.Link("license", link.href, title=link.title))
    validate(collection.to_dict(include_self_link=False, transform_hrefs=False))
    return collection


def _source(name: str) -> str:
    """The collection of surface products behind a collection of rolling maps."""
    if name not in COLLECTIONS_OF:
        raise ConfigError(
            f"there is no collection of rolling maps {name!r}; there are {' '.join(COLLECTIONS_OF)}"
        )
    return COLLECTIONS[name.removesuffix(LATEST)].surface


def _properties(product: RollingProduct, code: str | None) -> Fields:
    inherited, cost = product.maps[-1]["properties"], product.cost
    said = sorted({str(each["properties"].get("attribution", "")) for each in product.maps} - {""})
    models = {each["properties"]["undersky:model"]["digest"]: each for each in product.maps}
    ours: Fields = {
        "created": cost.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "title": f"Latest land cover, {inherited.get('grid:code')}, {inherited['datetime'][:10]}",
        "attribution": "; ".join(said),
        "proj:code": code,
        "processing:level": "L3",
        "processing:software": {"undersky": __version__},
        "processing:lineage": f"{len(product.maps)} land-cover maps fused by rule {ROLL_RULE}",
        "undersky:maps": [
            {"id": str(each["id"]), "digest": each["properties"]["undersky:digest"]} for each in product.maps
        ],
        "undersky:models": [dict(models[key]["properties"]["undersky:model"]) for key in sorted(models)],
        "undersky:parameters": dict(product.parameters),
        "undersky:format_version": MAPS_FORMAT_VERSION,
        "undersky:digest": product.digest,
        "undersky:summary": {key: round(float(value), 3) for key, value in product.summary.items()},
        "undersky:run_id": cost.run_id,
        "undersky:seconds": round(cost.seconds, 2),
        "undersky:cpu_seconds": round(cost.cpu_seconds, 2),
        "undersky:bytes": sum(w.file.size for w in product.layers) + product.thumbnail.size,
    }
    return {key: inherited[key] for key in _INHERITED if key in inherited} | ours
