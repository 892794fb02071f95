"""What a raster file says of itself before any pixel is decoded: its size, and whether all of it is there.

A decoder finds a missing end only after reading everything before it, and may fill the rest with zeros.
Here the containers are walked instead, a few kilobytes of a hundred megabytes:

    JPEG 2000   boxes -> codestream -> tile-parts, each with its length, until the end marker
    TIFF        directories -> offset and length of every strip or tile

Sources: ITU-T T.800 (2019) annexes A and I; TIFF 6.0 section 2 and the BigTIFF layout of libtiff.
"""

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from undersky.errors import DataError, Reason
from undersky.sensors.archive import ProductFiles, opened

MAX_SIDE = 20_000
"""The largest real raster, Landsat's panchromatic band, has 16,000 pixels a side."""
_MAX_STEPS = 100_000
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_SOC, _SOT, _SIZ, _EOC = 0xFF4F, 0xFF90, 0xFF51, 0xFFD9
_TIFF_TYPES = {3: "H", 4: "I", 16: "Q"}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_OFFSETS, _TIFF_COUNTS = 256, 257, (273, 324), (279, 325)


@dataclass(frozen=True, slots=True)
class _Walk:
    """A file being walked."""

    stream: IO[bytes]
    size: int
    label: str

    def read(self, at: int, count: int) -> bytes:
        self.stream.seek(at)
        data = self.stream.read(count)
        if len(data) < count:
            raise self.truncated(f"it ends at byte {self.size:,} where {count} more are due at {at:,}")
        return data

    def unpack(self, layout: str, at: int) -> tuple[int, ...]:
        return struct.unpack(layout, self.read(at, struct.calcsize(layout)))

    def truncated(self, what: str) -> DataError:
        return DataError(Reason.RASTER_TRUNCATED, f"{self.label} is not complete: {what}; fetch it again")

    def unreadable(self, what: str) -> DataError:
        return DataError(Reason.RASTER_UNREADABLE, f"{self.label} cannot be read: {what}; fetch it again")


def check_header(files: ProductFiles, name: str, *, driver: str) -> None:
    """The file is a complete raster of the driver's format, of a size a product can have.

    Inside a deflated archive entry only the size is checked: walking it would unpack it. Its decoder
    refuses what is missing.

    Raises:
        DataError: `raster_truncated`, `raster_too_large`, `raster_unreadable`, `archive_damaged`.
    """
    label = f"{name} of {files.label}"
    size = files.size(name)
    deep = files.seeks_cheaply(name)
    with opened(files, name) as stream:
        walk = _Walk(stream, size, label)
        if size == 0:
            raise walk.truncated("it is empty")
        width, height = _walk_jp2(walk, deep=deep) if driver == "JP2OpenJPEG" else _walk_tiff(walk, deep=deep)
    if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
        raise DataError(
            Reason.RASTER_TOO_LARGE,
            f"{label} claims {width:,} x {height:,} pixels; real ones have at most {MAX_SIDE:,} a side",
        )


def tile_parts(data: bytes) -> tuple[tuple[int, int], list[tuple[int, int, int]]]:
    """The tiles' (rows, cols) and every tile-part (tile, first byte, byte after) of a whole JPEG 2000 file.

    Raises:
        DataError: `raster_truncated`, `raster_unreadable`.
    """
    walk = _Walk(io.BytesIO(data), len(data), "a mask")
    start, end = _codestream(walk)
    tile_width, tile_height = walk.unpack(">II", start + 24)
    return (tile_height, tile_width), list(_tile_parts(walk, start + 2, end))


def _codestream(walk: _Walk) -> tuple[int, int]:
    """First byte of the codestream and the byte after it."""
    if walk.read(0, min(12, walk.size)) != _JP2_SIGNATURE:
        raise walk.unreadable("it does not begin as a JPEG 2000 file does")
    for kind, start, end in _boxes(walk):
        if kind == b"jp2c":
            return start, end
    raise walk.truncated("it has no codestream")


def _boxes(walk: _Walk) -> Iterator[tuple[bytes, int, int]]:
    """Type, first byte of the contents and byte after them, of every top-level box."""
    at = 0
    for _ in range(_MAX_STEPS):
        if at >= walk.size:
            return
        length, kind = struct.unpack(">I4s", walk.read(at, 8))
        header = 8
        if length == 1:
            (length,) = walk.unpack(">Q", at + 8)
            header = 16
        end = walk.size if length == 0 else at + length
        if end > walk.size:
            raise walk.truncated(f"box {kind!r} should end at byte {end:,}, the file ends at {walk.size:,}")
        if end < at + header:
            raise walk.unreadable(f"box {kind!r} claims {length} bytes")
        yield kind, at + header, end
        at = end


def _walk_jp2(walk: _Walk, *, deep: bool) -> tuple[int, int]:
    """Width and height, after every box and tile-part was found whole."""
    start, end = _codestream(walk)
    soc, siz, _, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top = walk.unpack(
        ">HHHHIIIIIIII", start
    )
    if (soc, siz) != (_SOC, _SIZ) or 0 in (tile_width, tile_height):
        raise walk.unreadable("its codestream has no size")
    width, height = right - left, bottom - top
    if not deep or max(width, height) > MAX_SIDE:
        return width, height
    tiles = math.ceil((right - tile_left) / tile_width) * math.ceil((bottom - tile_top) / tile_height)
    seen = {tile for tile, _, _ in _tile_parts(walk, start + 2, end)}
    if len(seen) < tiles:
        raise walk.truncated(f"{len(seen)} of its {tiles} tiles are there")
    return width, height


def _tile_parts(walk: _Walk, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Tile index, first byte and byte after of every tile-part; the walk ends at the end marker."""
    at = start
    for _ in range(_MAX_STEPS):
        if at + 2 > end:
            raise walk.truncated("it ends without the end marker of its codestream")
        (marker,) = walk.unpack(">H", at)
        if marker == _EOC:
            return
        if marker != _SOT:
            (length,) = walk.unpack(">H", at + 2)
            at += 2 + length
            continue
        tile, length = walk.unpack(">HI", at + 4)
        length = length or end - 2 - at  # 0: up to the end marker
        if length < 14 or at + length > end:
            raise walk.truncated(f"tile {tile} should end at byte {at + length:,}, the codestream at {end:,}")
        yield tile, at, at + length
        at += length
    raise walk.unreadable(f"its codestream has more than {_MAX_STEPS:,} parts")


def _walk_tiff(walk: _Walk, *, deep: bool) -> tuple[int, int]:
    """Width and height, after every strip or tile of every directory was found whole."""
    magic = walk.read(0, min(4, walk.size))
    order = {b"II": "<", b"MM": ">"}.get(magic[:2])
    if order is None or magic[2:] not in (b"\x2a\0", b"\0\x2a", b"\x2b\0", b"\0\x2b"):
        raise walk.unreadable("it does not begin as a TIFF does")
    big = b"\x2b" in magic[2:]
    (at,) = walk.unpack(order + ("Q" if big else "I"), 8 if big else 4)
    first: tuple[int, int] | None = None
    for _ in range(64):  # full resolution, overviews, masks
        entries, at = _directory(walk, at, order=order, big=big)
        first = first or (_one(walk, entries, _TIFF_WIDTH), _one(walk, entries, _TIFF_HEIGHT))
        if not deep or max(first) > MAX_SIDE:
            break
        _check_blocks(walk, entries, order)
        if at == 0:
            break
    return first or (0, 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One TIFF tag: its values lie at `at`."""

    kind: int
    count: int
    at: int


def _directory(walk: _Walk, at: int, *, order: str, big: bool) -> tuple[dict[int, _Entry], int]:
    """The tags of the directory at that byte, and where the next one lies (0: nowhere)."""
    count_layout, entry_layout, next_layout = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    if at < 8 or at >= walk.size:
        raise walk.truncated(f"a directory should lie at byte {at:,}, the file ends at {walk.size:,}")
    (count,) = walk.unpack(order + count_layout, at)
    if count > 4096:
        raise walk.unreadable(f"a directory claims {count} tags")
    at += struct.calcsize(order + count_layout)
    step = struct.calcsize(order + entry_layout)
    data = walk.read(at, step * count)
    entries = {}
    for index in range(count):
        tag, kind, values, inline = struct.unpack_from(order + entry_layout, data, index * step)
        width = struct.calcsize(order + _TIFF_TYPES.get(kind, "Q"))
        inside = at + index * step + step - len(inline)
        (far,) = struct.unpack(order + next_layout, inline)
        entries[tag] = _Entry(kind, values, inside if values * width <= len(inline) else far)
    (following,) = walk.unpack(order + next_layout, at + step * count)
    return entries, following


def _values(walk: _Walk, entry: _Entry, order: str) -> tuple[int, ...]:
    layout = _TIFF_TYPES.get(entry.kind)
    if layout is None or entry.count > 4_000_000:
        raise walk.unreadable("its list of strips or tiles makes no sense")
    return walk.unpack(f"{order}{entry.count}{layout}", entry.at)


def _one(walk: _Walk, entries: dict[int, _Entry], tag: int) -> int:
    if tag not in entries:
        raise walk.unreadable(f"tag {tag} is missing")
    order = "<" if walk.read(0, 2) == b"II" else ">"
    return _values(walk, entries[tag], order)[0]


def _check_blocks(walk: _Walk, entries: dict[int, _Entry], order: str) -> None:
    """Every strip or tile ends inside the file; offset 0 is a hole, which TIFF allows."""
    offsets = next((_values(walk, entries[tag], order) for tag in _TIFF_OFFSETS if tag in entries), ())
    counts = next((_values(walk, entries[tag], order) for tag in _TIFF_COUNTS if tag in entries), ())
    end = max((offset + count for offset, count in zip(offsets, counts, strict=False)), default=0)
    if end > walk.size:
        raise walk.truncated(f"its pixels should end at byte {end:,}, the file ends at {walk.size:,}")
