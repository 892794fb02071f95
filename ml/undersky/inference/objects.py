"""Objects on the water out of what a network says of every pixel: where, how sure, how long, which way.

    inside (y, x) --above one half, one piece a peak--> pixels of the object --> smallest rotated box
    centre (y, x) --smoothed, highest around--> peaks on or beside water --> score

All of it is local: an object depends on nothing farther than `reach_pixels`, so that strips read with that
margin find what one look at the whole scene finds, each object once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely import Polygon, affinity

from undersky.errors import DataError, Reason
from undersky.grid import Floats
from undersky.inference.sliding import class_probabilities
from undersky.models.segmentation import Segmenter
from undersky.quality import Quality, QualityBits, is_clear

Bools = npt.NDArray[np.bool_]

VERSION = "1"
"""Of the rules below that turn probabilities into objects: another one, other products."""

CLASSES = ("inside", "centre")
"""Output channels of a network that finds objects."""

_HALF = 0.5
_PEAK_PIXELS = 2
_AROUND = 32
"""Pixels beside a peak that its object may cover."""
_CLOUD = 13
"""Pixels across the smallest cloud: 130 m, more than twice as wide as the widest ship."""
_DARK = 0.02
"""Reflectance in the near infrared that no land falls below."""
_DIM = 0.09
"""Reflectance in the near and the shortwave infrared that little land falls below in both."""
_SETTLING = 8
"""Pixels that smoothing, peaks and the water's edge look beside their own."""
_HALF_TURN = 180.0


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """The numbers of one model of objects, as its package carries them."""

    threshold: float = 0.5
    """Least score of what is reported."""
    beside_water_m: float = 40.0
    """How far from open water a centre may lie: a moored ship is no water itself."""
    water_share: float = 0.08
    """Least share of water in the half kilometre around: puddles and shadows of a town are no harbour."""
    water_box_m: float = 500.0
    """Side of the square in which that share is taken."""

    def __post_init__(self) -> None:
        if not (0 < self.threshold < 1 and 0 <= self.water_share < 1):
            raise ValueError("threshold and water_share lie in 0 .. 1")
        if not (0 <= self.beside_water_m <= self.water_box_m <= 5000):
            raise ValueError("beside_water_m and water_box_m lie in 0 .. 5000, in this order")

    @classmethod
    def of(cls, settings: Mapping[str, float]) -> "ObjectSettings":
        """The settings of a package.

        Raises:
            DataError: `model_refused`: it carries others.
        """
        known = {field.name for field in fields(cls)}
        if strangers := sorted(set(settings) - known):
            names = " ".join(sorted(known))
            raise _refused(f"{strangers[0]} is no setting of objects; they are {names}")
        try:
            return cls(**settings)
        except ValueError as error:
            raise _refused(str(error)) from error


def _refused(why: str) -> DataError:
    return DataError(Reason.MODEL_REFUSED, f"a model of objects is refused: {why}")


@dataclass(frozen=True, slots=True)
class Detection:
    """One object that was found."""

    row: float
    """Of the box's centre; 0 is the upper edge of the first row."""
    col: float
    """Of the box's centre; 0 is the left edge of the first column."""
    peak: tuple[int, int]
    """The pixel (row, col) where the network is surest of a centre."""
    score: float
    """How sure, 0 .. 1."""
    length_m: float
    """The longer side of the box."""
    width_m: float
    """The shorter side."""
    heading_deg: float
    """Of the longer side, clockwise from the grid's north, 0 .. 180: bow and stern look alike."""
    box: Polygon
    """In (col, row)."""


def require_objects(model: Segmenter) -> ObjectSettings:
    """The model's settings.

    Raises:
        DataError: `model_refused`: it finds no objects.
    """
    config = model.config
    if config.classes != CLASSES or config.outputs != "sigmoid":
        raise _refused(f"it says {' '.join(config.classes)} of a pixel, not {' and '.join(CLASSES)}")
    return ObjectSettings.of(config.settings)


def reach_pixels(model: Segmenter) -> int:
    """Pixels beyond which nothing changes an object: it ends where a neighbour begins, which has its own."""
    settings = require_objects(model)
    box = math.ceil(settings.water_box_m / model.config.pixel_m / 2)
    beside = math.floor(settings.beside_water_m / model.config.pixel_m)
    return 2 * _AROUND + _SETTLING + max(model.margin, max(box, beside) + _CLOUD)


def find_objects(model: Segmenter, values: Floats, allowed: Bools) -> tuple[Detection, ...]:
    """Every object in a scene, the surest first.

    Args:
        model: Of objects.
        values: Surface reflectance in the order of its inputs, (band, y, x), NaN where missing.
        allowed: True where a centre may lie, (y, x): see `beside_water`.
    """
    settings, multiple = require_objects(model), model.config.multiple
    if not allowed.any():
        return ()
    # nobody asks what lies far from water; offsets are those of the whole, so that the network sees the same
    around = -(-(model.margin + 2 * _AROUND + _SETTLING) // multiple) * multiple
    spans = []
    for axis in (1, 0):
        used = np.flatnonzero(allowed.any(axis=axis))
        spans.append(slice(max(0, int(used[0]) // multiple * multiple - around), int(used[-1]) + 1 + around))
    rows, cols = spans
    found = class_probabilities(model, values[:, rows, cols])
    part = decode_objects(
        found, allowed[rows, cols], threshold=settings.threshold, pixel_m=model.config.pixel_m
    )
    return tuple(moved(one, rows=rows.start, cols=cols.start) for one in part)


def moved(one: Detection, *, rows: int, cols: int) -> Detection:
    """The same object in a raster that begins so many rows and columns before."""
    row, col = one.peak
    box = affinity.translate(one.box, cols, rows)
    return replace(one, row=one.row + rows, col=one.col + cols, peak=(row + rows, col + cols), box=box)


def beside_water(
    water: Bools, settings: ObjectSettings, *, pixel_m: float, body: Bools | None = None
) -> Bools:
    """True where the centre of an object may lie: on open water, or so near to it that it may be moored.

    Args:
        water: True on water, (y, x); a ship in it is False, a shadow on land may be True.
        settings: Distances and shares.
        pixel_m: Of the grid.
        body: True where there is water by a mask that is surer and coarser, of which the share is asked;
            that of `water` when None.
    """
    open_water = _opened(water, 3)
    side = max(1, 2 * round(settings.water_box_m / pixel_m / 2) + 1)
    whole = open_water if body is None else body
    share = ndimage.uniform_filter(whole.astype(np.float32), size=side, mode="nearest")
    reach = math.floor(settings.beside_water_m / pixel_m)
    near = ndimage.maximum_filter(open_water, size=2 * reach + 1, mode="nearest")
    return np.asarray(near & (share >= settings.water_share))


def where_to_look(
    green: Floats,
    nir: Floats,
    quality: QualityBits,
    *,
    settings: ObjectSettings,
    pixel_m: float,
    swir16: Floats | None = None,
) -> Bools:
    """True where an object of a corrected scene may lie, (y, x).

    The quality mask, coarse and sure, says which waters there are; the pixels say where they end.

    Args:
        green: Surface reflectance, (y, x).
        nir: The same of the near infrared.
        quality: Bits of the same pixels.
        settings: Distances and shares.
        pixel_m: Of the grid.
        swir16: Surface reflectance at 1.6 um, where it is known.
    """
    body = (quality & np.uint16(Quality.WATER)) != 0
    if settings.water_share > 0 and not body.any():
        return np.zeros(quality.shape, dtype=bool)
    seen = (quality & np.uint16(Quality.NODATA)) == 0
    allowed = beside_water(spectral_water(green, nir, swir16), settings, pixel_m=pixel_m, body=body)
    return np.asarray(allowed & seen & ~cloudy(~is_clear(quality) & seen))


def cloudy(unclear: Bools) -> Bools:
    """True under clouds wider than any ship, which a mask may take for a cloud for its brightness."""
    return _opened(unclear, _CLOUD)


def _opened(mask: Bools, side: int) -> Bools:
    """The mask without whatever holds no square of that side; row by row, so that a side costs nothing."""
    eroded = ndimage.minimum_filter(mask, size=side, mode="nearest")
    return np.asarray(ndimage.maximum_filter(eroded, size=side, mode="nearest"), dtype=bool)


def spectral_water(green: Floats, nir: Floats, swir16: Floats | None = None) -> Bools:
    """True on water by its own colours, (y, x); False at nodata.

    Darker than green in the near or the shortwave infrared, or dark in both, as little land is: each alone
    fails in some harbour, for light from the quays brightens dark water in the infrared, and haze all of it.

    Args:
        green: Surface reflectance, (y, x).
        nir: The same of the near infrared.
        swir16: The same at 1.6 um, where it is known.

    Source: McFeeters 1996, IJRS 17(7), 1425-1432, and Xu 2006, IJRS 27(14), 3025-3033: indices above zero.
    """
    known = np.nan_to_num(green, nan=0.0)
    water = (known > np.nan_to_num(nir, nan=1.0)) | (nir < _DARK)
    if swir16 is not None:
        water |= (known > np.nan_to_num(swir16, nan=1.0)) | ((nir < _DIM) & (swir16 < _DIM))
    return np.asarray(water & np.isfinite(nir))


def decode_objects(
    found: Floats, allowed: Bools, *, threshold: float, pixel_m: float
) -> tuple[Detection, ...]:
    """The objects that probabilities (inside and centre, y, x) speak of, the surest first.

    Args:
        found: Channels CLASSES.
        allowed: True where a centre may lie, (y, x).
        threshold: Least score.
        pixel_m: Of the grid.
    """
    inside = found[0] > _HALF
    surest = ndimage.gaussian_filter(found[1], 1.0, truncate=3.0)
    highest = ndimage.maximum_filter(surest, size=2 * _PEAK_PIXELS + 1)
    peaks = np.argwhere((surest >= threshold) & (surest == highest) & allowed)
    every = _apart(peaks[np.argsort(-surest[tuple(peaks.T)], kind="stable")])
    return tuple(
        _detection(inside, (int(row), int(col)), peaks=every, score=float(surest[row, col]), pixel_m=pixel_m)
        for row, col in every
    )


def _apart(peaks: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The peaks, surest first, without those that share a plateau with one before."""
    kept: list[int] = []
    for place in range(len(peaks)):
        if not (np.abs(peaks[kept] - peaks[place]).max(axis=1, initial=0) <= _PEAK_PIXELS).any():
            kept.append(place)
    return peaks[kept]


def _detection(
    inside: Bools, peak: tuple[int, int], *, peaks: npt.NDArray[np.intp], score: float, pixel_m: float
) -> Detection:
    """The object at a peak: the box about those pixels inside, joined to it, that are nearer to no other."""
    row, col = peak
    top, left = max(0, row - _AROUND), max(0, col - _AROUND)
    part = inside[top : row + _AROUND + 1, left : col + _AROUND + 1].copy()
    part[row - top, col - left] = True
    rows, cols = np.nonzero(part)
    close = peaks[(np.abs(peaks - np.array(peak)) <= 2 * _AROUND).all(axis=1)]
    mine = np.hypot(rows + top - row, cols + left - col)
    others = np.min(
        np.hypot((rows + top)[:, None] - close[:, 0], (cols + left)[:, None] - close[:, 1]), axis=1
    )
    part[rows[mine > others], cols[mine > others]] = False
    joined, _ = ndimage.label(part, structure=np.ones((3, 3)))
    rows, cols = np.nonzero(joined == joined[row - top, col - left])
    corners = np.concatenate([np.column_stack([cols + x, rows + y]) for x in (0, 1) for y in (0, 1)])
    box = shapely.minimum_rotated_rectangle(shapely.MultiPoint(corners + np.array([left, top])))
    if not isinstance(box, Polygon):
        raise TypeError(f"the box about pixels is a {box.geom_type}")
    length, width, heading = box_measures(box, pixel_m=pixel_m)
    return Detection(float(box.centroid.y), float(box.centroid.x), peak, score, length, width, heading, box)


def box_measures(box: Polygon, *, pixel_m: float) -> tuple[float, float, float]:
    """Length and width in metres and heading in degrees, 0 .. 180, of a rectangle in (col, row)."""
    corners = np.asarray(box.exterior.coords)[:3]
    sides = sorted(
        ((float(np.hypot(*(b - a))), b - a) for a, b in pairwise(corners)), key=lambda side: side[0]
    )
    (width, _), (length, along) = sides
    heading = math.degrees(math.atan2(along[0], -along[1])) % _HALF_TURN
    return length * pixel_m, width * pixel_m, heading
