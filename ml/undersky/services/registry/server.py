"""The MLflow server itself: whether it lives, as whom it is asked, and its errors as ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from undersky.errors import ConfigError, ServiceError
from undersky.services.accounts import Account

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE_S = 10.0
"""How long the server may take to say that it is alive."""
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED")
_DENIED_FILES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
"""How the same is said of files, which MLflow's client moves by itself."""
_THERE = "RESOURCE_ALREADY_EXISTS"


def ping(uri: str) -> None:
    """The server at that address lives.

    Raises:
        ConfigError: It is no http address.
        ServiceError: It does not answer.
    """
    if not uri.startswith(("http://", "https://")):
        raise ConfigError(f"UNDERSKY_REGISTRY={uri!r} is no http address; give that of the MLflow server")
    try:
        httpx.get(f"{uri.rstrip('/')}/health", timeout=_PATIENCE_S).raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceError(
            f"the model registry at {uri} does not answer ({type(error).__name__}: {error}); is MLflow up?"
        ) from error


def connect(uri: str, account: Account | None) -> "MlflowClient":
    """MLflow's client, silent, acting as that account; where it is None, as the environment says."""
    import mlflow.environment_variables as switches  # noqa: PLC0415  costs seconds
    from mlflow import MlflowClient  # noqa: PLC0415  likewise

    settings: list[tuple[str, object]] = [
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", False),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", True),
    ]
    if account is not None:
        settings += [
            ("MLFLOW_TRACKING_USERNAME", account.name),
            ("MLFLOW_TRACKING_PASSWORD", account.password),
        ]
    for name, value in settings:
        getattr(switches, name).set(value)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def plain(name: str) -> str:
    """The name, which may stand in a query of MLflow.

    Raises:
        ConfigError: It holds something else than letters, digits, - and _.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(f"{name!r} is no name of a model: letters, digits, - and _")
    return name


@contextmanager
def typed(what: str) -> Iterator[None]:
    """Errors of MLflow become ours.

    Raises:
        ConfigError: It is not there, or the account may not do it.
        ServiceError: The server failed.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  see above
    from requests import RequestException  # noqa: PLC0415

    try:
        yield
    except MlflowException as error:
        if error.error_code in _DENIED:
            raise _refused(what, error.error_code) from error
        if error.error_code in _NOT_THERE:
            raise ConfigError(f"the registry has no {what}: {error.message}") from error
        raise ServiceError(f"the registry failed on {what} ({error.error_code}): {error.message}") from error
    except (RequestException, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in _DENIED_FILES:
            raise _refused(what, _DENIED_FILES[status]) from error
        raise ServiceError(f"the registry failed on {what} ({type(error).__name__}): {error}") from error


def _refused(what: str, code: str) -> ConfigError:
    return ConfigError(
        f"the registry refuses {what} ({code}): check MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, and that this account may do it"
    )


def unless_there(make: Callable[[], object], what: str) -> None:
    """It is there afterwards, whoever made it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  see above

    with typed(what):
        try:
            make()
        except MlflowException as error:
            if error.error_code != _THERE:
                raise


def experiment(client: "MlflowClient", name: str) -> str:
    """Id of the experiment, made where there is none.

    Raises:
        ConfigError: It was deleted, or the account may not make one.
        ServiceError: The server failed.
    """
    with typed(f"experiment {name}"):
        found = client.get_experiment_by_name(name)
    if found is None:
        unless_there(lambda: client.create_experiment(name), f"experiment {name}")
        with typed(f"experiment {name}"):
            found = client.get_experiment_by_name(name)
    if found is None:
        raise ServiceError(f"the experiment {name} was made and is not there: try again")
    if found.lifecycle_stage != "active":
        raise ConfigError(f"the experiment {name} was deleted: restore it in MLflow's pages")
    return str(found.experiment_id)
