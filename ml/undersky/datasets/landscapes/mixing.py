"""What each class looks like from above: shares of its materials, pixel by pixel.

Materials alone do not tell the classes apart, as they do not in nature: wood, maize, meadow, reed and
mangrove are green leaves; ploughed soil and bare ground are soil. What differs is how they lie:

    tree_cover   closed canopy, speckled by the shade between crowns; leafless in winter, in part
    shrubland    clumps of leaves on dry grass and soil
    grassland    green to dry, softly mottled as it is grazed
    cropland     every parcel in a state of its own: green, ripe, stubble, ploughed; flat inside
    built_up     roofs and streets some pixels wide, with gardens
    bare         soil and sand in large smooth shapes, rock shade
    wetland      leaves and dead stalks over water, streaked
    mangroves    closed canopy cut by creeks
    moss_lichen  low dull green and dry, mottled with stones and ponds
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.datasets.landscapes.layout import Layout, rough
from undersky.grid import Floats

Shares = dict[str, Floats]
"""Kind of STUFF to its share of every pixel, (y, x); what is left of a pixel is shade."""


@dataclass(frozen=True, slots=True)
class Season:
    """What time of the year does to a landscape."""

    green: float
    """0 in drought or winter, 1 in full growth."""
    leafless: float
    """Share of the trees that have dropped their leaves."""

    @property
    def name(self) -> str:
        """In a word."""
        return ("dormant", "turning", "green")[min(2, int(3.0 * self.green))]

    @classmethod
    def draw(cls, generator: np.random.Generator) -> "Season":
        """A season; in four of ten landscapes no tree is leafless."""
        green = float(generator.uniform(0.0, 1.0))
        bare = float(generator.uniform(0.0, 0.8)) * max(0.0, 1.0 - 1.6 * green)
        return cls(green, bare if generator.random() < 0.6 else 0.0)


def shares_of(name: str, layout: Layout, season: Season, generator: np.random.Generator) -> Shares:
    """What the class consists of where it lies, everywhere.

    Args:
        name: Slug of the class.
        layout: For its size and its parcels.
        season: Of the landscape.
        generator: Of its textures.
    """
    return _RECIPES[name](_Brush(layout, season, generator))


@dataclass(frozen=True, slots=True)
class _Brush:
    """What a recipe paints with."""

    layout: Layout
    season: Season
    chance: np.random.Generator

    def rough(self, length: float, slope: float = 2.6) -> Floats:
        return rough(len(self.layout.cover), length, self.chance, slope=slope)

    def uniform(self, low: float, high: float) -> float:
        return float(self.chance.uniform(low, high))

    def parcels(self) -> Floats:
        return self.layout.parcels.draw(int(self.chance.integers(1 << 40)))


def _clip(value: npt.NDArray[np.floating[Any]], low: float = 0.0, high: float = 1.0) -> Floats:
    return np.asarray(np.clip(value, low, high), dtype=np.float32)


def _trees(brush: _Brush) -> Shares:
    closed = _clip(brush.uniform(0.85, 0.97) + 0.05 * brush.rough(14.0))
    shade = _clip(brush.uniform(0.22, 0.36) + brush.uniform(0.11, 0.17) * brush.rough(1.5, 1.2), 0.0, 0.75)
    leafless = brush.season.leafless * _clip(1.0 + 0.25 * brush.rough(9.0), 0.0, 1.2)
    lit = closed * (1.0 - shade)
    return {"dense": lit * (1.0 - leafless), "dry": lit * leafless + 0.6 * (1.0 - closed) * (1.0 - shade)}


def _shrubs(brush: _Brush) -> Shares:
    clump = _clip(0.5 + 0.9 * (brush.rough(2.5, 1.8) + brush.uniform(-0.4, 0.3)))
    leaves = clump * brush.uniform(0.6, 0.85)
    dry = brush.uniform(0.1, 0.4) * (1.0 - leaves)
    return {"leafy": 0.85 * leaves, "dry": dry, "soil": 0.95 * (1.0 - leaves - dry)}


def _grass(brush: _Brush) -> Shares:
    mottled = 0.09 * brush.rough(4.0, 2.2) + 0.06 * brush.rough(16.0, 3.0)
    green = _clip(0.15 + 0.65 * brush.season.green + mottled, 0.03, 0.95)
    return {"sparse": green, "dry": 1.0 - green}


def _crops(brush: _Brush) -> Shares:
    calendar, tone = brush.parcels(), 0.55 + 0.25 * brush.parcels()
    shift = brush.season.green - 0.5
    green = _clip(5.0 * (calendar - 0.5 + 0.45 * shift)) * _clip(0.96 + 0.03 * brush.rough(20.0, 3.0))
    stubble = _clip(4.0 * brush.parcels() - 2.2) * (1.0 - green)
    return {"dense": 1.05 * green, "dry": 0.9 * stubble, "soil": (1.0 - green - stubble) * tone}


def _town(brush: _Brush) -> Shares:
    roof = _clip(0.5 + 1.2 * (brush.rough(1.2, 0.9) + brush.uniform(-0.3, 0.4)))
    garden = _clip(0.35 * (brush.rough(2.5, 1.5) + brush.uniform(-0.4, 0.6)), 0.0, 0.7)
    green = 0.35 + 0.5 * brush.season.green
    return {
        "roof": roof * (1.0 - garden), "street": (1.0 - roof) * (1.0 - garden) * 0.92,
        "leafy": garden * green, "dry": garden * (1.0 - green) * 0.8,
    }  # fmt: skip


def _bare(brush: _Brush) -> Shares:
    sand = _clip(0.5 + 1.5 * (brush.rough(26.0) + brush.uniform(-1.5, 1.5)))
    sparse = _clip(brush.uniform(-0.02, 0.06) + 0.02 * brush.rough(6.0))
    grain = brush.uniform(0.95, 1.25) * (1.0 + brush.uniform(0.02, 0.08) * brush.rough(8.0))
    return {
        "sand": sand * (1.0 - sparse) * grain, "soil": (1.0 - sand) * (1.0 - sparse) * grain,
        "dry": 0.6 * sparse, "leafy": 0.4 * sparse,
    }  # fmt: skip


def _snow(brush: _Brush) -> Shares:
    rock = _clip(brush.uniform(-0.35, 0.05) + 0.22 * brush.rough(5.0))
    return {"snow": 1.0 - rock, "soil": 0.9 * rock}


def _water(brush: _Brush) -> Shares:
    return {"water": 1.0 + 0.05 * brush.rough(20.0, 3.0)}


def _reeds(brush: _Brush) -> Shares:
    wet = _clip(brush.uniform(0.42, 0.58) + 0.2 * brush.rough(4.0, 2.0), 0.1, 0.85)
    green = _clip(0.2 + 0.65 * brush.season.green + 0.15 * brush.rough(7.0), 0.05, 0.95)
    land = (1.0 - wet).astype(np.float32)
    return {"water": wet, "leafy": 0.95 * green * land, "dry": 0.9 * (1.0 - green) * land}


def _mangroves(brush: _Brush) -> Shares:
    creek = np.exp(-((brush.rough(7.0) / brush.uniform(0.2, 0.3)) ** 2))
    wet = _clip(brush.uniform(0.28, 0.38) + 0.6 * creek, 0.0, 0.92)
    return {"dense": (1.0 - wet) * _clip(0.92 + 0.04 * brush.rough(1.5, 1.2), 0.6, 1.0), "water": wet}


def _moss(brush: _Brush) -> Shares:
    stones = _clip(brush.uniform(0.1, 0.25) + 0.2 * brush.rough(3.0, 1.8), 0.0, 0.8)
    pond = _clip(0.9 * brush.rough(5.0) - 1.5)
    low = (1.0 - stones) * (1.0 - pond) * brush.uniform(0.55, 0.7)
    green = _clip(0.3 + 0.25 * brush.season.green + 0.1 * brush.rough(6.0), 0.1, 0.7)
    return {
        "sparse": low * green, "dry": low * (1.0 - green), "soil": 0.8 * stones * (1.0 - pond), "water": pond,
    }  # fmt: skip


_RECIPES = {
    "tree_cover": _trees, "shrubland": _shrubs, "grassland": _grass, "cropland": _crops, "built_up": _town,
    "bare": _bare, "snow_ice": _snow, "water": _water, "wetland": _reeds, "mangroves": _mangroves,
    "moss_lichen": _moss,
}  # fmt: skip
