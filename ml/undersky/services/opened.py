"""Services as the settings name them; each error says which setting is missing.

The owners are imported when they are asked for: a verb that needs the store alone does not wait for MLflow.
"""

from typing import TYPE_CHECKING, Literal

from undersky.errors import ConfigError
from undersky.services.accounts import Account
from undersky.settings import Settings, mlflow_login, needed

if TYPE_CHECKING:
    from undersky.services.ledger import Ledger
    from undersky.services.registry import Registry
    from undersky.services.store import Store

Role = Literal["reader", "trainer", "release"]
"""As whom the registry is spoken to."""


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


def open_registry(settings: Settings, role: Role = "reader") -> "Registry":
    """The model registry, as the account of that role.

    Args:
        settings: Address, and the logins of the roles that have one of their own.
        role: `release` registers and promotes, `trainer` logs trainings, `reader` is MLflow's own account.

    Raises:
        ConfigError: UNDERSKY_REGISTRY is unset, or a login is no name:password.
    """
    from undersky.services.registry import Registry  # noqa: PLC0415  see above

    uri = needed(settings.registry, "registry", cure="give the address of the MLflow server")
    return Registry.open(uri, account_of(settings, role))


def account_of(settings: Settings, role: Role) -> Account | None:
    """The account of a role; None where it is the one of MLFLOW_TRACKING_USERNAME.

    Raises:
        ConfigError: It is no name:password.
    """
    logins = {"release": settings.release_login, "trainer": settings.trainer_login, "reader": None}
    login = logins[role]
    if login is None:
        return None
    return _parted(login.get_secret_value(), role)


def account_needed(settings: Settings, role: Role | Literal["admin"]) -> Account:
    """The account of a role, which must be one of its own.

    Raises:
        ConfigError: It is not set, or no name:password.
    """
    if role == "reader":
        login = mlflow_login()
        if login is None:
            raise ConfigError(
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are not set: name the reader"
            )
        return _parted(login, role)
    logins = {
        "admin": settings.admin_login,
        "release": settings.release_login,
        "trainer": settings.trainer_login,
    }
    found = needed(logins[role], f"{role}_login", cure="give its account, name:password")
    return _parted(found.get_secret_value(), role)


def _parted(login: str, role: str) -> Account:
    name, separator, password = login.partition(":")
    if not (name and separator and password):
        raise ConfigError(f"UNDERSKY_{role.upper()}_LOGIN is no login: write it name:password")
    return Account(name, password)
