"""How much the correction hangs on what the ground is like: validation worlds, one imperfection at a time.

Run: python tests/bench/worlds.py [--model learned] [--work build/worlds] [--batches 6]. A batch is 64 worlds.
The banks are those of the recipe `default`, built under --work when they are not there.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from undersky.models.build import build_network
from undersky.models.package import load_package, package_folder
from undersky.training.calibration import joined
from undersky.training.recipe import load_recipe
from undersky.training.task import build_task

GREY_SHADE = 0.12
NOTHING = {"tinted_shade": 0.0, "adjacency": 0.0, "blurred": 0.0, "miscalibrated": 0.0, "clouded": 0.0}
CHANGES = {
    "clean": {},
    "half the shade": {"shade_sigma": (0.06,)},
    "no shade": {"shade_sigma": (0.001,)},
    "tinted shade": {"tinted_shade": 1.0},
    "light from around": {"adjacency": 1.0},
    "unequally sharp": {"blurred": 1.0},
    "miscalibrated by 2 %": {"miscalibrated": 1.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="learned", help="a shipped model's name or a package's folder")
    parser.add_argument("--work", type=Path, default=Path("build/worlds"))
    parser.add_argument("--batches", type=int, default=6)
    chosen = parser.parse_args()
    task = build_task(load_recipe("default"))
    task.prepare(chosen.work, progress=lambda _done, _what: None)
    network = build_network(load_package(package_folder(chosen.model))).network
    trained = task.spec
    clean = replace(trained.ground, shade_sigma=(GREY_SHADE,), **NOTHING)
    for name, change in CHANGES.items():
        task.spec = replace(trained, ground=replace(clean, **change))
        seen = [task._validated(network, number) for number in range(chosen.batches)]
        errors = joined([part.errors for part in seen])
        inside = (errors.error.abs() <= 1.0).float()
        natural = 100.0 * float((inside * errors.weight).sum() / errors.weight.sum())
        depth = float(torch.cat([part.off_alone for part in seen]).square().mean().sqrt())
        sys.stdout.write(f"{name:24}in spec {natural:5.1f} %, AOD RMSE {depth:.3f}\n")


if __name__ == "__main__":
    main()
