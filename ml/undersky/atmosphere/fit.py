"""Fits the emulators of all sensors to the packed samples; deterministic, no 6S, about a minute.

    python -m undersky.atmosphere.fit

Samples become band values first (response times solar spectrum, dimmed by a typical gas column), so a new
sensor is nothing but a response function. Then every quantity is a weighted linear least-squares fit whose
weights make the error of reflectance or transmittance itself smallest.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from undersky.atmosphere import coefficients, features
from undersky.atmosphere.features import Sight
from undersky.atmosphere.optics import OPTICS_UM, SCATTERING_ANGLES
from undersky.atmosphere.phase import ThinLayer, sharpen
from undersky.atmosphere.responses import Response, band_weights, responses
from undersky.atmosphere.samples import GasSamples, Optics, ScatteringSamples, load_samples
from undersky.atmosphere.sampling import PHASE_AOT
from undersky.atmosphere.sixs import MODELS, SPECTRUM_RANGE_UM, node_matrix
from undersky.atmosphere.state import AtmosphereState, pressure_at
from undersky.atmosphere.tables import Tables, save_tables

Array = npt.NDArray[np.floating[Any]]

SENSORS = ("S2A", "S2B", "S2C", "L8", "L9")

FORWARD = 0.4
"""Share of scattering that does not dim the light; chosen by leave-one-out errors."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Belief about coefficients before any sample: high degrees are small. Chosen by leave-one-out errors."""

    decay: tuple[float, ...]
    """Per input, by how much one more degree shrinks a coefficient."""
    scale: float
    """1 sigma of the constant term."""
    noise: float
    """1 sigma of a sample, in the unit of reflectance or transmittance."""


PATH_PRIOR = Prior(decay=(0.28, 0.35, 0.21, 0.03, 0.042), scale=0.09, noise=1e-4)
SLOPE_PRIOR = Prior(decay=(0.2, 0.25, 0.03), scale=2.0, noise=4e-5)
ALBEDO_PRIOR = Prior(decay=(0.4, 0.1), scale=0.3, noise=3e-5)
GAS_PRIOR = Prior(decay=(0.6, 0.4, 0.5, 0.3), scale=2.0, noise=3e-5)
RAYLEIGH_PATH_PRIOR = Prior(decay=(0.6, 0.4, 0.3, 0.5), scale=2.0, noise=2e-5)
RAYLEIGH_SLOPE_PRIOR = Prior(decay=(0.6, 0.5), scale=2.0, noise=2e-5)
RAYLEIGH_ALBEDO_PRIOR = Prior(decay=(0.6,), scale=1.0, noise=2e-5)

_TYPICAL_SLANT_WATER = (3.0, 8.0)
_SMALLEST_DEPTH = 1e-6
_CLEAN_AOT = 0.03
_NEGLIGIBLE = 0.3


def _terms(degrees: tuple[int, ...], prior: Prior, *, budget: float = 1.0) -> Tensor:
    """Multi-indices within the budget whose coefficients the prior lets rise above the noise."""
    powers = features.exponents(degrees, budget)
    spread = prior.scale * (torch.tensor(prior.decay) ** powers).prod(dim=1)
    return powers[spread > _NEGLIGIBLE * prior.noise]


POWERS = {
    "powers_rayleigh_path": _terms((8, 3, 2, 4), RAYLEIGH_PATH_PRIOR),
    "powers_path": _terms((8, 8, 4, 2, 4), PATH_PRIOR),
    "powers_rayleigh_slope": _terms((6, 3), RAYLEIGH_SLOPE_PRIOR),
    "powers_slope": _terms((8, 8, 4), SLOPE_PRIOR),
    "powers_rayleigh_albedo": _terms((4,), RAYLEIGH_ALBEDO_PRIOR),
    "powers_albedo": _terms((8, 4), ALBEDO_PRIOR),
    "powers_gas": _terms((9, 5, 5, 3), GAS_PRIOR, budget=1.1),
}
"""Polynomial degrees per input, in the order of features.py."""


@dataclass(frozen=True, slots=True)
class BandSamples:
    """Samples of one band of one sensor, float64, (sample,)."""

    path: Tensor
    """Gas-free path reflectance."""
    transmittance: Tensor
    """Two-way, scattering only."""
    albedo: Tensor
    """Spherical albedo."""
    gas: Tensor
    """Gas transmittance, over the gas samples."""
    thin: ThinLayer
    """Straight down through a thin layer."""


@dataclass(frozen=True, slots=True)
class States:
    """Inputs of all scattering samples."""

    view: Sight
    """Geometry, (sample,)."""
    aot_550: Tensor
    """(sample,)."""
    pressure_hpa: Tensor
    """(sample,)."""
    model: Tensor
    """Index into MODELS, -1 without aerosol."""

    def only(self, chosen: Tensor) -> "States":
        """The chosen samples."""
        view = Sight(*(getattr(self.view, name)[chosen] for name in Sight.__slots__))
        return States(view, self.aot_550[chosen], self.pressure_hpa[chosen], self.model[chosen])

    def as_atmosphere(self) -> AtmosphereState[Tensor]:
        """As the emulator's functions want it; gases do not enter scattering."""
        nothing = torch.zeros_like(self.aot_550)
        return AtmosphereState(self.aot_550, nothing, nothing, self.pressure_hpa, nothing)


def states(samples: ScatteringSamples) -> States:
    """Inputs as tensors."""
    angles = (samples.sun_zenith, samples.view_zenith, samples.relative_azimuth)
    view = features.sight(*(torch.from_numpy(angle) for angle in angles))
    pressure = torch.from_numpy(pressure_at(samples.altitude_km))
    return States(
        view, torch.from_numpy(samples.aot_550), pressure, torch.from_numpy(samples.model.astype(int))
    )


def band_samples(
    response: Response, samples: ScatteringSamples, gases: GasSamples, *, optics: Optics
) -> BandSamples:
    """What 6S would print for this band, from node values and gas spectra."""
    wavelength, plain = response.wavelength_um, band_weights(response)
    first = round((wavelength[0] - SPECTRUM_RANGE_UM[0]) / 0.0025)
    spectra = gases.transmittance[:, first : first + len(wavelength)]
    weights = plain * _typical_gas(gases, spectra)
    weights /= weights.sum()
    matrix = node_matrix(wavelength).T

    def spectrum(values: Array) -> Array:
        return np.asarray(np.exp(np.log(np.maximum(values, _SMALLEST_DEPTH)) @ matrix))

    through = spectrum(samples.down) * spectrum(samples.up)
    suns = torch.from_numpy(optics.thin_sun_zenith)
    return BandSamples(
        path=torch.from_numpy(spectrum(samples.path) @ weights),
        transmittance=torch.from_numpy(through @ weights),
        albedo=torch.from_numpy(spectrum(samples.albedo) @ weights),
        gas=torch.from_numpy(spectra @ plain),
        thin=ThinLayer(suns, PHASE_AOT, torch.from_numpy(spectrum(optics.thin_path) @ weights)),
    )


def _typical_gas(gases: GasSamples, spectra: Array) -> Array:
    airmass = 1 / np.cos(np.radians(gases.sun_zenith)) + 1 / np.cos(np.radians(gases.view_zenith))
    slant = gases.water_vapour * airmass
    low, high = _TYPICAL_SLANT_WATER
    return np.asarray(np.maximum(spectra[(slant > low) & (slant < high)].mean(axis=0), 1e-6))


def solve(columns: Tensor, target: Tensor, weight: Tensor, *, powers: Tensor, prior: Prior) -> Tensor:
    """The most probable coefficients (ridge regression whose penalty grows with the degree), (term,).

    Args:
        columns: Basis functions, (term, sample).
        target: (sample,).
        weight: Turns an error of the target into one of reflectance or transmittance, (sample,).
        powers: Multi-indices of the columns, (term, input).
        prior: Penalty.
    """
    decay = torch.tensor(prior.decay, dtype=columns.dtype)
    spread = prior.scale * (decay**powers).prod(dim=1)
    scaled = columns * weight * spread[:, None]
    normal = scaled @ scaled.T + prior.noise**2 * torch.eye(len(spread), dtype=columns.dtype)
    solution: Tensor = torch.linalg.solve(normal, scaled @ (target * weight))
    return spread * solution


def optics_of(response: Response, optics: Optics) -> dict[str, Tensor]:
    """Band means of depth, albedo and phase function, without a band axis."""
    weights, log_wavelength = band_weights(response), np.log(response.wavelength_um)

    def mean(values: Array) -> Array:
        rows = np.log(values.reshape(-1, len(OPTICS_UM)))
        spectra = np.array([np.exp(np.interp(log_wavelength, np.log(OPTICS_UM), row)) for row in rows])
        return (spectra @ weights).reshape(values.shape[:-1])

    phase = mean(np.moveaxis(optics.phase_function, 1, 2))
    order = np.argsort(SCATTERING_ANGLES)
    table = [np.interp(features.PHASE_ANGLES, SCATTERING_ANGLES[order], np.log(row[order])) for row in phase]
    air = np.exp(node_matrix(response.wavelength_um) @ np.log(optics.rayleigh_depth)) @ weights
    arrays = {
        "rayleigh_depth": air,
        "aerosol_depth": mean(optics.extinction),
        "aerosol_albedo": mean(optics.single_scattering_albedo),
        "log_phase": np.array(table),
    }
    return {name: torch.tensor(array, dtype=torch.float64) for name, array in arrays.items()}


def skeleton(bands: tuple[Response, ...], optics: Optics) -> Tables:
    """Tables with all optics in place and no polynomial yet, float64."""
    parts = [optics_of(response, optics) for response in bands]
    shape = (len(bands), len(MODELS))
    empty: dict[str, Tensor] = {
        name: torch.zeros(*leading, len(POWERS[powers]), dtype=torch.float64)
        for name, powers, leading in (
            ("rayleigh_path", "powers_rayleigh_path", shape[:1]),
            ("aerosol_path", "powers_path", shape),
            ("rayleigh_slope", "powers_rayleigh_slope", shape[:1]),
            ("aerosol_slope", "powers_slope", shape),
            ("rayleigh_albedo", "powers_rayleigh_albedo", shape[:1]),
            ("aerosol_albedo_change", "powers_albedo", shape),
            ("gas", "powers_gas", shape[:1]),
        )
    }
    return Tables(
        rayleigh_depth=torch.stack([part["rayleigh_depth"] for part in parts]),
        aerosol_depth=torch.stack([part["aerosol_depth"] for part in parts], dim=1),
        aerosol_albedo=torch.stack([part["aerosol_albedo"] for part in parts], dim=1),
        forward=torch.full((len(MODELS),), FORWARD, dtype=torch.float64),
        log_phase=torch.stack([part["log_phase"] for part in parts]),
        **empty,
        **POWERS,
    )


def fit_band(tables: Tables, band: int, *, values: BandSamples, inputs: States, used: Tensor) -> None:
    """Fills one band of the tables from the samples marked in `used`."""
    clean = used & (inputs.model < 0)
    _fit_air(tables, band, values=_only(values, clean), inputs=inputs.only(clean))
    sharpen(tables, band, values.thin)
    for model in range(len(MODELS)):
        hazy = used & (inputs.model == model)
        _fit_aerosol(tables, band, model, values=_only(values, hazy), inputs=inputs.only(hazy))


def _only(values: BandSamples, chosen: Tensor) -> BandSamples:
    parts = {name: getattr(values, name)[chosen] for name in ("path", "transmittance", "albedo")}
    return replace(values, **parts)


def _fit_air(tables: Tables, band: int, *, values: BandSamples, inputs: States) -> None:
    (single, _), _ = coefficients.path_baseline(tables, band, view=inputs.view, state=inputs.as_atmosphere())
    columns = coefficients.scattering_bases(inputs.view, inputs.as_atmosphere(), tables)
    path, through = values.path.clamp(min=_SMALLEST_DEPTH), values.transmittance
    tables.rayleigh_path[band] = solve(
        columns.rayleigh_path,
        torch.log(path / single),
        path,
        powers=tables.powers_rayleigh_path,
        prior=RAYLEIGH_PATH_PRIOR,
    )
    tables.rayleigh_slope[band] = solve(
        columns.rayleigh_slope,
        torch.log(through),
        through,
        powers=tables.powers_rayleigh_slope,
        prior=RAYLEIGH_SLOPE_PRIOR,
    )
    tables.rayleigh_albedo[band] = solve(
        columns.rayleigh_albedo,
        values.albedo,
        torch.ones_like(values.albedo),
        powers=tables.powers_rayleigh_albedo,
        prior=RAYLEIGH_ALBEDO_PRIOR,
    )


def _fit_aerosol(tables: Tables, band: int, model: int, *, values: BandSamples, inputs: States) -> None:
    state, aot = inputs.as_atmosphere(), inputs.aot_550
    columns = coefficients.scattering_bases(inputs.view, state, tables)
    (single, added), scale = coefficients.path_baseline(tables, band, view=inputs.view, state=state)
    air = single * torch.exp(tables.rayleigh_path[band] @ columns.rayleigh_path)
    rest = (values.path - air - added[model]) / scale[model]
    tables.aerosol_path[band, model] = solve(
        columns.path, rest, scale[model], powers=tables.powers_path, prior=PATH_PRIOR
    )
    down, up = coefficients.slope_scales(tables, band, view=inputs.view, aot_550=aot)
    both = down[model] * columns.slopes[0] + up[model] * columns.slopes[1]
    slope = torch.log(values.transmittance) - tables.rayleigh_slope[band] @ columns.rayleigh_slope
    # 6S's own transmittance jumps by 0.001 below an optical depth of about 0.01 in the infrared
    trusted = values.transmittance * (aot / _CLEAN_AOT).clamp(max=1.0)
    tables.aerosol_slope[band, model] = solve(
        both, slope, trusted, powers=tables.powers_slope, prior=SLOPE_PRIOR
    )
    change = values.albedo - tables.rayleigh_albedo[band] @ columns.rayleigh_albedo
    tables.aerosol_albedo_change[band, model] = solve(
        columns.albedo, change / aot, aot, powers=tables.powers_albedo, prior=ALBEDO_PRIOR
    )


def path_errors(
    tables: Tables, band: int, model: int, *, values: BandSamples, inputs: States, chosen: Tensor
) -> Tensor:
    """Fitted path minus 6S's for the chosen samples, which are all of one aerosol model."""
    some = inputs.only(chosen)
    state = some.as_atmosphere()
    columns = coefficients.scattering_bases(some.view, state, tables)
    (single, added), scale = coefficients.path_baseline(tables, band, view=some.view, state=state)
    air = single * torch.exp(tables.rayleigh_path[band] @ columns.rayleigh_path)
    haze = added[model] + scale[model] * (tables.aerosol_path[band, model] @ columns.path)
    return air + haze - values.path[chosen]


def fit_gas(tables: Tables, band: int, *, values: BandSamples, gases: GasSamples) -> None:
    """Fills the gas polynomial of one band."""
    depth = -torch.log(values.gas.clamp(_SMALLEST_DEPTH, 1.0 - 1e-5))
    root = torch.sqrt(depth)
    weight = 2.0 * root * torch.exp(-depth) + _SMALLEST_DEPTH
    tables.gas[band] = solve(gas_columns(gases), root, weight, powers=tables.powers_gas, prior=GAS_PRIOR)


def gas_columns(gases: GasSamples) -> Tensor:
    """Basis of the gas polynomial over the gas samples, (term, sample)."""
    as_tensor = torch.from_numpy
    view = features.sight(
        as_tensor(gases.sun_zenith), as_tensor(gases.view_zenith), torch.zeros(len(gases.sun_zenith))
    )
    pressure = as_tensor(pressure_at(gases.altitude_km))
    inputs = features.gas_inputs(view, as_tensor(gases.water_vapour), as_tensor(gases.ozone_dobson), pressure)
    return features.basis(inputs, POWERS["powers_gas"])


def fit_sensor(sensor: str) -> Tables:
    """The tables of one sensor from all samples, float64."""
    samples, gases, optics = load_samples()
    bands = responses(sensor)
    tables, inputs = skeleton(bands, optics), states(samples)
    everything = torch.ones_like(inputs.model, dtype=torch.bool)
    for band, response in enumerate(bands):
        values = band_samples(response, samples, gases, optics=optics)
        fit_band(tables, band, values=values, inputs=inputs, used=everything)
        fit_gas(tables, band, values=values, gases=gases)
    return tables


def main(arguments: list[str] | None = None) -> None:
    """Writes one file per sensor into the package's data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("data") / "emulator")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for sensor in SENSORS:
        names = tuple(response.band for response in responses(sensor))
        save_tables(chosen.out / f"{sensor}.npz", fit_sensor(sensor), bands=names)


if __name__ == "__main__":
    main()
