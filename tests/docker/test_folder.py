import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from onemachine.folder import Folder, StackError, write_private

DOCKER = Path(__file__).parents[2] / "docker"

HOLD = """
import sys, time
sys.path.insert(0, {docker!r})
from pathlib import Path
from onemachine.folder import Folder
with Folder.at(Path({folder!r})).locked("a test"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Folder) -> subprocess.Popen[str]:
    code = HOLD.format(docker=str(DOCKER), folder=str(folder.path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_secrets_are_made_once_and_for_their_owner_alone(folder: Folder) -> None:
    first = folder.secrets()
    assert Folder.at(folder.path).secrets() == first
    assert stat.S_IMODE((folder.path / "secrets.json").stat().st_mode) == 0o600
    values = [getattr(first, name) for name in type(first).__dataclass_fields__]
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 12


def test_a_folder_of_an_earlier_version_keeps_its_secrets_and_gets_the_new_one(folder: Folder) -> None:
    first = folder.secrets()
    known = json.loads((folder.path / "secrets.json").read_text())
    del known["mlflow_trainer"]
    write_private(folder.path / "secrets.json", json.dumps(known))
    now = folder.secrets()
    assert now.mlflow_trainer != first.mlflow_trainer
    assert len(now.mlflow_trainer) >= 12
    assert (now.postgres, now.mlflow_release) == (first.postgres, first.mlflow_release)
    assert folder.secrets() == now
    assert stat.S_IMODE((folder.path / "secrets.json").stat().st_mode) == 0o600


def test_damaged_secrets_say_what_to_remove(folder: Folder) -> None:
    write_private(folder.path / "secrets.json", '{"stack": "x"')
    with pytest.raises(StackError, match=r"damaged .*begin afresh"):
        folder.secrets()
    write_private(folder.path / "secrets.json", json.dumps({"stack": "x"}))
    with pytest.raises(StackError, match="begin afresh"):
        folder.secrets()
    (folder.path / "secrets.json").unlink()


def test_a_private_file_is_whole_and_leaves_no_scratch(folder: Folder) -> None:
    path = folder.path / "private"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(folder.path.glob(".private*"))


def test_a_second_one_is_told_who_runs_the_first(folder: Folder) -> None:
    first = holder(folder)
    try:
        with pytest.raises(StackError) as caught, folder.locked("another"):
            pass
    finally:
        end(first)
    assert f"process {first.pid} runs a test there since" in str(caught.value)
    assert "Ctrl-C" in str(caught.value)
    assert "UNDERSKY_DEMO_DIR" in str(caught.value)


def test_the_holder_is_known_while_it_lives_and_forgotten_when_it_was_killed(folder: Folder) -> None:
    assert folder.holder() is None
    first = holder(folder)
    found = folder.holder()
    end(first)
    assert found is not None
    assert found["pid"] == first.pid
    assert folder.holder() is None
    with folder.locked("the next"):
        assert json.loads((folder.path / "holder.json").read_text())["pid"] == os.getpid()
    assert not (folder.path / "holder.json").exists()


def test_a_dead_holder_whose_watchdog_still_cleans_up_is_waited_for(folder: Folder) -> None:
    """The watchdog inherited the lock; who comes next waits instead of complaining."""
    first = holder(folder)
    write_private(
        folder.path / "holder.json", json.dumps({"pid": 2**22 + 1, "purpose": "dead", "since": "?"})
    )
    ends = time.monotonic() + 1.0
    killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {first.pid}"])
    with folder.locked("the next", patience_s=10.0):
        assert time.monotonic() >= ends - 0.3
    first.communicate()
    killer.wait()


def test_low_disk_is_said_with_its_cure(folder: Folder) -> None:
    folder.check_disk(needed=1)
    with pytest.raises(StackError, match=r"GB free.*UNDERSKY_DEMO_DIR"):
        folder.check_disk(needed=2**60)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be made"):
        Folder.at(tmp_path / "file" / "stack")
