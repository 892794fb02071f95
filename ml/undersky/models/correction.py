"""The network that reads the state of the air from a window of a scene, by asking what lies below.

    window (7 bands, 64 x 64)                 hypotheses: 5 aerosol models x 8 optical depths
         |                                         |  path, transmittance, albedo of each
         +--> 64 blocks: mean, covariance ---------+
                                                   |
       per block and hypothesis:  the ground that the mean would be,
                                  how far black lies from the cloud of pixels (at 3 scales)
                 |  shared MLP, attention over the blocks
       per hypothesis:  one vector   <-- geometry, coefficients, forecast (optional)
                 |  all hypotheses side by side
             posterior (n, 40)       covariance of the state (n, 6, rank)      embedding (n, e)

Sensor and geometry reach it through the coefficients, and as five plain numbers besides, so that one network
serves all. Two
things tell the hypotheses apart. What the ground would be: a wrong one makes soils and leaves that nature
does not. And *black*: ground differs in brightness by slope, roughness and shade, so the spectra of a small
block, continued towards the dark, must come near zero reflectance in all bands at once. The first is learned,
the second is the regression intersection of Crippen (1987), said with a covariance for any mixture:

    t = (m - z)' (C + N)^-1 (m - z)      m, C mean and covariance of the block, N noise, z black under the
                                         hypothesis; small where shade explains the distance

Sources: Crippen 1987, IJRS 8(2), 253-263; shade as an endmember: Adams et al. 1986, JGR 91(B8), 8098-8112.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

ROLES = ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22")
"""The bands that Sentinel-2 and Landsat have in common, in the order of the band axis."""

WINDOW = 64
"""Pixels along each side of a whole window; any multiple of 4 blocks will do."""
BLOCK = 8
"""Pixels along each side of a block."""
MODELS = 5
"""Aerosol models."""
STATE = MODELS + 1
"""Optical depth, then the shares of the aerosol models: what the covariance speaks of."""
CONDITIONS = 5
"""Cosines of sun and view zenith, view direction along the sun, pressure over 1013 hPa, 1 for Sentinel-2."""
PRIOR = 2 + MODELS
"""1 if there is a forecast, its optical depth, its shares; all zero without."""

_LEAST_PIXELS = 16
_BLACK_SCALE = 50.0
_NOISE_SHARE = 0.2
_FLOOR = 2e-5
_STATE_SCALE = (0.1, 0.5, 0.5, 0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What decides the shape of the network."""

    width: int = 48
    """Of the vectors of a block."""
    heads: int = 8
    """Of the attention over blocks; a divisor of `width`."""
    hypothesis_width: int = 64
    """Of the vector of a hypothesis."""
    embedding: int = 128
    """Of the vector of a window."""
    rank: int = 3
    """Of the covariance of the state."""
    ladder: tuple[float, ...] = (0.0, 0.06, 0.14, 0.25, 0.4, 0.6, 0.85, 1.25)
    """Optical depths of the hypotheses that it was trained with."""

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.hypothesis_width, self.embedding, self.rank) < 1:
            raise ValueError("width, heads, hypothesis_width, embedding and rank must be positive")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a positive multiple of heads {self.heads}")


@dataclass(frozen=True, slots=True)
class Windows:
    """What the network sees of n windows."""

    toa: Tensor
    """Top-of-atmosphere reflectance, (n, band, y, x), bands as in ROLES; any value where unusable."""
    usable: Tensor
    """1 where a pixel shows the ground, (n, y, x)."""
    path: Tensor
    """Of every hypothesis, (n, hypothesis, band)."""
    transmittance: Tensor
    """(n, hypothesis, band)."""
    spherical_albedo: Tensor
    """(n, hypothesis, band)."""
    gas_transmittance: Tensor
    """(n, band)."""
    noise: Tensor
    """Variance of the measured reflectance, (n, band)."""
    conditions: Tensor
    """(n, CONDITIONS)."""
    prior: Tensor
    """(n, PRIOR)."""

    def to(self, device: torch.device) -> "Windows":
        """The same on another device."""
        return Windows(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Blocks:
    """A window as the network reads it: what is left when pixels become statistics."""

    mean: Tensor
    """Reflectance over gas transmittance, (n, block, band)."""
    black: Tensor
    """log(1 + t / 50) of the block, and of the squares of 4 and 16 around it, (n, hypothesis, block, 3)."""
    contrast: Tensor
    """Standard deviation over all bands together, (n, block)."""
    usable: Tensor
    """False where too few pixels show the ground, (n, block)."""

    def some(self, index: Tensor) -> "Blocks":
        """These blocks of every window."""
        return Blocks(
            self.mean[:, index], self.black[:, :, index], self.contrast[:, index], self.usable[:, index]
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What the network says of n windows."""

    log_posterior: Tensor
    """Of the hypotheses, (n, hypothesis); sums to one in exp."""
    factors: Tensor
    """Covariance of the state = factors @ factors.T, (n, STATE, rank)."""
    embedding: Tensor
    """Where the window lies among all windows, (n, embedding)."""


def blocks_of(windows: Windows, *, reference: int) -> Blocks:
    """The statistics of every block.

    Args:
        windows: Pixels and hypotheses; rows and columns are multiples of 4 * BLOCK.
        reference: The hypothesis that pixels are linearised under: mixing is linear in reflectance, and
            almost so in what a nearby hypothesis makes of it.
    """
    path, transmittance, albedo = windows.path, windows.transmittance, windows.spherical_albedo
    p, t, s = (value[:, reference] for value in (path, transmittance, albedo))
    y = windows.toa / windows.gas_transmittance[:, :, None, None]
    linear = (y - p[..., None, None]) / t[..., None, None]
    linear = linear / (1.0 + s[..., None, None] * linear)
    black = (path - p[:, None]) / t[:, None]
    black = black / (1.0 + s[:, None] * black)
    floor = _NOISE_SHARE * windows.noise / (windows.gas_transmittance * t) ** 2 + _FLOOR**2
    weight = _cut(windows.usable[:, None])[..., 0, :]
    level = _moments(_cut(linear), weight)
    spread = torch.diagonal(level.covariance, dim1=-2, dim2=-1).sum(-1).clamp(min=0.0).sqrt()
    usable = level.count >= _LEAST_PIXELS
    scales = [_distance(level, black, floor)]
    for factor in (2, 4):
        level = _merged(level)
        scales.append(_spread(_distance(level, black, floor), factor))
    return Blocks(
        _moments(_cut(y), weight).mean.flatten(1, 2),
        torch.stack(scales, dim=-1).flatten(2, 3),
        spread.flatten(1),
        usable.flatten(1),
    )


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of the usable pixels of every square of a grid (n, row, col)."""

    mean: Tensor
    """(n, row, col, band)."""
    covariance: Tensor
    """(n, row, col, band, band)."""
    count: Tensor
    """(n, row, col)."""


def _cut(pixels: Tensor) -> Tensor:
    """(n, band, y, x) as (n, row, col, band, pixel)."""
    n, band, rows, cols = pixels.shape
    cut = pixels.reshape(n, band, rows // BLOCK, BLOCK, cols // BLOCK, BLOCK)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(n, rows // BLOCK, cols // BLOCK, band, BLOCK * BLOCK)


def _moments(pixels: Tensor, weight: Tensor) -> _Moments:
    """Of (n, row, col, band, pixel), pixels weighing (n, row, col, pixel) each."""
    count = weight.sum(-1)
    share = (weight / count.clamp(min=1.0)[..., None])[..., None, :]
    pixels = torch.where(weight[..., None, :] > 0, pixels, 0.0)
    mean = (pixels * share).sum(-1)
    deviation = pixels - mean[..., None]
    return _Moments(mean, (deviation * share) @ deviation.transpose(-2, -1), count)


def _merged(level: _Moments) -> _Moments:
    """The moments of squares of four, each as heavy as it has pixels."""
    count = _four(level.count)
    total = count.sum(-1)
    share = count / total.clamp(min=1.0)[..., None]
    means = _four(level.mean)
    middle = (means * share[..., None]).sum(3)
    apart = means - middle[..., None, :]
    between = (apart * share[..., None]).transpose(-2, -1) @ apart
    within = (_four(level.covariance) * share[..., None, None]).sum(3)
    return _Moments(middle, within + between, total)


def _four(value: Tensor) -> Tensor:
    """(n, row, col, ...) as (n, row / 2, col / 2, 4, ...)."""
    n, rows, cols, *tail = value.shape
    cut = value.reshape(n, rows // 2, 2, cols // 2, 2, *tail).transpose(2, 3)
    return cut.reshape(n, rows // 2, cols // 2, 4, *tail)


def _distance(level: _Moments, black: Tensor, floor: Tensor) -> Tensor:
    """log(1 + t / 50) of every hypothesis at every square, (n, hypothesis, row, col)."""
    n, rows, cols, bands = level.mean.shape
    inverse = torch.linalg.inv(level.covariance + torch.diag_embed(floor)[:, None, None])
    pulled = (inverse @ level.mean[..., None])[..., 0]
    own = (pulled * level.mean).sum(-1).reshape(n, 1, -1)
    cross = black @ pulled.reshape(n, -1, bands).transpose(1, 2)
    outer = (black[..., :, None] * black[..., None, :]).flatten(2)
    square = own - 2.0 * cross + outer @ inverse.reshape(n, -1, bands * bands).transpose(1, 2)
    return torch.log1p(square.clamp(min=0.0) / _BLACK_SCALE).reshape(n, -1, rows, cols)


def _spread(value: Tensor, factor: int) -> Tensor:
    """Every square's value at each of its blocks, (n, hypothesis, row, col)."""
    return value.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


class CorrectionNetwork(nn.Module):
    """Windows in, a look at their air out; the figure is in the module's docstring."""

    depth: Tensor
    models: Tensor
    names: Tensor
    state_scale: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        bands, steps = len(ROLES), len(config.ladder)
        self.hypotheses = MODELS * steps
        self.register_buffer("depth", torch.tensor(config.ladder).repeat(MODELS), persistent=False)
        models = torch.eye(MODELS).repeat_interleave(steps, 0)
        rungs = torch.eye(steps).repeat(MODELS, 1)
        self.register_buffer("models", models, persistent=False)
        self.register_buffer("names", torch.cat([models, rungs], dim=1), persistent=False)
        width, inner = config.width, config.hypothesis_width
        self.block = nn.Sequential(nn.Linear(bands + 4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.attention = nn.Linear(width, config.heads)
        self.value = nn.Linear(width, width)
        self.about = nn.Linear(MODELS + steps + 2 * bands + 9 + CONDITIONS + PRIOR, inner)
        self.hypothesis = nn.Sequential(
            nn.Linear(width + inner, 2 * inner), nn.ReLU(), nn.Linear(2 * inner, inner), nn.ReLU()
        )
        self.narrow = nn.Linear(inner, 16)
        self.whole = nn.Sequential(
            nn.Linear(16 * self.hypotheses, 256), nn.ReLU(), nn.Linear(256, config.embedding), nn.ReLU()
        )
        self.alone = nn.Linear(inner, 1)
        self.together = nn.Linear(config.embedding, self.hypotheses)
        self.doubt = nn.Linear(config.embedding + STATE, STATE * config.rank)
        self.register_buffer("state_scale", torch.tensor(_STATE_SCALE), persistent=False)

    def forward(self, windows: Windows, blocks: Blocks) -> Look:
        """What the network says.

        Args:
            windows: The windows.
            blocks: Their statistics, by `blocks_of`; some of them are enough.
        """
        seen = self._seen(windows, blocks)
        vectors = self.hypothesis(torch.cat([seen, self.about(self._facts(windows, blocks))], dim=-1))
        embedding = self.whole(self.narrow(vectors).flatten(1))
        score = self.alone(vectors)[..., 0] + self.together(embedding)
        posterior = score.float().log_softmax(-1)
        state = torch.cat(mean_state(posterior.exp(), self.depth, self.models), dim=-1)
        doubt = self.doubt(torch.cat([embedding, state.detach()], dim=-1)).float()
        factors = doubt.reshape(-1, STATE, self.config.rank) * self.state_scale[:, None]
        return Look(posterior, factors, embedding.float())

    def _seen(self, windows: Windows, blocks: Blocks) -> Tensor:
        """What the blocks say of each hypothesis, (n, hypothesis, width)."""
        y = (blocks.mean[:, None] - windows.path[:, :, None]) / windows.transmittance[:, :, None]
        ground = y / (1.0 + windows.spherical_albedo[:, :, None] * y)
        contrast = (blocks.contrast + 0.003).log() + 3.0
        features = torch.cat(
            [
                0.7 * ((ground.clamp(min=-0.05) + 0.06).log() + 2.0),
                blocks.black - 0.8,
                contrast[:, None, :, None].expand(*ground.shape[:-1], 1),
            ],
            dim=-1,
        )
        vectors = self.block(features)
        unseen = ~blocks.usable[:, None, :, None]
        share = self.attention(vectors).masked_fill(unseen, -1e4).softmax(2)
        n, hypotheses, count, _ = vectors.shape
        values = self.value(vectors).reshape(n, hypotheses, count, self.config.heads, -1)
        return torch.einsum("nhkc,nhkcd->nhcd", share, values).flatten(2)

    def _facts(self, windows: Windows, blocks: Blocks) -> Tensor:
        """What is known of each hypothesis without its blocks, (n, hypothesis, fact)."""
        weight = blocks.usable.float() / blocks.usable.float().sum(1, keepdim=True).clamp(min=1.0)
        far = torch.einsum("nhks,nk->nhs", blocks.black, weight)
        nearest = blocks.black.masked_fill(~blocks.usable[:, None, :, None], 9.0).amin(2)
        n, hypotheses = far.shape[:2]
        shared = torch.cat([windows.conditions, windows.prior], dim=-1)
        return torch.cat(
            [
                self.names.expand(n, -1, -1),
                5.0 * windows.path,
                windows.transmittance,
                far,
                far - far.mean(1, keepdim=True),
                nearest,
                shared[:, None].expand(n, hypotheses, -1),
            ],
            dim=-1,
        )


def mean_state(posterior: Tensor, depth: Tensor, models: Tensor) -> tuple[Tensor, Tensor]:
    """Optical depth (n, 1) and shares of the aerosol models (n, MODELS) that a posterior means."""
    return (posterior @ depth)[:, None], posterior @ models


def mean_coefficients(posterior: Tensor, windows: Windows) -> tuple[Tensor, Tensor, Tensor]:
    """Path, transmittance and spherical albedo that a posterior means, each (n, band)."""
    return (
        torch.einsum("nh,nhb->nb", posterior, windows.path),
        torch.einsum("nh,nhb->nb", posterior, windows.transmittance),
        torch.einsum("nh,nhb->nb", posterior, windows.spherical_albedo),
    )


def without_prior(windows: Windows) -> Windows:
    """The same windows, nobody having forecast anything."""
    return replace(windows, prior=torch.zeros_like(windows.prior))
