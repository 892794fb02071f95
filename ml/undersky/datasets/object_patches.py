"""Patches of scenes with labelled objects: turned by any angle, scaled a little, under other light.

    scene --prepared once--> planes: bands, targets (inside, centre), where it counts
        --an object or a place near the water, drawn--> patch --turned, scaled--> --gain, haze, noise--> patch

What lies far from water does not count: no object is looked for there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from undersky.datasets.objects import ObjectScene, object_targets
from undersky.grid import Floats

Bools = npt.NDArray[np.bool_]

Patch = tuple[Floats, Floats]
"""Values (band, y, x) and targets (2, y, x), NaN where none counts."""

_MARGIN_M = 60.0
"""Beyond where objects may lie that still counts: what borders on it must be told from them."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How patches differ from the scene they are cut from."""

    near_object: float = 0.55
    """Share of the patches that show an object near their middle."""
    near_coast: float = 0.3
    """Share that show where water ends: quays, islets, breakwaters."""
    scale: float = 1.25
    """Objects appear up to so much larger or smaller."""
    gain: float = 0.15
    """Spread of the brightness, natural logarithm; half of it from band to band."""
    haze: float = 0.015
    """Spread of what is added to all bands, reflectance; half of it to each."""
    noise: float = 0.003
    """Spread of what is added to each pixel, reflectance."""

    def __post_init__(self) -> None:
        if min(self.near_object, self.near_coast) < 0 or self.near_object + self.near_coast > 1:
            raise ValueError("near_object and near_coast are shares, together at most 1")
        if self.scale < 1 or min(self.gain, self.haze, self.noise) < 0:
            raise ValueError("scale is at least 1, the spreads are not negative")


@dataclass(frozen=True, slots=True)
class Planes:
    """A scene, ready to be cut."""

    name: str
    """Of the scene."""
    values: Floats
    """(band, y, x), NaN at nodata."""
    targets: Floats
    """(2, y, x), NaN where none counts."""
    centres: Floats
    """Of its objects, (object, 2) as row and col."""
    coast: npt.NDArray[np.intp]
    """Pixels (n, 2) where objects may lie, near where they may not."""
    anywhere: npt.NDArray[np.intp]
    """Pixels (n, 2) where objects may lie."""


def planes_of(scene: ObjectScene, allowed: Bools, *, centre_m: float) -> Planes:
    """The scene, ready to be cut.

    Args:
        scene: With its objects.
        allowed: Where they may lie, (y, x).
        centre_m: Radius of the target about a centre.
    """
    pixel = abs(scene.grid.affine.a)
    counts = ndimage.distance_transform_edt(~allowed) * pixel <= _MARGIN_M
    counts &= np.isfinite(scene.values).any(axis=0)
    targets = object_targets(scene, centre_m=centre_m).astype(np.float32)
    targets = np.where(counts, targets, np.float32(np.nan))
    edge = ndimage.distance_transform_edt(allowed) * pixel <= 4 * _MARGIN_M
    centres = np.array([(found.row, found.col) for found in scene.objects], dtype=np.float32).reshape(-1, 2)
    coast = np.argwhere(allowed & edge)
    return Planes(scene.name, scene.values, targets, centres, coast, np.argwhere(allowed))


def draw_patch(
    planes: Sequence[Planes], chance: np.random.Generator, *, size: int, options: Augmentation
) -> Patch:
    """A patch drawn by chance: every object equally often, every scene equally often elsewhere."""
    draw = chance.random()
    with_objects = [(one, centre) for one in planes for centre in one.centres]
    if draw < options.near_object and with_objects:
        one, centre = with_objects[int(chance.integers(len(with_objects)))]
        place = centre + chance.uniform(-0.35, 0.35, 2) * size
    else:
        one = planes[int(chance.integers(len(planes)))]
        pool = (
            one.coast if draw < options.near_object + options.near_coast and len(one.coast) else one.anywhere
        )
        place = pool[int(chance.integers(len(pool)))].astype(np.float64)
    values, targets = turned_patch(one, place, chance, size=size, scale=options.scale)
    return relit(values, chance, options), targets


def turned_patch(
    planes: Planes, place: npt.NDArray[np.float64], chance: np.random.Generator, *, size: int, scale: float
) -> Patch:
    """The patch about a place (row, col), turned, mirrored and scaled; NaN beyond the scene."""
    angle = chance.uniform(0.0, 2.0 * np.pi)
    factor = np.exp(chance.uniform(-1.0, 1.0) * np.log(scale))
    mirror = chance.choice([-1.0, 1.0])
    across = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(across, across * mirror, indexing="ij")
    rows = place[0] - 0.5 + factor * (np.cos(angle) * y - np.sin(angle) * x)
    cols = place[1] - 0.5 + factor * (np.sin(angle) * y + np.cos(angle) * x)
    values = np.stack([_sampled(band, rows, cols, order=1) for band in planes.values])
    targets = np.stack([_sampled(plane, rows, cols, order=0) for plane in planes.targets])
    return values, targets


def _sampled(plane: Floats, rows: Floats, cols: Floats, *, order: int) -> Floats:
    """A plane at positions between its pixels, NaN outside."""
    top, left = max(0, int(rows.min()) - 2), max(0, int(cols.min()) - 2)
    part = plane[top : int(rows.max()) + 4, left : int(cols.max()) + 4]
    if not part.size:
        return np.full(rows.shape, np.nan, dtype=np.float32)
    at = (rows - top, cols - left)
    return np.asarray(
        ndimage.map_coordinates(part, at, order=order, mode="constant", cval=np.nan), np.float32
    )


def relit(values: Floats, chance: np.random.Generator, options: Augmentation) -> Floats:
    """The same ground under other light, haze and noise."""
    bands = (len(values), 1, 1)
    gain = np.exp(chance.normal(0.0, options.gain) + chance.normal(0.0, options.gain / 2, bands))
    haze = chance.normal(0.0, options.haze) + chance.normal(0.0, options.haze / 2, bands)
    noise = chance.normal(0.0, 1.0, values.shape) * options.noise
    return np.asarray(values * gain + haze + noise, dtype=np.float32)
