"""One acquisition as everything downstream sees it, whichever agency delivered it.

    sensors/  --->  Scene  --->  models, stages
                     ├── bands      lazily read, already top-of-atmosphere reflectance
                     ├── angles     coarse, edge-to-edge nodes, degrees
                     ├── prior      what the product itself says of its atmosphere, or None
                     └── findings   what was missing or odd, and what stood in for it

Nothing here opens a file: a `BandSource` does, when it is asked for a window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from undersky.bands import Sensor
from undersky.grid import Floats, Grid, Window
from undersky.quality import QualityBits

Bools = npt.NDArray[np.bool_]


class Finding(StrEnum):
    """Codes of what a reader noticed. Those in `INCOMPLETE` set the product's incomplete-testing bit."""

    GRID_SIZE_DIFFERS = "grid_size_differs"
    FOOTPRINT_DIFFERS = "footprint_differs"
    DATUM_REALISATION_DIFFERS = "datum_realisation_differs"
    CRS_FROM_METADATA = "crs_from_metadata"
    VIEW_ANGLES_ASSUMED_NADIR = "view_angles_assumed_nadir"
    VIEW_ANGLES_FROM_SCENE_MEAN = "view_angles_from_scene_mean"
    SUN_ANGLES_FROM_SCENE_CENTRE = "sun_angles_from_scene_centre"
    DETECTOR_FOOTPRINT_MISSING = "detector_footprint_missing"
    AGENCY_CLOUD_MASK_MISSING = "agency_cloud_mask_missing"
    SATURATION_MASK_MISSING = "saturation_mask_missing"
    CIRRUS_BAND_MISSING = "cirrus_band_missing"
    BAND_MISSING = "band_missing"
    PRIOR_MISSING = "prior_missing"
    OLD_COLLECTION = "old_collection"


INCOMPLETE = frozenset(
    {
        Finding.VIEW_ANGLES_ASSUMED_NADIR,
        Finding.VIEW_ANGLES_FROM_SCENE_MEAN,
        Finding.SUN_ANGLES_FROM_SCENE_CENTRE,
        Finding.AGENCY_CLOUD_MASK_MISSING,
        Finding.SATURATION_MASK_MISSING,
        Finding.CIRRUS_BAND_MISSING,
        Finding.BAND_MISSING,
    }
)
"""Findings after which some quality test could not be made as designed."""


@dataclass(frozen=True, slots=True)
class Note:
    """One finding with its sentence for a person."""

    finding: Finding
    """The code."""
    sentence: str
    """What was found, what was expected, what stands in for it."""


class BandSource(Protocol):
    """One band, read lazily."""

    @property
    def grid(self) -> Grid:
        """The raster's own grid: the truth about where its pixels lie."""

    @property
    def block_rows(self) -> int:
        """Rows the format decodes together: windows of whole blocks decode nothing twice."""

    def toa_reflectance(self, window: Window, *, shape: tuple[int, int] | None = None) -> Floats:
        """Top-of-atmosphere reflectance, float32 (rows, cols), NaN at nodata.

        With `shape` the window is averaged down to it (read at a reduced resolution where the format allows).

        Raises:
            DataError: The pixels cannot be decoded (`raster_truncated`, `raster_unreadable`).
        """

    def saturated(self, window: Window) -> Bools:
        """True where the detector or the encoding saturated, (rows, cols)."""

    def observed(self, window: Window) -> tuple[Floats, Bools]:
        """`toa_reflectance` and `saturated` of a window, its pixels decoded once."""


class MaskSource(Protocol):
    """The agency's own classification, read lazily and translated into our quality bits."""

    def quality(self, window: Window) -> QualityBits:
        """Bits of `Quality` on the scene's grid, uint16 (rows, cols); only CLOUD .. WATER are ever set.

        Raises:
            DataError: The mask cannot be decoded.
        """


@dataclass(frozen=True, slots=True)
class Angles:
    """Directions of sun and sensor, degrees, on edge-to-edge coarse nodes over the scene's footprint."""

    sun_zenith: Floats
    """(y, x), 0 at the zenith."""
    sun_azimuth: Floats
    """(y, x), clockwise from north."""
    view_zenith: Mapping[str, Floats]
    """Per band name, (y, x); detectors merged where they overlap."""
    view_azimuth: Mapping[str, Floats]
    """Per band name, (y, x), clockwise from north, of the sensor seen from the ground."""

    def relative_azimuth(self, band: str) -> Floats:
        """Angle between the two azimuths, folded to 0 .. 180 degrees, (y, x)."""
        difference = np.abs(self.sun_azimuth - self.view_azimuth[band]) % 360.0
        return np.asarray(np.minimum(difference, 360.0 - difference), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class AtmospherePrior:
    """What the product says of its atmosphere (CAMS, ECMWF); each (y, x) over the footprint, or None."""

    source: str
    """Where it came from, for provenance: `AUX_ECMWFT`, `AUX_ECMWFT+AUX_CAMSFO`."""
    water_vapour: Floats | None = None
    """Total column, g/cm2."""
    ozone_dobson: Floats | None = None
    """Total column, Dobson units."""
    sea_level_pressure_hpa: Floats | None = None
    """Mean sea level pressure."""
    altitude_m: Floats | None = None
    """Height of the forecast model's ground (its orography) above the sea."""
    aot_550: Floats | None = None
    """Aerosol optical thickness at 550 nm."""
    aot_550_by_species: Mapping[str, Floats] = field(default_factory=dict)
    """Optical thickness of each CAMS species: sea_salt, dust, organic_matter, black_carbon, sulphate."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One delivered granule, lazily read."""

    id: str
    """The agency's product identifier, without extension."""
    sensor: Sensor
    """Which instrument, with all bands it has."""
    acquired: datetime
    """Sensing time (UTC, aware) of this granule."""
    level: str
    """`L1C`, `L1TP`, `L1GT`, `L1GS`."""
    baseline: str
    """Processing baseline (`05.09`) or Landsat collection and category (`02 T1`)."""
    tile: str
    """MGRS tile `55JEJ`, or path/row `092084`."""
    bands: Mapping[str, BandSource]
    """By band name; a band the product lacks is absent."""
    angles: Angles
    """Sun and view directions."""
    grid: Grid
    """The finest band grid: quality and masks live on it."""
    agency_mask: MaskSource | None = None
    """What the agency says of cloud, shadow, cirrus, snow, water; None where the product carries nothing."""
    prior: AtmospherePrior | None = None
    """What the product itself says of its atmosphere."""
    notes: tuple[Note, ...] = ()
    """What was missing or odd, and what stood in for it."""
    sources: Mapping[str, Path] = field(default_factory=dict)
    """Every file the product is made of, by its name inside the product: for checksums and provenance."""
    declared_cloud_percent: float | None = None
    """The agency's own cloud cover, 0 .. 100."""

    @property
    def is_incomplete(self) -> bool:
        """True when some quality test could not be made as designed."""
        return any(note.finding in INCOMPLETE for note in self.notes)
