"""One batch of worlds: a texture is given colours, an air is laid over it, a sensor looks.

    patches, materials --> shares of the ground --> surface reflectance
                                                        |  the air's truth, uneven over the window
                                                        |  light from around, unequal sharpness
                                                        |  clouds, calibration, noise
                                                        v
                            World: windows as the network sees them, and what lies below

What is composed depends on the generators alone: the same two seeds make the same worlds on every machine
with one number of threads.

Source: light from around, Vermote et al. 1997, IEEE TGRS 35(3), 675-686, equation 17.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip, RandomVerticalFlip
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from undersky.datasets.worlds.airs import Airs
from undersky.datasets.worlds.materials import MOST, ROLES, Materials, draw_mixture
from undersky.datasets.worlds.spec import GroundSpec
from undersky.datasets.worlds.textures import SIZE, Textures

Doubles = npt.NDArray[np.float64]

_BRIGHTEST = 0.99
_ABSENT = -99.0
_WAVELENGTH_UM = (0.443, 0.49, 0.56, 0.66, 0.865, 1.61, 2.2)
_ORBIT = (0.4, 0.8)
_CLOUD = 0.55
_EDGE = 0.04
_AROUND_PX = 8


@dataclass(frozen=True, slots=True)
class World:
    """n worlds."""

    toa: Tensor
    """What the sensor measured, (n, band, y, x), bands as in ROLES."""
    usable: Tensor
    """1 where no cloud was masked, (n, y, x)."""
    surface: Tensor
    """The ground, (n, band, y, x)."""
    noise: Tensor
    """Variance of the sensor's noise over the mean of the window, (n, band)."""
    air: Airs
    """What lies between."""
    forecast: Tensor
    """What a forecast says: 1 if there is one, optical depth, shares; zeros without, (n, 2 + model)."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Banks and distributions, ready to make worlds."""

    textures: Textures
    """Fields."""
    materials: Materials
    """Spectra."""
    airs: Airs
    """Atmospheres."""
    spec: GroundSpec
    """Distributions."""
    forecast: float = 0.4
    """Share of worlds with a forecast."""
    cols: int = SIZE
    """Columns of the textures that are used: half of them cost half."""

    def compose(self, count: int, *, seed: tuple[int, ...]) -> World:
        """That many worlds, by the seed alone; torch's global generator is left as it was."""
        chance = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(int(chance.integers(1 << 62)))
            return self._compose(count, chance)

    def _compose(self, count: int, chance: np.random.Generator) -> World:
        air = self.airs.take(torch.from_numpy(chance.integers(0, len(self.airs), count)))
        fields = self._fields(count, chance)
        surface = self._surface(fields, air, chance)
        around = self._flags(count, "adjacency", chance)
        toa = look_through(surface, air, uneven=fields[:, MOST + 1], around=around)
        toa = _unequally_sharp(toa, self._flags(count, "blurred", chance), chance)
        toa, usable = _cloud_over(toa, fields[:, MOST + 2], self._flags(count, "clouded", chance), chance)
        gain = self._flags(count, "miscalibrated", chance)[:, None] * 0.02 * torch.randn(count, len(ROLES))
        noise, toa = _measured(toa * (1.0 + gain)[..., None, None], air, chance)
        forecast = torch.cat([torch.ones(count, 1), air.forecast], dim=1)
        forecast = forecast * _column(chance.random(count) < self.forecast)[:, None]
        return World(toa, usable, surface, noise, air, forecast)

    def _fields(self, count: int, chance: np.random.Generator) -> Tensor:
        """Turned textures: MOST patches, a shade, and two more fields, (n, MOST + 3, y, x)."""
        patches = chance.integers(0, len(self.textures.patches), (count, MOST + 2))
        shades = chance.integers(0, len(self.textures.shades), (count, 1))
        bank = np.concatenate([self.textures.patches[patches], self.textures.shades[shades]], axis=1)
        fields = torch.from_numpy(bank[..., : self.cols].astype(np.float32))
        turned: Tensor = _turning()(fields)
        order = [*range(MOST), MOST + 2, MOST, MOST + 1]
        return turned[:, order]

    def _surface(self, fields: Tensor, air: Airs, chance: np.random.Generator) -> Tensor:
        count = len(air)
        which, lead = np.zeros((count, MOST), dtype=np.int64), np.full((count, MOST), _ABSENT)
        for row in range(count):
            familiar = bool(chance.random() < self.spec.familiar)
            for column, (material, ahead) in enumerate(
                draw_mixture(self.materials, chance, familiar=familiar)[:MOST]
            ):
                which[row, column], lead[row, column] = material, ahead
        spectra = self._spectra(which, air, chance)
        sharpness = _column(chance.uniform(2.5, 8.0, count))[:, None, None, None]
        shares = torch.softmax(sharpness * (fields[:, :MOST] + _column(lead)[..., None, None]), dim=1)
        ground = torch.einsum("nmb,nmyx->nbyx", spectra, shares)
        return (ground * self._brightness(fields[:, MOST], chance)).clamp(max=_BRIGHTEST)

    def _spectra(self, which: npt.NDArray[np.int64], air: Airs, chance: np.random.Generator) -> Tensor:
        """Of each material, blended within its class and a little re-coloured, (n, MOST, band)."""
        members, classes = self.materials.members, self.materials.classes
        second = np.array([[chance.choice(members[classes[one]]) for one in row] for row in which])
        blend = chance.random(which.shape) * (chance.random(which.shape) < self.spec.blended)
        table = torch.from_numpy(self.materials.reflectance)
        sensor, share = air.sensor[:, None], _column(blend)[..., None]
        first, other = table[sensor, torch.from_numpy(which)], table[sensor, torch.from_numpy(second)]
        tilt = _column(0.04 * chance.standard_normal(which.shape))[..., None] * _log_wavelength()
        level = _column(0.1 * chance.standard_normal(which.shape))[..., None]
        return ((1.0 - share) * first + share * other) * torch.exp(level + tilt)

    def _brightness(self, shade: Tensor, chance: np.random.Generator) -> Tensor:
        """The factor of slope and shadow, (n, band, y, x): the same in all bands unless tinted."""
        count = len(shade)
        sigma = _column(chance.choice(self.spec.shade_sigma, count))
        tint = self._flags(count, "tinted_shade", chance) * _column(0.12 * chance.standard_normal(count))
        slope = 1.0 + tint[:, None] * _log_wavelength()
        return torch.exp((sigma[:, None] * slope)[..., None, None] * shade[:, None])

    def _flags(self, count: int, name: str, chance: np.random.Generator) -> Tensor:
        """1 for the worlds that have what the spec gives a share of, (n,)."""
        return _column(chance.random(count) < getattr(self.spec, name))


def look_through(surface: Tensor, air: Airs, *, uneven: Tensor, around: Tensor) -> Tensor:
    """Top-of-atmosphere reflectance without noise, (n, band, y, x).

    Args:
        surface: (n, band, y, x).
        air: With its truth at both ends.
        uneven: A field of unit variance that leads from one end to the other, (n, y, x).
        around: 1 where scattered light comes from the ground around, 0 where from the pixel itself, (n,).
    """
    coarse = torch.sigmoid(1.5 * avg_pool2d(uneven[:, None], SIZE // 4))
    end = interpolate(coarse, surface.shape[-2:], mode="bilinear")
    first, second = (_seen(surface, air, end=place, around=around) for place in (0, 1))
    return torch.lerp(first, second, end)


def _seen(surface: Tensor, air: Airs, *, end: int, around: Tensor) -> Tensor:
    """The whole window as one end of the air shows it."""
    path, transmittance, albedo, gas = (air.truth[:, end, row, :, None, None] for row in range(4))
    seen = gas * path + gas * transmittance * surface / (1.0 - albedo * surface)
    chosen = around > 0
    if bool(chosen.any()):
        ground, p, t, s, g = (v[chosen] for v in (surface, path, transmittance, albedo, gas))
        beside, scattered = _around(ground), air.diffuse[chosen][..., None, None]
        arriving = torch.lerp(ground, beside, scattered.expand_as(ground))
        seen[chosen] = g * (p + t * arriving / (1.0 - s * beside))
    return seen


def _around(surface: Tensor) -> Tensor:
    """The ground's mean within about the half of a window, (n, band, y, x)."""
    coarse = avg_pool2d(surface, SIZE // 16)
    blurred = gaussian_blur2d(coarse, (9, 9), (_AROUND_PX / 4.0, _AROUND_PX / 4.0), border_type="replicate")
    return interpolate(blurred, surface.shape[-2:], mode="bilinear")


def _unequally_sharp(toa: Tensor, flags: Tensor, chance: np.random.Generator) -> Tensor:
    """Every band blurred by its own share of a 3 x 3 mean, where flagged."""
    weight = flags[:, None] * _column(chance.uniform(0.0, 0.35, (len(toa), len(ROLES))))
    chosen = flags > 0
    if not bool(chosen.any()):
        return toa
    blurred = gaussian_blur2d(toa[chosen], (3, 3), (0.8, 0.8))
    out = toa.clone()
    w = weight[chosen][..., None, None]
    out[chosen] = (1.0 - w) * toa[chosen] + w * blurred
    return out


def _cloud_over(
    toa: Tensor, field: Tensor, flags: Tensor, chance: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Clouds over the upper part of a field; their cores are masked, their thin edges are not."""
    level = _column(np.where(chance.random(len(toa)) < 0.2, -0.5, chance.uniform(0.3, 1.6, len(toa))))
    thickness = (0.6 * (field - level[:, None, None])).clamp(0.0, 1.0) * flags[:, None, None]
    white = toa + thickness[:, None] * (_CLOUD - toa)
    return white, (thickness < _EDGE).float()


def _measured(toa: Tensor, air: Airs, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The noise's variance over the mean of each window, (n, band), and the noisy pixels."""
    orbit = _column(chance.uniform(*_ORBIT, len(air)))[:, None] ** 2
    black, slope = orbit * air.noise[..., 0], orbit * air.noise[..., 1]
    variance = black[..., None, None] + slope[..., None, None] * toa.clamp(min=0.0)
    noisy = toa + variance.sqrt() * torch.randn(toa.shape)
    return air.noise[..., 0] * 0.25 + air.noise[..., 1] * 0.25 * noisy.mean((2, 3)).clamp(min=0.0), noisy


def _turning() -> Any:
    return AugmentationSequential(RandomHorizontalFlip(p=0.5), RandomVerticalFlip(p=0.5), data_keys=["input"])


def _log_wavelength() -> Tensor:
    return torch.log(torch.tensor(_WAVELENGTH_UM) / 0.8)


def _column(values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
