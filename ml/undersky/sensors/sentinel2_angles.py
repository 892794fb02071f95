"""Sun and view angles of a Sentinel-2 tile: from the grids in its metadata to nodes over its footprint.

The sun has one grid, every 5 km from the tile's upper left corner. The view has one for each band and
detector, NaN where that detector saw nothing; neighbours overlap by a node or two and disagree there by up
to a degree, because odd and even detectors look forward and backward.

Source: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD) 14.9, Tile_Angles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from undersky.grid import Grid
from undersky.scene import Angles, Finding, Note
from undersky.sensors.coarse import Doubles, fill_gaps, merge, nodes_xy, sample, to_angles, to_vector
from undersky.sensors.safe_xml import find, find_all, invalid, number, text

MAX_GRID_SIDE = 512
"""A tile has 23."""


@dataclass(frozen=True, slots=True)
class AngleGrid:
    """Directions on a regular grid that begins at the tile's upper left corner."""

    zenith: Doubles
    """Degrees, (y, x), NaN where nothing was seen."""
    azimuth: Doubles
    """Degrees clockwise from north, (y, x), NaN where nothing was seen."""
    step_m: tuple[float, float]
    """Distance between rows and between columns."""


@dataclass(frozen=True, slots=True)
class TileAngles:
    """Every direction that a tile's metadata gives."""

    corner: tuple[float, float]
    """(x, y) of the tile's upper left corner, where all grids begin."""
    sun: AngleGrid | None
    """The sun's grid."""
    mean_sun: tuple[float, float] | None
    """Zenith and azimuth of the tile's mean sun."""
    view: Mapping[str, Mapping[int, AngleGrid]]
    """Per band name and detector number."""
    mean_view: Mapping[str, tuple[float, float]]
    """Zenith and azimuth of each band's mean view."""


def read_tile_angles(
    tile: Element, bands: tuple[str, ...], *, corner: tuple[float, float], where: str
) -> TileAngles:
    """The angles of one tile's metadata.

    Args:
        tile: Root of the tile's XML.
        bands: Band names in the order of `bandId`.
        corner: (x, y) of the tile's upper left corner.
        where: The file, for messages.

    Raises:
        DataError: `metadata_invalid`: a grid is ragged, has no step, or names a band that does not exist.
    """
    sun = find(tile, "Sun_Angles_Grid")
    view: dict[str, dict[int, AngleGrid]] = {}
    for element in find_all(tile, "Viewing_Incidence_Angles_Grids"):
        band = _band(element, bands, where)
        detector = int(number(element.get("detectorId"), "detectorId", where))
        view.setdefault(band, {})[detector] = _grid(element, where)
    means = find_all(tile, "Mean_Viewing_Incidence_Angle")
    mean_sun = find(tile, "Mean_Sun_Angle")
    return TileAngles(
        corner=corner,
        sun=None if sun is None else _grid(sun, where),
        mean_sun=None if mean_sun is None else _direction(mean_sun, where),
        view=view,
        mean_view={_band(element, bands, where): _direction(element, where) for element in means},
    )


def angles_over(
    tile: TileAngles, grid: Grid, bands: tuple[str, ...], *, where: str
) -> tuple[Angles, tuple[Note, ...]]:
    """The angles on edge-to-edge nodes over a grid's footprint, detectors merged, and what stood in for what.

    Raises:
        DataError: `metadata_invalid`: there is no sun at all.
    """
    notes: list[Note] = []
    sun = _sun_vector(tile, grid, notes, where)
    sun_zenith, sun_azimuth = to_angles(sun)
    merged = {band: _view_vector(tile, band, grid) for band in bands}
    for band in bands:
        if merged[band] is None:
            merged[band] = _substitute(tile, band, sun.shape, notes)
    view = {band: to_angles(vector) for band, vector in merged.items() if vector is not None}
    angles = Angles(
        sun_zenith=sun_zenith,
        sun_azimuth=sun_azimuth,
        view_zenith={band: zenith for band, (zenith, _) in view.items()},
        view_azimuth={band: azimuth for band, (_, azimuth) in view.items()},
    )
    return angles, tuple(notes)


def _sun_vector(tile: TileAngles, grid: Grid, notes: list[Note], where: str) -> Doubles:
    if tile.sun is not None:
        vector = to_vector(tile.sun.zenith, tile.sun.azimuth)
        if np.isfinite(vector).any():
            return _at_nodes(vector, tile.sun.step_m, tile.corner, grid)
    if tile.mean_sun is None:
        invalid(where, "it has no sun angles")
    sentence = f"{where} has no sun angle grid; the tile's mean sun, zenith {tile.mean_sun[0]:.2f}, stands in"
    notes.append(Note(Finding.SUN_ANGLES_FROM_SCENE_CENTRE, sentence))
    columns, rows = nodes_xy(grid)
    return _constant(tile.mean_sun, (2, len(rows), len(columns)))


def _view_vector(tile: TileAngles, band: str, grid: Grid) -> Doubles | None:
    detectors = list(tile.view.get(band, {}).values())
    shapes = {detector.zenith.shape for detector in detectors}
    if len(shapes) != 1:
        return None
    vector = merge(to_vector(detector.zenith, detector.azimuth) for detector in detectors)
    if not np.isfinite(vector).any():
        return None
    return _at_nodes(vector, detectors[0].step_m, tile.corner, grid)


def _substitute(tile: TileAngles, band: str, shape: tuple[int, ...], notes: list[Note]) -> Doubles:
    """The band's mean view of the tile, else any other band's, else straight down."""
    mean = tile.mean_view.get(band) or next(iter(tile.mean_view.values()), None)
    if mean is None:
        sentence = f"{band} has no view angles: seen from straight above is assumed"
        notes.append(Note(Finding.VIEW_ANGLES_ASSUMED_NADIR, sentence))
        return _constant((0.0, 0.0), shape)
    sentence = f"{band} has no view angle grid; the tile's mean view, zenith {mean[0]:.2f}, stands in"
    notes.append(Note(Finding.VIEW_ANGLES_FROM_SCENE_MEAN, sentence))
    return _constant(mean, shape)


def _constant(direction: tuple[float, float], shape: tuple[int, ...]) -> Doubles:
    vector = to_vector(np.asarray(direction[0]), np.asarray(direction[1]))
    return np.broadcast_to(vector[:, None, None], shape).copy()


def _at_nodes(
    vector: Doubles, step_m: tuple[float, float], corner: tuple[float, float], grid: Grid
) -> Doubles:
    """A field (2, y, x) on the metadata's grid, sampled at the nodes over a footprint."""
    columns, rows = nodes_xy(grid)
    axes = (_axis(vector.shape[1], step_m[0]), _axis(vector.shape[2], step_m[1]))
    down, right = np.meshgrid(corner[1] - rows, columns - corner[0], indexing="ij")
    return np.stack([sample(fill_gaps(part), axes, rows=down, cols=right) for part in vector])


def _axis(count: int, step: float) -> Doubles:
    return np.arange(count, dtype=np.float64) * step


def _grid(element: Element, where: str) -> AngleGrid:
    zenith, azimuth = find(element, "Zenith"), find(element, "Azimuth")
    if zenith is None or azimuth is None:
        invalid(where, "an angle grid has no zenith or no azimuth")
    values = [_values(part, where) for part in (zenith, azimuth)]
    steps = [number(text(zenith, name), name, where) for name in ("ROW_STEP", "COL_STEP")]
    if values[0].shape != values[1].shape or min(steps) <= 0:
        invalid(where, "an angle grid's zenith and azimuth differ in size, or its step is not positive")
    return AngleGrid(values[0], values[1], (steps[0], steps[1]))


def _values(element: Element, where: str) -> Doubles:
    rows = [(row.text or "").split() for row in find_all(element, "VALUES")]
    if not 2 <= len(rows) <= MAX_GRID_SIDE or {len(row) for row in rows} != {len(rows[0])}:
        invalid(where, "an angle grid has rows of unequal length, or too few or many of them")
    if not 2 <= len(rows[0]) <= MAX_GRID_SIDE:
        invalid(where, f"an angle grid has {len(rows[0])} columns")
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError:
        invalid(where, "an angle grid holds something that is no number")
    if np.isinf(values).any() or np.abs(values[np.isfinite(values)]).max(initial=0.0) > 360.0:
        invalid(where, "an angle grid holds values beyond 360 degrees")
    return values


def _direction(element: Element, where: str) -> tuple[float, float]:
    return (
        number(text(element, "ZENITH_ANGLE"), "ZENITH_ANGLE", where),
        number(text(element, "AZIMUTH_ANGLE"), "AZIMUTH_ANGLE", where),
    )


def _band(element: Element, bands: tuple[str, ...], where: str) -> str:
    index = int(number(element.get("bandId"), "bandId", where))
    if not 0 <= index < len(bands):
        invalid(where, f"it names a band {index}; there are {len(bands)}")
    return bands[index]
