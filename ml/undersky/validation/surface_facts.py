"""Facts of a finished surface product in a folder: every file against its Item, values from overviews."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from undersky.bands import SENSORS, Sensor
from undersky.errors import ConfigError
from undersky.grid import Floats
from undersky.raster import encoding as enc
from undersky.raster.cog import read_reduced
from undersky.raster.encoding import Layer
from undersky.validation.files import GDAL_OPTIONS, file_facts, layer_facts, name_of, number
from undersky.validation.rules import Facts, Family, Row

LOOK_SIDE = 686
"""Pixels a side of the look, at most: an overview of a full tile."""
_NAN = float("nan")
_NEGATIVE = -0.02
_MEDIAN = {"reflectance": "p50", "uncertainty": "median_uncertainty"}

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FinishedProduct:
    """A folder with an Item and its assets."""

    folder: Path
    """Holds the Item and the COGs, flat."""
    item: Json
    """The Item."""
    sensor: Sensor
    """Whose layers it should have."""
    digest: str | None = None
    """Digest the folder is named after; None where nobody said."""
    schema_error: str | None = None
    """What breaks the STAC schema."""


def read_item(folder: Path) -> tuple[Json, Sensor]:
    """The one Item in a folder of a surface product, and the sensor it names.

    Raises:
        ConfigError: There is none, or several, or it is no Item of a surface product.
    """
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if len(paths) != 1:
        found = f"{len(paths)} JSON files"
        raise ConfigError(f"{folder} holds {found}: expected one Item, <id>.json, beside its COGs")
    try:
        item = json.loads(paths[0].read_text(encoding="utf-8"))
        platform = item["properties"]["platform"]
        sensor = next(sensor for sensor in SENSORS.values() if sensor.platform == platform)
        _ = [asset["href"] for asset in item["assets"].values()], item["id"]
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ConfigError(
            f"{paths[0]} is no Item of a surface product: make it with `undersky correct`"
        ) from error
    return item, sensor


def surface_facts(product: FinishedProduct) -> Facts:
    """The facts of a finished product; what cannot be read is a fact too."""
    layers = enc.layers_of(product.sensor)
    looks: dict[str, Floats] = {}
    rows = [_asset_facts(product, layer, looks) for layer in layers if layer.key in product.item["assets"]]
    shared = _shared_grids(rows)
    known = {layer.key: layer for layer in layers}
    bands: list[Row] = [
        {**row, "grid_shared": shared[row["band"]], **_value_facts(known[row["band"]], looks)} for row in rows
    ]
    bands.extend(_other_files(product, known))
    family: Family = "landsat" if product.sensor.constellation == "landsat" else "sentinel-2"
    return Facts(
        "surface", family, str(product.item["id"]), _scene_facts(product, bands, layers), tuple(bands)
    )


def _scene_facts(product: FinishedProduct, bands: list[Row], layers: tuple[Layer, ...]) -> Row:
    properties = product.item["properties"]
    quality = properties.get("undersky:quality_percent", {})
    digest = str(properties.get("undersky:digest"))
    missing = [layer.key for layer in layers if layer.key not in product.item["assets"]]
    nodata = [float(row["nodata_percent"] or 0.0) for row in bands if row.get("kind") == "reflectance"]
    nodata = [value for value in nodata if np.isfinite(value)]
    return {
        "id": str(product.item["id"]),
        "collection": str(product.item.get("collection")),
        "digest": digest,
        "digest_agrees": None if product.digest is None else digest == product.digest,
        "schema_error": product.schema_error or "none",
        "missing": " ".join(missing),
        "missing_layers": float(len(missing)),
        "bytes": float(sum(float(row["bytes"] or 0.0) for row in bands)),
        "valid_percent": round(100.0 - min(nodata, default=100.0), 4),
        "nodata_spread_percent": round(max(nodata, default=0.0) - min(nodata, default=0.0), 4),
        "cloud_percent": number(quality.get("cloud")),
        "fallback_percent": number(quality.get("fallback")),
        "outside_percent": number(quality.get("outside_tables")),
        "aot_550": next((number(row.get("mean")) for row in bands if row["band"] == enc.AOT.key), _NAN),
    }


def _asset_facts(product: FinishedProduct, layer: Layer, looks: dict[str, Floats]) -> dict[str, Any]:
    """Of one layer: its file against the Item, and how it is stored; its look is added to `looks`."""
    row = {**layer_facts(product.folder, product.item, layer), "kind": _kind(layer)}
    if not row["opens"]:
        return row
    path = product.folder / name_of(product.item["assets"][layer.key])
    side = tuple(min(int(size), LOOK_SIDE) for size in (row["rows"], row["cols"]))
    try:
        with rasterio.Env(**GDAL_OPTIONS):
            looks[layer.key] = read_reduced(path, layer=layer, shape=(side[0], side[1]))
    except (RasterioError, OSError, ValueError):
        row["opens"] = False
    return row


def _kind(layer: Layer) -> str:
    for kind in ("reflectance", "uncertainty", "quality", "saturation", "aerosol", "angle"):
        if kind in layer.roles:
            return kind
    return "data"


def _shared_grids(rows: Iterable[Json]) -> dict[str, bool | None]:
    """Whether each layer lies on the grid of the first of its kind and resolution."""
    first: dict[tuple[object, bool], str] = {}
    shared: dict[str, bool | None] = {}
    for row in rows:
        if not row["opens"]:
            shared[row["band"]] = None
            continue
        is_coarse = row["band"] in {layer.key for layer in enc.COARSE}
        place = first.setdefault((None if is_coarse else row["resolution_m"], is_coarse), row["grid"])
        shared[row["band"]] = place == row["grid"]
    return shared


def _value_facts(layer: Layer, looks: Mapping[str, Floats]) -> Row:
    """Of the values of one layer, seen coarsely."""
    look = looks.get(layer.key)
    if look is None:
        return {"nodata_percent": _NAN}
    values = look[np.isfinite(look)]
    facts: dict[str, float] = {"nodata_percent": round(100.0 * (1.0 - values.size / look.size), 4)}
    if values.size == 0:
        return facts
    kind = _kind(layer)
    if kind not in ("quality", "saturation"):
        low, middle, high = (round(float(v), 5) for v in np.percentile(values, (1, 50, 99)))
        facts |= {
            "minimum": round(float(values.min()), 5),
            "p01": low,
            _median_of(layer, kind): middle,
            "p99": high,
            "maximum": round(float(values.max()), 5),
            "mean": round(float(values.mean(dtype=np.float64)), 5),
        }
    if kind == "reflectance":
        facts["negative_percent"] = round(100.0 * float((values < _NEGATIVE).mean()), 4)
        facts["above_one_percent"] = round(100.0 * float((values > 1.0).mean()), 4)
    if kind == "uncertainty":
        facts["zero_percent"] = round(100.0 * float((values <= 0.0).mean()), 4)
        partner = looks.get(layer.key.removeprefix(enc.UNCERTAINTY_PREFIX))
        if partner is not None and partner.shape == look.shape:
            apart = np.isfinite(look) != np.isfinite(partner)
            facts["uncertainty_missing_percent"] = round(100.0 * float(apart.mean()), 4)
    return dict(facts)


def _median_of(layer: Layer, kind: str) -> str:
    """Name under which the middle value is judged.

    Not so for the vapour band: over cloud, above most of the vapour, it is corrected for air that lies below.
    """
    if layer.band is not None and layer.band.role == "water_vapour":
        return "median"
    return _MEDIAN.get(kind, "median")


def _other_files(product: FinishedProduct, known: Mapping[str, Layer]) -> list[dict[str, Any]]:
    """Of assets that are no layer: the thumbnail."""
    others = {key: asset for key, asset in product.item["assets"].items() if key not in known}
    return [{**file_facts(product.folder, key, asset), "kind": "other"} for key, asset in others.items()]
