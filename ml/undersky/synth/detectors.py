"""Sentinel-2's twelve detectors: strips along the track that look ahead and back in turn.

    west   | 1 | 2 | 3 | ... | 12 |   east     odd ones look ahead, even ones back, each band a little apart

Source of the layout: Sentinel-2 User Handbook, section 3.2 (staggered focal plane); the tilt of 1.1 degrees
and the spread between bands are typical of the angle grids of real products.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from undersky.bands import Sensor
from undersky.grid import Floats, Grid
from undersky.synth.geometry import Detector, Doubles, Track
from undersky.synth.tile_angles import NODES, STEP_M
from undersky.tiles import Site

COUNT = 12
OVERLAP_KM = 1.0
_TILT_DEG = 1.1
_BAND_STEP_DEG = 0.08
_MARGIN_KM = 4.8

Ring = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Strip:
    """What one detector sees of the ground."""

    number: int
    """1 .. 12."""
    west_km: float
    """Distance of its western edge across the track."""
    east_km: float
    """Of its eastern edge."""


def strips(track: Track) -> tuple[Strip, ...]:
    """All detectors from west to east; neighbours overlap."""
    width = 2.0 * track.half_swath_km / COUNT
    edges = [-track.half_swath_km + i * width for i in range(COUNT)]
    half = 0.5 * OVERLAP_KM
    return tuple(Strip(i + 1, west - half, west + width + half) for i, west in enumerate(edges))


def ahead_deg(strip: Strip, band: int) -> float:
    """How far ahead of the satellite a detector looks in the band of that position."""
    side = 1.0 if strip.number % 2 else -1.0
    return side * (_TILT_DEG + _BAND_STEP_DEG * (band - 6))


def band_angles(sensor: Sensor, track: Track, *, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """View zenith and azimuth of every band at map positions, (band, y, x), of the detector that sees them.

    Beyond the swath the outermost detector is continued. Landsat's detectors look straight across.
    """
    if sensor.constellation != "sentinel-2":
        single = track.looking(x, y)
        repeated = [np.repeat(field[None], len(sensor.bands), axis=0) for field in single]
        return repeated[0], repeated[1]
    across = track.across_km(x, y)
    width = 2.0 * track.half_swath_km / COUNT
    owner = np.clip(np.floor((across + track.half_swath_km) / width), 0, COUNT - 1).astype(int)
    zenith = np.empty((len(sensor.bands), *x.shape))
    azimuth = zenith.copy()
    for strip in strips(track):
        mine = owner == strip.number - 1
        for band in range(len(sensor.bands)):
            zenith[band][mine], azimuth[band][mine] = track.looking(
                x[mine], y[mine], ahead_deg=ahead_deg(strip, band)
            )
    return zenith, azimuth


def tile_detectors(
    sensor: Sensor, track: Track, *, site: Site, grid: Grid
) -> Mapping[str, tuple[Detector, ...]]:
    """Per band, the detectors that see the tile; none for Landsat."""
    if sensor.constellation != "sentinel-2":
        return {}
    steps = STEP_M * np.arange(NODES)
    x, y = np.meshgrid(site.left_m + steps, site.top_m - steps)
    across = track.across_km(x, y)
    found: dict[str, tuple[Detector, ...]] = {}
    for index, band in enumerate(sensor.bands):
        found[band.name] = tuple(
            _detector(strip, track, x=x, y=y, index=index, grid=grid)
            for strip in strips(track)
            if bool(((across > strip.west_km) & (across < strip.east_km)).any())
        )
    return found


def _detector(strip: Strip, track: Track, *, x: Doubles, y: Doubles, index: int, grid: Grid) -> Detector:
    across = track.across_km(x, y)
    # Angle grids reach about a node beyond the pixels, as those of real products do.
    seen = (across > strip.west_km - _MARGIN_KM) & (across < strip.east_km + _MARGIN_KM)
    zenith, azimuth = track.looking(x, y, ahead_deg=ahead_deg(strip, index))
    return Detector(
        strip.number, _where(zenith, seen), _where(azimuth, seen), footprint(strip, track, grid=grid)
    )


def _where(field: Doubles, seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    return np.where(seen, field, np.nan).astype(np.float32)


def footprint(strip: Strip, track: Track, *, grid: Grid) -> tuple[tuple[float, float], ...]:
    """Closed ring of the part of a grid that a detector sees; empty where it sees none."""
    box = grid.boundingbox
    ring = [(box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)]
    west = max(strip.west_km, -track.half_swath_km)
    east = min(strip.east_km, track.half_swath_km)
    ring = _clip(_clip(ring, track, edge_km=west, side=1.0), track, edge_km=east, side=-1.0)
    return (*ring, ring[0]) if ring else ()


def _clip(ring: Ring, track: Track, *, edge_km: float, side: float) -> Ring:
    """The ring's part on one side of a line along the track (Sutherland and Hodgman 1974)."""
    kept: Ring = []
    inside = [side * (float(track.across_km(np.array(x), np.array(y))) - edge_km) for x, y in ring]
    for i, here in enumerate(inside):
        before = inside[i - 1]
        if (here >= 0) != (before >= 0):
            part = before / (before - here)
            (x0, y0), (x1, y1) = ring[i - 1], ring[i]
            kept.append((x0 + part * (x1 - x0), y0 + part * (y1 - y0)))
        if here >= 0:
            kept.append(ring[i])
    return kept
