"""A model of objects that nobody trained: bright in the near infrared is inside, brightest is a centre."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from undersky.inference.objects import CLASSES
from undersky.models.package import ModelPackage, save_package
from undersky.models.segmentation import (
    SegmentationConfig,
    SegmentationNetwork,
    Segmenter,
    build_segmenter,
    segmentation_package,
)

INPUTS = ("blue", "green", "red", "nir", "swir16")
WATER, SHIP = 0.02, 0.40


def bright_network(threshold: float = 0.5, inputs: tuple[str, ...] = INPUTS) -> SegmentationNetwork:
    """Two convolutions that pass the near infrared, two that blur it, a head that is steep in between."""
    nothing, one = (0.0,) * len(inputs), (1.0,) * len(inputs)
    config = SegmentationConfig(
        inputs=inputs, classes=CLASSES, mean=nothing, std=one, pixel_m=10.0, outputs="sigmoid",
        features=(2, 2), body="plain", settings={"threshold": threshold},
    )  # fmt: skip
    network = SegmentationNetwork(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(1.0)
        body = network.body
        first, second = body.down[0][0][0], body.down[0][1][0]
        first.weight[0, inputs.index("nir"), 1, 1] = first.weight[1, inputs.index("nir"), 1, 1] = 1.0
        for channel in range(2):
            second.weight[channel, channel, 1, 1] = 1.0
        joining, last = body.up[0][0][0], body.up[0][1][0]
        joining.weight[0, 2, 1, 1] = last.weight[0, 0, 1, 1] = 1.0  # what comes from below is left out
        joining.weight[1, 3] = last.weight[1, 1] = 1.0 / 9.0
        body.head.weight[0, 0], body.head.bias[0] = 60.0, -60.0 * 0.2
        body.head.weight[1, 1], body.head.bias[1] = 30.0, -30.0 * 0.15
    return network.eval()


def bright_package(folder: Path, **how: object) -> ModelPackage:
    """The same as a saved package `vessels`."""
    network = bright_network(**how)  # type: ignore[arg-type]
    return save_package(segmentation_package("vessels", "bright-1", network, {}), folder)


def bright_model(threshold: float = 0.5) -> Segmenter:
    """The same, ready to look."""
    return build_segmenter(
        segmentation_package("vessels", "bright-1", bright_network(threshold), {}), "vessels"
    )


def sea(rows: int, cols: int) -> np.ndarray:
    """Open water, (band, y, x): green above the near infrared."""
    values = np.full((len(INPUTS), rows, cols), WATER, dtype=np.float32)
    values[INPUTS.index("green")] = 0.05
    return values


def with_ship(values: np.ndarray, row: int, col: int, *, rows: int = 4, cols: int = 10) -> np.ndarray:
    """The same with a bright rectangle whose first pixel is (row, col)."""
    values[:, row : row + rows, col : col + cols] = SHIP
    return values
