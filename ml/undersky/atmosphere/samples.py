"""6S's answers as one small file inside the package, so that a refit never runs 6S.

    python -m undersky.atmosphere.samples DIR      packs the folder that `sampling` and `optics` wrote

Reflectances and transmittances are kept in steps of 2e-5, a fifth of what 6S's table resolves.
"""

import argparse
import json
from dataclasses import dataclass, fields
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.sampling import PHASE_SUN_ZENITHS, phase_jobs, read_records
from undersky.atmosphere.sixs import MODELS
from undersky.errors import ConfigError

Array = npt.NDArray[np.floating[Any]]

_STEP = 2e-5
_GAS_STEP = 1e-4
_COLUMNS = ("path", "down", "up", "albedo")


@dataclass(frozen=True, slots=True)
class ScatteringSamples:
    """Gas-free runs of 6S at NODES_UM."""

    model: npt.NDArray[np.int8]
    """Index into MODELS, -1 without aerosol, (sample,)."""
    sun_zenith: Array
    """Degrees, (sample,)."""
    view_zenith: Array
    """Degrees, (sample,)."""
    relative_azimuth: Array
    """Degrees, (sample,)."""
    aot_550: Array
    """(sample,)."""
    altitude_km: Array
    """(sample,)."""
    path: Array
    """Path reflectance, (sample, node)."""
    down: Array
    """Transmittance sun to ground, (sample, node)."""
    up: Array
    """Transmittance ground to satellite, (sample, node)."""
    albedo: Array
    """Spherical albedo, (sample, node)."""


@dataclass(frozen=True, slots=True)
class GasSamples:
    """Aerosol-free runs with gas."""

    sun_zenith: Array
    """Degrees, (sample,)."""
    view_zenith: Array
    """Degrees, (sample,)."""
    water_vapour: Array
    """g/cm2, (sample,)."""
    ozone_dobson: Array
    """Dobson units, (sample,)."""
    altitude_km: Array
    """(sample,)."""
    transmittance: Array
    """Two-way, (sample, wavelength) on the 2.5 nm grid of `run_spectrum`."""


@dataclass(frozen=True, slots=True)
class Optics:
    """6S's aerosol models; see `optics`."""

    extinction: Array
    """Relative to 550 nm, (model, wavelength)."""
    single_scattering_albedo: Array
    """(model, wavelength)."""
    phase_function: Array
    """(model, wavelength, angle)."""
    rayleigh_depth: Array
    """Of the air at 1013 hPa, (node,)."""
    thin_sun_zenith: Array
    """Suns of the runs through a thin layer, degrees, (angle,)."""
    thin_path: Array
    """Their path reflectance straight down, (model, angle, node)."""


def pack(folder: Path, out: Path) -> None:
    """Writes the compressed file from the JSON lines of a sampling folder."""
    records: list[Any] = [
        *read_records(folder / "rayleigh.jsonl"),
        *read_records(folder / "scattering.jsonl"),
    ]
    records = [record for record in records if np.isfinite([record[name] for name in _COLUMNS]).all()]
    cases: list[Any] = [record["case"] for record in records]
    arrays: dict[str, npt.NDArray[Any]] = {
        "model": np.array(
            [MODELS.index(c["aerosol"]) if c["aerosol"] in MODELS else -1 for c in cases], np.int8
        )
    }
    for name in ("sun_zenith", "view_zenith", "relative_azimuth", "aot_550", "altitude_km"):
        arrays[name] = np.array([case[name] for case in cases], np.float32)
    for name in _COLUMNS:
        values = np.array([record[name] for record in records], np.float64)
        arrays[name] = np.round(values / _STEP).astype(np.uint16)
    gas = read_records(folder / "gas.jsonl")
    gas_cases: list[Any] = [record["case"] for record in gas]
    for name in ("sun_zenith", "view_zenith", "water_vapour", "ozone_dobson", "altitude_km"):
        arrays[f"gas_{name}"] = np.array([case[name] for case in gas_cases], np.float32)
    arrays["gas_transmittance"] = np.array([record["gas_e4"] for record in gas], np.uint16)
    optics = json.loads((folder / "optics.json").read_text(encoding="utf-8"))
    arrays |= {f"optics_{name}": np.array(value, np.float32) for name, value in optics.items()}
    arrays |= _thin_layers(folder / "phase.jsonl")
    np.savez_compressed(out, allow_pickle=False, **arrays)


def _thin_layers(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Runs of `phase_jobs`, which come model by model, sun by sun."""
    records: dict[str, Any] = {str(record["key"]): record["path"] for record in read_records(path)}
    missing = [job.key for job in phase_jobs() if job.key not in records]
    if missing:
        raise ConfigError(f"{path} lacks {len(missing)} runs, the first is {missing[0]}; resume the sampling")
    paths = np.array([records[job.key] for job in phase_jobs()], np.float32)
    shape = (len(MODELS), len(PHASE_SUN_ZENITHS), -1)
    return {"optics_thin_path": paths.reshape(shape), "optics_thin_sun_zenith": PHASE_SUN_ZENITHS}


def load_samples() -> tuple[ScatteringSamples, GasSamples, Optics]:
    """The samples shipped with the package, float64.

    Raises:
        ConfigError: They were left out of this installation.
    """
    resource = files("undersky.atmosphere") / "data" / "samples.npz"
    if not resource.is_file():
        raise ConfigError("this installation has no 6S samples; make them with undersky.atmosphere.sampling")
    with np.load(BytesIO(resource.read_bytes()), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    floats = {name: array.astype(np.float64) for name, array in arrays.items()}
    floats |= {name: floats[name] * _STEP for name in _COLUMNS}
    floats["gas_transmittance"] *= _GAS_STEP
    scattering = {
        field.name: floats[field.name] for field in fields(ScatteringSamples) if field.name != "model"
    }
    return (
        ScatteringSamples(model=arrays["model"], **scattering),
        GasSamples(**{field.name: floats[f"gas_{field.name}"] for field in fields(GasSamples)}),
        Optics(**{field.name: floats[f"optics_{field.name}"] for field in fields(Optics)}),
    )


def main(arguments: list[str] | None = None) -> None:
    """Packs a folder into the package's data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("data") / "samples.npz")
    chosen = parser.parse_args(arguments)
    pack(chosen.folder, chosen.out)


if __name__ == "__main__":
    main()
