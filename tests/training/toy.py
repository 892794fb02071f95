"""The smallest thing that can be trained: a curve, by a network of forty weights with dropout.

python tests/training/toy.py train RECIPE --out DIR      undersky, which knows the toy
"""

import faulthandler
import hashlib
import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from undersky.cli import main
from undersky.errors import DataError, Reason
from undersky.models.package import ModelPackage
from undersky.section import section
from undersky.training.schedule import seed_of
from undersky.training.task import TASKS, Loss

TASKS["toy"] = "toy"

TOY = {
    "name": "toy", "task": "toy", "seed": 7, "steps": 40, "batch_size": 8, "learning_rate": "1e-2",
    "checkpoint_every": 5, "ema_decay": 0.9,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToyData:
    scenes: int = 64
    leaks: bool = False


@dataclass(frozen=True, slots=True)
class ToyLoss:
    nan_at: int | None = None
    seconds: float = 0.0


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        if self.training:
            self.calls += 1
        return self.layers(x)


class Toy:
    name = "toy"

    def __init__(self, recipe):
        self.recipe = recipe
        self.data = section(ToyData, recipe.dataset, where="toy: dataset")
        self.wish = section(ToyLoss, recipe.loss, where="toy: loss")
        self.prepared = 0

    @property
    def dataset_key(self):
        text = json.dumps([self.recipe.seed, self.data.scenes, self.data.leaks])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def upstream(self):
        return {}

    def network(self):
        return Network()

    def prepare(self, folder, *, progress):
        self.prepared += 1
        if self.data.leaks:
            raise DataError(Reason.METADATA_INVALID, "scene 3 is in two splits")
        progress(1.0, "made")
        text = json.dumps({"seed": self.recipe.seed, "scenes": self.data.scenes})
        if not (folder / "manifest.json").exists():
            (folder / "manifest.json").write_text(text)
        return hashlib.sha256(text.encode()).hexdigest()

    def loss(self, network, step, *, size, device, rank=0, ranks=1):  # noqa: ARG002  the protocol
        time.sleep(self.wish.seconds)
        source = torch.Generator().manual_seed(seed_of(self.recipe.seed, step, rank))
        x = torch.randn(size, 4, generator=source).to(device)
        error = network(x).squeeze(1) - torch.sin(x.sum(dim=1))
        total = error.square().mean()
        if step == self.wish.nan_at:
            total = total * float("nan")
        return Loss(total, {"mean_error": error.mean()})

    def finish(self, network, provenance):
        weights = {name: value.numpy() for name, value in network.state_dict().items()}
        package = ModelPackage("toy", "toy-1", "toy", {}, provenance, weights, "")
        return package, {"weights": float(sum(value.size for value in weights.values()))}


def build(recipe, *, samples=None):
    return Toy(recipe)


def run(arguments, log, environment):
    """The command line in a child process that has torch already; what it says goes into a file."""
    os.environ.update(environment)
    into = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(into, 1)
    os.dup2(into, 2)
    faulthandler.dump_traceback_later(110)  # who waits for it for two minutes reads where it hangs
    sys.exit(main(arguments))


def child(arguments, log, **environment):
    """A process of its own, forked from a server that has loaded torch once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "undersky.stages.train", "undersky.cli"])
    arguments = [*map(str, arguments), "--device", "cpu", "--threads", "1"]
    process = context.Process(target=run, args=(arguments, log, environment), daemon=True)
    process.start()
    return process


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    raise SystemExit(main())
