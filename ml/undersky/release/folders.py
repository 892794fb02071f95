"""Folders in the store: their files, and last the listing that says that they are whole.

<prefix>/<file> ...
<prefix>/folder.json      name, size and sha256 of each: the commit
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from undersky.refs import FileRef, Reference

if TYPE_CHECKING:
    from undersky.services.store import Store

LISTING = "folder.json"
_BLOCK = 1 << 20


class Listing(Reference):
    """A folder that lies whole in the store."""

    digest: str
    """Of what it holds, as whoever made it states it."""
    files: tuple[FileRef, ...]


def find_listing(store: "Store", prefix: str) -> Listing | None:
    """What lies there; None where there is nothing, or only a part."""
    text = store.find(f"{prefix}/{LISTING}")
    return None if text is None else Listing.from_json(text)


def put_folder(store: "Store", prefix: str, folder: Path, *, digest: str) -> Listing:
    """Every file of the folder lies under the prefix, and then the listing."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, sha256 = path.relative_to(folder).as_posix(), sha256_of(path)
        store.put_file(f"{prefix}/{name}", path, sha256=sha256)
        href = store.href(f"{prefix}/{name}")
        files.append(FileRef(name=name, href=href, size=path.stat().st_size, checksum=f"sha256:{sha256}"))
    listing = Listing(digest=digest, files=tuple(files))
    store.put_json(f"{prefix}/{LISTING}", listing)
    return listing


def get_folder(store: "Store", listing: Listing, folder: Path) -> None:
    """The folder holds the files, verified; what is there already is not fetched again."""
    for file in listing.files:
        path, sha256 = folder / file.name, (file.checksum or "").removeprefix("sha256:")
        if path.is_file() and sha256_of(path) == sha256:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(store.key(file.href), path, size=file.size, sha256=sha256)


def sha256_of(path: Path) -> str:
    """Of the file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
