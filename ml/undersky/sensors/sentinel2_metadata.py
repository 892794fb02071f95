"""What a Sentinel-2 Level-1C product says of itself in XML: identity, place, radiometry, angles."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from xml.etree.ElementTree import Element

from undersky.bands import SENSORS, Sensor
from undersky.errors import DataError, Reason
from undersky.sensors.archive import ProductFiles, read_bytes
from undersky.sensors.calibrated import Calibration
from undersky.sensors.placement import Declared
from undersky.sensors.safe_xml import find_all, invalid, local_name, number, read_xml, required_text, text
from undersky.sensors.sentinel2_angles import TileAngles, read_tile_angles

FIRST_WITH_OFFSET = (4, 0)
"""The baseline that added RADIO_ADD_OFFSET."""
QUANTIFICATION = 10_000.0
"""What every product before that baseline used."""

_PRODUCT = re.compile(r"^(?:MTD_MSIL(1C|2A)|S2._OPER_MTD_SAFL(1C|2A)_.*)\.xml$")
_TILE = re.compile(r"^GRANULE/([^/]+)/(?:MTD_TL|S2._OPER_MTD_L(?:1C|2A)_TL_[^/]*)\.xml$")
_TILE_ID = re.compile(r"^(S2[A-Z])_.*_T(\d{2}[A-Z]{3})(?:_N(\d{2}\.\d{2}))?$")
_MAX_INFO_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a product keeps what."""

    product_xml: str | None
    """The product's metadata; a tile folder may lack it."""
    tile_xml: str
    """The tile's metadata."""
    granule: str
    """The folder of the tile, with a slash at its end; empty for a tile folder."""
    images: str
    """The folder of the band files, likewise."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The XML's content, checked."""

    id: str
    """Product identifier without extension."""
    sensor: Sensor
    """Which instrument."""
    acquired: datetime
    """Sensing time of the tile, UTC."""
    baseline: str
    """`05.09`."""
    tile: str
    """`55JEJ`."""
    declared: Mapping[int, Declared]
    """The grid at 10, 20 and 60 m."""
    calibration: Mapping[str, Calibration]
    """Per band name."""
    angles: TileAngles
    """Sun and view."""
    cloud_percent: float | None
    """The agency's own."""


def find_layout(files: ProductFiles) -> Layout | None:
    """Where this product keeps what; None when it is no Sentinel-2 product.

    Raises:
        DataError: `unknown_product` (several granules, another level), `metadata_missing`.
    """
    products = sorted(name for name in files.names if _PRODUCT.match(name))
    tiles = sorted(name for name in files.names if _TILE.match(name))
    if "metadata.xml" in files.names and not tiles:
        return Layout(products[0] if products else None, "metadata.xml", "", "")
    if not products and not tiles:
        return None
    if not products or not tiles:
        lacking = "GRANULE/*/MTD_TL.xml" if products else "MTD_MSIL1C.xml"
        raise DataError(
            Reason.METADATA_MISSING, f"{files.label} has no {lacking}; deliver it again, complete"
        )
    if len(tiles) > 1:
        raise DataError(
            Reason.UNKNOWN_PRODUCT,
            f"{files.label} holds {len(tiles)} granules; Undersky reads products of one: fetch them singly",
        )
    granule = tiles[0].rpartition("/")[0] + "/"
    return Layout(products[0], tiles[0], granule, f"{granule}IMG_DATA/")


def read_metadata(files: ProductFiles, layout: Layout) -> Metadata:
    """The product's XML, read and checked.

    Raises:
        DataError: `unknown_product`, `unsupported_sensor`, `metadata_invalid`, `offset_unknown`.
    """
    tile = read_xml(files, layout.tile_xml)
    product = read_xml(files, layout.product_xml) if layout.product_xml else None
    _require_level_1c(files, tile, product)
    where = f"{layout.tile_xml} of {files.label}"
    tile_id = required_text(tile, "TILE_ID", where)
    match = _TILE_ID.match(tile_id)
    if match is None:
        invalid(where, f"its TILE_ID {tile_id!r} names no satellite and tile")
    sensor = SENSORS.get(match[1])
    if sensor is None:
        raise DataError(
            Reason.UNSUPPORTED_SENSOR, f"{files.label} is from {match[1]}; Undersky reads {' '.join(SENSORS)}"
        )
    if product is not None:
        _require_same(product, tile_id, files.label)
    baseline = _baseline(product, match[3], files)
    declared = _declared(tile, where)
    bands = tuple(band.name for band in sensor.bands)
    box = declared[10].box
    return Metadata(
        id=_identifier(product, files),
        sensor=sensor,
        acquired=_instant(required_text(tile, "SENSING_TIME", where), where),
        baseline=baseline,
        tile=match[2],
        declared=declared,
        calibration=_calibration(product, baseline, bands, files.label),
        angles=read_tile_angles(tile, bands, corner=(box[0], box[3]), where=where),
        cloud_percent=_cloud_percent(tile),
    )


def _require_level_1c(files: ProductFiles, tile: Element, product: Element | None) -> None:
    names = [local_name(root) for root in (tile, product) if root is not None]
    level = text(product, "PROCESSING_LEVEL") if product is not None else None
    if any(name.startswith("Level-2A") for name in names) or (level or "Level-1C") != "Level-1C":
        raise DataError(
            Reason.UNKNOWN_PRODUCT,
            f"{files.label} is {level or 'Level-2A'}, already corrected by the agency; give the Level-1C "
            "of the same acquisition (S2?_MSIL1C_...)",
        )
    if names[0] != "Level-1C_Tile_ID":
        raise DataError(
            Reason.UNKNOWN_PRODUCT, f"{files.label} is no Sentinel-2 tile: its XML is a {names[0]}"
        )


def _require_same(product: Element, tile_id: str, label: str) -> None:
    """The product's granule list names this tile."""
    granules = [*find_all(product, "Granule"), *find_all(product, "Granules")]
    listed = [element.get("granuleIdentifier", "") for element in granules]
    if listed and tile_id not in listed:
        invalid(
            label,
            f"its product metadata lists {listed[0]}, its tile is {tile_id}: they belong to two products",
        )


def _baseline(product: Element | None, of_tile: str | None, files: ProductFiles) -> str:
    """`05.09` from the product, the tile, or the product's name; empty when nobody knows."""
    if product is not None and (value := text(product, "PROCESSING_BASELINE")):
        return value
    if of_tile:
        return of_tile
    match = re.search(r"_N(\d{2})(\d{2})_", _identifier(product, files))
    return f"{match[1]}.{match[2]}" if match else ""


def _identifier(product: Element | None, files: ProductFiles) -> str:
    """The product's URI, or its name in tileInfo.json, or the folder's name."""
    name = text(product, "PRODUCT_URI") if product is not None else None
    if name is None and "tileInfo.json" in files.names:
        try:
            info = json.loads(read_bytes(files, "tileInfo.json", limit=_MAX_INFO_BYTES))
        except (ValueError, RecursionError) as error:
            invalid(f"tileInfo.json of {files.label}", f"it is no JSON ({error})")
        name = info.get("productName") if isinstance(info, dict) else None
    identifier = (name if isinstance(name, str) and name else files.label).removesuffix(".SAFE")
    if not re.fullmatch(r"[\w.\-]{1,200}", identifier):
        invalid(files.label, f"its name {identifier[:60]!r} is no product identifier")
    return identifier


def _calibration(
    product: Element | None, baseline: str, bands: tuple[str, ...], label: str
) -> Mapping[str, Calibration]:
    offsets = _per_band(product, "RADIO_ADD_OFFSET", bands, label)
    match = re.fullmatch(r"(\d{2})\.(\d{2})", baseline)
    is_old = match is not None and (int(match[1]), int(match[2])) < FIRST_WITH_OFFSET
    if not is_old and set(offsets) != set(bands):
        _offset_unknown(baseline, product, label)
    quantification = _per_band(product, "QUANTIFICATION_VALUE", bands, label)
    if product is not None and set(quantification) != set(bands):
        invalid(label, "its product metadata has no QUANTIFICATION_VALUE")
    if any(value <= 0 for value in quantification.values()):
        invalid(label, "its QUANTIFICATION_VALUE is not positive")
    nodata, saturated = _special_values(product, label)
    result = {}
    for band in bands:
        unit = quantification.get(band, QUANTIFICATION)
        result[band] = Calibration(1.0 / unit, offsets.get(band, 0.0) / unit, (nodata,), saturated)
    return result


def _offset_unknown(baseline: str, product: Element | None, label: str) -> NoReturn:
    which = f"baseline {baseline}" if baseline else "an unknown baseline"
    cure = "lay the product's MTD_MSIL1C.xml beside it" if product is None else "deliver it again"
    raise DataError(
        Reason.OFFSET_UNKNOWN,
        f"{label} is of {which}; from 04.00 on every band has a RADIO_ADD_OFFSET, and none is given: {cure}",
    )


def _per_band(product: Element | None, name: str, bands: tuple[str, ...], label: str) -> dict[str, float]:
    """A value per band: the element's own band, or all bands where it names none."""
    values: dict[str, float] = {}
    for element in find_all(product, name) if product is not None else ():
        value = number(element.text, name, label)
        index = element.get("band_id", element.get("bandId"))
        if index is None:
            values = {**dict.fromkeys(bands, value), **values}
        elif index.isdigit() and int(index) < len(bands):
            values[bands[int(index)]] = value
        else:
            invalid(label, f"its {name} names a band {index!r}")
    return values


def _special_values(product: Element | None, label: str) -> tuple[float, float]:
    values = {"NODATA": 0.0, "SATURATED": 65535.0}
    for element in find_all(product, "Special_Values") if product is not None else ():
        values[text(element, "SPECIAL_VALUE_TEXT") or ""] = number(
            text(element, "SPECIAL_VALUE_INDEX"), "SPECIAL_VALUE_INDEX", label
        )
    return values["NODATA"], values["SATURATED"]


def _declared(tile: Element, where: str) -> Mapping[int, Declared]:
    crs = required_text(tile, "HORIZONTAL_CS_CODE", where)
    if not re.fullmatch(r"EPSG:32[67]\d{2}", crs):
        invalid(where, f"its CRS {crs!r} is no UTM zone on WGS 84")
    shapes = {
        int(number(size.get("resolution"), "resolution", where)): size for size in find_all(tile, "Size")
    }
    result = {}
    for position in find_all(tile, "Geoposition"):
        size_m = int(number(position.get("resolution"), "resolution", where))
        if size_m not in shapes:
            invalid(where, f"it has no size at {size_m} m")
        rows, cols = (number(text(shapes[size_m], key), key, where) for key in ("NROWS", "NCOLS"))
        left, top = (number(text(position, key), key, where) for key in ("ULX", "ULY"))
        x_step, y_step = (number(text(position, key), key, where) for key in ("XDIM", "YDIM"))
        if min(rows, cols, x_step, -y_step) <= 0:
            invalid(where, f"its grid at {size_m} m has no extent")
        box = (left, top + rows * y_step, left + cols * x_step, top)
        result[size_m] = Declared(crs, box, x_step, where)
    if set(result) != {10, 20, 60}:
        invalid(where, f"it places rasters of {sorted(result)} m; expected 10, 20 and 60")
    return result


def _cloud_percent(tile: Element) -> float | None:
    try:
        value = float(text(tile, "CLOUDY_PIXEL_PERCENTAGE") or "nan")
    except ValueError:
        return None
    return value if 0.0 <= value <= 100.0 else None


def _instant(value: str, where: str) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        invalid(where, f"its time {value!r} is none")
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
