"""Clear air by a second radiative transfer code, so that 6S is not its own judge.

    python -m undersky.atmosphere.crosscheck --out tests/atmosphere/data/crosscheck.csv

sasktran2 solves the vector equation (three Stokes parameters, discrete ordinates) for the same optical
depth and depolarisation that 6S uses. Transmittance and albedo come from three grounds: the reflectance seen
from space is path + T rho / (1 - S rho). Aerosol is not compared: 6S does not give its phase matrices away.

sasktran2 counts the relative azimuth from forward scattering, we from backscatter: 180 degrees apart.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sasktran2

from undersky.atmosphere.features import DEPOLARISATION_FACTOR
from undersky.atmosphere.responses import Response, band_weights, responses
from undersky.atmosphere.samples import load_samples
from undersky.atmosphere.sixs import node_matrix
from undersky.atmosphere.state import pressure_at

Array = npt.NDArray[np.floating[Any]]

STREAMS = 16
_GROUNDS = (0.0, 0.3, 0.6)
_STANDARD_HPA = 1013.0
_TOP_M = 60_000.0
_SCALE_HEIGHT_M = 8_000.0
_LAYERS = 61


@dataclass(frozen=True, slots=True)
class ClearCase:
    """One clear state and one band."""

    sensor: str
    """`S2A`."""
    band: str
    """`B02`."""
    sun_zenith: float
    """Degrees."""
    view_zenith: float
    """Degrees."""
    relative_azimuth: float
    """Degrees, 0 = same side."""
    altitude_km: float
    """Of the ground."""


def cases() -> list[ClearCase]:
    """Twenty states over bands, suns, azimuths and altitudes; the same on every call."""
    generator = np.random.default_rng(2)
    bands = (("S2A", "B01"), ("S2C", "B02"), ("S2B", "B03"), ("L8", "B1"), ("L9", "B4"))
    return [
        ClearCase(
            *bands[index % len(bands)],
            sun_zenith=round(float(generator.uniform(10.0, 70.0)), 2),
            view_zenith=round(float(generator.uniform(0.0, 12.0)), 2),
            relative_azimuth=round(float(generator.uniform(0.0, 180.0)), 1),
            altitude_km=round(float(generator.uniform(0.0, 3.0)), 2) if index % 2 else 0.0,
        )
        for index in range(20)
    ]


def solve(case: ClearCase) -> tuple[float, float, float]:
    """Band means of path reflectance, two-way transmittance and spherical albedo."""
    response = _response(case)
    depth = _depth(response) * float(pressure_at(case.altitude_km)) / _STANDARD_HPA
    path, one, other = (_reflectance(case, depth, ground) for ground in _GROUNDS)
    first, second = _GROUNDS[1] / (one - path), _GROUNDS[2] / (other - path)
    # rho / (R - path) = (1 - S rho) / T is a straight line in rho
    slope = (second - first) / (_GROUNDS[2] - _GROUNDS[1])
    through = 1.0 / (first - slope * _GROUNDS[1])
    weights = band_weights(response)
    albedo = -slope * through
    return tuple(float(np.asarray(values) @ weights) for values in (path, through, albedo))  # type: ignore[return-value]  # three in, three out


def _response(case: ClearCase) -> Response:
    return next(response for response in responses(case.sensor) if response.band == case.band)


def _depth(response: Response) -> Array:
    """6S's Rayleigh optical depth at sea level over the response, (wavelength,)."""
    _, _, optics = load_samples()
    return np.asarray(np.exp(node_matrix(response.wavelength_um) @ np.log(optics.rayleigh_depth)))


def _reflectance(case: ClearCase, depth: Array, ground: float) -> Array:
    """Reflectance at the top of clear air, (wavelength,)."""
    config = sasktran2.Config()
    config.num_stokes = 3
    config.num_streams = STREAMS
    config.multiple_scatter_source = sasktran2.MultipleScatterSource.DiscreteOrdinates
    config.single_scatter_source = sasktran2.SingleScatterSource.Exact
    mu_sun = float(np.cos(np.radians(case.sun_zenith)))
    altitude = np.linspace(0.0, _TOP_M, _LAYERS)
    model = sasktran2.Geometry1D(
        cos_sza=mu_sun,
        solar_azimuth=0.0,
        earth_radius_m=6_371_000.0,
        altitude_grid_m=altitude,
        interpolation_method=sasktran2.InterpolationMethod.LinearInterpolation,
        geometry_type=sasktran2.GeometryType.PlaneParallel,
    )
    rays = sasktran2.ViewingGeometry()
    azimuth = np.radians(180.0 - case.relative_azimuth)
    rays.add_ray(
        sasktran2.GroundViewingSolar(mu_sun, azimuth, float(np.cos(np.radians(case.view_zenith))), 200_000.0)
    )
    atmosphere = sasktran2.Atmosphere(model, config, numwavel=len(depth), calculate_derivatives=False)
    _fill(atmosphere, altitude, depth)
    atmosphere.surface.albedo[:] = ground
    answer = sasktran2.Engine(config, model, rays).calculate_radiance(atmosphere)
    intensity = answer["radiance"].isel(los=0, stokes=0).to_numpy()
    return np.asarray(np.pi * intensity / mu_sun)


def _fill(atmosphere: Any, altitude: Array, depth: Array) -> None:
    """Extinction that falls with height and the Rayleigh phase matrix in Greek coefficients.

    Source: Hansen and Travis 1974, Space Science Reviews 16, 527-610, section 2.
    """
    profile = np.exp(-altitude / _SCALE_HEIGHT_M)
    profile /= np.trapezoid(profile, altitude)
    atmosphere.storage.total_extinction[:] = profile[:, None] * depth
    atmosphere.storage.ssa[:] = 1.0
    scattered = (1.0 - DEPOLARISATION_FACTOR) / (1.0 + DEPOLARISATION_FACTOR / 2.0)
    atmosphere.leg_coeff.a1[0] = 1.0
    atmosphere.leg_coeff.a1[2] = scattered / 2.0
    atmosphere.leg_coeff.a2[2] = 3.0 * scattered
    atmosphere.leg_coeff.b1[2] = np.sqrt(6.0) / 2.0 * scattered


def main(arguments: list[str] | None = None) -> None:
    """Solves all cases and writes one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    with chosen.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*ClearCase.__slots__, "path", "transmittance", "spherical_albedo"])
        for case in cases():
            values = [getattr(case, name) for name in ClearCase.__slots__]
            writer.writerow(values + [f"{value:.6f}" for value in solve(case)])


if __name__ == "__main__":
    main()
