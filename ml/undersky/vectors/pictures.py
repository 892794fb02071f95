"""Pictures of objects: a chip around each, and the scene with a frame about all of them."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from shapely import Polygon

Picture = npt.NDArray[np.uint8]

CHIP_PIXELS = 64
"""Side of a chip."""

_FRAME = (255, 64, 32)
_LEAST_FRAME = 4.0


def chip_of(picture: Picture, centre: tuple[float, float]) -> bytes:
    """The square about a place (row, col) of a picture (y, x, 3) as PNG, black beyond the picture."""
    row, col = (round(value) - CHIP_PIXELS // 2 for value in centre)
    rows, cols, _ = picture.shape
    chip = np.zeros((CHIP_PIXELS, CHIP_PIXELS, 3), dtype=np.uint8)
    top, left = max(0, row), max(0, col)
    part = picture[top : min(rows, row + CHIP_PIXELS), left : min(cols, col + CHIP_PIXELS)]
    chip[top - row : top - row + part.shape[0], left - col : left - col + part.shape[1]] = part
    buffer = io.BytesIO()
    Image.fromarray(chip).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def framed(picture: Picture, boxes: Sequence[Polygon], *, scale: tuple[float, float]) -> Picture:
    """The picture with a frame about each box, large enough to be seen.

    Args:
        picture: (y, x, 3).
        boxes: In (col, row) of the scene.
        scale: Pixels of the picture a pixel of the scene, along rows and along columns.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for box in boxes:
        left, top, right, bottom = box.bounds
        x, y = (left + right) / 2 * scale[1], (top + bottom) / 2 * scale[0]
        wide = max(_LEAST_FRAME, (right - left) / 2 * scale[1] + 2)
        high = max(_LEAST_FRAME, (bottom - top) / 2 * scale[0] + 2)
        draw.rectangle([x - wide, y - high, x + wide, y + high], outline=_FRAME)
    return np.asarray(image, dtype=np.uint8)
