"""One upstream file into the store: resumed, verified, then put under its final key, never before.

in the store already, equal? done
partial file <- flow <- flow <- ... (cut connections go on; a changed file begins anew)
size, checksum right? -> put_file -> partial removed          wrong? once more from the start, then typed
"""

import random
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from undersky.errors import DataError, Reason, ServiceError
from undersky.refs import FileRef
from undersky.services.access import Access
from undersky.services.store.failures import disk_converted
from undersky.services.transfer.checksums import Checksum, read_checksum
from undersky.services.transfer.partial import Partial, partial, remove_forgotten, slot
from undersky.services.transfer.sources import Busy, Changed, Flow, Sources, shown

if TYPE_CHECKING:
    from undersky.services.store import Store

MAX_BYTES = 16 << 30
"""No file of a Level-1 product is larger; an endless body ends here."""
_ANEW = 3
"""So often a file is fetched from its first byte before it counts as wrong."""
_STEP = 1 << 16
"""A connection that brought fewer new bytes counts as a failure: nobody fetches a file byte by byte."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that lies in the own store."""

    file: FileRef
    """Own address, size and sha256."""
    moved: int
    """Bytes that came from upstream now; 0 where the file was there."""
    unverified: str | None = None
    """A sentence where upstream's checksum could not be verified, or there was none."""


class Transfers:
    """Files of one provider on their way into the store; threads share it."""

    def __init__(
        self, store: "Store", access: Access, partials: Path, *, tries: int = 6, pause_s: float = 0.5
    ) -> None:
        """Opens connections as they are needed.

        Args:
            store: Where to.
            access: Where from, by the profile's rules.
            partials: Folder of what is on its way; it should outlive the process.
            tries: Requests in a row that may bring next to nothing.
            pause_s: First pause between them; the next ones double, to 30 s.

        Raises:
            ConfigError: The profile needs a login that is not there.
        """
        self.store, self.access = store, access
        self._partials = partials
        self._tries, self._pause_s = tries, pause_s
        self._sources = Sources(access)
        self._stop = threading.Event()
        remove_forgotten(partials)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sources.close()

    def stop(self) -> None:
        """Everything on its way ends within a second as a ServiceError; what arrived is kept."""
        self._stop.set()

    def resume(self) -> None:
        """After `stop`: files may be fetched again."""
        self._stop.clear()

    def fetch(self, ref: FileRef, key: str) -> Fetched:
        """The file lies in the store under the key, verified.

        Args:
            ref: The upstream file.
            key: Where to. An object that is there is replaced only if it is another one.

        Raises:
            DataError: SOURCE_GONE, SOURCE_REFUSED, SIZE_MISMATCH, CHECKSUM_MISMATCH.
            ConfigError: The provider wants other credentials.
            ServiceError: Provider, network, disk or store failed; what arrived is kept for the next time.
        """
        stated = read_checksum(ref.checksum)
        there = self._there(ref, key, stated)
        if there:
            return there
        self._sources.check(ref.href)
        with (
            disk_converted(self._partials),
            partial(self._partials, key, href=ref.href, checksum=ref.checksum) as arriving,
        ):
            self._verified(ref, stated, arriving)
            stored = self.store.put_file(key, arriving.path, notes=_notes(ref))
            arriving.remove()
        own = _own(self.store, ref, key, stored.size, stored.sha256)
        return Fetched(own, arriving.moved, _unverified(ref.name, stated))

    def _there(self, ref: FileRef, key: str, stated: Checksum | None) -> Fetched | None:
        """The object under the key, if it is this very file."""
        found = self.store.metadata(key)
        if found is None or found[0].sha256 is None:
            return None
        stored, notes = found
        if ref.size not in {None, stored.size}:
            return None
        is_sha256 = stated is not None and stated.algorithm == "sha256"
        same = stated.digest == stored.sha256 if stated and is_sha256 else notes == {**notes, **_notes(ref)}
        if not same:
            return None
        own = _own(self.store, ref, key, stored.size, stored.sha256)
        return Fetched(own, 0, _unverified(ref.name, stated))

    def _verified(self, ref: FileRef, stated: Checksum | None, arriving: Partial) -> None:
        """The partial file is whole and right."""
        for last in (*(False,) * (_ANEW - 1), True):
            try:
                self._complete(ref, arriving)
                _check(ref, stated, arriving)
            except DataError as error:
                arriving.restart()
                if last or error.reason not in {Reason.SIZE_MISMATCH, Reason.CHECKSUM_MISMATCH}:
                    raise
            else:
                return

    def _complete(self, ref: FileRef, arriving: Partial) -> None:
        """Every byte has arrived."""
        best = failures = anew = 0
        whole = False
        while not whole:
            try:
                if not self._safe_to_resume(ref, arriving):
                    arriving.restart()
                whole = self._advance(ref, arriving)
            except Changed:
                arriving.restart()
                anew += 1
                if anew >= _ANEW:
                    raise ServiceError(f"{shown(ref.href)} keeps changing while it is read") from None
            except ServiceError as error:
                failures = 0 if arriving.at >= best + _STEP else failures + 1
                if failures >= self._tries or self._stop.is_set():
                    raise
                wait = error.wait_s if isinstance(error, Busy) else 0.0
                self._pause(max(wait, self._backoff(failures)))
            best = max(best, arriving.at)

    def _safe_to_resume(self, ref: FileRef, arriving: Partial) -> bool:
        """Whether bytes from two requests can be told to be of one file."""
        return arriving.at == 0 or arriving.note.validator is not None or ref.checksum is not None

    def _advance(self, ref: FileRef, arriving: Partial) -> bool:
        """One request's bytes have arrived; whether the file is whole."""
        size = arriving.note.size if arriving.note.size is not None else ref.size
        if arriving.at and arriving.at == size:
            return True
        with (
            slot(self._partials / "slots" / self.access.profile, self.access.transfers, self._halted),
            self._sources.flow(ref.href, offset=arriving.at, validator=arriving.note.validator) as flow,
        ):
            if flow.start != arriving.at:
                arriving.restart()
            elif arriving.at and _differs(arriving, flow):
                raise Changed
            self._pour(ref, flow, arriving)
        size = flow.size if flow.size is not None else ref.size
        if size is not None and arriving.at < size:
            raise ServiceError(f"{shown(ref.href)}: cut at byte {arriving.at} of {size}")
        return True

    def _pour(self, ref: FileRef, flow: Flow, arriving: Partial) -> None:
        limit = ref.size if ref.size is not None else flow.size or MAX_BYTES
        if flow.size not in {None, limit}:
            raise _wrong_size(ref, flow.size or 0)
        arriving.begins(validator=flow.validator, size=flow.size)
        for chunk in flow.chunks:
            if arriving.at + len(chunk) > limit:
                raise _wrong_size(ref, arriving.at + len(chunk))
            arriving.write(chunk)
            self._halted()

    def _halted(self) -> None:
        if self._stop.is_set():
            raise ServiceError("the transfer was asked to end; what arrived is kept")

    def _backoff(self, failures: int) -> float:
        return random.uniform(0.5, 1.0) * min(self._pause_s * 2.0**failures, 30.0)  # noqa: S311  jitter

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)
        self._halted()


def _check(ref: FileRef, stated: Checksum | None, arriving: Partial) -> None:
    """The file has the size and checksum that upstream announced.

    Raises:
        DataError: It has not.
    """
    arriving.flush()
    if ref.size not in {None, arriving.at}:
        raise _wrong_size(ref, arriving.at)
    if stated and stated.known:
        found = stated.of(arriving.path)
        if found != stated.digest:
            sentence = (
                f"{ref.name} from {shown(ref.href)} has {stated.algorithm} {found}, announced "
                f"{stated.digest}; fetched {_ANEW} times: the file or its announcement is damaged upstream"
            )
            raise DataError(Reason.CHECKSUM_MISMATCH, sentence)


def _differs(arriving: Partial, flow: Flow) -> bool:
    """Whether the answer is of another file than the part that is here; what it does not say agrees."""
    pairs = ((arriving.note.size, flow.size), (arriving.note.validator, flow.validator))
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def _wrong_size(ref: FileRef, found: int) -> DataError:
    return DataError(
        Reason.SIZE_MISMATCH,
        f"{ref.name} from {shown(ref.href)} has {found} bytes or more, announced {ref.size}; the file or its "
        "announcement is damaged upstream",
    )


def _notes(ref: FileRef) -> dict[str, str]:
    """What is written beside the object, so that a second ingest knows it."""
    return {"source-checksum": ref.checksum} if ref.checksum and ref.checksum.isascii() else {}


def _own(store: "Store", ref: FileRef, key: str, size: int, sha256: str | None) -> FileRef:
    return FileRef(name=ref.name, href=store.href(key), size=size, checksum=f"sha256:{sha256}")


def _unverified(name: str, stated: Checksum | None) -> str | None:
    """A sentence where nothing but the size was verified."""
    if stated is None:
        return f"{name}: upstream states no checksum, only the length was verified"
    return None if stated.known else f"{name}: its checksum ({stated.algorithm}) cannot be computed here"
