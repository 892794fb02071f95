"""Published Items in the store, read, and changed without losing what somebody else changed meanwhile."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from undersky.errors import ServiceError
from undersky.flow.published import ITEM_TYPE, to_bytes
from undersky.services.store import PreconditionFailed

if TYPE_CHECKING:
    from undersky.services.store import Store

Commit = Literal["store", "ledger"]
Json = dict[str, Any]

_UPDATES = 8
"""How often an Item may change under our hands."""


def read_item(store: "Store", key: str) -> Json | None:
    """The JSON object that lies there; None where there is none.

    Raises:
        ServiceError: What lies there is no JSON.
    """
    text = store.find(key)
    found = None if text is None else _parsed(store, key, text)
    return found if isinstance(found, dict) else None


def update_item(
    store: "Store", key: str, change: Callable[[Mapping[str, Any]], Json], *, commit: Commit = "store"
) -> None:
    """The Item that lies there is changed; nothing happens where there is none.

    Args:
        store: The own bucket.
        key: Of the Item.
        change: Makes the new Item of the old one; once or twice must be the same.
        commit: What decides a race: the store's conditional put, or a lock that the caller holds.

    Raises:
        ServiceError: It changed again and again meanwhile, it is no JSON, or the store failed.
    """
    for _ in range(_UPDATES):
        document = store.read(key)
        if document is None:
            return
        item = _parsed(store, key, document.data)
        changed = change(item)
        if changed == item:
            return
        etag = document.stored.etag if commit == "store" else None
        try:
            store.put(key, to_bytes(changed), content_type=ITEM_TYPE, if_match=etag)
        except PreconditionFailed:
            continue
        return
    raise ServiceError(f"{store.href(key)} changed {_UPDATES} times while it was to be updated")


def _parsed(store: "Store", key: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ServiceError(f"{store.href(key)} is no JSON ({error}); it was cut or changed") from error
