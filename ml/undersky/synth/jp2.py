"""Lossless, geo-referenced JPEG 2000 as Sentinel-2 Level-1C delivers it.

Blocks, bit depth and resolution levels are those of real products (PSD S2-PDGS-TAS-DI-PSD 14.9, section 4.9):
tiles of 1024, 640 and 192 pixels at 10, 20 and 60 m, 15 bits a sample, five levels.
"""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from undersky.grid import Grid, resolution_m

_BLOCKS = {10: 1024, 20: 640, 60: 192}
_LEVELS = 5
_15_BITS = 1 << 15

Samples = npt.NDArray[np.uint16] | npt.NDArray[np.uint8]


def write_jp2(path: Path, samples: Samples, *, grid: Grid | None) -> None:
    """The file holds exactly these samples, with the grid's CRS and transform.

    Args:
        path: The file to write; an older one is replaced.
        samples: (y, x), or (band, y, x) with three bands for pictures and classifications.
        grid: Where the samples lie; None for a preview without georeference.
    """
    stack = samples if samples.ndim == 3 else samples[np.newaxis]
    count, rows, cols = stack.shape
    block = _BLOCKS.get(round(resolution_m(grid)), 1024) if grid is not None else 1024
    options = {
        "driver": "JP2OpenJPEG",
        "count": count,
        "height": rows,
        "width": cols,
        "dtype": stack.dtype,
        "quality": 100,
        "reversible": "YES",
        "resolutions": _LEVELS,
        "blockxsize": block,
        "blockysize": block,
        "ycc": "NO",
    }
    if stack.dtype == np.uint16 and int(stack.max(initial=0)) < _15_BITS:
        options["nbits"] = 15
    if grid is not None:
        options |= {"crs": str(grid.crs), "transform": grid.affine}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **options) as raster:
            raster.write(stack)
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)
