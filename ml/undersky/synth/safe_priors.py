"""The forecasts inside a granule: AUX_ECMWFT and AUX_CAMSFO as GRIB 1, nine by nine nodes over the footprint.

Parameters, their order, units and level types are those of a real product of baseline 05.09. What the
simulation does not know (wind, humidity) is written as a plausible constant.
Source: ECMWF parameter tables 128 and 210.
"""

from datetime import timedelta

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats, Grid, footprint_lonlat, resample_nodes
from undersky.scene import AtmospherePrior
from undersky.synth.grib1 import Box, Forecast, Parameter, message
from undersky.synth.safe_names import SafeNames

NODES = 9
"""Nodes a side."""
DOBSON_KG_M2 = 2.1415e-5
"""One Dobson unit of ozone in kg/m2."""

_ISOBARIC = 100
# parameter of table 210, and its optical depth beside that at 550 nm (Angstrom exponent 1.3)
_SPECTRAL = ((213, 469.0), (207, 550.0), (214, 670.0), (215, 865.0), (216, 1240.0))
_ANGSTROM = 1.3
_GRAVITY = 9.80665
"""m/s2: geopotential is height times this."""
_SPECIES: tuple[tuple[int, str, int], ...] = (
    (211, "black_carbon", 1),
    (209, "dust", _ISOBARIC),
    (210, "organic_matter", 1),
    (208, "sea_salt", 1),
    (212, "sulphate", 1),
)
_TYPICAL_SHARE = {
    "sea_salt": 0.2,
    "dust": 0.15,
    "organic_matter": 0.35,
    "black_carbon": 0.05,
    "sulphate": 0.25,
}

Field = npt.NDArray[np.float64]


def ecmwf_grib(prior: AtmospherePrior, names: SafeNames, *, grid: Grid) -> bytes:
    """AUX_ECMWFT: water vapour, sea level pressure, ozone; from baseline 04.00 also wind and humidity."""
    fields = [
        (Parameter(137), 10.0 * _nodes(prior.water_vapour, default=2.0)),
        (Parameter(151), 100.0 * _nodes(prior.sea_level_pressure_hpa, default=1013.0)),
        (Parameter(206), DOBSON_KG_M2 * _nodes(prior.ozone_dobson, default=310.0)),
    ]
    if names.has_cams:
        fields += [
            (Parameter(165), _nodes(None, default=-2.0)),
            (Parameter(166), _nodes(None, default=1.5)),
            (Parameter(157, level_type=_ISOBARIC), _nodes(None, default=60.0)),
        ]
    return _messages(fields, names, grid=grid)


def cams_grib(prior: AtmospherePrior, names: SafeNames, *, grid: Grid) -> bytes:
    """AUX_CAMSFO: geopotential, aerosol optical depth at five wavelengths and of five species at 550 nm."""
    total = _nodes(prior.aot_550, default=0.12)
    fields = [(Parameter(129), _GRAVITY * _nodes(prior.altitude_m, default=0.0))]
    fields += [
        (Parameter(number, table=210), total * (550.0 / wavelength_nm) ** _ANGSTROM)
        for number, wavelength_nm in _SPECTRAL
    ]
    for number, species, level_type in _SPECIES:
        given = prior.aot_550_by_species.get(species)
        share = _nodes(given, default=0.0) if prior.aot_550_by_species else total * _TYPICAL_SHARE[species]
        fields.append((Parameter(number, table=210, level_type=level_type), share))
    return _messages(fields, names, grid=grid)


def _messages(fields: list[tuple[Parameter, Field]], names: SafeNames, *, grid: Grid) -> bytes:
    ring = footprint_lonlat(grid)
    lons, lats = [lon for lon, _ in ring], [lat for _, lat in ring]
    box = Box(north=max(lats), west=min(lons), south=min(lats), east=max(lons))
    noon_or_midnight = names.acquired.hour // 12 * 12
    reference = names.acquired.replace(hour=noon_or_midnight, minute=0, second=0, microsecond=0)
    reference -= timedelta(hours=12)
    minutes = round((names.acquired - reference).total_seconds() / 60)
    forecast = Forecast(reference, minutes)
    return b"".join(message(field, parameter, box=box, forecast=forecast) for parameter, field in fields)


def _nodes(field: Floats | None, *, default: float) -> Field:
    """The field on nine by nine nodes from edge to edge."""
    if field is None:
        return np.full((NODES, NODES), default)
    return resample_nodes(field, (NODES, NODES)).astype(np.float64)
