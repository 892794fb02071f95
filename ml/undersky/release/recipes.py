"""The recipe of an order: a shipped one by its name, or a YAML file in the store."""

from pathlib import Path
from typing import TYPE_CHECKING

from undersky.errors import ConfigError
from undersky.refs import ReleaseOrder

if TYPE_CHECKING:
    from undersky.services.store import Store


def recipe_of(order: ReleaseOrder, store: "Store", folder: Path) -> str | Path:
    """What `undersky train` takes: the name, or the file, fetched into the folder.

    Raises:
        ConfigError: The address is of another bucket, or nothing lies there.
    """
    if not order.recipe.startswith("s3://"):
        return order.recipe
    text = store.find(store.key(order.recipe))
    if text is None:
        raise ConfigError(f"no recipe lies at {order.recipe}: upload the YAML file, or name a shipped one")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_bytes(text)
    return path
