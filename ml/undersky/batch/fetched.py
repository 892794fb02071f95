"""A scene's Level-1 files, from the own store onto the disk, in the layout that `open_scene` wants."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from undersky.errors import DataError, Reason
from undersky.refs import FileRef, SceneRef

if TYPE_CHECKING:
    from undersky.services.store import Store

_ARCHIVES = {".zip", ".tar"}
_AT_A_TIME = 4


def fetch_scene(store: "Store", ref: SceneRef, files: tuple[FileRef, ...], folder: Path) -> Path:
    """The path of the product in `folder`, an archive or a folder; sizes and checksums are verified.

    Args:
        store: Holds the files.
        ref: The scene.
        files: Its files, with addresses in the own store.
        folder: An empty folder.

    Raises:
        DataError: The scene has no files, or one has a name that would leave the folder.
        ServiceError: The store does not answer, or lost a file.
    """
    if not files:
        raise DataError(
            Reason.METADATA_MISSING,
            f"{ref.scene} came without files: nothing was ingested, or the provider "
            "lists none; `undersky retry` it",
        )
    root = folder / ref.scene
    targets = [root / _inside(ref, file.name) for file in files]
    if len(set(targets)) < len(targets):
        raise DataError(Reason.ARCHIVE_UNSAFE, f"{ref.scene} lists a file twice: report it to the provider")
    folders = {parent for target in targets for parent in target.parents}
    if folders & set(targets):
        raise DataError(
            Reason.ARCHIVE_UNSAFE, f"{ref.scene} has a file where it has a folder: report it to the provider"
        )
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        jobs = [pool.submit(_fetch, store, *pair) for pair in zip(files, targets, strict=True)]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return _product(root, targets)


def _inside(ref: SceneRef, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or "\0" in name:
        raise DataError(
            Reason.ARCHIVE_UNSAFE,
            f"{ref.scene} has a file named {name!r}, which climbs out of its folder: report it "
            "to the provider",
        )
    return path


def _fetch(store: "Store", file: FileRef, target: Path) -> None:
    algorithm, _, digest = (file.checksum or "").partition(":")
    sha256 = digest if algorithm == "sha256" and digest else None
    store.get_file(store.key(file.href), target, size=file.size, sha256=sha256)


def _product(root: Path, targets: list[Path]) -> Path:
    """The one archive, the one SAFE folder inside, or the folder itself."""
    if len(targets) == 1 and targets[0].suffix.lower() in _ARCHIVES:
        return targets[0]
    tops = {target.relative_to(root).parts[0] for target in targets}
    (top, *others) = tops
    if not others and (root / top).is_dir():
        return root / top
    return root
