"""`pin`: one run works with one release set, verified, and copied to where workers can read it.

    registry: champion --download--> package == its tag == its verdict?
                         --> models/<name>/<digest>/ in the store, batches/<run>/release.json

A run that is pinned stays pinned: a task that is cleared and run again mixes no models. A registry that is
down stops no batch under way, since workers read the store alone.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import ValidationError

from undersky.errors import ConfigError, DataError, Reason
from undersky.refs import ModelRef, ReleaseSet
from undersky.services.registry import PACKAGE_FILES, VERDICT_FILE, Verdict, Version
from undersky.services.store import PreconditionFailed

if TYPE_CHECKING:
    from undersky.services.registry import Registry
    from undersky.services.store import Store

MODELS = ("correction",)
"""What a surface product is made with."""

_PACKAGE, _WEIGHTS = PACKAGE_FILES
_TYPES = {
    _PACKAGE: "application/json",
    _WEIGHTS: "application/octet-stream",
    VERDICT_FILE: "application/json",
}


def pin(registry: "Registry", store: "Store", *, run: str, models: Sequence[str] = MODELS) -> ReleaseSet:
    """The champions of now, verified, are what this run works with; saying it again changes nothing.

    Args:
        registry: Where champions are chosen.
        store: The own bucket.
        run: Id of the run, as it stands in keys.
        models: Names.

    Raises:
        ConfigError: A model has no champion yet.
        DataError: `model_refused`: files, tags and verdict of a champion do not belong together.
        ServiceError: Registry or store failed.
    """
    key = f"batches/{run}/release.json"
    known = store.find(key)
    if known is None:
        release = release_set([_pinned(registry, store, name) for name in models])
        try:
            store.put(key, release.to_json().encode(), content_type="application/json", if_absent=True)
        except PreconditionFailed:
            known = store.get(key)
        else:
            return release
    try:
        return ReleaseSet.from_json(known)
    except ValidationError as error:
        raise ConfigError(
            f"{store.href(key)} is no release set ({error.errors()[0]['msg']}); start a new run"
        ) from error


def release_set(models: Sequence[ModelRef]) -> ReleaseSet:
    """These models under one digest, over their names and digests."""
    text = "\n".join(sorted(f"{model.name} {model.digest}" for model in models))
    return ReleaseSet(digest=hashlib.sha256(text.encode()).hexdigest(), models=tuple(models))


def _pinned(registry: "Registry", store: "Store", name: str) -> ModelRef:
    champion = registry.champion(name)
    if champion is None:
        raise ConfigError(
            f"the model {name} has no champion at {registry.uri}: run `undersky model bootstrap`"
        )
    folder = f"models/{name}/{champion.digest}"
    _need_digest(champion)
    if not _is_whole(store, folder, champion):
        _copied(registry, store, folder, champion)
    header = json.loads(store.get(f"{folder}/{_PACKAGE}"))
    return ModelRef(
        name=name,
        version=champion.number,
        label=str(header["version"]),
        digest=champion.digest,
        href=store.href(folder),
        page=registry.page(champion),
    )


def _copied(registry: "Registry", store: "Store", folder: str, champion: Version) -> None:
    """The champion's files lie in the store, verified; `package.json` comes last: all is there."""
    with TemporaryDirectory() as scratch:
        registry.download(champion, Path(scratch))
        verify(Path(scratch), champion)
        for name in (_WEIGHTS, VERDICT_FILE, _PACKAGE):
            path = Path(scratch) / name
            store.put_file(
                f"{folder}/{name}", path, content_type=_TYPES[name], sha256=_sha256(path.read_bytes())
            )


def verify(folder: Path, version: Version) -> None:
    """Files, tags and verdict of a version belong together.

    Raises:
        DataError: `model_refused`, with what differs.
    """
    package, verdict_text = (folder / _PACKAGE).read_bytes(), (folder / VERDICT_FILE).read_bytes()
    found = _sha256(package)
    if found != version.digest:
        raise _refused(version, f"its package has digest {found[:12]}, its tag says {version.digest[:12]}")
    try:
        header = json.loads(package)
        named, wanted = header["name"], header["weights_sha256"]
        verdict = Verdict.from_json(verdict_text)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise _refused(version, f"its package or verdict cannot be read ({type(error).__name__})") from error
    weights = _sha256((folder / _WEIGHTS).read_bytes())
    if weights != wanted:
        raise _refused(
            version, f"its weights have sha256 {weights[:12]}, its package says {str(wanted)[:12]}"
        )
    if named != version.name:
        raise _refused(version, f"its package is of the model {named}")
    if _sha256(verdict_text) != version.verdict:
        raise _refused(version, f"its verdict is not the one that its tag names, {version.verdict[:12]}")
    if (verdict.name, verdict.package) != (version.name, version.digest):
        raise _refused(version, f"its verdict is of {verdict.name} {verdict.package[:12]}")


def _is_whole(store: "Store", folder: str, champion: Version) -> bool:
    """Whether an earlier run copied exactly this version: then nothing is downloaded."""
    package = store.find(f"{folder}/{_PACKAGE}")
    verdict = store.find(f"{folder}/{VERDICT_FILE}")
    if package is None or verdict is None:
        return False
    if _sha256(package) != champion.digest or _sha256(verdict) != champion.verdict:
        return False
    weights = store.head(f"{folder}/{_WEIGHTS}")
    return weights is not None and weights.sha256 == json.loads(package).get("weights_sha256")


def _need_digest(version: Version) -> None:
    for what, digest in (("package", version.digest), ("verdict", version.verdict)):
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise _refused(version, f"its tags name no digest of its {what}")


def _refused(version: Version, why: str) -> DataError:
    return DataError(
        Reason.MODEL_REFUSED,
        f"version {version.number} of {version.name} is refused: {why}. Only a package with a verdict over "
        "exactly these weights is used: look at the registry, roll back, or register it again",
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
