"""The agencies' own surface reflectance: Landsat L2SP (LaSRC) and Sentinel-2 L2A (Sen2Cor), as company.

Neither is truth. Scale and offset come from the product's metadata, never from its date.

Sources: LSDS-1619 (Landsat 8-9 Collection 2 Level 2 product guide); Sentinel-2 Products Specification
Document, section Level-2A (BOA_QUANTIFICATION_VALUE, BOA_ADD_OFFSET, SCL classes).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from undersky.errors import DataError, Reason
from undersky.grid import Floats
from undersky.scene import Bools
from undersky.sensors.archive import ProductFiles, open_files
from undersky.sensors.mtl import Mtl, mtl_names, read_mtl
from undersky.sensors.safe_xml import find_all, number, read_xml, required_text, text

_FILL = 0
_S2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
_S2_FILE = re.compile(r"(?:^|_)(B\d\d|B8A|SCL)(?:_(10|20|60)m)?\.(?:jp2|tiff?)$", re.IGNORECASE)
_COARSE_NATIVE = {"B01": 60, "B09": 60} | dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12", "SCL"), 20)
_FIRST_BASELINE_WITH_OFFSET = (4, 0)

# QA_PIXEL: fill, dilated cloud, cirrus, cloud, cloud shadow
_QA_UNCLEAR = 0b11111
# no data, saturated, shadows, cloud medium and high, cirrus
_SCL_UNCLEAR = (0, 1, 3, 8, 9, 10)


@dataclass(frozen=True, slots=True)
class AgencyBand:
    """One band's file and what its numbers mean."""

    path: str
    """What rasterio opens."""
    scale: float
    """Reflectance per digital number."""
    offset: float
    """Reflectance of digital number zero, were it not fill."""

    def reflectance(self, stored: npt.NDArray[np.integer]) -> Floats:
        """Surface reflectance, NaN where the number is fill."""
        values = stored.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
        return np.asarray(np.where(stored == _FILL, np.float32(np.nan), values), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class AgencyMask:
    """The agency's classes, and which of them are clear ground."""

    path: str
    """What rasterio opens."""
    kind: Literal["qa_pixel", "scl"]
    """How its numbers are read."""

    def is_clear(self, stored: npt.NDArray[np.integer]) -> Bools:
        """True where neither fill, cloud, shadow nor cirrus was seen."""
        if self.kind == "qa_pixel":
            return np.asarray((stored.astype(np.int64) & _QA_UNCLEAR) == 0)
        return np.asarray(~np.isin(stored, _SCL_UNCLEAR))


@dataclass(frozen=True, slots=True)
class AgencyProduct:
    """One surface-reflectance product of an agency."""

    id: str
    """The agency's product identifier, or the folder's name."""
    processor: str
    """`LaSRC` or `Sen2Cor`."""
    bands: Mapping[str, AgencyBand]
    """By our band names: `B2`, `B8A`."""
    mask: AgencyMask | None
    """Its classes; None when the product carries none."""


def open_agency(path: Path) -> AgencyProduct:
    """The agency product at a path; metadata is read, no pixel.

    Args:
        path: A Landsat Collection 2 L2SP folder or tar, a Sentinel-2 L2A SAFE folder or zip, or a folder of
            L2A rasters (`B02.tif`, `SCL.tif`) beside their `MTD_MSIL2A.xml`.

    Raises:
        DataError: `unknown_product`, `band_missing`, `offset_unknown`, or what its metadata is refused for.
    """
    files = open_files(path)
    mtl = _l2_mtl(files)
    if mtl is not None:
        return _landsat(files, mtl)
    rasters = dict(_s2_rasters(files))
    if rasters:
        return _sentinel2(files, rasters)
    found = ", ".join(sorted(files.names)[:5]) or "nothing"
    raise DataError(
        Reason.UNKNOWN_PRODUCT,
        f"{files.label} is no surface-reflectance product of an agency: it holds {found}; expected a Landsat "
        "L2SP (*_L2SP_*_MTL.txt, *_SR_B2.TIF) or a Sentinel-2 L2A (MTD_MSIL2A.xml, *_B02_10m.jp2)",
    )


def _l2_mtl(files: ProductFiles) -> Mtl | None:
    """The Level-2 metadata among the folder's; an L1TP may lie beside it."""
    metadata = (read_mtl(files, name) for name in mtl_names(files))
    return next((mtl for mtl in metadata if mtl.values.get("PROCESSING_LEVEL", "").startswith("L2")), None)


def _landsat(files: ProductFiles, mtl: Mtl) -> AgencyProduct:
    bands = {}
    for index in range(1, 8):
        name = mtl.values.get(f"FILE_NAME_BAND_{index}", "")
        if name in files.names:
            scale, offset = (mtl.number(f"REFLECTANCE_{what}_BAND_{index}") for what in ("MULT", "ADD"))
            bands[f"B{index}"] = AgencyBand(files.gdal_path(name), scale, offset)
    quality = mtl.values.get("FILE_NAME_QUALITY_L1_PIXEL", "")
    mask = AgencyMask(files.gdal_path(quality), "qa_pixel") if quality in files.names else None
    return _with_bands(AgencyProduct(mtl.text("LANDSAT_PRODUCT_ID"), "LaSRC", bands, mask))


def _sentinel2(files: ProductFiles, rasters: Mapping[str, str]) -> AgencyProduct:
    offsets, quantification = _s2_scaling(files)
    bands = {
        name: AgencyBand(files.gdal_path(file), 1.0 / quantification, offsets[name] / quantification)
        for name, file in rasters.items()
        if name != "SCL"
    }
    mask = AgencyMask(files.gdal_path(rasters["SCL"]), "scl") if "SCL" in rasters else None
    return _with_bands(AgencyProduct(files.label.removesuffix(".SAFE"), "Sen2Cor", bands, mask))


def _with_bands(product: AgencyProduct) -> AgencyProduct:
    if not product.bands:
        raise DataError(
            Reason.BAND_MISSING,
            f"{product.id} has metadata but none of its surface-reflectance bands; download it complete",
        )
    return product


def _s2_rasters(files: ProductFiles) -> Iterator[tuple[str, str]]:
    """Band name (or SCL) to file: the native resolution, else the coarsest there is."""
    found: dict[str, dict[int, str]] = {}
    for name in files.names:
        match = _S2_FILE.search(name)
        if match and "QI_DATA" not in name:
            found.setdefault(match[1].upper(), {})[int(match[2] or 0)] = name
    for band, by_resolution in sorted(found.items()):
        native = _COARSE_NATIVE.get(band, 10)
        yield band, by_resolution.get(native) or by_resolution[max(by_resolution)]


def _s2_scaling(files: ProductFiles) -> tuple[dict[str, float], float]:
    """Digital-number offset of every band, and the quantification value.

    Raises:
        DataError: `offset_unknown`: no metadata, or none of the offsets that its baseline must have.
    """
    name = next((n for n in sorted(files.names) if n.rpartition("/")[2] == "MTD_MSIL2A.xml"), None)
    if name is None:
        raise DataError(
            Reason.OFFSET_UNKNOWN,
            f"{files.label} has no MTD_MSIL2A.xml, so nobody can say whether its numbers carry the offset of "
            "-1000 that came with baseline 04.00; put the product's MTD_MSIL2A.xml beside its rasters",
        )
    root = read_xml(files, name)
    quantification = number(
        required_text(root, "BOA_QUANTIFICATION_VALUE", name), "BOA_QUANTIFICATION_VALUE", name
    )
    offsets = {
        _S2_BANDS[int(element.get("band_id", "-1"))]: number(element.text, "BOA_ADD_OFFSET", name)
        for element in find_all(root, "BOA_ADD_OFFSET")
        if element.get("band_id", "") in map(str, range(len(_S2_BANDS)))
    }
    baseline = text(root, "PROCESSING_BASELINE") or "99.99"
    late = tuple(int(part) for part in baseline.split(".") if part.isdigit()) >= _FIRST_BASELINE_WITH_OFFSET
    if len(offsets) < len(_S2_BANDS) and late:
        raise DataError(
            Reason.OFFSET_UNKNOWN,
            f"{name} is of baseline {baseline} but gives BOA_ADD_OFFSET for {len(offsets)} of 13 bands; "
            "from 04.00 on all have one: fetch the metadata again",
        )
    return dict.fromkeys(_S2_BANDS, 0.0) | offsets, quantification
