"""Pictures for people: a product's thumbnail, before and after side by side, and where two images differ.

The stretch is fixed, so that brightness means the same in every picture: byte = 255 * sqrt(value / 0.35),
clipped to 0 .. 255. The square root lifts the dark half, where most ground lies; 0.35 keeps sand and town
unclipped and lets clouds go white. Nodata is black.
"""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from undersky.grid import Floats
from undersky.landcover import CoverClass

Picture = npt.NDArray[np.uint8]

WHITE = 0.35
"""Reflectance shown as white."""
DIFFERENCE_END = 0.05
"""Reflectance difference shown in full colour."""
THUMBNAIL_PIXELS = 512
_GAP, _CAPTION = 8, 18


def true_colour(red: Floats, green: Floats, blue: Floats) -> Picture:
    """The three bands, (y, x) each, NaN at nodata, as (y, x, 3) bytes under the fixed stretch."""
    return np.stack([_stretch(band) for band in (red, green, blue)], axis=-1)


def _stretch(reflectance: Floats) -> Picture:
    level = np.clip(np.nan_to_num(reflectance, nan=0.0) / WHITE, 0.0, 1.0)
    return np.asarray(np.rint(255.0 * np.sqrt(level)), dtype=np.uint8)


def thumbnail_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the thumbnail of a raster of that shape: the longer side at most 512."""
    step = max(1.0, max(shape) / THUMBNAIL_PIXELS)
    return max(1, round(shape[0] / step)), max(1, round(shape[1] / step))


def write_picture(path: Path, picture: Picture) -> None:
    """The picture as PNG or JPEG, by the name's suffix; the same picture gives the same bytes."""
    image = Image.fromarray(picture)
    buffer = io.BytesIO()
    if path.suffix == ".png":
        image.save(buffer, format="PNG", optimize=True)
    else:
        image.save(buffer, format="JPEG", quality=88, subsampling=0)
    path.write_bytes(buffer.getvalue())


def class_colours(codes: Picture, classes: Iterable[CoverClass]) -> Picture:
    """Codes of classes, (y, x), in their colours, (y, x, 3); every other code, nodata too, is black."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for cover in classes:
        palette[cover.code] = cover.colour
    return np.asarray(palette[codes], dtype=np.uint8)


def side_by_side(panels: Mapping[str, Picture]) -> Picture:
    """Pictures of one height next to each other, each under its caption, on white."""
    height = max(panel.shape[0] for panel in panels.values())
    width = sum(panel.shape[1] for panel in panels.values()) + _GAP * (len(panels) - 1)
    canvas = Image.new("RGB", (width, height + _CAPTION), "white")
    draw = ImageDraw.Draw(canvas)
    left = 0
    for caption, panel in panels.items():
        canvas.paste(Image.fromarray(panel), (left, _CAPTION))
        draw.text((left + 2, 3), caption, fill="black")
        left += panel.shape[1] + _GAP
    return np.asarray(canvas, dtype=np.uint8)


def before_after(toa: tuple[Floats, Floats, Floats], surface: tuple[Floats, Floats, Floats]) -> Picture:
    """One scene above and under the sky at the same stretch; each argument is (red, green, blue), (y, x)."""
    return side_by_side(
        {
            "top of atmosphere": true_colour(*toa),
            "surface reflectance (terrain illumination is not corrected)": true_colour(*surface),
        }
    )


def difference(mine: Floats, theirs: Floats) -> Picture:
    """Mine - theirs as colour, (y, x, 3): red where mine is brighter, blue where darker, white where equal.

    Full colour stands for a difference of 0.05 and more; grey is nodata in either.
    """
    delta = np.clip((mine - theirs) / DIFFERENCE_END, -1.0, 1.0)
    missing = np.isnan(delta)
    delta = np.nan_to_num(delta)
    red = np.where(delta < 0, 1.0 + delta, 1.0)
    blue = np.where(delta > 0, 1.0 - delta, 1.0)
    green = 1.0 - np.abs(delta)
    picture = np.rint(255.0 * np.stack([red, green, blue], axis=-1)).astype(np.uint8)
    picture[missing] = 128
    return picture
