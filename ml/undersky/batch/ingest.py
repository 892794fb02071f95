"""Stage ingest: a scene's files in the own store, whole or not at all.

    announced files -> guarded, resumed, verified -> l1/<collection>/<scene>/<name>
                                       all there? -> l1/<collection>/<scene>/manifest.json

The manifest is written last: a product folder without one is incomplete, one with it never changes.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from undersky.batch.driver import Context, Work
from undersky.errors import ConfigError, DataError, Reason, ServiceError
from undersky.refs import FileRef, Ingested, Outcome, Reference, SceneRef
from undersky.services.access import Access, HrefRefused, check_name, read_credentials
from undersky.services.profiles import load_profiles
from undersky.services.transfer import Fetched, Transfers, read_checksum

if TYPE_CHECKING:
    from undersky.services.store import Store
    from undersky.settings import Settings

MANIFEST = "manifest.json"


class Delivered(Reference):
    """A complete product folder in the store."""

    scene: str
    collection: str
    files: tuple[FileRef, ...]
    """By name, with own addresses, sizes and sha256."""
    sources: tuple[FileRef, ...]
    """The same files as upstream announced them; a file it did not have is missing here too."""
    unverified: tuple[str, ...] = ()
    """A sentence for each file of which upstream gave no checksum that could be verified."""


@dataclass(slots=True)
class Ingest:
    """The work of the stage over one batch: logins and connections are kept from scene to scene."""

    access: Callable[[str], Access]
    """Access of the profile of that name; raises ConfigError where there is none."""
    partials: Path
    """Folder of what is on its way; it should outlive the process."""
    opened: dict[str, Transfers] = field(default_factory=dict)

    def __call__(self, ref: SceneRef, context: Context) -> Outcome:
        """The scene's outcome; see `ingest_scene`."""
        if ref.profile is None:
            raise ConfigError(f"{ref.scene} names no profile: it was claimed for another stage than ingest")
        if ref.profile not in self.opened:
            self.opened[ref.profile] = Transfers(context.store, self.access(ref.profile), self.partials)
        delivered, ingested = ingest_scene(self.opened[ref.profile], ref)
        if ingested.fetched and delivered.unverified:
            context.tell("files without a verified checksum", files=list(delivered.unverified))
        sentence = _told(delivered)
        return context.ended(ref, sentence=sentence, ingested=ingested)


def ingest_work(settings: "Settings") -> Work:
    """The stage's work as the settings have it: profiles, logins, scratch folder.

    Partial files lie beside the batches' working folders, which vanish, in `undersky-transfers`.

    Raises:
        ConfigError: A profile or UNDERSKY_CREDENTIALS cannot be read.
    """
    profiles = load_profiles(settings.profiles)
    credentials = read_credentials(settings.credentials)

    def access(name: str) -> Access:
        if name not in profiles:
            raise ConfigError(
                f"no profile {name}; there are {', '.join(sorted(profiles))}: set UNDERSKY_PROFILES to the "
                "folder it was announced with"
            )
        return profiles[name].access(credentials)

    scratch = settings.scratch or Path(tempfile.gettempdir())
    return Ingest(access, scratch / "undersky-transfers")


def ingest_scene(transfers: Transfers, ref: SceneRef) -> tuple[Delivered, Ingested]:
    """Every file of the scene lies in the store, verified, and its manifest says so.

    Files that are there are not fetched again, and a folder with a manifest is not touched.

    Raises:
        DataError: A file is gone, refused or damaged upstream; names that are none; or SOURCE_CHANGED where
            upstream announces other files under the name of a scene that was ingested before.
        ConfigError: The provider wants other credentials.
        ServiceError: Something failed; what arrived is kept for the next time.
    """
    folder = _folder(ref)
    before = _manifest(transfers.store, f"{folder}/{MANIFEST}")
    if before:
        _same(ref, before, transfers.access)
        return before, _ingested(before, 0)
    found = _fetch_all(transfers, ref.files, folder)
    files = tuple(each.file for _, each in found)
    delivered = Delivered(
        scene=ref.scene,
        collection=ref.collection,
        files=files,
        sources=tuple(source for source, _ in found),
        unverified=tuple(each.unverified for _, each in found if each.unverified),
    )
    transfers.store.put_json(f"{folder}/{MANIFEST}", delivered)
    return delivered, _ingested(delivered, sum(each.moved for _, each in found))


def _fetch_all(
    transfers: Transfers, files: tuple[FileRef, ...], folder: str
) -> list[tuple[FileRef, Fetched]]:
    """The files and what became of them, by name; those that may be absent and are, are missing."""

    def fetch(file: FileRef) -> Fetched | None:
        try:
            return transfers.fetch(file, f"{folder}/{file.name}")
        except DataError as error:
            if error.reason is Reason.SOURCE_GONE and transfers.access.may_be_absent(file.name):
                return None
            raise

    ordered = sorted(files, key=lambda file: file.name)
    with _pool(transfers) as pool:
        futures = [pool.submit(fetch, file) for file in ordered]
        wait(futures, return_when=FIRST_EXCEPTION)
        if any(each.done() and each.exception() for each in futures):
            transfers.stop()
    results = _results(futures)
    return [(file, each) for file, each in zip(ordered, results, strict=True) if each is not None]


@contextmanager
def _pool(transfers: Transfers) -> Iterator[ThreadPoolExecutor]:
    """Threads that end within a second when the block is left, whatever ended it."""
    transfers.resume()
    pool = ThreadPoolExecutor(transfers.access.transfers, thread_name_prefix="transfer")
    try:
        yield pool
    except BaseException:
        transfers.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _results(futures: list[Future[Fetched | None]]) -> list[Fetched | None]:
    """All results, or the error that decides: what an operator or the data must cure comes before time."""
    errors = [error for each in futures if not each.cancelled() and (error := each.exception())]
    if errors:
        raise min(errors, key=_rank)
    return [each.result() for each in futures]


def _rank(error: BaseException) -> int:
    """Faults of ours first, then what the operator must do, then the data, then time."""
    kinds = (ConfigError, DataError, ServiceError)
    return next((number for number, kind in enumerate(kinds, 1) if isinstance(error, kind)), 0)


def _folder(ref: SceneRef) -> str:
    """Key prefix of the scene's files, after its names were checked.

    Raises:
        DataError: No files, a name that is none, or two files of one name.
    """
    if not ref.files:
        raise DataError(Reason.METADATA_MISSING, f"{ref.scene} was announced without any file")
    try:
        for name in (ref.collection, ref.scene, *(file.name for file in ref.files)):
            check_name(name)
    except HrefRefused as error:
        raise DataError(Reason.SOURCE_REFUSED, f"{ref.acquisition}: {error}") from error
    names = [file.name.casefold() for file in ref.files]
    if len(set(names)) < len(names) or MANIFEST in names or "/" in ref.scene + ref.collection:
        raise DataError(
            Reason.SOURCE_REFUSED, f"{ref.scene}: two of its files have one name, or one is called {MANIFEST}"
        )
    return f"l1/{ref.collection}/{ref.scene}"


def _manifest(store: "Store", key: str) -> Delivered | None:
    data = store.find(key)
    try:
        return Delivered.from_json(data) if data is not None else None
    except ValidationError as error:
        raise ConfigError(
            f"{store.href(key)} is no manifest of this version: delete it, and the scene is verified anew"
        ) from error


def _same(ref: SceneRef, before: Delivered, access: Access) -> None:
    """What is announced now is what was delivered before.

    Raises:
        DataError: SOURCE_CHANGED.
    """
    known: Mapping[str, FileRef] = {file.name: file for file in before.files}
    sources = {file.name: file for file in before.sources}
    for file in ref.files:
        if file.name not in known:
            if access.may_be_absent(file.name):
                continue
            what = "was not there then"
        elif file.size not in {None, known[file.name].size}:
            what = f"has {file.size} bytes now, {known[file.name].size} then"
        elif _contradicts(file, sources[file.name], known[file.name]):
            what = f"has checksum {file.checksum} now, another one then"
        else:
            continue
        raise DataError(
            Reason.SOURCE_CHANGED,
            f"{ref.scene} was ingested before and upstream changed it under the same name: {file.name} "
            f"{what}; delete l1/{ref.collection}/{ref.scene}/ and retry it to take the new one",
        )


def _contradicts(now: FileRef, then: FileRef, own: FileRef) -> bool:
    """Whether two statements of one algorithm differ; other algorithms cannot be compared."""
    new = read_checksum(now.checksum)
    olds = [read_checksum(each.checksum) for each in (then, own)]
    return any(
        new is not None and old is not None and new.algorithm == old.algorithm and new.digest != old.digest
        for old in olds
    )


def _ingested(delivered: Delivered, fetched: int) -> Ingested:
    total = sum(file.size or 0 for file in delivered.files)
    return Ingested(files=delivered.files, bytes=total, fetched=fetched)


def _told(delivered: Delivered) -> str:
    number = len(delivered.unverified)
    if not number:
        return ""
    files = len(delivered.files)
    return f"{number} of {files} files came without a verified checksum: {delivered.unverified[0]}"
