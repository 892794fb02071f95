"""`rollback`: the release before holds again, and whatever the withdrawn version made says so.

    ledger, registry: the set before   --> at once
    every published product of it, and every map of such: Item deprecated, with the reason  --> one by one

What is cut off in the middle is taken up by the same call. The products stay readable: nothing is deleted.
"""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from undersky.errors import ConfigError, ServiceError
from undersky.flow import published as items
from undersky.flow.items import Commit, update_item
from undersky.flow.promote import follow, restore
from undersky.refs import MODELS, Kind, ModelRef
from undersky.services.ledger import Selection

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, CampaignEstimate, Ledger, Product, ReleaseRecord
    from undersky.services.registry import Registry
    from undersky.services.store import Store

_NO_NAME = re.compile(r"[^a-z0-9-]+")
"""What the name of a campaign may not hold."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What is true after a rollback."""

    withdrawn: ModelRef
    """The version that was taken back."""
    champion: ModelRef
    """The version that is used again."""
    deprecated: int
    """Products that were marked by this call."""
    remake: "CampaignEstimate"
    """What it would cost to make them again."""
    why: str

    @property
    def sentence(self) -> str:
        """For a person."""
        return (
            f"{self.champion.label} is champion of {self.champion.name} again; {self.withdrawn.label} is "
            f"taken back and {self.deprecated} of its products are deprecated: {self.why}"
        )

    @property
    def offer(self) -> str:
        """What making them again would take, and the command; empty where nothing is to be made again."""
        if not self.remake.scenes:
            return ""
        name = _NO_NAME.sub("-", f"after-{self.withdrawn.label}".lower())
        kind = _kind_of(self.withdrawn)
        which = f"--kind {kind} " if kind.is_map else ""
        return (
            f"making them again: {self.remake.scenes} scenes, {self.remake.hours:.1f} compute hours, "
            f"{self.remake.bytes / 1e9:.2f} GB; undersky campaign propose {name}"
            f" {which}--model {self.withdrawn.digest} --why {shlex.quote(self.why)}"
        )


def rollback(
    registry: "Registry",
    ledger: "Ledger",
    store: "Store",
    name: str,
    *,
    by: "Actor",
    why: str,
    commit: Commit = "store",
) -> RolledBack:
    """The set before holds again, and every product of the withdrawn version is deprecated with the reason.

    The last rollback, if it is the newest change of the model and nothing was released since, is completed
    rather than followed by a second one when the same reason is given.

    Args:
        registry: Opened as the account that may move aliases.
        ledger: Holds the release sets.
        store: The own bucket.
        name: `correction`, `quality`, `landcover` or `vessels`.
        by: Who.
        why: Stands on every product of the version.
        commit: What decides a race over an Item: the store's conditional put, or nothing where it has none.

    Raises:
        ConfigError: No reason, or nothing to go back to.
        ServiceError: A service failed; the same call takes up what is left.
    """
    record = ledger.release()
    if record is not None and _is_the_same(record, name, why):
        withdrawn, champion = _pair(record, name)
        follow(registry, champion, withdrawn=withdrawn, why=record.why)
    else:
        withdrawn, champion = restore(registry, ledger, name, by=by, why=why)
    marked = deprecate(ledger, store, by=by, commit=commit)
    current = ledger.release()
    if current is None:
        raise ServiceError("the ledger lost the release that was just set: look at it")
    meant = Selection(model=withdrawn.digest, kind=_kind_of(withdrawn))
    remake = ledger.estimate_campaign(meant, current.release)
    return RolledBack(withdrawn, champion, marked, remake, why.strip())


def deprecate(
    ledger: "Ledger",
    store: "Store",
    *,
    by: "Actor",
    told: Callable[[int], None] | None = None,
    commit: Commit = "store",
) -> int:
    """Every product of a withdrawn version, and every map of one, says so in Item and ledger.

    Returns:
        How many were marked now.
    """
    reasons, marked = ledger.withdrawn_models(), 0
    while products := ledger.to_deprecate():
        for product in products:
            why = _reason(ledger, product, reasons)
            if product.href is not None:
                update_item(store, store.key(product.href), partial(items.withdrawn, why=why), commit=commit)
            ledger.deprecated(product.id, reason=why, by=by)
            marked += 1
            if told is not None:
                told(marked)
    return marked


def _reason(ledger: "Ledger", product: "Product", reasons: dict[str, str]) -> str:
    for model in product.made.models if product.made else ():
        if model.digest in reasons:
            return f"{model.label} was taken back: {reasons[model.digest]}"
    if product.source is not None and (source := _source(ledger, product)) is not None:
        name = source.made.id if source.made else source.scene
        return f"derived from {name}: {_reason(ledger, source, reasons)}"
    derived = ledger.withdrawn_release(product.release, product.kind) if product.release else None
    return f"derived from a version that was taken back: {derived or 'see the release sets'}"


def _source(ledger: "Ledger", product: "Product") -> "Product | None":
    """The surface product that a map is of."""
    story = ledger.story(product.acquisition)
    found = (each for each in (story.products if story else ()) if each.id == product.source)
    return next(found, None)


def _kind_of(model: ModelRef) -> Kind:
    """What a model makes."""
    return next((kind for kind, names in MODELS.items() if model.name in names), Kind.SURFACE)


def _is_the_same(record: "ReleaseRecord", name: str, why: str) -> bool:
    withdrawn = record.withdrawn
    return (
        record.kind == "rollback"
        and withdrawn is not None
        and withdrawn.name == name
        and record.why == why.strip()
    )


def _pair(record: "ReleaseRecord", name: str) -> tuple[ModelRef, ModelRef]:
    if record.withdrawn is None:
        raise ConfigError(f"release {record.id} took nothing back")
    return record.withdrawn, record.release.model(name)
