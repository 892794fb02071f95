"""`rolling`: each tile's rolling map follows its published maps.

    ledger: tiles whose maps changed --leases--> rolls/<run>/<tile>-<token>/order.json
    the stage `roll`                         --> rolled.json, assets and candidate Item in the store
    row locked, lease checked                --> PUT Item If-None-Match; successor link in the one before

    stac/sentinel-2-landcover-latest/<yyyy>/<mm>/<tile>/<digest>.json

A rolling map is a function of a set of maps, and its digest names that set: whoever makes it, from whatever
order of arrival, puts the same Item. Where a model was taken back, the maps that remain make another one;
where none remain, the Item that is there is deprecated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from undersky.errors import ConfigError
from undersky.flow import published as items
from undersky.flow.items import Commit, read_item, update_item
from undersky.flow.published import WrongProduct
from undersky.refs import Ending, Made, Reference
from undersky.services.ledger import LeaseLost
from undersky.services.store import PreconditionFailed
from undersky.tile_refs import RolledRef, TileOrder, TileRef

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Ledger, Rolling
    from undersky.services.store import Store

R = TypeVar("R", bound=Reference)

MOST_TILES = 200
"""A run has at most that many: each is a mapped task."""

EXPECTED_RETRIES = ("service_failed", "stopped", "outdated")
"""Reasons of another try that need nobody's attention."""


class TileReport(Reference):
    """How one tile left the run."""

    tile: str
    state: str
    """`published`; `emptied` where no map is left; `given_back` or `lost` where it is not ours any more."""
    reason: str = "ok"
    sentence: str = ""
    item: str | None = None
    """Address of the Item, where one is published."""
    new: bool = False
    """Whether this call published it."""

    @property
    def is_unexpected(self) -> bool:
        """Whether somebody should look."""
        return self.state == "given_back" and self.reason not in EXPECTED_RETRIES


def claim_tiles(
    ledger: "Ledger", store: "Store", *, run: str, by: "Actor", limit: int, lease: timedelta
) -> list[str]:
    """Addresses of the run's orders, one a tile; none where every rolling map is of the maps that count.

    Saying it again gives the orders of the tiles that the run holds already.

    Raises:
        ConfigError: The actor acts for another run.
        ServiceError: Ledger or store failed; what was leased is found again by the same call.
    """
    if by.run != run:
        raise ConfigError(f"a claim for run {run} cannot be held by {by.run}: leases belong to the run")
    held = ledger.holding_tiles(run) or ledger.claim_tiles(limit=min(limit, MOST_TILES), by=by, lease=lease)
    hrefs = []
    for ref in held:
        key = f"rolls/{run}/{ref.tile}-{ref.token}/order.json"
        store.put_json(key, TileOrder(run=run, tile=ref))
        hrefs.append(store.href(key))
    return hrefs


def read_order(store: "Store", href: str) -> TileOrder:
    """The order at that address.

    Raises:
        ConfigError: None is there, or it was written by another version.
        ServiceError: The store does not answer.
    """
    text = store.find(store.key(href))
    if text is None:
        raise ConfigError(f"{href} is not there: give the address of an order that `rolling claim` wrote")
    return _parsed(TileOrder, text, href)


def publish_rolled(
    ledger: "Ledger",
    store: "Store",
    href: str,
    by: "Actor",
    *,
    commit: Commit = "store",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> TileReport:
    """The rolling map that the stage made is the one that readers find, once; or the tile is given back.

    Args:
        ledger: The truth.
        store: The own bucket.
        href: Address of the order.
        by: Who.
        commit: What decides a race: the store's conditional put, or the ledger's lock alone.
        clock: What time it is (aware).

    Raises:
        ConfigError: No such order, or a document of another version.
        ServiceError: Ledger or store failed; the same call may succeed later.
    """
    order = read_order(store, href)
    folder = store.key(href).rpartition("/")[0]
    text = store.find(f"{folder}/rolled.json")
    rolled = None if text is None else _parsed(RolledRef, text, f"{folder}/rolled.json")
    desk = _Desk(ledger, store, order.tile, by, commit, clock)
    try:
        return desk.told(rolled)
    except LeaseLost as error:
        return TileReport(tile=order.tile.tile, state="lost", reason="lease_lost", sentence=str(error))


@dataclass(frozen=True, slots=True)
class _Desk:
    """One tile on its way into the catalog."""

    ledger: "Ledger"
    store: "Store"
    ref: TileRef
    by: "Actor"
    commit: Commit
    clock: Callable[[], datetime]

    def told(self, rolled: RolledRef | None) -> TileReport:
        if rolled is None:
            sentence = f"no stage said how {self.ref.tile} ended: it died or never began; see its log"
            return self._given_back("stage_died", sentence)
        if rolled.ending != Ending.DONE:
            return self._given_back(rolled.reason, rolled.sentence)
        if rolled.made is None:
            return self._emptied()
        return self._made(rolled.made)

    def _made(self, made: Made) -> TileReport:
        candidate = read_item(self.store, made.item)
        missing = made.item if candidate is None else self._missing(candidate, made)
        if candidate is None or missing is not None:
            sentence = f"{made.id} cannot be published: {missing} is not in the store as its Item says"
            return self._given_back("assets_missing", sentence)
        try:
            return self._visible(made, candidate)
        except WrongProduct as error:
            return self._given_back("item_conflict", str(error))

    def _visible(self, made: Made, candidate: Mapping[str, Any]) -> TileReport:
        """The Item lies where everybody reads it, and the ledger says so; both or neither count."""
        key = items.item_key(made)
        with self.ledger.rolling(self.ref, self.by) as row:
            if row.done:
                return self._ended(row)
            if gone := row.gone():
                row.outdated(gone)
                return self._report("given_back", "outdated", f"{made.id} is of maps that count no more")
            earlier = self._earlier(row, key)
            self._put(key, self._item(candidate, made, earlier))
            for each in earlier:
                change = partial(items.succeeded, key=each.key, by_key=key, by_id=made.id)
                update_item(self.store, each.key, change, commit=self.commit)
            row.rolled(made, self.store.href(key))
        return self._report("published", "ok", "", item=self.store.href(key), new=True)

    def _emptied(self) -> TileReport:
        """No map is left: the Item that is there says so."""
        why = "no map of the tile is left: the model that made them was taken back"
        with self.ledger.rolling(self.ref, self.by) as row:
            if row.done:
                return self._ended(row)
            for each in self._earlier(row, key=None):
                update_item(self.store, each.key, partial(items.withdrawn, why=why), commit=self.commit)
            row.emptied()
        return self._report("emptied", "no_maps", why)

    def _item(self, candidate: Mapping[str, Any], made: Made, earlier: list[items.Earlier]) -> dict[str, Any]:
        """As everybody will read it; it leads to the published Items of its maps."""
        publication = items.Publication(
            made=made, acquisition=self.ref.tile, at=self.clock(), run=self.by.run, earlier=earlier
        )
        item = items.published_item(candidate, publication)
        del item["properties"]["undersky:acquisition"]  # it is of many
        key = publication.key
        used = {str(each["digest"]) for each in item["properties"]["undersky:maps"]}
        maps = [
            items.link("derived_from", key, items.item_key(each), kind=items.ITEM_TYPE, title=each.id)
            for each in self.ref.products
            if each.digest in used
        ]
        item["links"] = [*(link for link in item["links"] if link["rel"] != "derived_from"), *maps]
        return item

    def _earlier(self, row: "Rolling", key: str | None) -> list[items.Earlier]:
        """The Item that the new one takes the place of, if there is one and it is another."""
        if row.earlier is None or self.store.key(row.earlier) == key:
            return []
        at = self.store.key(row.earlier)
        found = read_item(self.store, at)
        return [] if found is None else [items.Earlier(at, found)]

    def _put(self, key: str, item: Mapping[str, Any]) -> None:
        """The Item lies there, or an equal one did; one that was deprecated is current again.

        Raises:
            WrongProduct: Another one lies there.
        """
        there = read_item(self.store, key) if self.commit == "ledger" else None
        if there is None:
            absent = self.commit == "store"
            try:
                self.store.put(key, items.to_bytes(item), content_type=items.ITEM_TYPE, if_absent=absent)
            except PreconditionFailed:
                there = read_item(self.store, key)
            else:
                return
        if there is None or not items.same_product(there, item):
            raise WrongProduct(
                f"another Item lies at {self.store.href(key)}: it is not {item['id']}; who writes there "
                "beside Undersky? Move it away"
            )
        if there["properties"].get("deprecated"):
            update_item(self.store, key, lambda _: dict(item), commit=self.commit)

    def _missing(self, candidate: Mapping[str, Any], made: Made) -> str | None:
        """Key of an asset that is absent or has another size; None where the map is whole."""
        there = {stored.key: stored.size for stored in self.store.list(f"{made.prefix}/")}
        for asset in candidate.get("assets", {}).values():
            key = items.resolved(str(asset["href"]), made.item)
            if key not in there or there[key] != asset.get("file:size", there[key]):
                return key
        return None

    def _given_back(self, reason: str, sentence: str) -> TileReport:
        stood = self.ledger.give_back_tile(self.ref, self.by, reason, sentence)
        return self._report("given_back" if stood else "lost", reason, sentence)

    def _ended(self, row: "Rolling") -> TileReport:
        """As an earlier try of this call said."""
        if row.earlier is None:
            return self._report("emptied", "no_maps", "")
        return self._report("published", "ok", "", item=row.earlier)

    def _report(
        self, state: str, reason: str, sentence: str, *, item: str | None = None, new: bool = False
    ) -> TileReport:
        return TileReport(
            tile=self.ref.tile, state=state, reason=reason, sentence=sentence, item=item, new=new
        )


def _parsed(kind: type[R], text: bytes, where: str) -> R:
    try:
        return kind.from_json(text)
    except ValidationError as error:
        raise ConfigError(
            f"{where} is no {kind.__name__}: {error.errors()[0]['msg']}; was it written by another version "
            "of Undersky?"
        ) from error
