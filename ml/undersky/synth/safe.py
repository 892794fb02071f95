"""A simulated Sentinel-2 acquisition as ESA delivers it: SAFE folder, its zip, or the tile folder AWS keeps.

    Acquisition --> write_safe --> S2A_MSIL1C_..._T32TQM_....SAFE/
                                   ├── MTD_MSIL1C.xml  manifest.safe  INSPIRE.xml
                                   ├── DATASTRIP/DS_.../MTD_DS.xml
                                   └── GRANULE/L1C_.../  MTD_TL.xml  IMG_DATA/  QI_DATA/  AUX_DATA/

The images are the tile's upper-left corner where the acquisition is smaller than a tile; sizes in the
metadata are the images' own. Equal acquisitions give equal bytes.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats
from undersky.quality import Quality
from undersky.synth.acquisition import Acquisition
from undersky.synth.jp2 import write_jp2
from undersky.synth.safe_masks import classes_60m, write_raster_masks, write_vector_masks
from undersky.synth.safe_names import SafeNames
from undersky.synth.safe_priors import cams_grib, ecmwf_grib
from undersky.synth.safe_tile_xml import tile_xml
from undersky.synth.safe_xml import (
    OFFSET,
    QUANTIFICATION,
    Document,
    datastrip_xml,
    inspire_xml,
    manifest_xml,
    product_xml,
)
from undersky.synth.tile_angles import tile_angles

DigitalNumbers = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]

_LARGEST = 32767  # Level-1C images carry 15 bits
_TCI_WHITE = 3558  # digital number shown as 255; PSD 14.9, true colour image
_PREVIEW_M = 320


def write_safe(acquisition: Acquisition, out: Path, *, baseline: str = "05.11") -> Path:
    """The SAFE folder below `out`; one of the same name is replaced.

    Args:
        acquisition: Of a Sentinel-2.
        out: An existing folder.
        baseline: Processing baseline. From 04.00 on with radiometric offsets, raster masks and a CAMS
            forecast; before without.

    Raises:
        ConfigError: No Sentinel-2, or one that never flew under that baseline or at that date.
    """
    names = safe_names(acquisition, baseline=baseline)
    root = out / f"{names.product}.SAFE"
    shutil.rmtree(root, ignore_errors=True)
    tree = _Tree(root, names)
    for folder in (tree.images, tree.quality, tree.auxiliary, tree.datastrip):
        folder.mkdir(parents=True)
    images = _write_images(acquisition, tree)
    masks = _write_masks(acquisition, tree)
    document = _document(acquisition, tree, images=images, masks=masks)
    _write_text(root / "MTD_MSIL1C.xml", product_xml(document))
    _write_text(tree.granule / "MTD_TL.xml", tile_xml(document))
    _write_text(tree.datastrip / "MTD_DS.xml", datastrip_xml(names))
    _write_text(root / "INSPIRE.xml", inspire_xml(names))
    (tree.auxiliary / "AUX_ECMWFT").write_bytes(ecmwf_grib(acquisition.prior, names, grid=acquisition.grid))
    if names.has_cams:
        (tree.auxiliary / "AUX_CAMSFO").write_bytes(
            cams_grib(acquisition.prior, names, grid=acquisition.grid)
        )
    _write_text(root / "manifest.safe", manifest_xml(names, files=list_files(root, names)))
    return root


def safe_names(acquisition: Acquisition, *, baseline: str) -> SafeNames:
    """The names of the product that `write_safe` would write."""
    return SafeNames(acquisition.sensor.key, acquisition.tile, acquisition.acquired, baseline)


def digital_numbers(toa: Floats, *, offset: int) -> DigitalNumbers:
    """Reflectance as uint16: 0 where it is NaN, else at least 1 and at most what 15 bits hold."""
    scaled = np.clip(np.rint(toa * np.float32(QUANTIFICATION)) - offset, 1, _LARGEST)
    return np.where(np.isnan(toa), 0, scaled).astype(np.uint16)


def list_files(root: Path, names: SafeNames) -> list[tuple[str, int, str]]:
    """(path from the root, size, checksum) of every file, as the manifest of that baseline lists them."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != "manifest.safe")
    return [
        (path.relative_to(root).as_posix(), path.stat().st_size, _checksum(path, names)) for path in files
    ]


def _checksum(path: Path, names: SafeNames) -> str:
    if names.has_offsets:
        return hashlib.sha3_256(path.read_bytes()).hexdigest()
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class _Tree:
    """Where things lie in the product."""

    root: Path
    """The .SAFE folder."""
    names: SafeNames
    """Identity."""

    @property
    def granule(self) -> Path:
        return self.root / "GRANULE" / self.names.granule

    @property
    def images(self) -> Path:
        return self.granule / "IMG_DATA"

    @property
    def quality(self) -> Path:
        return self.granule / "QI_DATA"

    @property
    def auxiliary(self) -> Path:
        return self.granule / "AUX_DATA"

    @property
    def datastrip(self) -> Path:
        return self.root / "DATASTRIP" / self.names.datastrip

    def inside(self, path: Path) -> str:
        """The path as the metadata spells it."""
        return path.relative_to(self.root).as_posix()


def _write_images(acquisition: Acquisition, tree: _Tree) -> tuple[str, ...]:
    offset = OFFSET if tree.names.has_offsets else 0
    written = []
    for band in acquisition.sensor.bands:
        path = tree.images / f"{tree.names.prefix}_{band.name}.jp2"
        write_jp2(
            path,
            digital_numbers(acquisition.toa[band.name], offset=offset),
            grid=acquisition.grids[band.name],
        )
        written.append(path)
    colours = true_colour([acquisition.toa[name] for name in ("B04", "B03", "B02")])
    path = tree.images / f"{tree.names.prefix}_TCI.jp2"
    write_jp2(path, colours, grid=acquisition.grids["B02"])
    step = max(1, _PREVIEW_M // 10)
    preview = np.ascontiguousarray(colours[:, step // 2 :: step, step // 2 :: step])
    write_jp2(tree.quality / f"{tree.names.prefix}_PVI.jp2", preview, grid=None)
    return tuple(tree.inside(path).removesuffix(".jp2") for path in [*written, path])


def true_colour(toa: list[Floats]) -> Bytes:
    """Red, green, blue as ESA's true colour image shows them: 1 to 255, 0 where nothing was measured."""
    scaled = np.clip(np.stack(toa) * np.float32(QUANTIFICATION / _TCI_WHITE * 255.0), 1, 255)
    return np.where(np.isnan(scaled), 0, np.rint(scaled)).astype(np.uint8)


def _write_masks(acquisition: Acquisition, tree: _Tree) -> tuple[tuple[str, str, str], ...]:
    classes = classes_60m(acquisition.quality)
    if tree.names.has_offsets:
        written = write_raster_masks(
            tree.quality,
            classes=classes,
            grids=acquisition.grids,
            detectors=acquisition.detectors,
        )
    else:
        written = write_vector_masks(
            tree.quality,
            names=tree.names,
            classes=classes,
            grids=acquisition.grids,
            detectors=acquisition.detectors,
        )
    return tuple((kind, band, tree.inside(path)) for kind, band, path in written)


def _document(
    acquisition: Acquisition, tree: _Tree, *, images: tuple[str, ...], masks: tuple[tuple[str, str, str], ...]
) -> Document:
    by_size = sorted(acquisition.sensor.bands, key=lambda band: band.resolution_m)
    valid = (acquisition.quality & np.uint16(Quality.NODATA)) == 0
    snow = (acquisition.quality & np.uint16(Quality.SNOW)) != 0
    return Document(
        names=tree.names,
        sensor=acquisition.sensor,
        grids={band.resolution_m: acquisition.grids[band.name] for band in by_size},
        angles=tile_angles(acquisition.angles, acquisition.detectors, grid=acquisition.grid),
        cloud_percent=round(float(acquisition.cloud_percent), 4),
        snow_percent=round(100.0 * float(snow[valid].mean()), 4) if bool(valid.any()) else 0.0,
        images=images,
        masks=masks,
    )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
