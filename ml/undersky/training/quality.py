"""The task of the quality mask: simulated clouded scenes and real labelled chips, five statements a pixel.

datasets/cloudy ------.
>-- batch by batch, `real` of it chips --> five sigmoid channels
datasets/cloud_chips -'    (all but the one held out)                each over the pixels that somebody knows
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from undersky.atmosphere.shipped import tables_digest
from undersky.datasets.cloud_chips import CloudChip, draw_crops, load_chips
from undersky.datasets.cloudy import CLASSES, CloudyScenes, CloudySpec, open_scenes
from undersky.datasets.cloudy_air import ROLES
from undersky.datasets.worlds.materials import shipped_spectra
from undersky.errors import ConfigError
from undersky.inference.mask import rooted
from undersky.models.package import Json, ModelPackage
from undersky.models.segmentation import SegmentationConfig, SegmentationNetwork
from undersky.section import section
from undersky.training.recipe import Recipe
from undersky.training.segmentation import SegmentationTask
from undersky.training.task import Loss, Progress

QUALITY = "quality"
"""What the model is for, as packages name it."""

VERSION = 1
"""Of the generator: another version makes other scenes from the same seed."""

THRESHOLDS = {"threshold_cloud": 0.25}
"""Probability beyond which it is said, below a half: a masked pixel costs less than a cloud taken for ground.

The same in every fold, chosen once, after the folds were seen on the chips.
"""

_BATCH = 8
_SURELY_NOT = -100.0


@dataclass(frozen=True, slots=True)
class QualitySpec:
    """The recipe's section `dataset`."""

    scenes: CloudySpec = field(default_factory=CloudySpec)
    """What simulated scenes are like."""
    real: float = 0.0
    """Share of every batch that is cut from labelled chips; 0 needs none."""
    hold_out: str | None = None
    """Name of the chip that is kept apart: nothing of it is seen."""
    validation: int = 64
    """Simulated scenes that calibrate: other spectra, other fields, other airs."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.real < 1.0 or self.validation < 1:
            raise ValueError("real is a share below 1, and validation at least one scene")
        if self.hold_out is not None and not self.real:
            raise ValueError("hold_out: without chips (real: 0) there is nothing to hold out")


class QualityPatches:
    """See `undersky.training.segmentation.Patches`."""

    def __init__(self, spec: QualitySpec, *, seed: int, samples: Path | None) -> None:
        """Patches of a spec.

        Raises:
            ConfigError: It wants chips and nobody said where samples lie, or holds out none of them.
            DataError: A chip is damaged.
        """
        if spec.real and samples is None:
            raise ConfigError(
                "this recipe trains on labelled chips: give their folder in UNDERSKY_SAMPLES, or train on "
                "simulated scenes alone (quality-tiny, or real: 0)"
            )
        self.spec, self.seed = spec, seed
        held = () if spec.hold_out is None else (spec.hold_out,)
        self.chips: tuple[CloudChip, ...] = (
            load_chips(samples, without=held) if spec.real and samples is not None else ()
        )
        self._train: CloudyScenes | None = None

    @property
    def key(self) -> str | None:
        """None: scenes are composed in memory, nothing is kept."""
        return None

    def prepare(self, folder: Path, *, progress: Progress) -> str:  # noqa: ARG002  nothing is kept
        """The banks are in memory; the digest of what decides every scene, and of the chips."""
        progress(0.0, "drawing clouds, ground and air")
        self._train = open_scenes(self.spec.scenes, "train")
        progress(1.0, "clouds, ground and air are there")
        decides = {
            "spec": asdict(self.spec),
            "seed": self.seed,
            "version": VERSION,
            "tables": tables_digest(),
            "spectra": dict(shipped_spectra()),
            "chips": {chip.name: chip.digest for chip in self.chips},
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def train(self, seed: tuple[int, ...], size: int) -> tuple[Tensor, Tensor]:
        """Simulated scenes, then crops of chips."""
        real = round(self.spec.real * size) if self.chips else 0
        drawn = [self._scenes().compose(size - real, seed=(*seed, 0))]
        if real:
            chance = np.random.default_rng((*seed, 1))
            drawn.append(draw_crops(self.chips, real, size=self.spec.scenes.size, chance=chance))
        values, labels = (torch.cat(part) for part in zip(*drawn, strict=True))
        return _rooted(values), labels

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Simulated scenes of the validation split, the same at every call."""
        scenes = open_scenes(self.spec.scenes, "validation")
        for number, first in enumerate(range(0, self.spec.validation, _BATCH)):
            count = min(_BATCH, self.spec.validation - first)
            values, labels = scenes.compose(count, seed=(self.seed, 4, number))
            yield _rooted(values), labels

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of every band over simulated scenes."""
        values, _ = self._scenes().compose(4 * _BATCH, seed=(self.seed, 5))
        planes = _rooted(values).movedim(1, 0).flatten(1).numpy()
        mean, std = np.nanmean(planes, axis=1), np.nanstd(planes, axis=1)
        return tuple(map(float, mean)), tuple(map(float, std))

    def _scenes(self) -> CloudyScenes:
        if self._train is None:
            self._train = open_scenes(self.spec.scenes, "train")
        return self._train


class QualityTask(SegmentationTask):
    """See `undersky.training.task.Task`."""

    def __init__(self, recipe: Recipe, patches: QualityPatches) -> None:
        nothing = (0.0,) * len(ROLES)
        config = SegmentationConfig(
            inputs=ROLES,
            optional=("cirrus",),
            classes=CLASSES,
            outputs="sigmoid",
            mean=nothing,
            std=(1.0,) * len(ROLES),
            pixel_m=patches.spec.scenes.pixel_m[1],
            body="plain",
            settings=THRESHOLDS,
        )
        super().__init__(recipe, config, name=QUALITY, patches=patches)
        self.quality = patches

    def loss(
        self,
        network: nn.Module,
        step: int,
        *,
        size: int,
        device: torch.device,
        rank: int = 0,
        ranks: int = 1,  # noqa: ARG002  the rank alone tells the batches apart
    ) -> Loss:
        """Of the patches of this step; a statement that nobody knows counts for nothing."""
        values, labels = self.turned(*self.patches.train((self.recipe.seed, 3, step, rank), size))
        return Loss(self._loss(*known_only(network(values.to(device)).float(), labels.to(device))))

    def _validated(self, network: SegmentationNetwork) -> tuple[Tensor, Tensor]:
        """Logits and targets (1, class, pixel) of the validation split."""
        with torch.no_grad():
            seen = [known_only(network(values).float(), said) for values, said in self.patches.validation()]
        return torch.cat([a for a, _ in seen], dim=-1), torch.cat([b for _, b in seen], dim=-1)

    def finish(
        self, network: nn.Module, provenance: Mapping[str, Json]
    ) -> tuple[ModelPackage, Mapping[str, float]]:
        """Calibrated and packaged; provenance says which chips were seen and which was held out."""
        seen: list[Json] = [chip.name for chip in self.quality.chips]
        return super().finish(network, {**provenance, "held_out": self.quality.spec.hold_out, "chips": seen})


def known_only(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets (1, class, pixel); where nobody knows, a sure and right no, which costs nothing.

    Args:
        logits: (n, class, y, x).
        labels: The same shape, NaN where nobody knows.
    """
    known = torch.isfinite(labels)
    logits = torch.where(known, logits, torch.full_like(logits, _SURELY_NOT))
    target = torch.where(known, labels, torch.zeros_like(labels))
    logits, target = (part.movedim(1, 0).flatten(1)[None] for part in (logits, target))
    return logits, target


def _rooted(values: Tensor) -> Tensor:
    return torch.from_numpy(rooted(values.numpy()))


def build(recipe: Recipe, *, samples: Path | None = None) -> QualityTask:
    """The task of a recipe.

    Raises:
        ConfigError: A section of the recipe does not fit, or the labelled chips are not there.
        DataError: A chip is damaged.
    """
    spec = section(QualitySpec, recipe.dataset, where=f"{recipe.name}: dataset")
    return QualityTask(recipe, QualityPatches(spec, seed=recipe.seed, samples=samples))
