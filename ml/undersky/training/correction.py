"""The correction's task: worlds in, a look at their air, how far the ground is missed, a calibrated package.

The network learns the state; what is measured is the ground that the inversion then finds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from undersky.atmosphere.hypotheses import AOT_LADDER, REFERENCE
from undersky.datasets.worlds.airs import noise_in_orbit
from undersky.datasets.worlds.compose import Composer, World
from undersky.datasets.worlds.materials import Split, load_materials
from undersky.datasets.worlds.shards import Progress, Worlds, prepare_worlds, spec_digest
from undersky.datasets.worlds.spec import WorldSpec
from undersky.datasets.worlds.textures import SIZE
from undersky.errors import ConfigError
from undersky.models.build import CONFIG_KEYS, build_network
from undersky.models.correction import (
    MODELS,
    CorrectionNetwork,
    Look,
    NetworkConfig,
    Windows,
    blocks_of,
    without_prior,
)
from undersky.models.package import Json, ModelPackage
from undersky.section import section
from undersky.training import losses
from undersky.training.calibration import Errors, calibrate, domain_of, joined, natural_weight
from undersky.training.losses import LossConfig, Pixels
from undersky.training.recipe import Recipe
from undersky.training.task import Loss, starting_package

_VALIDATION_BATCHES = 24
_VALIDATION_SIZE = 64


def windows_of(world: World) -> Windows:
    """The worlds as the network sees them."""
    return Windows(
        toa=world.toa,
        usable=world.usable,
        path=world.air.path,
        transmittance=world.air.transmittance,
        spherical_albedo=world.air.spherical_albedo,
        gas_transmittance=world.air.gas_transmittance,
        noise=world.noise,
        conditions=world.air.conditions,
        prior=world.forecast,
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows, and what is true below and within them."""

    windows: Windows
    """What the network sees."""
    pixels: Pixels
    """Some of their pixels."""
    usable: Tensor
    """False where one of them lies under a masked cloud, (n, band, pixel)."""
    aot_550: Tensor
    """The air's optical depth, (n,)."""


class CorrectionTask:
    """See `undersky.training.task.Task`."""

    name = "correction"

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        dataset = {"seed": recipe.seed, **recipe.dataset}
        self.spec = section(WorldSpec, dataset, where=f"{recipe.name}: dataset")
        self.config = section(NetworkConfig, recipe.network, where=f"{recipe.name}: network")
        self.weights = section(LossConfig, recipe.loss, where=f"{recipe.name}: loss")
        if self.config.ladder != AOT_LADDER:
            wanted = f"{list(AOT_LADDER)}, the hypotheses' own"
            raise ConfigError(f"{recipe.name}: network: the ladder must be {wanted}")
        self._worlds: Worlds | None = None

    @property
    def dataset_key(self) -> str:
        """The digest of the worlds' spec."""
        return spec_digest(self.spec)

    @property
    def upstream(self) -> Mapping[str, str]:
        """None: it learns from scenes."""
        return {}

    def network(self) -> nn.Module:
        """A new network, or that of the package the recipe starts from."""
        network = self._first()
        if self.weights.only == "doubt":
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(name.startswith("doubt."))
        return network

    def _version(self) -> str:
        """`learned-default`; of one that was trained on, `learned-default+sigma`."""
        package = starting_package(self.recipe)
        return f"learned-{self.recipe.name}" if package is None else f"{package.version}+{self.recipe.name}"

    def _origin(self) -> dict[str, Json]:
        """The package that the recipe starts from, and all that is known of it."""
        package = starting_package(self.recipe)
        if package is None:
            return {}
        return {"start_digest": package.digest, "start_provenance": dict(package.provenance)}

    def _first(self) -> CorrectionNetwork:
        package = starting_package(self.recipe)
        if package is not None:
            return build_network(package).network
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.recipe.seed)
            return CorrectionNetwork(self.config)

    def prepare(self, folder: Path, *, progress: Progress) -> str:
        """The worlds lie under the folder; their digest."""
        self._worlds = prepare_worlds(self.spec, folder, progress=progress)
        return self._worlds.digest

    def composer(self, split: Split, *, cols: int = SIZE) -> Composer:
        """What makes worlds of a split."""
        if self._worlds is None:
            raise ConfigError("the dataset is not prepared: call prepare first")
        banks = self._worlds.banks(split)
        return Composer(banks.textures, load_materials(split), banks.airs, self.spec.ground, cols=cols)

    @cached_property
    def _training(self) -> Composer:
        return self.composer("train", cols=SIZE // 2)

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
        """Of the worlds of this step."""
        batch = self.batch(step, size=size, device=device, rank=rank)
        return self.judged(network(batch.windows, blocks_of(batch.windows, reference=REFERENCE)), batch)

    def batch(self, step: int, *, size: int, device: torch.device, rank: int = 0) -> Batch:
        """The worlds of this step: half windows, for half the price."""
        seed = (self.recipe.seed, 3, step, rank)
        world = self._training.compose(size, seed=seed)
        windows = windows_of(world).to(device)
        chance = np.random.default_rng((*seed, 1))
        chosen = chance.integers(0, world.toa[0, 0].numel(), self.weights.pixels)
        pixels = _some(world, torch.from_numpy(chosen), device)
        usable = world.usable.flatten(1)[:, torch.from_numpy(chosen)][:, None] > 0
        usable = usable.expand_as(pixels.truth).to(device)
        return Batch(windows, pixels, usable, world.air.aot_550.to(device))

    def judged(self, look: Look, batch: Batch) -> Loss:
        """How far such a look misses the truth."""
        windows, pixels = batch.windows, batch.pixels
        depth = torch.tensor(AOT_LADDER, device=batch.aot_550.device)
        depth = depth.repeat(len(look.log_posterior[0]) // len(AOT_LADDER))
        error, estimate = losses.scaled_error(look, windows, pixels)
        variance = losses.scaled_variance(look, windows, estimate.detach(), pixels.truth, depth=depth)
        error, variance = error[batch.usable], variance[batch.usable]
        aot = look.log_posterior.exp() @ depth
        parts = {
            "accuracy": losses.accuracy(error),
            "honesty": losses.honesty(error, variance),
            "depth": losses.depth_error(aot, batch.aot_550),
        }
        total = parts["accuracy"] + self.weights.honesty * parts["honesty"]
        total = total + self.weights.depth * parts["depth"]
        if self.weights.only == "doubt":
            total = parts["honesty"]
        inside = (error.abs() <= 1.0).float().mean()
        return Loss(total, {**parts, "in_spec_percent": 100.0 * inside})

    def finish(
        self, network: nn.Module, provenance: Mapping[str, Json]
    ) -> tuple[ModelPackage, Mapping[str, float]]:
        """Calibrated on validation worlds, and packaged."""
        network = network.cpu().eval()
        batches = max(2, min(_VALIDATION_BATCHES, self.spec.airs.validation // _VALIDATION_SIZE))
        seen = [self._validated(network, number) for number in range(batches)]
        errors = joined([part.errors for part in seen])
        inflation, residual = calibrate(errors)
        centre, inverse, threshold = domain_of(torch.cat([part.embedding for part in seen]))
        weights = {f"network.{name}": value.detach().numpy() for name, value in network.state_dict().items()}
        weights |= {"domain.centre": centre.numpy(), "domain.inverse": inverse.numpy()}
        weights |= {"noise": noise_in_orbit()}
        config = _json(self.config) | {"inflation": inflation, "residual": residual}
        config |= {"domain_threshold": threshold}
        assert set(config) == CONFIG_KEYS
        figures = _figures(seen, errors, (inflation, residual))
        package = ModelPackage(
            "correction",
            self._version(),
            "learned",
            config,
            {**provenance, **self._origin(), "figures": dict(figures), "worlds": _worlds_json(self.spec)},
            weights,
            digest="",
        )
        return package, figures

    def _validated(self, network: nn.Module, number: int) -> "_Validated":
        """One batch of whole validation windows."""
        world = self.composer("validation").compose(_VALIDATION_SIZE, seed=(self.recipe.seed, 4, number))
        windows = windows_of(world)
        chosen = torch.arange(0, world.toa[0, 0].numel(), 37)
        pixels = _some(world, chosen, torch.device("cpu"))
        depth = torch.tensor(AOT_LADDER).repeat(MODELS)
        with torch.no_grad():
            blocks = blocks_of(windows, reference=REFERENCE)
            look = network(windows, blocks)
            alone = network(without_prior(windows), blocks)
            error, estimate = losses.scaled_error(look, windows, pixels)
            state, noise = losses.variance_parts(look, windows, estimate, pixels.truth, depth=depth)
        usable = world.usable.flatten(1)[:, chosen][:, None].expand_as(error) > 0
        off, off_alone = (found.log_posterior.exp() @ depth - world.air.aot_550 for found in (look, alone))
        weight = natural_weight(world.air.aot_550, self.spec.airs)[:, None, None].expand_as(error)
        return _Validated(
            Errors(error[usable], state[usable], noise[usable], weight[usable]),
            look.embedding,
            off_alone,
            off[world.forecast[:, 0] > 0],
        )


@dataclass(frozen=True, slots=True)
class _Validated:
    """One batch of validation worlds, looked at."""

    errors: Errors
    """Of some pixels."""
    embedding: Tensor
    """(n, e)."""
    off_alone: Tensor
    """Error of the optical depth without a forecast, (n,)."""
    off_forecast: Tensor
    """With one, of the worlds that have it."""


def _figures(seen: list[_Validated], errors: Errors, calibrated: tuple[float, float]) -> dict[str, float]:
    def rmse(parts: list[Tensor]) -> float:
        return float(torch.cat(parts).square().mean().sqrt())

    inside = (errors.error.abs() <= 1.0).float()
    return {
        "in_spec_percent": float(100.0 * inside.mean()),
        "in_spec_percent_natural": float(100.0 * (inside * errors.weight).sum() / errors.weight.sum()),
        "coverage_1sigma_percent": 100.0 * errors.held(*calibrated, 1.0),
        "coverage_2sigma_percent": 100.0 * errors.held(*calibrated, 2.0),
        "aot_rmse": rmse([part.off_alone for part in seen]),
        "aot_rmse_with_forecast": rmse([part.off_forecast for part in seen]),
    }


def _some(world: World, chosen: Tensor, device: torch.device) -> Pixels:
    return Pixels(
        world.toa.flatten(2)[..., chosen].to(device), world.surface.flatten(2)[..., chosen].to(device)
    )


def _json(config: NetworkConfig) -> dict[str, Json]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}


def _worlds_json(spec: WorldSpec) -> dict[str, Json]:
    def plain(value: object) -> Json:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        return value if isinstance(value, str | int | float | bool) else str(value)

    found = plain(asdict(spec))
    return found if isinstance(found, dict) else {}


def build(recipe: Recipe, *, samples: Path | None = None) -> CorrectionTask:  # noqa: ARG001  simulated
    """The task of a recipe.

    Raises:
        ConfigError: A section of the recipe does not fit.
    """
    return CorrectionTask(recipe)
