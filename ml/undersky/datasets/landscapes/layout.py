"""Which class lies where: every class of a country has a field, and each pixel belongs to the highest.

    patch    a fractal: woods, heath, bare ground
    parcel   one number for each parcel, edges straight: fields, meadows, plots
    low      the lowest ground: lakes, rivers, sea
    shore    a band along the low ground: reeds, mangroves
    high     the highest ground: snow; `alpine` lies just below

Lengths are in pixels: at 30 m the same layout is a country with larger parcels. Fields repeat at the edges.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats
from undersky.landcover import SLUGS
from undersky.synth.fractal import Frame
from undersky.synth.parcels import Parcels, divide

Codes = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.floating[Any]]

COUNTRIES: Mapping[str, tuple[float, Mapping[str, tuple[str, float]]]] = {
    "fields": (1.2, {
        "cropland": ("parcel", 0.5), "grassland": ("patch", 0.1), "tree_cover": ("patch", -0.3),
        "built_up": ("patch", -0.9), "shrubland": ("patch", -0.9),
    }),
    "pasture": (1.0, {
        "grassland": ("patch", 0.4), "tree_cover": ("patch", 0.1), "shrubland": ("patch", 0.1),
        "cropland": ("parcel", -0.4),
    }),
    "steppe": (1.0, {
        "shrubland": ("patch", 0.3), "grassland": ("patch", 0.2), "bare": ("patch", 0.2),
        "cropland": ("parcel", -0.5),
    }),
    "town": (1.0, {
        "built_up": ("patch", 0.6), "grassland": ("patch", 0.1), "tree_cover": ("patch", 0.0),
        "bare": ("patch", -0.3), "cropland": ("parcel", -0.2),
    }),
    "lakes": (1.0, {
        "water": ("low", 0.2), "wetland": ("shore", 0.5), "grassland": ("patch", 0.0),
        "tree_cover": ("patch", 0.2),
    }),
    "delta": (1.0, {
        "water": ("low", 0.0), "wetland": ("shore", 0.6), "cropland": ("parcel", 0.4),
        "shrubland": ("patch", -0.5),
    }),
    "tropical coast": (1.3, {
        "water": ("low", 0.3), "mangroves": ("shore", 0.8), "tree_cover": ("patch", 0.1),
        "bare": ("patch", -0.3), "shrubland": ("patch", -0.2),
    }),
    "mountain": (1.0, {
        "snow_ice": ("high", 0.2), "bare": ("alpine", 0.5), "moss_lichen": ("alpine", 0.4),
        "grassland": ("patch", -0.2), "tree_cover": ("patch", 0.0),
    }),
    "tundra": (1.2, {
        "moss_lichen": ("patch", 0.5), "bare": ("patch", 0.0), "water": ("low", -0.4),
        "wetland": ("shore", 0.1), "shrubland": ("patch", 0.0), "snow_ice": ("high", -0.6),
    }),
    "desert": (0.8, {
        "bare": ("patch", 0.7), "shrubland": ("patch", 0.1), "cropland": ("parcel", -0.2),
        "built_up": ("patch", -0.4),
    }),
}  # fmt: skip
"""Kind of country to how often it is drawn, and its classes with the kind and the lead of their fields."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A divided piece of ground."""

    country: str
    """One of COUNTRIES."""
    cover: Codes
    """Position in `landcover.CLASSES`, (y, x)."""
    parcels: Parcels
    """How people divided it, whatever lies there."""
    height: Floats
    """Of about unit variance; the slope shades."""


def draw_layout(size: int, generator: np.random.Generator) -> Layout:
    """A country of size x size pixels, and what lies where in it."""
    names = list(COUNTRIES)
    weights = np.array([COUNTRIES[name][0] for name in names])
    country = names[int(generator.choice(len(names), p=weights / weights.sum()))]
    strip = float(generator.uniform(14.0, 28.0))
    salt = int(generator.integers(1 << 40))
    parcels = divide(Frame(size, size, 1.0), district_m=4.0 * strip, strip_m=strip, salt=salt)
    height = rough(size, float(generator.uniform(60.0, 100.0)), generator, slope=3.8)
    fields = []
    for kind, lead in COUNTRIES[country][1].values():
        more = float(generator.normal(0.0, 0.35))
        fields.append(lead + more + _field(kind, size, generator, parcels=parcels, height=height))
    chosen = np.argmax(np.stack(fields), axis=0)
    codes = np.array([SLUGS.index(name) for name in COUNTRIES[country][1]], dtype=np.uint8)
    return Layout(country, codes[chosen], parcels, height)


def _field(
    kind: str, size: int, generator: np.random.Generator, *, parcels: Parcels, height: Floats
) -> Floats:
    """How much a class claims each pixel, (y, x)."""
    match kind:
        case "patch":
            return rough(size, float(generator.uniform(45.0, 90.0)), generator, slope=3.7)
        case "parcel":
            level = parcels.draw(int(generator.integers(1 << 40)))
            return np.asarray(3.4 * (level - 0.5) + 0.6 * rough(size, 40.0, generator), dtype=np.float32)
        case "low":
            return np.asarray(-2.5 * height - 0.8, dtype=np.float32)
        case "shore":
            fray = 0.1 * rough(size, 20.0, generator)
            return np.asarray(1.4 - 3.0 * np.abs(height + 0.25 + fray), dtype=np.float32)
        case "high":
            return np.asarray(2.5 * height - 0.8, dtype=np.float32)
    return np.asarray(0.9 * height + 0.8 * rough(size, 60.0, generator, slope=3.7), dtype=np.float32)


def rough(size: int, length: float, generator: np.random.Generator, *, slope: float = 2.6) -> Floats:
    """A random field of unit variance that looks alike at all lengths below `length` pixels, (y, x).

    Source: spectral synthesis, Peitgen & Saupe, The Science of Fractal Images, 1988, section 2.5.
    """
    white = generator.standard_normal((size, size), dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * _filter(size, round(length, 1), slope), s=(size, size))
    field -= field.mean()
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


@cache
def _filter(size: int, length: float, slope: float) -> Floats:
    down, across = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    square = down**2 + across**2
    return np.asarray((1.0 + square * length**2) ** (-slope / 2.0), dtype=np.float32)
