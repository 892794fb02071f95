"""Ends a stack whose supervisor died without doing so: `watchdog FOLDER`, its standard input the supervisor.

The supervisor holds the other end of a pipe. However it dies, the system closes that end, and this reads it.
"""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from onemachine.folder import Folder
from onemachine.processes import clean_up


def main() -> None:
    """Waits for the supervisor's end, then for that of everything it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Folder(Path(sys.argv[1]))
    mark = folder.secrets().stack
    while sys.stdin.buffer.read(1):
        pass
    clean_up(folder, mark=mark)


if __name__ == "__main__":
    main()
