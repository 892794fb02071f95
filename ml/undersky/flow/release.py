"""The light steps of the model flow: an order is laid down, and what was evaluated is registered.

what is asked + the champion of now --begin--> releases/<run>/order.json --the heavy stages-->
evaluate.json, judgement.json, candidates/... --register--> a version, `candidate` unless the gate refuses
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from undersky.errors import ConfigError, DataError, Reason
from undersky.flow.card import model_card
from undersky.flow.copied import ensure_copied, need_approval
from undersky.judgement import GateOutcome, Judgement
from undersky.refs import Begin, EvaluatedRef, ModelRef, PackageRef, ReleaseOrder, ReleaseSet
from undersky.services.registry import CANDIDATE, PACKAGE_FILES, Version
from undersky.services.store import PreconditionFailed

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger, ReleaseRecord
    from undersky.services.registry import Registry
    from undersky.services.store import Store

PINNED = "release.json"
"""Beside the order: the release set of that moment; its other models see what this one makes."""
_SHORTEST = 8
"""Digits of a candidate's digest that somebody has to give."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of a run."""

    run: str
    """Id of the run, as it stands in keys."""
    by: str
    """Who."""
    model: str = "correction"
    recipe: str = "default"
    """Shipped name, or the address of a YAML file in the own store."""
    begin: Begin = Begin.DATASET
    weights: str | None = None
    """Digest (or its beginning) of a candidate in the store; needed where nothing is trained."""
    suites: tuple[str, ...] = ()
    scenes: int | None = None
    """Of each suite; all when None."""
    version: str | None = None
    """Of the registry; needed where it begins with review or promotion."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A version, and what the gate says of it."""

    version: Version
    judgement: Judgement
    page: str
    """Where people look at it."""
    report: str
    """Where they compare it with the champion."""


def begin(registry: "Registry", ledger: "Ledger", store: "Store", asked: Asked) -> str:
    """The order of the run lies in the store; its address. Saying it again finds the first one.

    Raises:
        ConfigError: Weights or version are not named where they are needed, or are not there.
        ServiceError: A service failed.
    """
    key = f"releases/{asked.run}/order.json"
    if store.find(key) is None:
        record = ledger.release()
        order = _order(registry, record, store, asked)
        if record is not None:  # first: whoever finds the order finds what it is evaluated with
            _lay_down(store, f"releases/{asked.run}/{PINNED}", record.release)
        _lay_down(store, key, order)
    return store.href(key)


def register(
    registry: "Registry",
    store: "Store",
    href: str,
    *,
    public: Callable[[str], str | None] = lambda address: address,
) -> Registered:
    """What the run evaluated is a version, with its judgement; `candidate` points at it unless it is refused.

    Args:
        registry: Opened as the account that may register.
        store: The own bucket.
        href: Address of `order.json`.
        public: An address in the store, as a browser reaches it; None where there is no way to it.

    Raises:
        ConfigError: The run evaluated nothing.
        DataError: `model_refused`: the candidate is not the package that was evaluated, or is damaged.
        ServiceError: A service failed.
    """
    order, folder = read_order(store, href), store.key(href).rpartition("/")[0]
    if order.version is not None:
        return _known(registry, order)
    evaluated = store.get_json(f"{folder}/evaluate.json", EvaluatedRef)
    judgement = store.get_json(evaluated.judgement, Judgement)
    with TemporaryDirectory() as scratch:
        header = _fetch(store, evaluated.package, Path(scratch), judged=judgement.candidate)
        version = registry.register(
            Path(scratch),
            judgement=judgement,
            files={"report.html": store.get(store.key(evaluated.page))},
            card=model_card(header, judgement),
            run_id=evaluated.mlflow_run,
            tags={"undersky.report": public(evaluated.page) or evaluated.page},
        )
    version = registry.version(version.name, version.number)
    if judgement.outcome is not GateOutcome.FAIL and not version.verdict:
        registry.set_alias(version, CANDIDATE)
    return Registered(version, judgement, registry.page(version), evaluated.page)


def read_order(store: "Store", href: str) -> ReleaseOrder:
    """The order that lies there.

    Raises:
        ConfigError: None does.
    """
    return store.get_json(store.key(href), ReleaseOrder)


def read_evaluated(store: "Store", href: str) -> EvaluatedRef:
    """What the run of that order evaluated.

    Raises:
        ConfigError: Nothing yet.
    """
    return store.get_json(f"{store.key(href).rpartition('/')[0]}/evaluate.json", EvaluatedRef)


def _known(registry: "Registry", order: ReleaseOrder) -> Registered:
    version = registry.version(order.model, order.version or "")
    if order.begin is Begin.PROMOTE:
        need_approval(version, registry.read_verdict(version))
    judgement = registry.read_judgement(version)
    if judgement is None:
        raise ConfigError(
            f"version {version.number} of {version.name} was never evaluated: begin the run with `evaluate`"
        )
    return Registered(version, judgement, registry.page(version), "")


def _lay_down(store: "Store", key: str, document: ReleaseOrder | ReleaseSet) -> None:
    """The document lies there, or the one that was first."""
    with suppress(PreconditionFailed):
        store.put(key, document.to_json().encode(), content_type="application/json", if_absent=True)


def _order(
    registry: "Registry", record: "ReleaseRecord | None", store: "Store", asked: Asked
) -> ReleaseOrder:
    champion = next((m for m in record.release.models if m.name == asked.model), None) if record else None
    needs_version = asked.begin in (Begin.REVIEW, Begin.PROMOTE)
    if needs_version and not asked.version:
        raise ConfigError(
            f"a run that begins with {asked.begin} needs `version`, as the registry counts them"
        )
    if needs_version:
        registry.version(asked.model, asked.version or "")
    if asked.begin is Begin.EVALUATE and not asked.weights:
        raise ConfigError(
            "a run that begins with evaluate needs `weights`, the digest that `undersky model submit` says"
        )
    weights = _candidate(store, asked) if asked.begin is Begin.EVALUATE else None
    return ReleaseOrder(
        run=asked.run,
        model=asked.model,
        recipe=asked.recipe,
        begin=asked.begin,
        by=asked.by,
        weights=weights,
        champion=None if champion is None else _at_hand(registry, store, champion),
        release=record.digest if record else None,
        suites=asked.suites,
        scenes=asked.scenes,
        version=asked.version if needs_version else None,
    )


def _at_hand(registry: "Registry", store: "Store", champion: ModelRef) -> ModelRef:
    """The champion lies in the store, where the evaluation reads it."""
    return ensure_copied(registry, store, registry.version(champion.name, champion.version))


def _candidate(store: "Store", asked: Asked) -> PackageRef:
    """The candidate whose digest begins so."""
    wanted = (asked.weights or "").rstrip("/").rpartition("/")[2]
    folder = f"candidates/{asked.model}"
    if len(wanted) < _SHORTEST:
        raise ConfigError(f"{wanted!r} is too short for a digest: give {_SHORTEST} digits of it, or all")
    found = {
        stored.key.split("/")[2]
        for stored in store.list(f"{folder}/{wanted}")
        if stored.key.endswith(f"/{PACKAGE_FILES[0]}")
    }
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} candidates of {asked.model} have a digest that begins with {wanted!r}, expected "
            "one: `undersky model submit` brings weights into the store and says their digest"
        )
    digest = found.pop()
    header = json.loads(store.get(f"{folder}/{digest}/{PACKAGE_FILES[0]}"))
    return PackageRef(
        name=asked.model, label=str(header["version"]), digest=digest, href=store.href(f"{folder}/{digest}")
    )


def _fetch(store: "Store", package: PackageRef, folder: Path, *, judged: str) -> dict[str, object]:
    """The package lies in the folder, and is the one that was judged; its header."""
    for name in PACKAGE_FILES:
        store.get_file(f"{store.key(package.href)}/{name}", folder / name)
    text, weights = ((folder / name).read_bytes() for name in PACKAGE_FILES)
    if not judged == package.digest == _sha256(text):
        raise _refused(package, f"its digest is {_sha256(text)[:12]}, evaluated was {judged[:12]}")
    header: dict[str, object] = json.loads(text)
    if _sha256(weights) != header["weights_sha256"]:
        raise _refused(package, f"its weights have sha256 {_sha256(weights)[:12]}, its package says another")
    return header


def _refused(package: PackageRef, why: str) -> DataError:
    return DataError(
        Reason.MODEL_REFUSED,
        f"{package.label} is not what was evaluated: {why}; begin a run with `evaluate` again",
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
