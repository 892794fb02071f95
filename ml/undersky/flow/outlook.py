"""What an area would bring, before it is added: scenes, gigabytes and hours, asked upstream.

Recent days are searched as a whole; of past dates at most `SAMPLED` windows, evenly spread, and the rest is
taken to be like them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from statistics import mean

from undersky.errors import UnderskyError
from undersky.flow.discover import providers
from undersky.flow.windows import Window, fresh_window, historical_windows
from undersky.refs import Kind, Lane
from undersky.services.granules import Wish, read_item
from undersky.services.ledger import Announcement, Area, Ledger, Selection
from undersky.services.profiles import Profile
from undersky.services.search import Pace, Question, TooManyPages, search

SAMPLED = 24
"""Windows of past dates that are searched at most."""
_TILE_SECONDS = 131.0
_LANDSAT_SHARE = 0.7
_DEFAULTS = {
    "sentinel-2-l1c": (_TILE_SECONDS, "measured for a full tile on two cores, README"),
    "landsat-c2-l1": (
        _TILE_SECONDS * _LANDSAT_SHARE,
        "a full Sentinel-2 tile on two cores, README, by pixels",
    ),
}
_LEARNT_FROM = 200


@dataclass(frozen=True, slots=True)
class Speed:
    """How long a scene takes one worker."""

    seconds: float
    source: str
    """Where the figure comes from."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one collection would bring in one lane."""

    collection: str
    lane: Lane
    profile: str | None
    """Who was asked; None where nobody answered."""
    scenes: int
    gigabytes: float
    hours: float
    """Of one worker, without the download."""
    rejected: Mapping[str, int]
    """Found and not wanted, by reason."""
    windows: int
    """Windows that there are."""
    searched: int
    """Of those, how many were asked for; fewer than `windows`: the scenes are extrapolated."""
    seconds_source: str
    error: str | None = None
    """Why nobody answered."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an area would bring."""

    lines: tuple[Line, ...]

    @property
    def is_complete(self) -> bool:
        """Whether an archive answered for everything."""
        return all(line.error is None for line in self.lines)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "scenes": sum(line.scenes for line in self.lines),
            "gigabytes": round(sum(line.gigabytes for line in self.lines), 1),
            "hours": round(sum(line.hours for line in self.lines), 2),
            "complete": self.is_complete,
            "lines": [asdict(line) for line in self.lines],
        }


@dataclass(slots=True)
class _Tally:
    keys: dict[str, float] = field(default_factory=dict)
    """Granule key -> megabytes: other deliveries of the same granule are the same work."""
    rejected: Counter[str] = field(default_factory=Counter)


def outlook(
    area: Area, profiles: Mapping[str, Profile], *, now: datetime, ledger: Ledger | None = None
) -> Outlook:
    """What an area would bring, by collection and lane; upstream is asked, nothing is recorded.

    Args:
        area: Not yet in the ledger.
        profiles: Every provider.
        now: Where fresh ends (aware).
        ledger: Knows how long scenes took here; None takes a stated default.
    """
    return Outlook(
        tuple(
            _line(profiles, Wish(area, collection, lane, now), seconds_for(collection, ledger))
            for collection in area.collections
            for lane in Lane
        )
    )


def seconds_for(collection: str, ledger: Ledger | None) -> Speed:
    """Seconds that a scene of a collection takes one worker, and how that is known."""
    if ledger is not None:
        meant = Selection(state="published", collection=collection, kind=Kind.SURFACE)
        published = ledger.products(meant, limit=_LEARNT_FROM)
        took = [product.made.seconds for product in published if product.made is not None]
        if took:
            return Speed(mean(took), f"mean of the last {len(took)} products here")
    return Speed(*_DEFAULTS[collection])


def _line(profiles: Mapping[str, Profile], wish: Wish, speed: Speed) -> Line:
    """Asks one provider after the other until one answers."""
    errors, collection = [], wish.collection
    for name in providers(wish.area, collection, profiles):
        profile = profiles[name]
        windows = _windows(profile, wish)
        chosen = _spread(windows)
        try:
            tally = _searched(profile, chosen, wish)
        except UnderskyError as error:
            errors.append(f"{name}: {error}")
            continue
        share = len(windows) / len(chosen) if chosen else 1.0
        scenes = round(len(tally.keys) * share)
        return Line(
            collection=collection,
            lane=wish.lane,
            profile=name,
            scenes=scenes,
            gigabytes=round(sum(tally.keys.values()) * share / 1000.0, 3),
            hours=round(scenes * speed.seconds / 3600.0, 3),
            rejected=dict(tally.rejected),
            windows=len(windows),
            searched=len(chosen),
            seconds_source=f"{speed.seconds:.0f} s a scene, {speed.source}",
        )
    return Line(
        collection, wish.lane, None, scenes=0, gigabytes=0.0, hours=0.0, rejected={}, windows=0, searched=0,
        seconds_source=speed.source, error="; ".join(errors) or f"no profile has {collection}",
    )  # fmt: skip


def _windows(profile: Profile, wish: Wish) -> list[Window]:
    if wish.lane is Lane.FRESH:
        window = fresh_window(profile, wish.area, [], now=wish.now)
        return [window] if window else []
    return list(historical_windows(profile, wish.area, now=wish.now))


def _spread(windows: Sequence[Window]) -> list[Window]:
    """All of few; of many some, evenly spread over the years and so over the seasons."""
    if len(windows) <= SAMPLED:
        return list(windows)
    step = len(windows) / SAMPLED
    return [windows[int((number + 0.5) * step)] for number in range(SAMPLED)]


def _searched(profile: Profile, windows: Sequence[Window], wish: Wish) -> _Tally:
    tally, pace = _Tally(), Pace(profile.requests_per_second)
    for window in windows:
        for item in _items(profile, window, wish, pace):
            read = read_item(item, profile, wish)
            if isinstance(read, Announcement):
                tally.keys[read.key] = _megabytes(read, profile)
            else:
                tally.rejected[read.reason] += 1
    return tally


def _items(profile: Profile, window: Window, wish: Wish, pace: Pace) -> Iterator[object]:
    """The Items of a window, in halves where it is too full."""
    question = Question(wish.collection, wish.area.geometry, window.begin, window.end)
    try:
        # A window as a whole: Items of one that turns out too full must not count twice.
        found = [item for page in search(profile, question, pace=pace) for item in page.items]
    except TooManyPages:
        if not window.can_be_halved:
            raise
        for half in window.halves():
            yield from _items(profile, half, wish, pace)
        return
    yield from found


def _megabytes(announcement: Announcement, profile: Profile) -> float:
    """What it weighs, as its Item says, or as the provider's scenes usually do."""
    sizes = [file.size for file in announcement.files]
    known = [size for size in sizes if size is not None]
    if known and len(known) == len(sizes):
        return sum(known) / 1e6
    return profile.product(announcement.collection).megabytes
