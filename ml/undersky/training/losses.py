"""What a correction is trained for: reflectance within its specification, an honest sigma, the right depth.

    z = (estimate - truth) / (0.05 truth + 0.005)         error in units of the specification

    accuracy      mean log(1 + z^2)       pulls pixels inside, lets go of the hopeless
    honesty       Gaussian likelihood of the error under the state's covariance, through the inversion
    depth         log(1 + e^2) of the optical depth's error in units of 0.03 + 0.2 depth

What is made small is their sum, by the weights of `LossConfig`.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from undersky.atmosphere.inversion import remove_atmosphere
from undersky.atmosphere.state import Coefficients
from undersky.models.correction import MODELS, Look, Windows, mean_coefficients

SPEC_SLOPE, SPEC_FLOOR = 0.05, 0.005
"""The allowed error per unit of reflectance and over black, as `evaluation.metrics` has it."""

_LARGEST = 6.0
_LEAST_VARIANCE = 0.03**2


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights of the parts."""

    honesty: float = 0.1
    """Of the likelihood."""
    depth: float = 0.1
    """Of the optical depth."""
    pixels: int = 192
    """Pixels of a window that are looked at."""
    only: Literal["everything", "doubt"] = "everything"
    """What is trained: all of the network, or how sure it is alone, what it finds staying as it is."""

    def __post_init__(self) -> None:
        if self.pixels < 1 or min(self.honesty, self.depth) < 0:
            raise ValueError("pixels must be positive and weights not negative")


@dataclass(frozen=True, slots=True)
class Pixels:
    """Some pixels of every window, before and after the atmosphere."""

    toa: Tensor
    """Measured, (n, band, pixel)."""
    truth: Tensor
    """The ground below, (n, band, pixel)."""


def atmosphere_of(look: Look, windows: Windows) -> Coefficients[Tensor]:
    """The coefficients that a look means, (n, band, 1) each."""
    path, transmittance, albedo = mean_coefficients(look.log_posterior.exp(), windows)
    outside = torch.zeros(1, dtype=torch.bool)
    gas = windows.gas_transmittance[..., None]
    return Coefficients(path[..., None], transmittance[..., None], albedo[..., None], gas, outside)


def scaled_error(look: Look, windows: Windows, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Error in units of the specification, and the estimate itself, both (n, band, pixel)."""
    estimate = remove_atmosphere(pixels.toa, atmosphere_of(look, windows))
    return (estimate - pixels.truth) / (SPEC_SLOPE * pixels.truth + SPEC_FLOOR), estimate


def scaled_variance(
    look: Look, windows: Windows, estimate: Tensor, truth: Tensor, *, depth: Tensor
) -> Tensor:
    """Variance of `scaled_error` that the look states, noise included, (n, band, pixel)."""
    state, noise = variance_parts(look, windows, estimate, truth, depth=depth)
    return state + noise + _LEAST_VARIANCE


def variance_parts(
    look: Look, windows: Windows, estimate: Tensor, truth: Tensor, *, depth: Tensor
) -> tuple[Tensor, Tensor]:
    """What the state's covariance and what the sensor's noise add to it, (n, band, pixel) each.

    Args:
        look: Posterior and covariance.
        windows: With the hypotheses.
        estimate: Reflectance where the derivatives are taken.
        truth: Reflectance that the specification is of.
        depth: The ladder's optical depths, (hypothesis,).
    """
    above = atmosphere_of(look, windows)
    change = torch.einsum("nksb,nsr->knrb", _slopes(look, windows, depth), look.factors)
    path, transmittance, albedo = (value[..., None] for value in change)
    rho = estimate[:, None]
    t, s = above.transmittance[:, None], above.spherical_albedo[:, None]
    lit = rho / (1.0 - s * rho)
    slope = -(path + lit * transmittance) / t * (1.0 - s * rho) ** 2 - albedo * rho**2
    gain = 1.0 / (above.gas_transmittance * above.transmittance)
    allowed = (SPEC_SLOPE * truth + SPEC_FLOOR) ** 2
    return (slope**2).sum(1) / allowed, windows.noise[..., None] * gain**2 / allowed


def _slopes(look: Look, windows: Windows, depth: Tensor) -> Tensor:
    """How path, transmittance and albedo answer to each part of the state, (n, 3, STATE, band).

    By depth: between the two rungs around the estimate. By share: towards the pure model at that depth.
    """
    posterior = look.log_posterior.exp()
    steps = len(depth) // MODELS
    rungs = depth[:steps]
    here = (posterior @ depth).detach()
    left = (torch.searchsorted(rungs, here.contiguous(), right=True) - 1).clamp(0, steps - 2)
    part = (here - rungs[left]) / (rungs[left + 1] - rungs[left])
    shares = posterior.reshape(-1, MODELS, steps).sum(-1)
    found = []
    for values in (windows.path, windows.transmittance, windows.spherical_albedo):
        grid = values.reshape(-1, MODELS, steps, values.shape[-1])
        index = left[:, None, None, None].expand(-1, MODELS, 1, values.shape[-1])
        low, high = (grid.gather(2, index + more)[:, :, 0] for more in (0, 1))
        pure = low + part[:, None, None] * (high - low)
        mean = torch.einsum("nm,nmb->nb", shares, pure)
        rise = torch.einsum("nm,nmb->nb", shares, high - low) / (rungs[left + 1] - rungs[left])[:, None]
        found.append(torch.cat([rise[:, None], pure - mean[:, None]], dim=1))
    return torch.stack(found, dim=1)


def accuracy(error: Tensor) -> Tensor:
    """Mean log(1 + z^2)."""
    return torch.log1p(error**2).mean()


def honesty(error: Tensor, variance: Tensor) -> Tensor:
    """Mean negative log likelihood of the errors, which are not taught by it; the far ones count as far."""
    square = (error.detach() ** 2).clamp(max=_LARGEST**2)
    return 0.5 * (variance.log() + square / variance).mean()


def depth_error(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean log(1 + e^2) of optical depths, (n,)."""
    return torch.log1p(((estimate - truth) / (0.03 + 0.2 * truth)) ** 2).mean()
