"""A folder that appears whole or not at all.

    DIR/.<name>.partial-<pid>/ ... every file, synced ...  --rename-->  DIR/<name>/

Rename is atomic on one file system, so a reader never sees half a product. A killed run leaves only a hidden
folder, which the next run removes.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def committed_folder(final: Path) -> Iterator[Path]:
    """A hidden folder to fill; it becomes `final` when the block ends well and vanishes when it does not.

    What lay at `final` before is replaced at the end. If `final` has come into being meanwhile (another run
    of the same work), that one stays.

    Raises:
        OSError: The disk refused; nothing is left at `final`.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(final)
    replaces = final.exists()
    partial = final.with_name(f".{final.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        _sync(partial)
        if replaces:
            shutil.rmtree(final)
        if not final.exists():
            partial.rename(final)
            _sync_folder(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def put_text(path: Path, text: str) -> None:
    """The file holds the text, written in one step; one that holds it already is left alone."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_stale(final: Path) -> None:
    """No partial folder of a run that no longer lives is left beside `final`."""
    for partial in final.parent.glob(f".{final.name}.partial-*"):
        pid = partial.name.rpartition("-")[2]
        if not pid.isdigit() or int(pid) == os.getpid() or not _is_running(int(pid)):
            shutil.rmtree(partial, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(folder: Path) -> None:
    """Every file of the folder, then the folder, is on the disk."""
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    # not every file system lets a folder be synced (network mounts); the files are
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
