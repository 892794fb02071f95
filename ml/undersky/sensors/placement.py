"""Where a raster's pixels lie, and whether that agrees with the product's metadata.

The raster's own grid is the truth. A product that was decimated, cropped or written in another realisation
of the same datum stays usable and is noted; one whose rasters lie elsewhere than it says is refused.
"""

from dataclasses import dataclass

import pyproj
from affine import Affine

from undersky.errors import DataError, Reason
from undersky.grid import Grid
from undersky.scene import Finding, Note
from undersky.sensors.rasters import RasterFile

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Declared:
    """What the metadata says of a raster's place."""

    crs: str
    """EPSG code."""
    box: Box
    """Left, bottom, right, top of the footprint, outer pixel edges."""
    resolution_m: float
    """Pixel size."""
    source: str
    """The metadata file, for messages."""

    def grid(self) -> Grid:
        """The grid that the metadata describes."""
        left, bottom, right, top = self.box
        size = self.resolution_m
        shape = (max(1, round((top - bottom) / size)), max(1, round((right - left) / size)))
        return Grid(shape, Affine(size, 0, left, 0, -size, top), self.crs)


@dataclass(frozen=True, slots=True)
class Placed:
    """A raster with its grid."""

    grid: Grid
    """Where its pixels lie."""
    notes: tuple[Note, ...]
    """How that differs from the metadata."""


def place(raster: RasterFile, declared: Declared, *, trust_regridded: bool = False) -> Placed:
    """The raster's grid, compared with what the metadata says.

    Args:
        raster: The raster.
        declared: What the metadata says of it.
        trust_regridded: Rasters of another pixel size than declared were evidently made anew by somebody,
            and may lie elsewhere in the same projection: noted, not refused.

    Raises:
        DataError: `crs_mismatch` (another projection), `grid_mismatch` (another place, or not north-up).
    """
    if raster.transform is None or raster.crs is None:
        return _from_metadata(raster, declared)
    if raster.transform.b or raster.transform.d or raster.transform.a <= 0 or raster.transform.e >= 0:
        raise DataError(
            Reason.GRID_MISMATCH, f"{raster.label} is not north-up: {tuple(raster.transform)[:6]}"
        )
    grid = Grid(raster.shape, raster.transform, raster.crs)
    box, notes = _same_projection(raster, grid, declared)
    found = _compare(raster, box, declared, trust_regridded=trust_regridded)
    return Placed(grid, (*notes, *found))


def _from_metadata(raster: RasterFile, declared: Declared) -> Placed:
    left, bottom, right, top = declared.box
    rows, cols = raster.shape
    width, height = (right - left) / cols, (top - bottom) / rows
    if abs(width / height - 1.0) > 0.02:
        raise DataError(
            Reason.GRID_MISMATCH,
            f"{raster.label} carries no CRS, and its {rows} x {cols} pixels do not fit the footprint in "
            f"{declared.source} ({right - left:.0f} x {top - bottom:.0f} m): georeference it",
        )
    sentence = (
        f"{raster.label} carries no CRS or no transform; both come from the corners in {declared.source}"
    )
    grid = Grid(raster.shape, Affine(width, 0, left, 0, -height, top), declared.crs)
    return Placed(grid, (Note(Finding.CRS_FROM_METADATA, sentence),))


def _same_projection(raster: RasterFile, grid: Grid, declared: Declared) -> tuple[Box, tuple[Note, ...]]:
    """The raster's footprint in the declared CRS."""
    mine, theirs = pyproj.CRS.from_user_input(raster.crs), pyproj.CRS.from_user_input(declared.crs)
    box = grid.boundingbox
    edges: Box = (box.left, box.bottom, box.right, box.top)
    if mine == theirs:
        return edges, ()
    if _projection(mine) != _projection(theirs):
        raise DataError(
            Reason.CRS_MISMATCH,
            f"{raster.label} is in {mine.name}, {declared.source} says {theirs.name}: one of them is wrong, "
            "and nothing tells which",
        )
    transformer = pyproj.Transformer.from_crs(mine, theirs, always_xy=True)
    xs, ys = transformer.transform([edges[0], edges[2]], [edges[1], edges[3]])
    note = Note(
        Finding.DATUM_REALISATION_DIFFERS,
        f"{raster.label} is in {mine.name}, {declared.source} says {theirs.name}: the same projection in "
        "another realisation of the datum; the raster's is kept",
    )
    return (xs[0], ys[0], xs[1], ys[1]), (note,)


def _projection(crs: pyproj.CRS) -> tuple[str, ...]:
    """Method, central meridian and scale: two grids that share them differ at most in datum and origin."""
    operation = crs.coordinate_operation
    if operation is None:
        return (crs.name,)
    kept = ("longitude of natural origin", "scale factor at natural origin")
    values = {param.name.lower(): f"{param.value:.6g}" for param in operation.params}
    return (operation.method_name, *(values.get(name, "") for name in kept))


def _compare(raster: RasterFile, box: Box, declared: Declared, *, trust_regridded: bool) -> tuple[Note, ...]:
    size = (box[2] - box[0]) / raster.shape[1]
    tolerance = max(size, declared.resolution_m)
    regridded = abs(size / declared.resolution_m - 1.0) > 0.01
    apart = max(abs(mine - theirs) for mine, theirs in zip(box, declared.box, strict=True))
    rows, cols = declared.grid().shape
    shapes = (
        f"{raster.shape[0]} x {raster.shape[1]} pixels of {size:g} m, {declared.source} says {rows} x {cols}"
    )
    if apart <= tolerance:
        same = raster.shape == (rows, cols) or abs(raster.shape[0] - rows) + abs(raster.shape[1] - cols) <= 2
        sentence = f"{raster.label} has {shapes} of {declared.resolution_m:g} m over the same footprint"
        return () if same and not regridded else (Note(Finding.GRID_SIZE_DIFFERS, sentence),)
    if _inside(box, declared.box, tolerance):
        return (Note(Finding.GRID_SIZE_DIFFERS, f"{raster.label} is a part of its scene: {shapes}"),)
    if trust_regridded and regridded:
        sentence = (
            f"{raster.label} lies up to {apart:,.0f} m from the corners in {declared.source}; its pixels of "
            f"{size:g} m instead of {declared.resolution_m:g} m show that it was made anew; its place is kept"
        )
        return (Note(Finding.FOOTPRINT_DIFFERS, sentence),)
    raise DataError(
        Reason.GRID_MISMATCH,
        f"{raster.label} lies up to {apart:,.0f} m from where {declared.source} says (tolerance "
        f"{tolerance:g} m): its georeferencing or the metadata belongs to another product",
    )


def _inside(box: Box, outer: Box, tolerance: float) -> bool:
    left, bottom, right, top = outer
    return (
        box[0] >= left - tolerance
        and box[1] >= bottom - tolerance
        and box[2] <= right + tolerance
        and box[3] <= top + tolerance
    )


def check_together(placed: dict[str, tuple[Grid, int]], label: str) -> None:
    """All bands lie over one footprint, and their pixel sizes stand in the ratio of their native ones.

    Args:
        placed: Per band name its grid and native resolution in metres.
        label: The product, for messages.

    Raises:
        DataError: `band_swapped` (a pixel size of another band), `grid_mismatch`.
    """
    if not placed:
        return
    sizes = {name: abs(grid.affine.a) for name, (grid, _) in placed.items()}
    ratios = sorted(sizes[name] / native for name, (_, native) in placed.items())
    usual = ratios[len(ratios) // 2]
    for name, (_, native) in placed.items():
        if abs(sizes[name] / native / usual - 1.0) > 0.05:
            raise DataError(
                Reason.BAND_SWAPPED,
                f"{name} of {label} has pixels of {sizes[name]:g} m where {native * usual:g} m are due beside"
                " the others: its file holds another band",
            )
    first = min(placed, key=lambda name: sizes[name])
    reference = placed[first][0].boundingbox
    for name, (grid, _) in placed.items():
        box = grid.boundingbox
        apart = max(abs(a - b) for a, b in zip(box.bbox, reference.bbox, strict=True))
        if apart > max(sizes[name], sizes[first]) or grid.crs != placed[first][0].crs:
            raise DataError(
                Reason.GRID_MISMATCH,
                f"{name} of {label} lies {apart:,.0f} m from {first}: they show different ground",
            )
