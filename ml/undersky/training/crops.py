"""Where windows are cut from real pairs, so that what validates was never trained on.

    columns of a pair   0 ......... 0.5   0.57 ........... 1
                        |   train    |    |   validate     |
                        [window] ..         .. [window]
                           [window] ..   <-- at least GAP pixels between the splits

A split is a place, never a pixel: neighbours see the same ground through the same air.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from undersky.errors import DataError, Reason
from undersky.models.correction import BLOCK, WINDOW

ROWS, COLS = WINDOW, WINDOW // 2
"""Of a window in its own pixels: half of the network's, as in training on worlds."""

GAP = 8
"""Pixels of the pair that lie between the splits at least: a block, and further than light is blurred."""


@dataclass(frozen=True, slots=True)
class PairSpec:
    """Which part of which pair trains, and which validates."""

    train: Mapping[str, tuple[float, float]]
    """Folder name of a pair to its columns that train, as shares of its width from the west."""
    validate: Mapping[str, tuple[float, float]]
    """Likewise, of what validates; a pair that is only here is left out of the training altogether."""
    share: float = 0.5
    """Of a batch, and of the loss; the other part are simulated worlds, so that nothing is forgotten."""
    coarser: tuple[int, ...] = (1, 2, 3)
    """Pixels that are averaged along each side: a scene is looked at from afar too."""

    def __post_init__(self) -> None:
        for name, (west, east) in [*self.train.items(), *self.validate.items()]:
            if not 0.0 <= west < east <= 1.0:
                raise ValueError(f"{name}: columns {west:g} to {east:g} must be shares that grow, 0 to 1")
        if not self.train or not self.validate:
            raise ValueError("train and validate must each name a pair")
        if not 0.0 < self.share < 1.0:
            raise ValueError("share must lie between 0 and 1: some pairs, and some worlds")
        if not self.coarser or min(self.coarser) < 1:
            raise ValueError("coarser must be whole numbers from 1")


@dataclass(frozen=True, slots=True)
class Crop:
    """One window's place, in pixels of the pair."""

    place: str
    """Acquisition that it is cut from."""
    factor: int
    """Pixels along each side that are averaged to one of the window."""
    rows: tuple[int, int]
    """First, and one after the last."""
    cols: tuple[int, int]
    """Likewise."""


def crops_of(
    place: str, shape: tuple[int, int], columns: tuple[float, float], *, factor: int, stride: tuple[int, int]
) -> list[Crop]:
    """Windows over these columns, the last of each row and column flush with the end.

    A part that is smaller than a window is one window with nothing in the rest of it, unless its pixels are
    averaged: then there is none.

    Args:
        place: Acquisition.
        shape: Rows and columns of the pair.
        columns: As shares of the width.
        factor: Pixels that are averaged along each side.
        stride: Pixels of a window from one to the next, down and across.
    """
    west, east = (round(share * shape[1]) for share in columns)
    rows, cols = shape[0] // factor, (east - west) // factor
    if factor > 1 and (rows < ROWS or cols < COLS):
        return []
    return [
        Crop(
            place,
            factor,
            (row * factor, min(row + ROWS, rows) * factor),
            (west + col * factor, west + min(col + COLS, cols) * factor),
        )
        for row, col in product(_starts(rows, ROWS, stride[0]), _starts(cols, COLS, stride[1]))
    ]


def _starts(size: int, window: int, stride: int) -> list[int]:
    if size <= window:
        return [0]
    return sorted({*range(0, size - window, stride), size - window})


def refuse_overlap(train: Sequence[Crop], validate: Sequence[Crop]) -> None:
    """Returns if no window that trains lies within GAP pixels of one that validates.

    Raises:
        DataError: `split_leaks`: which two.
    """
    for one, other in product(_hulls(train), _hulls(validate)):
        if one.place == other.place and _near(one.rows, other.rows) and _near(one.cols, other.cols):
            raise DataError(
                Reason.SPLIT_LEAKS,
                f"the splits leak: in {one.place} columns {one.cols[0]} to {one.cols[1]} train and "
                f"{other.cols[0]} to {other.cols[1]} validate, with less than {GAP} pixels between; "
                "give them other columns in the recipe",
            )


def _hulls(crops: Sequence[Crop]) -> set[Crop]:
    """Crops that differ, each as if it were cut at full resolution."""
    return {Crop(crop.place, 1, crop.rows, crop.cols) for crop in crops}


def _near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] + GAP and other[0] < one[1] + GAP


TRAIN_STRIDE = BLOCK
"""Windows that train stand a block apart: many views of the same few blocks."""
