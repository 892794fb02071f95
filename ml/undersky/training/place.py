"""Where a process trains: its device, its threads, and the other ranks."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from undersky.errors import ConfigError

TORCH = str(torch.__version__)
"""Which one computes here; to be told with what it made."""

_PATIENCE = timedelta(hours=3)
"""The other ranks wait that long for the first one to build the dataset."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process trains, and beside whom."""

    device: torch.device
    """Of the network."""
    threads: int = 1
    """Of this process, on the CPU."""
    rank: int = 0
    """Of this process; 0 writes."""
    ranks: int = 1
    """How many train together."""
    gpus: int = 0
    """How many count against `max_gpu_hours`: the ranks on CUDA, none on a CPU."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0


def find_place(device: str, *, threads: int, rank: int = 0, ranks: int = 1, local_rank: int = 0) -> Place:
    """The place that was asked for; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: CUDA is asked for, or this rank needs a GPU, and there is none.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not gpus):
        return Place(torch.device("cpu"), threads, rank, ranks)
    if local_rank >= gpus:
        raise ConfigError(
            f"rank {rank} needs CUDA device {local_rank}, this machine has {gpus} that torch "
            f"{torch.__version__} can use; --device cpu trains without, --nproc-per-node sets the ranks"
        )
    return Place(torch.device("cuda", local_rank), threads, rank, ranks, gpus=ranks)


@contextmanager
def at_work(place: Place) -> Iterator[None]:
    """Within, torch uses the place's threads and device."""
    before = torch.get_num_threads()
    torch.set_num_threads(place.threads)
    if place.device.type == "cuda":
        torch.cuda.set_device(place.device)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def together(place: Place) -> Iterator[None]:
    """Within, the ranks can talk to each other, at the address that `torchrun` has laid down."""
    if place.ranks == 1:
        yield
        return
    backend = "nccl" if place.device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, rank=place.rank, world_size=place.ranks, timeout=_PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def joined(network: nn.Module, place: Place) -> nn.Module:
    """The network, its gradients averaged over the ranks."""
    if place.ranks == 1:
        return network
    return DistributedDataParallel(network, device_ids=[place.device] if place.gpus else None)


def mean_over_ranks(values: Sequence[torch.Tensor | float], place: Place) -> list[float]:
    """Each value, averaged over the ranks; the only wait for the device in a step."""
    row = torch.stack([torch.as_tensor(v, dtype=torch.float32, device=place.device).detach() for v in values])
    if place.ranks > 1:
        distributed.all_reduce(row)
        row /= place.ranks
    numbers: list[float] = row.tolist()
    return numbers


def wait_for_all(place: Place) -> None:
    """Every rank has come here."""
    if place.ranks > 1:
        mean_over_ranks([0.0], place)


@dataclass(frozen=True, slots=True)
class Use:
    """How busy the device was over some time."""

    seconds: float
    """Of the wall clock."""
    share: float | None
    """CPU seconds by wall seconds by threads; on CUDA what the driver says, None where it says nothing."""
    peak_gib: float | None = None
    """Most memory that tensors held on CUDA."""


class Meter:
    """How busy the device was since the meter was last read."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._wall, self._busy = time.monotonic(), time.process_time()

    def read(self) -> Use:
        """Since it was made or last read."""
        wall, busy = time.monotonic(), time.process_time()
        seconds, used = wall - self._wall, busy - self._busy
        self._wall, self._busy = wall, busy
        if self._place.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._place.device) / 2**30
            return Use(seconds, _cuda_use(self._place.device), peak)
        return Use(seconds, used / max(seconds, 1e-9) / self._place.threads)


def _cuda_use(device: torch.device) -> float | None:
    try:
        return torch.cuda.utilization(device) / 100.0
    except (ImportError, RuntimeError):  # the driver's library of counters is not everywhere
        return None
