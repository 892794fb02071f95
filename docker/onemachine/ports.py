"""Ports on loopback: defaults, what the user fixed, what was free the last time."""

import json
import os
import random
import socket
from collections.abc import Mapping
from contextlib import closing

import psutil

from onemachine.folder import Folder, StackError, write_private

LOOPBACK = "127.0.0.1"
DEFAULTS: Mapping[str, int] = {
    "airflow": 8080,
    "mlflow": 5000,
    "s3": 8333,
    "catalog": 7822,
    "archive": 7821,
    "postgres": 15432,
    "weed_master": 19333,
    "weed_master_grpc": 29333,
    "weed_volume": 19340,
    "weed_volume_grpc": 29340,
    "weed_filer": 19888,
    "weed_filer_grpc": 29888,
    "weed_s3_grpc": 29334,
}
"""Every port a stack listens on."""


def choose_ports(folder: Folder, *, fixed: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """A free port for every name, and a sentence for each that had to move.

    A port that the user fixed is never moved. The others keep the one of the last run where it is free.

    Raises:
        StackError: A fixed port is taken; the message names the process where it can be seen.
    """
    unknown = sorted(set(fixed) - set(DEFAULTS))
    if unknown:
        raise StackError(f"UNDERSKY_DEMO_PORTS names {unknown[0]!r}; it may name {' '.join(DEFAULTS)}")
    wanted = {**DEFAULTS, **_remembered(folder), **fixed}
    chosen: dict[str, int] = {}
    moved = []
    for name in DEFAULTS:
        port = wanted[name]
        if port in chosen.values() or is_taken(port):
            if name in fixed:
                raise StackError(
                    f"port {port} for {name} is taken by {owner_of(port)}: stop that, or fix another, "
                    f"UNDERSKY_DEMO_PORTS={name}=PORT"
                )
            moved.append(f"port {port} is taken by {owner_of(port)}: {name} moved")
            port = _free_port(avoid={*chosen.values(), *wanted.values()})
            moved[-1] += f" to {port}"
        chosen[name] = port
    write_private(folder.path / "ports.json", json.dumps(chosen, indent=1))
    return chosen, moved


def read_ports(folder: Folder) -> dict[str, int]:
    """The ports of the running (or last) stack.

    Raises:
        StackError: None ever ran here.
    """
    ports = _remembered(folder)
    if set(ports) != set(DEFAULTS):
        raise StackError(
            f"no stack ran in {folder.path} yet: start one, `.venv/bin/python docker/stack.py up`"
        )
    return ports


def fixed_ports(text: str | None) -> dict[str, int]:
    """Ports as a person fixes them: `airflow=8081,s3=9000`.

    Raises:
        StackError: The text is something else.
    """
    ports = {}
    for part in filter(None, (text or "").replace(" ", ",").split(",")):
        name, _, number = part.partition("=")
        if not number.isdigit() or not 0 < int(number) < 65536:
            raise StackError(f"UNDERSKY_DEMO_PORTS has {part!r}; write name=port, airflow=8081,s3=9000")
        ports[name] = int(number)
    return ports


def is_taken(port: int) -> bool:
    """Whether something listens there already, on loopback or on every address."""
    for address in (LOOPBACK, "0.0.0.0"):  # noqa: S104  asked, not served: a wildcard listener is in the way too
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return True
    return False


def owner_of(port: int) -> str:
    """The process that listens there, as a person would name it."""
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.AccessDenied, PermissionError):
        return "another process"
    for connection in connections:
        address = tuple(connection.laddr)
        if connection.status == psutil.CONN_LISTEN and address[1:] == (port,) and connection.pid:
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())[:80]
            except psutil.Error:
                command = ""
            return f"process {connection.pid} ({command or 'unknown'})"
    return "another process"


def _remembered(folder: Folder) -> dict[str, int]:
    try:
        found = json.loads((folder.path / "ports.json").read_text(encoding="utf-8"))
        return {name: int(found[name]) for name in DEFAULTS if name in found}
    except (OSError, ValueError, TypeError):
        return {}


def _free_port(*, avoid: set[int]) -> int:
    # Below the range from which the system serves outgoing connections: those would take it in between.
    candidates = [port for port in range(20_000, 30_000) if port not in avoid]
    random.shuffle(candidates)
    for port in candidates:
        if not is_taken(port):
            return port
    raise StackError("no port between 20000 and 30000 is free on this machine")


def user_ports() -> dict[str, int]:
    """The ports that UNDERSKY_DEMO_PORTS fixes."""
    return fixed_ports(os.environ.get("UNDERSKY_DEMO_PORTS"))
