"""The inversion as the streaming correction runs it: one cache-sized block of one band, no memory of its own.

`inversion.remove_with_fields` and `inversion.sigma_with_fields` say the same in two readable lines each; the
tests hold the two together. Here every operation writes into memory that is already in the cache.
"""

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.inversion import InversionFields

Block = npt.NDArray[np.float32]

FIELDS = ("gain", "offset", "albedo", "q0", "q1", "q2")
"""Order of the stack that `stacked` makes and `invert_in_place` takes."""


def stacked(fields: InversionFields, band: int) -> Block:
    """The six coarse fields of one band, (6, y, x)."""
    return np.stack([getattr(fields, name)[band] for name in FIELDS])


def invert_in_place(toa: Block, fields: Block) -> tuple[Block, Block]:
    """Surface reflectance and its 1 sigma, (rows, cols) each, NaN where `toa` is NaN.

    Args:
        toa: Top-of-atmosphere reflectance, (rows, cols). Not changed.
        fields: The six fields at its pixels, (6, rows, cols). Destroyed: the results live in its memory.
    """
    gain, offset, albedo, q0, q1, q2 = fields
    y = np.multiply(gain, toa, out=gain)
    y -= offset
    albedo *= y
    albedo += np.float32(1.0)
    rho = np.divide(y, albedo, out=y)
    q2 *= rho
    q2 += q1
    q2 *= rho
    q2 += q0
    np.maximum(q2, np.float32(0.0), out=q2)
    return rho, np.sqrt(q2, out=q2)
