"""What every stage that makes a product does around it: leave an equal one alone, time it, describe it."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from undersky.stac.maps import MappedProduct

Json = Mapping[str, Any]


class Clock:
    """Seconds and CPU-seconds since it was made."""

    def __init__(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """On the wall."""
        return time.monotonic() - self._began

    @property
    def cpu_seconds(self) -> float:
        """Of all threads."""
        return time.process_time() - self._cpu


def made_once(folder: Path, digest: str, make: Callable[[], None]) -> tuple[Json, bool]:
    """The Item of the complete product in `folder`, and whether it was there: then nothing was made.

    Raises:
        OSError: Somebody deletes there.
    """
    found = _existing(folder, digest)
    was_there = found is not None
    if not was_there:
        make()
        found = _existing(folder, digest)
    if found is None:
        raise OSError(f"{folder} was complete a moment ago and is not any more: who deletes there?")
    return found, was_there


def mapped(folder: Path, digest: str, make: Callable[[], None], clock: Clock) -> MappedProduct:
    """The complete map in `folder`; as `made_once`."""
    item, was_there = made_once(folder, digest, make)
    return MappedProduct(
        id=folder.name,
        folder=folder,
        item=folder / f"{folder.name}.json",
        digest=digest,
        was_there=was_there,
        seconds=clock.seconds,
        cpu_seconds=clock.cpu_seconds,
        bytes=item["properties"]["undersky:bytes"],
        summary=item["properties"]["undersky:summary"],
    )


def _existing(folder: Path, digest: str) -> Json | None:
    """The Item of a complete product of that digest, None when there is none."""
    try:
        item: Json = json.loads((folder / f"{folder.name}.json").read_text(encoding="utf-8"))
        same = item["properties"]["undersky:digest"] == digest
        whole = all((folder / a["href"]).stat().st_size == a["file:size"] for a in item["assets"].values())
    except (OSError, ValueError, KeyError):
        return None
    return item if same and whole else None
