"""Sentinel-2 Level-1C: SAFE (folder or zip) and the tile folder as AWS keeps it.

    SAFE                                    tile folder
    ├── MTD_MSIL1C.xml   product            ├── metadata.xml     tile
    └── GRANULE/<granule>/                  ├── tileInfo.json
        ├── MTD_TL.xml   tile               ├── B01.jp2 ...
        ├── IMG_DATA/*_B01.jp2 ...          ├── qi/...
        ├── QI_DATA/MSK_*                   └── MTD_MSIL1C.xml   product, when somebody laid it there
        └── AUX_DATA/AUX_*

Source: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD) 14.9.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from undersky.bands import Band
from undersky.errors import DataError, Reason
from undersky.grid import Grid
from undersky.scene import Finding, Note, Scene
from undersky.sensors.archive import ProductFiles
from undersky.sensors.calibrated import CalibratedBand
from undersky.sensors.notes import merge_notes
from undersky.sensors.placement import Placed, check_together, place
from undersky.sensors.priors import read_prior
from undersky.sensors.rasters import JPEG_2000, RasterFile, open_raster
from undersky.sensors.sentinel2_angles import angles_over
from undersky.sensors.sentinel2_detectors import Detectors, read_footprint
from undersky.sensors.sentinel2_masks import MaskNames, cloud_mask, mask_names, pixel_flags
from undersky.sensors.sentinel2_metadata import Layout, Metadata, find_layout, read_metadata

_BAND_FILE = re.compile(r"(?:^|[/_])(B0[1-9]|B8A|B1[0-2])\.jp2$")


def recognises(files: ProductFiles) -> bool:
    """True when this is a Sentinel-2 product of any level."""
    return find_layout(files) is not None


def read_scene(files: ProductFiles) -> Scene:
    """The product as a scene.

    Raises:
        DataError: It cannot be used.
    """
    layout, metadata = _metadata(files)
    opened = _open_bands(files, layout, metadata)
    grid = min(
        (placed.grid for _, placed in opened.values()), key=_pixel_size, default=metadata.declared[10].grid()
    )
    masks = mask_names(files, inside=layout.granule)
    names = tuple(band.name for band in metadata.sensor.bands)
    angles, angle_notes = angles_over(metadata.angles, grid, names, where=layout.tile_xml)
    bands, band_notes = _calibrated(files, metadata, opened, masks)
    clouds, cloud_notes = cloud_mask(files, masks, grid, metadata.declared)
    prior, prior_notes = read_prior(files, grid, inside=layout.granule)
    missing = _missing(metadata, opened, masks)
    place_notes = tuple(note for _, placed in opened.values() for note in placed.notes)
    return Scene(
        id=metadata.id,
        sensor=metadata.sensor,
        acquired=metadata.acquired,
        level="L1C",
        baseline=metadata.baseline,
        tile=metadata.tile,
        bands=bands,
        angles=angles,
        grid=grid,
        agency_mask=clouds,
        prior=prior,
        notes=merge_notes((*place_notes, *missing, *angle_notes, *band_notes, *cloud_notes, *prior_notes)),
        sources=files.sources,
        declared_cloud_percent=metadata.cloud_percent,
    )


def read_detectors(files: ProductFiles) -> Detectors:
    """The product's detectors.

    Raises:
        DataError: It cannot be used.
    """
    layout, metadata = _metadata(files)
    opened = _open_bands(files, layout, metadata)
    masks = mask_names(files, inside=layout.granule)
    footprints = {}
    for band in metadata.sensor.bands:
        if ("DETFOO", band.name) in masks:
            declared = metadata.declared[band.resolution_m]
            grid = opened[band.name][1].grid if band.name in opened else declared.grid()
            footprints[band.name] = read_footprint(files, masks["DETFOO", band.name], grid, declared)
    return Detectors(metadata.angles, footprints)


def _metadata(files: ProductFiles) -> tuple[Layout, Metadata]:
    layout = find_layout(files)
    if layout is None:
        raise DataError(Reason.UNKNOWN_PRODUCT, f"{files.label} is no Sentinel-2 product")
    return layout, read_metadata(files, layout)


@dataclass(frozen=True, slots=True)
class _Found:
    """A band's file."""

    band: Band
    name: str


def _open_bands(
    files: ProductFiles, layout: Layout, metadata: Metadata
) -> Mapping[str, tuple[RasterFile, Placed]]:
    """Every band file that is there and not an empty placeholder, placed and compared with the others."""
    opened: dict[str, tuple[RasterFile, Placed]] = {}
    for found in _band_files(files, layout, metadata):
        raster = open_raster(files, found.name, driver=JPEG_2000)
        if raster.bands != 1 or raster.dtype != "uint16":
            raise DataError(
                Reason.RASTER_UNREADABLE,
                f"{raster.label} holds {raster.bands} layers of {raster.dtype}; a band is one of uint16",
            )
        opened[found.band.name] = (raster, place(raster, metadata.declared[found.band.resolution_m]))
    natives = {band.name: band.resolution_m for band in metadata.sensor.bands}
    check_together({name: (placed.grid, natives[name]) for name, (_, placed) in opened.items()}, files.label)
    return opened


def _band_files(files: ProductFiles, layout: Layout, metadata: Metadata) -> list[_Found]:
    found: dict[str, str] = {}
    for name in sorted(files.names):
        match = _BAND_FILE.search(name) if name.startswith(layout.images) else None
        if match is None or "/" in name[len(layout.images) :] or files.size(name) == 0:
            continue
        if match[1] in found:
            raise DataError(
                Reason.METADATA_INVALID,
                f"{files.label} has two files for {match[1]}: {found[match[1]]} and {name}",
            )
        found[match[1]] = name
    return [_Found(band, found[band.name]) for band in metadata.sensor.bands if band.name in found]


def _calibrated(
    files: ProductFiles,
    metadata: Metadata,
    opened: Mapping[str, tuple[RasterFile, Placed]],
    masks: MaskNames,
) -> tuple[dict[str, CalibratedBand], tuple[Note, ...]]:
    bands: dict[str, CalibratedBand] = {}
    notes: list[Note] = []
    for name, (raster, placed) in opened.items():
        declared = metadata.declared[metadata.sensor.band(name).resolution_m]
        flags, found = pixel_flags(files, masks, name, placed.grid, declared)
        notes.extend(found)
        calibration = metadata.calibration[name]
        if raster.nodata is not None and raster.nodata not in calibration.nodata:
            calibration = replace(calibration, nodata=(*calibration.nodata, raster.nodata))
        bands[name] = CalibratedBand(raster, placed.grid, calibration, flags=flags)
    return bands, tuple(notes)


def _missing(metadata: Metadata, opened: Mapping[str, object], masks: MaskNames) -> tuple[Note, ...]:
    notes = []
    absent = [band.name for band in metadata.sensor.bands if band.name not in opened]
    if absent:
        notes.append(Note(Finding.BAND_MISSING, f"{metadata.id} has no {' '.join(absent)}"))
    if "B10" in absent:
        notes.append(Note(Finding.CIRRUS_BAND_MISSING, "there is no B10: thin cirrus cannot be seen"))
    kinds = {(kind, band) for kind, band in masks}
    unflagged = [name for name in opened if not kinds & {("SATURA", name), ("QUALIT", name)}]
    if unflagged:
        sentence = (
            f"{' '.join(unflagged)} have no saturation mask; only the encoding's own saturated value is seen"
        )
        notes.append(Note(Finding.SATURATION_MASK_MISSING, sentence))
    if not any(kind == "DETFOO" for kind, _ in kinds):
        sentence = "there are no detector footprints; the view angles are merged over detectors anyway"
        notes.append(Note(Finding.DETECTOR_FOOTPRINT_MISSING, sentence))
    return tuple(notes)


def _pixel_size(grid: Grid) -> float:
    return abs(float(grid.affine.a))
