"""A file on its way: what arrived survives the process, so that the next one goes on from there.

    <folder>/<digest>-<name>.part        the bytes
    <folder>/<digest>-<name>.json        whose bytes they are, and how many of them surely lie on disk

The note is written after the bytes were synced: whatever happens to the machine, the file is cut back to
what the note promises. A living process holds a lock on the bytes.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from undersky.errors import ServiceError
from undersky.refs import Reference

_SYNC = 16 << 20
"""So many bytes may be lost to a kill."""
_FORGOTTEN_S = 7 * 86_400


class Note(Reference):
    """Whose bytes lie there."""

    href: str
    checksum: str | None = None
    """What upstream announced: other bytes under the same address are another file."""
    validator: str | None = None
    size: int | None = None
    """Of the whole file, where upstream says so."""
    durable: int = 0
    """Bytes that surely lie on disk."""


class Partial:
    """The bytes that arrived, and their note. Made by `partial`."""

    def __init__(self, file: BinaryIO, path: Path, note: Note) -> None:
        self._file, self.path, self.note = file, path, note
        self.at = self.moved = 0
        self._cut(note.durable)

    def write(self, chunk: bytes) -> None:
        """The chunk lies after what arrived before."""
        self._file.write(chunk)
        self.at += len(chunk)
        self.moved += len(chunk)
        if self.at - self.note.durable >= _SYNC:
            self.sync()

    def sync(self) -> None:
        """What arrived outlives the machine."""
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._remember(durable=self.at)

    def begins(self, *, validator: str | None, size: int | None) -> None:
        """The answer's validator and size are remembered."""
        if (validator, size) != (self.note.validator, self.note.size):
            self.note = self.note.model_copy(update={"validator": validator, "size": size})

    def restart(self) -> None:
        """Nothing of the file is here."""
        self.note = self.note.model_copy(update={"validator": None, "size": None})
        self._remember(durable=0)
        self._cut(0)

    def flush(self) -> None:
        """The file can be read by its path."""
        self._file.flush()

    def remove(self) -> None:
        """Bytes and note are gone."""
        self.path.with_suffix(".json").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _cut(self, size: int) -> None:
        self._file.flush()
        # fewer bytes than promised: somebody emptied the folder under us
        size = size if os.fstat(self._file.fileno()).st_size >= size else 0
        self._file.truncate(size)
        self._file.seek(size)
        self.at = size

    def _remember(self, *, durable: int) -> None:
        self.note = self.note.model_copy(update={"durable": durable})
        path = self.path.with_suffix(".json")
        fresh = path.with_suffix(f".{os.getpid()}.json")
        fresh.write_text(self.note.to_json(), encoding="utf-8")
        fresh.replace(path)


@contextmanager
def partial(folder: Path, key: str, *, href: str, checksum: str | None) -> Iterator[Partial]:
    """What arrived of the file so far; what arrives within the block is kept, however it ends.

    Args:
        folder: Where partial files live; it is made.
        key: Where the file goes: names the partial file.
        href: Where it comes from; bytes from elsewhere are thrown away.
        checksum: What upstream announced.

    Raises:
        ServiceError: Another process is fetching the same file.
        OSError: The disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{hashlib.sha256(key.encode()).hexdigest()[:16]}-{key.rpartition('/')[2][:80]}"
    path = folder / f"{name}.part"
    with _locked(path) as file:
        found = Partial(file, path, _known(path, Note(href=href, checksum=checksum)))
        try:
            yield found
        finally:
            if path.exists():
                with suppress(OSError):  # a full disk must not hide what went wrong
                    found.sync()


def remove_forgotten(folder: Path, *, now: float | None = None) -> None:
    """No partial file is older than a week."""
    before = (now or time.time()) - _FORGOTTEN_S
    for path in folder.glob("*-*.*"):
        with suppress(OSError):
            if path.suffix in {".part", ".json"} and path.stat().st_mtime < before:
                path.unlink()


@contextmanager
def slot(folder: Path, number: int, halted: Callable[[], None]) -> Iterator[None]:
    """One of so many places, over all processes of this machine; waits until one is free.

    A provider's limit holds for all of us together. A killed process gives its place back by dying.

    Args:
        folder: Names the places.
        number: How many there are.
        halted: Raises when waiting is to end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for index in range(number):
            handle = os.open(folder / f"slot-{index}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                continue
            try:
                yield
            finally:
                os.close(handle)
            return
        halted()
        time.sleep(0.05)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The file, locked; its name still leads to it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServiceError(f"{path.name} is being fetched by another process; wait for it") from error
            try:
                same = os.path.samestat(path.stat(), os.fstat(handle))
            except FileNotFoundError:
                same = False
            if same:  # else another process finished and removed it between open and lock
                yield file
                return


def _known(path: Path, wanted: Note) -> Note:
    """The note of these bytes, or a blank one where they are of another file."""
    try:
        note = Note.from_json(path.with_suffix(".json").read_bytes())
    except (OSError, ValidationError):
        return wanted
    same = (note.href, note.checksum) == (wanted.href, wanted.checksum)
    return note if same else wanted
