"""What a stage has done of a batch, in the store: markers of begun tries, outcomes, the manifest.

batches/<run>/<batch>/batch.json                        read once
                     /<stage>/<acquisition>.begun       before a scene begins: the number of the try
                     /<stage>/<acquisition>.json        as it ends: its outcome, with the number of its try
                     /<stage>.json                      at the end: all of them
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from undersky.errors import ConfigError
from undersky.refs import Batch, Manifest, Outcome, Reference, Stage

if TYPE_CHECKING:
    from undersky.services.store import Store

R = TypeVar("R", bound=Reference)

_PATIENT_TRIES = 8
_NAME = re.compile(r"\w[\w.-]{0,199}")


class Begun(Reference):
    """A marker: this try of a scene has begun."""

    tries: int


@dataclass(frozen=True, slots=True)
class Journal:
    """One stage of one batch."""

    store: "Store"
    prefix: str
    """`batches/<run>/<batch>`."""
    stage: Stage

    @property
    def folder(self) -> str:
        """Key prefix of the scenes' documents, with its slash."""
        return f"{self.prefix}/{self.stage}/"

    @property
    def place(self) -> str:
        """`<run>/<batch>`."""
        return self.prefix.partition("/")[2]

    @property
    def manifest(self) -> str:
        """Key of the manifest."""
        return f"{self.prefix}/{self.stage}.json"

    def read(self) -> tuple[Mapping[str, Outcome], Mapping[str, int]]:
        """Outcome of each acquisition that ended, and number of the last try of each that began."""
        outcomes: dict[str, Outcome] = {}
        begun: dict[str, int] = {}
        for stored in list(self.store.list(self.folder)):
            name, _, kind = stored.key.removeprefix(self.folder).rpartition(".")
            if kind == "json":
                outcomes[name] = _parsed(Outcome, self.store.get(stored.key), self.store.href(stored.key))
            elif kind == "begun":
                begun[name] = _parsed(Begun, self.store.get(stored.key), self.store.href(stored.key)).tries
        return outcomes, begun

    def begin(self, acquisition: str, tries: int) -> None:
        """From now on this try of the scene counts as begun."""
        self.store.put_json(f"{self.folder}{acquisition}.begun", Begun(tries=tries))

    def end(self, outcome: Outcome) -> None:
        """The scene has ended. Tried for minutes: an outcome that is lost counts as a crash."""
        self._patient().put_json(f"{self.folder}{outcome.acquisition}.json", outcome)

    def close(self, manifest: Manifest) -> None:
        """The manifest lies in the store."""
        self._patient().put_json(self.manifest, manifest)

    def _patient(self) -> "Store":
        return self.store.patient(tries=_PATIENT_TRIES, pause_s=self.store.pause_s)


def prefix_of(store: "Store", href: str) -> str:
    """The folder of a batch, `batches/<run>/<batch>`, from the address of its batch.json.

    Raises:
        ConfigError: No such address, or one in another bucket.
    """
    prefix, _, name = store.key(href).rpartition("/")
    if name != "batch.json" or not prefix.startswith("batches/"):
        raise ConfigError(f"{href} is no batch: expected {store.url}/batches/<run>/<batch>/batch.json")
    return prefix


def read_batch(store: "Store", href: str) -> Batch:
    """The batch at that address.

    Raises:
        ConfigError: None is there, or the document is something else, or it names what cannot be a key.
    """
    text = store.find(f"{prefix_of(store, href)}/batch.json")
    if text is None:
        raise ConfigError(f"{href} is not there: expected the batch.json that `undersky claim` wrote")
    batch = _parsed(Batch, text, href)
    names = [scene.acquisition for scene in batch.scenes]
    odd = [name for name in names if not _NAME.fullmatch(name)]
    if odd:
        raise ConfigError(f"{href} names {odd[0]!r}, which can be no key: letters, digits, _ . - only")
    if len(set(names)) < len(batch.scenes):
        raise ConfigError(f"{href} holds an acquisition twice: each may be in a batch once")
    return batch


def read_outcomes(journal: Journal) -> Mapping[str, Outcome]:
    """How the scenes left a stage: by its manifest, or scene by scene where it never got that far."""
    text = journal.store.find(journal.manifest)
    if text is not None:
        return _parsed(Manifest, text, journal.store.href(journal.manifest)).by_acquisition()
    return journal.read()[0]


def _parsed(kind: type[R], text: bytes, href: str) -> R:
    try:
        return kind.from_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigError(
            f"{href} is no {kind.__name__.lower()}: {where}: {first['msg']}; written by another version?"
        ) from error
