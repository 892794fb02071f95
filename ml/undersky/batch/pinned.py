"""The models that a batch pinned, as packages on the disk: these versions and no others."""

from pathlib import Path

from undersky.errors import ConfigError
from undersky.refs import ModelRef, ReleaseSet
from undersky.services.store import NotInStore, Store

PACKAGE_FILE, WEIGHTS_FILE = "package.json", "weights.safetensors"


def pinned_model(release: ReleaseSet | None, name: str) -> ModelRef:
    """The model of that name in a batch's release set.

    Raises:
        ConfigError: The batch pinned none.
    """
    if release is None:
        raise ConfigError(
            f"the batch names no release set: claim {name} work with the models that `pin` gave"
        )
    try:
        return release.model(name)
    except KeyError as error:
        names = ", ".join(model.name for model in release.models) or "nothing"
        raise ConfigError(
            f"the batch pinned {names} and no {name} model: run `undersky pin` again"
        ) from error


def fetched_package(store: Store, model: ModelRef, folder: Path) -> Path:
    """The model's package, in a folder of its own below `folder`.

    Raises:
        ConfigError: It is not in the store any more.
        ServiceError: The store does not answer.
    """
    target = folder / model.digest
    target.mkdir(parents=True, exist_ok=True)
    prefix = store.key(model.href.rstrip("/"))
    for name in (PACKAGE_FILE, WEIGHTS_FILE):
        try:
            store.get_file(f"{prefix}/{name}", target / name)
        except NotInStore as error:
            raise ConfigError(
                f"{model.href} holds no {name}: the pinned model {model.label} was removed; "
                "run `undersky pin` again"
            ) from error
    return target


def require_pinned(model: ModelRef, digest: str) -> None:
    """Returns where the package that was opened is the one that was pinned.

    Raises:
        ConfigError: It has another digest.
    """
    if digest != model.digest:
        raise ConfigError(
            f"{model.href} holds a model with digest {digest[:12]}, pinned was {model.digest[:12]}: "
            "somebody replaced it; run `undersky pin` again"
        )
