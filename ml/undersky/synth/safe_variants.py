"""The other shapes in which Sentinel-2 Level-1C reaches people: zipped, and as the tile folder AWS keeps."""

import json
import shutil
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from undersky.quality import Quality
from undersky.synth.acquisition import Acquisition
from undersky.synth.geometry import epsg
from undersky.synth.safe import safe_names, write_safe
from undersky.synth.safe_names import SafeNames, iso

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_DEFLATED = (".xml", ".safe", ".gml")


def write_zip(acquisition: Acquisition, out: Path, *, baseline: str = "05.11") -> Path:
    """`<product>.zip` below `out` with the SAFE folder inside; arguments and errors as `write_safe`."""
    root = write_safe(acquisition, out, baseline=baseline)
    archive = zip_safe(root, out / f"{root.stem}.zip")
    shutil.rmtree(root)
    return archive


def zip_safe(root: Path, archive: Path) -> Path:
    """The SAFE folder as a zip whose bytes depend on its files alone; images are stored, text is deflated."""
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{root.name}/{path.relative_to(root).as_posix()}", _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            method = zipfile.ZIP_DEFLATED if path.suffix in _DEFLATED else zipfile.ZIP_STORED
            stream.writestr(entry, path.read_bytes(), compress_type=method)
    return archive


def write_tile_folder(acquisition: Acquisition, out: Path, *, baseline: str = "05.11") -> Path:
    """The tile folder `tiles/32/T/QM/2025/6/13/0` below `out`, as in the sentinel-s2-l1c bucket.

    Beside the tile's own files lies the product's `MTD_MSIL1C.xml`, without which offsets are unknown.
    Arguments and errors as `write_safe`.
    """
    names = safe_names(acquisition, baseline=baseline)
    root = write_safe(acquisition, out, baseline=baseline)
    tile = out / tile_path(names)
    shutil.rmtree(tile, ignore_errors=True)
    (tile / "preview").mkdir(parents=True)
    granule = root / "GRANULE" / names.granule
    for image in sorted((granule / "IMG_DATA").glob("*.jp2")):
        shutil.move(image, tile / image.name.removeprefix(f"{names.prefix}_"))
    shutil.move(granule / "MTD_TL.xml", tile / "metadata.xml")
    shutil.move(root / "MTD_MSIL1C.xml", tile / "MTD_MSIL1C.xml")
    shutil.move(granule / "AUX_DATA", tile / "auxiliary")
    shutil.move(granule / "QI_DATA", tile / "qi")
    shutil.move(tile / "qi" / f"{names.prefix}_PVI.jp2", tile / "preview.jp2")
    _write_preview(tile)
    info = tile_info(names, acquisition)
    (tile / "tileInfo.json").write_text(json.dumps(info, indent=2), encoding="utf-8")
    shutil.rmtree(root)
    return tile


def tile_path(names: SafeNames) -> str:
    """`tiles/32/T/QM/2025/6/13/0`."""
    zone, band, square = names.tile[:2], names.tile[2], names.tile[3:]
    day = names.acquired
    return f"tiles/{int(zone)}/{band}/{square}/{day.year}/{day.month}/{day.day}/0"


def tile_info(names: SafeNames, acquisition: Acquisition) -> Mapping[str, object]:
    """tileInfo.json; the geometry of the data is that of the whole footprint."""
    grid = acquisition.grid
    nodata = (acquisition.quality & np.uint16(Quality.NODATA)) != 0
    box = grid.boundingbox
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG:8.8.1:{epsg(grid)}"}}
    corners = [(box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)]
    ring = [[list(corner) for corner in [*corners, corners[0]]]]
    day = names.datatake_start
    product = f"products/{day.year}/{day.month}/{day.day}/{names.product}"
    return {
        "path": tile_path(names),
        "timestamp": iso(names.acquired),
        "utmZone": int(names.tile[:2]),
        "latitudeBand": names.tile[2],
        "gridSquare": names.tile[3:],
        "datastrip": {"id": names.datastrip_id, "path": f"{product}/datastrip/0"},
        "tileGeometry": {"type": "Polygon", "crs": crs, "coordinates": ring},
        "tileDataGeometry": {"type": "Polygon", "crs": crs, "coordinates": ring},
        "tileOrigin": {"type": "Point", "crs": crs, "coordinates": [box.left, box.top]},
        "dataCoveragePercentage": round(100.0 - 100.0 * float(nodata.mean()), 2),
        "cloudyPixelPercentage": round(float(acquisition.cloud_percent), 2),
        "productName": names.product,
        "productPath": product,
    }


def _write_preview(tile: Path) -> None:
    with rasterio.open(tile / "TCI.jp2") as picture:
        rows, cols = max(1, picture.height // 3), max(1, picture.width // 3)
        colours: npt.NDArray[np.uint8] = picture.read(out_shape=(3, rows, cols))
    options = {"driver": "JPEG", "count": 3, "height": rows, "width": cols, "dtype": "uint8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tile / "preview.jpg", "w", **options) as preview:
            preview.write(colours)
