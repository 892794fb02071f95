"""The task of models that find objects on the water: vessels, and whatever else a recipe and labels name.

labelled scenes (all but the one held out), simulated harbours
    --patches--> two sigmoid channels, inside and centre --> shared segmentation training
validation scenes, whole --every threshold--> the one of the best F1 --> the package's settings
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from undersky.datasets.harbours import HarbourSpec, simulate_harbour
from undersky.datasets.object_patches import Augmentation, Planes, draw_patch, planes_of
from undersky.datasets.objects import (
    ObjectScene,
    SceneFiles,
    files_digest,
    read_object_scene,
    scene_folders,
    split_scene,
)
from undersky.errors import ConfigError
from undersky.evaluation.finding import allowed_in, found_in
from undersky.evaluation.matching import Counts, Matched, best_threshold, counts_at, match
from undersky.inference.objects import CLASSES, ObjectSettings
from undersky.models.package import Json, ModelPackage
from undersky.models.segmentation import SegmentationConfig, SegmentationNetwork, Segmenter, build_segmenter
from undersky.section import section
from undersky.training.recipe import Recipe
from undersky.training.segmentation import SegmentationTask
from undersky.training.task import Progress

_VALIDATION_PATCHES = 8
_PRIOR = -3.0
"""Logit of every pixel before the first step."""
_ENOUGH, _HALF = 50, 0.5
"""Objects that can tell which threshold is best; the best one for a dozen is one of chance."""
_LADDER = tuple(float(step) for step in np.arange(0.10, 0.901, 0.025).round(3))


@dataclass(frozen=True, slots=True)
class Water:
    """Where objects may lie, see `undersky.inference.objects.ObjectSettings`."""

    beside_water_m: float = 40.0
    """How far from open water a centre may lie."""
    water_share: float = 0.08
    """Least share of water around."""
    water_box_m: float = 500.0
    """Side of the square in which that share is taken."""

    def settings(self, threshold: float) -> ObjectSettings:
        """With a threshold, as a package carries them."""
        return ObjectSettings(threshold, **asdict(self))


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """The recipe's section `dataset`."""

    model: str = "vessels"
    """What the model is called: the object, in the plural."""
    pixel_m: float = 10.0
    """Ground size of the pixels."""
    bands: tuple[str, ...] = ("blue", "green", "red", "nir", "swir16")
    """Common names of the inputs."""
    patch: int = 64
    """Side of a patch, pixels."""
    centre_m: float = 20.0
    """Radius of the target about a centre."""
    real: SceneFiles | None = None
    """Labelled scenes; none where only simulated harbours train."""
    hold_out: str | None = None
    """Name of the labelled scene that is kept apart: nothing of it is seen."""
    harbours: int = 0
    """Simulated scenes beside the real ones."""
    harbour: HarbourSpec = field(default_factory=HarbourSpec)
    """What these are like."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How patches differ from their scenes."""
    validation_share: float = 0.2
    """Of each real scene's objects: its eastern part validates and trains nothing."""
    threshold: float | None = None
    """Least score of what is reported; null finds the one of the best F1 on the validation split where that
    holds objects enough, and else takes a half, which is what a calibrated score means."""
    water: Water = field(default_factory=Water)
    """Where objects may lie."""

    def __post_init__(self) -> None:
        if not 0 < self.validation_share < 1:
            raise ValueError("validation_share lies in 0 .. 1, neither included")
        if self.patch < 16 or self.patch % 8 or self.pixel_m <= 0 or self.centre_m <= 0 or self.harbours < 0:
            raise ValueError(
                "patch: a multiple of 8, 16 or more; pixel_m and centre_m positive; harbours 0 or more"
            )
        if self.real is None and (self.harbours == 0 or self.hold_out is not None):
            raise ValueError("without real scenes there must be harbours, and there is nothing to hold out")
        if {"green", "nir"} - set(self.bands):
            raise ValueError("bands must hold green and nir: they tell water from land")


class ObjectPatches:
    """See `undersky.training.segmentation.Patches`."""

    def __init__(self, spec: ObjectSpec, *, seed: int, samples: Path | None) -> None:
        """Patches of the scenes of a spec.

        Raises:
            ConfigError: It names real scenes and nobody said where samples lie, or holds out none of them.
        """
        self.spec, self.seed = spec, seed
        self._folders = _folders(spec, samples)
        self._train: list[Planes] = []
        self._validation: list[ObjectScene] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Of the labelled scenes that train."""
        return tuple(folder.name for folder in self._folders)

    @property
    def key(self) -> str | None:
        """None: patches are drawn from scenes in memory, nothing is kept."""
        return None

    def prepare(self, folder: Path, *, progress: Progress) -> str:  # noqa: ARG002  nothing is kept
        """All scenes are in memory; the digest of the spec and of every file that was read."""
        spec = self.spec
        scenes = []
        for number, path in enumerate(self._folders):
            progress(number / max(1, len(self._folders) + 1), f"reading {path.name}")
            if spec.real is not None:
                scene = read_object_scene(path, spec.real, pixel_m=spec.pixel_m)
                scenes.append(split_scene(scene, share=spec.validation_share))
        progress(0.9, f"simulating {spec.harbours} harbours")
        train = [west for west, _ in scenes] + self._harbours(spec.harbours, 0)
        kept = max(1, round(spec.harbours * spec.validation_share)) if spec.harbours else 0
        # real scenes alone calibrate where there are any: what is simulated is easier
        self._validation = [east for _, east in scenes] or self._harbours(kept, 1)
        self._train = [planes for scene in train if len((planes := self._planes(scene)).anywhere)]
        if not self._train:
            raise ConfigError(f"none of the {len(train)} scenes that train has water: see dataset.water")
        digest = files_digest(self._folders, spec.real) if spec.real is not None else ""
        text = json.dumps([asdict(spec), self.seed, digest], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def train(self, seed: tuple[int, ...], size: int) -> tuple[Tensor, Tensor]:
        """Patches that belong to the seed."""
        chance = np.random.default_rng(seed)
        spec = self.spec
        drawn = [
            draw_patch(self._train, chance, size=spec.patch, options=spec.augmentation) for _ in range(size)
        ]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))  # type: ignore[return-value]

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Patches of the validation scenes as they are, the same at every call."""
        spec = self.spec
        still = Augmentation(scale=1.0, gain=0.0, haze=0.0, noise=0.0)
        for number, scene in enumerate(self._validation):
            planes = self._planes(scene)
            if not len(planes.anywhere):
                continue
            chance = np.random.default_rng((self.seed, 4, number))
            drawn = [
                draw_patch([planes], chance, size=spec.patch, options=still)
                for _ in range(_VALIDATION_PATCHES)
            ]
            values, targets = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
            yield values, targets

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of every band where objects may lie."""
        seen = [planes.values[:, planes.anywhere[:, 0], planes.anywhere[:, 1]] for planes in self._train]
        pixels = np.concatenate(seen, axis=1)
        mean, std = np.nanmean(pixels, axis=1), np.nanstd(pixels, axis=1)
        return tuple(map(float, mean)), tuple(map(float, std))

    def matched(self, model: Segmenter) -> list[Matched]:
        """What the model finds in the whole validation scenes, beside what is marked there."""
        return [match(found_in(model, scene)) for scene in self._validation]

    def _planes(self, scene: ObjectScene) -> Planes:
        spec = self.spec
        allowed = allowed_in(scene, spec.bands, spec.water.settings(_LADDER[0]))
        return planes_of(scene, allowed, centre_m=spec.centre_m)

    def _harbours(self, count: int, split: int) -> list[ObjectScene]:
        spec = self.spec
        return [
            simulate_harbour(spec.harbour, spec.bands, seed=(self.seed, split, number))
            for number in range(count)
        ]


class ObjectTask(SegmentationTask):
    """See `undersky.training.task.Task`."""

    def __init__(self, recipe: Recipe, patches: ObjectPatches) -> None:
        spec = patches.spec
        nothing = (0.0,) * len(spec.bands)
        config = SegmentationConfig(
            inputs=spec.bands,
            classes=CLASSES,
            mean=nothing,
            std=(1.0,) * len(spec.bands),
            pixel_m=spec.pixel_m,
            outputs="sigmoid",
            settings=asdict(spec.water.settings(spec.threshold or _LADDER[0])),
        )
        super().__init__(recipe, config, name=spec.model, patches=patches)
        self.objects = patches

    def network(self) -> nn.Module:
        """As the shared task's; a new one begins by finding next to nothing, as is nearly everywhere right.

        Source: Lin et al. 2017, ICCV, section 4.1: the prior of the focal loss.
        """
        network = super().network()
        if self.recipe.start is None and isinstance(network, SegmentationNetwork):
            *_, head = (layer for layer in network.body.modules() if isinstance(layer, nn.Conv2d))
            if head.bias is not None:
                nn.init.constant_(head.bias, _PRIOR)
        return network

    def finish(
        self, network: nn.Module, provenance: Mapping[str, Json]
    ) -> tuple[ModelPackage, Mapping[str, float]]:
        """Calibrated, with the threshold that serves best; provenance says what was held out."""
        spec = self.objects.spec
        story: dict[str, Json] = {**provenance, "held_out": spec.hold_out, "scenes": list(self.objects.names)}
        package, figures = super().finish(network, story)
        low = {**package.config, "settings": asdict(spec.water.settings(_LADDER[0]))}
        matched = self.objects.matched(build_segmenter(replace(package, config=low), self.name))
        enough = sum(scene.truth for scene in matched) >= _ENOUGH
        threshold = spec.threshold or (best_threshold(matched, _LADDER)[0] if enough else _HALF)
        counts = sum((counts_at(scene, threshold) for scene in matched), Counts(0, 0, 0))
        figures = {
            **figures,
            "threshold": threshold,
            "f1_percent": 100.0 * counts.f1,
            "precision_percent": 100.0 * counts.precision,
            "recall_percent": 100.0 * counts.recall,
            "objects": float(counts.there),
        }
        config: dict[str, Json] = {**package.config, "settings": asdict(spec.water.settings(threshold))}
        told: dict[str, Json] = {**package.provenance, "figures": dict(figures)}
        return replace(package, config=config, provenance=told), figures


def _folders(spec: ObjectSpec, samples: Path | None) -> tuple[Path, ...]:
    """The folders of the real scenes that train."""
    if spec.real is None:
        return ()
    if samples is None:
        raise ConfigError(
            "this recipe trains on labelled scenes: give their folder, UNDERSKY_SAMPLES or --samples, or "
            "train on simulated harbours alone (vessels-tiny)"
        )
    folders = scene_folders(samples, spec.real)
    if spec.hold_out is None:
        return folders
    kept = tuple(folder for folder in folders if folder.name != spec.hold_out)
    if len(kept) == len(folders):
        names = " ".join(folder.name for folder in folders)
        raise ConfigError(f"hold_out: there is no labelled scene {spec.hold_out!r}; there are {names}")
    return kept


def build(recipe: Recipe, *, samples: Path | None = None) -> ObjectTask:
    """The task of a recipe.

    Raises:
        ConfigError: A section of the recipe does not fit, or the labelled scenes are not there.
    """
    spec = section(ObjectSpec, recipe.dataset, where=f"{recipe.name}: dataset")
    return ObjectTask(recipe, ObjectPatches(spec, seed=recipe.seed, samples=samples))
