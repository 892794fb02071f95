"""Spectral response functions of the sensors, on 6S's grid of 2.5 nm, and the solar spectrum 6S uses.

Provenance of the tables: data/README.md.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from undersky.errors import ConfigError

Array = npt.NDArray[np.float64]

STEP_NM = 2.5
"""6S's wavelength step; its grid is 250 + 2.5 n."""

_NEGLIGIBLE = 1e-3
_FINE_PER_STEP = 25


@dataclass(frozen=True, slots=True)
class Response:
    """One band's relative response every 2.5 nm, without gaps."""

    band: str
    """The agency's name: `B02` (Sentinel-2), `B2` (Landsat)."""
    first_nm: float
    """Wavelength of the first value, on 6S's grid."""
    values: Array
    """Relative response, peak near one, (wavelength,)."""

    @property
    def wavelength_um(self) -> Array:
        """Micrometres, (wavelength,)."""
        return np.asarray((self.first_nm + STEP_NM * np.arange(len(self.values))) / 1000.0, dtype=np.float64)


def resample(band: str, wavelength_nm: Array, response: Array) -> Response:
    """A finely measured response averaged over cells of 2.5 nm, cut below a thousandth of its peak.

    Args:
        band: Name.
        wavelength_nm: Ascending, any step, (n,).
        response: Relative response, (n,).

    Raises:
        ConfigError: Nothing of it lies inside 6S's spectrum, or it is no number somewhere.
    """
    half = STEP_NM / 2
    grid = np.arange(412.5, 2400.0 + half, STEP_NM)
    fine = (np.arange(_FINE_PER_STEP) + 0.5) / _FINE_PER_STEP * STEP_NM - half
    cells = np.interp(grid[:, None] + fine, wavelength_nm, np.maximum(response, 0.0), left=0.0, right=0.0)
    means = cells.mean(axis=1)
    kept = np.flatnonzero(means > _NEGLIGIBLE * means.max())
    if not len(kept):
        raise ConfigError(f"the response of {band} is empty between {grid[0]} and {grid[-1]} nm")
    inside = slice(kept[0], kept[-1] + 1)
    return Response(band, float(grid[kept[0]]), means[inside])


@cache
def responses(sensor: str) -> tuple[Response, ...]:
    """All reflective bands of a sensor, in the agency's order.

    Raises:
        ConfigError: No table for this sensor.
    """
    table = files("undersky.atmosphere") / "data" / "responses" / f"{sensor}.csv"
    if not table.is_file():
        raise ConfigError(f"no response functions for sensor {sensor!r}; known are S2A S2B S2C L8 L9")
    rows: dict[str, list[tuple[float, float]]] = {}
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["band"], []).append((float(row["wavelength_nm"]), float(row["response"])))
    return tuple(Response(band, pairs[0][0], np.array([v for _, v in pairs])) for band, pairs in rows.items())


@cache
def solar_spectrum() -> tuple[Array, Array]:
    """Wavelength in um and irradiance in W/m2/um as 6S prints them, 0.4125 to 2.4 um, each (wavelength,)."""
    table = files("undersky.atmosphere") / "data" / "solar_6s.csv"
    with table.open(encoding="utf-8") as file:
        pairs = [(float(r["wavelength_nm"]) / 1000.0, float(r["irradiance"])) for r in csv.DictReader(file)]
    columns = np.array(pairs).T
    return columns[0], columns[1]


def band_weights(response: Response) -> Array:
    """Response times solar irradiance, with 6S's half weight at both ends, summing to one, (wavelength,)."""
    wavelength, irradiance = solar_spectrum()
    weights = response.values * np.interp(response.wavelength_um, wavelength, irradiance)
    weights[[0, -1]] *= 0.5
    return np.asarray(weights / weights.sum())
