"""How ground is divided and shaded, before anything has a colour: banks of fields of about unit variance.

    patches   which material lies where: fractals, and parcels with sharp edges    (count, y, x)
    shades    brightness inside a material: slope, roughness, shadow               (count, y, x)

Lengths are in pixels, so a field is a forest at 20 m as well as a province at 90 m.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.synth.fractal import Frame, fractal
from undersky.synth.parcels import divide

Halves = npt.NDArray[np.float16]

SIZE = 64
"""Pixels along each side."""

_FRAME = Frame(SIZE, SIZE, 1.0)
_PARCELLED = 0.25
_PATCH_PX = (32.0, 32.0, 24.0, 16.0, 10.0)
_SHADE_PX = (8.0, 8.0, 5.0, 12.0)


@dataclass(frozen=True, slots=True)
class Textures:
    """Banks of fields."""

    patches: Halves
    """(count, SIZE, SIZE)."""
    shades: Halves
    """(a third of count, SIZE, SIZE)."""


def draw_textures(count: int, generator: np.random.Generator) -> Textures:
    """That many patches, and a third as many shades."""
    patches = np.stack([_patch(generator) for _ in range(count)])
    shades = np.stack([_shade(generator) for _ in range(-(-count // 3))])
    return Textures(patches.astype(np.float16), shades.astype(np.float16))


def _patch(generator: np.random.Generator) -> npt.NDArray[np.floating]:
    salt = int(generator.integers(1 << 40))
    length = float(generator.choice(_PATCH_PX))
    rough = fractal(_FRAME, length, salt=salt, persistence=float(generator.uniform(0.5, 0.75)))
    if generator.random() > _PARCELLED:
        return rough
    strip = float(generator.uniform(4.0, 14.0))
    level = divide(_FRAME, district_m=5.0 * strip, strip_m=strip, salt=salt).draw(salt + 11)
    return np.asarray(np.sqrt(12.0) * (level - 0.5) + 0.3 * rough, dtype=np.float32)


def _shade(generator: np.random.Generator) -> npt.NDArray[np.floating]:
    length = float(generator.choice(_SHADE_PX))
    salt = int(generator.integers(1 << 40))
    return fractal(_FRAME, length, salt=salt, persistence=float(generator.uniform(0.6, 0.9)))
