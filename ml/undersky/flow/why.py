"""Why a scene is or is not there: one paragraph, also where the ledger has no row.

row of the ledger    published  working  waiting  held  quarantined  skipped  failed  withdrawn
                     and of a published one: how its maps stand
delivery             superseded
no row               filtered  outside  paused  never_searched  not_upstream        (see `absent`)
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from undersky.flow.absent import absent
from undersky.flow.answer import Answer, Case, Question
from undersky.flow.words import moment, scenes, sentence, span
from undersky.refs import Kind
from undersky.services.ledger import (
    OPEN_ACQUISITION,
    OPEN_PRODUCT,
    Acquisition,
    AcquisitionState,
    Delivery,
    Lease,
    Ledger,
    Product,
    ProductState,
    Story,
)
from undersky.services.profiles import Profile

_ENDED = {
    AcquisitionState.QUARANTINED: Case.QUARANTINED,
    AcquisitionState.SKIPPED: Case.SKIPPED,
    AcquisitionState.FAILED: Case.FAILED,
    AcquisitionState.SUPERSEDED: Case.SUPERSEDED,
}
_CURES = {
    Case.QUARANTINED: (
        "`undersky retry {key} --why ...` tries it again, `undersky release` takes it as it is."
    ),
    Case.SKIPPED: "`undersky retry {key} --why ...` tries it all the same.",
    Case.FAILED: "`undersky retry {key} --why ...` tries it again.",
    Case.HELD: (
        "A person decides: `undersky release {key} --why ...` publishes it, `undersky skip` gives it up."
    ),
}

_MAPS = {Kind.LANDCOVER: "land cover map", Kind.VESSELS: "list of ships"}
"""What people call the maps."""


@dataclass(frozen=True, slots=True)
class Why:
    """The answers to one question: one for each acquisition, or one where there is none."""

    question: Question
    answers: tuple[Answer, ...]

    def as_json(self) -> dict[str, object]:
        """For machines; times in ISO 8601."""
        return {
            "tile": self.question.tile,
            "date": self.question.day.isoformat(),
            "sensor": self.question.sensor,
            "answers": [
                {
                    name: value.isoformat() if isinstance(value, datetime) else value
                    for name, value in asdict(answer).items()
                }
                for answer in self.answers
            ],
        }


def why(
    ledger: Ledger, question: Question, *, profiles: Mapping[str, Profile], now: datetime | None = None
) -> Why:
    """Why there is, or is not, a product of that tile and day.

    Args:
        ledger: The ledger.
        question: Tile, day and, if need be, sensor.
        profiles: What is known of providers: when their data usually come.
        now: For tests.
    """
    now = now or datetime.now(UTC)
    day = ledger.day(question.tile, question.day)
    known = [each for each in day.acquisitions if question.means(each.platform)]
    if not known:
        return Why(question, (absent(ledger, question, day, profiles=profiles, now=now),))
    stories = [story for each in known if (story := ledger.story(each.key)) is not None]
    answers = [answer for story in stories for answer in _of_story(ledger, story, now)]
    return Why(question, tuple(answers))


def why_scene(
    ledger: Ledger, name: str, *, profiles: Mapping[str, Profile], now: datetime | None = None
) -> Why:
    """Why there is, or is not, a product of that delivered scene or acquisition.

    Raises:
        ConfigError: The ledger has never met the name, and it does not say tile and date.
    """
    now = now or datetime.now(UTC)
    story = ledger.story(name)
    if story is None:
        return why(ledger, Question.of_name(name), profiles=profiles, now=now)
    row = story.acquisition
    answers = _of_story(ledger, story, now)
    mine = [answer for answer in answers if answer.case is Case.SUPERSEDED and answer.scene == name]
    return Why(Question(row.tile, row.sensed.date()), tuple(mine or answers))


def _of_story(ledger: Ledger, story: Story, now: datetime) -> list[Answer]:
    """How the acquisition stands, then each delivery that does not count any more."""
    stands = _stands(ledger, story, now)
    return [stands, *(_superseded(each, story) for each in story.deliveries if each.superseded_by)]


def _stands(ledger: Ledger, story: Story, now: datetime) -> Answer:
    row = story.acquisition
    products = tuple(each for each in story.products if not each.kind.is_map)
    current = [p for p in products if p.state is ProductState.PUBLISHED and p.successor is None]
    if current:
        answer = _published(row, current[-1], products, now)
        maps = [_map(kind, current[-1], story.products, now) for kind in Kind if kind.is_map]
        return replace(answer, text=" ".join([answer.text, *filter(None, maps)]))
    if row.state in OPEN_ACQUISITION:
        return _open(ledger, row, row, now)
    if row.state in _ENDED:
        return _ended(row, row, _ENDED[row.state])
    live = [each for each in products if each.state is not ProductState.WITHDRAWN]
    if not live:
        last = products[-1] if products else row
        return _ended(row, last, Case.WITHDRAWN)
    if live[-1].state in OPEN_PRODUCT:
        return _open(ledger, row, live[-1], now)
    return _ended(row, live[-1], Case.HELD if live[-1].state is ProductState.HELD else Case.FAILED)


def _published(row: Acquisition, product: Product, products: Sequence[Product], now: datetime) -> Answer:
    made = product.made
    parts = [
        f"{row.key} is published since {moment(product.published or product.state_since)}: {product.href}."
    ]
    if made is not None:
        model = f" by the model {made.model.label}" if made.model else ""
        clouds = f", cloud {made.cloud_percent:.1f} %" if made.cloud_percent is not None else ""
        parts.append(f"The Item {made.id} was made{model} from {product.scene}{clouds}.")
    earlier = [p for p in products if p.successor is not None]
    if earlier:
        parts.append(f"It took the place of {len(earlier)} earlier version(s), which stay readable.")
    later = next((p for p in products if p.id > product.id and p.state in OPEN_PRODUCT), None)
    if row.state in OPEN_ACQUISITION:
        parts.append(f"Meanwhile a newer delivery, {row.scene}, {_progress(row, now)}.")
    elif later is not None:
        parts.append(f"Meanwhile a new version of it {_progress(later, now)}.")
    elif row.state in _ENDED:
        said = sentence(row.sentence) or f"reason {row.reason}."
        parts.append(f"A newer delivery, {row.scene}, is {row.state}: {said}")
    return Answer(
        Case.PUBLISHED,
        " ".join(parts),
        acquisition=row.key,
        scene=product.scene,
        since=product.published or product.state_since,
        href=product.href,
        log=product.log,
    )


def _map(kind: Kind, surface: Product, products: Sequence[Product], now: datetime) -> str:
    """How the newest map of that kind stands, in a sentence or two; empty where none was ever wanted."""
    found = [each for each in products if each.kind is kind]
    if not found:
        return ""
    last, name = found[-1], _MAPS[kind]
    of_it = [each for each in found if each.source == surface.id]
    if last.state is ProductState.PUBLISHED:
        late = "" if of_it else " It is of an earlier surface product."
        bad = f" Do not use it: {sentence(last.deprecated)}" if last.deprecated else ""
        return f"Its {name} is published at {last.href}.{late}{bad}"
    if last.state in OPEN_PRODUCT:
        return f"Its {name} {_progress(last, now)}."
    said = sentence(last.sentence) or f"reason {last.reason}."
    cure = f" {_CURES[Case.HELD].format(key=last.acquisition)}" if last.state is ProductState.HELD else ""
    return f"Its {name} is {last.state} since {moment(last.state_since)}: {said}{cure}"


def _open(ledger: Ledger, row: Acquisition, at: Acquisition | Product, now: datetime) -> Answer:
    """What is still on its way: worked on, or waiting for its turn."""
    work = "its files are to be brought home" if at is row else "its surface product is to be made"
    if at.state is ProductState.CHECKED:
        work = "its product is made and checked, and is to be published"
    working = _is_held(at.lease, now)
    parts = [f"{row.key} ({row.scene}) {_progress(at, now)}: {work}."]
    parts.append(f"It was announced on {moment(row.discovered)}.")
    if not working:
        kind = "ingest" if at is row else "surface"
        ready = sum(q.ready for q in ledger.waiting() if q.work == kind and q.lane is at.lane)
        if at.tries and at.reason != "claimed":
            parts.append(f"The last try ended so: {sentence(at.sentence) or f'reason {at.reason}.'}")
        parts.append(f"In its queue ({kind}, lane {at.lane}) {scenes(ready)} can be claimed by the next run.")
    return Answer(
        Case.WORKING if working else Case.WAITING,
        " ".join(parts),
        acquisition=row.key,
        scene=row.scene,
        reason=at.reason,
        since=at.state_since,
        log=at.log,
    )


def _progress(at: Acquisition | Product, now: datetime) -> str:
    """A verb phrase: who works on it, or what it waits for and since when."""
    lease = at.lease
    if lease is not None and _is_held(lease, now):
        return (
            f"is worked on by run {lease.run} ({lease.task}), whose lease stands until {moment(lease.until)}"
        )
    waits = f"waits since {moment(at.state_since)} ({span(now - at.state_since)})"
    if at.not_before is not None and at.not_before > now:
        return f"{waits}, and pauses until {moment(at.not_before)} ({span(at.not_before - now)} from now)"
    if lease is not None:
        return (
            f"{waits}; run {lease.run} fell silent, its lease ended at {moment(lease.until)}, "
            "and the next run takes it over"
        )
    return f"{waits} for the next run to claim it"


def _ended(row: Acquisition, at: Acquisition | Product, case: Case) -> Answer:
    what = "" if at is row else "the product of "
    said = sentence(at.sentence) or "Nobody left a sentence."
    parts = [f"{what}{row.key} ({row.scene}) is {case.value} since {moment(at.state_since)}: {said}"]
    parts.append(f"The reason code is {at.reason}.")
    judged = at.judged if isinstance(at, Product) else None
    if judged is not None and judged.docs:
        parts.append(f"What was checked stands at {judged.docs}.")
    if case in _CURES:
        parts.append(_CURES[case].format(key=row.key))
    text = " ".join(parts)
    return Answer(
        case,
        text[0].upper() + text[1:],
        acquisition=row.key,
        scene=row.scene,
        reason=at.reason,
        since=at.state_since,
        log=at.log,
    )


def _superseded(delivery: Delivery, story: Story) -> Answer:
    after = next((each for each in story.deliveries if each.scene == delivery.superseded_by), None)
    by = f"{delivery.superseded_by}"
    if after is not None:
        version = after.tier or (f"baseline {after.baseline}" if after.baseline else None)
        by += f"{f' ({version})' if version else ''}, announced on {moment(after.announced)}"
    made = [each for each in story.products if each.scene == delivery.scene and each.href]
    kept = f" What was made from it stays readable: {made[-1].href}." if made else ""
    return Answer(
        Case.SUPERSEDED,
        f"{delivery.scene}, announced on {moment(delivery.announced)}, was superseded by {by}.{kept}",
        acquisition=story.acquisition.key,
        scene=delivery.scene,
        reason="superseded",
        since=after.announced if after else None,
        href=made[-1].href if made else None,
    )


def _is_held(lease: Lease | None, now: datetime) -> bool:
    return lease is not None and lease.until > now
