"""Makes the passwords and keys of the compose stack, once: `python3 docker/compose/env.py`.

They lie in `docker/.env`, which compose reads by itself, for their owner alone. Needs nothing but Python.
"""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

FILE = Path(__file__).parents[1] / ".env"

MAKERS: Mapping[str, Callable[[], str]] = {
    "POSTGRES": lambda: secrets.token_urlsafe(18),
    "S3_KEY": lambda: secrets.token_hex(10).upper(),
    "S3_SECRET": lambda: secrets.token_urlsafe(30),
    "MLFLOW_ADMIN": lambda: secrets.token_urlsafe(12),
    "MLFLOW_RELEASE": lambda: secrets.token_urlsafe(12),
    "MLFLOW_TRAINER": lambda: secrets.token_urlsafe(12),
    "MLFLOW_READER": lambda: secrets.token_urlsafe(12),
    "MLFLOW_KEY": lambda: secrets.token_urlsafe(32),
    "AIRFLOW_ADMIN": lambda: secrets.token_urlsafe(12),
    "AIRFLOW_API": lambda: secrets.token_urlsafe(32),
    "AIRFLOW_JWT": lambda: secrets.token_urlsafe(64),
    "AIRFLOW_FERNET": lambda: secrets.token_urlsafe(32).ljust(44, "="),
}
"""As the stack of child processes makes its own; in the file each name begins with STACK_."""


def generate() -> str:
    """Lines of an env file, with new secrets; none holds a character that compose would read as its own."""
    return "".join(f"STACK_{name}={make()}\n" for name, make in MAKERS.items())


def main() -> int:
    """The file is there; one that was there stays as it is, for servers already know its passwords."""
    try:
        descriptor = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        _say(f"{FILE} is there already and stays: the databases know its passwords")
        return 0
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(generate())
    _say(f"made {FILE}; STACK_AIRFLOW_ADMIN and STACK_MLFLOW_ADMIN are the passwords of `admin`")
    return 0


def _say(line: str) -> None:
    print(line)  # noqa: T201  a command line


if __name__ == "__main__":
    sys.exit(main())
