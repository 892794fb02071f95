"""A stage's process: heard line by line, and never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest


def _run(code: str, said: list[str] | None = None) -> int:
    from undersky_airflow.child import Child

    lines = said if said is not None else []
    return Child([sys.executable, "-u", "-c", code], dict(os.environ)).run(lines.append)


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped by init does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _gone(pid: int, within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while _is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not _is_alive(pid)


def _written(file: Path) -> int:
    end = time.monotonic() + 20
    while not (file.exists() and file.read_text(encoding="utf-8").strip()):
        assert time.monotonic() < end, "the child never said its number"
        time.sleep(0.05)
    return int(file.read_text(encoding="utf-8"))


def test_its_exit_code_is_returned() -> None:
    assert _run("raise SystemExit(75)") == 75


def test_a_signal_is_returned_as_a_negative_number() -> None:
    assert _run("import os; os.kill(os.getpid(), 9)") == -signal.SIGKILL


def test_both_streams_are_said_line_by_line_and_the_last_piece_too() -> None:
    said: list[str] = []
    _run(r"import sys; print('one'); sys.stderr.write('two\n'); sys.stdout.write('three')", said)
    assert said == ["one", "two", "three"]


def test_lines_come_while_it_runs() -> None:
    from undersky_airflow.child import Child

    times: list[float] = []
    code = "import time; print('a', flush=True); time.sleep(1); print('b', flush=True)"
    Child([sys.executable, "-c", code], dict(os.environ)).run(lambda _: times.append(time.monotonic()))
    assert times[1] - times[0] > 0.7


def test_ten_megabytes_and_broken_text_get_through() -> None:
    said: list[str] = []
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe\n' + b'x' * 10_000_000 + b'\n')"
    assert _run(code, said) == 0
    assert len(said[1]) == 10_000_000


def test_it_gets_no_more_of_the_environment_than_it_is_given() -> None:
    from undersky_airflow.child import Child

    said: list[str] = []
    code = "import os; print(sorted(name for name in os.environ if name.isupper() and name != 'LC_CTYPE'))"
    Child([sys.executable, "-c", code], {"ONLY": "this"}).run(said.append)
    assert said == ["['ONLY']"]


def test_stop_ends_the_whole_group_also_where_it_ignores_the_signal(tmp_path: Path) -> None:
    from undersky_airflow.child import Child

    file = tmp_path / "pid"
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(file)!r}, 'w').write(str(grandchild.pid))\n"
        "time.sleep(600)\n"
    )
    child = Child([sys.executable, "-c", code], dict(os.environ))

    def stop() -> None:
        _written(file)
        child.stop()

    threading.Thread(target=stop).start()
    assert child.run(lambda _: None) == -signal.SIGKILL
    assert _gone(_written(file))


def test_an_exception_on_the_way_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = (
        f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); print('x', flush=True)\n"
        "time.sleep(600)"
    )

    def out_of_time(line: str) -> None:
        raise TimeoutError(line)

    from undersky_airflow.child import Child

    with pytest.raises(TimeoutError):
        Child([sys.executable, "-c", code], dict(os.environ)).run(out_of_time)
    assert _gone(_written(file))


def test_a_grandchild_that_holds_the_pipe_holds_nobody_up() -> None:
    begun = time.monotonic()
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    assert _run(code) == 0
    assert time.monotonic() - begun < 20


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_killing_the_task_itself_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    inner = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    outer = (
        "import os, sys\n"
        "from undersky_airflow.child import Child\n"
        f"Child([sys.executable, '-c', {inner!r}], dict(os.environ)).run(print)\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    task = subprocess.Popen([sys.executable, "-c", outer], env={**os.environ, "PYTHONPATH": path})
    stage = _written(file)
    task.kill()
    task.wait()
    assert _gone(stage)


def test_a_command_that_is_not_there_is_an_error_of_its_own() -> None:
    from undersky_airflow.child import Child

    with pytest.raises(FileNotFoundError, match="no-such-undersky"):
        Child(["no-such-undersky"], {}).run(print)
