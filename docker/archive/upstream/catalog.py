"""All that the archive has at this moment, looked up again as products come and go."""

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from upstream.describe import Description, describe
from upstream.items import Announced, Dialect, Item
from upstream.products import (
    Checksums,
    Product,
    Zips,
    bucket_files,
    find_products,
    landsat_files,
    tile_key,
)

_FRESH_S = 0.5


@dataclass(frozen=True, slots=True)
class Query:
    """What a search asks for."""

    collections: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    begin: datetime | None = None
    end: datetime | None = None
    place: BaseGeometry | None = None
    limit: int = 10
    token: str | None = None
    """Sort key of the last Item of the page before."""


class BadQuery(ValueError):  # noqa: N818  what was wrong with it
    """A search that cannot be answered."""


class Catalog:
    """Products of some folders as each provider announces them."""

    def __init__(self, folders: tuple[Path, ...], cache: Path) -> None:
        self._folders, self._cache = folders, cache
        self._zips, self._checksums = Zips(cache), Checksums()
        self._described: dict[tuple[str, float], Description] = {}
        self._announced: list[Announced] = []
        self._looked = 0.0
        self._lock = threading.Lock()

    def announced(self) -> list[Announced]:
        """Every product, looked up again when half a second has passed."""
        with self._lock:
            if time.monotonic() - self._looked > _FRESH_S or not self._announced:
                self._announced = self._look()
                self._looked = time.monotonic()
            return self._announced

    def search(self, dialect: Dialect, base: str, query: Query) -> tuple[list[Item], str | None]:
        """One page, newest first, and the token of the next one."""
        if query.collections and dialect.collection not in query.collections:
            return [], None
        wanted = [one for one in self.announced() if _fits(one.description, query)]
        wanted.sort(key=_sort_key, reverse=True)
        page: list[Item] = []
        last = ""
        for announced in wanted:
            key = _sort_key(announced)
            if query.token is not None and key >= query.token:
                continue
            item = dialect.make(announced, base, self._checksums)
            if item is None or (query.ids and item["id"] not in query.ids):
                continue
            if len(page) == query.limit:
                return page, last
            page.append(item)
            last = key
        return page, None

    def file(self, dialect: str, path: str) -> Path | None:
        """The file behind an address of a dialect."""
        if dialect == "cdse":
            scene = path.removeprefix("odata/v1/Products(").removesuffix(")/$value")
            return next((one.zip for one in self.announced() if one.product.scene == scene), None)
        key = path.partition("/")[2]
        is_landsat = dialect == "landsatlook"
        for one in self.announced():
            if one.product.is_landsat == is_landsat and key in one.files:
                return one.files[key]
        return None

    def _look(self) -> list[Announced]:
        products = [product for product in find_products(self._folders) if product.name]
        described = [(product, self._describe(product)) for product in products]
        described.sort(key=lambda pair: (pair[1].made, pair[0].scene))
        counts: dict[tuple[str, ...], int] = {}
        announced = []
        for product, description in described:
            name = product.name
            day = (name["platform"], name.get("tile", ""), f"{description.sensed:%Y%m%d}")
            sequence = counts.get(day, 0)
            counts[day] = sequence + 1
            announced.append(self._announce(product, description, sequence))
        return announced

    def _announce(self, product: Product, description: Description, sequence: int) -> Announced:
        if product.is_landsat:
            return Announced(product, description, sequence, None, landsat_files(product))
        key = tile_key(product, description.sensed, sequence)
        files = bucket_files(product, key, self._cache)
        return Announced(product, description, sequence, self._zips.zip_of(product), files)

    def _describe(self, product: Product) -> Description:
        key = (str(product.path), product.changed)
        if key not in self._described:
            self._described[key] = describe(product)
        return self._described[key]


def read_query(raw: dict[str, object]) -> Query:
    """A search from the body of a POST.

    Raises:
        BadQuery: Something in it cannot be understood.
    """
    try:
        begin, end = _interval(str(raw["datetime"])) if raw.get("datetime") else (None, None)
        place = None
        if raw.get("bbox"):
            values = [float(value) for value in _many(raw["bbox"])]
            place = box(*(values if len(values) == 4 else [*values[0:2], *values[3:5]]))
        if raw.get("intersects"):
            asked = raw["intersects"]
            place = shape(json.loads(asked) if isinstance(asked, str) else asked)
        token = raw.get("token")
        return Query(
            collections=tuple(map(str, _many(raw.get("collections")))),
            ids=tuple(map(str, _many(raw.get("ids")))),
            begin=begin,
            end=end,
            place=place,
            limit=max(1, min(500, int(str(raw.get("limit") or 10)))),
            token=str(token) if token else None,
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise BadQuery(f"the search cannot be understood: {error}") from error


def _many(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return value.split(",")
    if isinstance(value, Iterable):
        return [str(one) for one in value]
    raise BadQuery(f"{value!r} is no list")


def _interval(text: str) -> tuple[datetime | None, datetime | None]:
    begin, _, end = text.partition("/")
    return _instant(begin), _instant(end or begin)


def _instant(text: str) -> datetime | None:
    if text in ("", ".."):
        return None
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _fits(description: Description, query: Query) -> bool:
    if query.begin is not None and description.sensed < query.begin:
        return False
    if query.end is not None and description.sensed > query.end:
        return False
    return query.place is None or bool(shape(description.geometry).intersects(query.place))


def _sort_key(announced: Announced) -> str:
    return f"{announced.description.sensed:%Y-%m-%dT%H:%M:%S.%f} {announced.product.scene}"
