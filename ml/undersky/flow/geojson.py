"""A GeoJSON file as one checked piece of ground.

Everything that would make a search upstream mean something else is refused with its place and its cure:
another CRS, open or crossing rings, edges around the world, heaps of detail. Source: RFC 7946.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from pyproj import Geod
from shapely.geometry import mapping, shape

from undersky.errors import ConfigError
from undersky.services.ledger import GeoJSON

_MAX_BYTES = 10_000_000
_MAX_POSITIONS = 5_000
_MIN_KM2 = 1e-4
_MAX_KM2 = 20e6
_CRS84 = ("CRS84", "EPSG:4326", "EPSG::4326")
"""Ends of names of the one CRS of GeoJSON; writers that say 4326 mean longitude first as well."""
_GROUND = ("Polygon", "MultiPolygon")


@dataclass(frozen=True, slots=True)
class Ground:
    """A piece of ground."""

    geometry: GeoJSON
    """Polygon or MultiPolygon, rings closed, outer ones counter-clockwise, no heights."""
    km2: float
    """On the ellipsoid."""
    parts: int
    """Polygons."""
    name: str | None
    """What the file calls it, if it holds one feature with a name."""


def read_ground(path: Path) -> Ground:
    """The union of all polygons of a GeoJSON file.

    Raises:
        ConfigError: The file cannot be read, is no GeoJSON, or draws no ground that a search could mean.
    """
    document = _document(path)
    _check_crs(document, path)
    polygons = [polygon for geometry in _geometries(document, path) for polygon in _polygons(geometry, path)]
    if not polygons:
        raise ConfigError(f"{path} holds no polygon; an area is a Polygon or a MultiPolygon")
    merged = shapely.orient_polygons(shapely.union_all(polygons), exterior_cw=False)
    positions = int(shapely.get_num_coordinates(merged))
    if positions > _MAX_POSITIONS:
        raise ConfigError(
            f"{path} draws its outline with {positions:,} positions, archives take some {_MAX_POSITIONS:,}: "
            "simplify it, a kilometre more or less costs nothing"
        )
    km2 = _km2(merged)
    if not _MIN_KM2 <= km2 <= _MAX_KM2:
        raise ConfigError(
            f"{path} covers {km2:,.6g} km2, expected between one pixel ({_MIN_KM2:g}) and a continent "
            f"({_MAX_KM2:,.0f}): check the order (longitude first) and the unit (degrees)"
        )
    return Ground(mapping(merged), km2, len(shapely.get_parts(merged)), _name(document))


def touches(geometry: GeoJSON, other: GeoJSON) -> bool:
    """Whether two geometries share a point."""
    return bool(shape(geometry).intersects(shape(other)))


def apart_km(geometry: GeoJSON, other: GeoJSON) -> float:
    """Roughly how far two geometries lie apart at their nearest points, km; 0 where they touch."""
    here, there = shapely.shortest_line(shape(geometry), shape(other)).coords
    return float(Geod(ellps="WGS84").inv(*here[:2], *there[:2])[2]) / 1000.0


def _document(path: Path) -> Mapping[str, object]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than {_MAX_BYTES:,} bytes; simplify its outlines")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {error}; an area is a GeoJSON file") from error
    if not isinstance(document, dict) or not isinstance(document.get("type"), str):
        raise ConfigError(f"{path} is no GeoJSON: expected an object with a type, such as Feature or Polygon")
    return document


def _check_crs(document: Mapping[str, object], path: Path) -> None:
    """RFC 7946 knows one CRS; files of the 2008 draft may name another in `crs`."""
    crs = document.get("crs")
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(name, str) or not name.upper().endswith(_CRS84):
        raise ConfigError(
            f"{path} is in the CRS {name!r}, GeoJSON is longitude and latitude on WGS 84 (CRS84): "
            f"ogr2ogr -t_srs OGC:CRS84 wgs84.geojson {path.name}"
        )


def _geometries(document: Mapping[str, object], path: Path) -> Iterator[Mapping[str, object]]:
    """The polygons and multipolygons of a document."""
    kind = document["type"]
    if kind == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise ConfigError(f"{path} is a FeatureCollection without features")
        for feature in features:
            if not isinstance(feature, dict) or feature.get("type") != "Feature":
                raise ConfigError(f"{path} has a feature that is none")
            yield from _geometries(feature, path)
    elif kind == "Feature":
        geometry = document.get("geometry")
        if not isinstance(geometry, dict) or not isinstance(geometry.get("type"), str):
            raise ConfigError(f"{path} has a feature without a geometry")
        yield from _geometries(geometry, path)
    elif kind in _GROUND:
        yield document
    else:
        raise ConfigError(f"{path} holds a {kind}; an area is made of Polygons and MultiPolygons")


def _polygons(geometry: Mapping[str, object], path: Path) -> Iterator[shapely.Polygon]:
    coordinates = geometry.get("coordinates")
    parts = [coordinates] if geometry["type"] == "Polygon" else coordinates
    if not isinstance(parts, list):
        raise ConfigError(f"{path} has a {geometry['type']} without coordinates")
    for part in parts:
        if not isinstance(part, list) or not part:
            raise ConfigError(f"{path} has a polygon without rings")
        outer, *holes = (_ring(ring, path) for ring in part)
        polygon = shapely.Polygon(outer, holes)
        if not polygon.is_valid:
            reason = shapely.is_valid_reason(polygon).replace("[", " at longitude and latitude ").rstrip("]")
            raise ConfigError(f"{path} has a polygon that crosses itself or its holes: {reason}")
        yield polygon


def _ring(ring: object, path: Path) -> list[tuple[float, float]]:
    """A closed ring of degrees."""
    if not isinstance(ring, list) or len(ring) < 4:
        raise ConfigError(f"{path} has a ring of fewer than four positions; the first one ends it again")
    points = [_position(position, path) for position in ring]
    if points[0] != points[-1]:
        raise ConfigError(f"{path} has an open ring: it begins at {points[0]} and ends at {points[-1]}")
    for (west, _), (east, _) in itertools.pairwise(points):
        if abs(east - west) > 180.0:
            raise ConfigError(
                f"{path} has an edge from longitude {west:g} to {east:g}, more than half around the world; "
                "if it crosses the antimeridian, cut the area there into a MultiPolygon (RFC 7946, 3.1.9)"
            )
    return points


def _position(position: object, path: Path) -> tuple[float, float]:
    if not isinstance(position, Sequence) or isinstance(position, str) or len(position) < 2:
        raise ConfigError(f"{path} has {position!r} where a position [longitude, latitude] should stand")
    lon, lat = position[:2]
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in (lon, lat)):
        raise ConfigError(f"{path} has {position!r} where a position [longitude, latitude] should stand")
    if abs(lat) > 90 or abs(lon) > 180:
        raise ConfigError(
            f"{path} has the position {list(position)}; longitude (first) ends at 180 and latitude at 90 "
            "degrees: metres are to be reprojected (ogr2ogr -t_srs OGC:CRS84), what crosses the antimeridian "
            "is to be cut there"
        )
    return float(lon), float(lat)


def _km2(geometry: shapely.Geometry) -> float:
    return abs(float(Geod(ellps="WGS84").geometry_area_perimeter(geometry)[0])) / 1e6


def _name(document: Mapping[str, object]) -> str | None:
    features = document.get("features")
    single = features[0] if isinstance(features, list) and len(features) == 1 else document
    properties = single.get("properties") if isinstance(single, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return name if isinstance(name, str) else None
