"""`index`: what was published can be found: static catalog, stac-geoparquet, files for the STAC API.

    ledger: current products --> stac/<collection>/<yyyy>/<mm>/{items,catalog}.json    months that changed
                             --> stac/<collection>/{items.parquet,collection.json}     Collections that did
                             --> stac/catalog.json, at last stac/index.json, which says what is indexed

One writer at a time, by a lock of the ledger. Items are the truth: all of this may be deleted and comes back.
`stac/index.json` is written last, so that a run that was killed is made again. Items never change what is
indexed of them, so those of an unfinished month come from `items.json`, and only new ones are read.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from undersky.errors import ServiceError
from undersky.flow import catalog
from undersky.flow.published import ITEM_TYPE, ROOT, Json, collection_key, to_bytes
from undersky.refs import Reference
from undersky.services.geoparquet import write_items

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger
    from undersky.services.store import Store

INDEX = "stac/index.json"
_FORMAT = "1"
"""Of what is written here; another one makes everything again."""
_READERS = 16


class Index(Reference):
    """What the index holds, and by what it is known."""

    digest: str
    """sha256 over everything that is indexed: another digest, another index."""
    base: str
    """Address under which hrefs of the index stand."""
    months: dict[str, dict[str, str]]
    """Collection to month, `2025/06`, to sha256 over its keys."""
    items: int
    """Current Items, all Collections."""
    at: datetime
    """When it was written (aware)."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a call did."""

    digest: str
    """Of the index that is there now."""
    changed: bool
    """False where nothing had to be written."""
    items: int
    """Current Items."""
    collections: tuple[str, ...]
    """With at least one current Item."""
    read: int = 0
    """Items that had to be read from the store."""


def index(
    ledger: "Ledger",
    store: "Store",
    *,
    public_url: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> IndexReport:
    """The index holds exactly the current Items of the ledger; nothing is written where it did already.

    Args:
        ledger: Says which Items are current, of products and of rolling maps.
        store: The own bucket.
        public_url: Where readers reach the bucket; `s3://bucket` when None.
        clock: What time it is (aware).

    Raises:
        ServiceError: Ledger or store failed: what was there before stays, the same call may succeed
            later. Or an Item that the ledger knows is not in the store: all others are indexed.
    """
    base = (public_url or store.url).rstrip("/")
    with ledger.alone("index"):
        hrefs = [product.href for product in ledger.published(current=True)]
        hrefs += [rolling.href for rolling in ledger.tile_maps()]
        wanted = _wanted(store.key(href) for href in hrefs if href is not None)
        old, found = read_index(store), _index(wanted, base, clock())
        if old is not None and old.digest == found.digest:
            return _report(found, changed=False)
        writer = _Writer(store, base, {} if old is None or old.base != base else old.months)
        read = sum(writer.collection(name, by, found.months[name]) for name, by in sorted(wanted.items()))
        if writer.lost:
            wanted = _wanted(key for key in _keys(wanted) if key not in writer.lost)
            found = _index(wanted, base, clock())
        store.put(ROOT, to_bytes(catalog.root_catalog(sorted(wanted))), content_type="application/json")
        for name, months in ({} if old is None else old.months).items():
            writer.clear(name, set(months) - set(wanted.get(name, ())), whole=name not in wanted)
        store.put_json(INDEX, found)
    if writer.lost:
        raise ServiceError(
            f"{len(writer.lost)} Items are published in the ledger and not in the store, first "
            f"{store.href(writer.lost[0])}: they were deleted there; everything else is indexed. Restore "
            "them, or `undersky remake` their scenes"
        )
    return _report(found, changed=True, read=read)


def _index(wanted: Mapping[str, Mapping[str, Sequence[str]]], base: str, at: datetime) -> Index:
    months = {name: {m: _digest(base, *keys) for m, keys in by.items()} for name, by in wanted.items()}
    digest = _digest(base, json.dumps(months, sort_keys=True))
    return Index(digest=digest, base=base, months=months, items=len(list(_keys(wanted))), at=at)


def _report(found: Index, *, changed: bool, read: int = 0) -> IndexReport:
    return IndexReport(found.digest, changed, found.items, tuple(sorted(found.months)), read)


def read_index(store: "Store") -> Index | None:
    """What the index holds; None where there is none, or one of another version of Undersky."""
    text = store.find(INDEX)
    try:
        return None if text is None else Index.from_json(text)
    except ValidationError:
        return None


def index_digest(store: "Store") -> str | None:
    """By what the index is known: whoever serves it begins anew when this changes. None before the first."""
    found = read_index(store)
    return None if found is None else found.digest


def served_files(store: "Store", folder: Path) -> tuple[Path, ...]:
    """Local copies of what `rustac serve --use-duckdb false FILE...` takes: Collections, then their Items.

    Args:
        store: The own bucket.
        folder: Where the copies go; files of an earlier index are replaced.

    Raises:
        ServiceError: The store failed, or the index changed meanwhile: call again.
    """
    found = read_index(store)
    folder.mkdir(parents=True, exist_ok=True)
    collections, tables = [], []
    for name in sorted(found.months if found is not None else ()):
        document = json.loads(store.get(collection_key(name)))
        # the server makes its own links; relative ones to months would lead nowhere there
        document["links"] = [each for each in document["links"] if each["rel"] == "license"]
        path = folder / f"{name}.json"
        path.write_bytes(to_bytes(document))
        collections.append(path)
        tables.append(folder / f"{name}.parquet")
        store.get_file(_parquet(name), tables[-1])
    return (*collections, *tables)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the files of one index."""

    store: "Store"
    base: str
    before: Mapping[str, Mapping[str, str]]
    """Collection to month to digest, of the index that is there."""
    lost: list[str] = field(default_factory=list)
    """Keys of Items that are not where the ledger says; filled on the way."""

    def collection(self, name: str, by_month: Mapping[str, Sequence[str]], digests: Mapping[str, str]) -> int:
        """The files of one Collection; how many Items had to be read."""
        known = self.before.get(name, {})
        if dict(known) == dict(digests):
            return 0
        items: list[Json] = []
        read = 0
        for month, keys in sorted(by_month.items(), reverse=True):
            found, new = self._month(name, month, keys, fresh=known.get(month) == digests[month])
            items += found
            read += new
        if not items:
            return 0
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "items.parquet"
            write_items(items, path)
            self.store.put_file(_parquet(name), path, content_type=catalog.PARQUET_TYPE)
        document = catalog.collection_document(name, items, sorted(by_month))
        self._put(collection_key(name), document)
        return read

    def _month(self, name: str, month: str, keys: Sequence[str], *, fresh: bool) -> tuple[list[Json], int]:
        """The indexed Items of a month, newest first, and how many were read; its files hold them."""
        known = self._cached(name, month)
        missing = [key for key in keys if key not in known]
        with ThreadPoolExecutor(_READERS) as pool:
            read = dict(zip(missing, pool.map(self._item, missing), strict=True))
        known |= {key: item for key, item in read.items() if item is not None}
        self.lost.extend(key for key in keys if key not in known)
        items = {key: known[key] for key in keys if key in known}
        ordered = sorted(items, key=lambda key: (items[key]["properties"]["datetime"], key), reverse=True)
        found = [items[key] for key in ordered]
        if not fresh or missing:
            self._put(_cache(name, month), {"type": "FeatureCollection", "features": found}, ITEM_TYPE)
            self._put(f"stac/{name}/{month}/catalog.json", catalog.month_catalog(name, month, found, ordered))
        return found, len(missing)

    def _cached(self, name: str, month: str) -> dict[str, Json]:
        """Key to indexed Item, as the month's file has them under this address."""
        text = self.store.find(_cache(name, month))
        found: dict[str, Json] = {}
        for item in [] if text is None else json.loads(text)["features"]:
            own = next(link["href"] for link in item["links"] if link["rel"] == "self")
            if own.startswith(f"{self.base}/stac/"):
                found[own.removeprefix(f"{self.base}/")] = item
        return found

    def _item(self, key: str) -> Json | None:
        text = self.store.find(key)
        return None if text is None else catalog.indexed_item(json.loads(text), key, base=self.base)

    def clear(self, name: str, months: Iterable[str], *, whole: bool) -> None:
        """Nothing is left of months, or of a whole Collection, without a current Item."""
        for month in months:
            self.store.delete(f"stac/{name}/{month}/catalog.json")
            self.store.delete(_cache(name, month))
        if whole:
            self.store.delete(collection_key(name))
            self.store.delete(_parquet(name))

    def _put(self, key: str, document: Mapping[str, Any], kind: str = "application/json") -> None:
        self.store.put(key, to_bytes(document), content_type=kind)


def _wanted(keys: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Collection to month to keys, sorted."""
    wanted: dict[str, dict[str, list[str]]] = {}
    for key in sorted(keys):
        wanted.setdefault(key.split("/")[1], {}).setdefault(catalog.month_of(key), []).append(key)
    return wanted


def _keys(wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    return (key for by in wanted.values() for keys in by.values() for key in keys)


def _cache(name: str, month: str) -> str:
    return f"stac/{name}/{month}/items.json"


def _parquet(name: str) -> str:
    return f"stac/{name}/items.parquet"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join((_FORMAT, *parts)).encode()).hexdigest()
