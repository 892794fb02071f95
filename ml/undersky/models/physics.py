"""The physics baseline: what is believed of the atmosphere when nobody has looked at the scene.

    python -m undersky.models.physics      rebuilds the shipped package

It is a model package like any later one. Its config holds the fixed aerosol and every stated 1-sigma, its
weights a climatology of water vapour and ozone by latitude and month.

Sources: the standard atmospheres' columns are those of 6S (Vermote et al. 2006, 6S user guide part 1,
table of atmospheric profiles after McClatchey et al. 1972); which of them stands for a latitude and month
is the table "MODTRAN model atmospheres by latitude and season" of the FLAASH user's guide, which Py6S
(Wilson 2013, Computers & Geosciences 51) uses too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from undersky.errors import DataError, Reason
from undersky.models.package import Json, ModelPackage, save_package, shipped

Floats = npt.NDArray[np.float32]

ARCHITECTURE = "physics"


@dataclass(frozen=True, slots=True)
class PhysicsConfig:
    """The baseline's beliefs; every sigma is one standard deviation, chosen wide."""

    aot_550: float = 0.1
    """Aerosol optical thickness without a prior: the reference that the learned model must beat."""
    aot_550_sigma: float = 0.12
    """Spread of the lognormal climatology (median 0.13, sigma 0.75 in ln) around that value."""
    prior_aot_sigma: float = 0.05
    """Absolute part of the error of a CAMS forecast."""
    prior_aot_sigma_relative: float = 0.3
    """Relative part of it."""
    fraction_sigma: float = 0.25
    """Of each aerosol model's share: type is nearly unknown."""
    water_vapour_sigma_relative: float = 0.5
    """Of the climatology."""
    prior_water_vapour_sigma_relative: float = 0.15
    """Of an ECMWF forecast."""
    retrieved_water_vapour_sigma_relative: float = 0.12
    """Of the B09/B8A band ratio, which sees bright ground well and dark ground badly."""
    ozone_sigma_dobson: float = 50.0
    """Of the climatology."""
    prior_ozone_sigma_dobson: float = 10.0
    """Of an ECMWF forecast."""
    assumed_altitude_m: float = 250.0
    """Ground height when no DEM, no value and no prior says it: about the median of the world's land."""
    assumed_altitude_sigma_m: float = 400.0
    """Of that assumption."""
    stated_altitude_sigma_m: float = 30.0
    """Of a DEM or a stated height."""
    prior_altitude_sigma_m: float = 150.0
    """Of a forecast model's orography, which is smooth."""


@dataclass(frozen=True, slots=True)
class Climatology:
    """Columns by month and latitude; interpolated linearly, the months in a circle."""

    latitude: Floats
    """Degrees north, ascending, (latitude,)."""
    water_vapour: Floats
    """g/cm2, (12, latitude), at mid-month."""
    ozone_dobson: Floats
    """Dobson units, (12, latitude), at mid-month."""

    def at(self, latitude: float, *, day_of_year: int) -> tuple[float, float]:
        """Water vapour (g/cm2) and ozone (Dobson units) there and then."""
        month = (day_of_year - 15.5) / 365.25 * 12.0
        early, share = int(np.floor(month)), month - np.floor(month)
        pair = [
            (1.0 - share) * np.interp(latitude, self.latitude, table[early % 12])
            + share * np.interp(latitude, self.latitude, table[(early + 1) % 12])
            for table in (self.water_vapour, self.ozone_dobson)
        ]
        return float(pair[0]), float(pair[1])


@dataclass(frozen=True, slots=True)
class PhysicsModel:
    """The baseline, ready to use."""

    config: PhysicsConfig
    """Fixed aerosol and stated sigmas."""
    climatology: Climatology
    """Water vapour and ozone where no prior says better."""


def build_physics(package: ModelPackage) -> PhysicsModel:
    """The model that a package configures.

    Raises:
        DataError: `model_refused`: another architecture, unknown or missing keys, or wrong arrays.
    """
    known = {field.name for field in fields(PhysicsConfig)}
    if package.architecture != ARCHITECTURE or set(package.config) != known:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"package {package.name} {package.version} is no {ARCHITECTURE} model of this version: "
            f"architecture {package.architecture}, config keys {sorted(set(package.config) ^ known)} differ",
        )
    weights = {name: array.astype(np.float32) for name, array in package.weights.items()}
    try:
        return PhysicsModel(PhysicsConfig(**_numbers(package.config)), Climatology(**weights))
    except TypeError as error:
        raise DataError(Reason.MODEL_REFUSED, f"package {package.name}: {error}") from error


def _numbers(config: Mapping[str, Json]) -> dict[str, float]:
    numbers = {key: value for key, value in config.items() if isinstance(value, int | float)}
    if set(numbers) != set(config):
        raise TypeError(f"{sorted(set(config) - set(numbers))} are no numbers")
    return {key: float(value) for key, value in numbers.items()}


# Water vapour (g/cm2) and ozone (Dobson units) of 6S's standard atmospheres.
_COLUMNS = {
    "T": (4.12, 247.0),  # tropical
    "MLS": (2.93, 319.0),  # mid-latitude summer
    "MLW": (0.853, 395.0),  # mid-latitude winter
    "SAS": (2.10, 480.0),  # sub-arctic summer
    "SAW": (0.419, 480.0),  # sub-arctic winter
}
_TABLE_MONTHS = (1, 3, 5, 7, 9, 11)
_TABLE = """
 80 SAW SAW SAW MLW MLW SAW
 70 SAW SAW MLW MLW MLW SAW
 60 MLW MLW MLW SAS SAS MLW
 50 MLW MLW SAS SAS SAS SAS
 40 SAS SAS SAS MLS MLS SAS
 30 MLS MLS MLS T T MLS
 20 T T T T T T
 10 T T T T T T
  0 T T T T T T
-10 T T T T T T
-20 T T T MLS MLS T
-30 MLS MLS MLS MLS MLS MLS
-40 SAS SAS SAS SAS SAS SAS
-50 SAS SAS SAS MLW MLW SAS
-60 MLW MLW MLW MLW MLW MLW
-70 MLW MLW MLW MLW MLW MLW
-80 MLW MLW MLW SAW MLW MLW
"""


def standard_climatology() -> Climatology:
    """The latitude-by-month table of standard atmospheres, months between the table's taken as their mean."""
    rows = sorted((line.split() for line in _TABLE.strip().splitlines()), key=lambda row: float(row[0]))
    columns = np.array([[_COLUMNS[name] for name in row[1:]] for row in rows])  # (latitude, 6, 2)
    monthly = np.empty((12, len(rows), 2))
    for index, month in enumerate(_TABLE_MONTHS):
        following = columns[:, (index + 1) % len(_TABLE_MONTHS)]
        monthly[month - 1] = columns[:, index]
        monthly[month] = 0.5 * (columns[:, index] + following)
    latitude = np.array([float(row[0]) for row in rows])
    tables = monthly.astype(np.float32)
    return Climatology(latitude.astype(np.float32), tables[..., 0].copy(), tables[..., 1].copy())


def main() -> None:
    """Writes the shipped package again; the bytes are the same unless this file changed."""
    config: dict[str, Json] = dict(asdict(PhysicsConfig()))
    weights: dict[str, npt.NDArray[np.generic]] = dict(asdict(standard_climatology()))
    provenance: dict[str, Json] = {
        "made_by": "python -m undersky.models.physics",
        "columns": "6S user guide version 3 (2006), part 1: standard atmospheres of McClatchey et al. 1972",
        "latitude_by_month": "FLAASH user's guide: model atmosphere by latitude and season",
        "sigmas": "chosen wide by the authors; see the evaluation of coverage",
    }
    package = ModelPackage("correction", "physics-1", ARCHITECTURE, config, provenance, weights, digest="")
    save_package(package, shipped(ARCHITECTURE))


if __name__ == "__main__":
    main()
