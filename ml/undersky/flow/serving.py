"""The STAC API over what was published: a kept server that reads its Items when it starts.

The server is started anew whenever the index of the bucket has changed, on the same address.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from undersky.errors import ConfigError, ServiceError
from undersky.flow.index import index_digest, served_files

if TYPE_CHECKING:
    from undersky.services.store import Store

LOOK_EVERY_S = 2.0
"""Between two looks at the index."""
_PATIENCE_S = 5.0
"""How long a server may take to say goodbye."""
_NOTHING_YET = "nothing yet"


@dataclass(slots=True)
class Keeper:
    """Keeps one server over the newest index."""

    store: "Store"
    """The own bucket."""
    address: str
    """Where it answers, `127.0.0.1:8082`."""
    folder: Path
    """Its alone: emptied when it begins, copies of the index in use lie there."""
    say: Callable[[str], None]
    """Told a sentence now and then."""
    server: subprocess.Popen[bytes] | None = None
    """The one that answers."""
    served: str | None = field(default=_NOTHING_YET)
    """Digest of its index; None where there was no index."""

    def keep(self, *, every_s: float = LOOK_EVERY_S) -> int:
        """Serves until it is interrupted; the exit code of a server that ended by itself."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            while True:
                self.look()
                if self.server is not None and self.server.poll() is not None:
                    self.say(f"rustac ended with {self.server.returncode}")
                    return 1
                time.sleep(every_s)
        finally:
            self.stop()

    def look(self) -> None:
        """The server serves the index that is there now, or the one before while that cannot be read."""
        try:
            wanted = index_digest(self.store)
            if wanted == self.served:
                return
            place = Path(mkdtemp(dir=self.folder))
            files = served_files(self.store, place)
        except ServiceError as error:
            self.say(f"the bucket cannot be read, the old index stays: {error}")
            return
        self.stop()
        self.say(f"serving {len(files)} files")
        self.server = _start(self.address, files)
        for old in set(self.folder.iterdir()) - {place}:
            shutil.rmtree(old, ignore_errors=True)
        self.served = wanted

    def stop(self) -> None:
        """No server is left."""
        if self.server is None:
            return
        self.server.terminate()
        try:
            self.server.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server = None


def _start(address: str, files: Sequence[Path]) -> subprocess.Popen[bytes]:
    binary = Path(sys.executable).with_name("rustac")
    command = [str(binary), "serve", "--addr", address, "--use-duckdb", "false", *map(str, files)]
    try:
        return subprocess.Popen(command)  # noqa: S603  a server of ours, found beside this Python
    except FileNotFoundError as error:
        raise ConfigError(f"{binary} is not there: install the package rustac beside Undersky") from error
