"""The one folder that holds all state of a stack: data, logs, secrets, ports, and who runs it."""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psutil

NEEDED_BYTES = 4 * 2**30
"""What the demo leaves on the disk at most, with room to work."""
_LATER = ("mlflow_trainer",)
"""Secrets that came with a later version."""


class StackError(Exception):
    """Something a person must act on; the message says what and how."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once, kept with mode 600."""

    stack: str
    """Marks the processes of this stack in their environment, so that only they are ever stopped."""
    postgres: str
    """Password of the database's owner."""
    s3_key: str
    """Access key of the bucket's owner."""
    s3_secret: str
    """Secret key of the bucket's owner."""
    mlflow_admin: str
    """Password of MLflow's `admin`."""
    mlflow_release: str
    """Password of `release`, who registers models and moves their aliases."""
    mlflow_trainer: str
    """Password of `trainer`, who writes runs of trainings."""
    mlflow_reader: str
    """Password of `reader`, who pins them."""
    mlflow_key: str
    """Signs MLflow's forms."""
    airflow_admin: str
    """Password of Airflow's `admin`."""
    airflow_api: str
    """Signs Airflow's sessions."""
    airflow_jwt: str
    """Signs the tokens of tasks."""
    airflow_fernet: str
    """Encrypts Airflow's connections."""

    @classmethod
    def generate(cls) -> Self:
        """New ones."""
        key = secrets.token_urlsafe
        return cls(
            stack=secrets.token_hex(16),
            postgres=key(18),
            s3_key=secrets.token_hex(10).upper(),
            s3_secret=key(30),
            mlflow_admin=key(12),
            mlflow_release=key(12),
            mlflow_trainer=key(12),
            mlflow_reader=key(12),
            mlflow_key=key(32),
            airflow_admin=key(12),
            airflow_api=key(32),
            airflow_jwt=key(64),
            airflow_fernet=_fernet_key(),
        )


def _fernet_key() -> str:
    return secrets.token_urlsafe(32).ljust(44, "=")


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything of one stack lies."""

    path: Path
    """Absolute."""

    @classmethod
    def at(cls, path: Path) -> Self:
        """The folder, made when it does not exist; its own files are for its owner alone.

        Raises:
            StackError: It cannot be made or written, or the disk is nearly full.
        """
        folder = cls(path.expanduser().resolve())
        try:
            for part in (folder.path, folder.logs, folder.pids, folder.scratch):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{folder.path} cannot be made ({error.strerror}): name another folder, UNDERSKY_DEMO_DIR=DIR"
            ) from error
        return folder

    @property
    def logs(self) -> Path:
        """One file a component."""
        return self.path / "logs"

    @property
    def pids(self) -> Path:
        """One file a running component."""
        return self.path / "pids"

    @property
    def scratch(self) -> Path:
        """Working files of stages."""
        return self.path / "scratch"

    def check_disk(self, needed: int = NEEDED_BYTES) -> None:
        """Nothing, where the disk has room.

        Raises:
            StackError: It has too little.
        """
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise StackError(
                f"the disk of {self.path} has {free / 1e9:.1f} GB free, the demo wants {needed / 1e9:.1f}: "
                "make room, or name a folder on another disk, UNDERSKY_DEMO_DIR=DIR"
            )

    def secrets(self) -> Secrets:
        """The stack's secrets, generated at the first call; those that an earlier version lacked are added.

        Raises:
            StackError: The file holds something else.
        """
        path = self.path / "secrets.json"
        if not path.exists():
            write_private(path, json.dumps(_plain(Secrets.generate()), indent=1))
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            added = {name: secrets.token_urlsafe(12) for name in _LATER if name not in known}
            found = Secrets(**known, **added)
        except (ValueError, TypeError) as error:
            raise StackError(f"{path} is damaged ({error}): remove {self.path} to begin afresh") from error
        if added:
            write_private(path, json.dumps(_plain(found), indent=1))
        return found

    @contextmanager
    def locked(self, purpose: str, *, patience_s: float = 25.0) -> Iterator[int]:
        """This process alone works with the folder, however it ends; yields the lock's file descriptor.

        Whoever inherits the descriptor keeps the lock: the watchdog does, until it has cleaned up.

        Args:
            purpose: What this process is, for the message that another one gets.
            patience_s: How long to wait where the holder has died and is being cleaned up.

        Raises:
            StackError: Another process works with it; the message names it.
        """
        with (self.path / "lock").open("a+", encoding="utf-8") as file:
            deadline = time.monotonic() + patience_s
            while not _lock(file.fileno()):
                if self._holder_lives() or time.monotonic() > deadline:
                    raise StackError(self._who_runs_it())
                time.sleep(0.2)
            mine = {"pid": os.getpid(), "purpose": purpose, "since": datetime.now(UTC).isoformat()}
            write_private(self.path / "holder.json", json.dumps(mine))
            try:
                yield file.fileno()
            finally:
                (self.path / "holder.json").unlink(missing_ok=True)

    def holder(self) -> Mapping[str, str | int] | None:
        """The process that works with the folder; None when nobody does."""
        path = self.path / "lock"
        if not path.exists():
            return None
        with path.open("a+", encoding="utf-8") as file:
            if _lock(file.fileno()):
                return None
        return self._holder_file() or {"pid": 0, "purpose": "a stack", "since": "?"}

    def _holder_lives(self) -> bool:
        return psutil.pid_exists(int((self._holder_file() or {"pid": 0})["pid"]))

    def _holder_file(self) -> Mapping[str, str | int] | None:
        try:
            holder: Mapping[str, str | int] = json.loads((self.path / "holder.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return holder

    def _who_runs_it(self) -> str:
        holder = self._holder_file() or {"pid": "?", "purpose": "a stack", "since": "?"}
        return (
            f"{self.path} is in use: process {holder['pid']} runs {holder['purpose']} there since "
            f"{str(holder['since'])[:16]} UTC. End it with Ctrl-C where it runs, or by "
            "`.venv/bin/python docker/stack.py down`; or give this one another folder, UNDERSKY_DEMO_DIR=DIR"
        )


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _plain(value: Secrets) -> dict[str, str]:
    return {name: getattr(value, name) for name in Secrets.__dataclass_fields__}


def write_private(path: Path, text: str) -> None:
    """The file holds the text, whole or not at all, readable by its owner alone."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
