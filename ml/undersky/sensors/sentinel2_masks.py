"""The masks of a Sentinel-2 product: polygons (GML) up to baseline 03.01, rasters (JPEG 2000) from 04.00.

    what                     until 03.01                from 04.00
    opaque cloud, cirrus     MSK_CLOUDS_B00.gml         MSK_CLASSI_B00.jp2: opaque, cirrus, snow; 60 m
    saturation               MSK_SATURA_Bxx.gml         MSK_QUALIT_Bxx.jp2, layer 8
    nodata                   MSK_NODATA_Bxx.gml         MSK_QUALIT_Bxx.jp2, layer 6
    detector footprints      MSK_DETFOO_Bxx.gml         MSK_DETFOO_Bxx.jp2, value = detector

Source: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD) 14.9, L1C quality indicators.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from undersky.grid import Grid, Window
from undersky.quality import Quality, QualityBits
from undersky.scene import Bools, Finding, MaskSource, Note
from undersky.sensors.archive import ProductFiles
from undersky.sensors.calibrated import PixelFlags
from undersky.sensors.flat_tiles import FlatTiles
from undersky.sensors.gml import GmlMask, Polygon, draw, read_gml
from undersky.sensors.placement import Declared, place
from undersky.sensors.rasters import JPEG_2000, open_raster

_MASK = re.compile(
    r"(?:^|[/_])(CLOUDS|CLASSI|SATURA|NODATA|QUALIT|DETFOO)_(?:.*_)?(B\d[\dA])(?:_MSIL1C)?\.(gml|jp2)$"
)
_CLASSI_LAYERS = ((1, Quality.CLOUD), (2, Quality.CIRRUS), (3, Quality.SNOW))
_QUALIT_NODATA, _QUALIT_SATURATED = 6, 8
_CLOUD_KINDS = {"OPAQUE": int(Quality.CLOUD), "CIRRUS": int(Quality.CIRRUS)}

MaskNames = Mapping[tuple[str, str], str]


def mask_names(files: ProductFiles, *, inside: str) -> MaskNames:
    """The mask files below a folder, by type and band: ("DETFOO", "B02") -> name."""
    matches = [
        (match, name) for name in files.names if name.startswith(inside) and (match := _MASK.search(name))
    ]
    return {(match[1], match[2]): name for match, name in matches if files.size(name) > 0}


@dataclass(frozen=True, slots=True)
class PolygonClouds:
    """Clouds drawn from polygons: a `MaskSource`."""

    polygons: tuple[tuple[Polygon, int], ...]
    """Each with its quality bit."""
    grid: Grid
    """The scene's grid."""

    def quality(self, window: Window) -> QualityBits:
        """CLOUD and CIRRUS, uint16 (rows, cols)."""
        bits = np.zeros(window.shape, dtype=np.uint16)
        for value in {value for _, value in self.polygons}:
            chosen = [pair for pair in self.polygons if pair[1] == value]
            bits |= draw(chosen, self.grid, window)
        return bits


@dataclass(frozen=True, slots=True)
class RasterClasses:
    """Clouds, cirrus and snow from MSK_CLASSI: a `MaskSource`."""

    mask: FlatTiles
    """The raster."""
    own: Grid
    """Its grid."""
    grid: Grid
    """The scene's grid."""

    def quality(self, window: Window) -> QualityBits:
        """CLOUD, CIRRUS and SNOW, uint16 (rows, cols)."""
        bits = np.zeros(window.shape, dtype=np.uint16)
        for layer, bit in _CLASSI_LAYERS[: self.mask.raster.bands]:
            pixels = self.mask.read_nearest(self.own, at=self.grid, window=window, band=layer)
            bits |= np.where(np.greater(pixels, 0), np.uint16(bit), np.uint16(0))
        return bits


@dataclass(frozen=True, slots=True)
class PolygonFlags:
    """Saturation and nodata of one band drawn from polygons: `PixelFlags`."""

    saturation: tuple[Polygon, ...]
    """What the detector saw saturated."""
    nodata: tuple[Polygon, ...]
    """What was never acquired."""
    grid: Grid
    """The band's grid."""

    def saturated(self, window: Window) -> Bools:
        """True inside a saturation polygon."""
        return np.greater(draw([(polygon, 1) for polygon in self.saturation], self.grid, window), 0)

    def invalid(self, window: Window) -> Bools:
        """True inside a nodata polygon."""
        return np.greater(draw([(polygon, 1) for polygon in self.nodata], self.grid, window), 0)


@dataclass(frozen=True, slots=True)
class RasterFlags:
    """Saturation and nodata of one band from MSK_QUALIT: `PixelFlags`."""

    mask: FlatTiles
    """The raster."""
    own: Grid
    """Its grid."""
    grid: Grid
    """The band's grid."""

    def saturated(self, window: Window) -> Bools:
        """True where layer 8 is set."""
        return self._layer(window, _QUALIT_SATURATED)

    def invalid(self, window: Window) -> Bools:
        """True where layer 6 is set."""
        return self._layer(window, _QUALIT_NODATA)

    def _layer(self, window: Window, layer: int) -> Bools:
        if layer > self.mask.raster.bands:
            return np.zeros(window.shape, dtype=np.bool_)
        return np.greater(self.mask.read_nearest(self.own, at=self.grid, window=window, band=layer), 0)


def cloud_mask(
    files: ProductFiles, names: MaskNames, grid: Grid, declared: Mapping[int, Declared]
) -> tuple[MaskSource | None, tuple[Note, ...]]:
    """The product's own cloud mask on the scene's grid, or None with a note.

    Raises:
        DataError: The mask is damaged or lies elsewhere.
    """
    if ("CLASSI", "B00") in names:
        raster = open_raster(files, names["CLASSI", "B00"], driver=JPEG_2000)
        own = place(raster, declared[60]).grid
        return RasterClasses(FlatTiles.of(files, names["CLASSI", "B00"], raster), own, grid), ()
    if ("CLOUDS", "B00") in names:
        mask = read_gml(files, names["CLOUDS", "B00"])
        pairs = tuple(
            (shape, _CLOUD_KINDS[shape.kind]) for shape in mask.polygons if shape.kind in _CLOUD_KINDS
        )
        return PolygonClouds(pairs, grid), _broken(
            mask, names["CLOUDS", "B00"], Finding.AGENCY_CLOUD_MASK_MISSING
        )
    sentence = f"{files.label} has no cloud mask (MSK_CLASSI or MSK_CLOUDS); our own cloud test stands alone"
    return None, (Note(Finding.AGENCY_CLOUD_MASK_MISSING, sentence),)


def pixel_flags(
    files: ProductFiles, names: MaskNames, band: str, grid: Grid, declared: Declared
) -> tuple[PixelFlags | None, tuple[Note, ...]]:
    """The saturation and nodata masks of one band, or None.

    Raises:
        DataError: A mask is damaged or lies elsewhere.
    """
    if ("QUALIT", band) in names:
        raster = open_raster(files, names["QUALIT", band], driver=JPEG_2000)
        return RasterFlags(
            FlatTiles.of(files, names["QUALIT", band], raster), place(raster, declared).grid, grid
        ), ()
    masks = {
        kind: read_gml(files, names[kind, band]) for kind in ("SATURA", "NODATA") if (kind, band) in names
    }
    if "SATURA" not in masks:
        return None, ()
    nodata = tuple(p for p in masks["NODATA"].polygons if "NODATA" in p.kind) if "NODATA" in masks else ()
    notes = _broken(masks["SATURA"], names["SATURA", band], Finding.SATURATION_MASK_MISSING)
    if not masks["SATURA"].polygons and not nodata:
        return _Nothing(), notes
    return PolygonFlags(masks["SATURA"].polygons, nodata, grid), notes


@dataclass(frozen=True, slots=True)
class _Nothing:
    """Masks that exist and are empty, as most are."""

    def saturated(self, window: Window) -> Bools:
        return np.zeros(window.shape, dtype=np.bool_)

    def invalid(self, window: Window) -> Bools:
        return np.zeros(window.shape, dtype=np.bool_)


def _broken(mask: GmlMask, name: str, finding: Finding) -> tuple[Note, ...]:
    if not mask.broken:
        return ()
    return (Note(finding, f"{mask.broken} of the polygons in {name} are malformed and left out"),)
