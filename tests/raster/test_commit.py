"""A folder appears whole or not at all, whatever kills the run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from undersky.raster.commit import committed_folder, remove_stale

KILLED = """
import sys, time
from pathlib import Path
from undersky.raster.commit import committed_folder
with committed_folder(Path(sys.argv[1])) as folder:
    (folder / "B02.tif").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_folder_appears_with_everything_in_it(tmp_path: Path) -> None:
    with committed_folder(tmp_path / "out" / "product") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out" / "product").exists()
    assert (tmp_path / "out" / "product" / "a").read_text() == "1"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["product"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def run() -> None:
        with committed_folder(tmp_path / "product") as folder:
            (folder / "a").write_text("1")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk"):
        run()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.faults
def test_a_killed_run_leaves_nothing_that_looks_finished_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    final = tmp_path / "product"
    command = [sys.executable, "-c", KILLED, str(final)]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=paths) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert not final.exists()
        child.send_signal(signal.SIGKILL)
    left = list(tmp_path.iterdir())
    assert [path.name.startswith(".product.partial-") for path in left] == [True]
    with committed_folder(final) as folder:
        (folder / "B02.tif").write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["product"]


def test_the_folder_of_a_run_that_still_lives_is_left_alone(tmp_path: Path) -> None:
    living = tmp_path / f".product.partial-{os.getppid()}"
    living.mkdir()
    remove_stale(tmp_path / "product")
    assert living.exists()


def test_the_folder_of_an_earlier_process_with_our_number_is_removed(tmp_path: Path) -> None:
    old = tmp_path / f".product.partial-{os.getpid()}"
    old.mkdir()
    with committed_folder(tmp_path / "product") as folder:
        assert list(folder.iterdir()) == []
    assert not old.exists()


def test_of_two_equal_runs_the_first_to_finish_stays(tmp_path: Path) -> None:
    final = tmp_path / "product"
    with committed_folder(final) as folder:
        (folder / "a").write_text("late")
        final.mkdir()
        (final / "a").write_text("first")
    assert (final / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["product"]


def test_what_lay_there_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "product"
    final.mkdir()
    (final / "old").write_text("old")
    with pytest.raises(RuntimeError), committed_folder(final):
        raise RuntimeError("disk full")
    assert (final / "old").exists()
    with committed_folder(final) as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in final.iterdir()] == ["new"]
