"""Fine-tuning on archive pairs: a model that can see is shown what an agency made of real scenes.

    worlds --.                       .--> ground and depth, as in training from nothing
              +--> one batch, one look
    pairs  --'                       '--> the inverted reflectance beside the agency's, on clear pixels

An agency's product is no truth but one more opinion of real air; a package made here is nearer to it. What
it forgets is kept small by the worlds in every batch; the suites measure it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from undersky.atmosphere.hypotheses import AOT_LADDER, REFERENCE
from undersky.datasets.pairs import LOADERS, Pair
from undersky.datasets.worlds.shards import Progress
from undersky.errors import ConfigError
from undersky.models.build import build_network
from undersky.models.correction import MODELS, Look, NetworkConfig, Windows, blocks_of
from undersky.models.package import Json, ModelPackage, load_package, shipped
from undersky.models.physics import ARCHITECTURE, build_physics
from undersky.section import section
from undersky.training import losses
from undersky.training.beside import baseline_below, beside_agency, ground_below, summary
from undersky.training.correction import CorrectionTask, windows_of
from undersky.training.crops import COLS, ROWS, TRAIN_STRIDE, Crop, PairSpec, crops_of, refuse_overlap
from undersky.training.losses import Pixels
from undersky.training.recipe import Recipe
from undersky.training.task import Loss, starting_package
from undersky.training.views import Filling, PairViews, both, joined, learn_filling, view_pair

_FILLING_BATCHES = 12


class PairsTask:
    """See `undersky.training.task.Task`."""

    name = "pairs"

    def __init__(self, recipe: Recipe, pairs: Mapping[str, Pair]) -> None:
        start = starting_package(recipe)
        if start is None:
            raise ConfigError(f"{recipe.name}: pairs fine-tune a model: start must name its package")
        if recipe.network:
            raise ConfigError(
                f"{recipe.name}: the network is that of the package it starts from; leave it out"
            )
        self.recipe, self.pairs = recipe, pairs
        self.spec = pair_spec(recipe)
        self._start, self._model = start, build_network(start)
        network = {name: start.config[name] for name in NetworkConfig.__dataclass_fields__}
        dataset = {key: value for key, value in recipe.dataset.items() if key != "pairs"}
        self.worlds = CorrectionTask(replace(recipe, dataset=dataset, network=network))
        self._physics = build_physics(load_package(shipped(ARCHITECTURE)))
        self._fillings: dict[int, Filling] = {}
        self._train: PairViews | None = None
        self._weights: np.ndarray = np.empty(0)
        self._validate: dict[str, PairViews] = {}

    @property
    def dataset_key(self) -> None:
        """Pairs are a user's: they are read where they lie, and not kept."""
        return

    @property
    def upstream(self) -> Mapping[str, str]:
        """None: it learns from scenes."""
        return {}

    def network(self) -> nn.Module:
        """That of the package the recipe starts from."""
        return build_network(self._start).network

    def prepare(self, folder: Path, *, progress: Progress) -> str:
        """The worlds lie under the folder and the pairs are cut; the digest of both and of the start.

        Raises:
            DataError: `split_leaks`: a window that trains lies beside one that validates.
        """
        digest = hashlib.sha256(self.worlds.prepare(folder, progress=progress).encode())
        digest.update(self._start.digest.encode())
        for name, pair in self.pairs.items():
            digest.update(name.encode())
            for values in (pair.observation.toa, pair.agency, pair.clear):
                digest.update(np.ascontiguousarray(values).tobytes())
        train, validate = self._crops(self.spec.train, TRAIN_STRIDE), self._crops(self.spec.validate, None)
        refuse_overlap(*([crop for crops in split.values() for crop in crops] for split in (train, validate)))
        self._train = joined([self._views(name, crops) for name, crops in train.items()])
        self._weights = _even(self._train.crops)
        self._validate = {name: self._views(name, crops) for name, crops in validate.items()}
        return digest.hexdigest()

    def _crops(self, columns: Mapping[str, tuple[float, float]], stride: int | None) -> dict[str, list[Crop]]:
        """Windows of each pair at every factor; side by side where no stride is given."""
        found = {}
        for name, part in columns.items():
            seen = self.pairs[name].observation
            shape = (seen.toa.shape[1], seen.toa.shape[2])
            found[name] = [
                crop
                for factor in self.spec.coarser
                for crop in crops_of(
                    seen.id, shape, part, factor=factor, stride=(stride or ROWS, stride or COLS)
                )
            ]
        return found

    def _views(self, name: str, crops: Sequence[Crop]) -> PairViews:
        """Windows of a pair, its absent bands filled."""
        views, absent = view_pair(self.pairs[name], crops, physics=self._physics, model=self._model)
        for row in absent:
            if row not in self._fillings:
                composer = self.worlds.composer("train", cols=COLS)
                drawn = (composer.compose(64, seed=(self.recipe.seed, 8, k)) for k in range(_FILLING_BATCHES))
                self._fillings[row] = learn_filling(row, [(world, windows_of(world)) for world in drawn])
            views = replace(views, windows=self._fillings[row](views.windows))
        return views

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
        """Of this step's worlds and windows of pairs, which the network sees at once."""
        real = min(size - 1, max(1, round(self.spec.share * size)))
        if real < 1:
            raise ConfigError(f"{self.recipe.name}: {size} scenes a rank hold no pair beside a world; 2 do")
        worlds = self.worlds.batch(step, size=size - real, device=device, rank=rank)
        windows, pixels, taught = self._batch(step, real, device=device, rank=rank)
        seen = both(worlds.windows, windows)
        look: Look = network(seen, blocks_of(seen, reference=REFERENCE))
        apart = look.log_posterior, look.factors, look.embedding
        simulated, found = (
            Look(*(part[where] for part in apart)) for where in (slice(size - real), slice(size - real, None))
        )
        of_worlds = self.worlds.judged(simulated, worlds)
        error, variance = _beside(found, windows, pixels)
        accuracy = losses.accuracy(error[taught])
        honesty = losses.honesty(error[taught], variance[taught])
        of_pairs = accuracy + self.worlds.weights.honesty * honesty
        total = (1.0 - self.spec.share) * of_worlds.total + self.spec.share * of_pairs
        inside = (error[taught].abs() <= 1.0).float().mean()
        figures = {"pairs_accuracy": accuracy, "pairs_in_spec_percent": 100.0 * inside}
        return Loss(total, {**of_worlds.figures, **figures})

    def _batch(
        self, step: int, count: int, *, device: torch.device, rank: int
    ) -> tuple[Windows, Pixels, Tensor]:
        """Some windows of pairs, some of their pixels, and which of those are taught, (n, band, pixel)."""
        if self._train is None:
            raise ConfigError("the dataset is not prepared: call prepare first")
        chance = np.random.default_rng((self.recipe.seed, 9, step, rank))
        views = self._train.some(torch.from_numpy(chance.choice(len(self._weights), count, p=self._weights)))
        chosen = torch.from_numpy(chance.integers(0, ROWS * COLS, self.worlds.weights.pixels))
        toa, agency, known = (
            values.flatten(2)[..., chosen].to(device)
            for values in (views.windows.toa, views.agency, views.known)
        )
        # what an agency puts below zero it has over-corrected itself: it teaches nothing
        return views.windows.to(device), Pixels(toa, agency.clamp(min=0.0)), known & (agency > 0.0)

    def finish(
        self, network: nn.Module, provenance: Mapping[str, Json]
    ) -> tuple[ModelPackage, Mapping[str, float]]:
        """Calibrated on validation worlds and packaged; measured on what was held out of the pairs."""
        package, figures = self.worlds.finish(network, provenance)
        figures = {**figures, **self.held_out(network)}
        plain: dict[str, Json] = dict(figures)
        story = {**package.provenance, "figures": plain, "start_digest": self._start.digest}
        return replace(package, provenance=story), figures

    def held_out(self, network: nn.Module) -> dict[str, float]:
        """How far from the agency the baseline, the start and this network are, on the held-out windows."""
        measured: dict[str, float] = {}
        for name, views in self._validate.items():
            sensor = self.pairs[name].observation.sensor
            grounds = {
                "physics": baseline_below(self.pairs[name], views),
                "before": ground_below(self._model.network, views),
                "after": ground_below(network, views),
            }
            for method, ground in grounds.items():
                found = summary(beside_agency(views, ground, sensor=sensor), sensor=sensor)
                measured |= {f"{name}: {method}_{key}": value for key, value in found.items()}
        return measured


def pair_spec(recipe: Recipe) -> PairSpec:
    """What the recipe says of pairs.

    Raises:
        ConfigError: Nothing, or what cannot be used.
    """
    return section(PairSpec, recipe.dataset.get("pairs"), where=f"{recipe.name}: dataset: pairs")


def _even(crops: Sequence[Crop]) -> np.ndarray:
    """How often each is drawn: every pair at every factor as often as any other, (n,)."""
    kinds = [(crop.place, crop.factor) for crop in crops]
    counts = np.array([kinds.count(kind) for kind in kinds])
    weights: np.ndarray = 1.0 / counts / len(set(kinds))
    return weights


def _beside(look: Look, windows: Windows, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Error in units of the specification and the variance that the look states, (n, band, pixel)."""
    depth = torch.tensor(AOT_LADDER, device=pixels.toa.device).repeat(MODELS)
    error, estimate = losses.scaled_error(look, windows, pixels)
    variance = losses.scaled_variance(look, windows, estimate.detach(), pixels.truth, depth=depth)
    return error, variance


def build(recipe: Recipe, *, samples: Path | None = None) -> PairsTask:
    """The task of a recipe.

    Args:
        recipe: With `dataset: pairs`.
        samples: Folder that holds the pairs.

    Raises:
        ConfigError: A section of the recipe does not fit, or a pair does not lie in the folder.
        DataError: A pair is damaged, or the package to start from is refused.
    """
    spec = pair_spec(recipe)
    if samples is None:
        raise ConfigError(f"{recipe.name}: no folder of real pairs: set UNDERSKY_SAMPLES to where they lie")
    pairs = {}
    for name in sorted({*spec.train, *spec.validate}):
        if name not in LOADERS or not (samples / name).is_dir():
            raise ConfigError(
                f"{recipe.name}: no pair {name!r} in {samples}; known pairs: {' '.join(LOADERS)}"
            )
        pairs[name] = LOADERS[name](samples / name)
    return PairsTask(recipe, pairs)
