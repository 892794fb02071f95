r"""`compare`: our product beside an agency's surface reflectance of the same acquisition, pixel by pixel.

    our COG, clear pixels  --\
                              nearest pixel --> d = ours - theirs --> bias, spread, RMSE per band
    agency raster, clear   --/                                   `--> before | after | difference, one PNG

Strip by strip at constant memory. The agency's product is company, not truth.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterioWindow

from undersky.bands import SENSORS, Band, Sensor
from undersky.datasets.agency import AgencyProduct, open_agency
from undersky.errors import DataError, Reason
from undersky.evaluation.metrics import Tally, tally
from undersky.evaluation.tables import accuracy_cells
from undersky.grid import Floats
from undersky.quality import is_clear
from undersky.raster.browse import difference, side_by_side, thumbnail_shape, true_colour, write_picture
from undersky.raster.encoding import QUALITY, decode, reflectance_layer
from undersky.scene import Bools

_STRIP_ROWS = 512
_PICTURE = "difference.png"
_PICTURED = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far our product lies from the agency's."""

    product: str
    """Our product's id."""
    agency: str
    """The agency's product id."""
    processor: str
    """`LaSRC` or `Sen2Cor`."""
    bands: Mapping[str, Tally]
    """Ours minus theirs, by our band names."""
    picture: Path | None
    """Ours, theirs and the difference in red; None when a visible band is missing."""

    def as_json(self) -> dict[str, object]:
        """The figures, reflectance units and percent; an empty band's are null."""
        return {
            "product": self.product,
            "agency": self.agency,
            "processor": self.processor,
            "bands": {
                name: {
                    "pixels": found.count,
                    "bias": _number(found.bias),
                    "spread": _number(found.spread),
                    "rmse": _number(found.rmse),
                    "within_spec_percent": _number(found.in_spec_percent, digits=2),
                }
                for name, found in self.bands.items()
            },
            "picture": None if self.picture is None else str(self.picture),
        }

    def as_markdown(self) -> str:
        """The same as a table for people."""
        lines = [
            f"Ours minus {self.processor}, clear pixels of both ({self.product}, {self.agency})",
            "",
            "| band | pixels | A bias | P spread | U RMSE | within 0.05 rho + 0.005, % |",
            "|---|---|---|---|---|---|",
        ]
        for name, found in self.bands.items():
            share = f"{found.in_spec_percent:.1f}" if found.count else "-"
            lines.append(f"| {' | '.join((name, str(found.count), *accuracy_cells(found), share))} |")
        return "\n".join(lines) + "\n"


def compare(product: Path, agency_l2: Path, out: Path) -> Comparison:
    """The comparison of one product of ours with the agency's, its picture written to a folder.

    Args:
        product: Folder of a product of ours: its COGs and its Item.
        agency_l2: What `open_agency` opens: L2SP, L2A.
        out: Folder for `difference.png`; made when absent.

    Raises:
        DataError: Either cannot be used, they share no band (`band_missing`), or no ground (`grid_mismatch`).
    """
    name, sensor = read_identity(product)
    agency = open_agency(agency_l2)
    shared = [band for band in sensor.corrected_bands if band.name in agency.bands]
    if not shared:
        raise DataError(
            Reason.BAND_MISSING,
            f"{agency.id} ({agency.processor}, {' '.join(agency.bands)}) shares no band with {name}, a "
            f"product of {sensor.key}; compare it with the same acquisition of the same sensor",
        )
    tallies = {band.name: compare_band(product, agency, band) for band in shared}
    out.mkdir(parents=True, exist_ok=True)
    picture = _draw(product, agency, sensor, out / _PICTURE)
    return Comparison(name, agency.id, agency.processor, tallies, picture)


def read_identity(product: Path) -> tuple[str, Sensor]:
    """Id and sensor of a product of ours, from its Item.

    Raises:
        DataError: `unknown_product`.
    """
    for path in sorted(product.glob("*.json")):
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
            platform = item["properties"]["platform"]
            return str(item["id"]), next(s for s in SENSORS.values() if s.platform == platform)
        except (ValueError, KeyError, TypeError, StopIteration):
            continue
    raise DataError(
        Reason.UNKNOWN_PRODUCT,
        f"{product} holds no Item of a product of ours (<id>.json beside its COGs); give a folder that "
        "`undersky correct` wrote",
    )


def compare_band(product: Path, agency: AgencyProduct, band: Band) -> Tally:
    """Ours minus theirs of one band over the pixels that both call clear.

    Raises:
        DataError: `grid_mismatch`, `raster_unreadable`, `band_missing`.
    """
    theirs = agency.bands[band.name]
    layer = reflectance_layer(band)
    total = Tally()
    with ExitStack() as stack:
        ours = _open(stack, str(product / f"{layer.key}.tif"))
        other = _onto(stack, theirs.path, ours)
        quality = _onto(stack, str(product / f"{QUALITY.key}.tif"), ours)
        mask = None if agency.mask is None else _onto(stack, agency.mask.path, ours)
        for window in _strips(ours):
            estimate = decode(_read(ours, window), layer)
            reference = theirs.reflectance(_read(other, window))
            clear: Bools = is_clear(_read(quality, window))
            if mask is not None and agency.mask is not None:
                clear &= agency.mask.is_clear(_read(mask, window))
            total += tally(estimate[clear], reference[clear])
    return total


def _open(stack: ExitStack, path: str) -> DatasetReader:
    try:
        return stack.enter_context(rasterio.open(path))
    except RasterioError as error:
        raise DataError(
            Reason.RASTER_UNREADABLE, f"{path} cannot be read: {error}; fetch or make the product again"
        ) from error


def _onto(stack: ExitStack, path: str, grid: DatasetReader) -> WarpedVRT:
    """A raster seen through another's grid, nearest pixel, fill beyond its edge.

    Raises:
        DataError: `grid_mismatch` when the two share no ground.
    """
    source = _open(stack, path)
    if source.crs is None or grid.crs is None:
        raise DataError(
            Reason.GRID_MISMATCH, f"{path} or {grid.name} has no CRS; both need one to be aligned"
        )
    left, bottom, right, top = transform_bounds(source.crs, grid.crs, *source.bounds)
    mine = grid.bounds
    if left >= mine.right or right <= mine.left or bottom >= mine.top or top <= mine.bottom:
        raise DataError(
            Reason.GRID_MISMATCH,
            f"{Path(path).name} covers x {left:.0f} to {right:.0f}, y {bottom:.0f} to {top:.0f} "
            f"in {grid.crs}; {Path(grid.name).name} covers x {mine.left:.0f} to {mine.right:.0f}, "
            f"y {mine.bottom:.0f} to {mine.top:.0f}: they share no ground; compare products of the same tile",
        )
    return stack.enter_context(
        WarpedVRT(
            source,
            crs=grid.crs,
            transform=grid.transform,
            width=grid.width,
            height=grid.height,
            resampling=Resampling.nearest,
        )
    )


def _strips(dataset: DatasetReader) -> Iterator[RasterioWindow]:
    for row in range(0, dataset.height, _STRIP_ROWS):
        yield RasterioWindow(0, row, dataset.width, min(_STRIP_ROWS, dataset.height - row))


def _read(dataset: DatasetReader | WarpedVRT, window: RasterioWindow) -> np.ndarray:
    try:
        return np.asarray(dataset.read(1, window=window))
    except RasterioError as error:
        raise DataError(
            Reason.RASTER_TRUNCATED, f"{dataset.name} cannot be decoded: {error}; fetch the product again"
        ) from error


def _draw(product: Path, agency: AgencyProduct, sensor: Sensor, path: Path) -> Path | None:
    """Ours, theirs and the difference in red side by side; nothing when a visible band is missing."""
    named = {band.common_name: band for band in sensor.corrected_bands}
    if any(named[colour].name not in agency.bands for colour in _PICTURED):
        return None
    pairs = [_reduced(product, agency, named[colour]) for colour in _PICTURED]
    mine, theirs = (tuple(pair[i] for pair in pairs) for i in (0, 1))
    panels = {
        "Undersky": true_colour(mine[0], mine[1], mine[2]),
        agency.processor: true_colour(theirs[0], theirs[1], theirs[2]),
        "red: ours - theirs, red brighter, blue darker, full at 0.05": difference(mine[0], theirs[0]),
    }
    write_picture(path, side_by_side(panels))
    return path


def _reduced(product: Path, agency: AgencyProduct, band: Band) -> tuple[Floats, Floats]:
    """Ours and theirs of one band at the picture's size, nearest pixel."""
    layer, theirs = reflectance_layer(band), agency.bands[band.name]
    with ExitStack() as stack:
        ours = _open(stack, str(product / f"{layer.key}.tif"))
        other = _onto(stack, theirs.path, ours)
        shape = thumbnail_shape((ours.height, ours.width))
        return decode(ours.read(1, out_shape=shape), layer), theirs.reflectance(
            other.read(1, out_shape=shape)
        )


def _number(value: float, *, digits: int = 5) -> float | None:
    return round(value, digits) if np.isfinite(value) else None
