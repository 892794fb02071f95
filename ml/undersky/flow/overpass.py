"""When satellites pass a tile, and when their data usually come: so that an absence can be judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from undersky.refs import Lane
from undersky.services.ledger import Acquisition
from undersky.tiles import is_wrs2

SENTINEL_2_REPEAT = timedelta(days=10)
"""A Sentinel-2 satellite flies the same orbit again after 143 revolutions."""
LANDSAT_REPEAT = timedelta(days=16)
"""A Landsat satellite flies the same path again after 233 revolutions."""
_REVOLUTION = LANDSAT_REPEAT / 233
_PHASE_DAYS = {"LC08": 6.6047, "LC09": 14.6044}
"""Passage of WRS-2 path 1, row 60, days after 1970-01-01 modulo 16.

Read off SCENE_CENTER_TIME of eight real scenes of 2013 to 2023; every one fits within two minutes.
"""
_SAME = timedelta(minutes=30)
_DRIFT = timedelta(days=120)
"""Orbits are kept, but satellites are moved within the constellation: an older passage proves nothing."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One time that a satellite sees a tile."""

    platform: str
    """`S2B`, `LC09`."""
    time: datetime
    """Within minutes (aware, UTC)."""
    source: str
    """How it is known."""


def passes(
    tile: str, seen: Iterable[tuple[str, datetime]], *, begin: datetime, end: datetime
) -> tuple[Pass, ...]:
    """When satellites pass a tile in a span of time, as far as that can be known, earliest first.

    A satellite that was seen there comes back after its repeat cycle. Landsat's paths are known without;
    which of Sentinel-2's orbits see a tile is only known of tiles that were seen before.

    Args:
        tile: MGRS tile or WRS-2 path and row.
        seen: Platform and time of known acquisitions of that tile.
        begin: Start of the span (aware).
        end: End of the span.
    """
    repeat = LANDSAT_REPEAT if is_wrs2(tile) else SENTINEL_2_REPEAT
    found: list[Pass] = []
    known = set()
    for platform, time in sorted(seen, key=lambda each: each[1]):
        if begin - _DRIFT <= time <= end + _DRIFT:
            known.add(platform)
            how = f"it passed on {time:%Y-%m-%d}, and does so every {repeat.days} days"
            found += [Pass(platform, moment, how) for moment in _repeated(time, repeat, begin, end)]
    if is_wrs2(tile):
        for platform in _PHASE_DAYS.keys() - known:
            how = f"path {tile[:3]} by its nominal orbit"
            first = _nominal(platform, tile)
            found += [Pass(platform, moment, how) for moment in _repeated(first, repeat, begin, end)]
    return tuple(_once(found))


def usual_delay(acquisitions: Sequence[Acquisition]) -> timedelta | None:
    """How long after sensing fresh scenes were first announced here: the median; None without any."""
    waited = [each.discovered - each.sensed for each in acquisitions if each.lane is Lane.FRESH]
    return timedelta(seconds=median(each.total_seconds() for each in waited)) if waited else None


def _nominal(platform: str, tile: str) -> datetime:
    """A passage of a path and row by the nominal orbit: revolution n sees path 1 + 16 n modulo 233."""
    path, row = int(tile[:3]), int(tile[3:])
    revolution = (path - 1) * pow(16, -1, 233) % 233
    after = (revolution + (row - 60) / 248) * _REVOLUTION
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=_PHASE_DAYS[platform]) + after


def _once(found: list[Pass]) -> list[Pass]:
    """Each passage once, in order: datastrips slice it, and every earlier one predicts it."""
    once: list[Pass] = []
    for each in sorted(found, key=lambda each: (each.platform, each.time)):
        if not once or once[-1].platform != each.platform or each.time - once[-1].time > _SAME:
            once.append(each)
    return sorted(once, key=lambda each: (each.time, each.platform))


def _repeated(time: datetime, repeat: timedelta, begin: datetime, end: datetime) -> list[datetime]:
    first = time + repeat * -((time - begin) // repeat)
    return [first + repeat * step for step in range((end - first) // repeat + 1)]
