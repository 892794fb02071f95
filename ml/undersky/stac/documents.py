"""STAC 1.1 Items and Collections, valid by the schema that pystac carries, so without a network."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pystac
import shapely
from pystac.errors import STACValidationError
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from shapely.geometry.polygon import orient

from undersky import __version__
from undersky.bands import SENSORS, Sensor
from undersky.errors import ConfigError
from undersky.grid import Grid, footprint_lonlat
from undersky.raster.encoding import FORMAT_VERSION, layers_of
from undersky.scene import Scene
from undersky.stac.assets import Fields, before_asset, layer_asset, layer_fields, thumbnail_asset
from undersky.stac.product import Product

_EXTENSION = "https://stac-extensions.github.io/{}/schema.json"
EXTENSIONS = tuple(
    _EXTENSION.format(name)
    for name in (
        "classification/v2.0.0", "eo/v1.1.0", "file/v2.1.0", "grid/v1.1.0", "processing/v1.2.0",
        "projection/v2.0.0", "raster/v2.0.0", "view/v1.1.0",
    )
)  # fmt: skip
"""The electro-optical one is 1.1 because odc-stac takes common names from its `eo:bands`; `bands` carries the
fields of 2.0 beside them, which 1.1 allows."""

_AGENCY = {
    "sentinel-2": (
        "ESA",
        "https://sentinels.copernicus.eu",
        "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
        "Copernicus Sentinel data: free, full and open",
        datetime(2015, 6, 23, tzinfo=UTC),
    ),
    "landsat": (
        "USGS",
        "https://www.usgs.gov/landsat-missions",
        "https://www.usgs.gov/information-policies-and-instructions/copyrights-and-credits",
        "USGS Landsat data: public domain, credit asked for",
        datetime(2013, 2, 11, tzinfo=UTC),
    ),
}
"""Constellation to agency, its page, licence terms, their gist, launch of the first satellite."""


def surface_item(product: Product) -> pystac.Item:
    """The product's Item with relative links, valid against the STAC 1.1 schema.

    Raises:
        ConfigError: It is not; a defect of this file, found before anybody reads the product.
    """
    scene = product.scene
    geometry, bbox = geometry_of(scene.grid)
    item = pystac.Item(
        id=product.id, geometry=geometry, bbox=bbox, datetime=scene.acquired.astimezone(UTC),
        properties=_properties(product), stac_extensions=list(EXTENSIONS),
    )  # fmt: skip
    item.collection_id = scene.sensor.collection
    item.add_link(
        pystac.Link("collection", f"../{scene.sensor.collection}.json", media_type="application/json")
    )
    item.add_link(_licence_link(scene.sensor))
    for written in product.layers:
        item.add_asset(written.layer.key, layer_asset(written, scene.sensor))
    item.add_asset("thumbnail", thumbnail_asset(product.thumbnail))
    if product.before is not None:
        item.add_asset("thumbnail_before", before_asset(product.before))
    validate(item.to_dict(include_self_link=False, transform_hrefs=False))
    return item


def surface_collection(name: str) -> pystac.Collection:
    """The Collection of that name, `sentinel-2-sr` or `landsat-8-9-sr`, valid against the STAC 1.1 schema.

    Raises:
        ConfigError: No supported sensor has such a collection.
    """
    sensors = [sensor for sensor in SENSORS.values() if sensor.collection == name]
    if not sensors:
        known = sorted({sensor.collection for sensor in SENSORS.values()})
        raise ConfigError(f"there is no collection {name!r}; there are {' '.join(known)}")
    collection = pystac.Collection(
        id=name,
        title=f"Surface reflectance of {', '.join(sensor.platform for sensor in sensors)}",
        description=(
            "Surface reflectance with a 1-sigma uncertainty for every pixel and band, quality bits, and the "
            "atmosphere that was removed. Terrain illumination is not corrected."
        ),
        extent=pystac.Extent(
            pystac.SpatialExtent([[-180.0, -90.0, 180.0, 90.0]]),
            pystac.TemporalExtent([[_AGENCY[sensors[0].constellation][-1], None]]),
        ),
        license="other",
        providers=_providers(sensors[0]),
        summaries=pystac.Summaries(
            {
                "platform": [sensor.platform for sensor in sensors],
                "constellation": [sensors[0].constellation],
                "instruments": [sensors[0].instrument],
                "processing:level": ["L2"],
            }
        ),
        stac_extensions=[
            uri for uri in EXTENSIONS if not uri.split("/")[3].startswith(("grid", "view", "file"))
        ],
    )
    collection.extra_fields["item_assets"] = {
        layer.key: layer_fields(layer, sensors[0], wavelengths=False) for layer in layers_of(sensors[0])
    }
    collection.add_link(_licence_link(sensors[0]))
    validate(collection.to_dict(include_self_link=False, transform_hrefs=False))
    return collection


def validate(document: Mapping[str, Any]) -> None:
    """The document obeys the STAC 1.1 core schema of its type; nothing is downloaded.

    Raises:
        ConfigError: It does not; the first violation is named.
    """
    kind = pystac.STACObjectType(document["type"])
    plain = json.loads(json.dumps(document))  # tuples are no JSON arrays to a schema
    try:
        JsonSchemaSTACValidator().validate_core(plain, kind, pystac.get_stac_version())
    except STACValidationError as error:
        raise ConfigError(f"{document.get('id')} breaks the STAC schema: {error}") from error


def to_json(document: pystac.Item | pystac.Collection) -> str:
    """The document as text, the same for the same content."""
    fields = document.to_dict(include_self_link=False, transform_hrefs=False)
    return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def attribution(scene: Scene) -> str:
    """The words the data's licence asks for."""
    year = scene.acquired.year
    if scene.sensor.constellation == "sentinel-2":
        return f"Contains modified Copernicus Sentinel data {year}"
    return f"Landsat-{scene.sensor.key[1:]} image courtesy of the U.S. Geological Survey, {year}, modified"


def _properties(product: Product) -> Fields:
    scene, lineage, cost = product.scene, product.lineage, product.cost
    fields: Fields = {
        "created": cost.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "title": f"Surface reflectance, {scene.sensor.platform}, {scene.tile}, {scene.acquired:%Y-%m-%d}",
        "platform": scene.sensor.platform,
        "constellation": scene.sensor.constellation,
        "instruments": [scene.sensor.instrument],
        "gsd": min(band.resolution_m for band in scene.sensor.corrected_bands),
        "license": "other",
        "attribution": attribution(scene),
        "providers": [provider.to_dict() for provider in _providers(scene.sensor)],
        "proj:code": code_of(scene.grid),
        "processing:level": "L2",
        "processing:software": {"undersky": __version__},
        "processing:lineage": (
            f"{scene.id} ({scene.level}, baseline {scene.baseline}) corrected to surface reflectance by "
            f"{lineage.model_name} {lineage.model_version}; terrain illumination is not corrected"
        ),
        **_directions(scene),
        "undersky:source": {"id": scene.id, "level": scene.level, "baseline": scene.baseline},
        "undersky:source_sha256": dict(lineage.sources),
        "undersky:model": lineage.model,
        "undersky:quality_model": dict(lineage.quality_model),
        "undersky:atmosphere": dict(product.atmosphere),
        "undersky:parameters": dict(lineage.parameters),
        "undersky:format_version": FORMAT_VERSION,
        "undersky:digest": lineage.digest,
        "undersky:notes": [{"code": note.finding.value, "sentence": note.sentence} for note in scene.notes],
        "undersky:quality_percent": {key: round(value, 3) for key, value in product.summary.items()},
        "undersky:run_id": cost.run_id,
        "undersky:seconds": round(cost.seconds, 2),
        "undersky:cpu_seconds": round(cost.cpu_seconds, 2),
        "undersky:bytes": sum(file.size for file in (*(w.file for w in product.layers), *product.pictures)),
    }  # fmt: skip
    if "cloud" in product.summary:
        fields["eo:cloud_cover"] = round(product.summary["cloud"], 3)
    scheme = "MGRS" if scene.sensor.constellation == "sentinel-2" else "WRS2"
    return fields | {"grid:code": f"{scheme}-{scene.tile}"}


def _directions(scene: Scene) -> Fields:
    """Scene-mean sun and view directions, degrees."""
    angles = scene.angles
    zeniths = [field.mean() for name, field in angles.view_zenith.items() if name in scene.bands]
    azimuths = [field for name, field in angles.view_azimuth.items() if name in scene.bands]
    fields = {
        "view:sun_elevation": round(90.0 - float(angles.sun_zenith.mean()), 4),
        "view:sun_azimuth": _mean_azimuth(angles.sun_azimuth),
    }
    if zeniths:
        fields["view:incidence_angle"] = round(float(np.mean(zeniths)), 4)
        fields["view:azimuth"] = _mean_azimuth(np.stack(azimuths))
    return fields


def _mean_azimuth(azimuth: npt.NDArray[np.floating[Any]]) -> float:
    radians = np.radians(azimuth)
    mean = np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean()))
    return round(float(mean % 360.0), 4)


def _providers(sensor: Sensor) -> list[pystac.Provider]:
    ours = pystac.Provider("Undersky", roles=[pystac.ProviderRole.PROCESSOR])
    ours.extra_fields = {"processing:level": "L2", "processing:software": {"undersky": __version__}}
    agency, url, *_ = _AGENCY[sensor.constellation]
    source = [pystac.ProviderRole.PRODUCER, pystac.ProviderRole.LICENSOR]
    return [pystac.Provider(agency, roles=source, url=url), ours]


def _licence_link(sensor: Sensor) -> pystac.Link:
    _, _, terms, title, _ = _AGENCY[sensor.constellation]
    return pystac.Link("license", terms, title=title)


def code_of(grid: Grid) -> str | None:
    """`EPSG:32632`; None where the coordinate system has no number."""
    return None if grid.crs is None or grid.crs.epsg is None else f"EPSG:{grid.crs.epsg}"


def geometry_of(grid: Grid) -> tuple[Fields, list[float]]:
    """GeoJSON footprint and bbox; cut in two at the antimeridian, where west is then greater than east."""
    ring = footprint_lonlat(grid)
    lons = [lon for lon, _ in ring]
    if max(lons) - min(lons) <= 180.0:
        polygon = shapely.Polygon(ring)
        return json.loads(shapely.to_geojson(polygon)), list(polygon.bounds)
    unrolled = shapely.Polygon([(lon % 360.0, lat) for lon, lat in ring])
    east = shapely.clip_by_rect(unrolled, 0.0, -90.0, 180.0, 90.0)
    west = shapely.affinity.translate(shapely.clip_by_rect(unrolled, 180.0, -90.0, 360.0, 90.0), xoff=-360.0)
    # clipping leaves the rings clockwise; GeoJSON (RFC 7946, 3.1.6) wants them the other way
    both = shapely.MultiPolygon([orient(east), orient(west)])
    return json.loads(shapely.to_geojson(both)), [
        east.bounds[0],
        both.bounds[1],
        west.bounds[2],
        both.bounds[3],
    ]
