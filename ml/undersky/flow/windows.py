"""Which stretches of sensing time are to be searched: recent ones again and again, past ones once.

    area.since                      now - fresh_days                    now
        |  [ w3 ][ w2 ][ w1 ][ w0 ]  |            <-- overlap --|--------|
                 historical                       fresh

Announcements come late and out of order, so a fresh search looks back before the last one, and once a day
over all fresh days. Historical windows lie on a fixed raster: the recorded searches say which are done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from undersky.services.ledger import Area, Search
from undersky.services.profiles import Profile

DEEP_EVERY = timedelta(days=1)
"""How often all fresh days are searched."""
SMALLEST = timedelta(hours=1)
"""A window that is too full is halved down to this."""
_EPOCH = datetime(2013, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of sensing time, UTC."""

    begin: datetime
    end: datetime

    def halves(self) -> tuple["Window", "Window"]:
        """Its earlier and its later half, meeting at a whole second."""
        middle = (self.begin + (self.end - self.begin) / 2).replace(microsecond=0)
        return Window(self.begin, middle), Window(middle, self.end)

    @property
    def can_be_halved(self) -> bool:
        """Whether it is longer than the smallest."""
        return self.end - self.begin > 2 * SMALLEST


def fresh_window(profile: Profile, area: Area, done: Sequence[Search], *, now: datetime) -> Window | None:
    """What is to be searched for recent scenes; None when the area wants none.

    Args:
        profile: Whose archive.
        area: Whose dates.
        done: Successful searches of this area, profile and collection in the fresh lane.
        now: Aware.
    """
    first = max(_start_of(area), now - timedelta(days=profile.fresh_days))
    end = min(now, _end_of(area, now))
    if end <= first:
        return None
    if not done or not _looked_deep(done, first, now):
        return Window(first, end)
    last = max(search.end for search in done)
    return Window(min(max(first, last - profile.overlap), end - SMALLEST), end)


def _looked_deep(done: Sequence[Search], first: datetime, now: datetime) -> bool:
    """Whether the fresh days were searched from their start within the last day."""
    reach = first + DEEP_EVERY + SMALLEST
    return any(
        search.begin <= reach and search.time is not None and now - search.time < DEEP_EVERY
        for search in done
    )


def historical_windows(profile: Profile, area: Area, *, now: datetime) -> Iterator[Window]:
    """The past dates of an area in windows, newest first."""
    step = timedelta(days=profile.window_days)
    first = _start_of(area)
    # Whole days: the newest window grows once a day and not with every run.
    end = min(_midnight(now - timedelta(days=profile.fresh_days)), _end_of(area, now))
    while end > first:
        number = -((_EPOCH - end) // step) - 1  # the window that ends at `end` or holds it
        begin = max(first, _EPOCH + number * step)
        yield Window(begin, end)
        end = begin


def is_done(window: Window, searches: Sequence[Search], *, profile: Profile, now: datetime) -> bool:
    """Whether one of the searches went through over the whole window, not too long ago."""
    oldest = now - timedelta(days=profile.recheck_days)
    return any(
        search.begin <= window.begin
        and search.end >= window.end
        and search.time is not None
        and search.time >= oldest
        for search in searches
    )


def _start_of(area: Area) -> datetime:
    return datetime.combine(area.since, time.min, UTC)


def _end_of(area: Area, now: datetime) -> datetime:
    """The midnight after its last day, or now."""
    return now if area.until is None else datetime.combine(area.until, time.min, UTC) + timedelta(days=1)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), time.min, UTC)
