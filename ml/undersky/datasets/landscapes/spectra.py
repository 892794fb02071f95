"""What the classes of land cover are made of: library spectra of one split, as every sensor sees them.

    train       what a network learns from
    validation  what its temperature is chosen on
    suite       what it is scored on: the library's test half

The three share no spectrum and no twin of one (the library holds samples that were measured twice);
`worlds.leakage.refuse_shared_spectra` is the check that a training fails on.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from undersky.bands import SENSORS, Sensor
from undersky.datasets.worlds.materials import split_names
from undersky.grid import Floats
from undersky.synth.library import Library, load_library

Split = Literal["train", "validation", "suite"]

BANDS = (
    "blue", "green", "red", "nir", "swir16", "swir22", "rededge071", "rededge075", "rededge078",
)  # fmt: skip
"""Common names along the band axis of every landscape; of Landsat `nir` is `nir08`, and no red edge is."""

NEAR_INFRARED = "nir"

STUFF = ("dense", "sparse", "leafy", "dry", "soil", "sand", "roof", "street", "water", "snow")
"""Kinds of material that classes mix: `dense` are closed canopies, `sparse` open ones, `leafy` either;
`dry` is dead plant matter."""

_DENSE_LAI, _SPARSE_LAI = 4.0, 3.8
_LAI = re.compile(r"LAI-([0-9.]+)")
_STREETS = {"road", "asphalt", "parking_lot", "sidewalk", "gravel"}


@dataclass(frozen=True, slots=True)
class Spectra:
    """The materials of one split as one sensor sees them."""

    names: tuple[str, ...]
    """Of the library's spectra."""
    members: Mapping[str, tuple[int, ...]]
    """Kind of STUFF to the positions of its spectra."""
    reflectance: Floats
    """(spectrum, band), bands as in BANDS, NaN where the sensor has none."""


def band_of(sensor: Sensor, name: str) -> str | None:
    """The sensor's band for one of BANDS; None where it has none."""
    by_name = {band.common_name: band.name for band in sensor.corrected_bands}
    return by_name.get(name) or (by_name.get("nir08") if name == NEAR_INFRARED else None)


def names_of(split: Split, library: Library | None = None) -> tuple[str, ...]:
    """Names of the spectra of a split; none is a twin of one of another."""
    library = library or load_library()
    if split == "suite":
        return library.where(split="test").names
    return split_names(library)[split]


@cache
def load_spectra(split: Split, sensor_key: str) -> Spectra:
    """The materials of a split for one sensor.

    Raises:
        ConfigError: There is no such sensor.
    """
    wanted = set(names_of(split))
    library = load_library()
    chosen = library.take([i for i, name in enumerate(library.names) if name in wanted])
    sensor = SENSORS[sensor_key]
    order, table = [band.name for band in sensor.bands], chosen.band_reflectance(sensor_key)
    reflectance = np.full((len(chosen.names), len(BANDS)), np.nan, dtype=np.float32)
    for index, name in enumerate(BANDS):
        band = band_of(sensor, name)
        if band is not None:
            reflectance[:, index] = table[:, order.index(band)]
    members = {kind: tuple(_members(chosen, kind)) for kind in STUFF}
    return Spectra(chosen.names, members, reflectance)


def _members(library: Library, kind: str) -> list[int]:
    """Positions of the spectra of a kind of STUFF."""
    everything = range(len(library.names))
    name, keeps = _KINDS.get(kind, (kind, _always))
    return [i for i in everything if library.classes[i] == name and keeps(library.names[i], library.kinds[i])]


def _lai(name: str) -> float:
    """Leaf area index of a simulated canopy, from its name."""
    found = _LAI.search(name)
    return float(found[1]) if found else 0.0


def _always(name: str, kind: str) -> bool:  # noqa: ARG001  one of several tests
    return True


_KINDS: Mapping[str, tuple[str, Callable[[str, str], bool]]] = {
    "dense": ("vegetation", lambda name, _: _lai(name) > _DENSE_LAI),
    "sparse": ("vegetation", lambda name, _: _lai(name) < _SPARSE_LAI),
    "leafy": ("vegetation", _always),
    "dry": ("npv", _always),
    "roof": ("built", lambda _, kind: kind not in _STREETS),
    "street": ("built", lambda _, kind: kind in _STREETS),
}
"""Kind of STUFF to the library's class, and which of its spectra; a kind not here is a class."""
