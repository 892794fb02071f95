"""From surface reflectance to a class and how sure it is, pixel by pixel; arrays in, arrays out.

    reflectance --network--> probabilities --quality bits--> probabilities --highest--> code, confidence

The quality mask saw the scene before its atmosphere was removed and knows better what snow is: its bit
decides. Its water bit is a witness beside the network. Where the ground was not seen there is no class.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.errors import DataError, Reason
from undersky.grid import Floats, Window
from undersky.inference.sliding import class_probabilities
from undersky.landcover import CLASSES, CODES, NODATA, SLUGS
from undersky.models.segmentation import Segmenter
from undersky.quality import Quality, QualityBits, is_clear
from undersky.raster.surface_product import SurfaceProduct

Codes = npt.NDArray[np.uint8]

VERSION = "1"
"""Of how a map is made of probabilities: another one makes other maps of the same model and product."""

SNOW_TRUST = 0.9
"""Weight of the snow bit beside the network: more than a half, so that it decides."""
WATER_TRUST = 0.3
"""Weight of the water bit: it tips what the network is not sure of."""

_STAND_IN = {"nir": "nir08"}
"""What a sensor without a band is asked for: Landsat's near infrared is narrow."""


@dataclass(frozen=True, slots=True)
class CoverMap:
    """A piece of a land-cover map."""

    codes: Codes
    """WorldCover codes, 0 where the ground was not seen, (y, x)."""
    confidence: Floats
    """Probability of that class, 0 .. 1, NaN where there is none, (y, x)."""


def map_pixels(model: Segmenter, values: Floats, quality: QualityBits) -> CoverMap:
    """The class of every pixel that was seen, and its calibrated probability.

    Args:
        model: Its classes are slugs of `landcover.CLASSES`.
        values: Surface reflectance in the order of the model's inputs, (band, y, x), NaN where missing.
        quality: Bits of the same pixels, (y, x).
    """
    return decide(class_probabilities(model, values), quality, classes=model.config.classes)


def decide(probabilities: Floats, quality: QualityBits, *, classes: tuple[str, ...] = SLUGS) -> CoverMap:
    """The class with the highest probability once the quality bits have had their say.

    Args:
        probabilities: Of the classes, summing to one, (class, y, x). Not changed.
        quality: Bits of the same pixels, (y, x).
        classes: Slugs along the class axis.
    """
    codes = np.array([CODES[SLUGS.index(name)] for name in classes], dtype=np.uint8)
    best = probabilities.argmax(axis=0)
    confidence = np.take_along_axis(probabilities, best[None], axis=0)[0]
    code = codes[best]
    for flag, slug, trust in ((Quality.WATER, "water", WATER_TRUST), (Quality.SNOW, "snow_ice", SNOW_TRUST)):
        flagged = (quality & np.uint16(flag)) != 0
        if slug not in classes or not flagged.any():
            continue
        index = classes.index(slug)
        there = probabilities[:, flagged] * np.float32(1.0 - trust)
        there[index] += np.float32(trust)
        code[flagged] = codes[there.argmax(axis=0)]
        confidence[flagged] = there.max(axis=0)
    unseen = ~is_clear(quality)
    code[unseen] = NODATA
    confidence[unseen] = np.nan
    return CoverMap(code, confidence)


def read_inputs(product: SurfaceProduct, model: Segmenter, window: Window) -> Floats:
    """What the model looks at in a window of the product's finest grid, (band, y, x).

    A band that the sensor lacks is NaN where the model can do without it.

    Raises:
        DataError: `band_missing`: it cannot; `raster_unreadable`.
    """
    config = model.config
    values = np.full((len(config.inputs), *window.shape), np.nan, dtype=np.float32)
    for index, name in enumerate(config.inputs):
        known = [found for found in (name, _STAND_IN.get(name)) if found and not product.missing((found,))]
        if known:
            values[index] = product.read((known[0],), window)[0]
        elif name not in config.optional:
            raise DataError(
                Reason.BAND_MISSING,
                f"{product.id} has no {name}, which the model cannot do without; it needs "
                f"{' '.join(n for n in config.inputs if n not in config.optional)}: correct the scene with "
                "all its bands",
            )
    return values


def in_colours(codes: Codes) -> npt.NDArray[np.uint8]:
    """The map as a person sees it, in WorldCover's colours, nodata black, (y, x, 3) bytes."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for cover in CLASSES:
        palette[cover.code] = cover.colour
    return np.asarray(palette[codes], dtype=np.uint8)
