"""Accounts at the model registry: who may move `champion`, who may train, and who may only read.

    release   made all models: registers versions, tags them, moves aliases, deletes
    trainer   made the experiments of its trainings: writes runs and files there, reads the rest
    reader    made nothing: reads

Rights come from who made what: whoever makes a model or an experiment may change it, everybody else reads
(`default_permission = READ`). MLflow lets everybody make what has a free name, so `release` makes all models
before anybody else can: `Registry.ensure_models`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from undersky.errors import ConfigError, ServiceError

_PATIENCE_S = 10.0
"""How long the server may take to answer."""


@dataclass(frozen=True, slots=True)
class Account:
    """A name and a password at the registry."""

    name: str
    """`release`, `trainer`, `reader`."""
    password: str = field(repr=False)
    """At least twelve characters, MLflow's own rule."""


def ensure_account(uri: str, account: Account, *, admin: Account) -> None:
    """The account exists at a server with basic auth, with that password and no rights of its own.

    Raises:
        ConfigError: The administrator's password is refused, or the account's is not taken.
        ServiceError: The server failed.
    """
    body = {"username": account.name, "password": account.password}
    answer = _call("POST", f"{uri}/api/2.0/mlflow/users/create", body, admin)
    if answer.status_code == httpx.codes.BAD_REQUEST and "RESOURCE_ALREADY_EXISTS" in answer.text:
        answer = _call("PATCH", f"{uri}/api/2.0/mlflow/users/update-password", body, admin)
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise ConfigError(f"{admin.name} may not make accounts at {uri}: check the administrator's password")
    if answer.status_code == httpx.codes.BAD_REQUEST:
        raise ConfigError(f"{uri} does not take the account {account.name}: {_message(answer)}")
    if answer.is_error:
        raise ServiceError(f"{uri} answers {answer.status_code} to making the account {account.name}")


def _call(method: str, url: str, body: Mapping[str, str], admin: Account) -> httpx.Response:
    try:
        return httpx.request(method, url, json=body, auth=(admin.name, admin.password), timeout=_PATIENCE_S)
    except httpx.HTTPError as error:
        raise ServiceError(f"{url} does not answer ({type(error).__name__}: {error})") from error


def _message(answer: httpx.Response) -> str:
    """The server's first words, without what its database says."""
    return answer.text[:200].split("[SQL", maxsplit=1)[0]
