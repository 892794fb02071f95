"""The correction of pixels: coarse fields meet one window of one band."""

import numpy as np

from undersky.atmosphere.streaming import invert_in_place
from undersky.grid import Floats, Window
from undersky.raster.encoding import Layer, Stored, encode_in_place
from undersky.raster.fields import FieldStack, blocks


def correct_strip(
    toa: Floats, stack: FieldStack, *, window: Window, layers: tuple[Layer, Layer]
) -> tuple[Stored, Stored]:
    """Stored reflectance and uncertainty of one window, block by block within a core's cache.

    Args:
        toa: Top-of-atmosphere reflectance, (rows, cols), NaN at nodata.
        stack: The band's six inversion fields.
        window: Where `toa` lies in the band's grid.
        layers: How the two are stored.
    """
    rho, sigma = (np.empty(toa.shape, dtype=layer.dtype) for layer in layers)
    for block in blocks(window):
        here = (
            slice(block.row - window.row, block.row - window.row + block.height),
            slice(block.col - window.col, block.col - window.col + block.width),
        )
        values, spread = invert_in_place(toa[here], stack.at(block))
        rho[here] = encode_in_place(values, layers[0])
        sigma[here] = encode_in_place(spread, layers[1])
    return rho, sigma
