"""What servers must hold before the flow may rely on them: `furnish ledger bucket`, `furnish accounts`.

Runs as a child, in the flow's environment.
"""

import os
import sys

from undersky.services.accounts import Account, ensure_account
from undersky.settings import needed, read_settings


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
    """Whoever moves `champion`, and whoever only reads, are accounts of their own."""
    uri = needed(read_settings().registry, "registry", cure="the stack sets it")
    admin = Account("admin", os.environ["FURNISH_ADMIN"])
    for name in ("release", "reader"):
        ensure_account(uri, Account(name, os.environ[f"FURNISH_{name.upper()}"]), admin=admin)


if __name__ == "__main__":
    for verb in sys.argv[1:]:
        {"ledger": ledger, "bucket": bucket, "accounts": accounts}[verb]()
