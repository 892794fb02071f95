"""Child processes that never outlive their stack.

Every component leads a session of its own and carries the stack's mark in its environment. So all that
belongs to a stack can be found again, whoever started it and however that ended: by the sessions noted
under `pids/`, and by the mark for those who left their session.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from onemachine.folder import Folder, write_private

MARK = "UNDERSKY_STACK_MARK"
"""Environment variable that every process of a stack carries."""
SAME_START_S = 3.0
"""Start times of one process, read twice, differ less than this."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """A component's first process."""

    name: str
    """Of the component."""
    process: subprocess.Popen[bytes]
    """Leads a session of its own."""
    log: Path
    """What it and its children say."""
    started: float
    """Seconds since the epoch."""


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    folder: Folder,
    environment: Mapping[str, str],
) -> Spawned:
    """The running component, noted in the folder, its output appended to its log."""
    log = folder.logs / f"{name}.log"
    with log.open("ab") as sink:
        sink.write(f"--- started {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        sink.flush()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder.path,
            start_new_session=True,
        )
    started = time.time()
    with suppress(psutil.Error):
        started = psutil.Process(process.pid).create_time()
    note = {"name": name, "pid": process.pid, "started": started}
    write_private(folder.pids / f"{name}.json", json.dumps(note))
    return Spawned(name, process, log, started)


def members(folder: Folder, *, mark: str) -> list[psutil.Process]:
    """Every living process of the folder's stack, whoever started it."""
    sessions = _noted(folder)
    return [process for process in psutil.process_iter() if _belongs(process, sessions, mark=mark)]


def in_session(leader: int) -> list[psutil.Process]:
    """The living processes of a component that did not leave its session."""
    return [process for process in psutil.process_iter() if _session(process.pid) == leader]


def terminate(processes: Iterable[psutil.Process], *, patience_s: float, first: int = signal.SIGTERM) -> None:
    """None of them lives: asked first, killed after the patience."""
    asked = list(processes)
    for process in asked:
        with suppress(psutil.Error):
            process.send_signal(first)
    _, stubborn = psutil.wait_procs(asked, timeout=patience_s)
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5.0)


def clean_up(folder: Folder, *, mark: str, patience_s: float = 8.0) -> list[str]:
    """No process of the folder's stack lives; names of what had to be ended.

    Only those that carry the stack's mark, or live in a session that the stack noted, are touched.
    """
    ended = []
    for _ in range(5):  # a dying parent may still start a child
        found = members(folder, mark=mark)
        if not found:
            break
        ended += [_name(process) for process in found]
        terminate(found, patience_s=patience_s)
    for note in folder.pids.glob("*.json"):
        note.unlink(missing_ok=True)
    return ended


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented, since its component last began."""
    try:
        text = log.read_bytes()[-20_000:].decode("utf-8", "replace")
    except OSError:
        return "    (no log)"
    recent = [line for line in text.rpartition("--- started")[2].splitlines()[1:] if line.strip()]
    return "\n".join(f"    {line[:220]}" for line in recent[-lines:]) or "    (it said nothing)"


def memory_mb(processes: Collection[psutil.Process]) -> float:
    """Megabytes that they hold, what they share counted once."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            full = process.memory_full_info()
            total += getattr(full, "pss", 0) or full.uss
    return total / 1e6


def _noted(folder: Folder) -> dict[int, float]:
    """Start time by session of every component that was noted."""
    sessions = {}
    for path in folder.pids.glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(path.read_text(encoding="utf-8"))
            sessions[int(note["pid"])] = float(note["started"])
    return sessions


def _belongs(process: psutil.Process, sessions: Mapping[int, float], *, mark: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.environ().get(MARK) == mark:
            return True
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        pass
    return _in_noted_session(process, sessions)


def _in_noted_session(process: psutil.Process, sessions: Mapping[int, float]) -> bool:
    leader = _session(process.pid)
    if leader is None or leader not in sessions:
        return False
    # A number is used again some day: the leader must be the one that was noted, or gone and older.
    with suppress(psutil.Error):
        born = psutil.Process(leader).create_time()
        return abs(born - sessions[leader]) < SAME_START_S
    with suppress(psutil.Error):
        return process.create_time() > sessions[leader] - SAME_START_S
    return False


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.name()} ({process.pid})"
    return str(process.pid)
