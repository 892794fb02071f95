"""The numbers behind one sensor's emulator, and the file they travel in.

One compressed npz per sensor, float32; `fit` writes it from samples, `Emulator.load` reads it.
"""

from dataclasses import dataclass, fields
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from undersky.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tables:
    """Coefficients of one sensor's emulator. B bands, M aerosol models, K terms (each table its own)."""

    rayleigh_depth: Tensor
    """At 1013 hPa, (B,)."""
    aerosol_depth: Tensor
    """Relative to 550 nm, (M, B)."""
    aerosol_albedo: Tensor
    """Single-scattering albedo, (M, B)."""
    forward: Tensor
    """Share of scattering that does not dim the light, (M,)."""
    log_phase: Tensor
    """Logarithm of the phase function at PHASE_ANGLES, (B, M, angle)."""
    rayleigh_path: Tensor
    """Of log(path / single scattering), (B, K)."""
    aerosol_path: Tensor
    """Of the multiple-scattering rest, (B, M, K)."""
    rayleigh_slope: Tensor
    """Of the one-way log transmittance without aerosol, (B, K)."""
    aerosol_slope: Tensor
    """What aerosol adds, over slope_scales, (B, M, K)."""
    rayleigh_albedo: Tensor
    """Of the spherical albedo without aerosol, (B, K)."""
    aerosol_albedo_change: Tensor
    """Its change per optical depth at 550 nm, (B, M, K)."""
    gas: Tensor
    """Of the square root of the gas optical depth, (B, K)."""
    powers_rayleigh_path: Tensor
    """Multi-indices, (K, input); the same for those below."""
    powers_path: Tensor
    """Of aerosol_path."""
    powers_rayleigh_slope: Tensor
    """Of rayleigh_slope."""
    powers_slope: Tensor
    """Of aerosol_slope."""
    powers_rayleigh_albedo: Tensor
    """Of rayleigh_albedo."""
    powers_albedo: Tensor
    """Of aerosol_albedo_change."""
    powers_gas: Tensor
    """Of gas."""

    def to(self, device: torch.device) -> "Tables":
        """The same tables on another device."""
        return Tables(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def save_tables(path: Path, tables: Tables, *, bands: tuple[str, ...]) -> None:
    """Writes coefficients as float32 and multi-indices as int8."""
    arrays = {}
    for field in fields(tables):
        value = getattr(tables, field.name).numpy()
        arrays[field.name] = value.astype(np.int8 if field.name.startswith("powers") else np.float32)
    np.savez_compressed(path, bands=np.array(bands), **arrays)


def load_tables(sensor: str) -> tuple[tuple[str, ...], Tables]:
    """Band names and tables shipped for a sensor.

    Raises:
        ConfigError: None are shipped.
    """
    resource = files("undersky.atmosphere") / "data" / "emulator" / f"{sensor}.npz"
    if not resource.is_file():
        raise ConfigError(f"no emulator for sensor {sensor!r}; known are S2A S2B S2C L8 L9")
    with np.load(BytesIO(resource.read_bytes()), allow_pickle=False) as stored:
        bands = tuple(str(name) for name in stored["bands"])
        tensors = {field.name: _tensor(stored[field.name]) for field in fields(Tables)}
    return bands, Tables(**tensors)


def _tensor(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Tensor:
    return torch.from_numpy(array.astype(np.int64 if array.dtype == np.int8 else np.float32))
