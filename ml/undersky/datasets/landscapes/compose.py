"""A landscape as its surface product would show it: ground, mixed pixels, what a correction leaves, noise.

    layout --> shares of materials, class by class --> reflectance of this season, hills shaded
        --> the sensor's sharpness; Sentinel-2's 20 m bands repeated onto 10 m
        --> residual error of the correction: an offset that falls with wavelength, a gain, both smooth
        --> noise

What makes it hard: spectra, season and mixing vary within every class; the split's spectra were never
seen; neighbours share materials (`mixing`). What makes it fair: no label is wrong, and every class keeps a
texture, a shape of parcel or a neighbourhood of its own. What it lacks: clouds, terrain shadow, label errors.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from undersky.bands import SENSORS
from undersky.datasets.landscapes.layout import Codes, Layout, draw_layout, rough
from undersky.datasets.landscapes.mixing import Season, shares_of
from undersky.datasets.landscapes.spectra import BANDS, Spectra, Split, band_of, load_spectra
from undersky.grid import Floats
from undersky.landcover import CLASSES
from undersky.synth.fractal import area_mean

VERSION = 1
"""Of the generator: another version makes other landscapes from the same seed."""

SENSOR_KEYS = ("S2A", "S2B", "S2C", "L8", "L9")
_WAVELENGTH_UM = np.array([0.49, 0.56, 0.66, 0.84, 1.61, 2.2, 0.704, 0.74, 0.783], dtype=np.float32)
_BRIGHTEST, _DARKEST = 1.2, -0.02
_NOISE, _NOISE_SHARE = 0.0015, 0.006
_SHADE_LIGHT = 0.012


@dataclass(frozen=True, slots=True)
class Landscape:
    """One simulated piece of ground."""

    sensor: str
    """Key of the sensor that sees it."""
    country: str
    """Kind of country."""
    season: str
    """`dormant`, `turning` or `green`."""
    reflectance: Floats
    """As a surface product holds it, (band, y, x), bands as in BANDS, NaN where the sensor has none."""
    cover: Codes
    """Position in `landcover.CLASSES`, (y, x)."""


def draw_landscape(
    split: Split, seed: tuple[int, ...], *, size: int = 64, sensor: str | None = None
) -> Landscape:
    """The landscape of this split and seed: the same on every machine.

    Args:
        split: Whose spectra it is made of; the seed is split by it too.
        seed: Any numbers.
        size: Pixels along each side, even.
        sensor: Who sees it; drawn when None, Sentinel-2 and Landsat as often.
    """
    which = ("train", "validation", "suite").index(split)
    generator = np.random.default_rng((VERSION, which, *seed))
    if sensor is None:
        sensor = SENSOR_KEYS[int(generator.choice(5, p=(0.2, 0.2, 0.1, 0.25, 0.25)))]
    layout = draw_layout(size, generator)
    season = Season.draw(generator)
    ground = _ground(layout, season, spectra=load_spectra(split, sensor), generator=generator)
    seen = _seen(ground, sensor, generator)
    for index, name in enumerate(BANDS):
        if band_of(SENSORS[sensor], name) is None:
            seen[index] = np.nan
    return Landscape(sensor, layout.country, season.name, seen, layout.cover)


def _ground(layout: Layout, season: Season, *, spectra: Spectra, generator: np.random.Generator) -> Floats:
    """True reflectance, (band, y, x)."""
    size = len(layout.cover)
    slope = np.gradient(layout.height, axis=0) + np.gradient(layout.height, axis=1)
    relief = float(generator.choice((0.0, 0.04, 0.10), p=(0.4, 0.4, 0.2)))
    shading = np.exp(relief * slope / max(float(slope.std()), 1e-6)).astype(np.float32)
    ground = np.zeros((len(BANDS), size, size), dtype=np.float32)
    regions = _clear(1.5 * rough(size, 22.0, generator))
    for code in np.unique(layout.cover):
        here = layout.cover == code
        shares = shares_of(CLASSES[code].slug, layout, season, generator)
        for kind, share in shares.items():
            one, other = _colours(spectra, kind, generator)
            mix = regions[here]
            ground[:, here] += share[here] * (one[:, None] * mix + other[:, None] * (1.0 - mix))
        lit = np.sum(list(shares.values()), axis=0)[here]
        ground[:, here] += _SHADE_LIGHT * np.maximum(1.0 - lit, 0.0)
    return ground * shading


def _clear(field: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-2.0 * field)), dtype=np.float32)


def _colours(spectra: Spectra, kind: str, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Two spectra of a kind, each blended of three and re-coloured a little, (band,); 0 where none is."""
    found = []
    for _ in range(2):
        chosen = generator.choice(spectra.members[kind], 3)
        mixed = generator.dirichlet((1.0, 1.0, 1.0)) @ spectra.reflectance[chosen]
        level, tilt = 0.06 * generator.standard_normal(2)
        factor = np.exp(level + 0.5 * tilt * np.log(_WAVELENGTH_UM / 0.8))
        found.append(np.nan_to_num(mixed * factor).astype(np.float32))
    return found[0], found[1]


def _seen(ground: Floats, sensor: str, generator: np.random.Generator) -> Floats:
    """The ground through optics, correction and detector."""
    sharpness = float(generator.uniform(0.35, 0.65))
    seen = gaussian_filter(ground, (0.0, sharpness, sharpness), mode="wrap")
    for index, name in enumerate(BANDS):
        band = band_of(SENSORS[sensor], name)
        if band is not None and SENSORS[sensor].band(band).resolution_m == 2 * _finest(sensor):
            seen[index] = area_mean(seen[index], 2).repeat(2, axis=0).repeat(2, axis=1)
    left = float(generator.normal(0.0, 0.004)) * (1.0 + 0.3 * rough(seen.shape[1], 60.0, generator))
    offset = left[None] * (_WAVELENGTH_UM / 0.49)[:, None, None] ** -1.5
    gain = 1.0 + 0.015 * generator.standard_normal((len(BANDS), 1, 1)) + 0.03 * generator.standard_normal()
    sigma = _NOISE + _NOISE_SHARE * np.abs(seen)
    noise = sigma * generator.standard_normal(seen.shape)
    return np.asarray(np.clip(seen * gain + offset + noise, _DARKEST, _BRIGHTEST), dtype=np.float32)


def _finest(sensor: str) -> int:
    return min(band.resolution_m for band in SENSORS[sensor].corrected_bands)
