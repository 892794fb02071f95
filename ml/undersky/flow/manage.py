"""What people do with scenes, by the command line or a form in Airflow: retry, release, skip, remake."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import get_args

from undersky.errors import ConfigError
from undersky.flow.words import listed
from undersky.refs import Kind, Lane
from undersky.services.ledger import Action, Actor, Change, Ledger, Selection
from undersky.tiles import tile_name

ACTIONS: tuple[Action, ...] = get_args(Action)
DONE = {"retry": "tried again", "release": "released", "skip": "skipped", "remake": "made again"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(m|min|h|d)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Managed:
    """What an order changed, or would change."""

    action: Action
    changes: tuple[Change, ...]
    dry_run: bool
    why: str

    @property
    def sentence(self) -> str:
        """For a person."""
        scenes = sorted({change.acquisition for change in self.changes})
        if not scenes:
            return f"nothing to {self.action}: no scene that matches stands where `{self.action}` applies"
        verb = "would be" if self.dry_run else "is" if len(scenes) == 1 else "are"
        what = listed(scenes) if len(scenes) <= 5 else f"{len(scenes)} scenes"
        return f"{what} {verb} {DONE[self.action]}"

    def as_json(self) -> dict[str, object]:
        """For machines and for XCom."""
        return {
            "action": self.action,
            "dry_run": self.dry_run,
            "why": self.why,
            "sentence": self.sentence,
            "changes": [asdict(change) for change in self.changes],
        }


def manage(
    ledger: Ledger,
    action: str,
    selection: Selection,
    *,
    by: Actor,
    why: str,
    dry_run: bool = False,
    lane: Lane = Lane.HISTORICAL,
) -> Managed:
    """The order is carried out, or with `dry_run` only told.

    Args:
        ledger: The ledger.
        action: retry, release, skip or remake.
        selection: Which scenes; see `selection_of`. An empty one is refused.
        by: Who, for the history.
        why: The reason, for the history; never empty.
        dry_run: Change nothing.
        lane: In which a remake waits.

    Raises:
        ConfigError: No such action; nothing is selected; no reason is given; a scene that nobody knows.
    """
    known = next((each for each in ACTIONS if each == action), None)
    if known is None:
        raise ConfigError(f"{action!r} is no action; one of {', '.join(ACTIONS)}")
    strangers = [name for name in selection.scenes if ledger.story(name) is None]
    if strangers:
        raise ConfigError(
            f"the ledger has never met {listed(strangers)}: give keys of acquisitions or ids of scenes"
        )
    changes = ledger.manage(known, selection, by=by, why=why.strip(), dry_run=dry_run, lane=lane)
    return Managed(known, changes, dry_run, why.strip())


def selection_of(form: Mapping[str, object], *, now: datetime | None = None) -> Selection:
    """The selection that a filled form means; empty fields count as left out.

    Args:
        form: Any of `scenes` (list, or text with blanks or commas), `state`, `reason`, `since` (2025-06-19,
            2025-06-19T10:00Z, or a span back from now: 6h, 3d), `tile`, `model`, `collection`, `area`,
            `kind`, `sensed_from` and `sensed_until` (days, both included).
        now: For tests.

    Raises:
        ConfigError: A field has a value that it cannot have, or is unknown.
    """
    fields = {name: value for name, value in form.items() if value not in (None, "", [], ())}
    unknown = fields.keys() - set(Selection.__dataclass_fields__)
    if unknown:
        there = ", ".join(Selection.__dataclass_fields__)
        raise ConfigError(f"no field is called {listed(sorted(unknown))}; there are {there}")
    texts = {name: str(value).strip() for name, value in fields.items() if name != "scenes"}
    since = texts.get("since")
    return Selection(
        scenes=_names(fields.get("scenes", ())),
        state=texts.get("state"),
        reason=texts.get("reason"),
        since=since_moment(since, now=now) if since else None,
        tile=tile_name(texts["tile"]) if "tile" in texts else None,
        model=texts.get("model"),
        collection=texts.get("collection"),
        area=texts.get("area"),
        kind=_kind(texts.get("kind")),
        sensed_from=_day(texts.get("sensed_from")),
        sensed_until=_day(texts.get("sensed_until")),
    )


def since_moment(text: str, *, now: datetime | None = None) -> datetime:
    """A moment as people give it: a day, a time, or a span back from now (`6h`, `3d`, `90min`).

    Raises:
        ConfigError: It is none of them.
    """
    try:
        return (now or datetime.now(UTC)) - parse_span(text)
    except ConfigError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is no moment; expected 2025-06-19, 2025-06-19T10:00Z or a span back from now, 6h or 3d"
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def parse_span(text: str) -> timedelta:
    """A length of time: `30min`, `6h`, `1.5h`, `3d`.

    Raises:
        ConfigError: It is none.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no length of time; expected 30min, 6h or 3d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def _kind(text: str | None) -> Kind | None:
    try:
        return Kind(text) if text else None
    except ValueError as error:
        raise ConfigError(f"{text!r} is no kind of product; one of {', '.join(Kind)}") from error


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError(f"{text!r} is no day; expected 2025-06-19") from error


def _names(value: object) -> tuple[str, ...]:
    parts = re.split(r"[\s,]+", value) if isinstance(value, str) else value
    if not isinstance(parts, Sequence):
        raise ConfigError(f"scenes is {value!r}; expected ids, one after the other")
    return tuple(str(part) for part in parts if part)
