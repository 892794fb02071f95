"""Landsat 8 and 9 Level-1: a folder or tar of GeoTIFFs with their metadata file.

    <id>_MTL.txt|json|xml    identity, scale, sun, corners
    <id>_B1.TIF .. _B9.TIF   digital numbers of the reflective bands (B10, B11 are thermal and left alone)
    <id>_QA_PIXEL.TIF        cloud, shadow, snow, water, cirrus
    <id>_QA_RADSAT.TIF       saturation per band
    <id>_SZA|SAA|VZA|VAA.TIF angles in hundredths of a degree

Reflectance = (DN * REFLECTANCE_MULT + REFLECTANCE_ADD) / cos(sun zenith).

Source: USGS LSDS-1822, Landsat 8-9 Collection 2 Level 1 Data Format Control Book; LSDS-1619.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from undersky.bands import SENSORS, Band, Sensor
from undersky.errors import DataError, Reason
from undersky.grid import Floats, Grid
from undersky.scene import Finding, Note, Scene
from undersky.sensors.archive import ProductFiles
from undersky.sensors.calibrated import CalibratedBand, Calibration, PixelFlags
from undersky.sensors.landsat_angles import angles_over
from undersky.sensors.landsat_masks import RadiometricSaturation, pixel_quality, radiometric_saturation
from undersky.sensors.mtl import Mtl, mtl_names, read_mtl
from undersky.sensors.notes import merge_notes
from undersky.sensors.placement import Declared, Placed, check_together, place
from undersky.sensors.rasters import GEOTIFF, RasterFile, open_raster
from undersky.sensors.safe_xml import invalid

_SPACECRAFT = {"LANDSAT_8": "L8", "LANDSAT_9": "L9"}
_LEVELS = ("L1TP", "L1GT", "L1GS")
_SATURATED = 65535.0


def recognises(files: ProductFiles) -> bool:
    """True when this is a Landsat product of any level."""
    return bool(mtl_names(files))


def read_scene(files: ProductFiles) -> Scene:
    """The product as a scene.

    Raises:
        DataError: It cannot be used.
    """
    mtl = _metadata(files)
    sensor = SENSORS[_SPACECRAFT[mtl.text("SPACECRAFT_ID")]]
    opened = _open_bands(files, mtl, sensor)
    grid = _scene_grid(opened, sensor, mtl)
    names, declared = tuple(band.name for band in sensor.bands), declared_place(mtl, sensor.bands[1])
    angles, angle_notes = angles_over(files, mtl, grid, names, declared=declared)
    saturation, saturation_notes = radiometric_saturation(files, mtl, grid, declared=declared)
    mask, mask_notes = pixel_quality(files, mtl, grid, declared=declared)
    collection = f"{int(mtl.number('COLLECTION_NUMBER')):02d}"
    place_notes = tuple(note for _, placed in opened.values() for note in placed.notes)
    notes = (*place_notes, *_missing(sensor, opened, mtl), *angle_notes, *saturation_notes, *mask_notes)
    return Scene(
        id=_identifier(mtl),
        sensor=sensor,
        acquired=_acquired(mtl),
        level=mtl.text("PROCESSING_LEVEL"),
        baseline=f"{collection} {mtl.text('COLLECTION_CATEGORY')}",
        tile=f"{int(mtl.number('WRS_PATH')):03d}{int(mtl.number('WRS_ROW')):03d}",
        bands=_calibrated(opened, mtl, angles.sun_zenith, saturation),
        angles=angles,
        grid=grid,
        agency_mask=mask,
        notes=merge_notes((*notes, *_old(collection, mtl), _no_prior(files))),
        sources=files.sources,
        declared_cloud_percent=_cloud_percent(mtl),
    )


def _metadata(files: ProductFiles) -> Mtl:
    """The metadata file, of a sensor, level and collection that Undersky reads."""
    names = mtl_names(files)
    if not names:
        raise DataError(Reason.METADATA_MISSING, f"{files.label} has no *_MTL.txt, .json or .xml")
    stems = {name.rpartition(".")[0] for name in names}
    if len(stems) > 1:
        level_1 = [name for name in names if "_L1" in name]
        if len({name.rpartition(".")[0] for name in level_1}) != 1:
            raise DataError(
                Reason.UNKNOWN_PRODUCT,
                f"{files.label} holds {len(stems)} Landsat products ({', '.join(sorted(stems))})",
            )
        names = level_1
    mtl = read_mtl(files, names[0])
    spacecraft, level = mtl.text("SPACECRAFT_ID"), mtl.text("PROCESSING_LEVEL")
    if spacecraft not in _SPACECRAFT or not mtl.values.get("SENSOR_ID", "").startswith("OLI"):
        raise DataError(
            Reason.UNSUPPORTED_SENSOR,
            f"{mtl.name} is from {spacecraft} {mtl.values.get('SENSOR_ID', '')}; only OLI is read",
        )
    if level not in _LEVELS:
        raise DataError(
            Reason.UNKNOWN_PRODUCT,
            f"{mtl.name} is of level {level}, already corrected by the agency; "
            "Undersky needs Level-1 of the same acquisition (L1TP, L1GT or L1GS)",
        )
    return mtl


def _open_bands(files: ProductFiles, mtl: Mtl, sensor: Sensor) -> Mapping[str, tuple[RasterFile, Placed]]:
    opened: dict[str, tuple[RasterFile, Placed]] = {}
    for band in sensor.bands:
        name = mtl.values.get(f"FILE_NAME_BAND_{band.name[1:]}", "")
        if name not in files.names or files.size(name) == 0:
            continue
        raster = open_raster(files, name, driver=GEOTIFF)
        if raster.bands != 1 or raster.dtype not in ("uint16", "int16"):
            raise DataError(
                Reason.RASTER_UNREADABLE,
                f"{raster.label} holds {raster.bands} layers of {raster.dtype}; a band is one of 16 bits",
            )
        opened[band.name] = (raster, place(raster, declared_place(mtl, band), trust_regridded=True))
    natives = {band.name: band.resolution_m for band in sensor.bands}
    check_together({name: (placed.grid, natives[name]) for name, (_, placed) in opened.items()}, files.label)
    return opened


def declared_place(mtl: Mtl, band: Band) -> Declared:
    """Where the metadata says that a band lies. Its corners are pixel centres.

    Raises:
        DataError: `metadata_invalid`: no UTM (or polar stereographic) projection, or corners without extent.
    """
    kind = "PANCHROMATIC" if band.role == "pan" else "REFLECTIVE"
    size = mtl.number(f"GRID_CELL_SIZE_{kind}")
    left, top = (mtl.number(f"CORNER_UL_PROJECTION_{axis}_PRODUCT") for axis in "XY")
    right, bottom = (mtl.number(f"CORNER_LR_PROJECTION_{axis}_PRODUCT") for axis in "XY")
    half = size / 2.0
    box = (left - half, bottom - half, right + half, top + half)
    if size <= 0 or right <= left or top <= bottom:
        invalid(mtl.name, "its corners have no extent")
    return Declared(_crs(mtl), box, size, mtl.name)


def _crs(mtl: Mtl) -> str:
    projection = mtl.text("MAP_PROJECTION")
    if projection not in ("UTM", "PS"):
        invalid(mtl.name, f"its MAP_PROJECTION is {projection!r}; expected UTM or PS")
    if projection == "UTM":
        zone = int(mtl.number("UTM_ZONE"))
        if not 1 <= abs(zone) <= 60:
            invalid(mtl.name, f"its UTM_ZONE is {zone}")
        # Landsat gives southern scenes in northern zones with negative northings
        return f"EPSG:{32600 + zone}" if zone > 0 else f"EPSG:{32700 - zone}"
    return "EPSG:3031"


def _scene_grid(opened: Mapping[str, tuple[RasterFile, Placed]], sensor: Sensor, mtl: Mtl) -> Grid:
    """The grid of the corrected bands: a product has nothing at the panchromatic band's 15 m."""
    ranked = sorted(
        opened, key=lambda name: (sensor.band(name).role == "pan", abs(opened[name][1].grid.affine.a))
    )
    return opened[ranked[0]][1].grid if ranked else declared_place(mtl, sensor.bands[1]).grid()


def _calibrated(
    opened: Mapping[str, tuple[RasterFile, Placed]],
    mtl: Mtl,
    sun_zenith: Floats,
    saturation: RadiometricSaturation | None,
) -> dict[str, CalibratedBand]:
    bands = {}
    for name, (raster, placed) in opened.items():
        number = name[1:]
        own = () if raster.nodata in (None, 0.0) else (float(raster.nodata or 0.0),)
        calibration = Calibration(
            mult=mtl.number(f"REFLECTANCE_MULT_BAND_{number}"),
            add=mtl.number(f"REFLECTANCE_ADD_BAND_{number}"),
            nodata=(0.0, *own),
            saturated=float(mtl.values.get(f"QUANTIZE_CAL_MAX_BAND_{number}") or _SATURATED),
        )
        if calibration.mult <= 0:
            invalid(mtl.name, f"its REFLECTANCE_MULT_BAND_{number} is not positive")
        flags: PixelFlags | None = saturation.of_band(int(number), placed.grid) if saturation else None
        bands[name] = CalibratedBand(raster, placed.grid, calibration, sun_zenith=sun_zenith, flags=flags)
    return bands


def _missing(sensor: Sensor, opened: Mapping[str, object], mtl: Mtl) -> list[Note]:
    absent = [band.name for band in sensor.bands if band.name not in opened]
    notes = [Note(Finding.BAND_MISSING, f"{mtl.name} has no {' '.join(absent)} beside it")] if absent else []
    if "B9" in absent:
        notes.append(Note(Finding.CIRRUS_BAND_MISSING, "there is no B9: thin cirrus cannot be seen"))
    return notes


def _old(collection: str, mtl: Mtl) -> list[Note]:
    if collection == "02":
        return []
    sentence = f"{mtl.name} is of Collection {int(collection)}; Collection 2 is placed and calibrated better"
    return [Note(Finding.OLD_COLLECTION, sentence)]


def _no_prior(files: ProductFiles) -> Note:
    return Note(
        Finding.PRIOR_MISSING, f"{files.label} carries no forecast of its atmosphere; a climatology stands in"
    )


def _identifier(mtl: Mtl) -> str:
    identifier = mtl.text("LANDSAT_PRODUCT_ID")
    if not re.fullmatch(r"\w{1,80}", identifier):
        invalid(mtl.name, f"its LANDSAT_PRODUCT_ID {identifier[:60]!r} is no identifier")
    return identifier


def _acquired(mtl: Mtl) -> datetime:
    day, time = mtl.text("DATE_ACQUIRED"), mtl.text("SCENE_CENTER_TIME")
    try:
        # seven decimals of a second; datetime holds six
        instant = datetime.fromisoformat(f"{day}T{time.rstrip('Z')[:15]}")
    except ValueError:
        invalid(mtl.name, f"its time {day} {time} is none")
    return instant.replace(tzinfo=UTC)


def _cloud_percent(mtl: Mtl) -> float | None:
    value = mtl.number("CLOUD_COVER") if "CLOUD_COVER" in mtl.values else -1.0
    return value if 0.0 <= value <= 100.0 else None
