"""Labels as outlines: on the globe, or on the pixels of named images."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from undersky.labels.mending import Shapes
from undersky.labels.tasks import IGNORE, Task

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Outlines with what they are, in one order whatever the file's was."""

    shapes: Shapes
    """Polygons (n,): WGS 84 longitude and latitude, or (column, row) where there are images."""
    codes: Codes
    """Stored number of the class of each, 255 where nobody shall look, (n,)."""
    images: tuple[str, ...] | None = None
    """Name of the image of each, where outlines are pixels of images that lie nowhere."""

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def ignored(self) -> int:
        """Regions that nobody shall look at."""
        return int((self.codes == IGNORE).sum())

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north; None without outlines or where they are pixels of images."""
        if self.images is not None or not len(self):
            return None
        west, south, east, north = shapely.total_bounds(self.shapes)
        return float(west), float(south), float(east), float(north)

    def counts(self, task: Task) -> dict[str, int]:
        """Outlines by class; classes without any too."""
        return {kind.slug: int((self.codes == kind.code).sum()) for kind in task.classes}

    def square_km(self, task: Task) -> dict[str, float] | None:
        """Ground by class, overlaps counted twice; None where outlines are pixels of images."""
        if self.images is not None:
            return None
        areas = _square_km(self.shapes)
        return {kind.slug: round(float(areas[self.codes == kind.code].sum()), 6) for kind in task.classes}

    def digest(self, about: Mapping[str, object]) -> str:
        """sha256 over every outline, its class and what is said of all; no order of features is in it."""
        sha = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        names = self.images or ("",) * len(self)
        rows = zip(self.codes, names, shapely.to_wkb(self.shapes, byte_order=1), strict=True)
        for code, name, outline in rows:
            sha.update(f"{code}/{name}/".encode() + outline)
        return sha.hexdigest()


def drawn(shapes: Shapes, codes: npt.ArrayLike, images: tuple[str, ...] | None = None) -> Drawn:
    """The outlines, normalised and sorted by image, class and shape."""
    sound = shapely.normalize(np.asarray(shapes, dtype=object))
    numbers = np.asarray(codes, dtype=np.uint8)
    keys = shapely.to_wkb(sound, byte_order=1)
    names = images or ("",) * len(numbers)
    order = sorted(range(len(numbers)), key=lambda i: (names[i], int(numbers[i]), keys[i]))
    place = np.asarray(order, dtype=np.intp)
    return Drawn(sound[place], numbers[place], None if images is None else tuple(images[i] for i in order))


def _square_km(shapes: Shapes) -> npt.NDArray[np.float64]:
    """On the sphere of equal area, longitude against the sine of latitude; a percent or better."""
    radius_km = 6_371.0072

    def equal_area(c: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack([np.radians(c[:, 0]), np.sin(np.radians(c[:, 1]))]) * radius_km

    return np.asarray(shapely.area(shapely.transform(shapes, equal_area)), dtype=np.float64)
