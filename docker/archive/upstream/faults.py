"""What goes wrong on purpose: a list of faults, set through `POST /faults` or a file, counted as used.

{"kind": "cut", "match": "B04", "times": 2, "bytes": 100000}
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KINDS = {
    "throttle": "429 with Retry-After: `seconds`",
    "error": "`status` (500)",
    "missing": "404",
    "redirect": "302 to `to`",
    "slow": "`seconds` before the answer",
    "cut": "the connection is closed after `bytes` of the body",
    "corrupt": "one byte of the body is another one",
    "wrong_size": "the Item states a size that is not the file's",
    "wrong_checksum": "the Item states a checksum that is not the file's",
    "hostile": "the Item's addresses are `to`",
    "broken": "the Item is no Item",
    "lost": "the Item is absent from `percent` of the searches that should find it",
}
"""Every kind, and what it does. `match` is searched in a request's path, or in an Item's id."""
_OF_ITEMS = ("wrong_size", "wrong_checksum", "hostile", "broken", "lost")


class BadFault(ValueError):  # noqa: N818  what was wrong with it
    """A fault that is none."""


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    match: str = ""
    times: int | None = None
    """How often; None for ever."""
    percent: float = 100.0
    bytes: int = 0
    seconds: float = 1.0
    status: int = 500
    to: str = ""
    used: int = field(default=0)
    """How often it has happened."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"{self.kind!r} is no kind of fault: {', '.join(KINDS)}")
        try:
            re.compile(self.match)
        except re.error as error:
            raise BadFault(f"match {self.match!r}: {error}") from error

    @property
    def is_spent(self) -> bool:
        """Whether it has happened as often as it should."""
        return self.times is not None and self.used >= self.times


class Faults:
    """The faults in force. Threads share one."""

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._read = file, 0.0
        self._faults: list[Fault] = []
        self._searches = 0
        self._lock = threading.Lock()

    def set(self, raw: object) -> None:
        """These and no others.

        Raises:
            BadFault: One is none; the old ones stay.
        """
        if not isinstance(raw, list):
            raise BadFault("expected a list of faults")
        try:
            faults = [Fault(**{key: value for key, value in one.items() if key != "used"}) for one in raw]
        except (TypeError, AttributeError) as error:
            raise BadFault(f"a fault cannot be used: {error}") from error
        with self._lock:
            self._faults = faults

    def listed(self) -> list[Mapping[str, object]]:
        """All of them, with how often each has happened."""
        self._reread()
        names = ("kind", "match", "times", "percent", "bytes", "seconds", "status", "to", "used")
        return [{name: getattr(fault, name) for name in names} for fault in self._faults]

    def take(self, kind: str, text: str) -> Fault | None:
        """The fault of that kind that happens now to that path or id, counted."""
        self._reread()
        with self._lock:
            for fault in self._faults:
                if fault.kind == kind and not fault.is_spent and re.search(fault.match, text):
                    fault.used += 1
                    return fault
        return None

    def searched(self) -> int:
        """Number of this search: what is lost to one is found by another."""
        with self._lock:
            self._searches += 1
            return self._searches

    def is_lost(self, item_id: str, search: int) -> bool:
        """Whether this search does not find the Item, a drawing that repeats."""
        self._reread()
        with self._lock:
            for fault in self._faults:
                if fault.kind == "lost" and not fault.is_spent and re.search(fault.match, item_id):
                    drawn = int.from_bytes(hashlib.sha256(f"{item_id} {search}".encode()).digest()[:4], "big")
                    if drawn / 2**32 * 100.0 < fault.percent:
                        fault.used += 1
                        return True
        return False

    def spoil(self, item: dict[str, object]) -> object:
        """The Item as this search shows it."""
        id_ = str(item["id"])
        for kind in _OF_ITEMS[:-1]:
            if fault := self.take(kind, id_):
                item = json.loads(json.dumps(item))
                if kind == "broken":
                    return {"type": "Feature", "id": id_, "properties": None}
                assets = item["assets"]
                if isinstance(assets, dict):
                    _HARM[kind](assets, fault)
        return item

    def _reread(self) -> None:
        """The control file, where it has changed; one that cannot be read leaves things as they are."""
        if self._file is None:
            return
        try:
            changed = self._file.stat().st_mtime
            if changed != self._read:
                self._read = changed
                self.set(json.loads(self._file.read_text(encoding="utf-8") or "[]"))
        except (OSError, ValueError):
            return


def _wrong_size(assets: Mapping[str, dict[str, object]], fault: Fault) -> None:  # noqa: ARG001
    for asset in assets.values():
        if "file:size" in asset:
            asset["file:size"] = int(str(asset["file:size"])) + 7


def _wrong_checksum(assets: Mapping[str, dict[str, object]], fault: Fault) -> None:  # noqa: ARG001
    for asset in assets.values():
        if "file:checksum" in asset:
            text = str(asset["file:checksum"])
            asset["file:checksum"] = text[:-1] + ("0" if text[-1] != "0" else "1")


def _hostile(assets: Mapping[str, dict[str, object]], fault: Fault) -> None:
    for asset in assets.values():
        asset["href"] = fault.to
        asset.pop("alternate", None)


_HARM: Mapping[str, Callable[[Mapping[str, dict[str, object]], Fault], None]] = {
    "wrong_size": _wrong_size,
    "wrong_checksum": _wrong_checksum,
    "hostile": _hostile,
}
