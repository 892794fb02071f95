"""The whole story of a scene: every delivery, change of state and product, by whom and where logged."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from undersky.errors import ConfigError
from undersky.flow.answer import Question
from undersky.flow.words import sentence
from undersky.refs import Kind
from undersky.services.ledger import Event, Ledger, Rejection, Story


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    time: datetime
    what: str
    """`announced`, or the states before and after."""
    subject: str
    """`delivery`, `acquisition`, `product 17` or, of a map, `landcover 18`."""
    reason: str | None
    text: str
    by: str | None
    """Run, task and try."""
    log: str | None
    """Address of the log."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the ledger knows about a name, or about a tile on a day."""

    stories: tuple[Story, ...]
    """Of each acquisition, earliest sensing first."""
    rejections: tuple[Rejection, ...] = ()
    """Where the ledger met it and did not want it."""

    def as_json(self) -> dict[str, object]:
        """For machines; times in ISO 8601."""
        return {
            "stories": [
                {
                    "acquisition": _plain(asdict(story.acquisition)),
                    "deliveries": [_plain(asdict(delivery)) for delivery in story.deliveries],
                    "products": [_plain(asdict(product)) for product in story.products],
                    "timeline": [_plain(asdict(line)) for line in timeline(story)],
                }
                for story in self.stories
            ],
            "rejections": [_plain(asdict(rejection)) for rejection in self.rejections],
        }


def show(ledger: Ledger, name: str) -> Shown:
    """The story behind the key of an acquisition, the id of a delivered scene, or the id of a product.

    Raises:
        ConfigError: The ledger has never met it.
    """
    story = ledger.story(name)
    if story is not None:
        return Shown((story,))
    rejected = ledger.rejections(item_id=name)
    if rejected:
        return Shown((), rejected)
    question = Question.of_name(name)
    for product in ledger.day(question.tile, question.day).products:
        if product.made is not None and product.made.id == name:
            story = ledger.story(product.acquisition)
            return Shown((story,) if story else ())
    tile, day = question.tile, question.day
    raise ConfigError(
        f"the ledger has never met {name}: `undersky show {tile} {day}` shows what it knows of that day, "
        f"`undersky why --tile {tile} --date {day}` why there is nothing"
    )


def show_day(ledger: Ledger, tile: str, day: date) -> Shown:
    """The stories of a tile on a day, and what was rejected.

    Raises:
        ConfigError: No such tile; or nothing is known of it on that day.
    """
    question = Question.asked(tile, day)
    known = ledger.day(question.tile, day)
    found = [ledger.story(each.key) for each in known.acquisitions]
    stories = tuple(story for story in found if story is not None)
    if not stories and not known.rejections:
        raise ConfigError(
            f"the ledger knows nothing of {question.tile} on {day}: "
            f"`undersky why --tile {question.tile} --date {day}` says why"
        )
    return Shown(stories, known.rejections)


def timeline(story: Story) -> tuple[Line, ...]:
    """Everything that happened to an acquisition and its products, in order."""
    kinds = {product.id: product.kind for product in story.products}
    lines = [_of_event(event, kinds) for event in story.history]
    born = {event.scene for event in story.history if event.before is None and event.product is None}
    for delivery in story.deliveries:
        if delivery.scene in born:
            continue
        version = delivery.tier or delivery.baseline
        text = f"{delivery.scene}{f' ({version})' if version else ''} from {delivery.profile}"
        if delivery.superseded_by:
            text += f", superseded by {delivery.superseded_by}"
        lines.append(Line(delivery.announced, "announced", "delivery", None, sentence(text), None, None))
    return tuple(sorted(lines, key=lambda line: line.time))


def product_name(number: int, kind: Kind) -> str:
    """`product 17`; `landcover 18` of a map."""
    return f"{kind if kind.is_map else 'product'} {number}"


def _of_event(event: Event, kinds: Mapping[int, Kind]) -> Line:
    what = event.after if event.before in (None, event.after) else f"{event.before} -> {event.after}"
    task = f"{event.task}, try {event.attempt}" if event.attempt > 1 else event.task
    return Line(
        time=event.time,
        what=what,
        subject="acquisition" if event.product is None else product_name(event.product, kinds[event.product]),
        reason=event.reason,
        text=sentence(event.sentence),
        by=f"{event.run} ({task})",
        log=event.log,
    )


def _plain(value: object) -> object:
    """Values as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", exclude_none=True) if dump is not None else value
