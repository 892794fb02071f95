"""`claim`: scenes that wait are leased to a run and laid down in the store as batches.

    ledger --leases--> scenes --grouped--> batches/<run>/<000>/batch.json ...

Saying it again gives the batches that the run holds already. What a claim that died had leased, but not yet
laid down, is laid down then: nothing waits for a lease to run out.

A run may claim several kinds of maps, at once too: the batches of each kind are named after it.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from undersky.errors import ConfigError
from undersky.flow.maps import mapped_kinds
from undersky.refs import Batch, Kind, Lane, ReleaseSet, SceneRef

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Ledger, Work
    from undersky.services.store import Store

MOST_BATCHES = 200
"""A run has at most that many: Airflow and its UI suffer from more mapped tasks. Batches grow instead."""


def claim(
    ledger: "Ledger",
    store: "Store",
    *,
    work: "Work",
    lane: Lane,
    run: str,
    by: "Actor",
    limit: int,
    batch_scenes: int,
    lease: timedelta,
    release: ReleaseSet | None = None,
) -> list[str]:
    """Addresses of the run's batches, newest sensing first; none where nothing waits.

    Args:
        ledger: The truth.
        store: Where batches are laid down.
        work: What for; before maps are claimed, those that are missing are wanted.
        lane: Fresh or historical, never both.
        run: Id of the run, unique among all flows: a part of keys.
        by: Who; its run holds the leases.
        limit: Scenes, at most.
        batch_scenes: Scenes of one batch; more where there would be too many batches.
        lease: How long the claim stands without a sign of life.
        release: The pinned models, for all but ingest. Where they lack the model of a map, nothing is
            claimed.

    Raises:
        ConfigError: The actor acts for another run, or maps are to be claimed without pinned models.
        ServiceError: Ledger or store failed; what was leased is found again by the same call.
    """
    if by.run != run:
        raise ConfigError(f"a claim for run {run} cannot be held by {by.run}: leases belong to the run")
    held = ledger.holding(run, work)
    prefix = _prefix(work)
    there = {href: batch for href, batch in laid_down(store, run) if _is_called(batch.name, prefix)}
    if not held and _may_claim(ledger, work, release, by):
        held = ledger.claim(work, lane=lane, limit=limit, by=by, lease=lease, release=release)
    leases = {_lease(ref) for ref in held}
    standing = [href for href, batch in there.items() if any(_lease(ref) in leases for ref in batch.scenes)]
    loose = _without(held, [there[href] for href in standing])
    first = max((int(batch.name.removeprefix(prefix)) for batch in there.values()), default=-1) + 1
    size = max(batch_scenes, -(-len(loose) // MOST_BATCHES))
    groups = [loose[start : start + size] for start in range(0, len(loose), size)]
    new = []
    for number, scenes in enumerate(groups, first):
        name = f"{prefix}{number:03d}"
        batch = Batch(run=run, name=name, lane=lane, scenes=tuple(scenes), release=release)
        key = f"{_folder(run)}{batch.name}/batch.json"
        store.put(key, batch.to_json().encode(), content_type="application/json", if_absent=True)
        new.append(store.href(key))
    return standing + new


def _may_claim(ledger: "Ledger", work: "Work", release: ReleaseSet | None, by: "Actor") -> bool:
    """Whether there may be something to claim; for maps what is missing is wanted then."""
    if work == "ingest" or not Kind(work).is_map:
        return True
    if release is None:
        raise ConfigError(f"a claim for {work} needs the pinned models: `undersky pin --run {by.run}` first")
    kinds = mapped_kinds(release)
    ledger.want_maps(kinds, by)
    return work in kinds


def _prefix(work: "Work") -> str:
    """What the names of its batches begin with: two claims of one run must not take each other's names."""
    return f"{work}-" if work != "ingest" and Kind(work).is_map else ""


def _is_called(name: str, prefix: str) -> bool:
    return name.removeprefix(prefix).isdecimal() and name.startswith(prefix)


def laid_down(store: "Store", run: str) -> Iterator[tuple[str, Batch]]:
    """Address and content of every batch of that run, in the order of their names.

    Raises:
        ConfigError: A batch was written by another version.
        ServiceError: The store does not answer.
    """
    for stored in sorted(store.list(_folder(run)), key=lambda stored: stored.key):
        if stored.key.endswith("/batch.json"):
            yield store.href(stored.key), _parsed(store.get(stored.key), store.href(stored.key))


def read_batch(store: "Store", href: str) -> Batch:
    """The batch at that address.

    Raises:
        ConfigError: None is there, or it was written by another version.
        ServiceError: The store does not answer.
    """
    text = store.find(store.key(href))
    if text is None:
        raise ConfigError(f"{href} is not there: give the address of a batch.json that `claim` wrote")
    return _parsed(text, href)


def _parsed(text: bytes, href: str) -> Batch:
    try:
        return Batch.from_json(text)
    except ValidationError as error:
        raise ConfigError(
            f"{href} is no batch: {error.errors()[0]['msg']}; was it written by another version of Undersky?"
        ) from error


def _without(held: Sequence[SceneRef], batches: Sequence[Batch]) -> list[SceneRef]:
    """The scenes that lie in none of the batches."""
    laid = {_lease(ref) for batch in batches for ref in batch.scenes}
    return [ref for ref in held if _lease(ref) not in laid]


def _lease(ref: SceneRef) -> tuple[str, int | None, int]:
    """What tells one lease from every other."""
    return ref.acquisition, ref.product, ref.token


def _folder(run: str) -> str:
    return f"batches/{run}/"
