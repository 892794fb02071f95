"""`undersky discover`: asks every provider of every area what is new, and puts it into the ledger.

    area x profile x collection --windows--> search --read_item--> announce | reject --> recorded search

Whatever was announced stays announced if the run dies; the search itself is recorded last, so that a window
that was not searched to its end is searched again. A provider that fails is reported and holds up no other.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from undersky.errors import ConfigError, UnderskyError
from undersky.flow.windows import Window, fresh_window, historical_windows, is_done
from undersky.refs import Lane
from undersky.services.granules import Wish, read_item
from undersky.services.ledger import Actor, Announced, Announcement, Area, Rejection, Search
from undersky.services.profiles import Profile
from undersky.services.search import Pace, Page, Question, TooManyPages, search

HISTORICAL_SHARE = 0.8
"""Of a quota: the rest is kept for fresh scenes."""
WINDOWS = 12
"""Historical windows that one run searches for each area, provider and collection."""
_LOOK_BACK = 400
_DAY_OF_SEARCHES = 20_000
_COUNTED = (Announced.NEW, Announced.NEWER, Announced.TWIN)


class Book(Protocol):
    """What of the ledger discovering uses."""

    def areas(self, *, active: bool = False) -> tuple[Area, ...]:
        """Areas."""

    def searches(
        self, *, area: str | None = None, covering: datetime | None = None, limit: int = 100
    ) -> tuple[Search, ...]:
        """Searches, newest first."""

    def record_search(self, search: Search, rejections: Sequence[Rejection], by: Actor) -> int:
        """Keeps a search."""

    def announce(self, announcement: Announcement, by: Actor) -> Announced:
        """Keeps an announcement."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A provider that could not be asked."""

    area: str
    profile: str
    collection: str
    error: str
    """Class of the error."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a run of discovering came to."""

    lane: Lane
    searches: int = 0
    pages: int = 0
    found: int = 0
    announced: Mapping[str, int] = field(default_factory=dict)
    """Announcements by what they meant: new, known, newer, older, twin."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Rejections by reason."""
    failures: tuple[Failure, ...] = ()
    paused: tuple[str, ...] = ()
    """Profiles whose quota is used up: a sentence each."""
    left: int = 0
    """Historical windows still to be searched, by later runs."""

    @property
    def fresh_news(self) -> int:
        """Deliveries that there is now work for."""
        return sum(self.announced.get(kind, 0) for kind in _COUNTED)


def discover(
    ledger: Book,
    profiles: Mapping[str, Profile],
    *,
    lane: Lane,
    by: Actor,
    now: datetime,
    areas: Collection[str] | None = None,
    windows: int = WINDOWS,
) -> Discovered:
    """Every active area's providers were asked, and what they have is in the ledger.

    Args:
        ledger: Where areas come from and everything goes to.
        profiles: All that are known.
        lane: Recent scenes or past ones.
        by: Who acts.
        now: Aware.
        areas: Names of the areas to look for; all active ones when None.
        windows: Historical windows to search at most, for each area, provider and collection.

    Raises:
        ConfigError: An area of that name is not there, or paused.
        ServiceError: The ledger failed. A provider's failure is not raised but reported.
    """
    run = _Run(ledger, profiles, lane=lane, by=by, now=now, windows=windows)
    for area in _chosen(ledger, areas):
        for collection in area.collections:
            for name in providers(area, collection, profiles):
                run.ask(area, name, collection)
    return run.result()


def providers(area: Area, collection: str, profiles: Mapping[str, Profile]) -> list[str]:
    """Names of the providers to ask for a collection: the area's, or every one that has it."""
    if not area.profiles:
        return [name for name, profile in profiles.items() if collection in profile.collections]
    return [
        name for name in area.profiles if name not in profiles or collection in profiles[name].collections
    ]


def _chosen(ledger: Book, names: Collection[str] | None) -> list[Area]:
    areas = {area.name: area for area in ledger.areas(active=True)}
    if names is None:
        return list(areas.values())
    if missing := sorted(set(names) - set(areas)):
        raise ConfigError(
            f"no active area is called {', '.join(missing)}; there are {', '.join(areas) or 'none'}"
        )
    return [areas[name] for name in areas if name in set(names)]


class _Run:
    """One run: what it has done so far."""

    def __init__(
        self,
        ledger: Book,
        profiles: Mapping[str, Profile],
        *,
        lane: Lane,
        by: Actor,
        now: datetime,
        windows: int,
    ) -> None:
        self._ledger, self._profiles, self._lane = ledger, profiles, lane
        self._by, self._now, self._windows = by, now, windows
        self._paces = {name: Pace(profile.requests_per_second) for name, profile in profiles.items()}
        self._total = Discovered(lane)
        self._announced: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._taken: dict[str, int] = {}
        self._failures: list[Failure] = []
        self._paused: dict[str, str] = {}

    def result(self) -> Discovered:
        return replace(
            self._total,
            announced=dict(self._announced),
            rejected=dict(self._rejected),
            failures=tuple(self._failures),
            paused=tuple(self._paused.values()),
        )

    def ask(self, area: Area, name: str, collection: str) -> None:
        """All windows of one provider, until one fails."""
        profile = self._profiles.get(name)
        if profile is None:
            known = ", ".join(self._profiles)
            missing = ConfigError(
                f"area {area.name} asks for profile {name}, which is not there; known: {known}"
            )
            self._fail(area, name, collection, missing)
            return
        for window in self._wanted(area, profile, collection):
            if name in self._paused or not self._through(area, profile, collection, window):
                return

    def _wanted(self, area: Area, profile: Profile, collection: str) -> Iterator[Window]:
        if self._lane is Lane.FRESH:
            recent = self._done(area, profile, collection, limit=_LOOK_BACK)
            start = self._now - timedelta(days=profile.fresh_days) + timedelta(hours=25)
            deep = self._done(area, profile, collection, covering=start, limit=_LOOK_BACK)
            window = fresh_window(profile, area, [*recent, *deep], now=self._now)
            yield from [window] if window else []
            return
        searched = 0
        for window in historical_windows(profile, area, now=self._now):
            middle = window.begin + (window.end - window.begin) / 2
            done = self._done(area, profile, collection, covering=middle, limit=_LOOK_BACK)
            if is_done(window, done, profile=profile, now=self._now):
                continue
            if searched < self._windows:
                yield window
            else:
                self._total = replace(self._total, left=self._total.left + 1)
            searched += 1

    def _done(
        self, area: Area, profile: Profile, collection: str, *, limit: int, covering: datetime | None = None
    ) -> list[Search]:
        return [
            one
            for one in self._ledger.searches(area=area.name, covering=covering, limit=limit)
            if (one.profile, one.collection, one.lane) == (profile.name, collection, self._lane)
            and one.error is None
        ]

    def _through(self, area: Area, profile: Profile, collection: str, window: Window) -> bool:
        """Searches a window, in halves where it is too full; whether it went through."""
        error = self._search(area, profile, collection, window)
        if isinstance(error, TooManyPages) and window.can_be_halved:
            # the earlier half first: the end of the last search is where the next one begins
            return all(self._through(area, profile, collection, half) for half in window.halves())
        if error is not None:
            self._fail(area, profile.name, collection, error)
        return error is None

    def _search(self, area: Area, profile: Profile, collection: str, window: Window) -> UnderskyError | None:
        """One search, recorded with all that it found; the error that ended it early."""
        begun = time.monotonic()
        wish = Wish(area, collection, self._lane, self._now)
        question = Question(collection, area.geometry, window.begin, window.end)
        tally = _Tally()
        error: UnderskyError | None = None
        pages = search(profile, question, pace=self._paces[profile.name])
        while error is None:
            page, error = _next(pages)
            if page is None:
                break
            error = self._take(page, profile, wish, tally)
        done = Search(
            area=area.name,
            profile=profile.name,
            collection=collection,
            begin=window.begin,
            end=window.end,
            lane=self._lane,
            found=tally.found,
            accepted=tally.accepted,
            pages=tally.pages,
            seconds=round(time.monotonic() - begun, 3),
            error=None if error is None else str(error),
        )
        self._ledger.record_search(done, tally.rejections, self._by)
        self._total = replace(
            self._total,
            searches=self._total.searches + 1,
            pages=self._total.pages + tally.pages,
            found=self._total.found + tally.found,
        )
        return error

    def _take(self, page: Page, profile: Profile, wish: Wish, tally: "_Tally") -> UnderskyError | None:
        """Every Item of a page announced or rejected; an error once the quota is used up."""
        tally.pages += 1
        for item in page.items:
            read = read_item(item, profile, wish)
            if isinstance(read, Rejection):
                tally.found += 1
                tally.rejections.append(read)
                self._rejected[read.reason] += 1
                continue
            if (full := self._full(profile, wish.collection)) is not None:
                self._paused[profile.name] = full
                return _QuotaUsed(full)
            tally.found += 1
            meant = self._ledger.announce(read, self._by)
            self._announced[meant.value] += 1
            if meant in _COUNTED:
                tally.accepted += 1
                self._taken[profile.name] += 1
        return None

    def _full(self, profile: Profile, collection: str) -> str | None:
        """Why no more scenes of a profile may be announced today; None while they may."""
        quota, name = profile.quota, profile.name
        if name not in self._taken:
            self._taken[name] = self._accepted_today(name) if quota != type(quota)() else 0
        share = HISTORICAL_SHARE if self._lane is Lane.HISTORICAL else 1.0
        taken, gigabytes = self._taken[name], profile.product(collection).megabytes / 1000.0
        if quota.scenes_per_day is not None and taken >= share * quota.scenes_per_day:
            return f"{name}: {taken} scenes in 24 hours, of {quota.scenes_per_day} a day; later runs go on"
        most = quota.gigabytes_per_day
        if most is not None and (taken + 1) * gigabytes > share * most:
            return (
                f"{name}: about {taken * gigabytes:.0f} GB in 24 hours, of {most:g} a day; later runs go on"
            )
        return None

    def _accepted_today(self, name: str) -> int:
        since = self._now - timedelta(days=1)
        return sum(
            one.accepted
            for one in self._ledger.searches(limit=_DAY_OF_SEARCHES)
            if one.profile == name and one.time is not None and one.time >= since
        )

    def _fail(self, area: Area, name: str, collection: str, error: UnderskyError) -> None:
        if not isinstance(error, _QuotaUsed):
            self._failures.append(Failure(area.name, name, collection, type(error).__name__, str(error)))


class _QuotaUsed(UnderskyError):  # noqa: N818  no error
    """No failure: the search ends here for today."""


@dataclass(slots=True)
class _Tally:
    """Of one search."""

    pages: int = 0
    found: int = 0
    accepted: int = 0
    rejections: list[Rejection] = field(default_factory=list)


def _next(pages: Iterator[Page]) -> tuple[Page | None, UnderskyError | None]:
    """The next page, or the provider's error: those of the ledger go their own way."""
    try:
        return next(pages, None), None
    except UnderskyError as error:
        return None, error
