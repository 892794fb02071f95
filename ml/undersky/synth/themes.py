"""Kinds of country that a simulated landscape may be."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Theme:
    """What kind of country it is. Levels are in standard deviations of a noise: higher is rarer."""

    relief_m: float
    """Typical height of hills above the valley."""
    base_m: float
    """Height of the valley above the sea."""
    forest: float
    """Level above which forest grows."""
    settlement: float
    """Level above which people live."""
    river: bool
    """True when a river runs through."""
    lake: float
    """Level above which a lake lies."""
    sea: bool
    """True when a coast crosses the footprint."""
    dry: float
    """Share of the open land that is bare whatever the season, 0 .. 1."""
    snow_line_m: float
    """Height of the snow line in midsummer."""
    burnt: float
    """Level above which the land has burnt."""


NEVER = 99.0
"""A level that no noise reaches."""

THEMES = MappingProxyType(
    {
        "fields": Theme(60, 150, 1.0, 1.3, True, 2.3, False, 0.05, 3000, 2.6),
        "forest": Theme(250, 400, -0.6, 1.9, True, 1.7, False, 0.05, 3000, 1.7),
        "town": Theme(60, 80, 1.0, 0.1, True, 2.2, False, 0.05, 3000, NEVER),
        "coast": Theme(120, 0, 0.8, 1.1, False, 2.4, True, 0.15, 3000, 2.2),
        "mountain": Theme(1500, 750, -0.2, 1.9, True, 2.0, False, 0.10, 2150, 2.4),
        "desert": Theme(150, 300, NEVER, 2.2, False, NEVER, False, 0.95, 4000, NEVER),
        "lakes": Theme(80, 120, -0.1, 1.7, True, 0.9, False, 0.05, 3000, 2.2),
    }
)
"""Kinds of landscape by name."""
