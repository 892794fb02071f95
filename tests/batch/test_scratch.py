"""Working folders vanish, also those of killed runs, and never those of living ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from undersky.batch.scratch import remove_dead, working_folder

HOLDER = """
import sys
from pathlib import Path
from undersky.batch.scratch import working_folder

with working_folder(Path(sys.argv[1])) as folder:
    (folder / "big.tif").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process with a working folder in `tmp_path`, and that folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_a_folder_is_gone_at_the_end_even_after_an_error(tmp_path):
    def work() -> None:
        with working_folder(tmp_path / "new") as folder:
            (folder / "file").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert list((tmp_path / "new").iterdir()) == []


def test_two_runs_have_two_folders(tmp_path):
    with working_folder(tmp_path) as one, working_folder(tmp_path) as other:
        assert one != other
        assert one.is_dir()


def test_a_living_run_keeps_its_folder(tmp_path, holder):
    _, folder = holder
    with working_folder(tmp_path):
        assert (folder / "big.tif").exists()


def test_the_folder_of_a_killed_run_is_removed_by_the_next(tmp_path, holder):
    process, folder = holder
    process.kill()
    process.wait()
    assert (folder / "big.tif").exists()
    with working_folder(tmp_path):
        assert not folder.exists()


def test_what_is_no_working_folder_stays(tmp_path):
    (tmp_path / "undersky-batch-file").write_text("mine")
    (tmp_path / "undersky-transfers").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "undersky-batch-link").symlink_to(tmp_path / "elsewhere")
    remove_dead(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
