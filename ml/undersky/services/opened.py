"""Services as the settings name them; each error says which setting is missing.

The owners are imported when they are asked for: a verb that needs the store alone does not wait for MLflow.
"""

from typing import TYPE_CHECKING

from undersky.settings import Settings, needed

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger
    from undersky.services.registry import Registry
    from undersky.services.store import Store


def open_ledger(settings: Settings) -> "Ledger":
    """The ledger, its schema checked.

    Raises:
        ConfigError: UNDERSKY_LEDGER is unset, or the database wants `undersky ledger migrate`.
        ServiceError: The database does not answer.
    """
    from undersky.services.ledger import Ledger  # noqa: PLC0415  see above

    url = needed(
        settings.ledger, "ledger", cure="give the PostgreSQL address, postgresql://user@host/undersky"
    )
    return Ledger.open(url.get_secret_value(), max_tries=settings.max_tries)


def open_store(settings: Settings) -> "Store":
    """The bucket.

    Raises:
        ConfigError: UNDERSKY_STORE is unset.
    """
    from undersky.services.store import Store  # noqa: PLC0415  see above

    url = needed(settings.store, "store", cure="give the bucket, s3://name, and UNDERSKY_S3_ENDPOINT off AWS")
    return Store.open(url, endpoint=settings.s3_endpoint)


def open_registry(settings: Settings) -> "Registry":
    """The model registry.

    Raises:
        ConfigError: UNDERSKY_REGISTRY is unset.
    """
    from undersky.services.registry import Registry  # noqa: PLC0415  see above

    uri = needed(settings.registry, "registry", cure="give the address of the MLflow server")
    return Registry.open(uri)
