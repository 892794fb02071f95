"""The reflectance spectra that simulated ground is made of.

    python -m undersky.synth.library --build SPECTRA_DIR      rebuilds data/spectra.npz from earthlib's files

Provenance and licence: data/README.md. Spectra belong to `train` or `test` by a hash of their name, so that
an evaluation can stand on spectra that no training saw.
"""

import argparse
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.responses import band_weights, responses
from undersky.errors import ConfigError
from undersky.grid import Floats
from undersky.synth.water_snow import Snow, Water, snow_reflectance, water_reflectance

Split = Literal["train", "test"]

WAVELENGTH_NM: Floats = np.arange(400.0, 2451.0, 10.0, dtype=np.float32)
"""Where every spectrum is given."""

CLASSES = ("soil", "sand", "vegetation", "npv", "built", "burnt", "water", "snow")
"""Kinds of material; `npv` is dry plant matter: litter, bark, straw."""

# earthlib's LEVEL_3 -> our class and how many of its spectra are kept.
_KEPT: dict[str, tuple[str, int]] = {
    "soil": ("soil", 100),
    "dirt": ("soil", 6),
    "sand": ("sand", 20),
    "canopy": ("vegetation", 100),
    "litter": ("npv", 18),
    "bark": ("npv", 8),
    "wood": ("npv", 8),
    "npv": ("npv", 6),
    "char": ("burnt", 21),
    "asphalt": ("built", 8),
    "road": ("built", 10),
    "parking_lot": ("built", 8),
    "sidewalk": ("built", 6),
    "comp_shingle": ("built", 12),
    "wood_shingle": ("built", 5),
    "concrete_tile": ("built", 8),
    "tile": ("built", 10),
    "metal": ("built", 6),
    "gravel": ("built", 8),
}


_DARKEST = 0.001  # a measured land spectrum that touches zero has a hole, not a dark target


@dataclass(frozen=True, slots=True)
class Library:
    """Spectra with their names."""

    names: tuple[str, ...]
    """Unique."""
    classes: tuple[str, ...]
    """One of CLASSES per spectrum."""
    kinds: tuple[str, ...]
    """Finer kind: `road`, `tile`, `canopy`, `clear`, `sediment`, `fresh`."""
    reflectance: Floats
    """(spectrum, wavelength) at WAVELENGTH_NM, 0 .. 1."""

    def take(self, indices: Sequence[int]) -> "Library":
        """The spectra at these positions, in this order."""
        names, classes, kinds = (
            tuple(column[i] for i in indices) for column in (self.names, self.classes, self.kinds)
        )
        return Library(names, classes, kinds, self.reflectance[list(indices)])

    def where(
        self, surface_class: str | None = None, *, kinds: Sequence[str] = (), split: Split | None = None
    ) -> "Library":
        """The spectra of one class, of some kinds, of one split; what is not named is not asked."""
        return self.take(
            [
                i
                for i, name in enumerate(self.names)
                if (surface_class is None or self.classes[i] == surface_class)
                and (not kinds or self.kinds[i] in kinds)
                and (split is None or split_of(name) == split)
            ]
        )

    def band_reflectance(self, sensor_key: str) -> Floats:
        """Means over response times solar irradiance, (spectrum, band), bands in the sensor's order.

        Raises:
            ConfigError: No response functions for this sensor.
        """
        return np.asarray(self.reflectance @ response_matrix(sensor_key).T, dtype=np.float32)


@cache
def response_matrix(sensor_key: str) -> Floats:
    """Weights (band, wavelength) that turn a spectrum into band reflectances; rows sum to one."""
    rows = []
    for response in responses(sensor_key):
        position = (1000.0 * response.wavelength_um - float(WAVELENGTH_NM[0])) / 10.0
        left = np.clip(position.astype(int), 0, len(WAVELENGTH_NM) - 2)
        fraction, weights = position - left, band_weights(response)
        row = np.bincount(left, weights * (1.0 - fraction), minlength=len(WAVELENGTH_NM))
        rows.append(row + np.bincount(left + 1, weights * fraction, minlength=len(WAVELENGTH_NM)))
    return np.asarray(rows, dtype=np.float32)


def split_of(name: str) -> Split:
    """`test` for three names in ten, by a hash of the name alone.

    The prefix 9 is the first number that leaves between 22 and 38 % of every class for testing.
    """
    return "test" if int(sha256(f"9 {name}".encode()).hexdigest(), 16) % 10 < 3 else "train"


@cache
def load_library() -> Library:
    """The shipped spectra."""
    with (files("undersky.synth") / "data" / "spectra.npz").open("rb") as file, np.load(file) as table:
        columns = [tuple(str(v) for v in table[name]) for name in ("name", "surface_class", "kind")]
        reflectance = table["reflectance_e4"].astype(np.float32) / np.float32(1e4)
    return Library(columns[0], columns[1], columns[2], reflectance)


def modelled() -> Library:
    """Water and snow spectra over the range found in nature, by `water_snow`."""
    rows = [*_water_rows(), *_snow_rows()]
    reflectance = np.stack([row[3] for row in rows]).astype(np.float32)
    return Library(
        tuple(row[0] for row in rows),
        tuple(row[1] for row in rows),
        tuple(row[2] for row in rows),
        reflectance,
    )


_Row = tuple[str, str, str, npt.NDArray[np.float64]]


def _water_rows() -> Iterator[_Row]:
    for kind, chlorophyll, sediment, dissolved in (
        *(("clear", c, 0.2, d) for c, d in ((0.05, 0.01), (0.2, 0.02), (0.5, 0.05), (1.0, 0.1), (2.0, 0.1))),
        *(("lake", c, 1.0, d) for c, d in ((2.0, 0.3), (5.0, 0.5), (10.0, 0.8), (20.0, 1.0), (40.0, 1.5))),
        *(("dark", c, 0.5, d) for c, d in ((1.0, 2.0), (3.0, 4.0), (2.0, 6.0))),
        *(("sediment", 3.0, s, 0.3) for s in (4.0, 8.0, 15.0, 25.0, 40.0, 70.0, 120.0, 200.0)),
    ):
        water = Water(chlorophyll, sediment, dissolved)
        name = f"water chl={chlorophyll:g} sediment={sediment:g} cdom={dissolved:g}"
        yield name, "water", kind, water_reflectance(WAVELENGTH_NM.astype(np.float64), water)


def _snow_rows() -> Iterator[_Row]:
    for kind, grain, impurity in (
        *(("fresh", g, i) for g in (0.08, 0.15, 0.3) for i in (0.0, 0.3)),
        *(("old", g, i) for g in (0.6, 1.0, 2.0) for i in (0.3, 1.5)),
        *(("ice", g, i) for g in (5.0, 10.0) for i in (1.0, 4.0)),
    ):
        name = f"snow grain={grain:g}mm impurity={impurity:g}"
        yield name, "snow", kind, snow_reflectance(WAVELENGTH_NM.astype(np.float64), Snow(grain, impurity))


def measured(folder: Path) -> Library:
    """The selection from earthlib's spectra.sli, .hdr and .csv in a folder.

    Of each kind the spectra whose names hash lowest are kept: a random choice that anyone can repeat. Where
    the atmosphere is opaque and earthlib leaves a gap, the spectrum is continued by a straight line.

    Raises:
        ConfigError: The files are missing.
    """
    table, header = folder / "spectra.csv", folder / "spectra.sli.hdr"
    if not table.is_file() or not header.is_file():
        raise ConfigError(f"{folder} holds no spectra.csv and spectra.sli.hdr of earthlib 1.1.0")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wavelengths = _header_wavelengths(header.read_text(encoding="utf-8"))
    spectra = np.fromfile(folder / "spectra.sli", dtype="<f4").reshape(len(rows), len(wavelengths))
    chosen = sorted(_chosen(rows, spectra), key=lambda i: (rows[i]["LEVEL_3"], rows[i]["NAME"]))
    smooth = np.stack([np.interp(WAVELENGTH_NM, wavelengths, spectra[i]) for i in chosen])
    kinds = tuple(rows[i]["LEVEL_3"] for i in chosen)
    return Library(
        tuple(rows[i]["NAME"] for i in chosen),
        tuple(_KEPT[k][0] for k in kinds),
        kinds,
        smooth.astype(np.float32),
    )


def _header_wavelengths(header: str) -> npt.NDArray[np.float64]:
    match = re.search(r"wavelength = \{([^}]*)\}", header)
    if match is None:
        raise ConfigError("the header of earthlib's spectra names no wavelengths")
    values = np.array([float(v) for v in match.group(1).split(",")])
    return values if values.max() > 100 else 1000.0 * values


def _chosen(rows: list[dict[str, str]], spectra: npt.NDArray[np.float32]) -> Iterator[int]:
    physical = (
        np.isfinite(spectra).all(axis=1) & (spectra.min(axis=1) >= _DARKEST) & (spectra.max(axis=1) <= 1)
    )
    names = [row["NAME"] for row in rows]
    for kind, (_, count) in _KEPT.items():
        of_kind = [
            i
            for i, row in enumerate(rows)
            if row["LEVEL_3"] == kind and physical[i] and names.count(names[i]) == 1
        ]
        yield from sorted(of_kind, key=lambda i: sha256(rows[i]["NAME"].encode()).hexdigest())[:count]


def build(folder: Path, out: Path) -> Library:
    """Measured and modelled spectra together, written to `out`."""
    parts = (measured(folder), modelled())
    reflectance = np.concatenate([part.reflectance for part in parts])
    whole = Library(
        tuple(name for part in parts for name in part.names),
        tuple(name for part in parts for name in part.classes),
        tuple(name for part in parts for name in part.kinds),
        reflectance,
    )
    np.savez_compressed(
        out,
        reflectance_e4=np.round(reflectance * 1e4).astype(np.uint16),
        name=np.array(whole.names),
        surface_class=np.array(whole.classes),
        kind=np.array(whole.kinds),
    )
    return whole


def main(arguments: list[str] | None = None) -> None:
    """Rebuilds data/spectra.npz."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, required=True, metavar="SPECTRA_DIR")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data" / "spectra.npz")
    chosen = parser.parse_args(arguments)
    build(chosen.build, chosen.out)


if __name__ == "__main__":
    main()
