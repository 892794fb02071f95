"""The quality rasters of a Landsat scene, bit by bit.

    QA_PIXEL (Collection 2)          BQA (Collection 1)                     QA_RADSAT
    bit 1     dilated cloud          bit 4       cloud                      bits 0 .. 6   B1 .. B7 saturated
    bit 2     cirrus, high           bits 7-8    shadow confidence, 3 high  bit 8         B9 saturated
    bit 3     cloud, high            bits 9-10   snow confidence            bit 11        terrain occlusion
    bit 4     cloud shadow, high     bits 11-12  cirrus confidence
    bit 5     snow, high
    bit 7     water

Source: USGS LSDS-1619 (Collection 2), LSDS-1834 (Collection 1), quality assessment bands.
"""

from dataclasses import dataclass

import numpy as np

from undersky.grid import Grid, Window
from undersky.quality import Quality, QualityBits
from undersky.scene import Bools, Finding, MaskSource, Note
from undersky.sensors.archive import ProductFiles
from undersky.sensors.mtl import Mtl
from undersky.sensors.placement import Declared, place
from undersky.sensors.rasters import GEOTIFF, Array, RasterFile, open_raster, read_nearest

_PIXEL = "FILE_NAME_QUALITY_L1_PIXEL"
_RADSAT = "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION"

_COLLECTION_2 = (
    (0b1, 1, 1, Quality.CLOUD),
    (0b1, 2, 1, Quality.CIRRUS),
    (0b1, 3, 1, Quality.CLOUD),
    (0b1, 4, 1, Quality.CLOUD_SHADOW),
    (0b1, 5, 1, Quality.SNOW),
    (0b1, 7, 1, Quality.WATER),
)
_COLLECTION_1 = (
    (0b1, 4, 1, Quality.CLOUD),
    (0b11, 7, 3, Quality.CLOUD_SHADOW),
    (0b11, 9, 3, Quality.SNOW),
    (0b11, 11, 3, Quality.CIRRUS),
)


@dataclass(frozen=True, slots=True)
class PixelQuality:
    """Cloud, shadow, snow, water and cirrus: a `MaskSource`."""

    raster: RasterFile
    """QA_PIXEL, or BQA of Collection 1."""
    own: Grid
    """Its grid."""
    grid: Grid
    """The scene's grid."""
    meaning: tuple[tuple[int, int, int, Quality], ...]
    """(mask, shift, value, bit): the bit is set where (number >> shift) & mask equals the value."""

    def quality(self, window: Window) -> QualityBits:
        """CLOUD, CLOUD_SHADOW, CIRRUS, SNOW and WATER, uint16 (rows, cols); 0 where it is fill."""
        numbers = _unsigned(read_nearest(self.raster, self.own, at=self.grid, window=window))
        bits = np.zeros(window.shape, dtype=np.uint16)
        for mask, shift, value, bit in self.meaning:
            bits |= np.where((numbers >> shift) & mask == value, np.uint16(bit), np.uint16(0))
        bits[numbers & 1 == 1] = 0
        return bits


@dataclass(frozen=True, slots=True)
class BandSaturation:
    """One band's bit of QA_RADSAT: `PixelFlags`."""

    raster: RasterFile
    """QA_RADSAT."""
    own: Grid
    """Its grid."""
    grid: Grid
    """The band's grid."""
    bit: int
    """Which bit is the band's."""

    def saturated(self, window: Window) -> Bools:
        """True where the band's bit is set."""
        numbers = _unsigned(read_nearest(self.raster, self.own, at=self.grid, window=window))
        return np.asarray((numbers >> self.bit) & 1, dtype=np.bool_)

    def invalid(self, window: Window) -> Bools:
        """Nowhere: Landsat marks nodata in the band itself."""
        return np.zeros(window.shape, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class RadiometricSaturation:
    """QA_RADSAT: the saturation of every reflective band in one raster."""

    raster: RasterFile
    """The file."""
    own: Grid
    """Its grid."""

    def of_band(self, number: int, grid: Grid) -> BandSaturation | None:
        """The saturation of the band of that number on its grid; None for the panchromatic, it has no bit."""
        return None if number == 8 else BandSaturation(self.raster, self.own, grid, number - 1)


def pixel_quality(
    files: ProductFiles, mtl: Mtl, grid: Grid, *, declared: Declared
) -> tuple[MaskSource | None, tuple[Note, ...]]:
    """The product's own mask on the scene's grid; None with a note where it is missing or lies elsewhere.

    Raises:
        DataError: The file is damaged.
    """
    found = _on_scene(files, mtl.values.get(_PIXEL, ""), grid, declared)
    if found is None:
        sentence = (
            f"{files.label} has no usable pixel quality band (QA_PIXEL); our own cloud test stands alone"
        )
        return None, (Note(Finding.AGENCY_CLOUD_MASK_MISSING, sentence),)
    is_new = int(mtl.number("COLLECTION_NUMBER")) >= 2
    return PixelQuality(*found, grid, _COLLECTION_2 if is_new else _COLLECTION_1), ()


def radiometric_saturation(
    files: ProductFiles, mtl: Mtl, grid: Grid, *, declared: Declared
) -> tuple[RadiometricSaturation | None, tuple[Note, ...]]:
    """The product's own saturation, or None with a note where it is missing or lies elsewhere.

    Raises:
        DataError: The file is damaged.
    """
    found = _on_scene(files, mtl.values.get(_RADSAT, ""), grid, declared)
    if found is None:
        sentence = f"{files.label} has no usable saturation band (QA_RADSAT); only the highest number is seen"
        return None, (Note(Finding.SATURATION_MASK_MISSING, sentence),)
    return RadiometricSaturation(*found), ()


def _on_scene(
    files: ProductFiles, name: str, grid: Grid, declared: Declared
) -> tuple[RasterFile, Grid] | None:
    """A quality raster that covers the scene's grid; None where it is missing or shows other ground."""
    if name not in files.names or files.size(name) == 0:
        return None
    raster = open_raster(files, name, driver=GEOTIFF)
    own = place(raster, declared, trust_regridded=True).grid
    mine, scene = own.boundingbox.bbox, grid.boundingbox.bbox
    slack = max(abs(own.affine.a), abs(grid.affine.a))
    covers = mine[0] <= scene[0] + slack and mine[1] <= scene[1] + slack
    covers = covers and mine[2] >= scene[2] - slack and mine[3] >= scene[3] - slack
    return (raster, own) if covers and own.crs == grid.crs else None


def _unsigned(numbers: Array) -> QualityBits:
    """The bits of a raster that some writer stored as signed."""
    return numbers.view(np.uint16) if numbers.dtype == np.int16 else numbers.astype(np.uint16)
