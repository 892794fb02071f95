"""Smooth random fields that are functions of map position, not of a pixel grid.

A field is a sum of lattice noises. The value at a lattice node is a hash of its integer position, so any
two grids over the same ground see the same field, however large their pixels: the same hill stands in a
Sentinel-2 and in a Landsat acquisition.

Source: lattice value noise and fractional Brownian motion as in Ebert et al., Texturing and Modeling, 2003.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from undersky.grid import Floats, Grid, resolution_m

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

# The finaliser of splitmix64 (Steele et al. 2014, OOPSLA): a bijection of 64-bit integers that scatters well.
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP_X, _STEP_Y = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True, slots=True)
class Frame:
    """A north-up pixel grid on a map plane."""

    rows: int
    """Pixels from north to south."""
    cols: int
    """Pixels from west to east."""
    pixel_m: float
    """Pixel size, metres."""
    left_m: float = 0.0
    """Easting of the western edge."""
    top_m: float = 0.0
    """Northing of the northern edge."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1 or self.pixel_m <= 0:
            raise ValueError(f"not a frame: {self}")

    @classmethod
    def of(cls, grid: Grid) -> "Frame":
        """The frame of a north-up raster grid."""
        rows, cols = grid.shape
        return cls(rows, cols, resolution_m(grid), float(grid.affine.c), float(grid.affine.f))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.rows, self.cols

    def moved(self, east_m: float, north_m: float) -> "Frame":
        """The frame of the same size that lies this far away."""
        return Frame(self.rows, self.cols, self.pixel_m, self.left_m + east_m, self.top_m + north_m)

    def centres(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Eastings (cols,) and northings (rows,) of the pixel centres."""
        east = self.left_m + (np.arange(self.cols, dtype=np.float64) + 0.5) * self.pixel_m
        north = self.top_m - (np.arange(self.rows, dtype=np.float64) + 0.5) * self.pixel_m
        return np.asarray(east, np.float64), np.asarray(north, np.float64)


def hashed(x: Integers, y: Integers, *, salt: int) -> Hashes:
    """A well scattered 64-bit number for every pair of integers; the arguments broadcast."""
    key = x.astype(np.uint64) * _STEP_X + y.astype(np.uint64) * _STEP_Y + np.uint64(salt % (1 << 63))
    key = (key ^ (key >> np.uint64(30))) * _MIX_1
    key = (key ^ (key >> np.uint64(27))) * _MIX_2
    return np.asarray(key ^ (key >> np.uint64(31)))


def uniform(x: Integers, y: Integers, *, salt: int) -> Floats:
    """Uniform numbers in [0, 1) for every pair of integers, float32."""
    return np.asarray((hashed(x, y, salt=salt) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24))


def noise(frame: Frame, wavelength_m: float, *, salt: int, stretch: float = 1.0) -> Floats:
    """Smooth noise of about zero mean and unit variance with one characteristic wavelength, (rows, cols).

    Args:
        frame: Where.
        wavelength_m: Distance of two lattice nodes, north to south.
        salt: Chooses the realisation.
        stretch: East-west distance of two nodes, as a multiple of `wavelength_m`.
    """
    east, north = frame.centres()
    cols, first_col = _spline_weights(east / (wavelength_m * stretch))
    rows, first_row = _spline_weights(-north / wavelength_m)
    lattice = uniform(
        first_col + np.arange(cols.shape[1])[None, :],
        first_row + np.arange(rows.shape[1])[:, None],
        salt=salt,
    )
    # A cubic B-spline of unit-variance nodes has variance (151/315)**2 averaged over positions.
    centred = (lattice - 0.5) * np.float32(np.sqrt(12.0) * 315.0 / 151.0)
    return np.asarray((cols @ (rows @ centred).T).T, dtype=np.float32)


def _spline_weights(position: npt.NDArray[np.float64]) -> tuple[csr_array, int]:
    """Uniform cubic B-spline weights (pixel, node) over the nodes from the returned first one."""
    base = np.floor(position).astype(np.int64)
    t = (position - base).astype(np.float32)
    first = int(base.min()) - 1
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    nodes = base[:, None] - first - 1 + np.arange(4)
    pointers = np.arange(0, nodes.size + 1, 4)
    shape = len(position), int(base.max()) - first + 3
    return csr_array(((np.stack(parts, axis=1) / 6.0).ravel(), nodes.ravel(), pointers), shape=shape), first


def fractal(
    frame: Frame, wavelength_m: float, *, salt: int, persistence: float = 0.5, stretch: float = 1.0
) -> Floats:
    """Noise summed over octaves from `wavelength_m` down to two pixels, about unit variance, (rows, cols).

    What is finer than two pixels averages out inside a pixel and is left out; it counts in the variance, so
    that a larger pixel sees less contrast, as a sensor does.

    Args:
        frame: Where.
        wavelength_m: Of the first octave.
        salt: Chooses the realisation.
        persistence: Amplitude of an octave relative to the one before.
        stretch: East-west elongation.
    """
    total = np.zeros(frame.shape, dtype=np.float32)
    amplitude, wavelength, octave = 1.0, wavelength_m, 0
    while wavelength >= 2.0 * frame.pixel_m and octave < 9:
        total += np.float32(amplitude) * noise(frame, wavelength, salt=salt + 7919 * octave, stretch=stretch)
        amplitude, wavelength, octave = amplitude * persistence, wavelength / 2.0, octave + 1
    return total * np.float32(np.sqrt(1.0 - persistence**2))


def area_mean(field: Floats, factor: int) -> Floats:
    """Mean over blocks of factor x factor pixels of the last two axes, which must be multiples of it."""
    rows, cols = field.shape[-2:]
    if rows % factor or cols % factor:
        raise ValueError(f"{rows} x {cols} pixels do not divide into blocks of {factor}")
    blocks = field.reshape(*field.shape[:-2], rows // factor, factor, cols // factor, factor)
    return np.asarray(blocks.mean(axis=(-3, -1), dtype=np.float32), dtype=np.float32)
