"""The quality layer's bits: the contract between whoever tests a pixel and whoever reads a product."""

from enum import IntFlag

import numpy as np
import numpy.typing as npt

QualityBits = npt.NDArray[np.uint16]


class Quality(IntFlag):
    """One bit a statement; a pixel may carry several. Bits 11 to 15 are reserved and zero."""

    NODATA = 1 << 0
    CLOUD = 1 << 1
    CLOUD_SHADOW = 1 << 2
    CIRRUS = 1 << 3
    SNOW = 1 << 4
    WATER = 1 << 5
    SATURATED = 1 << 6
    FALLBACK = 1 << 7
    OUTSIDE_TABLES = 1 << 8
    INCOMPLETE_TESTING = 1 << 9
    TERRAIN_SHADOW = 1 << 10


MEANING = {
    Quality.NODATA: "no data in at least one band",
    Quality.CLOUD: "cloud",
    Quality.CLOUD_SHADOW: "cloud shadow",
    Quality.CIRRUS: "cirrus",
    Quality.SNOW: "snow or ice",
    Quality.WATER: "water",
    Quality.SATURATED: "at least one band saturated",
    Quality.FALLBACK: "out of the model's domain: corrected by the physics baseline",
    Quality.OUTSIDE_TABLES: "angles or atmosphere outside the tables: extrapolated to their edge",
    Quality.INCOMPLETE_TESTING: "a quality test could not be made as designed",
    Quality.TERRAIN_SHADOW: "terrain shadow",
}
"""The sentence of each bit, as the product's Item and documentation give it."""

UNUSABLE = Quality.NODATA | Quality.CLOUD | Quality.CLOUD_SHADOW | Quality.CIRRUS | Quality.SATURATED
"""Any of these and the pixel says nothing trustworthy about the ground."""


THRESHOLDS = "thresholds"
"""Named in place of a quality model: threshold tests decide, as before there was one."""


def is_clear(quality: QualityBits) -> npt.NDArray[np.bool_]:
    """True where the ground was seen: none of the `UNUSABLE` bits is set."""
    return np.asarray((quality & np.uint16(UNUSABLE)) == 0)
