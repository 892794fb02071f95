"""A finished product lies complete in the own store, its Item last; what is there is found, not made again.

    products/<collection>/<yyyy>/<mm>/<scene>/<digest>/<asset>      the same bytes, whoever makes them
                                                      /<id>.json    written once, when all assets are there

Shared by every stage that makes a product.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from undersky.services.store import PreconditionFailed, Store

Json = Mapping[str, Any]

_SHA2_256 = "1220"
_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where a product belongs."""

    prefix: str
    """`products/<collection>/<yyyy>/<mm>/<scene>/<digest>`, a key prefix in the store."""
    id: str
    """Of its Item."""
    digest: str
    """Of sources, models, parameters and format version."""

    @property
    def item(self) -> str:
        """Key of the Item."""
        return f"{self.prefix}/{self.id}.json"


def complete(store: Store, place: Place) -> Json | None:
    """The Item of an equal product whose every asset lies in the store; None where there is none."""
    text = store.find(place.item)
    if text is None:
        return None
    try:
        item = cast("Json", json.loads(text))
        sums = {_name(asset): _sha256(asset) for asset in item["assets"].values()}
        sizes = {_name(asset): asset["file:size"] for asset in item["assets"].values()}
        same = item["properties"]["undersky:digest"] == place.digest
    except (ValueError, KeyError, TypeError):
        return None
    for name, sha256 in sums.items():
        stored = store.head(f"{place.prefix}/{name}")
        if stored is None or stored.size != sizes[name] or stored.sha256 not in (None, sha256):
            return None
    return item if same else None


def upload(store: Store, place: Place, folder: Path) -> Json:
    """Assets, then the Item: the one that is in the store, if another run was first.

    Args:
        store: The own bucket.
        place: Where the product belongs.
        folder: Holds `<id>.json` and the assets it names, flat.

    Raises:
        ServiceError: The store failed; no Item was put.
    """
    text = (folder / f"{place.id}.json").read_bytes()
    item = cast("Json", json.loads(text))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        jobs = [pool.submit(_upload_asset, store, place, folder, asset) for asset in item["assets"].values()]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    try:
        store.put(place.item, text, content_type="application/geo+json", if_absent=True)
    except PreconditionFailed:
        found = complete(store, place)
        if found is not None:
            return found
        store.put(place.item, text, content_type="application/geo+json")
    return item


def _upload_asset(store: Store, place: Place, folder: Path, asset: Json) -> None:
    name = _name(asset)
    store.put_file(f"{place.prefix}/{name}", folder / name, content_type=asset["type"], sha256=_sha256(asset))


def _name(asset: Json) -> str:
    return str(asset["href"]).removeprefix("./")


def _sha256(asset: Json) -> str:
    return str(asset["file:checksum"]).removeprefix(_SHA2_256)
