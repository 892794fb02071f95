"""What crosses process borders for the rolling map of a tile: which maps it is of, and what came of it.

<store>/rolls/<run>/<tile>/order.json       the tile, its lease, its maps       TileOrder
                          /rolled.json      how it ended                        RolledRef

Keys are deterministic, as those of `undersky.refs`.
"""

from datetime import datetime
from enum import StrEnum

from undersky.refs import Ending, Made, Reference

ROLL_RULE = "1"
"""`inference.rolling.VERSION`, known without loading numpy: the ledger rolls every tile again under another
one. A test holds them equal."""

HORIZON_DAYS = 365
"""Maps older than that, seen from the newest one of the tile, are not of its rolling map."""
MOST_MAPS = 24
"""Maps, the newest ones, of which a rolling map is made at most."""

LATEST = "-latest"
"""End of the name of a collection of rolling maps: `sentinel-2-landcover-latest`."""


class TileStage(StrEnum):
    """The heavy verbs that a tile goes through."""

    ROLL = "roll"


class TileRef(Reference):
    """One tile whose rolling map is to be made, with the lease under which that happens."""

    collection: str
    """Collection of the maps, `sentinel-2-landcover`."""
    tile: str
    """MGRS tile, or Landsat path and row."""
    token: int
    """Fencing token of the lease."""
    products: tuple[Made, ...] = ()
    """The maps that count, oldest sensing first; none where the rolling map is to be taken back."""
    sensed: datetime | None = None
    """Start of sensing of the newest of them (aware)."""


class TileOrder(Reference):
    """What a run is to do for one tile."""

    run: str
    """Id of the run that claimed it."""
    tile: TileRef


class RolledRef(Reference):
    """How a tile left its stage."""

    tile: str
    """As the order names it."""
    ending: Ending
    """`done`, `retry`, or `failed`."""
    reason: str = "ok"
    """Stable code."""
    sentence: str = ""
    """For a person: what was found, what was expected, the cure."""
    made: Made | None = None
    """The rolling map; None where there is none to be made, or it failed."""
