"""Facts of one file of a product: is it the one the Item describes, and stored as its layer is stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from undersky.raster.cog import BLOCK
from undersky.raster.commit import sha256_of
from undersky.raster.encoding import Layer

Json = Mapping[str, Any]

GDAL_OPTIONS: Mapping[str, Any] = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
_NAN = float("nan")
_SHA2_256 = "1220"
_UNOPENED: Mapping[str, None] = {
    "opens": None,
    "is_cog": None,
    "encoding_agrees": None,
    "grid_agrees": None,
}


def file_facts(folder: Path, key: str, asset: Json) -> dict[str, Any]:
    """Of one file: is it there, and is it the one the Item describes."""
    path, declared = folder / name_of(asset), asset.get("file:size")
    is_there = path.is_file()
    size = float(path.stat().st_size) if is_there else _NAN
    agrees = is_there and size == declared
    return {
        "band": key,
        "is_there": is_there,
        "bytes": size,
        "declared_bytes": float(declared) if isinstance(declared, int) else _NAN,
        "size_agrees": agrees if is_there else None,
        "checksum_agrees": _SHA2_256 + sha256_of(path) == asset.get("file:checksum") if agrees else None,
    }


def layer_facts(folder: Path, item: Json, layer: Layer) -> dict[str, Any]:
    """Of one raster of an Item: its file, and how and where its pixels are stored."""
    asset = item["assets"][layer.key]
    row = {**file_facts(folder, layer.key, asset), **_UNOPENED}
    if not row["is_there"]:
        return row
    try:
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(folder / name_of(asset), driver="GTiff") as dataset:
            row |= _header_facts(dataset, layer, asset, item["properties"].get("proj:code"))
    except (RasterioError, OSError, ValueError):
        row["opens"] = False
    return row


def name_of(asset: Json) -> str:
    """The file's own name: whatever a link says, only files of the folder are looked at."""
    return Path(str(asset.get("href", ""))).name or "-"


def number(value: object) -> float:
    """A number of an Item as a fact; NaN where it is none."""
    return round(float(value), 4) if isinstance(value, int | float) else _NAN


def _header_facts(dataset: Any, layer: Layer, asset: Json, code: object) -> dict[str, Any]:
    error = _cog_error(dataset)
    transform = [float(value) for value in tuple(dataset.transform)[:6]]
    declared = [float(value) for value in asset.get("proj:transform", [])][:6]
    crs = dataset.crs.to_epsg() if dataset.crs else None
    same = len(declared) == 6 and np.allclose(transform, declared, rtol=0.0, atol=1e-6)
    return {
        "opens": True,
        "is_cog": error is None,
        "cog_error": error or "",
        "dtype": str(dataset.dtypes[0]),
        "nodata": "none" if dataset.nodata is None else f"{dataset.nodata:g}",
        "encoding_agrees": dataset.dtypes[0] == layer.dtype and dataset.nodata == layer.nodata,
        "rows": float(dataset.height),
        "cols": float(dataset.width),
        "resolution_m": float(dataset.transform.a),
        "grid_agrees": bool(
            same and list(dataset.shape) == asset.get("proj:shape") and f"EPSG:{crs}" == code
        ),
        "grid": f"EPSG:{crs} {transform} {dataset.shape}",
    }


def _cog_error(dataset: Any) -> str | None:
    """What keeps the file from being a COG; None where nothing does.

    Source: OGC 21-026, Cloud Optimized GeoTIFF: tiles and reduced resolutions. The order of its bytes is
    GDAL's to keep, which says so in the file.
    """
    if max(dataset.shape) > BLOCK and not dataset.overviews(1):
        return "it has no overviews"
    if max(dataset.shape) > BLOCK and dataset.block_shapes[0] != (BLOCK, BLOCK):
        return f"its blocks are {dataset.block_shapes[0]}"
    if dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") != "COG":
        return "it was written or changed by something that does not keep the layout"
    return None
