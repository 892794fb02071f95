"""The STAC API over what was published, by a kept server that reads its Items when it starts.

As a script it is the keeper: it starts the server anew whenever the index of the bucket has changed.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onemachine.component import Component, Site

LOOK_EVERY_S = 2.0


def catalog(site: "Site", *, flow: Mapping[str, str]) -> "Component":
    """The keeper and its server; ready as soon as it answers, with whatever was published by then."""
    from onemachine.component import Component, answers  # noqa: PLC0415  the keeper needs none of this

    port = str(site.ports["catalog"])
    return Component(
        "catalog",
        (sys.executable, Path(__file__), port, site.folder.path / "catalog"),
        {**site.environment, **flow},
        waits_for=lambda: answers(f"{site.url('catalog')}/"),
        needs=("ledger-and-bucket",),
        port="catalog",
        patience_s=90.0,
    )


def keep(port: str, folder: Path) -> int:
    """Serves until it is told to end; the exit code of a server that ended by itself."""
    from undersky.errors import ServiceError  # noqa: PLC0415  loaded in the keeper alone
    from undersky.flow.index import index_digest, served_files  # noqa: PLC0415
    from undersky.services.opened import open_store  # noqa: PLC0415
    from undersky.settings import read_settings  # noqa: PLC0415

    store = open_store(read_settings())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    server: subprocess.Popen[bytes] | None = None
    served: str | None = "nothing yet"
    while True:
        try:
            wanted = index_digest(store)
            if wanted != served:
                place = Path(mkdtemp(dir=folder))
                server = _anew(server, port, served_files(store, place))
                for old in set(folder.iterdir()) - {place}:
                    shutil.rmtree(old, ignore_errors=True)
                served = wanted
        except ServiceError as error:
            _say(f"the bucket cannot be read, the old index stays: {error}")
        if server is not None and server.poll() is not None:
            _say(f"rustac ended with {server.returncode}")
            return 1
        time.sleep(LOOK_EVERY_S)


def _anew(
    server: subprocess.Popen[bytes] | None, port: str, files: Sequence[Path]
) -> subprocess.Popen[bytes]:
    """A server over those files, on the port of the old one."""
    if server is not None:
        server.terminate()
        try:
            server.wait(5.0)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    command = ["serve", "--addr", f"127.0.0.1:{port}", "--use-duckdb", "false", *map(str, files)]
    _say(f"serving {len(files)} files")
    return subprocess.Popen([str(Path(sys.executable).with_name("rustac")), *command])


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  its log


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  a signal handler
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(keep(sys.argv[1], Path(sys.argv[2])))
