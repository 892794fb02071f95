"""Where and when: grids at tiles, the sun's place in the sky, and the directions in which a sensor looks."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.crs import CRS

from undersky.errors import ConfigError
from undersky.grid import Floats, Grid
from undersky.tiles import Site, heading, site

Doubles = npt.NDArray[np.float64]

_EARTH_KM = 6371.0
HALF_SWATH_KM = MappingProxyType({"sentinel-2": 145.0, "landsat": 92.5})
"""From the ground track to either edge of the swath, by constellation."""


def grid_at(place: Site, *, resolution_m: int, size_m: int) -> Grid:
    """The square grid of that size in a tile's upper-left corner.

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
        (count, count), Affine(step, 0.0, place.left_m, 0.0, -step, place.top_m), f"EPSG:{place.epsg}"
    )


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
    course = heading(latitude, inclination=tilt)
    turn = math.radians(course)
    return Track(
        course,
        altitude,
        HALF_SWATH_KM[constellation],
        x_m + 1000.0 * across_km * math.cos(turn),
        y_m - 1000.0 * across_km * math.sin(turn),
    )
