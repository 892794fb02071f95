"""The task of the land-cover model: simulated landscapes, and where samples are, a real place beside them.

    landscapes (bank on disk) --.
                                 +--> patches of both sensors --> see `segmentation`
    real place, corrected    ---'     the held-out fold and a gap around it count nowhere, on any date

A fold of the cross-validation is this task with `hold_out` in its recipe; its package says so.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from undersky.datasets.landscapes.bank import Landscapes, LandscapeSpec, prepare_landscapes, spec_digest
from undersky.datasets.landscapes.spectra import BANDS
from undersky.datasets.landuse import FOLDER, FOLDS, IGNORED, refuse_leak, training_labels
from undersky.errors import ConfigError
from undersky.evaluation.ground import RealGround, corrected_ground
from undersky.landcover import SLUGS
from undersky.models.package import load_package, package_folder
from undersky.models.segmentation import SegmentationConfig
from undersky.section import section
from undersky.training.recipe import Recipe
from undersky.training.segmentation import SegmentationTask
from undersky.training.task import Progress, Task

_BATCH = 16
_NATIVE_M = 10.0

OPTIONAL = ("rededge071", "rededge075", "rededge078")
"""Inputs that Landsat lacks."""


@dataclass(frozen=True, slots=True)
class LandcoverData:
    """The recipe's section `dataset`."""

    landscapes: LandscapeSpec = field(default_factory=LandscapeSpec)
    """The simulated ones."""
    real: float = 0.0
    """Share of a batch that shows the real place; more than none needs samples."""
    hold_out: str | None = None
    """Fold of the real place that is not trained on."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.real < 1.0:
            raise ValueError("real is a share from 0 to below 1")
        if self.hold_out is not None and (self.hold_out not in FOLDS or not self.real):
            raise ValueError(f"hold_out is a fold ({' '.join(FOLDS)}) of real ground: give real a share too")


class LandcoverPatches:
    """See `undersky.training.segmentation.Patches`."""

    def __init__(self, data: LandcoverData, samples: Path | None) -> None:
        self.data, self.samples = data, samples
        self._landscapes: Landscapes | None = None
        self._ground: RealGround | None = None
        self._labels = np.empty((0, 0, 0), dtype=np.int64)

    @property
    def key(self) -> str | None:
        """Of the landscapes, and of the real place where it takes part."""
        simulated = spec_digest(self.data.landscapes)
        if not self.data.real:
            return simulated
        decides = [simulated, FOLDER, self.data.real, self.data.hold_out, dict(self.upstream)]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    @property
    def upstream(self) -> Mapping[str, str]:
        """The correction that made the real place's reflectance; none of landscapes alone."""
        return {"correction": load_package(package_folder(None)).digest} if self.data.real else {}

    def prepare(self, folder: Path, *, progress: Progress) -> str:
        """The landscapes lie under the folder, the real place is corrected; their digest."""
        self._landscapes = prepare_landscapes(self.data.landscapes, folder, progress=progress)
        if not self.data.real:
            return self._landscapes.digest
        if self.samples is None:
            raise ConfigError(
                f"the recipe trains on {FOLDER}: set UNDERSKY_SAMPLES to the folder of real samples, or "
                "leave dataset.real out"
            )
        ground = corrected_ground(self.samples, progress=progress)
        labels = training_labels(ground.labels, self.data.hold_out)
        if self.data.hold_out is not None:
            refuse_leak(labels, self.data.hold_out)
        self._ground, self._labels = ground, np.where(ground.clear, labels, IGNORED)
        told = hashlib.sha256(self._landscapes.digest.encode())
        told.update(ground.surface.tobytes())
        told.update(self._labels.tobytes())
        return told.hexdigest()

    def train(self, seed: tuple[int, ...], size: int) -> tuple[Tensor, Tensor]:
        """Patches of the seed."""
        chance = np.random.default_rng(seed)
        bank = self._prepared.train
        real = int(chance.binomial(size, self.data.real)) if self._ground is not None else 0
        chosen = chance.integers(0, len(bank.cover), size - real)
        values = [torch.from_numpy(bank.reflectance[chosen]).float()]
        labels = [torch.from_numpy(bank.cover[chosen].astype(np.int64))]
        for _ in range(real):
            pixels, cover = self._real_patch(chance, side=bank.cover.shape[-1])
            values.append(pixels[None])
            labels.append(cover[None])
        return torch.cat(values), torch.cat(labels)

    def _real_patch(self, chance: np.random.Generator, *, side: int) -> tuple[Tensor, Tensor]:
        """A part of the real place on one of its dates."""
        ground = self._ground
        if ground is None:
            raise ConfigError("the dataset is not prepared: call prepare first")
        rows, cols = ground.labels.shape
        date = int(chance.integers(0, len(ground.dates)))
        top, left = (int(chance.integers(0, max(1, length - side + 1))) for length in (rows, cols))
        here = slice(top, top + side), slice(left, left + side)
        pixels = torch.full((len(BANDS), side, side), float("nan"))
        cover = torch.full((side, side), IGNORED)
        found = torch.from_numpy(ground.surface[date][:, *here].copy())
        pixels[:, : found.shape[1], : found.shape[2]] = found
        cover[: found.shape[1], : found.shape[2]] = torch.from_numpy(self._labels[date][here].copy())
        return pixels, cover

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Landscapes of other spectra."""
        bank = self._prepared.validation
        for first in range(0, len(bank.cover), _BATCH):
            values = torch.from_numpy(bank.reflectance[first : first + _BATCH]).float()
            yield values, torch.from_numpy(bank.cover[first : first + _BATCH].astype(np.int64))

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of each band, where a sensor has it."""
        values = self._prepared.train.reflectance
        bands = [values[:, index].astype(np.float32) for index in range(len(BANDS))]
        mean = tuple(round(float(np.nanmean(band)), 5) for band in bands)
        return mean, tuple(round(float(np.nanstd(band)), 5) for band in bands)

    @property
    def _prepared(self) -> Landscapes:
        if self._landscapes is None:
            raise ConfigError("the dataset is not prepared: call prepare first")
        return self._landscapes


def build(recipe: Recipe, *, samples: Path | None = None) -> Task:
    """The task of a recipe.

    Raises:
        ConfigError: A section does not fit.
    """
    data = section(LandcoverData, recipe.dataset, where=f"{recipe.name}: dataset")
    unknown = (0.0,) * len(BANDS)
    config = SegmentationConfig(
        inputs=BANDS,
        classes=SLUGS,
        mean=unknown,
        std=(1.0,) * len(BANDS),
        pixel_m=_NATIVE_M,
        optional=OPTIONAL,
    )
    return SegmentationTask(recipe, config, name="landcover", patches=LandcoverPatches(data, samples))
