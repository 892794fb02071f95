"""A registered version, verified and copied to where workers can read it: they never ask the registry.

registry: version --download--> package == its tag == its verdict, approved?
                   --> models/<name>/<digest>/{weights.safetensors, verdict.json, package.json}
"""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import ValidationError

from undersky.errors import DataError, Reason
from undersky.judgement import Verdict
from undersky.refs import ModelRef
from undersky.services.registry import PACKAGE_FILES, VERDICT_FILE, Version

if TYPE_CHECKING:
    from undersky.services.registry import Registry
    from undersky.services.store import Store

_PACKAGE, _WEIGHTS = PACKAGE_FILES
_TYPES = {
    _PACKAGE: "application/json",
    _WEIGHTS: "application/octet-stream",
    VERDICT_FILE: "application/json",
}


def ensure_copied(registry: "Registry", store: "Store", version: Version) -> ModelRef:
    """The version lies whole in the store; how workers know it.

    Raises:
        DataError: `model_refused`: files, tags and verdict do not belong together, or nobody approved it.
        ServiceError: Registry or store failed.
    """
    for what, digest in (("package", version.digest), ("verdict", version.verdict)):
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise _refused(version, f"its tags name no digest of its {what}")
    folder = folder_of(version.name, version.digest)
    if not is_whole(store, folder, digest=version.digest, verdict=version.verdict):
        _copy(registry, store, folder, version)
    header = json.loads(store.get(f"{folder}/{_PACKAGE}"))
    return ModelRef(
        name=version.name,
        version=version.number,
        label=str(header["version"]),
        digest=version.digest,
        href=store.href(folder),
        page=registry.page(version),
    )


def folder_of(name: str, digest: str) -> str:
    """Key prefix of a model that workers use."""
    return f"models/{name}/{digest}"


def is_whole(store: "Store", folder: str, *, digest: str, verdict: str | None = None) -> bool:
    """Whether exactly that package lies there, with an approval over it; and with that very verdict."""
    package, text = store.find(f"{folder}/{_PACKAGE}"), store.find(f"{folder}/{VERDICT_FILE}")
    if package is None or text is None or _sha256(package) != digest:
        return False
    if verdict is not None and _sha256(text) != verdict:
        return False
    try:
        said = Verdict.from_json(text)
    except ValidationError:
        return False
    weights = store.head(f"{folder}/{_WEIGHTS}")
    has_weights = weights is not None and weights.sha256 == json.loads(package).get("weights_sha256")
    return has_weights and said.package == digest and said.answer == "approved"


def verify(folder: Path, version: Version) -> None:
    """Files, tags and verdict of a version belong together, and the verdict approves it.

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
    need_approval(version, verdict)


def need_approval(version: Version, verdict: Verdict | None) -> Verdict:
    """The verdict, which approves exactly this version.

    Raises:
        DataError: `model_refused`: there is none, it is over other weights, or it is a refusal.
    """
    if verdict is None:
        raise _refused(version, "nobody has reviewed it")
    if (verdict.name, verdict.package) != (version.name, version.digest):
        raise _refused(version, f"its verdict is of {verdict.name} {verdict.package[:12]}")
    if verdict.answer != "approved":
        raise _refused(version, f"{verdict.by} rejected it: {verdict.why}")
    return verdict


def _copy(registry: "Registry", store: "Store", folder: str, version: Version) -> None:
    """The version's files lie in the store, verified; `package.json` comes last: all is there."""
    with TemporaryDirectory() as scratch:
        registry.download(version, Path(scratch))
        verify(Path(scratch), version)
        for name in (_WEIGHTS, VERDICT_FILE, _PACKAGE):
            path = Path(scratch) / name
            store.put_file(
                f"{folder}/{name}", path, content_type=_TYPES[name], sha256=_sha256(path.read_bytes())
            )


def _refused(version: Version, why: str) -> DataError:
    return DataError(
        Reason.MODEL_REFUSED,
        f"version {version.number} of {version.name} is refused: {why}. Only a package with a verdict over "
        "exactly these weights is used: look at the registry, roll back, or have it reviewed",
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
