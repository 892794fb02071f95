"""What the sensors' own noise adds: the signal-to-noise ratio their makers promise, at a reference radiance.

Sources: Sentinel-2 User Handbook, table 1 (SNR at Lref) with the solar irradiance of S2A's metadata;
Landsat 8 requirements for OLI (Irons, Dwyer & Barsi 2012, Remote Sens. Environ. 122, 11, table 3: typical
radiance). Both sensors do about twice as well in orbit, so this is the upper end.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from undersky.bands import Sensor
from undersky.grid import Floats


@dataclass(frozen=True, slots=True)
class _Promise:
    radiance: float
    """Reference, W/m2/sr/um."""
    ratio: float
    """Signal over noise there."""
    irradiance: float
    """Of the sun above the atmosphere, W/m2/um."""


def _table(*rows: tuple[str, float, float, float]) -> MappingProxyType[str, _Promise]:
    return MappingProxyType({name: _Promise(*values) for name, *values in rows})


MSI_IRRADIANCE = MappingProxyType(
    {
        "B01": 1884.69,
        "B02": 1959.66,
        "B03": 1823.24,
        "B04": 1512.06,
        "B05": 1424.64,
        "B06": 1287.61,
        "B07": 1162.08,
        "B08": 1041.63,
        "B8A": 955.32,
        "B09": 812.92,
        "B10": 367.15,
        "B11": 245.59,
        "B12": 85.25,
    }
)
"""Of the sun above the atmosphere in Sentinel-2A's bands, W/m2/um; from a real product of baseline 05.09."""

_MSI = _table(
    ("B01", 129.0, 129.0, MSI_IRRADIANCE["B01"]),
    ("B02", 128.0, 154.0, MSI_IRRADIANCE["B02"]),
    ("B03", 128.0, 168.0, MSI_IRRADIANCE["B03"]),
    ("B04", 108.0, 142.0, MSI_IRRADIANCE["B04"]),
    ("B05", 74.5, 117.0, MSI_IRRADIANCE["B05"]),
    ("B06", 68.0, 89.0, MSI_IRRADIANCE["B06"]),
    ("B07", 67.0, 105.0, MSI_IRRADIANCE["B07"]),
    ("B08", 103.0, 174.0, MSI_IRRADIANCE["B08"]),
    ("B8A", 52.5, 72.0, MSI_IRRADIANCE["B8A"]),
    ("B09", 9.0, 114.0, MSI_IRRADIANCE["B09"]),
    ("B10", 6.0, 50.0, MSI_IRRADIANCE["B10"]),
    ("B11", 4.0, 100.0, MSI_IRRADIANCE["B11"]),
    ("B12", 1.5, 100.0, MSI_IRRADIANCE["B12"]),
)
_OLI = _table(
    ("B1", 40.0, 130.0, 1895.3),
    ("B2", 40.0, 130.0, 2004.6),
    ("B3", 30.0, 100.0, 1820.7),
    ("B4", 22.0, 90.0, 1549.5),
    ("B5", 14.0, 90.0, 951.2),
    ("B6", 4.0, 100.0, 247.6),
    ("B7", 1.7, 100.0, 85.5),
    ("B8", 23.0, 80.0, 1724.0),
    ("B9", 6.0, 50.0, 367.0),
)


def noise_sigma(sensor: Sensor, band: str, *, toa: Floats, sun_zenith: float) -> Floats:
    """1 sigma of the measured reflectance: at the reference half the variance is dark, half grows with light.

    Args:
        sensor: Which.
        band: Its name.
        toa: Reflectance at the top of the atmosphere, any shape.
        sun_zenith: Degrees; a low sun makes the same reflectance darker.
    """
    promise = (_MSI if sensor.constellation == "sentinel-2" else _OLI)[band]
    full_scale = promise.irradiance * math.cos(math.radians(sun_zenith)) / math.pi
    reference = promise.radiance / full_scale
    relative = 0.5 + 0.5 * np.maximum(toa, 0.0) / np.float32(reference)
    return np.asarray(np.float32(reference / promise.ratio) * np.sqrt(relative), dtype=np.float32)
