"""The sensors Undersky reads and their bands, as the agencies name them.

Wavelengths and widths: ESA S2 MSI spectral responses v4.0 (COPE-GSEG-EOPG-TN-15-0007) and USGS
Landsat 8-9 OLI relative spectral responses; common names: STAC electro-optical extension 2.0.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from undersky.errors import ConfigError

Role = Literal["surface", "water_vapour", "cirrus", "pan"]


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band of one sensor."""

    name: str
    """The agency's name: `B02`, `B8A` (Sentinel-2); `B2` (Landsat)."""
    asset: str
    """The key of its reflectance in a product: `B02`; `SR_B2`."""
    common_name: str
    """STAC common name: `blue`, `nir08`."""
    wavelength_nm: float
    """Centre of the response."""
    width_nm: float
    """Full width at half maximum."""
    resolution_m: int
    """Native pixel size of a full-resolution product."""
    role: Role
    """`surface` is scored, `water_vapour` (B09) corrected but never scored, `cirrus` and `pan` only read."""

    @property
    def is_corrected(self) -> bool:
        """True when a product carries this band's surface reflectance."""
        return self.role in ("surface", "water_vapour")


@dataclass(frozen=True, slots=True)
class Sensor:
    """One instrument on one platform."""

    key: str
    """Short name: `S2A`, `L8`."""
    platform: str
    """STAC platform: `sentinel-2a`, `landsat-8`."""
    constellation: str
    """STAC constellation: `sentinel-2`, `landsat`."""
    instrument: str
    """STAC instrument: `msi`, `oli`."""
    collection: str
    """The collection of its surface reflectance: `sentinel-2-sr`, `landsat-8-9-sr`."""
    bands: tuple[Band, ...]
    """All reflective bands, in the agency's order."""

    def band(self, name: str) -> Band:
        """The band of that name.

        Raises:
            ConfigError: The sensor has no such band.
        """
        for band in self.bands:
            if name in (band.name, band.asset):
                return band
        names = " ".join(band.name for band in self.bands)
        raise ConfigError(f"{self.key} has no band {name!r}; it has {names}")

    @property
    def corrected_bands(self) -> tuple[Band, ...]:
        """The bands whose surface reflectance a product carries, in order."""
        return tuple(band for band in self.bands if band.is_corrected)


# name, common name, wavelength and width of S2A, S2B, S2C, resolution, role
_MSI: tuple[tuple[str, str, tuple[float, float, float], tuple[float, float, float], int, Role], ...] = (
    ("B01", "coastal", (442.7, 442.2, 444.2), (20, 20, 18), 60, "surface"),
    ("B02", "blue", (492.7, 492.3, 489.0), (65, 65, 65), 10, "surface"),
    ("B03", "green", (559.8, 558.9, 560.6), (35, 35, 35), 10, "surface"),
    ("B04", "red", (664.6, 664.9, 666.5), (30, 31, 30), 10, "surface"),
    ("B05", "rededge071", (704.1, 703.8, 707.1), (14, 15, 15), 20, "surface"),
    ("B06", "rededge075", (740.5, 739.1, 741.1), (14, 13, 13), 20, "surface"),
    ("B07", "rededge078", (782.8, 779.7, 784.7), (19, 19, 19), 20, "surface"),
    ("B08", "nir", (832.8, 832.9, 834.6), (105, 104, 105), 10, "surface"),
    ("B8A", "nir08", (864.7, 864.0, 865.6), (21, 21, 21), 20, "surface"),
    ("B09", "nir09", (945.1, 943.2, 947.1), (19, 20, 20), 60, "water_vapour"),
    ("B10", "cirrus", (1373.5, 1376.9, 1372.5), (29, 29, 29), 60, "cirrus"),
    ("B11", "swir16", (1613.7, 1610.4, 1612.0), (90, 94, 92), 20, "surface"),
    ("B12", "swir22", (2202.4, 2185.7, 2191.3), (174, 184, 178), 20, "surface"),
)

# name, common name, wavelength and width of L8, L9, resolution, role
_OLI: tuple[tuple[str, str, tuple[float, float], tuple[float, float], int, Role], ...] = (
    ("B1", "coastal", (443.0, 442.8), (16, 16), 30, "surface"),
    ("B2", "blue", (482.0, 481.9), (60, 60), 30, "surface"),
    ("B3", "green", (561.4, 560.9), (57, 57), 30, "surface"),
    ("B4", "red", (654.6, 654.3), (37, 37), 30, "surface"),
    ("B5", "nir08", (864.7, 864.6), (28, 28), 30, "surface"),
    ("B6", "swir16", (1608.9, 1608.1), (85, 85), 30, "surface"),
    ("B7", "swir22", (2200.7, 2201.1), (187, 187), 30, "surface"),
    ("B8", "pan", (589.5, 589.6), (172, 172), 15, "pan"),
    ("B9", "cirrus", (1373.4, 1373.5), (20, 20), 30, "cirrus"),
)


def _msi(index: int) -> Sensor:
    letter = "abc"[index]
    bands = tuple(
        Band(name, name, common, centres[index], widths[index], resolution, role)
        for name, common, centres, widths, resolution, role in _MSI
    )
    return Sensor(f"S2{letter.upper()}", f"sentinel-2{letter}", "sentinel-2", "msi", "sentinel-2-sr", bands)


def _oli(index: int) -> Sensor:
    number = (8, 9)[index]
    bands = tuple(
        Band(name, f"SR_{name}", common, centres[index], widths[index], resolution, role)
        for name, common, centres, widths, resolution, role in _OLI
    )
    return Sensor(f"L{number}", f"landsat-{number}", "landsat", "oli", "landsat-8-9-sr", bands)


SENSORS = MappingProxyType({sensor.key: sensor for sensor in (_msi(0), _msi(1), _msi(2), _oli(0), _oli(1))})
"""Every supported sensor by its key: S2A S2B S2C L8 L9."""
