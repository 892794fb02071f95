"""Clouded scenes for the quality mask: ground, air, clouds, and shadows where the sun throws them.

    fields, spectra --> ground --> shadow of the cloud at p + height * tan(sun zenith) towards the sun
                                      |  air
                                      |  cloud: part reflected, part let through, by its optical thickness
                                      |  cirrus: above the vapour, so the only thing that its band sees
                                      v
               seven bands of top-of-atmosphere reflectance, and five statements about each pixel

A cloud, its shadow and the light that it lets through are one field of optical thickness, read at three
places. A pixel of a world is 10 to 90 m; sizes and heights are metres, so the same cloud is large or small,
and its shadow far or near, as in a scene. Scenes depend on the banks and the seed alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from undersky.datasets.cloudy_air import ROLES, AirBank, draw_airs
from undersky.datasets.cloudy_fields import FIELD_PX, FieldBank, draw_fields
from undersky.datasets.worlds.materials import Materials, Split, draw_mixture, load_materials

CLASSES = ("cloud", "cloud_shadow", "cirrus", "snow", "water")
"""What is said of a pixel, each yes or no; names of `Quality`'s bits, lower case."""

Doubles = npt.NDArray[np.float64]

_MATERIALS = 5
_ABSENT = -99.0
_FORWARD = 0.13
_CLOUD_REFLECTS = (0.015, 0.045)
_SHADOW_TAKES = (0.10, 0.25)
_CIRRUS_REFLECTS = (0.004, 0.010)
_THICK_CIRRUS = 0.14
_LOW_M, _HIGH_M = 3000.0, 5000.0
_AIR_SCALE_M, _VAPOUR_SCALE_M = 8000.0, 2200.0
_CIRRUS_TOP_M = 10_000.0

# Colours over blue green red nir08 swir16 swir22 cirrus, relative to the visible.
_WATER_CLOUD = (1.0, 1.0, 1.0, 0.98, 0.78, 0.58, 0.72)
_ICE_CLOUD = (1.0, 1.0, 0.99, 0.96, 0.45, 0.38, 0.80)
"""Droplets of 10 um and crystals of 40 um: King et al. 1990, J. Atmos. Sci. 47, 894; Pilewskie and Twomey
1987, Atmos. Res. 21, 113, read off their figures."""


@dataclass(frozen=True, slots=True)
class CloudySpec:
    """What the clouded scenes are like; shares are of scenes."""

    seed: int = 1
    """Of fields and airs."""
    size: int = 96
    """Pixels along each side."""
    fields: int = 24
    """In the bank, for each wavelength."""
    airs: int = 1500
    """In the bank."""
    clear: float = 0.15
    """Without clouds."""
    cirrus: float = 0.35
    """With cirrus."""
    cirrus_band: float = 0.65
    """Seen by a sensor with its cirrus band."""
    swath_edge: float = 0.12
    """Cut by the edge of the swath."""
    pixel_m: tuple[float, float] = (10.0, 90.0)
    """Smallest and largest ground size of a pixel."""

    def __post_init__(self) -> None:
        if min(self.fields, self.airs) < 4 or not 16 <= self.size <= FIELD_PX // 2:
            raise ValueError(f"at least 4 fields and airs, and a size of 16 to {FIELD_PX // 2} pixels")
        if not all(0.0 <= share <= 1.0 for share in self._shares):
            raise ValueError("clear, cirrus, cirrus_band and swath_edge are shares: 0 to 1")
        if not 0.0 < self.pixel_m[0] <= self.pixel_m[1]:
            raise ValueError("pixel_m: a smallest and a largest size, in metres")

    @property
    def _shares(self) -> tuple[float, ...]:
        return self.clear, self.cirrus, self.cirrus_band, self.swath_edge


@dataclass(frozen=True, slots=True)
class CloudyScenes:
    """Banks, ready to make scenes of one split."""

    spec: CloudySpec
    """Distributions."""
    fields: FieldBank
    """Shapes of ground and clouds."""
    airs: AirBank
    """What lies between."""
    materials: Materials
    """Spectra of the split."""

    def compose(self, count: int, *, seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """TOA reflectance of that many scenes and what is true of them, as in `Observed`."""
        seen = self.observe(count, seed=seed)
        return seen.toa, seen.statements

    def observe(self, count: int, *, seed: tuple[int, ...]) -> "Observed":
        """That many scenes, by the seed alone."""
        chance = np.random.default_rng(seed)
        air = chance.integers(0, len(self.airs.sensor), count)
        finest, coarsest = np.log(self.spec.pixel_m)
        pixel_m = np.exp(chance.uniform(finest, coarsest, count))
        azimuth = chance.uniform(0.0, 360.0, count)
        ground, snow, water = self._ground(air, chance)
        sky = self._sky(air, pixel_m, azimuth, chance=chance)
        toa = look_through(ground, sky, self.airs, air)
        toa = _measured(toa, self.airs, air, chance)
        absent = torch.from_numpy(chance.random(count) >= self.spec.cirrus_band)
        toa[absent, ROLES.index("cirrus")] = torch.nan
        said = statements(sky, snow=snow, water=water, direct=self.airs.direct_nir[air], absent=absent)
        beyond = _beyond_swath(count, self.spec, chance)[:, None]
        toa, said = (torch.where(beyond, torch.nan, part) for part in (toa, said))
        zenith = np.degrees(np.arctan(self.airs.sun_tangent[air]))
        return Observed(toa, said, self.airs.sensor[air], pixel_m, zenith, azimuth)

    def _ground(
        self, air: npt.NDArray[np.int64], chance: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Surface reflectance (n, band, y, x), and the shares of snow and water (n, y, x)."""
        count, size = len(air), self.spec.size
        which, lead = np.zeros((count, _MATERIALS), dtype=np.int64), np.full((count, _MATERIALS), _ABSENT)
        for row in range(count):
            mixture = draw_mixture(self.materials, chance, familiar=bool(chance.random() < 0.75))
            for column, (material, ahead) in enumerate(mixture[:_MATERIALS]):
                which[row, column], lead[row, column] = material, ahead
        patches = torch.from_numpy(self.fields.ground(count * (_MATERIALS + 1), size, chance))
        patches = patches.reshape(count, _MATERIALS + 1, size, size)
        sharpness = _column(chance.uniform(2.5, 9.0, count))[:, None, None, None]
        shares = torch.softmax(sharpness * (patches[:, :-1] + _column(lead)[..., None, None]), dim=1)
        spectra = self._spectra(which, air, chance)
        shade = torch.exp(
            _column(chance.choice((0.04, 0.08, 0.12, 0.18, 0.3), count))[:, None, None] * patches[:, -1]
        )
        ground = torch.einsum("nmb,nmyx->nbyx", spectra, shares) * shade[:, None]
        classes = np.array(self.materials.classes)[which]
        snow, water = (
            torch.einsum("nm,nmyx->nyx", _column(classes == name), shares) for name in ("snow", "water")
        )
        glint = _column(np.where(chance.random(count) < 0.25, chance.uniform(0.0, 0.12, count), 0.0))
        ground = ground + (glint[:, None, None] * water)[:, None]
        return ground.clamp(0.0, 0.99), snow, water

    def _spectra(
        self, which: npt.NDArray[np.int64], air: npt.NDArray[np.int64], chance: np.random.Generator
    ) -> Tensor:
        """Of each material, a little re-coloured, (n, material, band); the cirrus band sees like 1.6 um."""
        table = self.materials.reflectance[self.airs.sensor[air][:, None], which][..., 1:]
        table = np.concatenate([table, table[..., 4:5]], axis=-1)
        level = 0.18 * chance.standard_normal((*which.shape, 1))
        tilt = 0.08 * chance.standard_normal((*which.shape, 1)) * np.linspace(-1.0, 1.0, len(ROLES))
        return _column(table * np.exp(level + tilt))

    def _sky(
        self, air: npt.NDArray[np.int64], pixel_m: Doubles, azimuth: Doubles, *, chance: np.random.Generator
    ) -> "CloudySky":
        """Clouds over each scene, and the same clouds as the sun sees them."""
        rows = [
            self._one_sky(index, metres, sun_azimuth=turn, chance=chance)
            for index, metres, turn in zip(air, pixel_m, azimuth, strict=True)
        ]
        here, sunward, lit, veil = (
            torch.from_numpy(np.stack(part)) for part in list(zip(*rows, strict=True))[:4]
        )
        top_m = _column(np.array([row[4] for row in rows]))
        ice = _column(
            np.clip((top_m.numpy() - 4000.0) / 3000.0 + 0.4 * chance.standard_normal(len(air)), 0, 1)
        )
        return CloudySky(here, sunward, lit, veil, top_m, ice)

    def _one_sky(
        self, air: int, pixel_m: float, *, sun_azimuth: float, chance: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], ...]:
        """Optical thickness here, towards the sun, one step towards the sun, cirrus, and the top's height."""
        size = self.spec.size
        empty = np.zeros((size, size), dtype=np.float32)
        veil = empty
        if chance.random() < self.spec.cirrus:
            streaks = self.fields.cirrus(size, chance)
            above = np.maximum(streaks - chance.uniform(-1.5, 1.2), 0.0)
            veil = np.float32(chance.choice((0.02, 0.05, 0.1, 0.25))) * (1.0 - np.exp(-above))
        top_m = float(np.exp(chance.uniform(np.log(250.0), np.log(7000.0))))
        if chance.random() < self.spec.clear:
            return empty, empty, empty, veil.astype(np.float32), np.asarray(top_m, dtype=np.float32)
        turn, reach = np.radians(sun_azimuth), top_m * self.airs.sun_tangent[air] / pixel_m
        towards = np.array([-np.cos(turn), np.sin(turn)])
        step = np.round(max(1.0, 40.0 / pixel_m) * towards).astype(int)
        field = self.fields.clouds(
            float(np.exp(chance.uniform(np.log(400.0), np.log(9000.0)))) / pixel_m, chance
        )
        corner = chance.integers(0, FIELD_PX, 2)
        cover = float(
            chance.choice(
                (chance.uniform(0.01, 0.4), chance.uniform(0.4, 0.8), chance.uniform(0.8, 1.0)),
                p=(0.62, 0.2, 0.18),
            )
        )
        level, width = float(np.quantile(field, 1.0 - cover)), chance.uniform(0.15, 1.1)
        typical = float(chance.choice((3.0, 14.0), p=(0.4, 0.6)))
        thick = float(np.clip(np.exp(chance.normal(np.log(typical), 0.7)), 0.8, 90.0))
        halo = float(chance.choice((0.0, chance.uniform(0.0, 0.5))))

        def seen(shift: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            height = FieldBank.window(field, corner + shift, size) - level
            body = thick * np.clip(height / width, 0.0, 1.6) ** 1.3
            return np.asarray(body + halo * np.exp(np.minimum(height, 0.0) / 0.2), dtype=np.float32)

        return (
            seen(np.zeros(2, dtype=int)), seen(np.round(reach * towards).astype(int)), seen(step),
            veil.astype(np.float32), np.asarray(top_m, dtype=np.float32),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observed:
    """n scenes, and what is true of them."""

    toa: Tensor
    """TOA reflectance (n, band, y, x), bands as in ROLES, NaN where a sensor has none."""
    statements: Tensor
    """(n, class, y, x), classes as in CLASSES: 1, 0, or NaN where nobody could say."""
    sensor: npt.NDArray[np.int64]
    """Position in SENSORS, (n,)."""
    pixel_m: Doubles
    """Ground size of a pixel, (n,)."""
    sun_zenith: Doubles
    """Degrees, (n,)."""
    sun_azimuth: Doubles
    """Degrees clockwise from the first row's side, (n,)."""


def open_scenes(spec: CloudySpec, split: Split) -> CloudyScenes:
    """Scenes of a split: those to validate on have other spectra, other fields and other airs."""
    generator = np.random.default_rng([spec.seed, 0 if split == "train" else 1])
    fields = draw_fields(spec.fields, generator)
    return CloudyScenes(spec, fields, draw_airs(spec.airs, generator), load_materials(split))


@dataclass(frozen=True, slots=True)
class CloudySky:
    """What hangs over n scenes; thickness is optical thickness in the visible."""

    thickness: Tensor
    """Above each pixel, (n, y, x)."""
    sunward: Tensor
    """Between each pixel and the sun, (n, y, x)."""
    beside: Tensor
    """Of the cloud one step towards the sun: what shades a cloud's far side, (n, y, x)."""
    veil: Tensor
    """Reflectance of the cirrus, (n, y, x)."""
    top_m: Tensor
    """Height of the clouds, (n,)."""
    ice: Tensor
    """0 for droplets, 1 for crystals, (n,)."""


def reflected(thickness: Tensor) -> Tensor:
    """Share that a cloud without absorption reflects; the rest passes. Same shape.

    Two-stream: (1 - g) t / (2 + (1 - g) t), g = 0.87 for droplets.

    Source: Meador and Weaver 1980, J. Atmos. Sci. 37, 630, equation 22 for conservative scattering.
    """
    part = _FORWARD * thickness
    return part / (2.0 + part)


def look_through(ground: Tensor, sky: CloudySky, airs: AirBank, air: npt.NDArray[np.int64]) -> Tensor:
    """Top-of-atmosphere reflectance without noise, (n, band, y, x).

    Args:
        ground: Surface reflectance, (n, band, y, x).
        sky: Over it.
        airs: Bank of airs.
        air: Which of them, (n,).
    """
    path, transmittance, albedo, gas = (
        _column(field[air])[..., None, None]
        for field in (airs.path, airs.transmittance, airs.spherical_albedo, airs.gas)
    )
    direct = _column(airs.direct[air])[..., None, None]
    # the slant way through the cloud is longer, and light that leaves its sides is lost to the ground below
    lit = 1.0 - direct * reflected(1.5 * sky.sunward)[:, None]
    from_ground = transmittance * ground / (1.0 - albedo * ground) * lit
    share = reflected(sky.thickness)[:, None]
    ice = sky.ice[:, None, None, None]
    colour = (1.0 - ice) * _row(_WATER_CLOUD) + ice * _row(_ICE_CLOUD)
    shaded = torch.exp(1.2 * (share - reflected(sky.beside)[:, None])).clamp(0.45, 1.3)
    bright = (share * colour * shaded).clamp(max=1.1)
    height = sky.top_m[:, None, None, None]
    above = path * torch.exp(-height / _AIR_SCALE_M)
    # the vapour that darkens the cirrus band leaves nothing of what little air scatters there
    above[:, ROLES.index("cirrus")] = 0.0
    seen_below = (1.0 - share) * gas * (path - above + from_ground)
    toa = gas * above + _gas_above(gas, height) * (1.0 - above) * bright + seen_below
    veil = sky.veil[:, None]
    top = torch.full_like(height, _CIRRUS_TOP_M)
    return (1.0 - veil) ** 2 * toa + veil * _row(_ICE_CLOUD) * _gas_above(gas, top)


def _gas_above(gas: Tensor, height_m: Tensor) -> Tensor:
    """Gas transmittance from a height up: vapour, which darkens the cirrus band, stays below.

    The lines at 1.38 um are strong: their optical depth goes as the root of the column above
    (Goody and Yung, Atmospheric Radiation, 1989, section 4.2: the square-root law).
    """
    left = torch.ones_like(gas)
    left[:, ROLES.index("cirrus")] = torch.exp(-0.5 * height_m[:, 0] / _VAPOUR_SCALE_M)
    return gas.clamp(min=1e-6) ** left


def statements(sky: CloudySky, *, snow: Tensor, water: Tensor, direct: Doubles, absent: Tensor) -> Tensor:
    """What is true of each pixel, (n, class, y, x): 1, 0, or NaN between the two and where it is hidden.

    Args:
        sky: Over the scenes.
        snow: Share of the ground, (n, y, x).
        water: Share of the ground, (n, y, x).
        direct: Share of the near infrared light at the ground that comes straight from the sun, (n,).
        absent: True for scenes without a cirrus band, (n,): nobody can say where thin cirrus is.
    """
    share = reflected(sky.thickness)
    veil_as_cloud = (sky.veil > _THICK_CIRRUS) & (share < _CLOUD_REFLECTS[1])
    cloud = _between(share, _CLOUD_REFLECTS)
    cloud = torch.where(veil_as_cloud, torch.full_like(cloud, torch.nan), cloud)
    taken = _column(direct)[:, None, None] * reflected(1.5 * sky.sunward)
    shadow = torch.where(share > _CLOUD_REFLECTS[1], torch.zeros_like(taken), _between(taken, _SHADOW_TAKES))
    high, low = (sky.top_m[:, None, None] > _HIGH_M), (sky.top_m[:, None, None] < _LOW_M)
    cirrus = _between(sky.veil + torch.where(high, share, torch.zeros_like(share)), _CIRRUS_REFLECTS)
    # between low and high nobody calls a cloud cirrus or not; without the band nobody sees it
    unsure = (~high & ~low & (share > _CIRRUS_REFLECTS[0])) | absent[:, None, None]
    cirrus = torch.where(unsure, torch.full_like(cirrus, torch.nan), cirrus)
    hidden = share > _CLOUD_REFLECTS[1]
    ground = [
        torch.where(hidden, torch.full_like(part, torch.nan), _between(part, (0.35, 0.65)))
        for part in (snow, water)
    ]
    return torch.stack([cloud, shadow, cirrus, *ground], dim=1)


def _beyond_swath(count: int, spec: CloudySpec, chance: np.random.Generator) -> Tensor:
    """True for pixels that the sensor did not see, (n, y, x)."""
    axis = np.arange(spec.size) / spec.size - 0.5
    turn = chance.uniform(0.0, 2.0 * np.pi, count)[:, None, None]
    away = np.cos(turn) * axis[None, :, None] + np.sin(turn) * axis[None, None, :]
    edge = np.where(chance.random(count) < spec.swath_edge, chance.uniform(-0.2, 0.45, count), 9.0)
    return torch.from_numpy(away > edge[:, None, None])


def _between(values: Tensor, ends: tuple[float, float]) -> Tensor:
    """0 below the first, 1 above the second, NaN between."""
    said = (values >= ends[1]).float()
    return torch.where((values > ends[0]) & (values < ends[1]), torch.full_like(said, torch.nan), said)


def _measured(toa: Tensor, airs: AirBank, air: npt.NDArray[np.int64], chance: np.random.Generator) -> Tensor:
    """With unequal sharpness, calibration and noise."""
    blurred = avg_pool2d(torch.nn.functional.pad(toa, (1, 1, 1, 1), mode="replicate"), 3, 1)
    weight = _column(chance.uniform(0.0, 0.6, (len(air), len(ROLES))))[..., None, None]
    gain = _column(1.0 + 0.02 * chance.standard_normal((len(air), len(ROLES))))[..., None, None]
    toa = gain * torch.lerp(toa, blurred, weight)
    black, slope = (_column(airs.noise[air, :, part])[..., None, None] for part in (0, 1))
    sigma = (black + slope * toa.clamp(min=0.0)).sqrt()
    return toa + sigma * _column(chance.standard_normal(toa.shape, dtype=np.float32))


def _row(colour: tuple[float, ...]) -> Tensor:
    return torch.tensor(colour)[None, :, None, None]


def _column(values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
