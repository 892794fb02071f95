"""Real pairs: one acquisition at the top of the atmosphere and as its agency corrected it, same pixels.

They are read from a folder of samples that the user has; none of them is part of this package. What the files
do not say (ozone, altitude, Sentinel-2's angles) is assumed, and the assumption travels with the pair.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np
import rasterio

from undersky.bands import SENSORS
from undersky.datasets.agency import AgencyBand, AgencyMask, open_agency
from undersky.datasets.observation import Observation, Place
from undersky.grid import Floats, footprint_lonlat, whole
from undersky.scene import Bools, Scene
from undersky.sensors import open_scene

MOMOTOMBO = "landsat8-pair-l1tp-l2sp-momotombo-west"
BARBELLINO = "s2-pair-l1c-l2a-barbellino-20190723"


@dataclass(frozen=True, slots=True)
class Pair:
    """One acquisition twice."""

    name: str
    """Folder among the samples."""
    processor: str
    """Who made the surface reflectance: `LaSRC`, `Sen2Cor`."""
    observation: Observation
    """The top of the atmosphere."""
    agency: Floats
    """The agency's surface reflectance, (band, y, x) as in the observation, NaN where it has none."""
    clear: Bools
    """True where the agency saw clear ground, (y, x)."""
    assumptions: tuple[str, ...]
    """What the files do not say and was assumed, a sentence each."""


def load_pairs(samples: Path) -> Iterator[Pair]:
    """Every known pair that lies in the folder.

    Raises:
        DataError: A pair is there but damaged.
    """
    for name, load in LOADERS.items():
        if (samples / name).is_dir():
            yield load(samples / name)


def momotombo(folder: Path) -> Pair:
    """Landsat 8 over a volcano in Nicaragua, 2015-12-05: L1TP and LaSRC, bands B2 to B7."""
    product = open_agency(folder)
    scene, bands, toa = _level_1(folder)
    agency = np.stack([_reflectance(product.bands[name]) for name in bands])
    longitude, latitude = np.mean(footprint_lonlat(scene.grid)[:-1], axis=0)
    observation = Observation(
        id=scene.id,
        sensor=scene.sensor,
        bands=bands,
        toa=toa,
        sun_zenith=float(scene.angles.sun_zenith.mean()),
        view_zenith=0.0,
        relative_azimuth=90.0,
        ozone_dobson=250.0,
        altitude_km=0.2,
        place=Place(float(latitude), float(longitude), scene.acquired, 30.0),
    )
    return Pair(
        name=folder.name,
        processor=product.processor,
        observation=observation,
        agency=agency,
        clear=np.asarray(np.isfinite(agency).all(axis=0)),
        assumptions=(
            "view zenith 0: the crop carries no angle bands",
            "ozone 250 Dobson units: the tropics in December",
            "altitude 200 m: a lake at 40 m, a volcano of 1,258 m",
            "no quality band came with the crop: clouds and the volcano's plume are found by our own tests",
        ),
    )


def _level_1(folder: Path) -> tuple[Scene, tuple[str, ...], Floats]:
    """The Level-1 half of a folder that holds both halves: scene, corrected band names and their pixels."""
    with TemporaryDirectory() as alone:
        for path in folder.glob("*_L1TP_*"):
            (Path(alone) / path.name).symlink_to(path.resolve())
        scene = open_scene(Path(alone))
        bands = tuple(band.name for band in scene.sensor.corrected_bands if band.name in scene.bands)
        sources = (scene.bands[name] for name in bands)
        return scene, bands, np.stack([source.toa_reflectance(whole(source.grid)) for source in sources])


def _reflectance(band: AgencyBand) -> Floats:
    with rasterio.open(band.path) as dataset:
        return band.reflectance(dataset.read(1))


def barbellino(folder: Path) -> Pair:
    """Sentinel-2A over a lake in the Bergamo Alps, 2019-07-23: L1C and Sen2Cor, 42 x 24 pixels, no B8A."""
    acquired = datetime(2019, 7, 23, 10, 20, tzinfo=UTC)
    latitude, longitude = 46.06, 10.05
    with rasterio.open(folder / "S2A1C_20190723_022_Barbellino_TOA_10.tif") as level_1:
        toa = _scaled(level_1.read(), nodata=level_1.nodata)
    with rasterio.open(folder / "S2A2A_20190723_022_Barbellino_BOA_10.tif") as level_2:
        agency = _scaled(level_2.read(), nodata=level_2.nodata)
    with rasterio.open(folder / "S2A2A_20190723_022_Barbellino_SCL_10.tif") as classes:
        scene_class = classes.read(1).repeat(2, axis=0).repeat(2, axis=1)
    sensor = SENSORS["S2A"]
    bands = tuple(band.name for band in sensor.corrected_bands if band.name != "B8A")
    observation = Observation(
        id="S2A_Barbellino_20190723",
        sensor=sensor,
        bands=bands,
        toa=np.delete(toa, _CIRRUS_LAYER, axis=0),
        sun_zenith=sun_zenith(acquired, latitude=latitude, longitude=longitude),
        view_zenith=5.0,
        relative_azimuth=90.0,
        ozone_dobson=320.0,
        altitude_km=1.87,
        place=Place(latitude, longitude, acquired, 10.0),
    )
    clear = AgencyMask("", "scl").is_clear(scene_class) & np.isfinite(agency).all(axis=0)
    return Pair(
        name=folder.name,
        processor="Sen2Cor",
        observation=observation,
        agency=agency,
        clear=clear,
        assumptions=(
            "sun computed for 10:20 UTC at 46.06 N 10.05 E, view zenith 5 degrees: no file says",
            "ozone 320 Dobson units: middle latitudes in July",
            "altitude 1,870 m, the lake's; Sen2Cor corrects the slopes around it as slopes, we as flat",
            "digital numbers are reflectance times 10,000: the product is older than baseline 04.00",
        ),
    )


_CIRRUS_LAYER = 9
"""Of the twelve layers B01 .. B08 B09 B10 B11 B12, the one that Level-2A drops."""


def _scaled(stored: np.ndarray, *, nodata: float | None) -> Floats:
    """Reflectance from ten-thousandths, NaN at nodata."""
    return np.where(stored == nodata, np.nan, stored / 10_000.0).astype(np.float32)


def sun_zenith(when: datetime, *, latitude: float, longitude: float) -> float:
    """Degrees between the sun and the zenith, within about 0.3.

    Args:
        when: UTC.
        latitude: Degrees north.
        longitude: Degrees east.

    Source: declination and equation of time by the Fourier series of Spencer 1971, Search 2(5), 172.
    """
    year_angle = 2.0 * np.pi * (when.timetuple().tm_yday - 1 + (when.hour - 12) / 24.0) / 365.0
    harmonics = [f(n * year_angle) for n in (1, 2, 3) for f in (np.cos, np.sin)]
    declination = 0.006918 + np.dot([-0.399912, 0.070257, -0.006758, 0.000907, -0.002697, 0.00148], harmonics)
    minutes = 229.18 * (0.000075 + np.dot([0.001868, -0.032077, -0.014615, -0.040849], harmonics[:4]))
    solar_hours = when.hour + when.minute / 60.0 + when.second / 3600.0 + longitude / 15.0 + minutes / 60.0
    hour_angle = np.radians(15.0 * (solar_hours - 12.0))
    north = np.radians(latitude)
    cosine = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(hour_angle)
    return float(np.degrees(np.arccos(cosine)))


LOADERS: MappingProxyType[str, Callable[[Path], Pair]] = MappingProxyType(
    {MOMOTOMBO: momotombo, BARBELLINO: barbellino}
)
"""Folder name to what reads it."""
