"""The smallest map models: networks of the real architecture that were never trained."""

from pathlib import Path

import torch

from undersky.landcover import SLUGS
from undersky.models.package import ModelPackage, save_package
from undersky.models.segmentation import SegmentationConfig, SegmentationNetwork, segmentation_package

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
CLASSES = {"landcover": SLUGS, "vessels": ("inside", "centre")}


def untrained(folder: Path, name: str, *, seed: int = 0) -> ModelPackage:
    """A package of that model in the folder."""
    torch.manual_seed(seed)
    config = SegmentationConfig(
        inputs=BANDS,
        classes=CLASSES[name],
        mean=(0.15,) * len(BANDS),
        std=(0.1,) * len(BANDS),
        pixel_m=10.0,
        outputs="softmax" if name == "landcover" else "sigmoid",
        features=(4, 8),
        body="plain",
    )
    network = SegmentationNetwork(config).eval()
    return save_package(segmentation_package(name, f"untrained-{seed}", network, {}), folder)
