"""Products spoilt on purpose, and how they are refused: for the tests of archives, metadata, rasters."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio

from undersky.errors import DataError, Reason
from undersky.sensors import open_scene, verify_pixels

Make = Callable[..., Path]
GRANULE = "GRANULE/L1C_T55JEJ_A033470_20230804T002101"


def refused(path: Path) -> Reason:
    """Why opening and a look at the pixels refuse the product, within two seconds."""
    start = time.process_time()
    with pytest.raises(DataError) as caught:
        verify_pixels(open_scene(path))
    assert time.process_time() - start < 2.0
    assert len(str(caught.value)) > 40
    return caught.value.reason


def image(root: Path, band: str) -> Path:
    return next(iter([*root.glob(f"{GRANULE}/IMG_DATA/*_{band}.jp2"), *root.glob(f"*_{band}.TIF")]))


def rewrite(path: Path, **changes: object) -> None:
    with rasterio.open(path) as dataset:
        pixels, profile = dataset.read(), dataset.profile
    lossless = {"quality": 100, "reversible": "YES"} if path.suffix == ".jp2" else {}
    path.unlink()
    with rasterio.open(path, "w", **(profile | lossless | changes)) as dataset:
        dataset.write(pixels)
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


def zipped(root: Path, *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    archive = root.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", method) as out:
        for path in sorted(root.rglob("*")):
            out.write(path, f"{root.name}/{path.relative_to(root)}")
    return archive
