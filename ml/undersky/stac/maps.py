"""STAC 1.1 Items and Collections of what is made from a surface product: land cover, vessels.

    surface Item (JSON) --> where, when, by which satellite, whose data
    layers, files       --> assets
    model, digest, cost --> provenance

A map's Item repeats nothing of the surface's science: `derived_from` leads there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac

from undersky import __version__
from undersky.bands import SENSORS, Sensor
from undersky.errors import ConfigError
from undersky.landcover import NODATA
from undersky.raster.encoding import COVER_LAYERS, MAPS_FORMAT_VERSION, Layer
from undersky.raster.written import WrittenFile, WrittenLayer
from undersky.stac.assets import Fields, layer_asset, layer_fields
from undersky.stac.documents import EXTENSIONS, surface_collection, validate
from undersky.stac.product import Cost

Json = Mapping[str, Any]

_SHA2_256 = "1220"
_INHERITED = (
    "platform", "constellation", "instruments", "gsd", "license", "attribution", "providers", "proj:code",
    "grid:code", "view:sun_elevation", "view:sun_azimuth", "view:incidence_angle", "view:azimuth",
    "eo:cloud_cover",
)  # fmt: skip
"""Properties of the surface Item that are as true of its map."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A collection of maps."""

    surface: str
    """The collection it is made from."""
    title: str
    """What it holds, before the names of the satellites."""
    description: str
    """What a reader should know before the first download."""
    layers: tuple[Layer, ...] = ()
    """Rasters of every Item."""
    files: Mapping[str, tuple[str, str, tuple[str, ...]]] = field(default_factory=dict)
    """Key to media type, title and roles of every other asset."""


_COVER = (
    "Land cover in the eleven classes of ESA WorldCover, one map for every scene, with the calibrated "
    "probability of the class. Pixels under cloud, shadow or cirrus are nodata."
)
_VESSELS = "Vessels as georeferenced boxes with a score and a length, one collection for every scene."

COLLECTIONS: Mapping[str, _Kind] = {
    "sentinel-2-landcover": _Kind("sentinel-2-sr", "Land cover from", _COVER, COVER_LAYERS),
    "landsat-8-9-landcover": _Kind("landsat-8-9-sr", "Land cover from", _COVER, COVER_LAYERS),
    "sentinel-2-vessels": _Kind(
        "sentinel-2-sr", "Vessels seen by", _VESSELS,
        files={
            "vessels": ("application/vnd.apache.parquet", "Vessels, GeoParquet", ("data",)),
            "geojson": ("application/geo+json", "Vessels, GeoJSON", ("data",)),
        },
    ),
}  # fmt: skip
"""Every collection of maps by its name."""


@dataclass(frozen=True, slots=True)
class MapFile:
    """A finished file of a map that is no raster layer."""

    key: str
    """Asset key: `vessels`, `geojson`."""
    file: WrittenFile
    """As it lies on the disk."""
    media_type: str
    """`application/geo+json`."""
    title: str
    """For a person."""
    roles: tuple[str, ...] = ("data",)
    """STAC roles."""


@dataclass(frozen=True, slots=True)
class MapProduct:
    """A finished map, about to be described."""

    id: str
    """Item id and folder name."""
    surface: Json
    """The Item of the surface product it was made from."""
    collection: str
    """One of COLLECTIONS."""
    title: str
    """For a person: `Land cover, sentinel-2a, 33UXP, 2024-05-03`."""
    layers: tuple[WrittenLayer, ...]
    """Rasters; none of a map of objects."""
    files: tuple[MapFile, ...]
    """Everything else but the picture."""
    thumbnail: WrittenFile
    """A PNG."""
    model: Mapping[str, str]
    """Name, version and digest of the model."""
    parameters: Json
    """Everything else that changes a pixel or an object."""
    digest: str
    """sha256 over surface digest, model digest, parameters and format version."""
    cost: Cost
    """What the run spent."""
    summary: Mapping[str, float]
    """Figures worth searching by: percent of a class, number of vessels."""

    @property
    def bytes(self) -> int:
        """Size of all files without the Item."""
        files = [*(w.file for w in self.layers), *(f.file for f in self.files), self.thumbnail]
        return sum(file.size for file in files)


@dataclass(frozen=True, slots=True)
class MappedProduct:
    """A map that lies complete on the disk."""

    id: str
    """Item id and folder name."""
    folder: Path
    """Holds the assets and the Item."""
    item: Path
    """The STAC Item, `<id>.json`."""
    digest: str
    """sha256 over surface digest, model digest, parameters and format version."""
    was_there: bool
    """True when an equal map existed and nothing was done."""
    seconds: float
    """Wall clock of this call."""
    cpu_seconds: float
    """All threads of this call."""
    bytes: int
    """Size of the map's files without the Item."""
    summary: Mapping[str, float] = field(default_factory=dict)
    """Percent of a class, number of vessels."""


def map_item(product: MapProduct) -> pystac.Item:
    """The map's Item with relative links, valid against the STAC 1.1 schema.

    Raises:
        ConfigError: There is no such collection, or the schema is broken: a defect found before anybody
            reads the product.
    """
    kind = _kind(product.collection)
    surface = product.surface
    item = pystac.Item(
        id=product.id, geometry=dict(surface["geometry"]), bbox=list(surface["bbox"]),
        datetime=datetime.fromisoformat(surface["properties"]["datetime"]),
        properties=_properties(product), stac_extensions=list(EXTENSIONS),
    )  # fmt: skip
    item.collection_id = product.collection
    item.add_link(pystac.Link("collection", f"../{product.collection}.json", media_type="application/json"))
    # beside each other is where the verbs put them when both are given one DIR
    source = f"../{surface['id']}/{surface['id']}.json"
    item.add_link(pystac.Link("derived_from", source, "application/geo+json", str(surface["id"])))
    for link in surface.get("links", ()):
        if link["rel"] == "license":
            item.add_link(pystac.Link("license", link["href"], title=link.get("title")))
    sensor = sensors_of(kind.surface, str(surface["properties"]["platform"]))[0]
    for written in product.layers:
        item.add_asset(written.layer.key, map_asset(written, sensor))
    for file in product.files:
        item.add_asset(file.key, file_asset(file))
    picture = MapFile("thumbnail", product.thumbnail, "image/png", "The map in its colours", ("thumbnail",))
    item.add_asset("thumbnail", file_asset(picture))
    validate(item.to_dict(include_self_link=False, transform_hrefs=False))
    return item


def map_collection(name: str) -> pystac.Collection:
    """The Collection of maps of that name, valid against the STAC 1.1 schema.

    Raises:
        ConfigError: There is no such collection.
    """
    kind = _kind(name)
    source, sensors = surface_collection(kind.surface), sensors_of(kind.surface)
    collection = pystac.Collection(
        id=name,
        title=f"{kind.title} {', '.join(sensor.platform for sensor in sensors)}",
        description=kind.description,
        extent=source.extent,
        license="other",
        providers=source.providers,
        summaries=source.summaries,
        stac_extensions=source.stac_extensions,
    )
    layers = {layer.key: map_fields(layer, sensors[0]) for layer in kind.layers}
    others = {
        key: {"type": media, "title": title, "roles": list(roles)}
        for key, (media, title, roles) in kind.files.items()
    }
    collection.extra_fields["item_assets"] = layers | others
    for link in source.get_links("license"):
        collection.add_link(pystac.Link("license", link.href, title=link.title))
    validate(collection.to_dict(include_self_link=False, transform_hrefs=False))
    return collection


def map_collections() -> tuple[str, ...]:
    """Names of all collections of maps."""
    return tuple(COLLECTIONS)


def _kind(name: str) -> _Kind:
    if name not in COLLECTIONS:
        raise ConfigError(f"there is no collection of maps {name!r}; there are {' '.join(COLLECTIONS)}")
    return COLLECTIONS[name]


def sensors_of(surface: str, platform: str | None = None) -> list[Sensor]:
    """The sensors of a collection of surface products; of one platform when it is named."""
    found = [
        sensor
        for sensor in SENSORS.values()
        if sensor.collection == surface and platform in (None, sensor.platform)
    ]
    if not found:
        raise ConfigError(f"{platform} makes no product of {surface}: the surface Item is of another family")
    return found


def _properties(product: MapProduct) -> Fields:
    inherited, cost = product.surface["properties"], product.cost
    ours: Fields = {
        "created": cost.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "title": product.title,
        "processing:level": "L3",
        "processing:software": {"undersky": __version__},
        "processing:lineage": (
            f"{product.surface['id']} mapped by {product.model['name']} {product.model['version']}"
        ),
        "undersky:surface": {"id": product.surface["id"], "digest": inherited["undersky:digest"]},
        "undersky:model": dict(product.model),
        "undersky:parameters": dict(product.parameters),
        "undersky:format_version": MAPS_FORMAT_VERSION,
        "undersky:digest": product.digest,
        "undersky:summary": {key: round(float(value), 3) for key, value in product.summary.items()},
        "undersky:run_id": cost.run_id,
        "undersky:seconds": round(cost.seconds, 2),
        "undersky:cpu_seconds": round(cost.cpu_seconds, 2),
        "undersky:bytes": product.bytes,
    }
    return {key: inherited[key] for key in _INHERITED if key in inherited} | ours


def map_asset(written: WrittenLayer, sensor: Sensor) -> pystac.Asset:
    """The asset of one finished layer of a map, with its classes, with a link relative to the Item."""
    asset = layer_asset(written, sensor)
    asset.extra_fields["bands"][0] |= _classes(written.layer)
    return asset


def map_fields(layer: Layer, sensor: Sensor) -> Fields:
    """What an asset of that layer says in every map."""
    fields = layer_fields(layer, sensor, wavelengths=False)
    fields["bands"][0] |= _classes(layer)
    return fields


def _classes(layer: Layer) -> Fields:
    """What the codes of a layer of classes stand for; nothing of any other layer."""
    if not layer.classes:
        return {}
    nodata: Fields = {"value": NODATA, "name": "nodata", "description": "No data", "nodata": True}
    return {
        "classification:classes": [
            nodata,
            *(
                {
                    "value": cover.code,
                    "name": cover.slug,
                    "description": cover.name,
                    "color_hint": cover.hex_colour,
                }
                for cover in layer.classes
            ),
        ]
    }


def file_asset(file: MapFile) -> pystac.Asset:
    """The asset of a file that is no layer."""
    fields = {"file:size": file.file.size, "file:checksum": _SHA2_256 + file.file.sha256}
    href, roles = f"./{file.file.path.name}", list(file.roles)
    return pystac.Asset(href, file.title, None, file.media_type, roles, extra_fields=fields)
