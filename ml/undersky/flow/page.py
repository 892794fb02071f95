"""`page`: what a run made, as one page to look at: before and after, land cover, objects, what was held.

    ledger: what the run claimed, and how it left it
    store:  Items, small pictures, objects            --> reports/runs/<run>/index.html

Nothing of it is needed by anything else: it is written again from the same sources at any time.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from undersky.errors import ConfigError
from undersky.flow.account import CLAIMS, OPEN, refusals
from undersky.flow.items import read_item
from undersky.flow.published import relative, resolved
from undersky.pages import FULL, Heading, Link, PageProduct, PageScene, in_full, product_of_item, run_page
from undersky.refs import Kind
from undersky.services.ledger import ProductState, Selection

if TYPE_CHECKING:
    from undersky.services.ledger import Event, Ledger, Product
    from undersky.services.store import Store

_AT_A_TIME = 8
_ASKED = 500
"""Acquisitions that the ledger is asked for at a time."""
_ROWS = 100_000
_SHOWN = (ProductState.PUBLISHED, ProductState.HELD)
_TITLES = {Kind.SURFACE: "Surface reflectance", Kind.LANDCOVER: "Land cover", Kind.VESSELS: "Vessels"}


@dataclass(frozen=True, slots=True)
class RunPage:
    """The page of a run, as it was written."""

    run: str
    """Whose."""
    href: str
    """Where it lies."""
    scenes: int
    """Scenes of the run."""
    shown: int
    """Of those, how many with their pictures."""
    bytes: int
    """Of the page."""


def page_key(run: str) -> str:
    """Key of the page of a run."""
    return f"reports/runs/{run}/index.html"


def write_page(ledger: "Ledger", store: "Store", *, run: str, most: int = FULL) -> RunPage | None:
    """The page of the run lies where everybody may read it; None where the run claimed no product.

    Args:
        ledger: Knows what the run did.
        store: Holds Items and pictures, and will hold the page.
        run: Id of the run, as it stands in keys.
        most: Scenes with pictures; the others get a line each.

    Raises:
        ServiceError: Ledger or store failed; the same call may succeed later.
    """
    ends = _ends(ledger.events(run))
    if not ends:
        return None
    rows = _rows(ledger, sorted({event.acquisition for event in ends.values()}))
    desk = _Desk(store, page_key(run), ends, rows)
    shown, rest = in_full(tuple(desk.scenes()), most=most)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        whole = list(pool.map(desk.with_pictures, shown))
    text = run_page(desk.heading(run), shown=whole, rest=rest).encode()
    store.put(page_key(run), text, content_type="text/html; charset=utf-8")
    return RunPage(run, store.href(page_key(run)), len(whole) + len(rest), len(whole), len(text))


def _ends(events: Sequence["Event"]) -> dict[int, "Event"]:
    """The last thing that the run did to each product that it had claimed.

    Of a product that was withdrawn with its acquisition, what the run said of the acquisition.
    """
    claimed = {event.product for event in events if event.product is not None and event.reason in CLAIMS}
    last = {event.product: event for event in events if event.product in claimed}
    refused = refusals(events)
    return {
        product: refused.get(event.acquisition, event) if event.after == "withdrawn" else event
        for product, event in last.items()
        if product is not None
    }


def _rows(ledger: "Ledger", keys: Sequence[str]) -> dict[int, "Product"]:
    """Every product of these acquisitions, by its row."""
    found: dict[int, Product] = {}
    for start in range(0, len(keys), _ASKED):
        selection = Selection(scenes=tuple(keys[start : start + _ASKED]))
        found |= {row.id: row for row in ledger.products(selection, limit=_ROWS)}
    return found


@dataclass(frozen=True, slots=True)
class _Desk:
    """One run on its way to a page."""

    store: "Store"
    key: str
    """Of the page."""
    ends: Mapping[int, "Event"]
    """What the run did last, by the product's row."""
    rows: Mapping[int, "Product"]
    """Products of all acquisitions that it met."""

    def heading(self, run: str) -> Heading:
        """What stands above: the same as long as the run does nothing more."""
        mine = [self.rows[number] for number in self.ends]
        kinds = [kind for kind in Kind if any(row.kind is kind for row in mine)]
        words = [_TITLES[kind] for kind in kinds]
        title = ", ".join([words[0], *(word.lower() for word in words[1:-1])])
        title += f" and {words[-1].lower()}" if len(words) > 1 else ""
        facts = {"last change": f"{max(event.time for event in self.ends.values()):%d %B %Y, %H:%M} UTC"}
        models = {str(model.name): model for row in mine if row.made for model in row.made.models}
        if models:
            told = (f"{name} {model.label} ({model.digest[:12]})" for name, model in sorted(models.items()))
            facts["models"] = ", ".join(told)
        if releases := sorted({row.release[:12] for row in mine if row.release}):
            facts["release set"] = ", ".join(releases)
        return Heading(title, run, facts)

    def scenes(self) -> Iterator[PageScene]:
        """The run's scenes without a picture; a map stands beside the surface product that it is of."""
        by_acquisition: dict[str, list[Product]] = {}
        for number in self.ends:
            by_acquisition.setdefault(self.rows[number].acquisition, []).append(self.rows[number])
        order = list(Kind)
        for key, rows in by_acquisition.items():
            sources = {row.source for row in rows if row.source is not None} - self.ends.keys()
            all_rows = [*(self.rows[number] for number in sources if number in self.rows), *rows]
            all_rows.sort(key=lambda row: (order.index(row.kind), row.id))
            title = f"{rows[0].tile}, {rows[0].sensed:%d %B %Y, %H:%M} UTC"
            yield PageScene(key, title, tuple(map(self._product, all_rows)))

    def with_pictures(self, scene: PageScene) -> PageScene:
        """The scene with all that the store has of its products."""
        by_digest = {row.digest: row for row in self.rows.values() if row.acquisition == scene.key}
        return replace(
            scene,
            products=tuple(
                self._filled(each, by_digest[each.digest]) if each.digest else each for each in scene.products
            ),
        )

    def _product(self, row: "Product") -> PageProduct:
        """A product as the ledger knows it."""
        event = self.ends.get(row.id)
        state, sentence = (str(row.state), "") if event is None else _left(event)
        plain = PageProduct(
            kind=str(row.kind),
            state=state,
            sentence=sentence,
            note="made by an earlier run" if event is None else "",
        )
        if row.made is None or state not in _SHOWN:
            return plain
        judged = row.judged if state == ProductState.HELD else None
        return replace(
            plain,
            id=row.made.id,
            digest=row.made.digest,
            failed=() if judged is None else judged.failed,
            links=tuple(self._links(row)),
        )

    def _links(self, row: "Product") -> Iterator[Link]:
        if (key := self._item_key(row)) is not None:
            yield Link("STAC Item", relative(self.key, key))
        if row.judged is not None and row.judged.docs is not None:
            docs = self._own(row.judged.docs)
            yield Link("Data Docs", row.judged.docs if docs is None else relative(self.key, docs))

    def _filled(self, product: PageProduct, row: "Product") -> PageProduct:
        """The product with what its Item leads to; as it is where that is gone."""
        key = self._item_key(row)
        item = None if key is None else read_item(self.store, key)
        if key is None or item is None:
            return product
        found = self._of_item(item, key, product)
        models = () if row.made is None else row.made.models
        told = tuple(f"{model.name} {model.label} ({model.digest[:12]})" for model in models)
        return replace(
            product,
            models=told or found.models,
            links=(*product.links, *found.links),
            pictures=found.pictures,
            figures=found.figures,
            objects=found.objects,
            more_objects=found.more_objects,
        )

    def _of_item(self, item: Mapping[str, Any], key: str, product: PageProduct) -> PageProduct:
        return product_of_item(
            item,
            state=product.state,
            kind=product.kind,
            read=lambda href: None if urlsplit(href).scheme else self.store.find(resolved(href, key)),
            link=lambda href: href if urlsplit(href).scheme else relative(self.key, resolved(href, key)),
        )

    def _item_key(self, row: "Product") -> str | None:
        """The published Item, or the one that waits beside its assets."""
        if row.href is not None:
            return self._own(row.href)
        return None if row.made is None else row.made.item

    def _own(self, href: str) -> str | None:
        """Key in the own store; None of what lies elsewhere."""
        try:
            return self.store.key(href)
        except ConfigError:
            return None


def _left(event: "Event") -> tuple[str, str]:
    """State in which the run left a product, and why."""
    if event.reason in CLAIMS:
        return "unfinished", "no stage has said how it ended"
    if event.after in OPEN:
        return "given back", event.sentence
    return event.after, event.sentence
