"""From a path to a `Scene`: which kind of product is this, and who reads it."""

from pathlib import Path

from undersky.errors import DataError, Reason
from undersky.scene import Scene
from undersky.sensors.archive import ProductFiles, open_files
from undersky.sensors.landsat import read_scene as read_landsat
from undersky.sensors.landsat import recognises as is_landsat
from undersky.sensors.sentinel2 import read_detectors
from undersky.sensors.sentinel2 import read_scene as read_sentinel2
from undersky.sensors.sentinel2 import recognises as is_sentinel2
from undersky.sensors.sentinel2_detectors import Detectors


def open_scene(path: Path) -> Scene:
    """The product at `path` as a scene: metadata and raster headers are read, no pixel is decoded.

    Args:
        path: A Sentinel-2 L1C SAFE folder, its zip, or a tile folder as AWS keeps it (`metadata.xml`,
            `B01.jp2`; the product's `MTD_MSIL1C.xml` may lie beside it); a Landsat 8/9 Level-1 folder
            or tar. Any file directly inside such a folder names the folder.

    Returns:
        The scene. `bands` lacks what the product lacks (with a note each): metadata alone opens too,
        with a grid made from it.

    Raises:
        DataError: The product cannot be used; `reason` says why.
    """
    files = open_files(path)
    if is_sentinel2(files):
        return read_sentinel2(files)
    if is_landsat(files):
        return read_landsat(files)
    raise _unknown(files)


def open_detectors(path: Path) -> Detectors:
    """View angles and footprints of a Sentinel-2 product, band by band and detector by detector.

    Raises:
        DataError: Not a Sentinel-2 L1C product, or its metadata cannot be read.
    """
    files = open_files(path)
    if not is_sentinel2(files):
        raise _unknown(files)
    return read_detectors(files)


def require_bands(scene: Scene) -> None:
    """The scene has every band whose surface reflectance a product carries.

    Raises:
        DataError: `band_missing`, naming them.
    """
    missing = [band.name for band in scene.sensor.corrected_bands if band.name not in scene.bands]
    if missing:
        raise DataError(
            Reason.BAND_MISSING,
            f"{scene.id} has no {' '.join(missing)}; a {scene.sensor.key} product needs all of "
            f"{' '.join(band.name for band in scene.sensor.corrected_bands)}: deliver it again, complete",
        )


def _unknown(files: ProductFiles) -> DataError:
    found = ", ".join(sorted(files.names)[:5]) or "nothing"
    return DataError(
        Reason.UNKNOWN_PRODUCT,
        f"{files.label} is no product Undersky reads: it holds {found}; expected a Sentinel-2 L1C SAFE "
        "(MTD_MSIL1C.xml), a tile folder (metadata.xml) or a Landsat 8/9 Level-1 folder (*_MTL.txt)",
    )
