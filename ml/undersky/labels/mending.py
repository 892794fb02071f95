"""Outlines are sound, on the globe, and not swapped; what cannot be made so is counted or refused.

no CRS                      refused: nobody can guess where it lies; --crs says it
axes swapped                refused: x and y traded would lie where the CRS is used, as they are they do not
crossing itself             mended: cut into its sound parts
empty, no area, not finite, beyond the globe        left out, and counted
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from undersky.errors import ConfigError, DataError, Reason
from undersky.labels.tally import Tally

Shapes = npt.NDArray[np.object_]

DIGITS = 9
"""Decimals of a degree that are stored: a tenth of a millimetre, and the same on every machine."""
_SLACK_DEGREES = 5.0
"""How far beyond the area of use of its CRS data may lie before it looks misplaced."""


def outlines_of(shapes: Shapes, tally: Tally) -> tuple[Shapes, npt.NDArray[np.bool_]]:
    """Sound polygons of positive area, and which of the given shapes they are.

    Args:
        shapes: Anything a file held, None among them.
        tally: What was mended and what was left out is counted here.
    """
    kept = np.ones(len(shapes), dtype=bool)
    _leave_out(kept, shapely.is_missing(shapes) | shapely.is_empty(shapes), tally, "empty")
    _leave_out(kept, ~_finite(shapes), tally, "coordinates that are no numbers")
    flat = shapely.get_dimensions(shapes) < 2
    _leave_out(kept, flat, tally, "points and lines: no area")
    result = shapely.force_2d(shapes)
    result[~kept] = None
    crossing = kept & ~shapely.is_valid(result)
    if crossing.any():
        result[crossing] = [_areas(each) for each in shapely.make_valid(result[crossing])]
        tally.mended["outlines that crossed themselves"] += int(crossing.sum())
    _leave_out(kept, ~(shapely.area(result) > 0), tally, "no area")
    return result[kept], kept


def on_the_globe(
    shapes: Shapes, crs: Any, *, where: str, tally: Tally
) -> tuple[Shapes, npt.NDArray[np.bool_]]:
    """The outlines in WGS 84 longitude and latitude, and which of them lie on the globe.

    Args:
        shapes: Sound polygons in `crs`.
        crs: Anything pyproj understands; None where the file says nothing.
        where: The file, for messages.
        tally: What lies beyond the globe is counted here.

    Raises:
        DataError: `crs_mismatch`: no CRS, one that is none, or axes that look swapped.
    """
    system = crs_of(crs, where)
    _refuse_swapped(shapes, system, where)
    degrees = _to_degrees(shapes, system)
    bounds = shapely.bounds(degrees)
    with np.errstate(invalid="ignore"):
        inside = (
            np.isfinite(bounds).all(axis=1)
            & (bounds[:, 0] >= -180.0) & (bounds[:, 2] <= 180.0)
            & (bounds[:, 1] >= -90.0) & (bounds[:, 3] <= 90.0)
        )  # fmt: skip
    kept = np.ones(len(shapes), dtype=bool)
    _leave_out(kept, ~inside, tally, "beyond the globe")
    return _rounded(degrees[kept]), kept


def crs_of(crs: Any, where: str) -> CRS:
    """The coordinate system.

    Raises:
        DataError: `crs_mismatch`: there is none, or nobody knows it.
    """
    if crs is None:
        raise DataError(
            Reason.CRS_MISMATCH,
            f"{where} names no coordinate system, so nobody knows where it lies; say it with --crs EPSG:...",
        )
    try:
        return CRS.from_user_input(crs)
    except ProjError as error:
        raise ConfigError(f"{crs} is no coordinate system: {error}; write EPSG:32633") from error


def _refuse_swapped(shapes: Shapes, system: CRS, where: str) -> None:
    """Returns unless most outlines lie outside where their CRS is used, and inside with x and y traded."""
    if not len(shapes):
        return
    here = _share_in_use(shapes, system)
    if here >= 0.5:
        return
    traded = _share_in_use(shapely.transform(shapes, lambda c: c[:, ::-1]), system)
    if traded > 0.5:
        first = shapely.bounds(shapes[0])
        raise DataError(
            Reason.CRS_MISMATCH,
            f"{where}: x and y look swapped: the first outline begins at ({first[0]:.6g}, {first[1]:.6g}), "
            f"which is outside where {system.name} is used, and inside when traded; write x (longitude, "
            "easting) first",
        )
    raise DataError(
        Reason.CRS_MISMATCH,
        f"{where}: {1 - here:.0%} of the outlines lie outside where {system.name} is used; is it another "
        "coordinate system? Say the true one with --crs EPSG:...",
    )


def _share_in_use(shapes: Shapes, system: CRS) -> float:
    """Share of the outlines whose middle lies in the area of use of the system, with some slack."""
    area = system.area_of_use
    west, south, east, north = (-180.0, -90.0, 180.0, 90.0) if area is None else area.bounds
    bounds = shapely.bounds(shapes)
    x, y = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    lon, lat = _transformer(system).transform(x, y)
    lon, lat = np.asarray(lon), np.asarray(lat)
    slack = 0.0 if system.is_geographic else _SLACK_DEGREES
    across = (lon >= west - slack) & (lon <= east + slack)
    if east < west:
        across = (lon >= west - slack) | (lon <= east + slack)
    return float(np.mean(across & (lat >= south - slack) & (lat <= north + slack)))


def _transformer(system: CRS) -> Transformer:
    return Transformer.from_crs(system, "EPSG:4326", always_xy=True)


def _to_degrees(shapes: Shapes, system: CRS) -> Shapes:
    to = _transformer(system)
    moved: Shapes = shapely.transform(shapes, lambda c: np.column_stack(to.transform(c[:, 0], c[:, 1])))
    return moved


def _rounded(shapes: Shapes) -> Shapes:
    """To a tenth of a millimetre, still sound."""
    result: Shapes = shapely.transform(shapes, lambda c: np.round(c, DIGITS))
    broken = ~shapely.is_valid(result)
    if broken.any():
        result[broken] = [_areas(each) for each in shapely.make_valid(result[broken])]
    return result


def _areas(shape: shapely.Geometry) -> shapely.Geometry:
    """Of what a repair left, the parts that have an area."""
    parts: Sequence[shapely.Geometry] = [
        each for each in shapely.get_parts(shapely.get_parts(shape)) if shapely.get_dimensions(each) == 2
    ]
    if len(parts) == 1:
        return parts[0]
    return shapely.union_all(parts) if parts else shapely.Polygon()


def _finite(shapes: Shapes) -> npt.NDArray[np.bool_]:
    coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
    sound = np.ones(len(shapes), dtype=bool)
    sound[owner[~np.isfinite(coordinates).all(axis=1)]] = False
    return sound


def _leave_out(kept: npt.NDArray[np.bool_], which: npt.NDArray[np.bool_], tally: Tally, why: str) -> None:
    """Those not left out before are now, and counted."""
    fresh = kept & which
    if fresh.any():
        tally.left_out[why] += int(fresh.sum())
        kept &= ~which
