"""Where versions of labels are kept: a folder here; the store speaks the same words (stages/labels.py)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from undersky.errors import ConfigError
from undersky.labels.tasks import task_of
from undersky.labels.version import (
    MANIFEST,
    SHORTEST_DIGEST,
    Manifest,
    Version,
    open_version,
    read_manifest,
)  # fmt: skip
from undersky.raster.commit import committed_folder


class Shelf(Protocol):
    """Keeps versions under `<task>/<name>/<digest>/`; what is there never changes."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def holds(self, key: str) -> bool:
        """True where the version is there, whole."""

    def put(self, key: str, folder: Path) -> None:
        """The files of the folder are there, all or none; what was there stays."""

    def manifests(self) -> Iterator[tuple[str, Manifest]]:
        """Key and description of every version."""

    def fetch(self, key: str, scratch: Path) -> Version:
        """The version on this machine; `scratch` takes its files where they lie elsewhere."""


@dataclass(frozen=True, slots=True)
class FolderShelf:
    """A folder on this machine."""

    root: Path
    """`<task>/<name>/<digest>/` lie in it."""

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.root)

    def holds(self, key: str) -> bool:
        """True where the version is there; it appeared whole or not at all."""
        return (self.root / key / MANIFEST).is_file()

    def put(self, key: str, folder: Path) -> None:
        """See `Shelf`.

        Raises:
            OSError: The disk refuses.
        """
        if self.holds(key):
            return
        with committed_folder(self.root / key) as partial:
            for path in sorted(folder.iterdir()):
                (partial / path.name).write_bytes(path.read_bytes())

    def manifests(self) -> Iterator[tuple[str, Manifest]]:
        """See `Shelf`, in the order of their paths.

        Raises:
            DataError: `dataset_damaged`: one cannot be read.
        """
        for path in sorted(self.root.glob(f"*/*/*/{MANIFEST}")):
            if not path.parent.name.startswith("."):
                key = path.parent.relative_to(self.root).as_posix()
                yield key, read_manifest(path.read_bytes(), where=str(path))

    def fetch(self, key: str, scratch: Path) -> Version:  # noqa: ARG002  it lies here already
        """See `Shelf`."""
        return open_version(self.root / key)


def list_labels(shelf: Shelf, *, task: str | None = None) -> tuple[tuple[str, Manifest], ...]:
    """Key and description of every version, of one task where it is named.

    Raises:
        ConfigError: There is no such task.
    """
    wanted = None if task is None else task_of(task).key
    return tuple(pair for pair in shelf.manifests() if wanted in (None, pair[1].task))


def find_labels(shelf: Shelf, reference: str, *, task: str | None = None) -> tuple[str, Manifest]:
    """The one version of that name, or whose digest begins so.

    Raises:
        ConfigError: There is none, or several.
    """
    known = list_labels(shelf, task=task)
    by_name = [pair for pair in known if pair[1].name == reference]
    is_digest = re.fullmatch(rf"[0-9a-f]{{{SHORTEST_DIGEST},64}}", reference)
    found = by_name or [pair for pair in known if is_digest and pair[1].digest.startswith(reference)]
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(f"{manifest.digest[:12]} ({manifest.task})" for _, manifest in found)
        raise ConfigError(f"{reference!r} has {len(found)} versions: {told}; name one by its digest")
    names = " ".join(sorted({manifest.name for _, manifest in known})) or "none yet"
    raise ConfigError(
        f"no labels {reference!r} at {shelf.place}; there are {names}. Give a name, or at least "
        f"{SHORTEST_DIGEST} digits of a digest"
    )
