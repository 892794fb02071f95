"""`undersky train` and `dataset` as they are run: files, exit codes, kills, two ranks; with the toy."""

import csv
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from undersky.cli import main
from undersky.errors import ConfigError, DataError
from undersky.models.package import load_package
from undersky.stages.train import TrainOptions, estimate_training, make_dataset, train

HERE = Path(__file__).parents[1] / "training"
sys.path.insert(0, str(HERE))
from toy import TOY, child  # noqa: E402  the table knows the toy from now on


@pytest.fixture
def write(tmp_path):
    """Writes a recipe of the toy and gives its path."""

    def written(**changes):
        path = tmp_path / "toy.yaml"
        path.write_text("\n".join(f"{key}: {value}" for key, value in (TOY | changes).items()))
        return path

    return written


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_a_training_leaves_a_package_its_story_and_its_history(write, tmp_path):
    out = tmp_path / "out"
    made = train(write(), out, TrainOptions(device="cpu", threads=1))
    package = load_package(out)
    assert (made.folder, made.digest, made.steps) == (out, package.digest, 40)
    assert made.figures == {"weights": 50.0}
    story = json.loads((out / "training.json").read_text())
    assert story["recipe"]["learning_rate"] == 0.01
    assert story["package_digest"] == made.digest
    assert (story["steps"], story["device"], story["torch"]) == (40, "cpu", torch.__version__)
    assert story["last"]["step"] == 40
    assert story["device_use"] > 0
    assert package.provenance["recipe_digest"] == story["recipe_digest"]
    rows = list(csv.DictReader((out / "history.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(1, 41))
    assert set(rows[0]) == {"step", "loss", "mean_error", "gradient", "learning_rate", "scenes_per_s"}
    assert [name for name in files(out) if not name.startswith("work")] == [
        "history.csv", "package.json", "training.json", "weights.safetensors",
    ]  # fmt: skip


def test_training_again_changes_no_byte_of_the_package(write, tmp_path):
    options = TrainOptions(device="cpu", threads=1)
    first = train(write(), tmp_path / "out", options)
    again = train(write(), tmp_path / "out", options)
    elsewhere = train(write(), tmp_path / "other", options)
    assert first.digest == again.digest == elsewhere.digest


def test_the_dataset_and_the_checkpoints_lie_under_work(write, tmp_path):
    train(write(), tmp_path / "out", TrainOptions(work=tmp_path / "work", threads=1, device="cpu"))
    assert "dataset/manifest.json" in files(tmp_path / "work")
    assert "checkpoints/step-00000040.json" in files(tmp_path / "work")
    assert not (tmp_path / "out" / "work").exists()


def test_another_recipe_replaces_a_model_only_when_asked(write, tmp_path):
    out, options = tmp_path / "out", TrainOptions(threads=1, device="cpu")
    first = train(write(), out, options)
    with pytest.raises(ConfigError, match="holds a model of recipe"):
        train(write(seed=9), out, options)
    assert load_package(out).digest == first.digest
    assert train(write(seed=9), out, TrainOptions(threads=1, device="cpu", fresh=True)).digest != first.digest


def test_a_file_that_is_not_ours_is_not_replaced(write, tmp_path):
    (tmp_path / "training.json").write_text("[]")
    with pytest.raises(ConfigError, match="is not of ours"):
        train(write(), tmp_path, TrainOptions(threads=1, device="cpu"))


def test_checkpoints_of_another_dataset_are_refused(write, tmp_path):
    options = TrainOptions(work=tmp_path / "work", threads=1, device="cpu")
    train(write(), tmp_path / "a", options)
    with pytest.raises(DataError, match=r"of recipe .* this training of"):
        train(write(seed=9), tmp_path / "b", options)
    assert not (tmp_path / "b" / "package.json").exists()


def test_a_leak_fails_the_run_before_the_first_step(write, tmp_path):
    with pytest.raises(DataError, match="two splits"):
        train(write(dataset="{leaks: true}"), tmp_path / "out", TrainOptions(threads=1, device="cpu"))
    assert not [name for name in files(tmp_path / "out") if "step" in name or "package" in name]


def test_a_loss_that_is_no_number_leaves_the_model_that_was_there(write, tmp_path):
    out = tmp_path / "out"
    before = train(write(), out, TrainOptions(threads=1, device="cpu")).digest
    with pytest.raises(ConfigError, match="loss is nan"):
        train(write(loss="{nan_at: 30}"), out, TrainOptions(threads=1, device="cpu", fresh=True))
    assert load_package(out).digest == before


def test_an_estimate_writes_nothing(write, tmp_path):
    recipe = write(steps=1000)
    before = files(tmp_path)
    found = estimate_training(recipe, tmp_path / "out", TrainOptions(device="cpu", threads=1))
    assert files(tmp_path) == before
    assert not (tmp_path / "out").exists()
    assert found.timed_steps == 50
    assert found.hours == pytest.approx(found.seconds_per_step * 1000 / 3600)
    assert found.scenes_per_s == pytest.approx(8 / found.seconds_per_step)


def test_an_estimate_measures_the_step_and_not_the_dataset(write, tmp_path):
    found = estimate_training(
        write(loss="{seconds: 0.02}"), tmp_path / "out", TrainOptions(threads=1, device="cpu")
    )
    assert 0.02 < found.seconds_per_step < 0.2


def test_cuda_is_refused_by_name_where_there_is_none(write, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="rank 0 needs CUDA device 0, this machine has 0"):
        train(write(), tmp_path / "out", TrainOptions(device="cuda"))


def test_threads_are_given_back(write, tmp_path):
    before = torch.get_num_threads()
    make_dataset(write(), tmp_path / "data")
    train(write(steps=1), tmp_path / "out", TrainOptions(device="cpu", threads=before + 1))
    assert torch.get_num_threads() == before


def test_the_dataset_verb_says_digest_and_manifest(write, tmp_path, capsys):
    assert main(["dataset", str(write()), "--out", str(tmp_path / "data"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["manifest"] == str(tmp_path / "data" / "manifest.json")
    assert len(said["digest"]) == 64


def test_the_train_verb_says_folder_digest_and_figures(write, tmp_path, capsys):
    arguments = ["train", str(write()), "--out", str(tmp_path / "out"), "--device", "cpu", "--threads", "1"]
    assert main([*arguments, "--estimate"]) == 0
    assert "s a step" in capsys.readouterr().out
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"digest {load_package(tmp_path / 'out').digest}" in text
    assert "40 steps" in text
    assert "weights 50" in text


@pytest.mark.parametrize("verb", ["train", "dataset"])
def test_help_has_an_example(verb, capsys):
    with pytest.raises(SystemExit) as done:
        main([verb, "--help"])
    assert done.value.code == 0
    assert f"example:\n  undersky {verb}" in capsys.readouterr().out


def wait_for_a_checkpoint(folder, *, but=()):
    """Until there is a checkpoint that was not there before."""
    deadline = time.monotonic() + 90
    while not set(folder.glob("step-*.json")) - set(but):
        assert time.monotonic() < deadline, "no checkpoint in 90 s"
        time.sleep(0.02)


def ended(process, log):
    process.join(120)
    return process.exitcode, log.read_text()


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_training_resumed_makes_the_same_weights_to_the_bit(write, tmp_path, number):
    source = random.Random(number)
    recipe, log = write(loss="{seconds: 0.03}"), tmp_path / "log"
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    checkpoints = cut / "work" / "checkpoints"
    for _ in range(2):
        known = list(checkpoints.glob("step-*.json"))
        process = child(["train", recipe, "--out", cut], log)
        wait_for_a_checkpoint(checkpoints, but=known)
        time.sleep(source.uniform(0, 0.2))
        os.kill(process.pid, number)
        code, said = ended(process, log)
        assert code == (-number if number == signal.SIGKILL else 75), said
        assert number == signal.SIGKILL or "the same command goes on" in said
        assert not (cut / "package.json").exists()
    for folder in (cut, whole):
        code, said = ended(child(["train", recipe, "--out", folder], log), log)
        assert code == 0, said
    assert weights(cut) == weights(whole)


def two_ranks(recipe, out, logs, port):
    """As torchrun would start them."""
    return [
        child(
            ["train", recipe, "--out", out, "--json"],
            logs / f"log{rank}",
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
            MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo",
        )
        for rank in range(2)
    ]  # fmt: skip


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


@pytest.mark.faults
def test_two_ranks_stop_after_the_same_step_and_only_the_first_writes(write, tmp_path):
    recipe, out = write(loss="{seconds: 0.03}"), tmp_path / "out"
    ranks = two_ranks(recipe, out, tmp_path, free_port())
    wait_for_a_checkpoint(out / "work" / "checkpoints")
    os.kill(ranks[1].pid, signal.SIGTERM)
    endings = [ended(process, tmp_path / f"log{rank}") for rank, process in enumerate(ranks)]
    assert [code for code, _ in endings] == [75, 75], endings
    first, second = (re.search(r"after step (\d+) of 40", said).group(1) for _, said in endings)
    assert first == second
    whole = tmp_path / "whole"
    for folder in (out, whole):
        ranks = two_ranks(recipe, folder, tmp_path, free_port())
        endings = [ended(process, tmp_path / f"log{rank}") for rank, process in enumerate(ranks)]
        assert [code for code, _ in endings] == [0, 0], endings
        assert load_package(folder).digest in endings[0][1]
        assert "digest" not in endings[1][1]
    assert weights(out) == weights(whole)
    assert json.loads((out / "training.json").read_text())["ranks"] == 2


@pytest.mark.slow
@pytest.mark.faults
def test_torchrun_trains_on_two_ranks(write, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["train", write(), "--out", tmp_path / "out", "--device", "cpu", "--threads", "1", "--json"]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*launcher, HERE / "toy.py", *arguments],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == load_package(tmp_path / "out").digest
    assert json.loads((tmp_path / "out" / "training.json").read_text())["ranks"] == 2
