"""Facts of a finished map of objects: table and GeoJSON against each other, objects against the surface."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import STRtree

from undersky.errors import DataError
from undersky.grid import Window
from undersky.quality import Quality
from undersky.raster.surface_product import SurfaceProduct
from undersky.validation.files import file_facts, name_of
from undersky.validation.map_facts import PARQUET_TYPE, FinishedMap, SurfaceEvidence, bytes_of, described
from undersky.validation.objects import DENSE_FROM, MOST_OBJECTS
from undersky.validation.rules import Facts

COLUMNS = ("geometry", "score", "length_m", "width_m", "heading_deg", "x", "y", "crs", "chip")
"""Of the table, by docs/objects.md."""
GEOJSON_TYPE = "application/geo+json"
NEAR_M = 150.0
"""An object has water somewhere within that distance of its ends: a moored ship, and a pier beside it."""
LEAST_WATER = 0.02
"""Share of the pixels around an object that are water where it lies on water."""
_DOUBLED_IOU = 0.5
_NAN = float("nan")
_PNG = b"\x89PNG"
_DEGREES = 1e-6
_LONGLAT = {("EPSG", 4326), ("OGC", "CRS84")}


@dataclass(frozen=True, slots=True)
class Table:
    """What the GeoParquet file holds."""

    columns: Mapping[str, Sequence[Any]]
    """Values by the name of their column."""
    geo: Mapping[str, Any]
    """The file's metadata `geo`."""

    @property
    def count(self) -> int:
        """Objects."""
        return len(next(iter(self.columns.values()), ()))

    def numbers(self, name: str) -> Any:
        """A column as floats, NaN where there is no value; all NaN where the table lacks it."""
        values = self.columns.get(name, [None] * self.count)
        return np.array([_NAN if value is None else float(value) for value in values], dtype=np.float64)

    def boxes(self) -> Any:
        """The geometries; None where one is none."""
        stored = np.array(list(self.columns.get("geometry", [])), dtype=object)
        return shapely.from_wkb(stored, on_invalid="ignore")


def object_facts(product: FinishedMap) -> Facts:
    """The facts of a finished map of objects; what cannot be read is a fact too."""
    assets = product.item["assets"]
    rows = {key: {**file_facts(product.folder, key, asset), "opens": None} for key, asset in assets.items()}
    media = {asset.get("type"): key for key, asset in assets.items()}
    expected = (media.get(PARQUET_TYPE, "the table"), media.get(GEOJSON_TYPE, "the GeoJSON"), "thumbnail")
    table = features = None
    if (key := media.get(PARQUET_TYPE)) is not None and rows[key]["is_there"]:
        table = _table(product.folder / name_of(assets[key]))
        rows[key]["opens"] = table is not None
    if (key := media.get(GEOJSON_TYPE)) is not None and rows[key]["is_there"]:
        features = _features(product.folder / name_of(assets[key]))
        rows[key]["opens"] = features is not None
    scene = described(product, expected) | {"bytes": bytes_of(rows.values())}
    if table is not None:
        scene |= _of_table(table, product)
        scene |= _agreement(table, features)
    return Facts("objects", product.family, str(product.item["id"]), scene, tuple(rows.values()))


def _table(path: Path) -> Table | None:
    """The table; None where it is none."""
    import pyarrow as pa  # noqa: PLC0415  only maps of objects wait for it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(path)
        geo = json.loads((file.schema_arrow.metadata or {}).get(b"geo", b"{}"))
        return Table(file.read().to_pydict(), geo)
    except (pa.ArrowException, OSError, ValueError):
        return None


def _features(path: Path) -> list[Any] | None:
    """The features of the GeoJSON; None where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return list(document["features"]) if document["type"] == "FeatureCollection" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_table(table: Table, product: FinishedMap) -> dict[str, Any]:
    """Of the objects; figures of lengths and scores are empty where there is none."""
    missing = [name for name in COLUMNS if name not in table.columns]
    boxes, lengths, scores = table.boxes(), table.numbers("length_m"), table.numbers("score")
    good = np.array([box is not None and box.is_valid and not box.is_empty for box in boxes], dtype=bool)
    chips = table.columns.get("chip", [])
    facts: dict[str, Any] = {
        "objects": float(table.count),
        "columns": " ".join(missing),
        "missing_columns": float(len(missing)),
        "crs_agrees": _is_longlat(table.geo),
        "invalid_geometries": float((~good).sum()),
        "missing_chips": float(sum(not bytes(chip or b"").startswith(_PNG) for chip in chips)),
        "longest_m": _extreme(np.nanmax, lengths),
        "shortest_m": _extreme(np.nanmin, lengths),
        "highest_score": _extreme(np.nanmax, scores),
        "lowest_score": _extreme(np.nanmin, scores),
        "outside": float(_outside(boxes[good], product)),
        "doubled_percent": _doubled(boxes[good]),
    }
    return facts | _on_surface(table, product.surface)


def _is_longlat(geo: Mapping[str, Any]) -> bool:
    """Whether the primary column is in longitude and latitude.

    Source: GeoParquet 1.1: a column without `crs` is OGC:CRS84; otherwise it is PROJJSON with an id.
    """
    column = geo.get("columns", {}).get(geo.get("primary_column"), None)
    if column is None or column.get("encoding") != "WKB":
        return False
    if "crs" not in column:
        return True
    named = (column["crs"] or {}).get("id", {})
    return (named.get("authority"), named.get("code")) in _LONGLAT


def _extreme(pick: Any, values: Any) -> float:
    return round(float(pick(values)), 4) if np.isfinite(values).any() else _NAN


def _outside(boxes: Any, product: FinishedMap) -> int:
    """Objects whose centre lies outside the Item's footprint, by more than its rounding."""
    footprint = shapely.geometry.shape(product.item["geometry"]).buffer(1e-4)
    return int((~shapely.covers(footprint, shapely.centroid(boxes))).sum()) if len(boxes) else 0


def _doubled(boxes: Any) -> float:
    """Percent of the objects that share most of their box with one before them."""
    if len(boxes) < 2:
        return 0.0
    first, second = STRtree(boxes).query(boxes, predicate="intersects")
    pairs = first < second
    one, other = boxes[first[pairs]], boxes[second[pairs]]
    shared = shapely.area(shapely.intersection(one, other))
    together = shapely.area(one) + shapely.area(other) - shared
    doubled = np.unique(second[pairs][shared > _DOUBLED_IOU * together])
    return round(100.0 * len(doubled) / len(boxes), 4)


def _on_surface(table: Table, surface: SurfaceEvidence | None) -> dict[str, float]:
    """What the surface product knows of the objects' places; nothing where it is not at hand."""
    if surface is None:
        return {}
    water = surface.percent("water") / 100.0 * surface.area_km2
    facts = {"water_km2": round(water, 4)}
    if table.count >= DENSE_FROM and water > 0:
        facts["objects_per_km2"] = round(table.count / water, 4)
    if surface.folder is None or table.count > MOST_OBJECTS:
        return facts
    try:
        with SurfaceProduct.open(surface.folder) as product:
            return facts | _by_mask(table, product)
    except DataError:
        return facts  # the surface product is judged by its own suites


def _by_mask(table: Table, product: SurfaceProduct) -> dict[str, float]:
    """Objects without water near them, and objects on nodata, by the quality bits."""
    places = zip(table.numbers("x"), table.numbers("y"), table.numbers("length_m"), strict=True)
    inverse, (rows, cols) = ~product.grid.affine, product.grid.shape
    pixel_m, on_land, on_nodata, counted = abs(product.grid.affine.a), 0, 0, 0
    for x, y, length in places:
        if not (math.isfinite(x) and math.isfinite(y)):
            continue
        col, row = (math.floor(value) for value in inverse @ (x, y))
        if not (0 <= row < rows and 0 <= col < cols):
            continue
        reach = math.ceil((NEAR_M + np.nan_to_num(length) / 2) / pixel_m)
        top, left = max(0, row - reach), max(0, col - reach)
        window = Window(top, left, min(rows, row + reach + 1) - top, min(cols, col + reach + 1) - left)
        bits = product.quality(window)
        counted += 1
        on_nodata += bool(bits[row - top, col - left] & Quality.NODATA)
        on_land += bool(((bits & Quality.WATER) != 0).mean() < LEAST_WATER)
    land = 100.0 * on_land / counted if counted else 0.0
    return {"on_land_percent": round(land, 4), "on_nodata": float(on_nodata)}


def _agreement(table: Table, features: list[Any] | None) -> dict[str, Any]:
    """Whether table and GeoJSON hold the same boxes with the same scores, in the same order."""
    if features is None:
        return {"files_agree": None}
    if len(features) != table.count:
        told = f"{table.count} and {len(features)} of them"
        return {"files_agree": False, "disagreement": told}
    try:
        theirs = shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])
        scores = np.array([float(feature["properties"]["score"]) for feature in features])
    except (KeyError, TypeError, ValueError, shapely.errors.GEOSException):
        return {"files_agree": False, "disagreement": "a feature has no box or no score"}
    apart = ~shapely.equals_exact(table.boxes(), theirs, tolerance=_DEGREES)
    other = ~np.isclose(scores, table.numbers("score"), atol=1e-3)
    wrong = int((apart | other).sum()) if len(features) else 0
    return {"files_agree": wrong == 0, "disagreement": f"{wrong} have another box or score" if wrong else ""}
