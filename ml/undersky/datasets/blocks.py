"""Train, validation and test are apart on the ground: whole blocks, dealt by a hash, never by pixel or date.

    +---------+---------+     A pixel belongs to the block it lies in, whatever its date or sensor. A block
    | train  :|:  test  |     belongs to the split that a hash of its place and a seed deals it. Along the
    |        :|:        |     line between two splits a margin (:) belongs to neither.
    +---------+---------+

Blocks are squares of the global equal-area grid EPSG:6933 (EASE-Grid 2.0, to 86 degrees), so each holds the
same area and every place has exactly one. Margins are on the ground: the grid's stretch is undone.

Source: Roberts et al. 2017, Ecography 40, 913-929 (why blocks); Brodzik et al. 2012, ISPRS IJGI 1, 32-45.
"""

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Grid

Split = Literal["train", "validation", "test"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""In the order of `splits_on`'s numbers: 0, 1, 2."""
NEITHER = -1
"""A pixel too near to another split's block."""

_EQUAL_AREA = "EPSG:6933"
_TRUE_LATITUDE = math.cos(math.radians(30.0))
"""Where the grid is true to scale: one map metre there is one on the ground, both ways."""


@dataclass(frozen=True, slots=True)
class Block:
    """One square of the equal-area grid."""

    col: int
    """Steps east of Greenwich."""
    row: int
    """Steps north of the equator."""


@dataclass(frozen=True, slots=True)
class Dealing:
    """How blocks become splits: the same dealing gives the same splits on every machine, for ever."""

    side_m: float
    """Side of a block in map metres: the square root of its area."""
    seed: int = 0
    """Another seed deals the blocks anew."""
    validation: float = 0.15
    """Share of the blocks."""
    test: float = 0.15
    """Share of the blocks; train has the rest."""
    margin_m: float = 0.0
    """Ground this near to another split's block belongs to no split."""

    def __post_init__(self) -> None:
        if not self.side_m > 0 or not 0 <= self.margin_m < self.side_m / 3:
            raise ConfigError(
                f"blocks of {self.side_m:g} m with a margin of {self.margin_m:g} m: the side must be "
                "positive, the margin less than a third of it"
            )
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            raise ConfigError(
                f"shares of validation {self.validation:g} and test {self.test:g} leave nothing to train on"
            )

    def split(self, block: Block) -> Split:
        """The split a block belongs to: a hash of where it lies and the seed, nothing else."""
        text = f"{self.seed}/{self.side_m:g}/{block.col}/{block.row}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
        if number < self.validation:
            return "validation"
        return "test" if number < self.validation + self.test else "train"


@dataclass(frozen=True, slots=True)
class Piece:
    """Ground that somebody trains or is tested on."""

    name: str
    """What it is called where a leak is told: `32TQM 2021-06-13 window 4`."""
    split: Split
    """Who sees it."""
    footprint: BaseGeometry
    """WGS 84 longitude and latitude, degrees; its area is the ground that is seen."""
    sensed: date | None = None
    """The day it was seen, which no split may depend on."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Two splits that know the same ground."""

    kind: Literal["ground", "block", "margin"]
    """`ground`: the same ground, `block`: one block in two splits, `margin`: nearer than the margin."""
    first: Piece
    second: Piece

    @property
    def sentence(self) -> str:
        """What leaks, for people."""
        pair = f"{self.first.name} of {self.first.split} and {self.second.name} of {self.second.split}"
        if self.kind == "ground":
            dates = {piece.sensed for piece in (self.first, self.second)}
            return f"{pair} are the same ground" + (" on other dates" if len(dates) > 1 else "")
        return f"{pair} " + ("share a block" if self.kind == "block" else "lie nearer than the margin")


def block_at(longitude: float, latitude: float, *, side_m: float) -> Block:
    """The block of a place in WGS 84 degrees."""
    x, y = _to_equal_area("EPSG:4326").transform(longitude, latitude)
    return Block(math.floor(x / side_m), math.floor(y / side_m))


def blocks_on(grid: Grid, *, side_m: float) -> npt.NDArray[np.int64]:
    """Column and row of every pixel's block, (2, y, x).

    Raises:
        DataError: `crs_mismatch`: the grid lies nowhere.
    """
    x, y = _equal_area_of(grid)
    return np.floor(np.stack([x, y]) / side_m).astype(np.int64)


def splits_on(grid: Grid, dealing: Dealing) -> npt.NDArray[np.int8]:
    """Who may see each pixel, (y, x): 0 train, 1 validation, 2 test, -1 within the margin of another's block.

    Raises:
        DataError: `crs_mismatch`: the grid lies nowhere.
    """
    x, y = _equal_area_of(grid)
    cols, rows = (np.floor(value / dealing.side_m).astype(np.int64) for value in (x, y))
    own = _dealt(cols, rows, dealing)
    if not dealing.margin_m:
        return own
    cosine = _cosine(y)
    east, north = _TRUE_LATITUDE / cosine, cosine / _TRUE_LATITUDE  # map metres of one metre on the ground
    result = own.copy()
    # Far from the equator a block is narrow on the ground: the margin may reach over more than one.
    reach_col, reach_row = (
        math.ceil(dealing.margin_m * float(scale.max()) / dealing.side_m) for scale in (east, north)
    )
    steps = itertools.product(range(-reach_col, reach_col + 1), range(-reach_row, reach_row + 1))
    for step_col, step_row in steps:
        away_x = _away(x / dealing.side_m - cols, step_col) * dealing.side_m / east
        away_y = _away(y / dealing.side_m - rows, step_row) * dealing.side_m / north
        near = np.hypot(away_x, away_y) < dealing.margin_m
        if near.any():
            other = _dealt(cols[near] + step_col, rows[near] + step_row, dealing)
            result[near] = np.where(other == own[near], result[near], NEITHER)
    return result


def find_leaks(pieces: Iterable[Piece], *, side_m: float, margin_m: float = 0.0) -> tuple[Leak, ...]:
    """Every pair of pieces by which two splits know the same ground, the worst kind first.

    Args:
        pieces: What the splits see.
        side_m: Of the blocks.
        margin_m: How near to another split's block ground may come.
    """
    occupied: dict[Block, list[Piece]] = defaultdict(list)
    drawn: list[tuple[Piece, BaseGeometry]] = []
    for piece in pieces:
        ground = _on_equal_area(piece.footprint)
        drawn.append((piece, ground))
        for block in _blocks_under(ground, side_m):
            occupied[block].append(piece)
    found: dict[tuple[int, int], Leak] = {}
    for piece, ground in drawn:
        for block in _blocks_under(_grown(ground, margin_m), side_m):
            for other in occupied.get(block, ()):
                if other.split != piece.split:
                    _keep_worst(found, _judged(piece, other, occupied, block))
    order = {"ground": 0, "block": 1, "margin": 2}
    return tuple(sorted(found.values(), key=lambda leak: (order[leak.kind], leak.sentence)))


def refuse_leaks(pieces: Sequence[Piece], *, side_m: float, margin_m: float = 0.0) -> None:
    """Returns if no block, no ground within the margin and no place on another date stands in two splits.

    Raises:
        DataError: `split_leaks`: how many pairs, and the worst of them by name.
    """
    leaks = find_leaks(pieces, side_m=side_m, margin_m=margin_m)
    if leaks:
        raise DataError(
            Reason.SPLIT_LEAKS,
            f"the splits leak in {len(leaks)} places; the first: {leaks[0].sentence}. Split by blocks of "
            f"{side_m:g} m (datasets/blocks.py) and leave {margin_m:g} m between them",
        )


def shares(pieces: Iterable[Piece]) -> Mapping[Split, float]:
    """Square kilometres that each split sees, overlapping ground once."""
    seen: dict[Split, list[BaseGeometry]] = {split: [] for split in SPLITS}
    for piece in pieces:
        seen[piece.split].append(_on_equal_area(piece.footprint))
    return {
        split: float(shapely.union_all(found).area) / 1e6 if found else 0.0 for split, found in seen.items()
    }


def _judged(piece: Piece, other: Piece, occupied: Mapping[Block, list[Piece]], block: Block) -> Leak:
    first, second = sorted((piece, other), key=lambda each: (SPLITS.index(each.split), each.name))
    if shapely.area(shapely.intersection(piece.footprint, other.footprint)) > 0:
        return Leak("ground", first, second)
    shared = any(each is piece for each in occupied[block])
    return Leak("block" if shared else "margin", first, second)


def _keep_worst(found: dict[tuple[int, int], Leak], leak: Leak) -> None:
    """Of one pair in many blocks, what weighs most."""
    pair = (id(leak.first), id(leak.second))
    known = found.get(pair)
    if known is None or (known.kind == "margin" and leak.kind != "margin"):
        found[pair] = leak


def _dealt(
    cols: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], dealing: Dealing
) -> npt.NDArray[np.int8]:
    """Number of the split of each block, one hash a block."""
    if not cols.size:
        return np.zeros(cols.shape, dtype=np.int8)
    west, south = int(cols.min()), int(rows.min())
    shape = int(rows.max()) - south + 1, int(cols.max()) - west + 1
    table = np.empty(shape, dtype=np.int8)
    for row, col in np.ndindex(shape):
        table[row, col] = SPLITS.index(dealing.split(Block(west + col, south + row)))
    return table[rows - south, cols - west]


def _away(inside: npt.NDArray[np.float64], step: int) -> npt.NDArray[np.float64]:
    """Sides from a position 0 .. 1 within a block to the neighbour a step away."""
    if step == 0:
        return np.zeros_like(inside)
    return step - inside if step > 0 else inside - (step + 1)


def _equal_area_of(grid: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixel centres on the equal-area map, metres."""
    if grid.crs is None:
        raise DataError(
            Reason.CRS_MISMATCH, "a grid without a CRS lies in no block; blocks need georeferenced pixels"
        )
    height, width = grid.shape
    cols, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = grid.affine @ (cols, rows)
    east, north = _to_equal_area(str(grid.crs)).transform(x, y)
    return np.asarray(east, dtype=np.float64), np.asarray(north, dtype=np.float64)


@lru_cache(maxsize=32)
def _to_equal_area(crs: str) -> Transformer:
    return Transformer.from_crs(crs, _EQUAL_AREA, always_xy=True)


def _on_equal_area(footprint: BaseGeometry) -> BaseGeometry:
    to = _to_equal_area("EPSG:4326")
    drawn = shapely.transform(footprint, lambda c: np.column_stack(to.transform(c[:, 0], c[:, 1])))
    return drawn if drawn.is_valid else shapely.make_valid(drawn)


def _cosine(y: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    """Cosine of the latitude of a northing; on the sphere, which is off by less than a percent."""
    sine = np.asarray(y) * _TRUE_LATITUDE / 6_371_007.2
    return np.sqrt(np.clip(1.0 - sine**2, 0.0025, 1.0))


def _grown(ground: BaseGeometry, margin_m: float) -> BaseGeometry:
    """The ground and what lies within the margin of it, distances as on the ground."""
    if not margin_m:
        return ground
    cosine = float(_cosine(ground.centroid.y))
    to_ground = cosine / _TRUE_LATITUDE
    flat = affinity.scale(ground, to_ground, 1.0 / to_ground, origin=(0.0, 0.0))
    # A polygon of 64 corners lies inside the circle by a thousandth of its radius.
    wide = flat.buffer(margin_m * (1.0 - 1e-6), quad_segs=16)
    return affinity.scale(wide, 1.0 / to_ground, to_ground, origin=(0.0, 0.0))


def _blocks_under(ground: BaseGeometry, side_m: float) -> Iterator[Block]:
    """Blocks that share area with it, by a hair less: a footprint that ends on a line stays on its side."""
    if ground.is_empty:
        return
    left, bottom, right, top = ground.bounds
    hair = side_m * 1e-6
    cols = range(math.floor((left + hair) / side_m), math.floor((right - hair) / side_m) + 1)
    rows = range(math.floor((bottom + hair) / side_m), math.floor((top - hair) / side_m) + 1)
    shapely.prepare(ground)
    for col in cols:
        for row in rows:
            square = shapely.box(
                col * side_m + hair, row * side_m + hair, (col + 1) * side_m - hair, (row + 1) * side_m - hair
            )
            if ground.intersects(square):
                yield Block(col, row)
