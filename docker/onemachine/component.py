"""What a component of the stack is, and how one is asked whether it is there."""

import http.client
import signal
import subprocess
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from onemachine.folder import Folder, Secrets, StackError
from onemachine.ports import LOOPBACK
from onemachine.processes import spawn, tail

ROOT = Path(__file__).parents[2]
"""The checkout."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a stack lives and how its parts reach each other."""

    folder: Folder
    """All state."""
    secrets: Secrets
    """Passwords and keys."""
    ports: Mapping[str, int]
    """By name, see `ports.DEFAULTS`."""
    environment: Mapping[str, str]
    """What every child is started with: the caller's, without what would lead it astray."""

    def url(self, name: str) -> str:
        """Address of a server on loopback."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def database(self, name: str, *, driver: str = "postgresql") -> str:
        """Address of a database, with its password."""
        return f"{driver}://undersky:{self.secrets.postgres}@{LOOPBACK}:{self.ports['postgres']}/{name}"


@dataclass(frozen=True, slots=True)
class Component:
    """One server of the stack."""

    name: str
    """Of its log and in messages."""
    command: tuple[str | Path, ...]
    """How it is started."""
    environment: Mapping[str, str]
    """All of it."""
    waits_for: Callable[[], str | None]
    """What is still missing before others may use it; None when it is ready."""
    needs: tuple[str, ...] = ()
    """Components that must be ready before this one is prepared."""
    prepare: Callable[[], None] | None = None
    """What has to be done once before it starts."""
    afterwards: Callable[[], None] | None = None
    """What has to be done once it answers, before others may rely on it."""
    port: str | None = None
    """Name of the port it listens on: another listener there is an error of its own."""
    patience_s: float = 180.0
    """Seconds until it counts as not starting."""
    stop_s: float = 12.0
    """Seconds it may take to stop."""
    stop_signal: int = signal.SIGTERM
    """How it is asked to stop."""
    stops_last: bool = False
    """Others lean on it until they have ended; only its first process is asked to stop."""


def run_once(
    name: str,
    command: tuple[str | Path, ...],
    *,
    site: Site,
    environment: Mapping[str, str],
    patience_s: float = 180.0,
) -> None:
    """The command has ended well.

    Raises:
        StackError: It failed; the message shows the end of its log.
    """
    spawned = spawn(name, command, folder=site.folder, environment=environment)
    try:
        code = spawned.process.wait(timeout=patience_s)
    except subprocess.TimeoutExpired:
        code = -signal.SIGKILL
    finally:
        if spawned.process.poll() is None:
            spawned.process.kill()
            spawned.process.wait()
        (site.folder.pids / f"{name}.json").unlink(missing_ok=True)
    if code != 0:
        raise StackError(f"{name} ended with {code}; its log {spawned.log} ends with\n{tail(spawned.log)}")


def answers(url: str, *, good: tuple[int, ...] = (200,)) -> str | None:
    """None when the address answers as it should, else what is missing."""
    try:
        status, _ = fetch(url)
    except OSError as error:
        return f"{url} does not answer ({error})"
    return None if status in good else f"{url} answers {status}"


def fetch(url: str) -> tuple[int, bytes]:
    """Status and body, whatever the status; no proxy is asked.

    Raises:
        OSError: Nobody answers.
    """
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5.0)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        reply = connection.getresponse()
        return reply.status, reply.read()
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
