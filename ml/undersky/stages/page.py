"""`page`: products and maps that lie on a disk, as one page to look at.

folders --every Item in or just below them--> products, maps beside the surface product they are of --> page
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from undersky.errors import DataError, Reason
from undersky.pages import FULL, Heading, Link, PageProduct, PageScene, in_full, product_of_item, run_page
from undersky.raster.commit import put_text

Json = Mapping[str, Any]

_DIGEST = "undersky:digest"
_KINDS = ("surface", "landcover", "vessels")


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """A page that lies on the disk."""

    page: Path
    """The file."""
    scenes: int
    """Scenes that it tells of."""
    shown: int
    """Of those, how many with their pictures."""
    products: int
    """Products and maps."""
    bytes: int
    """Of the page."""


def write_page(folders: Sequence[Path], out: Path, *, most: int = FULL) -> WrittenPage:
    """The page of all products in these folders lies at `out`.

    Args:
        folders: Products that `correct`, `map` and `detect` made, or folders that hold them.
        out: The file; its links lead to the products as they lie now.
        most: Scenes with pictures; the others get a line each.

    Raises:
        DataError: `unknown_product`: there is no product in one of them.
    """
    found = {item["properties"][_DIGEST]: (path, item) for folder in folders for path, item in _items(folder)}
    scenes = tuple(_scenes(found, out.resolve().parent))
    shown, rest = in_full(scenes, most=most)
    heading = Heading("Products on the disk", "by hand", {"products": str(len(found))})
    text = run_page(heading, shown=shown, rest=rest)
    out.resolve().parent.mkdir(parents=True, exist_ok=True)
    put_text(out.resolve(), text)
    return WrittenPage(out, len(scenes), len(shown), len(found), len(text.encode()))


def _items(folder: Path) -> Iterator[tuple[Path, Json]]:
    """The Items of ours in a folder or just below it."""
    found = [
        (path, item)
        for path in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
        if (item := _item(path)) is not None
    ]
    if not found:
        raise DataError(
            Reason.UNKNOWN_PRODUCT,
            f"{folder} holds no product: give the DIR of `undersky correct --out DIR`, of `map` or `detect`",
        )
    yield from found


def _item(path: Path) -> Json | None:
    """The Item of a product of ours; None of any other file."""
    try:
        item = json.loads(path.read_text(encoding="utf-8"))
        is_ours = item["type"] == "Feature" and bool(item["properties"][_DIGEST]) and bool(item["assets"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return item if is_ours else None


def _scenes(found: Mapping[str, tuple[Path, Json]], at: Path) -> Iterator[PageScene]:
    """One for each surface product, with its maps; one for maps whose surface product is not there."""
    together: dict[str, list[tuple[Path, Json]]] = {}
    for digest, (path, item) in found.items():
        source = item["properties"].get("undersky:surface", {}).get("digest", digest)
        together.setdefault(str(source), []).append((path, item))
    for members in together.values():
        products = [_product(path, item, at) for path, item in members]
        products.sort(key=lambda each: (_rank(each.kind), each.id or ""))
        yield PageScene(products[0].id or "", _title(members[0][1]), tuple(products))


def _rank(kind: str) -> int:
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS)


def _title(item: Json) -> str:
    properties = item["properties"]
    place = str(properties.get("grid:code", "")).rpartition("-")[2] or str(item["id"]).split("_")[1]
    return f"{place}, {datetime.fromisoformat(properties['datetime']):%d %B %Y, %H:%M} UTC"


def _product(path: Path, item: Json, at: Path) -> PageProduct:
    folder = path.resolve().parent

    def read(href: str) -> bytes | None:
        file = folder / Path(unquote(href)).name  # an Item from elsewhere shows no file but those beside it
        return file.read_bytes() if file.is_file() else None

    def link(href: str) -> str:
        return quote(Path(os.path.relpath(folder / unquote(href), at)).as_posix())

    product = product_of_item(item, state="made", read=read, link=link)
    links = (Link("STAC Item", link(path.name)), *product.links)
    return replace(product, links=links)
