"""How the flow stands: what waits, what failed, who works, when was searched last, and what is overdue."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from undersky.flow.words import moment, scenes, span
from undersky.refs import Lane
from undersky.services.ledger import (
    OPEN_ACQUISITION,
    OPEN_PRODUCT,
    Acquisition,
    AcquisitionState,
    Area,
    Count,
    Lease,
    Ledger,
    Product,
    ProductState,
    Search,
    Selection,
    Waiting,
)

_ROWS = 20_000
"""Open rows that are looked through for leases."""
_CLAIMED = ("claimed", "lease_expired")
"""Reasons that a claim leaves; the second where it took over from a run that fell silent."""
_SEARCHES = 1_000
"""Of one area that are looked through for the last one of each archive."""
_GRACE = timedelta(days=30)
"""An area whose last day passed is still searched for late deliveries, but nobody counts on it."""


@dataclass(frozen=True, slots=True)
class Running:
    """A run that holds leases."""

    run: str
    task: str
    scenes: int
    until: datetime
    """When the first of its leases ends."""
    is_silent: bool
    """That lease has ended: the run fell silent."""


@dataclass(frozen=True, slots=True)
class Searched:
    """When an area was searched last in one archive for one collection."""

    area: str
    profile: str | None
    """None where it never was."""
    collection: str | None
    last: datetime | None
    """The last search that went through."""
    found: int
    """What that one found."""
    error: str | None
    """What the newest search failed with; None if it went through."""
    paused: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How the flow stands at one moment."""

    at: datetime
    max_wait: timedelta
    counts: tuple[Count, ...]
    waiting: tuple[Waiting, ...]
    running: tuple[Running, ...]
    searched: tuple[Searched, ...]
    late: tuple[str, ...]
    """A sentence for each fresh queue and each search that is older than `max_wait`."""

    def as_json(self) -> dict[str, object]:
        """For machines; times in ISO 8601, spans in seconds."""
        return {
            "at": self.at.isoformat(),
            "max_wait_seconds": self.max_wait.total_seconds(),
            "late": list(self.late),
            "counts": [_plain(asdict(each)) for each in self.counts],
            "waiting": [_plain(asdict(each)) for each in self.waiting],
            "running": [_plain(asdict(each)) for each in self.running],
            "searched": [_plain(asdict(each)) for each in self.searched],
        }


def status(ledger: Ledger, *, max_wait: timedelta, now: datetime | None = None) -> Status:
    """How the flow stands.

    Args:
        ledger: The ledger.
        max_wait: What no fresh scene should wait, and no active area go unsearched. Historical scenes may
            wait: they have no right of way.
        now: For tests.
    """
    now = now or datetime.now(UTC)
    waiting = ledger.waiting()
    areas = ledger.areas()
    searched = tuple(
        line for area in areas for line in _searched(area, ledger.searches(area=area.name, limit=_SEARCHES))
    )
    late = (*_late_queues(waiting, max_wait, now), *_late_searches(areas, searched, max_wait, now))
    return Status(
        at=now,
        max_wait=max_wait,
        counts=ledger.counts(),
        waiting=waiting,
        running=_running(ledger, now),
        searched=searched,
        late=late,
    )


def _running(ledger: Ledger, now: datetime) -> tuple[Running, ...]:
    rows: list[Acquisition | Product] = []
    for state in OPEN_ACQUISITION:
        for selection in _leased(state, is_queue=state is AcquisitionState.DISCOVERED):
            rows += ledger.acquisitions(selection, limit=_ROWS)
    for product_state in OPEN_PRODUCT:
        for selection in _leased(product_state, is_queue=product_state is ProductState.WANTED):
            rows += ledger.products(selection, limit=_ROWS)
    held: defaultdict[tuple[str, str], list[Lease]] = defaultdict(list)
    for row in rows:
        if row.lease is not None:
            held[row.lease.run, row.lease.task].append(row.lease)
    return tuple(
        Running(run, task, len(leases), first, first < now)
        for (run, task), leases in sorted(held.items())
        for first in [min(lease.until for lease in leases)]
    )


def _leased(state: str, *, is_queue: bool) -> list[Selection]:
    """The rows of a state that may be leased: of a queue, which may be long, only what was claimed last."""
    return [Selection(state=state, reason=reason) for reason in (_CLAIMED if is_queue else (None,))]


def _searched(area: Area, searches: Sequence[Search]) -> list[Searched]:
    """One line a profile and collection, searches given newest first."""
    by_place: defaultdict[tuple[str, str], list[Search]] = defaultdict(list)
    fresh = [search for search in searches if search.lane is Lane.FRESH]
    for search in fresh or searches:  # a campaign over past dates says nothing about today
        by_place[search.profile, search.collection].append(search)
    if not by_place:
        return [Searched(area.name, None, None, None, 0, None, area.paused)]
    lines = []
    for (profile, collection), found in sorted(by_place.items()):
        through = next((search for search in found if search.error is None), None)
        lines.append(
            Searched(
                area=area.name,
                profile=profile,
                collection=collection,
                last=through.time if through else None,
                found=through.found if through else 0,
                error=found[0].error,
                paused=area.paused,
            )
        )
    return lines


def _late_queues(waiting: Iterable[Waiting], max_wait: timedelta, now: datetime) -> list[str]:
    late = []
    for queue in waiting:
        since = queue.oldest_since
        if queue.lane is Lane.FRESH and since is not None and now - since > max_wait:
            late.append(
                f"{queue.work}: {queue.oldest} waits for {span(now - since)} (since {moment(since)}), "
                f"{scenes(queue.number)} in that queue; expected at most {span(max_wait)}: "
                f"`undersky show {queue.oldest}` says why"
            )
    return late


def _late_searches(
    areas: Sequence[Area], searched: Iterable[Searched], max_wait: timedelta, now: datetime
) -> list[str]:
    known = {area.name: area for area in areas if not area.paused and _is_current(area, now)}
    late = []
    for line in searched:
        area = known.get(line.area)
        since = line.last or (area.created if area else None)
        if area is None or since is None or now - since <= max_wait:
            continue
        where = f"{line.area} in {line.profile}" if line.profile else line.area
        said = f", the newest search failed: {line.error}" if line.error else ""
        what = "was searched last" if line.last else "was never searched since it was added"
        late.append(
            f"area {where} {what} {span(now - since)} ago{said}; expected at most {span(max_wait)}: "
            "does `undersky discover` run?"
        )
    return late


def _is_current(area: Area, now: datetime) -> bool:
    return area.since <= now.date() and (area.until is None or now.date() <= area.until + _GRACE)


def _plain(fields: dict[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()
    }
