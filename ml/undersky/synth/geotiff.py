"""Tiled, deflated GeoTIFF with overviews as Landsat Collection 2 delivers it.

Source: LSDS-1388, Landsat Cloud Optimized GeoTIFF Data Format Control Book v2.0: 256 x 256 tiles, deflate,
`AREA_OR_POINT=Point`, overviews by averaging, or by nearest neighbour where a value is a class.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from undersky.grid import Grid

Samples = npt.NDArray[np.uint16] | npt.NDArray[np.int16] | npt.NDArray[np.float32]


def write_geotiff(path: Path, samples: Samples, *, grid: Grid, classes: bool = False) -> None:
    """The file holds exactly these samples on that grid.

    Args:
        path: The file to write; an older one is replaced.
        samples: (y, x).
        grid: Where the samples lie.
        classes: The values are classes or bits, so that overviews must not average them.
    """
    rows, cols = samples.shape
    with rasterio.open(
        path,
        "w",
        driver="COG",
        count=1,
        height=rows,
        width=cols,
        dtype=samples.dtype,
        crs=str(grid.crs),
        transform=grid.affine,
        compress="DEFLATE",
        predictor="YES",
        blocksize=256,
        resampling="NEAREST" if classes else "AVERAGE",
    ) as raster:
        raster.update_tags(AREA_OR_POINT="Point")
        raster.write(samples, 1)
