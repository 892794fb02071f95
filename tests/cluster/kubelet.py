"""Runs a pod's command as a real process: init of a PID namespace, with no environment but the pod's."""

import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from cluster.pods import Pod, now

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
WITHOUT_ROOT = ("--user", "--map-root-user")


def namespace_command() -> Sequence[str] | None:
    """What makes a PID namespace here; None where nothing does."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return None
    for command in (UNSHARE, (*UNSHARE, *WITHOUT_ROOT)):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return ("setpriv", "--pdeathsig", "KILL", *command)
    return None


class Running:
    """The process of a pod. Volumes are folders of this machine, named in its environment in their place."""

    def __init__(self, pod: Pod, image: Sequence[str], environment: Mapping[str, str]) -> None:
        namespace = namespace_command()
        assert namespace is not None
        self.folder = Path(tempfile.mkdtemp(prefix="pod-"))
        (program, *rest), arguments = pod.container["command"], pod.container.get("args", [])
        assert program == "undersky", "an image has one entry"
        path = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        with pod.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*namespace, *image, *rest, *arguments],
                env={**path, **self._in_place(pod, environment)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _in_place(self, pod: Pod, environment: Mapping[str, str]) -> dict[str, str]:
        folders = {}
        for mount in pod.container.get("volumeMounts", []):
            folders[mount["mountPath"]] = folder = self.folder / mount["name"]
            folder.mkdir()
        return {name: str(folders.get(value, value)) for name, value in environment.items()}

    def code(self) -> int | None:
        """Exit code as a container has it; None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def signal(self, number: signal.Signals) -> None:
        """Sent to the init of the namespace: with it everything else there ends."""
        try:
            for child in psutil.Process(self._process.pid).children():
                child.send_signal(number)
        except psutil.NoSuchProcess:
            return

    def end(self, grace_s: float) -> int:
        """Told to end, killed after the grace; its exit code."""
        self.signal(signal.SIGTERM)
        until = time.monotonic() + grace_s
        while (code := self.code()) is None and time.monotonic() < until:
            time.sleep(0.02)
        return self.kill() if code is None else code

    def kill(self) -> int:
        """At once."""
        self.signal(signal.SIGKILL)
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return code if code >= 0 else 128 - code

    def clear(self) -> None:
        """No file of it is left."""
        shutil.rmtree(self.folder, ignore_errors=True)


def live(pod: Pod, running: Running, *, midway: Callable[[Running], bool], lock: threading.RLock) -> None:
    """The pod from its first to its last breath; its status says how it ended.

    Args:
        pod: Which.
        running: Its process.
        midway: Called once while it works; whether that was its end.
        lock: Held while its status changes.
    """
    deadline = time.monotonic() + float(pod.body["spec"].get("activeDeadlineSeconds", 1e9))
    time.sleep(0.5)  # it is at work
    if midway(running):
        return
    while (code := running.code()) is None:
        if pod.told_to_end.wait(0.05):
            code = running.end(pod.grace_s)
            break
        if time.monotonic() > deadline:
            running.kill()
            with lock:
                pod.status |= {"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"}
                pod.is_in("terminated", exitCode=137, reason="Error", finishedAt=now())
            return
    with lock:
        ended(pod, code)


def ended(pod: Pod, code: int, *, reason: str | None = None) -> None:
    """Its container has ended."""
    reason = reason or ("Completed" if code == 0 else "Error")
    pod.is_in("terminated", exitCode=code, reason=reason, finishedAt=now(), startedAt=now())
    pod.status["phase"] = "Succeeded" if code == 0 else "Failed"
