"""Where and when: tiles to grids, the sun's place in the sky, and the directions in which a sensor looks."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.crs import CRS

from undersky.errors import ConfigError
from undersky.grid import Floats, Grid

Doubles = npt.NDArray[np.float64]

_EARTH_KM = 6371.0
HALF_SWATH_KM = MappingProxyType({"sentinel-2": 145.0, "landsat": 92.5})
"""From the ground track to either edge of the swath, by constellation."""
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_BANDS = "CDEFGHJKLMNPQRSTUVWX"


@dataclass(frozen=True, slots=True)
class Site:
    """A tile's place on the map."""

    epsg: int
    """UTM zone as the agency writes it: Landsat uses the northern one in the south as well."""
    left_m: float
    """Easting of the tile's western edge."""
    top_m: float
    """Northing of its northern edge."""

    def grid(self, *, resolution_m: int, size_m: int) -> Grid:
        """The square grid of that size in the tile's upper-left corner.

        Raises:
            ConfigError: The size is no multiple of the resolution.
        """
        count, rest = divmod(size_m, resolution_m)
        if rest or count < 1:
            raise ConfigError(
                f"{size_m} m is no whole number of {resolution_m} m pixels; take a multiple of 180 m"
            )
        step = float(resolution_m)
        return Grid(
            (count, count), Affine(step, 0.0, self.left_m, 0.0, -step, self.top_m), f"EPSG:{self.epsg}"
        )


def site(tile: str) -> Site:
    """Where an MGRS tile (`32TQM`) or a WRS-2 path and row (`195028`) lies.

    Raises:
        ConfigError: It is neither.
    """
    if re.fullmatch(r"\d{6}", tile):
        return _wrs2_site(int(tile[:3]), int(tile[3:]))
    if re.fullmatch(rf"\d\d[{_BANDS}][A-HJ-NP-Z][{_ROWS}]", tile):
        return _mgrs_site(int(tile[:2]), tile[2:])
    raise ConfigError(f"{tile!r} is no MGRS tile (32TQM) and no WRS-2 path and row (195028)")


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
    corners = np.array([left, left]), place.top_m - np.array([0.0, 109_800.0])
    north, low = (float(value) for value in lonlat(place.epsg, *corners)[1])
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
    tilt = math.radians(98.2)
    latitude = -math.degrees(math.asin(math.sin(tilt) * math.sin(angle)))
    drift = math.degrees(math.atan2(math.cos(tilt) * math.sin(angle), math.cos(angle)) - angle * 0.06886)
    longitude = (-64.6 - (path - 1) * 360.0 / 233.0 + drift + 180.0) % 360.0 - 180.0
    zone = int((longitude + 180.0) // 6.0) + 1
    to_map = CRS("EPSG:4326").transformer_to_crs(CRS(f"EPSG:{32600 + zone}"))
    east, north = (float(np.asarray(v)) for v in to_map(longitude, latitude))
    left, top = 30.0 * round((east - 115_000.0) / 30.0), 30.0 * round((north + 115_000.0) / 30.0)
    return Site(32600 + zone, left - 15.0, top + 15.0)


def epsg(grid: Grid) -> int:
    """The EPSG code of a grid's CRS.

    Raises:
        ConfigError: It has none.
    """
    code = grid.crs.to_epsg() if grid.crs is not None else None
    if code is None:
        raise ConfigError(f"products are written in UTM zones; {grid.crs} has no EPSG code")
    return int(code)


def node_positions(grid: Grid, nodes: tuple[int, int]) -> tuple[Doubles, Doubles]:
    """Map positions (x, y) of edge-to-edge nodes over a grid's footprint, each (y, x)."""
    box = grid.boundingbox
    x = np.linspace(box.left, box.right, nodes[1])
    y = np.linspace(box.top, box.bottom, nodes[0])
    return np.broadcast_to(x, nodes).copy(), np.broadcast_to(y[:, None], nodes).copy()


def lonlat(epsg: int, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """WGS 84 longitude and latitude of map positions, degrees."""
    longitude, latitude = CRS(f"EPSG:{epsg}").transformer_to_crs(CRS("EPSG:4326"))(x.ravel(), y.ravel())
    return np.reshape(longitude, x.shape), np.reshape(latitude, x.shape)


def sun_position(time: datetime, longitude: Doubles, latitude: Doubles) -> tuple[Doubles, Doubles]:
    """Zenith and azimuth (clockwise from north) of the sun's centre without refraction, degrees.

    Source: Michalsky 1988, Solar Energy 40(3), 227-235; within 0.01 degrees from 1950 to 2050.
    """
    days = _days_since_2000(time)
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360.0)
    mean_longitude = (280.460 + 0.9856474 * days) % 360.0
    ecliptic = math.radians(mean_longitude + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2.0 * anomaly))
    tilt = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    hour = (time - time.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds() / 3600.0
    sidereal_hours = 6.697375 + 0.0657098242 * days + hour
    hour_angle = np.radians(15.0 * sidereal_hours + longitude) - ascension
    phi = np.radians(latitude)
    up = np.sin(phi) * math.sin(declination) + np.cos(phi) * math.cos(declination) * np.cos(hour_angle)
    north = np.cos(phi) * math.sin(declination) - np.sin(phi) * math.cos(declination) * np.cos(hour_angle)
    east = -math.cos(declination) * np.sin(hour_angle)
    zenith = np.degrees(np.arccos(np.clip(up, -1.0, 1.0)))
    return zenith, np.degrees(np.arctan2(east, north)) % 360.0


def earth_sun_distance_au(time: datetime) -> float:
    """Distance of the Earth from the sun, astronomical units.

    Source: the Astronomical Almanac, low precision formula.
    """
    anomaly = math.radians(357.528 + 0.9856003 * _days_since_2000(time))
    return 1.00014 - 0.01671 * math.cos(anomaly) - 0.00014 * math.cos(2.0 * anomaly)


def _days_since_2000(time: datetime) -> float:
    return (time - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400.0


def overpass_time(tile: str, day: date, *, sensor: str = "S2A") -> datetime:
    """When a sensor passes over a tile on a day, UTC, from its local solar time at the descending node."""
    place = site(tile)
    longitude, latitude = lonlat(place.epsg, np.array([place.left_m]), np.array([place.top_m]))
    at_node = 10.5 if sensor.startswith("S2") else 10.2
    # A sun-synchronous orbit reaches 45 degrees north some twenty minutes of local time later than the node.
    hour = at_node + 0.0075 * float(latitude[0]) - float(longitude[0]) / 15.0
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        seconds=round(3600.0 * (hour % 24.0))
    )


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector's strip over a tile, as MTD_TL.xml describes it."""

    number: int
    """1 .. 12, from the western side of the swath."""
    view_zenith: Floats
    """Degrees on the tile's 23 x 23 nodes, 5 km apart from its corner; NaN where it does not look."""
    view_azimuth: Floats
    """Degrees clockwise from north, same nodes."""
    footprint: tuple[tuple[float, float], ...]
    """Closed ring of map positions (x, y) inside the simulated footprint that this detector sees."""


@dataclass(frozen=True, slots=True)
class Track:
    """A satellite's pass on its way south, as straight lines on the map around one place."""

    heading: float
    """Direction of flight, degrees clockwise from north."""
    altitude_km: float
    """Above the ground."""
    half_swath_km: float
    """From the ground track to either edge of the swath."""
    x_m: float
    """Easting of a point of the ground track."""
    y_m: float
    """Northing of that point."""

    def across_km(self, x: Doubles, y: Doubles) -> Doubles:
        """Distance from the ground track, positive to the east of a southbound pass."""
        turn = math.radians(self.heading)
        return np.asarray(((y - self.y_m) * math.sin(turn) - (x - self.x_m) * math.cos(turn)) / 1000.0)

    def looking(self, x: Doubles, y: Doubles, *, ahead_deg: float = 0.0) -> tuple[Doubles, Doubles]:
        """View zenith and azimuth at map positions for a line of sight tilted along the track, degrees."""
        turn = math.radians(self.heading)
        across, ahead = self.across_km(x, y), self.altitude_km * math.tan(math.radians(ahead_deg))
        # From the ground to the point below the satellite: back across the track, and along it.
        east = across * math.cos(turn) - ahead * math.sin(turn)
        north = -across * math.sin(turn) - ahead * math.cos(turn)
        arc = np.hypot(east, north) / _EARTH_KM
        lever = np.cos(arc) - _EARTH_KM / (_EARTH_KM + self.altitude_km)
        return np.degrees(np.arctan2(np.sin(arc), lever)), np.degrees(np.arctan2(east, north)) % 360.0


def track_over(x_m: float, y_m: float, *, latitude: float, across_km: float, constellation: str) -> Track:
    """The southbound pass that sees a place at a distance across its track.

    Args:
        x_m: Easting of the place.
        y_m: Northing.
        latitude: Of the place, degrees.
        across_km: Distance of the place from the ground track, positive to its east.
        constellation: `sentinel-2` or `landsat`.
    """
    tilt, altitude = (98.62, 786.0) if constellation == "sentinel-2" else (98.2, 705.0)
    phi = math.radians(latitude)
    fixed = math.pi - math.asin(max(-1.0, math.cos(math.radians(tilt)) / math.cos(phi)))
    east = 6.76 * math.sin(fixed) - 0.465 * math.cos(phi)
    heading = math.degrees(math.atan2(east, 6.76 * math.cos(fixed))) % 360.0
    turn = math.radians(heading)
    return Track(
        heading,
        altitude,
        HALF_SWATH_KM[constellation],
        x_m + 1000.0 * across_km * math.cos(turn),
        y_m - 1000.0 * across_km * math.sin(turn),
    )
