"""Textured ground for the frozen suites: which materials lie in a scene, and how they mix pixel by pixel.

    theme --> materials (test spectra)  ............ drawn once, kept in the suite's file
    materials + seed --> shares (softmax of fractal fields) --> reflectance (band, y, x)   every evaluation

Only the second step happens when evaluating, so the suites stay what they are when the library grows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.bands import SENSORS
from undersky.datasets.design import Surface
from undersky.grid import Floats
from undersky.synth.fractal import Frame, fractal
from undersky.synth.library import CLASSES, load_library

Classes = npt.NDArray[np.uint8]

COVERS = CLASSES
"""Kinds of ground, in the order of the codes that `lay_out` returns."""

SIZE = 64
"""Pixels along each side of a scene."""
PIXEL_M = 20.0
"""Ground size of a pixel; all bands share it."""

# Theme -> class -> how many spectra of it lie in the scene, and its lead over the others in softmax units.
_LAND: tuple[dict[str, tuple[int, float]], ...] = (
    {"vegetation": (3, 0.8), "soil": (1, 0.0), "npv": (1, -0.3)},
    {"vegetation": (2, 0.2), "soil": (3, 0.3), "npv": (1, 0.0), "built": (1, -0.8)},
    {"soil": (3, 0.4), "sand": (1, 0.2), "npv": (1, -0.2), "vegetation": (1, -0.6)},
    {"built": (4, 0.5), "vegetation": (2, 0.0), "soil": (1, -0.3)},
    {"vegetation": (2, 0.2), "burnt": (2, 0.4), "soil": (1, 0.0), "npv": (1, 0.0)},
    {"vegetation": (2, 0.3), "water": (1, 0.2), "soil": (1, 0.0), "sand": (1, -0.4)},
)
_THEMES: dict[Surface, tuple[dict[str, tuple[int, float]], ...]] = {
    "land": _LAND,
    "snow": ({"snow": (3, 1.2), "soil": (1, -0.4), "vegetation": (1, -0.4)}, {"snow": (3, 0.0)}),
    "water": ({"water": (3, 0.0)},),
}

_SHARPNESS = 5.0
_PATCH_M = 640.0
_ROUGHNESS = 0.6
_SHADE_SIGMA = 0.12
_BRIGHTEST = 0.99


@dataclass(frozen=True, slots=True)
class Materials:
    """What lies in a scene, as one sensor sees it."""

    names: tuple[str, ...]
    """Of the library's spectra."""
    classes: tuple[str, ...]
    """One of the library's classes per material."""
    lead: tuple[float, ...]
    """Added to the material's field before the softmax: a positive lead covers more ground."""
    reflectance: tuple[tuple[float, ...], ...]
    """Per material, one value for each of the sensor's corrected bands."""


def draw_materials(sensor: str, surface: Surface, *, seed: int) -> Materials:
    """Spectra of the library's test half for one scene: training never saw them."""
    generator = np.random.default_rng(seed)
    themes = _THEMES[surface]
    library = load_library().where(split="test")
    chosen: list[int] = []
    lead: list[float] = []
    for surface_class, (count, ahead) in themes[generator.integers(len(themes))].items():
        members = [i for i, found in enumerate(library.classes) if found == surface_class]
        picked = generator.choice(members, min(count, len(members)), replace=False)
        chosen += [int(i) for i in picked]
        lead += [round(ahead + float(v), 3) for v in generator.normal(0.0, 0.4, len(picked))]
    taken = library.take(chosen)
    columns = [i for i, band in enumerate(SENSORS[sensor].bands) if band.is_corrected]
    values = taken.band_reflectance(sensor)[:, columns]
    rows = tuple(tuple(round(float(v), 5) for v in row) for row in values)
    return Materials(taken.names, taken.classes, tuple(lead), rows)


def lay_out(materials: Materials, *, seed: int) -> tuple[Floats, Classes]:
    """The scene's surface reflectance and what covers it.

    Args:
        materials: Of the scene.
        seed: Of its texture.

    Returns:
        Reflectance, float32 (band, y, x), and the index in COVERS of the class with the
        largest share, uint8 (y, x).
    """
    frame = Frame(SIZE, SIZE, PIXEL_M)
    shares = _shares(frame, materials.lead, seed=seed)
    shade = np.exp(_SHADE_SIGMA * fractal(frame, _PATCH_M / 4, salt=1000 * seed + 999, persistence=0.8))
    spectra = np.asarray(materials.reflectance, dtype=np.float32)
    surface = np.tensordot(spectra.T, shares, axes=1) * shade
    present = sorted(set(materials.classes))
    by_class = np.stack([shares[np.array(materials.classes) == name].sum(axis=0) for name in present])
    codes = np.array([COVERS.index(name) for name in present], dtype=np.uint8)
    return np.minimum(surface, _BRIGHTEST).astype(np.float32), codes[by_class.argmax(axis=0)]


def _shares(frame: Frame, lead: tuple[float, ...], *, seed: int) -> Floats:
    """Positive shares that sum to one at every pixel, (material, y, x)."""
    fields = [
        fractal(frame, _PATCH_M, salt=1000 * seed + index, persistence=_ROUGHNESS) + ahead
        for index, ahead in enumerate(lead)
    ]
    powers = np.exp(_SHARPNESS * (np.stack(fields) - np.max(fields, axis=0)))
    return np.asarray(powers / powers.sum(axis=0), dtype=np.float32)
