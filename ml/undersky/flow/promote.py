"""`promote` and `rollback`: which models the flow works with, decided once, for all of them together.

    verdict over these weights?  package copied, verified  downstream champions looked at its output?
        --> ledger: a new release set  --> registry: champion, previous

The release set in the ledger is what `pin` resolves; the aliases in the registry follow it, for people. A
call that was cut off is said again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undersky.errors import ConfigError, DataError, Reason
from undersky.flow.copied import ensure_copied, need_approval
from undersky.refs import ModelRef, ReleaseSet
from undersky.services.registry import CANDIDATE, CHAMPION, PREVIOUS, Version

if TYPE_CHECKING:
    from undersky.judgement import Verdict
    from undersky.services.ledger import Actor, Ledger, ReleaseRecord
    from undersky.services.registry import Registry
    from undersky.services.store import Store

DOWNSTREAM = {"correction": ("landcover", "vessels"), "quality": ("landcover", "vessels")}
"""Models that work on what a model makes: promoting it needs their champions' evaluation on its output."""

_ALL = 1_000_000
"""Release sets that are looked through for an earlier version: every one."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """What the flow works with now."""

    model: ModelRef
    """The version that is champion now."""
    release: ReleaseSet
    """The set that `pin` resolves from now on."""
    before: ModelRef | None
    """The newest other version that was released and is not taken back: what a rollback would lead to."""
    changed: bool
    """False where it was champion already."""
    sentence: str
    """For a person."""


def promote(
    registry: "Registry", ledger: "Ledger", store: "Store", version: Version, *, by: "Actor", why: str = ""
) -> Promoted:
    """The version is champion, and part of the release set that every run from now on is pinned to.

    Args:
        registry: Opened as the account that may move aliases.
        ledger: Holds the release sets.
        store: The own bucket, which gets the package.
        version: Of the registry.
        by: Who.
        why: For the history; the verdict's own words when empty.

    Raises:
        DataError: `model_refused`: no verdict, one over other weights, a refusal, files that do not belong
            together, or a downstream champion that was not evaluated on what this version makes.
        ServiceError: A service failed, or another release came between.
    """
    verdict = need_approval(version, registry.read_verdict(version))
    record = ledger.release()
    if _member(record, version.name) is not None:  # a first champion takes nobody's place upstream
        _need_downstream(verdict, record)
    model = ensure_copied(registry, store, version)
    release = release_set([*_others(record, version.name), model])
    said = ledger.set_release(
        release,
        kind="bootstrap" if record is None else "promotion",
        why=why or verdict.decision,
        by=by,
        seen=record.id if record else None,
    )
    before = _earlier(ledger, version.name, version.digest)
    _point(registry, version, before=before)
    changed = record is None or record.digest != said.digest
    sentence = f"{model.label} is champion of {model.name}, version {model.version}"
    return Promoted(model, release, before, changed, sentence)


def restore(
    registry: "Registry", ledger: "Ledger", name: str, *, by: "Actor", why: str
) -> tuple[ModelRef, ModelRef]:
    """The release before the newest of that model holds again: the version taken back, the one now used.

    Raises:
        ConfigError: No reason, or there is nothing to go back to.
        ServiceError: A service failed, or another release came between.
    """
    if not why.strip():
        raise ConfigError("a rollback needs a reason: it stands on every product of the version")
    record = ledger.release()
    if record is None or _member(record, name) is None:
        raise ConfigError(f"no version of {name} was released yet: nothing can be taken back")
    withdrawn = record.release.model(name)
    back = _before(ledger, name, withdrawn)
    release = release_set([*_others(record, name), back])
    ledger.set_release(release, kind="rollback", why=why.strip(), by=by, seen=record.id, withdrawn=withdrawn)
    follow(registry, back, withdrawn=withdrawn, why=why.strip())
    return withdrawn, back


def follow(registry: "Registry", champion: ModelRef, *, withdrawn: ModelRef, why: str) -> None:
    """The registry's aliases are those of after a rollback; the version says why it was taken back."""
    version = registry.version(champion.name, champion.version)
    registry.set_alias(version, CHAMPION)
    registry.remove_alias(champion.name, PREVIOUS)
    taken = registry.version(withdrawn.name, withdrawn.version)
    registry.withdraw(taken, why)


def release_set(models: Sequence[ModelRef]) -> ReleaseSet:
    """These models under one digest, over their names and digests."""
    ordered = sorted(models, key=lambda model: model.name)
    text = "\n".join(f"{model.name} {model.digest}" for model in ordered)
    return ReleaseSet(digest=hashlib.sha256(text.encode()).hexdigest(), models=tuple(ordered))


def _before(ledger: "Ledger", name: str, withdrawn: ModelRef) -> ModelRef:
    """The version to go back to."""
    known = _earlier(ledger, name, withdrawn.digest)
    if known is None:
        raise ConfigError(
            f"no other version of {name} than {withdrawn.label} was released and not taken back: there is "
            "nothing to go back to; release another"
        )
    return known


def _earlier(ledger: "Ledger", name: str, digest: str) -> ModelRef | None:
    """The newest version of the model, other than that one, that was released and is not taken back."""
    bad = {digest, *ledger.withdrawn_models()}
    members = (_member(record, name) for record in ledger.releases(limit=_ALL))
    return next((model for model in members if model is not None and model.digest not in bad), None)


def _point(registry: "Registry", version: Version, *, before: ModelRef | None) -> None:
    """The registry's aliases say the same as the release set, and nothing says that it is taken back."""
    if before is not None:
        registry.set_alias(registry.version(before.name, before.version), PREVIOUS)
    registry.set_alias(version, CHAMPION)
    if version.withdrawn:
        registry.withdraw(version, "")
    if registry.aliases(version.name).get(CANDIDATE) == version.number:
        registry.remove_alias(version.name, CANDIDATE)


def _need_downstream(verdict: "Verdict", record: "ReleaseRecord | None") -> None:
    for name in DOWNSTREAM.get(verdict.name, ()):
        champion = _member(record, name)
        if champion is not None and verdict.downstream.get(name) != champion.digest:
            raise DataError(
                Reason.MODEL_REFUSED,
                f"the champion of {name}, {champion.label}, was not evaluated on what {verdict.label} makes: "
                "begin `model_release` with `evaluate` again",
            )


def _member(record: "ReleaseRecord | None", name: str) -> ModelRef | None:
    models = record.release.models if record else ()
    return next((model for model in models if model.name == name), None)


def _others(record: "ReleaseRecord | None", name: str) -> list[ModelRef]:
    return [model for model in (record.release.models if record else ()) if model.name != name]
