"""What ground is made of: the library's training half, as every sensor sees it, and what lies together.

The library's test half belongs to the frozen suites. Of the training half a sixth is kept for validation. The
library holds some samples that were measured twice; a twin of a spectrum of another split is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np

from undersky.bands import SENSORS
from undersky.grid import Floats
from undersky.synth.library import CLASSES, Library, load_library

Split = Literal["train", "validation"]

SENSOR_KEYS = tuple(SENSORS)
"""Sensors in the order of every sensor axis."""

ROLES = ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22")
"""Common names of the bands of a world."""

TWIN = 0.005
"""Relative difference below which two spectra are one sample, measured twice."""

MOST = 8
"""Materials in one world at most."""

# class -> how many spectra of it lie together, and its lead over the others in softmax units
FAMILIAR: tuple[tuple[float, Mapping[str, tuple[int, float]]], ...] = (
    (1.0, {"vegetation": (3, 0.8), "soil": (1, 0.0), "npv": (1, -0.3)}),
    (1.0, {"vegetation": (2, 0.2), "soil": (3, 0.3), "npv": (1, 0.0), "built": (1, -0.8)}),
    (1.0, {"soil": (3, 0.4), "sand": (1, 0.2), "npv": (1, -0.2), "vegetation": (1, -0.6)}),
    (1.0, {"built": (4, 0.5), "vegetation": (2, 0.0), "soil": (1, -0.3)}),
    (1.0, {"vegetation": (2, 0.2), "burnt": (2, 0.4), "soil": (1, 0.0), "npv": (1, 0.0)}),
    (1.0, {"vegetation": (2, 0.3), "water": (1, 0.2), "soil": (1, 0.0), "sand": (1, -0.4)}),
    (0.6, {"snow": (3, 1.2), "soil": (1, -0.4), "vegetation": (1, -0.4)}),
    (0.5, {"snow": (3, 0.0)}),
    (0.6, {"water": (3, 0.0)}),
)
"""How often, and what: fields, farmland, steppe, town, burnt forest, river, snow, ice, open water."""

_ANY = {
    "soil": 0.24,
    "sand": 0.08,
    "vegetation": 0.30,
    "npv": 0.10,
    "built": 0.16,
    "burnt": 0.04,
    "water": 0.05,
    "snow": 0.03,
}


@dataclass(frozen=True, slots=True)
class Materials:
    """Spectra of one split, as band reflectances."""

    names: tuple[str, ...]
    """Of the library's spectra."""
    members: Mapping[str, tuple[int, ...]]
    """Class to the positions of its spectra."""
    classes: tuple[str, ...]
    """Class of each."""
    reflectance: Floats
    """(sensor, spectrum, band), bands as in ROLES."""


def role_bands(sensor_key: str) -> tuple[str, ...]:
    """The sensor's band for each of ROLES."""
    by_role = {band.common_name: band.name for band in SENSORS[sensor_key].bands}
    return tuple(by_role[role] for role in ROLES)


def shipped_spectra() -> Mapping[Split, tuple[str, ...]]:
    """Names of the spectra of the shipped library, by split."""
    return split_names(load_library())


def split_names(library: Library) -> Mapping[Split, tuple[str, ...]]:
    """Names of both splits: of every class a sixth, and two at least, whose hashes are lowest validate.

    Left out is whatever is a twin of a spectrum of the frozen suites, or of the other split.
    """
    suites = library.where(split="test")
    known = without_twins(library.where(split="train"), suites)
    kept = set()
    for name in CLASSES:
        ranked = sorted(known.where(name).names, key=lambda n: sha256(f"worlds {n}".encode()).hexdigest())
        kept |= set(ranked[: max(2, len(ranked) // 6)])
    validation = known.take([i for i, name in enumerate(known.names) if name in kept])
    rest = known.take([i for i, name in enumerate(known.names) if name not in kept])
    return {"train": without_twins(rest, validation).names, "validation": validation.names}


def without_twins(library: Library, others: Library) -> Library:
    """The spectra that are further than TWIN from each of the others."""
    distance = relative_distance(library, others).min(axis=1)
    return library.take([i for i in range(len(library.names)) if distance[i] >= TWIN])


def relative_distance(one: Library, other: Library) -> Floats:
    """Mean difference of every pair of spectra over the mean of the first, (one, other)."""
    apart = np.abs(one.reflectance[:, None] - other.reflectance[None]).mean(-1)
    return np.asarray(apart / one.reflectance.mean(-1)[:, None], dtype=np.float32)


def load_materials(split: Split, library: Library | None = None) -> Materials:
    """The spectra of a split; none of them lies in a frozen suite.

    Args:
        split: Which.
        library: The shipped one when None; its test half is never used.
    """
    library = library or load_library()
    wanted = set(split_names(library)[split])
    chosen = library.take([i for i, name in enumerate(library.names) if name in wanted])
    tables = []
    for key in SENSOR_KEYS:
        order = [band.name for band in SENSORS[key].bands]
        columns = [order.index(name) for name in role_bands(key)]
        tables.append(chosen.band_reflectance(key)[:, columns])
    members = {name: tuple(i for i, found in enumerate(chosen.classes) if found == name) for name in CLASSES}
    return Materials(chosen.names, members, chosen.classes, np.stack(tables))


def draw_mixture(
    materials: Materials, generator: np.random.Generator, *, familiar: bool
) -> list[tuple[int, float]]:
    """Positions of the spectra that lie in one world, each with its lead; at most MOST."""
    if familiar:
        weights = np.array([weight for weight, _ in FAMILIAR])
        kinds = FAMILIAR[int(generator.choice(len(FAMILIAR), p=weights / weights.sum()))][1]
        wanted = [(name, lead) for name, (count, lead) in kinds.items() for _ in range(count)]
    else:
        names, weights = list(_ANY), np.array(list(_ANY.values()))
        count = int(generator.integers(1, MOST + 1))
        drawn = generator.choice(len(names), count, p=weights / weights.sum())
        wanted = [(names[int(index)], 0.0) for index in drawn]
    return [
        (int(generator.choice(materials.members[name])), lead + float(generator.normal(0.0, 0.5)))
        for name, lead in wanted
    ]
