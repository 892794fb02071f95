"""What an archive knows of a product: from its metadata, or from its name where the metadata is of no use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyproj import Transformer
from shapely import box
from shapely.geometry import mapping, shape

from undersky.errors import UnderskyError
from undersky.grid import Grid
from undersky.sensors import open_scene
from undersky.tiles import footprint, geojson
from upstream.products import Product

_CLOUDS = re.compile(r"(?:CLOUDY_PIXEL_PERCENTAGE>|Cloud_Coverage_Assessment>|CLOUD_COVER = )([\d.]+)")
_ELEVATION = re.compile(r"SUN_ELEVATION = (-?[\d.]+)")
_SENSED = re.compile(r"SENSING_TIME[^>]*>([^<]+)<")
_DATASTRIP = re.compile(r"S2[A-Z]_OPER_MSI_L1C_DS_\w+_S\d{8}T\d{6}_N\d\d\.\d\d")
_SECOND = re.compile(r"SCENE_CENTER_TIME = \"(\d\d:\d\d:\d\d)")
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Description:
    """What Items say."""

    sensed: datetime
    cloud_percent: float | None
    sun_elevation: float | None
    geometry: Mapping[str, object]
    """GeoJSON, degrees."""
    bbox: tuple[float, float, float, float]
    datastrip: str
    made: datetime
    """When the agency made it."""


def describe(product: Product) -> Description:
    """What is known of a product; damaged ones are announced as well, as agencies do."""
    text = _metadata_text(product)
    clouds, elevation = _number(_CLOUDS, text), _number(_ELEVATION, text)
    sensed, geometry = _sensed(product, text), _place(product)
    try:
        scene = open_scene(product.path)
        sensed = scene.acquired
        clouds = scene.declared_cloud_percent if scene.declared_cloud_percent is not None else clouds
        elevation = 90.0 - float(scene.angles.sun_zenith.mean())
        geometry = _outline(scene.grid)
    except Exception:  # noqa: BLE001, S110  one damaged product must not silence the whole archive
        pass
    outline = shape(geometry)
    return Description(
        sensed=sensed,
        cloud_percent=clouds,
        sun_elevation=elevation,
        geometry=geometry,
        bbox=tuple(round(value, 6) for value in outline.bounds),
        datastrip=_datastrip(product, text, sensed),
        made=_made(product),
    )


def _outline(grid: Grid) -> Mapping[str, object]:
    edges = grid.boundingbox
    corners = ((edges.left, edges.top), (edges.left, edges.bottom), (edges.right, edges.bottom))
    to_degrees = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    ring = [to_degrees.transform(*corner) for corner in (*corners, (edges.right, edges.top), corners[0])]
    return {"type": "Polygon", "coordinates": [[[round(x, 6), round(y, 6)] for x, y in ring]]}


def _metadata_text(product: Product) -> str:
    patterns = ("MTD_MSIL1C.xml", "GRANULE/*/MTD_TL.xml", "metadata.xml", "*_MTL.txt")
    files = [file for pattern in patterns for file in sorted(product.path.glob(pattern))]
    return "\n".join(file.read_bytes()[:_READ].decode("utf-8", "replace") for file in files if file.is_file())


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return float(found[1]) if found else None


def _sensed(product: Product, text: str) -> datetime:
    name = product.name
    if product.is_landsat:
        second = _SECOND.search(text)
        return _time(f"{name['day']}T{second[1].replace(':', '') if second else '100000'}")
    if found := _SENSED.search(text):
        try:
            return datetime.fromisoformat(found[1].strip()).astimezone(UTC)
        except ValueError:
            pass
    return _time(name["datatake"])


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _made(product: Product) -> datetime:
    made = product.name["made"]
    return _time(made if "T" in made else f"{made}T120000")


def _place(product: Product) -> Mapping[str, object]:
    name = product.name
    tile = f"{name['path']}{name['row']}" if product.is_landsat else name["tile"]
    try:
        return geojson(footprint(tile))
    except UnderskyError:
        return dict(mapping(box(-180.0, -80.0, 180.0, 80.0)))


def _datastrip(product: Product, text: str, sensed: datetime) -> str:
    if found := _DATASTRIP.search(text):
        return found[0]
    if product.is_landsat:
        return ""
    name = product.name
    baseline = f"{name['baseline'][:2]}.{name['baseline'][2:]}"
    return f"{name['platform']}_OPER_MSI_L1C_DS_2XPS_{name['made']}_S{sensed:%Y%m%dT%H%M%S}_N{baseline}"
