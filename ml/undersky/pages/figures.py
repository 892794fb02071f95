"""Pictures small enough to be carried by a page, two hundred times over.

file --small enough?--yes--> as it is
     '--few colours--> PNG with a palette     '--many--> JPEG, coarser and smaller until it fits
"""

import base64
import io

from PIL import Image

from undersky.pages.values import Figure

MOST_BYTES = 40_000
"""Of one picture in a page."""

_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png"}
_QUALITIES = (82, 72, 62, 52)
_STEP = 0.8
_PALETTE = 256


def figure(data: bytes, *, most_bytes: int = MOST_BYTES) -> Figure | None:
    """The picture in at most so many bytes; None where it is no JPEG or PNG that can be read.

    Args:
        data: The file.
        most_bytes: A picture that is larger is coded again, and made smaller if that does not do.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_TYPES)) as image:
            media_type = _TYPES[image.format or ""]
            image.load()
            if len(data) <= most_bytes:
                return Figure(data, media_type, *image.size)
            return _smaller(image.convert("RGB"), most_bytes)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def data_uri(picture: Figure) -> str:
    """The picture as an address that needs no server."""
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode('ascii')}"


def _smaller(image: Image.Image, most_bytes: int) -> Figure:
    is_map = image.getcolors(_PALETTE) is not None
    while True:
        for coded in _coded(image, is_map=is_map):
            if len(coded.data) <= most_bytes or max(image.size) < 1 / (1 - _STEP):
                return coded
        size = (max(1, int(image.width * _STEP)), max(1, int(image.height * _STEP)))
        # colours of classes are never mixed
        how = Image.Resampling.NEAREST if is_map else Image.Resampling.LANCZOS
        image = image.resize(size, how)


def _coded(image: Image.Image, *, is_map: bool) -> list[Figure]:
    """The picture as files, the best first."""
    if is_map:
        buffer = io.BytesIO()
        image.quantize(_PALETTE, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
        return [Figure(buffer.getvalue(), "image/png", *image.size)]
    files = []
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=quality, optimize=True)
        files.append(Figure(buffer.getvalue(), "image/jpeg", *image.size))
    return files
