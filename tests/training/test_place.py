"""Where a process trains, and that ranks agree."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from undersky.errors import ConfigError
from undersky.training.place import Meter, Place, at_work, find_place, joined, mean_over_ranks, together

CPU = Place(torch.device("cpu"))


def test_a_cpu_is_found_by_name_and_counts_no_gpu():
    place = find_place("cpu", threads=3, rank=1, ranks=2, local_rank=1)
    assert (place.device.type, place.threads, place.rank, place.ranks, place.gpus) == ("cpu", 3, 1, 2, 0)
    assert not place.is_first
    assert find_place("cpu", threads=1).is_first


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused_with_the_cure():
    assert find_place("auto", threads=1).device.type == "cpu"
    with pytest.raises(ConfigError, match=r"rank 3 needs CUDA device 3.*--device cpu"):
        find_place("cuda", threads=1, rank=3, ranks=4, local_rank=3)


def test_threads_are_set_within_and_given_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), at_work(replace(CPU, threads=before + 2)):
        raise KeyError(torch.get_num_threads())
    assert torch.get_num_threads() == before


def test_alone_there_is_nobody_to_talk_to():
    network = torch.nn.Linear(1, 1)
    with together(CPU):
        assert joined(network, CPU) is network
        assert mean_over_ranks([1.5, torch.tensor(2), True], CPU) == [1.5, 2.0, 1.0]
        assert not torch.distributed.is_initialized()


def test_the_meter_tells_work_from_sleep():
    meter = Meter(CPU)
    time.sleep(0.2)
    asleep = meter.read()
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    busy = meter.read()
    assert asleep.seconds >= 0.2
    assert asleep.share < 0.3
    assert busy.share > asleep.share
    assert busy.peak_gib is None


RANK = """
import sys, torch
from torch import nn
from undersky.training.place import find_place, joined, mean_over_ranks, together, wait_for_all
from undersky.settings import torchrun_ranks
ranks = torchrun_ranks()
place = find_place("cpu", threads=1, rank=ranks.rank, ranks=ranks.ranks, local_rank=ranks.local_rank)
with together(place):
    torch.manual_seed(0)
    network = joined(nn.Linear(3, 1), place)
    network(torch.ones(2, 3) * (1 + place.rank)).sum().backward()
    gradient = float(network.module.weight.grad[0, 0])
    mean, asked = mean_over_ranks([float(place.rank), place.rank == 1], place)
    wait_for_all(place)
    sys.stdout.write(f"{place.rank} of {place.ranks}: {gradient} {mean} {asked}\\n")
"""


@pytest.mark.slow
@pytest.mark.faults
def test_two_ranks_average_gradients_figures_and_the_wish_to_stop(tmp_path, monkeypatch):
    (tmp_path / "rank.py").write_text(RANK)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "ml"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, tmp_path / "rank.py"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 of 2: 3.0 0.5 0.5", "1 of 2: 3.0 0.5 0.5"]
