"""Mask rasters whose tiles mostly hold one value, read without decoding these again and again.

A quality mask of a full tile has eight layers of 120 million pixels, nearly all zero: decoding it would take
longer than decoding its band. But equal tiles are equal bytes, so one decoded tile of constant value tells
the value of every other tile whose bytes are the same.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from undersky.grid import Grid, Window
from undersky.sensors.archive import ProductFiles, opened
from undersky.sensors.headers import tile_parts
from undersky.sensors.rasters import Array, RasterFile, own_pixels, read_nearest, read_window

MAX_MASK_BYTES = 64 << 20
"""Larger files are read the plain way."""


@dataclass(frozen=True, slots=True)
class FlatTiles:
    """A tiled JPEG 2000 mask."""

    raster: RasterFile
    """The file."""
    tile_shape: tuple[int, int]
    """(rows, cols) of its tiles."""
    digests: Mapping[int, bytes]
    """Per tile index the digest of its bytes; empty where the shortcut does not apply."""
    known: dict[tuple[bytes, int, tuple[int, int]], int | None] = field(default_factory=dict)
    """Per digest, layer and tile size the constant value of such a tile, else None; filled while reading."""

    @classmethod
    def of(cls, files: ProductFiles, name: str, raster: RasterFile) -> "FlatTiles":
        """The mask in that file, its tiles listed."""
        if files.size(name) > MAX_MASK_BYTES:
            return cls(raster, raster.shape, {})
        with opened(files, name) as stream:
            data = stream.read(MAX_MASK_BYTES)
        hashes: dict[int, hashlib.blake2b] = {}
        tile_shape, parts = tile_parts(data)
        for tile, start, end in parts:
            # the part's own header (12 bytes) holds its tile's index and length: left out
            hashes.setdefault(tile, hashlib.blake2b(digest_size=16)).update(data[start + 12 : end])
        return cls(raster, tile_shape, {tile: value.digest() for tile, value in hashes.items()})

    def read_nearest(self, own: Grid, *, at: Grid, window: Window, band: int) -> Array:
        """Like `rasters.read_nearest`, decoding only where the mask is not constant."""
        value = self._constant(_under(self.raster.shape, own, at, window), band)
        if value is None:
            return read_nearest(self.raster, own, at=at, window=window, band=band)
        return np.full(window.shape, value, dtype=self.raster.dtype)

    def _constant(self, block: Window | None, band: int) -> int | None:
        """The one value of all tiles under a block, None where they have several."""
        if block is None:
            return None
        values = {self._tile_value(tile, shape, band) for tile, shape in self._tiles(block)}
        return values.pop() if len(values) == 1 else None

    def _tiles(self, block: Window) -> Iterator[tuple[int, Window]]:
        """Index and window of every tile under a block of the mask's own pixels."""
        height, width = self.tile_shape
        across = -(-self.raster.shape[1] // width)
        for row in range(block.row // height, (block.row + block.height - 1) // height + 1):
            for col in range(block.col // width, (block.col + block.width - 1) // width + 1):
                rows = min(height, self.raster.shape[0] - row * height)
                cols = min(width, self.raster.shape[1] - col * width)
                yield row * across + col, Window(row * height, col * width, rows, cols)

    def _tile_value(self, tile: int, window: Window, band: int) -> int | None:
        digest = self.digests.get(tile)
        if digest is None:
            return None
        key = (digest, band, window.shape)
        if key not in self.known:
            pixels = read_window(self.raster, window, band=band)
            self.known[key] = int(pixels.flat[0]) if (pixels == pixels.flat[0]).all() else None
        return self.known[key]


def _under(shape: tuple[int, int], own: Grid, at: Grid, window: Window) -> Window | None:
    """The block of a mask's pixels under a window of another grid; None where part of that lies outside."""
    rows = own_pixels((at.affine.f, at.affine.e), (own.affine.f, own.affine.e), window.row, window.height)
    cols = own_pixels((at.affine.c, at.affine.a), (own.affine.c, own.affine.a), window.col, window.width)
    if min(rows[0], cols[0]) < 0 or rows[-1] >= shape[0] or cols[-1] >= shape[1]:
        return None
    return Window(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
