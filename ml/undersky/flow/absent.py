"""Why the ledger has no row for a tile on a day: filtered, outside, paused, never searched, not upstream."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from undersky.errors import ConfigError
from undersky.flow.answer import Answer, Case, Question, sensor_name
from undersky.flow.geojson import apart_km, touches
from undersky.flow.overpass import LANDSAT_REPEAT, SENTINEL_2_REPEAT, Pass, passes, usual_delay
from undersky.flow.words import listed, moment, scenes, sentence, span
from undersky.services.ledger import Area, Day, GeoJSON, Ledger, Rejection, Search, Selection
from undersky.services.profiles import Profile
from undersky.tiles import footprint, geojson, is_wrs2

_LOOK_BACK = 200
"""Acquisitions from which passes and delays are learnt."""


def absent(
    ledger: Ledger, question: Question, day: Day, *, profiles: Mapping[str, Profile], now: datetime
) -> Answer:
    """Why no acquisition of that tile and day is known.

    Args:
        ledger: The ledger.
        question: Tile, day and, if need be, sensor.
        day: What the ledger knows of that day.
        profiles: What is known of providers.
        now: Time (aware).
    """
    rejected = [each for each in day.rejections if _is_meant(each, question)]
    if rejected:
        return _filtered(question, rejected)
    ground = geojson(footprint(question.tile))
    areas = ledger.areas()
    wanting = [area for area in areas if _lack(area, question, ground) is None]
    if not wanting:
        return _outside(question, areas, ground)
    names = {area.name for area in wanting}
    asked = [s for s in day.searches if s.area in names and s.collection == question.collection]
    through = [search for search in asked if search.error is None]
    if through:
        answer = _not_upstream(question, through, now)
    elif all(area.paused for area in wanting):
        answer = _paused(question, wanting)
    else:
        answer = _never_searched(question, wanting, asked, now)
    return _with_passes(ledger, answer, question, profiles=profiles, now=now)


def _is_meant(rejection: Rejection, question: Question) -> bool:
    try:
        return question.means(rejection.item_id.split("_")[0])
    except ConfigError:  # an id that does not begin with its platform
        return True


def _filtered(question: Question, rejected: Sequence[Rejection]) -> Answer:
    first = rejected[0]
    parts = [f"Upstream has {question.tile} of {question.day}, and it is not wanted:"]
    met: dict[tuple[str, str], Rejection] = {}
    for each in rejected:
        met.setdefault((each.item_id, each.reason), each)
    for each in list(met.values())[:3]:
        seen = f", last met on {moment(each.last_seen)}" if each.last_seen else ""
        parts.append(
            f"{each.item_id} was rejected for area {each.area} (reason {each.reason}, profile {each.profile}"
            f"{seen}): {sentence(each.sentence)}"
        )
    if len(met) > 3:
        parts.append(f"{len(met) - 3} more are on record.")
    return Answer(
        Case.FILTERED, " ".join(parts), scene=first.item_id, reason=first.reason, since=first.first_seen
    )


def _lack(area: Area, question: Question, ground: GeoJSON) -> str | None:
    """Why an area does not ask for a tile on a day; None if it does."""
    if not touches(area.geometry, ground):
        return f"{area.name} lies {apart_km(area.geometry, ground):,.0f} km away"
    if question.collection not in area.collections:
        return f"{area.name} covers it but wants only {listed(area.collections)}"
    if question.day < area.since:
        return f"{area.name} covers it but begins on {area.since}"
    if area.until is not None and question.day > area.until:
        return f"{area.name} covers it but ended on {area.until}"
    return None


def _outside(question: Question, areas: Sequence[Area], ground: GeoJSON) -> Answer:
    what = f"No area asks for {question.collection} of {question.tile} on {question.day}"
    # Areas that cover it come first, then the nearest: those are the ones to be changed.
    near = sorted(areas, key=lambda area: apart_km(area.geometry, ground))
    lacks = [lack for area in near if (lack := _lack(area, question, ground)) is not None]
    why = f"{'; '.join(lacks[:3])}." if lacks else "there is no area yet."
    more = f" {len(lacks) - 3} more lie farther away." if len(lacks) > 3 else ""
    return Answer(
        Case.OUTSIDE,
        f"{what}: {why}{more} `undersky area add` asks for more ground, sensors or dates.",
        reason="outside_every_area",
    )


def _not_upstream(question: Question, through: Sequence[Search], now: datetime) -> Answer:
    last = through[0]
    begun = datetime.combine(question.day, time(), tzinfo=UTC)
    what = f"No archive has {question.tile} of {question.day} yet"
    if begun > now:
        what = f"{question.day} has not come yet"
    when = f" on {moment(last.time)}" if last.time else ""
    return Answer(
        Case.NOT_UPSTREAM,
        f"{what}. The last search that covered the day, of {last.profile} for area {last.area}{when}, asked "
        f"for what was sensed from {moment(last.begin)} to {moment(last.end)} and found "
        f"{scenes(last.found)}, none of them this one.",
        reason="not_upstream",
        since=last.time,
    )


def _paused(question: Question, areas: Sequence[Area]) -> Answer:
    each = [
        f"{area.name}{f' ({area.paused_reason.rstrip(chr(46))})' if area.paused_reason else ''}"
        for area in areas
    ]
    return Answer(
        Case.PAUSED,
        f"No search has covered {question.tile} on {question.day}: every area that asks for it is paused, "
        f"{listed(each)}. `undersky area resume {areas[0].name}` starts it again.",
        reason="area_paused",
    )


def _never_searched(
    question: Question, areas: Sequence[Area], asked: Sequence[Search], now: datetime
) -> Answer:
    """Nobody looked; `asked` holds searches that failed."""
    who = listed([area.name for area in areas if not area.paused])
    text = f"Area {who} asks for {question.tile} on {question.day}, and no search has covered that day yet"
    if datetime.combine(question.day, time(), tzinfo=UTC) > now:
        text += ", which has not come"
    if asked:
        last = asked[0]
        when = f" on {moment(last.time)}" if last.time else ""
        text += f": each of the last {len(asked)} failed, the last one, of {last.profile}{when}, with: "
        text += sentence(last.error or "")
    else:
        text += ": is `undersky discover`, or the DAG ingest_acquisitions, running?"
    return Answer(
        Case.NEVER_SEARCHED, text, reason="search_failed" if asked else "never_searched",
        since=asked[0].time if asked else None,
    )  # fmt: skip


def _with_passes(
    ledger: Ledger, answer: Answer, question: Question, *, profiles: Mapping[str, Profile], now: datetime
) -> Answer:
    """The answer, and when satellites pass: on that day, and next."""
    seen = ledger.acquisitions(Selection(tile=question.tile), limit=_LOOK_BACK)
    begin = datetime.combine(question.day, time(), tzinfo=UTC)
    found = [
        each
        for each in passes(
            question.tile,
            [(row.platform, row.sensed) for row in seen],
            begin=min(begin, now) - LANDSAT_REPEAT,
            end=max(begin, now) + LANDSAT_REPEAT,
        )
        if question.means(each.platform)
    ]
    delay, source = _delay(ledger, question, profiles)
    on_day = [each for each in found if begin <= each.time < begin + timedelta(days=1)]
    coming = next((each for each in found if each.time > now and each not in on_day), None)
    parts = [answer.text, _passed(question, found, on_day, now), *_due(on_day, delay, source, now)]
    if coming is not None:
        parts.append(
            f"The next pass is that of {sensor_name(coming.platform)} on {moment(coming.time)}; its data "
            f"usually come {span(delay)} later ({source})."
        )
    return replace(
        answer,
        text=" ".join(part for part in parts if part),
        next_pass=on_day[0].time if on_day and on_day[0].time > now else coming.time if coming else None,
    )


def _passed(question: Question, found: Sequence[Pass], on_day: Sequence[Pass], now: datetime) -> str:
    if on_day:
        each = on_day[0]
        verb = "passes" if each.time > now else "passed"
        return f"{sensor_name(each.platform)} {verb} at about {each.time:%H:%M} UTC that day ({each.source})."
    if not found:
        repeat = LANDSAT_REPEAT if is_wrs2(question.tile) else SENTINEL_2_REPEAT
        return (
            "No earlier scene of that tile tells when satellites pass; each of them comes back every "
            f"{repeat.days} days."
        )
    nearest = sorted(found, key=lambda each: abs(each.time.date() - question.day))[:2]
    days = listed([f"{sensor_name(each.platform)} on {each.time:%Y-%m-%d}" for each in nearest])
    return f"No satellite is known to pass on that day; the nearest known passes are {days}."


def _due(on_day: Sequence[Pass], delay: timedelta, source: str, now: datetime) -> list[str]:
    if not on_day:
        return []
    due = on_day[0].time + delay
    usual = f"Its data usually come {span(delay)} after sensing ({source})"
    if due > now:
        return [f"{usual}: about {moment(due)}."]
    return [f"{usual}, which was {span(now - due)} ago: late, or never acquired."]


def _delay(ledger: Ledger, question: Question, profiles: Mapping[str, Profile]) -> tuple[timedelta, str]:
    """How long after sensing scenes come, and how that is known."""
    known = ledger.acquisitions(Selection(collection=question.collection), limit=_LOOK_BACK)
    learnt = usual_delay([row for row in known if question.means(row.platform)])
    if learnt is not None:
        return learnt, "median of the last ones here"
    asked = [p for p in profiles.values() if question.collection in p.collections]
    if not asked:
        return timedelta(hours=24), "assumed: no profile has the collection"
    least = min(asked, key=lambda profile: profile.latency_hours)
    return timedelta(hours=least.latency_hours), f"as the profile {least.name} says"
