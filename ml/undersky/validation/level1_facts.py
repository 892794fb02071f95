"""Facts of a Level-1 scene: each band seen coarsely once, and one block of it at full resolution.

JPEG 2000 decodes a coarse look from its lowest resolutions, so that a full tile costs seconds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from pyproj import Transformer

from undersky import tiles
from undersky.bands import Band
from undersky.errors import ConfigError
from undersky.grid import Floats, Grid, Window, resolution_m, whole
from undersky.scene import INCOMPLETE, BandSource, Bools, Scene
from undersky.validation.rules import Facts, Family, Row

LOOK_SIDE = 171
"""Pixels a side of the coarse look: what `sensors.verify_pixels` asks for, so that both share it."""
BLOCK = 512
"""Pixels a side of the block seen at full resolution: within one block of both formats."""
_CELL = 16
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Announced:
    """What the catalog said of the scene before anybody had its files."""

    scene: str
    """Id of the product."""
    platform: str | None
    """STAC platform, `sentinel-2b` or `landsat-9`; None where it is not known."""
    tile: str
    """MGRS tile or path and row."""
    sensed: datetime
    """Start of sensing (aware)."""


class _Kept:
    """A band whose coarse looks are decoded once."""

    def __init__(self, band: BandSource) -> None:
        self._band, self._looks = band, dict[tuple[int, int], Floats]()

    @property
    def grid(self) -> Grid:
        return self._band.grid

    @property
    def block_rows(self) -> int:
        return self._band.block_rows

    def toa_reflectance(self, window: Window, *, shape: tuple[int, int] | None = None) -> Floats:
        if shape is None or window != whole(self.grid):
            return self._band.toa_reflectance(window, shape=shape)
        if shape not in self._looks:
            self._looks[shape] = self._band.toa_reflectance(window, shape=shape)
        return self._looks[shape].copy()

    def saturated(self, window: Window) -> Bools:
        return self._band.saturated(window)

    def observed(self, window: Window) -> tuple[Floats, Bools]:
        return self._band.observed(window)


def keeping_looks(scene: Scene) -> Scene:
    """The same scene; what is decoded coarsely for one reader is there for the next."""
    return replace(scene, bands={name: _Kept(band) for name, band in scene.bands.items()})


def level1_facts(
    scene: Scene, *, announced: Announced | None = None, offsets: Mapping[str, float] | None = None
) -> Facts:
    """The facts of a scene that has all its bands.

    Args:
        scene: As `open_scene` gives it.
        announced: To compare it with; nothing is compared when None.
        offsets: Digital number that is added in each band before scaling, where the sensor has such.

    Raises:
        DataError: Pixels cannot be decoded.
    """
    rows = [_band_facts(scene, band, (offsets or {}).get(band.name)) for band in scene.sensor.bands]
    bands = tuple(row for row in rows if row is not None)
    family: Family = "landsat" if scene.sensor.constellation == "landsat" else "sentinel-2"
    return Facts("level-1", family, scene.id, _scene_facts(scene, bands, announced), bands)


def _scene_facts(scene: Scene, bands: tuple[Row, ...], announced: Announced | None) -> Row:
    nodata = [float(row["nodata_percent"] or 0.0) for row in bands if row["role"] != "pan"]
    odd = sorted({note.finding.value for note in scene.notes if note.finding in INCOMPLETE})
    return {
        "id": scene.id,
        "platform": scene.sensor.platform,
        "level": scene.level,
        "baseline": scene.baseline,
        "tile": scene.tile,
        "acquired": scene.acquired.isoformat(timespec="seconds"),
        "bands": float(len(bands)),
        "sun_zenith": round(float(scene.angles.sun_zenith.mean()), 3),
        "cloud_percent": scene.declared_cloud_percent,
        "valid_percent": round(100.0 - min(nodata, default=100.0), 4),
        "nodata_spread_percent": round(max(nodata, default=0.0) - min(nodata, default=0.0), 4),
        "km_from_tile": _km_from_tile(scene),
        "findings": " ".join(odd),
        "incomplete_findings": float(len(odd)),
        **_agreement(scene, announced),
    }


def _agreement(scene: Scene, announced: Announced | None) -> Row:
    if announced is None:
        return {"tile_agrees": None, "platform_agrees": None, "hours_from_announced": None, "id_agrees": None}
    apart = abs((scene.acquired - announced.sensed).total_seconds()) / 3600.0
    return {
        "announced_id": announced.scene,
        "announced_platform": announced.platform,
        "announced_tile": announced.tile,
        "tile_agrees": scene.tile == announced.tile,
        "platform_agrees": None
        if announced.platform is None
        else scene.sensor.platform == announced.platform,
        "hours_from_announced": round(apart, 3),
        "id_agrees": scene.id == announced.scene,
    }


def _km_from_tile(scene: Scene) -> float:
    """From the middle of the scene to its tile; 0 inside, NaN where the tile's place is unknown."""
    try:
        place = tiles.site(scene.tile)
    except ConfigError:
        return _NAN  # night-time rows, for one
    box = scene.grid.boundingbox
    middle = (box.left + box.right) / 2.0, (box.bottom + box.top) / 2.0
    x, y = Transformer.from_crs(str(scene.grid.crs), f"EPSG:{place.epsg}", always_xy=True).transform(*middle)
    side = tiles.LANDSAT_SIDE_M if tiles.is_wrs2(scene.tile) else tiles.MGRS_SIDE_M
    outside = [
        max(place.left_m - x, x - place.left_m - side, 0.0),
        max(y - place.top_m, place.top_m - side - y, 0.0),
    ]
    return round(math.hypot(*outside) / 1000.0, 3)


def _band_facts(scene: Scene, band: Band, offset: float | None) -> Row | None:
    source = scene.bands.get(band.name)
    if source is None:
        return None
    rows, cols = source.grid.shape
    look = source.toa_reflectance(whole(source.grid), shape=(min(rows, LOOK_SIDE), min(cols, LOOK_SIDE)))
    values = look[np.isfinite(look)]
    size = resolution_m(source.grid)
    return {
        "band": band.name,
        "role": band.role,
        "rows": float(rows),
        "cols": float(cols),
        "crs": str(source.grid.crs),
        "resolution_m": size,
        "resolution_ratio": round(size / band.resolution_m, 4),
        "baseline": scene.baseline,
        "offset": offset,
        "offset_agrees": _offset_agrees(scene.baseline, offset),
        "nodata_percent": round(100.0 * (1.0 - values.size / look.size), 4),
        **_distribution(values, judged=band.role != "cirrus"),
        **_block_facts(source, look),
    }


def _offset_agrees(baseline: str, offset: float | None) -> bool | None:
    if offset is None:
        return None
    return offset == (-1000.0 if baseline >= "04.00" else 0.0)


def _distribution(values: Floats, *, judged: bool) -> Row:
    """Of the coarse look; the spread of a cirrus band is not judged: over a clear scene it is black."""
    if values.size == 0:
        return dict.fromkeys(("minimum", "p01", "p50", "p99", "maximum", "mean", "spread"), _NAN)
    low, middle, high = (float(v) for v in np.percentile(values, (1, 50, 99)))
    return {
        "minimum": round(float(values.min()), 5),
        "p01": round(low, 5),
        "p50": round(middle, 5),
        "p99": round(high, 5),
        "maximum": round(float(values.max()), 5),
        "mean": round(float(values.mean()), 5),
        "spread": round(float(np.ptp(values)), 7) if judged and values.size > 1 else _NAN,
    }


def _block_facts(source: BandSource, look: Floats) -> Row:
    """Of one block at full resolution, where the look has data nearest to its middle."""
    window = _block(source.grid, look)
    if window is None:
        return dict.fromkeys(("saturated_percent", "lost_line_percent", "constant_block_percent"), _NAN)
    pixels, saturated = source.observed(window)
    valid = np.isfinite(pixels)
    lost = max(_lost_percent(np.asarray(valid.any(axis=axis))) for axis in (0, 1))
    return {
        "saturated_percent": round(100.0 * float(saturated[valid].mean()) if valid.any() else 0.0, 4),
        "lost_line_percent": round(lost, 4),
        "constant_block_percent": round(_constant_percent(pixels), 4),
    }


def _block(grid: Grid, look: Floats) -> Window | None:
    """The block of whole blocks around the valid pixel nearest to the middle; None where all is nodata."""
    where = np.argwhere(np.isfinite(look))
    if not len(where):
        return None
    middle = (np.array(look.shape) - 1) / 2.0
    nearest = where[np.argmin(((where - middle) ** 2).sum(axis=1))]
    rows, cols = grid.shape
    centre = ((nearest + 0.5) * (rows, cols) / look.shape).astype(int)
    row, col = (int(position) // BLOCK * BLOCK for position in centre)
    return Window(row, col, min(BLOCK, rows - row), min(BLOCK, cols - col))


def _lost_percent(has_data: Bools) -> float:
    """Percent of the lines between the first and the last with data that have none."""
    found = np.flatnonzero(has_data)
    if found.size == 0:
        return 0.0
    span = int(found[-1] - found[0]) + 1
    return 100.0 * (span - found.size) / span


def _constant_percent(pixels: Floats) -> float:
    """Percent of the wholly valid cells of 16 x 16 pixels that hold one value; 0 where there is none."""
    rows, cols = (size // _CELL * _CELL for size in pixels.shape)
    cells = pixels[:rows, :cols].reshape(rows // _CELL, _CELL, cols // _CELL, _CELL)
    spread = cells.max(axis=(1, 3)) - cells.min(axis=(1, 3)) if cells.size else np.empty(0)
    known = np.isfinite(spread)
    return 100.0 * float((spread[known] == 0.0).mean()) if known.any() else 0.0
