"""A verified package becomes a network of ours: names and shapes are compared, nothing in it is executed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeGuard

import torch
from torch import Tensor

from undersky.bands import SENSORS
from undersky.errors import DataError, Reason
from undersky.models.correction import ROLES, STATE, CorrectionNetwork, NetworkConfig
from undersky.models.package import LEARNED, Json, ModelPackage

CONFIG_KEYS = {field.name for field in fields(NetworkConfig)} | {"inflation", "residual", "domain_threshold"}
"""What a package of this architecture configures."""

_LARGEST = 4096
_LONGEST = 64
_HUGE = 1e30
_INNER = "network."


@dataclass(frozen=True, slots=True)
class LearnedModel:
    """The learned correction, ready to look."""

    network: CorrectionNetwork
    """In evaluation mode."""
    inflation: float
    """What the network's sigma of the state is multiplied with, found on the validation split."""
    residual: float
    """1 sigma of what no state explains, in units of the specification, found there too."""
    centre: Tensor
    """Mean embedding of what it was validated on, (e,)."""
    inverse: Tensor
    """Inverse covariance of the embeddings, (e, e)."""
    threshold: float
    """Squared Mahalanobis distance beyond which a window is out of its domain."""
    noise: Tensor
    """Variance of the sensors' noise under an overhead sun: over black, and per unit of reflectance,
    (sensor, band, 2)."""

    def noise_variance(self, sensor: str, toa: Tensor, sun_cosine: Tensor) -> Tensor:
        """Of windows of that mean reflectance (n, band) under that sun (n,), as in training."""
        black, slope = self.noise[tuple(SENSORS).index(sensor)].unbind(-1)
        return black / sun_cosine[:, None] ** 2 + slope / sun_cosine[:, None] * toa.clamp(min=0.0)

    def strangeness(self, embedding: Tensor) -> Tensor:
        """The out-of-domain score of windows, (n,): beyond 1 they are out of the domain.

        Source: Lee et al. 2018, NeurIPS 31.
        """
        apart = embedding - self.centre
        return ((apart @ self.inverse) * apart).sum(-1) / self.threshold


def build_network(package: ModelPackage) -> LearnedModel:
    """The model that a package holds.

    Raises:
        DataError: `model_refused`: another architecture, unknown or missing keys, arrays of other shapes.
    """
    if package.architecture != LEARNED or set(package.config) != CONFIG_KEYS:
        keys = sorted(set(package.config) ^ CONFIG_KEYS)
        raise _refused(package, f"architecture {package.architecture}, config keys {keys} differ")
    config = dict(package.config)
    inflation, threshold = (_positive(package, config.pop(key)) for key in ("inflation", "domain_threshold"))
    residual = _number(package, config.pop("residual"))
    shape = _config(package, config)
    _refuse_other_sizes(package, shape)
    network = CorrectionNetwork(shape)
    _refuse_other_arrays(package, network)
    arrays = {name: torch.from_numpy(value.astype("float32")) for name, value in package.weights.items()}
    if not all(bool(torch.isfinite(value).all()) for value in arrays.values()):
        raise _refused(package, "some weights are not finite")
    inner = {name.removeprefix(_INNER): v for name, v in arrays.items() if name.startswith(_INNER)}
    network.load_state_dict(inner)
    return LearnedModel(
        network.eval(),
        inflation=inflation,
        residual=residual,
        centre=arrays["domain.centre"],
        inverse=arrays["domain.inverse"],
        threshold=threshold,
        noise=arrays["noise"],
    )


def _refuse_other_sizes(package: ModelPackage, config: NetworkConfig) -> None:
    """Returns if some arrays are as large as the sizes say, so that nothing larger than the file is made."""
    told = {
        "attention.weight": (config.heads, config.width),
        "alone.weight": (1, config.hypothesis_width),
        "whole.2.bias": (config.embedding,),
        "doubt.bias": (STATE * config.rank,),
    }
    for name, wanted in told.items():
        found = package.weights.get(f"{_INNER}{name}")
        if found is None or found.shape != wanted:
            size = "missing" if found is None else found.shape
            raise _refused(package, f"array {_INNER}{name} is {size}, its sizes say {wanted}")


def _refuse_other_arrays(package: ModelPackage, network: CorrectionNetwork) -> None:
    """Returns if the arrays are those of the network."""
    embedding, inner = network.config.embedding, network.state_dict()
    expected: dict[str, tuple[int, ...]] = {f"{_INNER}{k}": tuple(v.shape) for k, v in inner.items()}
    expected |= {"domain.centre": (embedding,), "domain.inverse": (embedding, embedding)}
    expected |= {"noise": (len(SENSORS), len(ROLES), 2)}
    found = {name: tuple(value.shape) for name, value in package.weights.items()}
    if found != expected:
        raise _refused(package, f"arrays {sorted(set(found.items()) ^ set(expected.items()))[:3]} differ")
    kinds = {str(value.dtype) for value in package.weights.values()}
    if not kinds <= {"float32", "float16"}:
        raise _refused(package, f"its arrays are {' '.join(sorted(kinds))}, not float32 or float16")


def _config(package: ModelPackage, config: Mapping[str, Json]) -> NetworkConfig:
    ladder = config["ladder"]
    if not isinstance(ladder, list) or not 2 <= len(ladder) <= _LONGEST or not all(map(_is_number, ladder)):
        raise _refused(package, f"its ladder is no list of 2 to {_LONGEST} numbers")
    sizes = {key: value for key, value in config.items() if key != "ladder"}
    if odd := [key for key, value in sizes.items() if type(value) is not int or not 1 <= value <= _LARGEST]:
        raise _refused(package, f"{min(odd)} is no whole number from 1 to {_LARGEST}")
    try:
        return NetworkConfig(**sizes, ladder=tuple(ladder))  # type: ignore[arg-type]  # looked at above
    except ValueError as error:
        raise _refused(package, str(error)) from error


def _positive(package: ModelPackage, value: Json) -> float:
    if _number(package, value) == 0.0:
        raise _refused(package, "neither inflation nor domain_threshold may be zero")
    return _number(package, value)


def _number(package: ModelPackage, value: Json) -> float:
    if not _is_number(value) or not value >= 0:
        raise _refused(package, f"{value!r} is no number of zero or more")
    return float(value)


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _HUGE


def _refused(package: ModelPackage, why: str) -> DataError:
    return DataError(
        Reason.MODEL_REFUSED, f"package {package.name} {package.version} is no {LEARNED} model: {why}"
    )
