"""Networks that name what every pixel shows: quality, land cover and objects are one architecture.

    values (band, y, x), NaN where missing
        --normalised, 0 where missing, presence of optional ones beside--> U-Net --> logits (class, y, x)

Every layer is local (batch norm, no attention), so that a window whose margin is cut away gives what one pass
over the whole scene gives. Land cover and objects use monai's U-Net. The quality mask runs inside every
correction, where importing monai alone would cost a tenth of a full tile's time: its body is the one below.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn

from undersky.errors import ConfigError, DataError, Reason
from undersky.models.package import Json, ModelPackage
from undersky.section import section

SEGMENTATION = "segmentation"
"""The architecture, as packages name it."""

_MOST_CHANNELS = 512
_LEAST_LEVELS = {"plain": 2, "monai": 3}
_MOST_LEVELS = 6
_MOST_INPUTS = 32
_HUGE = 1e6


@dataclass(frozen=True, slots=True)
class SegmentationConfig:
    """What a network of this architecture looks at, and what it says."""

    inputs: tuple[str, ...]
    """Common names of the bands, in order: `blue`, `swir16`."""
    classes: tuple[str, ...]
    """Names of the output channels."""
    mean: tuple[float, ...]
    """Of each input over the training split, in its own unit."""
    std: tuple[float, ...]
    """The same; positive."""
    pixel_m: float
    """Ground size of the pixels it is meant for."""
    optional: tuple[str, ...] = ()
    """Inputs that may be missing as a whole: a sensor has no such band."""
    outputs: Literal["softmax", "sigmoid"] = "softmax"
    """One class a pixel, or each by itself."""
    features: tuple[int, ...] = (16, 32, 64)
    """Width of each level; a level halves the resolution of the one before."""
    body: Literal["plain", "monai"] = "monai"
    """Whose U-Net: ours, or monai's."""
    temperature: float = 1.0
    """What logits are divided by, found on the validation split: probabilities mean what they say."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """Numbers of one model alone, such as a threshold."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.inputs) <= _MOST_INPUTS or len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"inputs: 1 to {_MOST_INPUTS}, each once")
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: at least one, each once")
        if not set(self.optional) <= set(self.inputs):
            raise ValueError("optional inputs are inputs")
        if len(self.mean) != len(self.inputs) or len(self.std) != len(self.inputs):
            raise ValueError("mean and std have a number for each input")
        if not all(value > 0 for value in (*self.std, self.temperature, self.pixel_m)):
            raise ValueError("std, temperature and pixel_m are positive")
        least = _LEAST_LEVELS[self.body]
        if not least <= len(self.features) <= _MOST_LEVELS or not all(
            1 <= width <= _MOST_CHANNELS for width in self.features
        ):
            raise ValueError(f"features: {least} to {_MOST_LEVELS} levels of 1 to {_MOST_CHANNELS} channels")

    @property
    def multiple(self) -> int:
        """Sides of what the network sees are multiples of it."""
        return 1 << (len(self.features) - 1)

    @property
    def margin(self) -> int:
        """Pixels beyond which nothing reaches the result, a multiple of `multiple`.

        At a level where a pixel spans s, two convolutions on the way down and three on the way up see s each.
        """
        reach = sum(5 << level for level in range(len(self.features)))
        return -(-reach // self.multiple) * self.multiple


class SegmentationNetwork(nn.Module):
    """Logits (n, class, y, x) of values (n, band, y, x); sides are multiples of `config.multiple`."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: SegmentationConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)
        self._optional = [config.inputs.index(name) for name in config.optional]
        planes = len(config.inputs) + len(config.optional)
        self.body = _BODIES[config.body](planes, len(config.classes), config.features)

    def forward(self, values: Tensor) -> Tensor:
        """NaN is missing: it stands for the mean."""
        present = torch.isfinite(values)
        planes = torch.where(present, (torch.nan_to_num(values) - self.mean) / self.std, 0.0)
        if self._optional:
            planes = torch.cat([planes, present[:, self._optional].to(planes.dtype)], dim=1)
        found: Tensor = self.body(planes)
        return found


class PlainUNet(nn.Module):
    r"""Two convolutions a level, halved by a stride, doubled by the nearest pixel.

    ASCII, for three levels:   x --[c c]--------------------+--[c c]-- logits
                                   \--s--[c c]------+--[c c]--/u
                                            \--s--[c c]--/u

    Source: Ronneberger et al. 2015, MICCAI, 234-241; here with batch norm and padding.
    """

    def __init__(self, planes: int, classes: int, features: tuple[int, ...]) -> None:
        super().__init__()
        widths = (planes, *features)
        self.down = nn.ModuleList(
            nn.Sequential(_conv(before, after, stride=1 if level == 0 else 2), _conv(after, after))
            for level, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.up = nn.ModuleList(
            nn.Sequential(_conv(coarse + fine, fine), _conv(fine, fine))
            for fine, coarse in reversed(list(itertools.pairwise(features)))
        )
        self.head = nn.Conv2d(features[0], classes, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Logits, of the same height and width."""
        kept: list[Tensor] = []
        for level in self.down:
            values = level(values)
            kept.append(values)
        for level, finer in zip(self.up, reversed(kept[:-1]), strict=True):
            values = level(torch.cat([nn.functional.interpolate(values, scale_factor=2.0), finer], dim=1))
        found: Tensor = self.head(values)
        return found


def _conv(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _monai(planes: int, classes: int, features: tuple[int, ...]) -> nn.Module:
    """Its first level keeps the resolution: `monai.networks.nets.UNet` halves it, and edges blur."""
    from monai.networks.nets.dynunet import DynUNet  # noqa: PLC0415  importing monai takes seconds

    return cast(
        "nn.Module",
        DynUNet(
            spatial_dims=2,
            in_channels=planes,
            out_channels=classes,
            kernel_size=(3,) * len(features),
            strides=(1,) + (2,) * (len(features) - 1),
            upsample_kernel_size=(2,) * (len(features) - 1),
            filters=features,
            norm_name="batch",
            act_name="relu",
        ),
    )


_BODIES: Mapping[str, Callable[[int, int, tuple[int, ...]], nn.Module]] = {
    "plain": PlainUNet,
    "monai": _monai,
}


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A model of this architecture, ready to look."""

    network: SegmentationNetwork
    """In evaluation mode."""

    @property
    def config(self) -> SegmentationConfig:
        """What it looks at and says."""
        return self.network.config

    @property
    def margin(self) -> int:
        """Pixels beyond which nothing reaches the result."""
        return self.config.margin

    def on_best_device(self) -> Self:
        """The same, on a GPU where this machine has one."""
        self.network.to("cuda" if torch.cuda.is_available() else "cpu")
        return self

    def probabilities(self, values: Tensor) -> Tensor:
        """Of every class, (n, class, y, x) of values (n, band, y, x), calibrated; where the values are.

        The network may stand on another device: what it looks at, a window, goes there and back.
        """
        device = next(self.network.parameters()).device
        with torch.no_grad():
            return probabilities(self.network(values.to(device)), self.config).to(values.device)


def probabilities(logits: Tensor, config: SegmentationConfig) -> Tensor:
    """Of every class, calibrated, (n, class, y, x)."""
    scaled = logits.float() / config.temperature
    return scaled.softmax(dim=1) if config.outputs == "softmax" else scaled.sigmoid()


def segmentation_package(
    name: str, version: str, network: SegmentationNetwork, provenance: Mapping[str, Json]
) -> ModelPackage:
    """The network as a package of half-precision weights.

    Args:
        name: What it is for: `quality`.
        version: Which one of them: `quality-default`.
        network: Trained, its config calibrated.
        provenance: How it was made and from what.
    """
    weights = {
        f"network.{key}": (value.half() if value.is_floating_point() else value).cpu().numpy()
        for key, value in _arrays(network).items()
    }
    return ModelPackage(
        name, version, SEGMENTATION, _plain(network.config), dict(provenance), weights, digest=""
    )


def _arrays(network: SegmentationNetwork) -> dict[str, Tensor]:
    """All that it has learned, each array once: a layer that it holds under two names has the first."""
    seen: dict[int, str] = {}
    state = network.state_dict()
    return {key: value for key, value in state.items() if seen.setdefault(value.data_ptr(), key) == key}


def build_segmenter(package: ModelPackage, name: str) -> Segmenter:
    """The model that a package holds.

    Args:
        package: Verified.
        name: What it must be for: `landcover`.

    Raises:
        DataError: `model_refused`: another model or architecture, or arrays of other names and shapes.
    """
    if (package.name, package.architecture) != (name, SEGMENTATION):
        raise _refused(package, name, f"it is a {package.architecture} model {package.name}")
    network = SegmentationNetwork(_config(package, name))
    expected = {f"network.{key}": tuple(value.shape) for key, value in _arrays(network).items()}
    found = {key: tuple(value.shape) for key, value in package.weights.items()}
    if found != expected:
        odd = sorted(set(found.items()) ^ set(expected.items()))[:3]
        raise _refused(package, name, f"arrays {odd} differ")
    arrays = {
        key.removeprefix("network."): torch.from_numpy(value.copy()) for key, value in package.weights.items()
    }
    floats = [value for value in arrays.values() if value.is_floating_point()]
    if not all(bool(torch.isfinite(value).all()) for value in floats):
        raise _refused(package, name, "some weights are not finite")
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in arrays.items()},
        strict=False,  # the names were compared: only second ones are missing
    )
    return Segmenter(network.eval())


def _config(package: ModelPackage, name: str) -> SegmentationConfig:
    try:
        config = section(SegmentationConfig, package.config, where=f"package {package.version}")
    except ConfigError as error:
        raise _refused(package, name, str(error)) from error
    if not all(abs(value) <= _HUGE for value in (*config.mean, *config.std, *config.settings.values())):
        raise _refused(package, name, "a number of its config is absurd")
    return config


def _plain(config: SegmentationConfig) -> dict[str, Json]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}


def _refused(package: ModelPackage, name: str, why: str) -> DataError:
    return DataError(
        Reason.MODEL_REFUSED,
        f"package {package.name} {package.version} is no {SEGMENTATION} model for {name}: {why}",
    )
