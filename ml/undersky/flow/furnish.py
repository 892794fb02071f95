"""What servers must hold before the flow may rely on them: a bucket that readers reach, accounts, names."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from undersky.services.accounts import Account, ensure_account

if TYPE_CHECKING:
    from undersky.services.store import Store


def prepare_store(store: "Store", *, public: bool = True) -> None:
    """The bucket is there, and anybody may read what is published; saying it twice changes nothing.

    Args:
        store: The own bucket.
        public: False leaves the bucket's policy as it is.

    Raises:
        ConfigError: The bucket may not be made, or its policy not be set.
        ServiceError: The store failed.
    """
    store.make_bucket()
    if public:
        store.publish_prefixes()


def make_accounts(uri: str, *, admin: Account, accounts: Iterable[Account], models: Iterable[str]) -> None:
    """Each account exists with its password; the first of them owns the names of all models.

    Args:
        uri: The registry, with basic auth.
        admin: Its administrator.
        accounts: The one that releases comes first, then whoever trains and whoever only reads.
        models: All that may ever be released.

    Raises:
        ConfigError: A password is refused, or a model belongs to another account.
        ServiceError: The registry failed.
    """
    from undersky.services.registry import Registry  # noqa: PLC0415  it loads MLflow

    release, *others = accounts
    for account in (release, *others):
        ensure_account(uri, account, admin=admin)
    Registry.open(uri, release).ensure_models(models)
