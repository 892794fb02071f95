"""Working folders that vanish: at the end of their run, or, when it was killed, at the start of the next.

A living run holds a lock on its folder (on the folder itself: it is the same lock after a rename), so
whoever gets the lock of a folder knows that its run is dead.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = "undersky-batch-"


@contextmanager
def working_folder(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder below `parent` (the system's folder for temporary files when None), gone afterwards.

    Folders that killed runs left there are removed first.
    """
    parent = parent or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    remove_dead(parent)
    unnamed = Path(tempfile.mkdtemp(prefix=f".{_NAME}", dir=parent))
    handle = os.open(unnamed, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network mount without locks: nobody can tell, so nobody removes
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = unnamed.rename(parent / unnamed.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def remove_dead(parent: Path) -> None:
    """No working folder of a run that no longer lives is left in `parent`."""
    for folder in parent.glob(f"{_NAME}*"):
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
