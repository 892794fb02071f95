"""What the validation split says of a trained correction: how wide its sigma must be, where it is at home.

    sigma^2 = inflation^2 * state + noise + residual^2 * specification^2

The state's part comes from the network through the inversion; the residual is what no state explains (ground
that mixes otherwise, air that varies). Both are chosen so that one and two sigma hold what they should, every
world weighing as often as nature has its optical depth, not as often as training wanted it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from undersky.datasets.worlds.spec import AirSpec

ONE_SIGMA, TWO_SIGMA = 0.6827, 0.9545
"""What a Gaussian holds."""

_KEPT_IN_DOMAIN = 0.995
_ENOUGH = 40_000
_MEDIAN, _SPREAD = 0.13, 0.75
_THINNEST, _THICKEST = 0.01, 0.6


@dataclass(frozen=True, slots=True)
class Errors:
    """Of many pixels, in units of the specification, one dimension each."""

    error: Tensor
    """Estimate less truth."""
    state: Tensor
    """Variance that the network states."""
    noise: Tensor
    """Variance of the sensor's noise."""
    weight: Tensor
    """How often nature has such air, over how often the worlds have."""

    def thinned(self, count: int) -> "Errors":
        """That many of them at most, evenly."""
        step = max(1, len(self.error) // count)
        return Errors(self.error[::step], self.state[::step], self.noise[::step], self.weight[::step])

    def ratio(self, inflation: float, residual: float) -> Tensor:
        """Error over sigma."""
        return self.error / (inflation**2 * self.state + self.noise + residual**2).sqrt()

    def held(self, inflation: float, residual: float, sigmas: float) -> float:
        """Weighted share of the errors within so many sigma."""
        inside = self.ratio(inflation, residual).abs() <= sigmas
        return float((inside * self.weight).sum() / self.weight.sum())


def joined(parts: list[Errors]) -> Errors:
    """All of them."""
    names = ("error", "state", "noise", "weight")
    return Errors(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def natural_weight(aot_550: Tensor, spec: AirSpec) -> Tensor:
    """Density of the climatology (lognormal around 0.13, 0.01 to 0.6) over that of the worlds, (n,)."""
    depth = aot_550.clamp(min=1e-3)

    def lognormal(sigma: float) -> Tensor:
        z = torch.log(depth / _MEDIAN) / sigma
        density: Tensor = torch.exp(-0.5 * z**2) / (depth * sigma)
        return density

    def uniform(low: float, high: float) -> Tensor:
        inside: Tensor = ((depth >= low) & (depth <= high)).to(depth.dtype)
        return inside * math.sqrt(2.0 * math.pi) / (high - low)

    middle = 1.0 - spec.climatological - spec.thick
    worlds = (
        spec.climatological * lognormal(0.8) + spec.thick * uniform(0.6, 1.2) + middle * uniform(0.01, 0.65)
    )
    nature = lognormal(_SPREAD) * ((depth >= _THINNEST) & (depth <= _THICKEST))
    weight: Tensor = nature / worlds
    return weight


def calibrate(errors: Errors) -> tuple[float, float]:
    """Inflation and residual with which one and two sigma hold best what a Gaussian's do."""
    errors = errors.thinned(_ENOUGH)
    best = (float("inf"), 1.0, 0.0)
    for inflation in torch.logspace(-1.2, 0.5, 35).tolist():
        for residual in torch.linspace(0.0, 0.6, 31).tolist():
            one, two = (errors.held(inflation, residual, sigmas) for sigmas in (1.0, 2.0))
            best = min(best, ((one - ONE_SIGMA) ** 2 + (two - TWO_SIGMA) ** 2, inflation, residual))
    return best[1], best[2]


def domain_of(embedding: Tensor) -> tuple[Tensor, Tensor, float]:
    """Centre, inverse covariance and threshold of the squared Mahalanobis distance of what was validated on.

    Args:
        embedding: (n, e).

    Source: Lee et al. 2018, NeurIPS 31.
    """
    centre = embedding.mean(0)
    apart = embedding - centre
    covariance = apart.T @ apart / len(embedding)
    inverse = torch.linalg.inv(covariance + 1e-3 * torch.diagonal(covariance).mean() * torch.eye(len(centre)))
    distance = ((apart @ inverse) * apart).sum(-1)
    return centre, inverse, float(distance.quantile(_KEPT_IN_DOMAIN))
