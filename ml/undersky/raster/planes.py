"""One bit a pixel, on disk: what a band leaves behind for the layers that join all bands.

Bands have different pixel sizes and are streamed one after the other, while `quality` and `saturation` need
all of them at once. A plane keeps a band's yes-or-no answers at an eighth of a byte a pixel, outside memory.
"""

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from undersky.grid import Window

Bools = npt.NDArray[np.bool_]


class BitPlane:
    """A raster of bits, written and read by full-width strips; all False until written."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        """An empty plane of (rows, cols) in the file `path`, which vanishes when the plane is closed."""
        self.shape = shape
        self._path = path
        self._stride = -(-shape[1] // 8)
        self._row_has_bits = np.zeros(shape[0], dtype=bool)
        self._file = path.open("w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The file is gone."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, row: int, bits: Bools) -> None:
        """The answers of full rows from `row` on, (rows, cols)."""
        rows = slice(row, row + len(bits))
        had_bits, has_bits = self._row_has_bits[rows].any(), bits.any(axis=1)
        self._row_has_bits[rows] = has_bits
        if not had_bits and not has_bits.any():
            return  # unwritten stretches of a file read as zero
        self._file.seek(row * self._stride)
        self._file.write(np.packbits(bits, axis=1).tobytes())

    def read(self, row: int, rows: int) -> Bools | None:
        """The answers of full rows, (rows, cols); None where every one is False, which is the common case."""
        if not self._row_has_bits[row : row + rows].any():
            return None
        self._file.seek(row * self._stride)
        packed = np.frombuffer(self._file.read(rows * self._stride), dtype=np.uint8)
        whole = np.zeros(rows * self._stride, dtype=np.uint8)
        whole[: packed.size] = packed
        bits = np.unpackbits(whole.reshape(rows, self._stride), axis=1, count=self.shape[1])
        return bits.astype(bool)

    def read_onto(self, window: Window, shape: tuple[int, int]) -> Bools | None:
        """The answers at the pixels of a full-width window of a raster of `shape` over the same footprint.

        The nearest bit of this plane is taken, which for a finer raster repeats it. None where all are False.
        """
        rows = nearest(self.shape[0], shape[0], start=window.row, count=window.height)
        bits = self.read(int(rows[0]), int(rows[-1] - rows[0]) + 1)
        if bits is None or self.shape == shape:
            return bits
        cols = nearest(self.shape[1], shape[1], start=window.col, count=window.width)
        return np.asarray(bits[rows - rows[0]].take(cols, axis=1), dtype=bool)


class BandPlanes:
    """Where one band has no data, and where it saturated."""

    def __init__(self, folder: Path, name: str, shape: tuple[int, int]) -> None:
        """Two empty planes of (rows, cols) in hidden files of `folder`."""
        self.nodata = BitPlane(folder / f".{name}.nodata.bits", shape)
        self.saturated = BitPlane(folder / f".{name}.saturated.bits", shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.nodata.close()
        self.saturated.close()


def nearest(size: int, onto: int, *, start: int = 0, count: int | None = None) -> npt.NDArray[np.intp]:
    """Index, among `size` pixels of an axis, of the one under each of `onto` pixels over the same length."""
    count = onto - start if count is None else count
    centres = (np.arange(start, start + count) + 0.5) * size / onto
    return np.minimum(centres.astype(np.intp), size - 1)
