"""What servers must hold before the flow may rely on them: `furnish ledger bucket`, `furnish accounts`.

Runs as a child, in the flow's environment.
"""

import os
import sys

from undersky.services.accounts import Account, ensure_account
from undersky.settings import needed, read_settings

ACCOUNTS = ("release", "trainer", "reader")
MODELS = ("correction", "quality", "landcover", "vessels")
"""All that may ever be released."""


def ledger() -> None:
    """The ledger's tables are those of this version."""
    from undersky.services.ledger import Ledger  # noqa: PLC0415  each of these loads a library of its own

    url = needed(read_settings().ledger, "ledger", cure="the stack sets it")
    Ledger.migrate(url.get_secret_value())


def bucket() -> None:
    """The bucket is there, and anybody may read what is published."""
    from undersky.services.opened import open_store  # noqa: PLC0415  see above

    store = open_store(read_settings())
    store.make_bucket()
    store.publish_prefixes()


def accounts() -> None:
    """Whoever moves `champion`, trains, or only reads is an account of its own; `release` has all models."""
    from undersky.services.registry import Registry  # noqa: PLC0415  see above

    uri = needed(read_settings().registry, "registry", cure="the stack sets it")
    admin = Account("admin", os.environ["FURNISH_ADMIN"])
    made = {name: Account(name, os.environ[f"FURNISH_{name.upper()}"]) for name in ACCOUNTS}
    for account in made.values():
        ensure_account(uri, account, admin=admin)
    Registry.open(uri, made["release"]).ensure_models(MODELS)


if __name__ == "__main__":
    for verb in sys.argv[1:]:
        {"ledger": ledger, "bucket": bucket, "accounts": accounts}[verb]()
