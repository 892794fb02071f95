"""A simulated Landsat 8 or 9 acquisition as USGS delivers it: a Collection 2 Level-1 folder.

    Acquisition --> write_landsat --> LC08_L1TP_192028_20250613_20250620_02_T1/
                                      ├── ..._B1.TIF ... _B11.TIF    digital numbers
                                      ├── ..._QA_PIXEL.TIF  _QA_RADSAT.TIF
                                      ├── ..._SZA.TIF  _SAA.TIF  _VZA.TIF  _VAA.TIF    hundredths of a degree
                                      └── ..._MTL.txt  _MTL.xml  _MTL.json  _ANG.txt  _MD5.txt

A digital number holds the reflectance times the cosine of the pixel's own sun zenith, which the angle band
keeps to a hundredth of a degree. Temperatures are plausible, not simulated: they fall with height and under
cloud. Equal acquisitions give equal bytes.
"""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from undersky.errors import ConfigError
from undersky.grid import Floats, Grid, upsample, whole
from undersky.quality import Quality, QualityBits
from undersky.synth.acquisition import Acquisition
from undersky.synth.geotiff import write_geotiff
from undersky.synth.landsat_mtl import (
    PROCESSED_AFTER,
    REFLECTANCE_ADD,
    REFLECTANCE_MULT,
    THERMAL,
    THERMAL_ADD,
    Facts,
    Thermal,
    as_json,
    as_odl,
    as_xml,
    metadata,
)
from undersky.synth.tile_angles import mean_azimuth

DigitalNumbers = npt.NDArray[np.uint16]
Hundredths = npt.NDArray[np.int16]

_GROUND_KELVIN = 298.0
_CLOUD_KELVIN = 262.0
_LAPSE_KELVIN_M = 0.0065

# bits of QA_PIXEL, LSDS-1822 table 3-3: one for the class, two for its confidence (1 low, 3 high)
_FILL, _CIRRUS, _CLOUD, _SHADOW, _SNOW, _CLEAR, _WATER = (1 << bit for bit in (0, 2, 3, 4, 5, 6, 7))
_LOW_CONFIDENCES = 0b01_01_01_01 << 8
_HIGH = {_CLOUD: 0b11 << 8, _SHADOW: 0b11 << 10, _SNOW: 0b11 << 12, _CIRRUS: 0b11 << 14}
_CLASSES = (
    (Quality.CLOUD, _CLOUD),
    (Quality.CLOUD_SHADOW, _SHADOW),
    (Quality.SNOW, _SNOW),
    (Quality.CIRRUS, _CIRRUS),
)


def write_landsat(acquisition: Acquisition, out: Path) -> Path:
    """The Collection 2 Level-1 folder below `out`; one of the same name is replaced.

    Args:
        acquisition: Of a Landsat 8 or 9.
        out: An existing folder.

    Raises:
        ConfigError: The acquisition is no Landsat's.
    """
    product = product_id(acquisition)
    root = out / product
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    angles = _angles(acquisition)
    _write_bands(acquisition, root)
    fill = (acquisition.quality & np.uint16(Quality.NODATA)) != 0
    qa = qa_pixel(acquisition.quality)
    write_geotiff(root / f"{product}_QA_PIXEL.TIF", qa, grid=acquisition.grid, classes=True)
    radsat = np.zeros(qa.shape, dtype=np.uint16)
    write_geotiff(root / f"{product}_QA_RADSAT.TIF", radsat, grid=acquisition.grid, classes=True)
    for name, hundredths in angles.items():
        write_geotiff(
            root / f"{product}_{name}.TIF", np.where(fill, np.int16(0), hundredths), grid=acquisition.grid
        )
    _write_metadata(acquisition, root)
    return root


def product_id(acquisition: Acquisition) -> str:
    """`LC08_L1TP_192028_20250613_20250620_02_T1`.

    Raises:
        ConfigError: The acquisition is no Landsat's.
    """
    key = acquisition.sensor.key
    if key not in THERMAL:
        raise ConfigError(f"{key} is no Landsat; Collection 2 folders exist for {' '.join(THERMAL)}")
    dates = f"{acquisition.acquired:%Y%m%d}_{acquisition.acquired + PROCESSED_AFTER:%Y%m%d}"
    return f"LC0{key[1]}_L1TP_{acquisition.tile}_{dates}_02_T1"


def digital_numbers(toa: Floats, *, cos_sun_zenith: Floats) -> DigitalNumbers:
    """Reflectance as uint16: 0 where it is NaN, else at least 1; saturated at 65535."""
    scaled = (toa * cos_sun_zenith - np.float32(REFLECTANCE_ADD)) / np.float32(REFLECTANCE_MULT)
    return np.where(np.isnan(toa), 0, np.clip(np.rint(scaled), 1, 65535)).astype(np.uint16)


def thermal_numbers(kelvin: Floats, *, calibration: Thermal) -> DigitalNumbers:
    """Brightness temperature as uint16. Source: LSDS-1747, Landsat 8-9 Data Users Handbook, section 5.4."""
    radiance = calibration.k1 / (np.exp(calibration.k2 / kelvin) - 1.0)
    numbers = np.clip(np.rint((radiance - THERMAL_ADD) / calibration.mult), 1, 65535)
    return np.asarray(numbers, dtype=np.uint16)


def qa_pixel(quality: QualityBits) -> DigitalNumbers:
    """Our quality bits as QA_PIXEL: the class with high confidence, all other confidences low, fill alone."""
    result = np.full(quality.shape, _LOW_CONFIDENCES, dtype=np.uint16)
    for ours, theirs in _CLASSES:
        result[(quality & np.uint16(ours)) != 0] |= np.uint16(theirs | _HIGH[theirs])
    result[(quality & np.uint16(Quality.WATER)) != 0] |= np.uint16(_WATER)
    result[(quality & np.uint16(Quality.CLOUD)) == 0] |= np.uint16(_CLEAR)
    result[(quality & np.uint16(Quality.NODATA)) != 0] = _FILL
    return result


def _angles(acquisition: Acquisition) -> dict[str, Hundredths]:
    angles, grid = acquisition.angles, acquisition.grid
    return {
        "SZA": _hundredths(angles.sun_zenith, grid),
        "SAA": _hundredths_of_azimuth(angles.sun_azimuth, grid),
        "VZA": _hundredths(angles.view_zenith["B4"], grid),
        "VAA": _hundredths_of_azimuth(angles.view_azimuth["B4"], grid),
    }


def _at_pixels(field: npt.NDArray[np.floating], grid: Grid) -> Floats:
    rows, cols = grid.shape
    return upsample(field, (int(rows), int(cols)), whole(grid))


def _hundredths(field: Floats, grid: Grid) -> Hundredths:
    return np.asarray(np.rint(100.0 * _at_pixels(field, grid)), dtype=np.int16)


def _hundredths_of_azimuth(azimuth: Floats, grid: Grid) -> Hundredths:
    """Interpolated as directions, so that north has no seam; -180 to 180 as the agency writes azimuths."""
    radians = np.radians(azimuth.astype(np.float64))
    sine = _at_pixels(np.sin(radians), grid)
    cosine = _at_pixels(np.cos(radians), grid)
    degrees = np.degrees(np.arctan2(sine, cosine))
    return np.asarray(np.rint(100.0 * degrees), dtype=np.int16)


def _write_bands(acquisition: Acquisition, root: Path) -> None:
    cosine = np.cos(np.radians(_at_pixels(acquisition.angles.sun_zenith, acquisition.grid)))
    for band in acquisition.sensor.bands:
        toa = acquisition.toa[band.name]
        factor = toa.shape[0] // cosine.shape[0]
        numbers = digital_numbers(toa, cos_sun_zenith=cosine.repeat(factor, axis=0).repeat(factor, axis=1))
        path = root / f"{root.name}_{band.name}.TIF"
        write_geotiff(path, numbers, grid=acquisition.grids[band.name])
    kelvin = _temperature(acquisition)
    fill = (acquisition.quality & np.uint16(Quality.NODATA)) != 0
    for number, calibration in THERMAL[acquisition.sensor.key].items():
        numbers = np.where(fill, np.uint16(0), thermal_numbers(kelvin, calibration=calibration))
        write_geotiff(root / f"{root.name}_B{number}.TIF", numbers, grid=acquisition.grid)


def _temperature(acquisition: Acquisition) -> Floats:
    """Kelvin: cooler with height and where the ground is green or wet, cold under cloud."""
    near, red = acquisition.surface["B5"], acquisition.surface["B4"]
    greenness = np.clip((near - red) / np.maximum(near + red, 0.01), 0.0, 1.0)
    ground = _GROUND_KELVIN - 8.0 * greenness - _LAPSE_KELVIN_M * acquisition.elevation_m
    cloudy = (acquisition.quality & np.uint16(Quality.CLOUD)) != 0
    return np.where(cloudy, _CLOUD_KELVIN, ground).astype(np.float32)


def _write_metadata(acquisition: Acquisition, root: Path) -> None:
    angles = acquisition.angles
    facts = Facts(
        product=root.name,
        sensor=acquisition.sensor.key,
        acquired=acquisition.acquired,
        grid=acquisition.grid,
        pan=acquisition.grids["B8"],
        sun_elevation=90.0 - float(angles.sun_zenith.mean()),
        sun_azimuth=mean_azimuth(angles.sun_azimuth),
        cloud_percent=float(acquisition.cloud_percent),
    )
    tree = metadata(facts)
    texts = {
        "MTL.txt": as_odl(tree),
        "MTL.xml": as_xml(tree),
        "MTL.json": as_json(tree),
        "ANG.txt": _ang(facts),
    }
    for name, text in texts.items():
        (root / f"{root.name}_{name}").write_text(text, encoding="utf-8", newline="\n")
    digests = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.name}\n"
        for path in sorted(root.iterdir())
    ]
    (root / f"{root.name}_MD5.txt").write_text("".join(digests), encoding="utf-8", newline="\n")


def _ang(facts: Facts) -> str:
    """ANG.txt, its header only: the angle bands say what its ephemeris and polynomials would."""
    bands = ", ".join(str(number) for number in range(1, 12))
    return (
        "GROUP = FILE_HEADER\n"
        f'  SPACECRAFT_ID = "LANDSAT_{facts.sensor[1]}"\n'
        "  NUMBER_OF_BANDS = 11\n"
        f"  BAND_LIST = ({bands})\n"
        "END_GROUP = FILE_HEADER\nEND\n"
    )
