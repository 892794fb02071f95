"""Sun and view directions of a Landsat scene, from its angle bands or, without them, from its metadata."""

from collections.abc import Mapping

import numpy as np

from undersky.grid import Floats, Grid
from undersky.scene import Angles, Finding, Note
from undersky.sensors.archive import ProductFiles
from undersky.sensors.coarse import Doubles, fill_gaps, nodes_xy, sample, to_angles, to_vector
from undersky.sensors.mtl import Mtl
from undersky.sensors.placement import Declared, place
from undersky.sensors.rasters import GEOTIFF, open_raster, read_sampled
from undersky.sensors.safe_xml import invalid

HUNDREDTHS = 0.01
"""Angle bands hold hundredths of a degree."""
SAMPLES_PER_NODE = 6
"""Samples a side of an angle band that are averaged into one node."""

_FILES = {
    "SZA": "FILE_NAME_ANGLE_SOLAR_ZENITH_BAND_4",
    "SAA": "FILE_NAME_ANGLE_SOLAR_AZIMUTH_BAND_4",
    "VZA": "FILE_NAME_ANGLE_SENSOR_ZENITH_BAND_4",
    "VAA": "FILE_NAME_ANGLE_SENSOR_AZIMUTH_BAND_4",
}


def angles_over(
    files: ProductFiles, mtl: Mtl, grid: Grid, bands: tuple[str, ...], *, declared: Declared
) -> tuple[Angles, tuple[Note, ...]]:
    """The angles on edge-to-edge nodes over a grid's footprint, and what stood in for what.

    Raises:
        DataError: An angle band is damaged; or there are none and the metadata has no sun.
    """
    notes: list[Note] = []
    sun = _from_bands(files, mtl, grid, declared, ("SZA", "SAA"))
    if sun is None:
        sun = _scene_centre(mtl, grid, notes)
    view = _from_bands(files, mtl, grid, declared, ("VZA", "VAA"))
    if view is None:
        sentence = (
            f"{files.label} has no usable view angle bands (VZA, VAA); seen from straight above is assumed"
        )
        notes.append(Note(Finding.VIEW_ANGLES_ASSUMED_NADIR, sentence))
        view = np.zeros_like(sun)
    sun_zenith, sun_azimuth = to_angles(sun)
    view_zenith, view_azimuth = to_angles(view)
    zeniths: Mapping[str, Floats] = dict.fromkeys(bands, view_zenith)
    return Angles(sun_zenith, sun_azimuth, zeniths, dict.fromkeys(bands, view_azimuth)), tuple(notes)


def _scene_centre(mtl: Mtl, grid: Grid, notes: list[Note]) -> Doubles:
    elevation, azimuth = mtl.number("SUN_ELEVATION"), mtl.number("SUN_AZIMUTH")
    if not 0.0 < elevation <= 90.0:
        invalid(mtl.name, f"its SUN_ELEVATION is {elevation}")
    sentence = (
        "there are no usable sun angle bands (SZA, SAA); the sun of the scene centre, zenith "
        f"{90.0 - elevation:.2f}, stands in"
    )
    notes.append(Note(Finding.SUN_ANGLES_FROM_SCENE_CENTRE, sentence))
    columns, rows = nodes_xy(grid)
    vector = to_vector(np.asarray(90.0 - elevation), np.asarray(azimuth))
    return np.broadcast_to(vector[:, None, None], (2, len(rows), len(columns))).copy()


def _from_bands(
    files: ProductFiles, mtl: Mtl, grid: Grid, declared: Declared, kinds: tuple[str, str]
) -> Doubles | None:
    """Directions (2, y, x) at the nodes from two angle bands; None where one is missing or lies elsewhere."""
    names = [mtl.values.get(_FILES[kind], "") for kind in kinds]
    if any(name not in files.names or files.size(name) == 0 for name in names):
        return None
    columns, rows = nodes_xy(grid)
    shape = (len(rows) * SAMPLES_PER_NODE, len(columns) * SAMPLES_PER_NODE)
    values, centres = [], []
    for name in names:
        raster = open_raster(files, name, driver=GEOTIFF)
        own = place(raster, declared, trust_regridded=True).grid
        if own.crs != grid.crs:
            return None
        wanted = (min(shape[0], raster.shape[0]), min(shape[1], raster.shape[1]))
        values.append(read_sampled(raster, shape=wanted).astype(np.float64) * HUNDREDTHS)
        centres.append(_centres(own, wanted))
    if values[0].shape != values[1].shape:
        return None
    # both zero is fill: an azimuth of exactly north at exactly the zenith means nothing anyway
    seen = (values[0] != 0.0) | (values[1] != 0.0)
    vector = np.where(seen, to_vector(values[0], values[1]), np.nan)
    return _at_nodes(vector, centres[0], (columns, rows))


def _centres(own: Grid, shape: tuple[int, int]) -> tuple[Doubles, Doubles]:
    """Map positions (x of each column, y of each row) of equally spread samples of a raster."""
    box = own.boundingbox
    xs = box.left + (np.arange(shape[1]) + 0.5) / shape[1] * (box.right - box.left)
    ys = box.top - (np.arange(shape[0]) + 0.5) / shape[0] * (box.top - box.bottom)
    return xs, ys


def _at_nodes(
    vector: Doubles, centres: tuple[Doubles, Doubles], nodes: tuple[Doubles, Doubles]
) -> Doubles | None:
    """Samples brought to the nodes; None where there is none at all.

    A border of unknowns is laid around them first, so that nodes on the footprint's edge are extrapolated
    as gaps are, not clamped.
    """
    if not np.isfinite(vector).any():
        return None
    xs, ys = (np.concatenate([[2 * axis[0] - axis[1]], axis, [2 * axis[-1] - axis[-2]]]) for axis in centres)
    padded = [fill_gaps(np.pad(part, 1, constant_values=np.nan)) for part in vector]
    columns, rows = np.meshgrid(*nodes)
    # rows run southwards: positions are counted from the top
    return np.stack([sample(part, (-ys, xs), rows=-rows, cols=columns) for part in padded])
