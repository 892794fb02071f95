"""What trains every network that names pixels: patches in, a calibrated package out.

    patches.train --kornia: turned and mirrored--> network --> Dice and focal loss over the pixels that count
    patches.validation --> temperature --> probabilities that mean what they say --> figures by class

The data is the model's own: whatever offers `Patches`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import torch
from kornia.augmentation import (
    AugmentationSequential,
    RandomHorizontalFlip,
    RandomRotation90,
    RandomVerticalFlip,
)
from torch import Tensor, nn

from undersky.errors import ConfigError
from undersky.models.package import Json, ModelPackage
from undersky.models.segmentation import (
    SegmentationConfig,
    SegmentationNetwork,
    build_segmenter,
    probabilities,
    segmentation_package,
)
from undersky.section import section
from undersky.training.recipe import Recipe
from undersky.training.task import Loss, Progress, starting_package

IGNORED = -1
"""Label of a pixel that does not count, where labels are class numbers; NaN where they are probabilities."""

_LADDER = torch.logspace(-1.0, 1.0, 81)
"""Temperatures that are tried."""


class Patches(Protocol):
    """Where pixels and their labels come from."""

    @property
    def key(self) -> str | None:
        """Digest of all that decides the dataset, known before it is made; None where none is kept."""

    def prepare(self, folder: Path, *, progress: Progress) -> str:
        """The dataset lies under the folder, or in memory; its digest.

        Raises:
            DataError: It is damaged, or a split leaks into another.
        """

    def train(self, seed: tuple[int, ...], size: int) -> tuple[Tensor, Tensor]:
        """Patches that belong to the seed: values (n, band, y, x), NaN where missing, and their labels.

        Labels are class numbers (n, y, x), int64, IGNORED where none counts, for a softmax; of a sigmoid they
        are probabilities (n, class, y, x), float32, NaN where none counts.
        """

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of the validation split, the same at every call."""

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each input over the training split."""


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The recipe's section `network`."""

    features: tuple[int, ...] = (16, 32, 64)
    """Width of each level."""


@dataclass(frozen=True, slots=True)
class LossOptions:
    """The recipe's section `loss`."""

    dice: float = 1.0
    """Weight of the Dice loss, which counts small classes like large ones."""
    focal: float = 1.0
    """Weight of the focal loss, which makes probabilities honest."""
    gamma: float = 1.0
    """How much the focal loss forgets of what is known already; 0 is cross entropy."""


class SegmentationTask:
    """One model that names pixels, as the training loop sees it."""

    def __init__(self, recipe: Recipe, config: SegmentationConfig, *, name: str, patches: Patches) -> None:
        """A task of that recipe.

        Args:
            recipe: Its sections `network` and `loss` are read here, `dataset` by whoever made the patches.
            config: What goes in and comes out; its widths and statistics are taken from recipe and patches.
            name: What the model is for: `landcover`.
            patches: The data.

        Raises:
            ConfigError: A section does not fit, or the package to start from is another model.
        """
        self.recipe = recipe
        self.name = name
        self.patches = patches
        self.options = section(NetworkOptions, recipe.network, where=f"{recipe.name}: network")
        self.weights = section(LossOptions, recipe.loss, where=f"{recipe.name}: loss")
        self._config = replace(config, features=self.options.features)
        self._loss = _loss(self._config, self.weights)
        self._turned = AugmentationSequential(
            RandomHorizontalFlip(p=0.5),
            RandomVerticalFlip(p=0.5),
            RandomRotation90(times=(0, 3), p=1.0, resample="nearest"),
            data_keys=["input", "mask"],
        )

    @property
    def dataset_key(self) -> str | None:
        """Of the patches."""
        return self.patches.key

    @property
    def upstream(self) -> Mapping[str, str]:
        """Digests of the packages whose output the patches are, where they say so."""
        return cast("Mapping[str, str]", getattr(self.patches, "upstream", {}))

    def network(self) -> nn.Module:
        """A new network, or that of the package the recipe starts from."""
        package = starting_package(self.recipe)
        if package is not None:
            started = build_segmenter(package, self.name).network
            if (started.config.inputs, started.config.classes) != (self._config.inputs, self._config.classes):
                raise ConfigError(
                    f"recipe {self.recipe.name} starts from {package.version}, whose inputs or classes are "
                    "others; start from one that was trained by this version of the task"
                )
            return started
        mean, std = self.patches.statistics()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.recipe.seed)
            return SegmentationNetwork(replace(self._config, mean=mean, std=std))

    def prepare(self, folder: Path, *, progress: Progress) -> str:
        """The patches are there; their digest."""
        return self.patches.prepare(folder, progress=progress)

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
        """Of the patches of this step, turned and mirrored."""
        values, labels = self.turned(*self.patches.train((self.recipe.seed, 3, step, rank), size))
        logits, labels = network(values.to(device)), labels.to(device)
        chosen, target = _counted(logits.float(), labels)
        if target.numel() == 0:
            return Loss(logits.sum() * 0.0)
        return Loss(self._loss(chosen, target))

    def turned(self, values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same patches, each turned by a right angle or mirrored by chance; labels go with their pixels.

        Chance is torch's global generator, which the loop seeds.
        """
        planes = labels[:, None].float() if labels.ndim == 3 else labels
        # what is missing goes along as a number that no band has: kornia multiplies, and NaN would spread
        missing, nothing = torch.isnan(values), torch.isnan(planes)
        marked = torch.cat([planes.nan_to_num(), nothing.float(), missing.float()], dim=1)
        values, marked = self._turned(values.nan_to_num(), marked)
        count = planes.shape[1]
        planes, nothing, missing = marked.split([count, count, marked.shape[1] - 2 * count], dim=1)
        values = values.masked_fill(missing > 0.5, float("nan"))
        if labels.ndim == 3:
            return values, planes[:, 0].round().long()
        return values, planes.masked_fill(nothing > 0.5, float("nan"))

    def finish(
        self, network: nn.Module, provenance: Mapping[str, Json]
    ) -> tuple[ModelPackage, Mapping[str, float]]:
        """The network with its temperature, packaged, and its figures on the validation split."""
        trained = cast("SegmentationNetwork", network).cpu().eval()
        logits, labels = self._validated(trained)
        trained.config = replace(trained.config, temperature=_temperature(logits, labels, trained.config))
        figures = _figures(logits, labels, trained.config)
        origin: dict[str, Json] = {}
        if (package := starting_package(self.recipe)) is not None:
            origin = {"start_digest": package.digest, "start_provenance": dict(package.provenance)}
        story: dict[str, Json] = {**provenance, **origin, "figures": {**figures}}
        recipe = self.recipe.name.removeprefix(self.name).strip("-")
        version = f"{self.name}-{recipe or 'default'}"
        return segmentation_package(self.name, version, trained, story), figures

    def _validated(self, network: SegmentationNetwork) -> tuple[Tensor, Tensor]:
        """Logits (1, class, pixel) and targets (1, 1 or class, pixel) of the pixels that count."""
        seen = []
        with torch.no_grad():
            for values, labels in self.patches.validation():
                seen.append(_counted(network(values).float(), labels))
        return torch.cat([a for a, _ in seen], dim=-1), torch.cat([b for _, b in seen], dim=-1)


def _loss(config: SegmentationConfig, options: LossOptions) -> nn.Module:
    from monai.losses.dice import DiceFocalLoss  # noqa: PLC0415  importing monai takes seconds

    softmax = config.outputs == "softmax"
    return cast(
        "nn.Module",
        DiceFocalLoss(
            softmax=softmax,
            to_onehot_y=softmax,
            sigmoid=not softmax,
            gamma=options.gamma,
            lambda_dice=options.dice,
            lambda_focal=options.focal,
        ),
    )


def _counted(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (1, class, pixel) and targets of the pixels that count: (1, 1, pixel), or (1, class, pixel).

    A pixel of probabilities counts where all of its classes do.
    """
    classes = logits.shape[1]
    flat = logits.movedim(1, 0).reshape(classes, -1)
    if labels.ndim == 3:
        kept = labels.reshape(-1) != IGNORED
        return flat[:, kept][None], labels.reshape(-1)[kept][None, None]
    target = labels.movedim(1, 0).reshape(classes, -1)
    kept = torch.isfinite(target).all(dim=0)
    return flat[:, kept][None], target[:, kept][None]


def _temperature(logits: Tensor, labels: Tensor, config: SegmentationConfig) -> float:
    """The temperature under which the validation split is most likely.

    Source: Guo et al. 2017, ICML, section 4.2.
    """
    told = [(_surprise(logits, labels, replace(config, temperature=float(t))), float(t)) for t in _LADDER]
    return min(told)[1]


def _surprise(logits: Tensor, labels: Tensor, config: SegmentationConfig) -> float:
    """Mean negative log likelihood."""
    scaled = logits / config.temperature
    if config.outputs == "softmax":
        return float(nn.functional.cross_entropy(scaled, labels[:, 0]))
    return float(nn.functional.binary_cross_entropy_with_logits(scaled, labels))


def _figures(logits: Tensor, labels: Tensor, config: SegmentationConfig) -> dict[str, float]:
    """Percent of intersection over union by class and in the mean, and the surprise."""
    found = probabilities(logits, config)
    overlaps: dict[str, float] = {}
    for number, name in enumerate(config.classes):
        if config.outputs == "softmax":
            here, there = found.argmax(1)[0] == number, labels[0, 0] == number
        else:
            here, there = found[0, number] > 0.5, labels[0, number] > 0.5
        if union := int((here | there).sum()):
            overlaps[name] = 100.0 * int((here & there).sum()) / union
    mean = sum(overlaps.values()) / max(1, len(overlaps))
    return {
        "miou_percent": mean,
        **{f"iou_percent.{name}": value for name, value in overlaps.items()},
        "nll": _surprise(logits, labels, config),
        "temperature": config.temperature,
    }
