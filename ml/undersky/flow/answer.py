"""Questions about a tile on a day, and what an answer is."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Self

from undersky.errors import ConfigError
from undersky.tiles import is_wrs2, site, tile_name

_TILE = re.compile(r"(?<![0-9A-Z])T?(\d\d[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]|\d{6})(?![0-9A-Z])")
_DAY = re.compile(r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)(?=T|\D|$)")
_SENSORS = ("S2", "S2A", "S2B", "S2C", "S2D", "L", "L8", "L9")


class Case(StrEnum):
    """What may be the matter with a scene."""

    NOT_UPSTREAM = "not_upstream"
    """Searched for, and no archive has it yet."""
    OUTSIDE = "outside"
    """No area asks for it."""
    FILTERED = "filtered"
    """An archive has it, and it is not wanted."""
    SUPERSEDED = "superseded"
    """A newer delivery of the same acquisition took its place."""
    WAITING = "waiting"
    """Known, and its turn has not come."""
    SKIPPED = "skipped"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    PUBLISHED = "published"
    WORKING = "working"
    """Somebody holds a lease on it."""
    HELD = "held"
    """The product failed its expectations."""
    PAUSED = "paused"
    """Its area is paused, and no search covered the day."""
    NEVER_SEARCHED = "never_searched"
    """An area asks for it, and no search has covered the day yet."""
    WITHDRAWN = "withdrawn"
    """Its product is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is the matter with one scene."""

    case: Case
    text: str
    """One paragraph for a person."""
    acquisition: str | None = None
    """Key in the ledger; None where it has no row."""
    scene: str | None = None
    """Id of the delivery."""
    reason: str | None = None
    """Stable code."""
    since: datetime | None = None
    href: str | None = None
    """Address of the published Item."""
    log: str | None = None
    """Log of whoever changed it last."""
    next_pass: datetime | None = None
    """When a satellite comes by next, where nothing is there yet."""


@dataclass(frozen=True, slots=True)
class Question:
    """A tile on a day, and one sensor or all."""

    tile: str
    """MGRS tile or WRS-2 path and row."""
    day: date
    """Of sensing, UTC."""
    sensor: str | None = None
    """`S2`, `S2B`, `L`, `L9`; None for all."""

    def __post_init__(self) -> None:
        site(self.tile)  # what is no tile is refused here
        if self.sensor is not None and is_wrs2(self.tile) != self.sensor.startswith("L"):
            grid = "a WRS-2 path and row of Landsat" if is_wrs2(self.tile) else "an MGRS tile of Sentinel-2"
            raise ConfigError(f"{self.tile} is {grid}; {self.sensor} delivers on the other grid")

    @classmethod
    def asked(cls, tile: str, day: date, sensor: str | None = None) -> Self:
        """The question as people write it: `t30tvp`, `192/029`; `sentinel-2b`, `LC09`.

        Raises:
            ConfigError: No such tile or sensor.
        """
        return cls(tile_name(tile), day, sensor_name(sensor) if sensor else None)

    @classmethod
    def of_name(cls, name: str) -> Self:
        """The question that the name of a scene, an acquisition or an Item stands for.

        Raises:
            ConfigError: It names no tile and date.
        """
        tile, day = _TILE.search(name.replace("_", " ")), _DAY.search(name)
        if tile is None or day is None:
            raise ConfigError(
                f"the ledger has never met {name!r}, and no tile and date can be read from it: "
                "ask with --tile and --date"
            )
        try:
            return cls(tile[1], date(*(int(part) for part in day.groups())))
        except ValueError as error:
            raise ConfigError(f"{name!r} names no day of the calendar") from error

    @property
    def collection(self) -> str:
        """The Level-1 collection on whose grid the tile lies."""
        return "landsat-c2-l1" if is_wrs2(self.tile) else "sentinel-2-l1c"

    def means(self, platform: str) -> bool:
        """Whether the question is about that platform as well, however it is written."""
        return self.sensor is None or sensor_name(platform).startswith(self.sensor)


def sensor_name(text: str) -> str:
    """The short name of a sensor, constellation or platform: `S2B`, `S2`, `L9`, `L`.

    Raises:
        ConfigError: There is none of that name.
    """
    plain = re.sub(r"[^A-Z0-9]", "", text.upper())
    plain = re.sub(r"^SENTINEL", "S", plain)
    plain = re.sub(r"^(LANDSAT|L[COT])0?(?=\d|$)", "L", plain)
    if plain not in _SENSORS:
        raise ConfigError(f"{text!r} is no sensor; one of {', '.join(_SENSORS)}")
    return plain
