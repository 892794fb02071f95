"""Which maps there are to make: of every published surface product, in every kind whose model is released.

    release set: landcover? vessels? --> current surface products without such a map --> wanted

Nobody announces a map. Whoever asks first, after a publication or a release, finds what is missing.
"""

from typing import TYPE_CHECKING

from undersky.refs import MODELS, Kind, Lane, ReleaseSet

if TYPE_CHECKING:
    from undersky.services.ledger import Actor, Ledger


def mapped_kinds(release: ReleaseSet | None) -> tuple[Kind, ...]:
    """The kinds of map whose model the release set has; none before anything was released."""
    names = {model.name for model in release.models} if release is not None else set()
    return tuple(kind for kind in Kind if kind.is_map and names.issuperset(MODELS[kind]))


def has_map_work(ledger: "Ledger", *, lane: Lane, by: "Actor") -> tuple[Kind, ...]:
    """The kinds of map that could be claimed now in that lane, or that the actor's run has claimed already.

    What is missing is wanted first, by the newest release set: a run asks this before it pins one.

    Raises:
        ServiceError: The ledger does not answer.
    """
    record = ledger.release()
    kinds = mapped_kinds(None if record is None else record.release)
    if not kinds:
        return ()
    ledger.want_maps(kinds, by)
    ready = {queue.work for queue in ledger.waiting() if queue.lane == lane and queue.ready}
    held = {ref.kind for ref in ledger.holding(by.run) if ref.product is not None}
    return tuple(kind for kind in kinds if kind in ready or kind in held)
