"""Where tiles lie: MGRS tiles (Sentinel-2) and WRS-2 paths and rows (Landsat) on the map and on the globe.

Nothing here asks anybody: the grids are fixed, so a tile that was never delivered has a place as well.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pyproj import Transformer

from undersky.errors import ConfigError

LonLat = tuple[float, float]
Ring = tuple[LonLat, ...]

_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_MGRS = re.compile(rf"T?(\d\d[{_BANDS}][A-HJ-NP-Z][{_ROWS}])")
_WRS2 = re.compile(r"P?(\d{3})[/_-]?R?(\d{3})")

MGRS_SIDE_M = 109_800.0
"""Side of a Sentinel-2 tile: its 100 km square and the overlap with the next one."""
LANDSAT_SIDE_M = 190_000.0
"""Side of a Landsat 8/9 scene with the staggered edges of its bands: read off the boxes of five products."""
_LANDSAT_BOX_M = 230_000.0
_LANDSAT_TILT = 98.2
_POLAR_OVER_EQUATORIAL = 0.996647
_EDGE_PARTS = 4


@dataclass(frozen=True, slots=True)
class Site:
    """A tile's place on the map."""

    epsg: int
    """UTM zone as the agency writes it: Landsat uses the northern one in the south as well."""
    left_m: float
    """Easting of the tile's western edge."""
    top_m: float
    """Northing of its northern edge."""


def tile_name(text: str) -> str:
    """The tile as names of products write it: `32TQM` for `t32tqm`, `192029` for `192/029` or `p192r029`.

    Raises:
        ConfigError: It is neither an MGRS tile nor a WRS-2 path and row.
    """
    upper = text.strip().upper()
    if found := _MGRS.fullmatch(upper):
        return found[1]
    if found := _WRS2.fullmatch(upper):
        return found[1] + found[2]
    raise ConfigError(f"{text!r} is no MGRS tile (32TQM) and no WRS-2 path and row (195028)")


def is_wrs2(tile: str) -> bool:
    """Whether a tile's name is a WRS-2 path and row: a Landsat tile, else a Sentinel-2 one."""
    return tile.isdigit()


def site(tile: str) -> Site:
    """Where an MGRS tile (`32TQM`) or a WRS-2 path and row (`195028`) lies.

    Raises:
        ConfigError: It is neither, or there is no such tile on the globe.
    """
    if re.fullmatch(r"\d{6}", tile):
        return _wrs2_site(int(tile[:3]), int(tile[3:]))
    if re.fullmatch(rf"\d\d[{_BANDS}][A-HJ-NP-Z][{_ROWS}]", tile):
        return _mgrs_site(int(tile[:2]), tile[2:])
    raise ConfigError(f"{tile!r} is no MGRS tile (32TQM) and no WRS-2 path and row (195028)")


def footprint(tile: str) -> tuple[Ring, ...]:
    """What a tile covers: closed rings of WGS 84 longitude and latitude, counter-clockwise, edges bent.

    One ring, or two where the tile crosses the antimeridian, as RFC 7946 (3.1.9) wants it. A Sentinel-2
    tile is its 109.8 km square. A Landsat scene is the nominal one, a square of 190 km about its centre,
    turned with the orbit; real ones wander by some kilometres, and one taken off nadir lies elsewhere.

    Raises:
        ConfigError: There is no such tile.
    """
    place = site(tile)
    corners = _landsat_corners(place) if is_wrs2(tile) else _square(place)
    points = [point for a, b in zip(corners, corners[1:] + corners[:1], strict=True) for point in _edge(a, b)]
    degrees = [_lonlat(place.epsg, *point) for point in points]
    first = degrees[0][0]
    # Every longitude within half a turn of the first, so that the ring does not jump at 180 degrees.
    unrolled = [((lon - first + 180.0) % 360.0 - 180.0 + first, lat) for lon, lat in degrees]
    return tuple(_cut_at_antimeridian(unrolled))


def geojson(rings: Sequence[Ring]) -> dict[str, object]:
    """Rings as a GeoJSON geometry: a Polygon, or a MultiPolygon of several."""
    parts = [[[list(point) for point in ring]] for ring in rings]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def heading(latitude: float, *, inclination: float = _LANDSAT_TILT) -> float:
    """Direction of a southbound sun-synchronous pass over the turning Earth, degrees clockwise from north.

    Args:
        latitude: Of the place, degrees.
        inclination: Of the orbit, degrees.
    """
    phi = math.radians(latitude)
    fixed = math.pi - math.asin(max(-1.0, math.cos(math.radians(inclination)) / math.cos(phi)))
    east = 6.76 * math.sin(fixed) - 0.465 * math.cos(phi)
    return math.degrees(math.atan2(east, 6.76 * math.cos(fixed))) % 360.0


def _mgrs_site(zone: int, letters: str) -> Site:
    """Corners of ESA's tiles lie on multiples of 60 m from the equator, just outside the 100 km square.

    Source: MGRS as in DMA TM 8358.1; the rounding was read off products of both hemispheres.
    """
    band, column, row = letters[0], letters[1], letters[2]
    if not 1 <= zone <= 60 or column not in _COLUMNS[zone % 3]:
        raise ConfigError(f"MGRS zone {zone:02d} has no column {column!r}; it has {_COLUMNS[zone % 3]}")
    south = band < "N"
    latitude = -76.0 + 8.0 * _BANDS.index(band)
    guess = latitude * 110_600.0
    row_index = (_ROWS.index(row) - (0 if zone % 2 else 5)) % 20
    bottom = 100_000.0 * row_index
    bottom += 2_000_000.0 * round((guess - bottom) / 2_000_000.0)
    top = 60.0 * math.ceil((bottom + 100_000.0) / 60.0)
    left = 60.0 * math.floor(100_000.0 * (1 + _COLUMNS[zone % 3].index(column)) / 60.0)
    place = Site((32700 if south else 32600) + zone, left, top + (10_000_000.0 if south else 0.0))
    north = _lonlat(place.epsg, left, place.top_m)[1]
    low = _lonlat(place.epsg, left, place.top_m - MGRS_SIDE_M)[1]
    if north < latitude - 4.0 or low > latitude + (8.0 if band == "X" else 4.0):
        raise ConfigError(
            f"MGRS band {band} of zone {zone:02d} has no row {row!r}: it lies at {north:.0f} degrees"
        )
    return place


def _wrs2_site(path: int, row: int) -> Site:
    """The upper-left corner of a scene about the nominal centre, pixel centres on multiples of 30 m.

    Source: Landsat 8 Data Users Handbook (LSDS-1574), appendix on WRS-2: 233 paths, 248 rows, row 60 on the
    equator, path 1 crossing it at 64.6 degrees west.
    """
    if not (1 <= path <= 233 and 1 <= row <= 122):
        raise ConfigError(f"WRS-2 has no daylight path {path} row {row}; paths are 1..233, rows 1..122")
    angle = math.radians((row - 60) * 360.0 / 248.0)
    tilt = math.radians(_LANDSAT_TILT)
    geocentric = -math.asin(math.sin(tilt) * math.sin(angle))
    latitude = math.degrees(math.atan(math.tan(geocentric) / _POLAR_OVER_EQUATORIAL**2))
    drift = math.degrees(math.atan2(math.cos(tilt) * math.sin(angle), math.cos(angle)) - angle * 0.06886)
    longitude = (-64.6 - (path - 1) * 360.0 / 233.0 + drift + 180.0) % 360.0 - 180.0
    zone = int((longitude + 180.0) // 6.0) + 1
    to_map = _between(4326, 32600 + zone)
    east, north = to_map.transform(longitude, latitude)
    half = _LANDSAT_BOX_M / 2.0
    left, top = 30.0 * round((east - half) / 30.0), 30.0 * round((north + half) / 30.0)
    return Site(32600 + zone, left - 15.0, top + 15.0)


def _square(place: Site) -> list[tuple[float, float]]:
    """Corners of an MGRS tile on the map, counter-clockwise."""
    left, top = place.left_m, place.top_m
    right, bottom = left + MGRS_SIDE_M, top - MGRS_SIDE_M
    return [(left, top), (left, bottom), (right, bottom), (right, top)]


def _landsat_corners(place: Site) -> list[tuple[float, float]]:
    """Corners of a Landsat scene on the map, counter-clockwise.

      1---4     flight is from 1 to 2: south-south-west
     /   /
    2---3
    """
    middle = place.left_m + _LANDSAT_BOX_M / 2.0, place.top_m - _LANDSAT_BOX_M / 2.0
    turn = math.radians(heading(_lonlat(place.epsg, *middle)[1]))
    ahead = math.sin(turn) * LANDSAT_SIDE_M / 2.0, math.cos(turn) * LANDSAT_SIDE_M / 2.0
    right = math.cos(turn) * LANDSAT_SIDE_M / 2.0, -math.sin(turn) * LANDSAT_SIDE_M / 2.0
    steps = ((-1, 1), (1, 1), (1, -1), (-1, -1))  # along the flight, and to its right: west
    return [
        (middle[0] + a * ahead[0] + r * right[0], middle[1] + a * ahead[1] + r * right[1]) for a, r in steps
    ]


def _edge(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points from a corner on, short of the next one: straight on the map, bent on the globe."""
    parts = [part / _EDGE_PARTS for part in range(_EDGE_PARTS)]
    return [(start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])) for t in parts]


def _lonlat(epsg: int, x: float, y: float) -> LonLat:
    """WGS 84 longitude and latitude of a map position, degrees."""
    longitude, latitude = _between(epsg, 4326).transform(x, y)
    return float(longitude), float(latitude)


def _cut_at_antimeridian(points: list[LonLat]) -> list[Ring]:
    """Closed rings within 180 degrees of a convex ring whose longitudes may run on beyond them."""
    limits = [limit for limit in (-180.0, 180.0) if any((lon - limit) * limit > 0 for lon, _ in points)]
    if not limits:
        return [(*points, points[0])]
    limit = limits[0]
    sides = _kept(points, limit, sign=1.0), _kept(points, limit, sign=-1.0)
    rings = []
    for side in sides:
        turn = 360.0 * round(sum(lon for lon, _ in side) / len(side) / 360.0) if side else 0.0
        # A side beyond 180 degrees comes back on the other side of the map.
        moved = [(min(180.0, max(-180.0, lon - turn)), lat) for lon, lat in side]
        if len(moved) > 2:
            rings.append((*moved, moved[0]))
    return rings


def _kept(points: list[LonLat], limit: float, *, sign: float) -> list[LonLat]:
    """The part of a convex ring on one side of a meridian. Source: Sutherland and Hodgman 1974."""
    kept: list[LonLat] = []
    for (lon, lat), (next_lon, next_lat) in zip(points, points[1:] + points[:1], strict=True):
        here, there = sign * (lon - limit), sign * (next_lon - limit)
        if here >= 0:
            kept.append((lon, lat))
        if here * there < 0:
            kept.append((limit, lat + (next_lat - lat) * here / (here - there)))
    return kept


@lru_cache(maxsize=128)
def _between(source: int, target: int) -> Transformer:
    """Making one takes longer than using it."""
    return Transformer.from_crs(f"EPSG:{source}", f"EPSG:{target}", always_xy=True)
