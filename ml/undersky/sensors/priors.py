"""What a Sentinel-2 product carries of its atmosphere: ECMWF and CAMS forecasts as small GRIB files.

    AUX_ECMWFT  since baseline 02.0x   water vapour, ozone, sea level pressure     9 x 9 values over the tile
    AUX_CAMSFO  since baseline 04.00   aerosol optical depths, ground height       9 x 9 values over the tile

Units: total column water vapour 1 kg/m2 = 0.1 g/cm2; ozone 1 Dobson unit = 2.1415e-5 kg/m2 (WMO);
pressure 100 Pa = 1 hPa. CAMS parameters: ECMWF table 210, codes 207 to 212 (optical depth at 550 nm: total,
sea salt, dust, organic matter, black carbon, sulphate).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyproj
from rasterio.io import MemoryFile

from undersky.errors import DataError, Reason
from undersky.grid import Floats, Grid
from undersky.scene import AtmospherePrior, Finding, Note
from undersky.sensors.archive import ProductFiles, read_bytes
from undersky.sensors.coarse import Doubles, nodes_xy, sample

MAX_GRIB_BYTES = 1 << 20
"""Real ones have 3 kB."""
DOBSON_KG_M2 = 2.1415e-5
"""Ozone of one Dobson unit."""
GRAVITY = 9.80665
"""m/s2: the forecast's ground height is its surface geopotential divided by this."""
SPECIES = {208: "sea_salt", 209: "dust", 210: "organic_matter", 211: "black_carbon", 212: "sulphate"}
"""Aerosol species by the parameter of their optical depth at 550 nm."""

_FILE = re.compile(r"(?:^|[/_])(ECMWFT|CAMSFO)(?:_[^/]*)?$")
_PARAMETER = re.compile(r"var(\d+) of table 210")
_TOTAL = 207
_MAX_AOT = 10.0


@dataclass(frozen=True, slots=True)
class Fields:
    """Every field of one GRIB file on its own latitudes and longitudes."""

    values: Mapping[str, Doubles]
    """By parameter: `PWC`, `MSL`, `TCO3`, or `207` of table 210; (y, x) from north to south."""
    latitudes: Doubles
    """Of the rows, descending, degrees."""
    longitudes: Doubles
    """Of the columns, ascending, degrees."""


def read_prior(
    files: ProductFiles, grid: Grid, *, inside: str
) -> tuple[AtmospherePrior | None, tuple[Note, ...]]:
    """The product's own forecasts on nodes over the grid's footprint; None with a note where it has none.

    A forecast that cannot be read is noted and left out: the correction has a substitute for each.
    """
    names = {
        match[1]: name for name in files.names if name.startswith(inside) and (match := _FILE.search(name))
    }
    notes: list[Note] = []
    fields: dict[str, Fields] = {}
    for kind, name in sorted(names.items()):
        try:
            fields[kind] = read_grib(files, name)
        except DataError as error:
            notes.append(Note(Finding.PRIOR_MISSING, f"{error}; a climatology stands in"))
    if not fields and not notes:
        sentence = f"{files.label} carries no forecast of its atmosphere; a climatology stands in"
        notes.append(Note(Finding.PRIOR_MISSING, sentence))
    elif "CAMSFO" not in names:
        sentence = f"{files.label} carries no aerosol forecast (AUX_CAMSFO); a climatology stands in"
        notes.append(Note(Finding.PRIOR_MISSING, sentence))
    return (_prior(fields, grid) if fields else None), tuple(notes)


def read_grib(files: ProductFiles, name: str) -> Fields:
    """The fields of one GRIB file.

    Raises:
        DataError: `metadata_invalid`: it is no GRIB of latitudes and longitudes.
    """
    data = read_bytes(files, name, limit=MAX_GRIB_BYTES)
    if not data:
        raise DataError(Reason.METADATA_INVALID, f"{name} of {files.label} is empty")
    try:
        with MemoryFile(data) as memory, memory.open(driver="GRIB") as dataset:
            transform = dataset.transform
            values = {
                _key(dataset.tags(band).get("GRIB_ELEMENT", "")): dataset.read(band).astype(np.float64)
                for band in dataset.indexes
            }
            latitudes = transform.f + (np.arange(dataset.height) + 0.5) * transform.e
            longitudes = transform.c + (np.arange(dataset.width) + 0.5) * transform.a
    except (OSError, ValueError) as error:
        raise DataError(
            Reason.METADATA_INVALID, f"{name} of {files.label} is no readable GRIB: {error}"
        ) from error
    if min(len(latitudes), len(longitudes)) < 2 or transform.e >= 0 or transform.a <= 0:
        raise DataError(
            Reason.METADATA_INVALID, f"{name} of {files.label} is no grid of latitudes and longitudes"
        )
    return Fields(values, latitudes, longitudes)


def _key(element: str) -> str:
    match = _PARAMETER.search(element)
    return match[1] if match else element.split(" ", 1)[0]


def _prior(fields: Mapping[str, Fields], grid: Grid) -> AtmospherePrior:
    weather, aerosol = fields.get("ECMWFT"), fields.get("CAMSFO")
    water = _over(weather, "PWC", grid)
    ozone = _over(weather, "TCO3", grid)
    pressure = _over(weather, "MSL", grid)
    species = {name: _over(aerosol, str(code), grid) for code, name in SPECIES.items()}
    total = _over(aerosol, str(_TOTAL), grid)
    geopotential = _over(aerosol, "Z", grid)
    return AtmospherePrior(
        source="+".join(f"AUX_{kind}" for kind in sorted(fields, reverse=True)),
        water_vapour=None if water is None else water * np.float32(0.1),
        ozone_dobson=None if ozone is None else ozone / np.float32(DOBSON_KG_M2),
        sea_level_pressure_hpa=None if pressure is None else pressure * np.float32(0.01),
        altitude_m=None if geopotential is None else geopotential / np.float32(GRAVITY),
        aot_550=None if total is None else np.clip(total, 0.0, _MAX_AOT),
        aot_550_by_species={
            name: np.clip(field, 0.0, _MAX_AOT) for name, field in species.items() if field is not None
        },
    )


def _over(fields: Fields | None, key: str, grid: Grid) -> Floats | None:
    """One field at the nodes over the footprint, None where the file lacks it or holds no numbers."""
    if fields is None or key not in fields.values or not np.isfinite(fields.values[key]).all():
        return None
    columns, rows = nodes_xy(grid)
    xs, ys = np.meshgrid(columns, rows)
    longitudes, latitudes = pyproj.Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True).transform(
        xs, ys
    )
    # the forecast's own longitudes may run from 0 to 360
    middle = fields.longitudes.mean()
    longitudes = middle + (np.asarray(longitudes) - middle + 180.0) % 360.0 - 180.0
    axes = (fields.latitudes[::-1], fields.longitudes)
    values = sample(fields.values[key][::-1], axes, rows=np.asarray(latitudes), cols=longitudes)
    return values.astype(np.float32)
