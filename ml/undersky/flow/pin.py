"""`pin`: one run works with one release set, which lies verified where workers can read it.

    ledger: newest release set --every model whole in the store?--> batches/<run>/release.json
                                 no: copied from the registry, verified

A run that is pinned stays pinned: a task that is cleared and run again mixes no models. A registry that is
down stops nothing, as long as the store holds what was promoted.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from undersky.errors import ConfigError, DataError, Reason
from undersky.flow.copied import ensure_copied, folder_of, is_whole
from undersky.refs import ModelRef, ReleaseSet
from undersky.services.store import PreconditionFailed

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger
    from undersky.services.registry import Registry
    from undersky.services.store import Store


def pin(ledger: "Ledger", store: "Store", *, run: str, open_registry: "Callable[[], Registry]") -> ReleaseSet:
    """The release set of now, verified, is what this run works with; saying it again changes nothing.

    Args:
        ledger: Holds the release sets.
        store: The own bucket.
        run: Id of the run, as it stands in keys.
        open_registry: Called where the store lacks a model.

    Raises:
        ConfigError: Nothing was released yet.
        DataError: `model_refused`: files, tags and verdict of a version do not belong together.
        ServiceError: A service failed.
    """
    key = f"batches/{run}/release.json"
    known = store.find(key)
    if known is None:
        release = current(ledger)
        for model in release.models:
            _need_whole(store, model, open_registry)
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


def current(ledger: "Ledger") -> ReleaseSet:
    """The newest release set.

    Raises:
        ConfigError: Nothing was released yet.
    """
    record = ledger.release()
    if record is None:
        raise ConfigError("no model was released yet: run `undersky model bootstrap`")
    return record.release


def _need_whole(store: "Store", model: ModelRef, open_registry: "Callable[[], Registry]") -> None:
    if is_whole(store, folder_of(model.name, model.digest), digest=model.digest):
        return
    registry = open_registry()
    version = registry.version(model.name, model.version)
    if version.digest != model.digest:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"version {model.version} of {model.name} has digest {version.digest[:12] or 'none'} in the "
            f"registry, {model.digest[:12]} was released: somebody changed it there; roll back, or release "
            "another",
        )
    ensure_copied(registry, store, version)
