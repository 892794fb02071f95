"""The quality masks of a Sentinel-2 granule: vectors (GML) before baseline 04.00, rasters (JP2) since.

Source: Products Specification Document 14.9, section 4.9.10 (rasters), and 13.1, section 4.9.9 (vectors).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.features import rasterize, shapes

from undersky.grid import Grid
from undersky.quality import Quality, QualityBits
from undersky.synth.geometry import Detector, epsg
from undersky.synth.jp2 import write_jp2
from undersky.synth.safe_names import SafeNames

Bytes = npt.NDArray[np.uint8]
Ring = Iterable[tuple[float, ...]]

_EMPTY_KINDS = ("DEFECT", "NODATA", "SATURA", "TECQUA")
_QUALIT_LAYERS = 8


def classes_60m(quality: QualityBits) -> Bytes:
    """Opaque cloud, cirrus, snow as 0 or 1 at a sixth of the resolution, (3, y, x): what most pixels are."""
    rows, cols = quality.shape
    blocks = quality.reshape(rows // 6, 6, cols // 6, 6)
    layers = [
        ((blocks & np.uint16(bit)) != 0).mean(axis=(1, 3)) > 0.5
        for bit in (Quality.CLOUD, Quality.CIRRUS, Quality.SNOW)
    ]
    return np.stack(layers).astype(np.uint8)


def detector_footprint(detectors: tuple[Detector, ...], *, grid: Grid) -> Bytes:
    """The number of the detector that sees each pixel, (y, x); 0 where none does."""
    seen = [
        ({"type": "Polygon", "coordinates": [list(detector.footprint)]}, detector.number)
        for detector in detectors
        if len(detector.footprint) > 3
    ]
    if not seen:
        return np.zeros(grid.shape, dtype=np.uint8)
    return np.asarray(rasterize(seen, out_shape=grid.shape, transform=grid.affine, dtype="uint8"))


def write_raster_masks(
    folder: Path,
    *,
    classes: Bytes,
    grids: Mapping[str, Grid],
    detectors: Mapping[str, tuple[Detector, ...]],
) -> list[tuple[str, str, Path]]:
    """MSK_CLASSI, MSK_DETFOO and MSK_QUALIT (no defects) as JP2; (kind, band or empty, file) of each.

    Args:
        folder: QI_DATA.
        classes: Opaque, cirrus, snow at 60 m, (3, y, x).
        grids: Of every band.
        detectors: Of every band.
    """
    written = []
    for band, grid in grids.items():
        detfoo = folder / f"MSK_DETFOO_{band}.jp2"
        write_jp2(detfoo, detector_footprint(detectors[band], grid=grid), grid=grid)
        qualit = folder / f"MSK_QUALIT_{band}.jp2"
        write_jp2(qualit, np.zeros((_QUALIT_LAYERS, *grid.shape), dtype=np.uint8), grid=grid)
        written += [("DETFOO", band, detfoo), ("QUALIT", band, qualit)]
    classi = folder / "MSK_CLASSI_B00.jp2"
    write_jp2(classi, classes, grid=next(grid for grid in grids.values() if grid.shape == classes.shape[1:]))
    return [*written, ("CLASSI", "", classi)]


def write_vector_masks(
    folder: Path,
    *,
    names: SafeNames,
    classes: Bytes,
    grids: Mapping[str, Grid],
    detectors: Mapping[str, tuple[Detector, ...]],
) -> list[tuple[str, str, Path]]:
    """MSK_CLOUDS, MSK_DETFOO and the masks of defects (empty) as GML; (kind, band or empty, file) of each."""
    written = []
    for band, grid in grids.items():
        for kind in ("DETFOO", *_EMPTY_KINDS):
            features = _footprint_features(band, detectors[band]) if kind == "DETFOO" else []
            path = folder / f"MSK_{kind}_{band}.gml"
            path.write_text(gml(names.mask_id(kind, band), kind, features, grid=grid), encoding="utf-8")
            written.append((kind, band, path))
    grid = next(grid for grid in grids.values() if grid.shape == classes.shape[1:])
    features = [*_cloud_features("OPAQUE", classes[0], grid), *_cloud_features("CIRRUS", classes[1], grid)]
    path = folder / "MSK_CLOUDS_B00.gml"
    path.write_text(gml(names.mask_id("CLOUDS", "B00"), "CLOUDS", features, grid=grid), encoding="utf-8")
    return [*written, ("CLOUDS", "", path)]


def _footprint_features(band: str, detectors: tuple[Detector, ...]) -> list[str]:
    seen = [detector for detector in detectors if len(detector.footprint) > 3]
    return [
        _feature(
            f"detector_footprint-{band}-{detector.number:02d}-{index}",
            "DETECTOR_FOOTPRINT",
            index=index,
            rings=[[(x, y, 0.0) for x, y in detector.footprint]],
        )
        for index, detector in enumerate(seen)
    ]


def _cloud_features(kind: str, mask: Bytes, grid: Grid) -> list[str]:
    found = shapes(mask, mask=mask.astype(bool), transform=grid.affine)
    return [
        _feature(f"{kind}.{index}", kind, index=index, rings=geometry["coordinates"])
        for index, (geometry, _) in enumerate(found)
    ]


def _feature(identity: str, kind: str, *, index: int, rings: Iterable[Ring]) -> str:
    outer, *holes = [_ring(ring) for ring in rings]
    interiors = "".join(f"          <gml:interior>\n{hole}          </gml:interior>\n" for hole in holes)
    return f"""    <eop:MaskFeature gml:id="{identity}">
      <eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{kind}</eop:maskType>
      <eop:extentOf>
        <gml:Polygon gml:id="{kind}.{index}_Polygon">
          <gml:exterior>
{outer}          </gml:exterior>
{interiors}        </gml:Polygon>
      </eop:extentOf>
    </eop:MaskFeature>
"""


def _ring(ring: Ring) -> str:
    points = list(ring)
    positions = " ".join(f"{value:.15g}" for point in points for value in point)
    return (
        "            <gml:LinearRing>\n"
        f'              <gml:posList srsDimension="{len(points[0])}">{positions}</gml:posList>\n'
        "            </gml:LinearRing>\n"
    )


def gml(identity: str, kind: str, features: list[str], *, grid: Grid) -> str:
    """The document of one vector mask; without features it says that nothing was found."""
    box = grid.boundingbox
    if not features:
        return _mask(identity, kind, "  <eop:maskMembers/>\n")
    members = f"""  <gml:boundedBy>
    <gml:Envelope srsName="urn:ogc:def:crs:EPSG:8.7:{epsg(grid)}">
      <gml:lowerCorner>{box.left:.15g} {box.bottom:.15g}</gml:lowerCorner>
      <gml:upperCorner>{box.right:.15g} {box.top:.15g}</gml:upperCorner>
    </gml:Envelope>
  </gml:boundedBy>
  <eop:maskMembers>
{"".join(features)}  </eop:maskMembers>
"""
    return _mask(identity, kind, members)


def _mask(identity: str, kind: str, members: str) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="{identity}">
  <gml:name>MSK_{kind} pixels mask from data-strip {identity}</gml:name>
{members}</eop:Mask>
"""
