"""A band as its sensor delivered it, turned into top-of-atmosphere reflectance while it is read.

reflectance = (DN * mult + add) / cos(sun zenith)     the cosine only where the agency left it out
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from undersky.grid import Floats, Grid, Window
from undersky.scene import Bools
from undersky.sensors.coarse import field_at
from undersky.sensors.rasters import Array, RasterFile, read_average, read_window


class PixelFlags(Protocol):
    """What the agency's masks say of single pixels of one band, on that band's grid."""

    def saturated(self, window: Window) -> Bools:
        """True where a mask calls the pixel saturated."""

    def invalid(self, window: Window) -> Bools:
        """True where a mask calls the pixel nodata."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """From digital numbers to reflectance."""

    mult: float
    """Reflectance per digital number."""
    add: float
    """Reflectance at digital number zero."""
    nodata: tuple[float, ...] = (0.0,)
    """Digital numbers that carry nothing."""
    saturated: float = 65535.0
    """Digital numbers from here on are saturated."""


@dataclass(frozen=True, slots=True)
class CalibratedBand:
    """One band, read lazily: a `BandSource`."""

    raster: RasterFile
    """The file."""
    grid: Grid
    """Where its pixels lie."""
    calibration: Calibration
    """From digital numbers to reflectance."""
    sun_zenith: Floats | None = None
    """Coarse sun zenith (y, x) whose cosine the agency left out; None where it is in already."""
    flags: PixelFlags | None = None
    """The agency's masks of this band; None where it has none."""

    @property
    def block_rows(self) -> int:
        """Rows the format decodes together."""
        return self.raster.block_rows

    def toa_reflectance(self, window: Window, *, shape: tuple[int, int] | None = None) -> Floats:
        """Top-of-atmosphere reflectance, float32 (rows, cols), NaN at nodata; averaged down to `shape`.

        Raises:
            DataError: The pixels cannot be decoded.
        """
        if shape is None or shape == window.shape:
            numbers = self._numbers(read_window(self.raster, window), window)
        else:
            numbers = read_average(self.raster, window, shape=shape, nodata=self.calibration.nodata)
        return self._calibrated(numbers, window)

    def saturated(self, window: Window) -> Bools:
        """True where the encoding or, by the agency's mask, the detector saturated, (rows, cols).

        Raises:
            DataError: The pixels cannot be decoded.
        """
        return self._any_saturated(read_window(self.raster, window), window)

    def observed(self, window: Window) -> tuple[Floats, Bools]:
        """`toa_reflectance` and `saturated` of a window, its pixels decoded once.

        Raises:
            DataError: The pixels cannot be decoded.
        """
        pixels = read_window(self.raster, window)
        toa = self._calibrated(self._numbers(pixels, window), window)
        return toa, self._any_saturated(pixels, window)

    def _calibrated(self, numbers: Floats, window: Window) -> Floats:
        numbers *= np.float32(self.calibration.mult)
        numbers += np.float32(self.calibration.add)
        if self.sun_zenith is not None:
            zenith = field_at(self.sun_zenith, self.raster.shape, window, numbers.shape)
            numbers /= np.cos(np.radians(zenith))
        return numbers

    def _any_saturated(self, pixels: Array, window: Window) -> Bools:
        result = self._saturated(pixels)
        return result if self.flags is None else result | self.flags.saturated(window)

    def _saturated(self, numbers: Array) -> Bools:
        return np.greater_equal(numbers, self.calibration.saturated) & ~np.isin(
            numbers, self.calibration.nodata
        )

    def _numbers(self, pixels: Array, window: Window) -> Floats:
        numbers = pixels.astype(np.float32)
        for value in self.calibration.nodata:
            numbers[pixels == value] = np.nan
        if self.flags is not None:
            numbers[self.flags.invalid(window)] = np.nan
        return numbers
