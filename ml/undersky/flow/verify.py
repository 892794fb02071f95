"""`ledger verify`: the Items in the store and the products in the ledger are held against each other.

    stac/<collection>/<yyyy>/<mm>/<scene>/<digest>.json  <-->  product of that digest, published

Both ways: an Item that no product knows (orphan), a published product whose Item is gone (missing). An Item
whose product is not published yet is one whose commit was cut off: the next run that makes it heals it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from undersky.flow.published import item_key
from undersky.services.ledger import OPEN_PRODUCT, ProductState
from undersky.tile_refs import LATEST

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger
    from undersky.services.store import Store

ITEM = re.compile(r"stac/[^/]+/\d{4}/\d{2}/[^/]+/[^/]+\.json")
"""Key of an Item; catalogs, collections and tables of the index have fewer parts."""

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """What the comparison found."""

    items: int
    """Items in the store."""
    products: int
    """Published products in the ledger."""
    orphans: tuple[str, ...]
    """Keys of Items that no product of the ledger was made for, or only one that failed."""
    unfinished: tuple[str, ...]
    """Keys of Items whose product is still to be published: the next run that makes it says so."""
    missing: tuple[str, ...]
    """Keys that a published product names and that are not in the store."""

    @property
    def agrees(self) -> bool:
        """Whether ledger and store say the same."""
        return not self.orphans and not self.missing

    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {
            "items": self.items,
            "products": self.products,
            "orphans": len(self.orphans),
            "unfinished": len(self.unfinished),
            "missing": len(self.missing),
        }


def verify(ledger: "Ledger", store: "Store") -> Verified:
    """What is in one and not in the other; nothing is changed.

    Of rolling maps the ledger knows the newest of each tile: it must be there, earlier ones may.

    May run beside the flow: what is published meanwhile is looked at twice before it is called missing.

    Raises:
        ConfigError: The ledger names Items in another bucket.
        ServiceError: Ledger or store failed.
    """
    every = {stored.key for stored in store.list("stac/") if ITEM.fullmatch(stored.key)}
    there = {key for key in every if not key.split("/")[1].endswith(LATEST)}
    orphans: list[str] = []
    unfinished: list[str] = []
    for chunk in _chunks(iter(sorted(there))):
        states = _states(ledger, store, chunk)
        for key in chunk:
            if states[key] & set(OPEN_PRODUCT):
                unfinished.append(key)
            elif not states[key] & {ProductState.PUBLISHED, ProductState.WITHDRAWN}:
                orphans.append(key)
    products, missing = 0, []
    for product in ledger.published():
        products += 1
        key = store.key(product.href or "")
        if key not in there and store.head(key) is None:
            missing.append(key)
    rolling = [store.key(each.href) for each in ledger.tile_maps() if each.href is not None]
    missing += [key for key in rolling if key not in every and store.head(key) is None]
    return Verified(
        items=len(there),
        products=products,
        orphans=tuple(sorted(orphans)),
        unfinished=tuple(sorted(unfinished)),
        missing=tuple(sorted(missing)),
    )


def _states(ledger: "Ledger", store: "Store", keys: Sequence[str]) -> dict[str, set[ProductState]]:
    """The states of the products whose Items belong at these keys."""
    states: dict[str, set[ProductState]] = {key: set() for key in keys}
    for product in ledger.of_digests([key.rpartition("/")[2].removesuffix(".json") for key in keys]):
        if product.href is not None:
            states.get(store.key(product.href), set()).add(product.state)
        elif product.made is not None:
            states.get(item_key(product.made), set()).add(product.state)
    return states


def _chunks(keys: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(keys, CHUNK)):
        yield chunk
