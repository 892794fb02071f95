"""How people divide land: districts, parcels in them, and the lines between, as functions of map position.

district   a cell around a jittered lattice point, irregular, with its own direction of ploughing
parcel     a rectangle of strips and headlands along that direction, cut off by the district's border
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats
from undersky.synth.fractal import Frame, Integers, hashed, noise, uniform

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parcels:
    """A division of the plane, per pixel (y, x)."""

    district: Integers
    """Identifier of the district."""
    parcel: Integers
    """Identifier of the parcel, unique across districts for practical purposes."""
    to_border_m: Floats
    """Distance to the district's border, about."""
    to_edge_m: Floats
    """Distance to the nearest parcel edge or district border, about."""

    def draw(self, salt: int) -> Floats:
        """One uniform number per parcel, (y, x)."""
        return uniform(self.parcel, np.zeros(1, np.int64), salt=salt)


def divide(frame: Frame, *, district_m: float, strip_m: float, salt: int) -> Parcels:
    """Districts of about that size, divided into parcels some strips wide.

    Args:
        frame: Where.
        district_m: Mean distance of district centres.
        strip_m: Mean width of a parcel; lengths are one to four times as much.
        salt: Chooses the realisation.
    """
    x, y = _warped(frame, amplitude_m=0.16 * district_m, wavelength_m=1.3 * district_m, salt=salt)
    district, to_border, x, y = _cells(x, y, size_m=district_m, salt=salt)
    nothing = np.zeros(1, np.int64)
    turn = np.pi * uniform(district, nothing, salt=salt + 1)
    width = strip_m * (0.6 + 0.9 * uniform(district, nothing, salt=salt + 2))
    across = (x * np.cos(turn) + y * np.sin(turn)) / width
    along = (y * np.cos(turn) - x * np.sin(turn)) / width
    strip = np.floor(across).astype(np.int64)
    length = 1.0 + 3.0 * uniform(strip, district, salt=salt + 3)
    along = along / length + uniform(strip, district, salt=salt + 4)
    headland = np.floor(along).astype(np.int64)
    parcel = hashed(strip + 4096 * headland, district, salt=salt + 5).astype(np.int64)
    side = np.minimum(across - strip, 1.0 - (across - strip)) * width
    end = np.minimum(along - headland, 1.0 - (along - headland)) * width * length
    to_edge = np.minimum(np.minimum(side, end), to_border)
    return Parcels(district, parcel, to_border, to_edge.astype(np.float32))


def _warped(frame: Frame, *, amplitude_m: float, wavelength_m: float, salt: int) -> tuple[Doubles, Doubles]:
    """Map positions (y, x) bent by noise, so that straight lines become natural ones."""
    east, north = frame.centres()
    push = [noise(frame, wavelength_m, salt=salt + 50 + axis).astype(np.float64) for axis in range(2)]
    return east[None, :] + amplitude_m * push[0], north[:, None] + amplitude_m * push[1]


def _cells(x: Doubles, y: Doubles, *, size_m: float, salt: int) -> tuple[Integers, Floats, Doubles, Doubles]:
    """Identifier of the nearest jittered lattice point, distance to its cell's border, way from it (x, y).

    Source: Worley 1996, SIGGRAPH, 291-294.
    """
    column, row = np.floor(x / size_m).astype(np.int64), np.floor(y / size_m).astype(np.int64)
    first = np.full(x.shape, np.inf, dtype=np.float32)
    second, identifier = first.copy(), np.zeros(x.shape, dtype=np.int64)
    from_x, from_y = np.zeros_like(x), np.zeros_like(y)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            i, j = column + right, row + down
            key = hashed(i, j, salt=salt)
            jitter_x = (key & np.uint64(0xFFFF)).astype(np.float64) / 65536.0
            jitter_y = ((key >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.float64) / 65536.0
            away_x, away_y = x / size_m - i - jitter_x, y / size_m - j - jitter_y
            distance = np.hypot(away_x, away_y).astype(np.float32)
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            first = np.where(nearer, distance, first)
            from_x, from_y = np.where(nearer, away_x, from_x), np.where(nearer, away_y, from_y)
            identifier = np.where(nearer, (key >> np.uint64(8)).astype(np.int64), identifier)
    border = np.asarray((second - first) * np.float32(0.5 * size_m))
    return identifier, border, from_x * size_m, from_y * size_m
