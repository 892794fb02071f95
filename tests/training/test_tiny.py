"""The shipped recipe `tiny`, as a user runs it: to its end, and stopped at random steps and resumed."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from safetensors.numpy import load_file

from undersky.inference.correction import CorrectionOptions, open_estimator
from undersky.models.build import build_network
from undersky.models.package import load_package


def command(out):
    return [sys.executable, "-m", "undersky", "train", "tiny", "--out", str(out), "--threads", "1", "--json"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("tiny") / "whole"
    done = subprocess.run(command(out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def stopped_somewhere(out, chance):
    """Runs the command and sends SIGTERM some time after its first checkpoint; its exit code."""
    process = subprocess.Popen(command(out), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    checkpoints = out / "work" / "checkpoints"
    before = sorted(checkpoints.glob("*.json"))
    while process.poll() is None and sorted(checkpoints.glob("*.json")) == before:
        time.sleep(0.1)
    time.sleep(chance.uniform(0.0, 2.0))
    process.send_signal(signal.SIGTERM)
    process.communicate()
    return process.returncode


def test_tiny_learns_something_and_its_package_opens(whole):
    told = json.loads((whole / "training.json").read_text(encoding="utf-8"))
    assert told["steps"] == 240
    assert told["figures"]["in_spec_percent_natural"] > 60.0
    model = build_network(load_package(whole))
    assert model.inflation > 0
    assert open_estimator(CorrectionOptions(model=whole)).model.version == "learned-tiny"


@pytest.mark.faults
def test_stopped_at_random_steps_it_makes_the_same_weights_to_the_bit(whole, tmp_path):
    seed = random.randrange(1 << 30)
    chance, out = random.Random(seed), tmp_path / "stopped"
    (out / "work").mkdir(parents=True)
    shutil.copytree(whole / "work" / "dataset", out / "work" / "dataset")
    codes = [stopped_somewhere(out, chance) for _ in range(2)]
    assert set(codes) <= {75, 0}, f"seed {seed}: {codes}"
    assert 75 in codes, f"seed {seed}: never stopped"
    done = subprocess.run(command(out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (out, whole))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours), f"seed {seed}"
    assert load_package(out).digest == load_package(whole).digest
