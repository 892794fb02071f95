"""Found objects on the globe, as GeoParquet 1.1 and GeoJSON: the same objects in the same order.

A table without rows is a valid file with the same typed columns: nothing was found, which is an answer too.
The only owner of geopandas.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from shapely import Polygon
from shapely.geometry import mapping
from shapely.geometry.polygon import orient

from undersky.grid import Grid

_DIGITS = 8
"""Decimals of a degree: a millimetre."""
_HALF_TURN = 180.0


@dataclass(frozen=True, slots=True)
class MappedObject:
    """One object, where it is."""

    box: Polygon
    """The smallest rotated rectangle about it, longitude and latitude, WGS 84 degrees, counter-clockwise."""
    x: float
    """Of its centre, in `crs`."""
    y: float
    """Of its centre, in `crs`."""
    crs: str
    """Of the scene's grid: `EPSG:32631`."""
    score: float
    """How sure the model is, 0 .. 1."""
    length_m: float
    """Longer side of the box."""
    width_m: float
    """Shorter side."""
    heading_deg: float
    """Of the longer side, clockwise from true north, 0 .. 180: bow and stern look alike."""
    chip: bytes
    """True-colour picture of it and what is around, PNG."""


def on_globe(box: Polygon, grid: Grid) -> tuple[Polygon, tuple[float, float], float]:
    """A rectangle in (col, row) as longitude and latitude, its centre in the grid's CRS, its heading.

    Args:
        box: A rectangle in (col, row).
        grid: Whose pixels these are; it has a CRS.

    Returns:
        Box (lon, lat), centre (x, y), and the direction of the longer side clockwise from true north in
        degrees, 0 .. 180.
    """
    if grid.crs is None:
        raise ValueError("a grid without a CRS lies nowhere")
    cols, rows = np.asarray(box.exterior.coords).T
    x, y = grid.affine @ (cols, rows)
    to_globe = grid.crs.transformer_to_crs("EPSG:4326")
    lon, lat = (np.round(part, _DIGITS) for part in to_globe(np.asarray(x), np.asarray(y)))
    centre = grid.affine @ (box.centroid.x, box.centroid.y)
    sides = (_side(x, y, 0), _side(x, y, 1))
    first = int(sides[1] > sides[0])
    east = (lon[first + 1] - lon[first]) * math.cos(math.radians(float(lat.mean())))
    heading = math.degrees(math.atan2(east, lat[first + 1] - lat[first])) % _HALF_TURN
    return orient(Polygon(np.column_stack([lon, lat]))), (float(centre[0]), float(centre[1])), heading


def _side(x: Any, y: Any, start: int) -> float:
    return float(np.hypot(x[start + 1] - x[start], y[start + 1] - y[start]))


def write_geoparquet(objects: Sequence[MappedObject], path: Path) -> None:
    """The file holds the objects, one a row; the same objects give the same bytes."""
    import geopandas as gpd  # noqa: PLC0415  pandas takes a second
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    numbers = ("score", "length_m", "width_m", "heading_deg", "x", "y")
    columns = {name: np.array([getattr(one, name) for one in objects], dtype=np.float64) for name in numbers}
    # arrow's own types: an empty column of Python objects has none
    text, binary = (pd.ArrowDtype(kind) for kind in (pa.string(), pa.binary()))
    frame = gpd.GeoDataFrame(
        columns
        | {
            "crs": pd.array([one.crs for one in objects], dtype=text),
            "chip": pd.array([one.chip for one in objects], dtype=binary),
        },
        geometry=gpd.GeoSeries([one.box for one in objects], crs="EPSG:4326"),
    )
    # not every reader knows the zstd that is smallest
    frame.to_parquet(
        path, index=False, compression="snappy", schema_version="1.1.0", write_covering_bbox=True
    )


def write_geojson(objects: Sequence[MappedObject], path: Path) -> None:
    """The file holds the objects as RFC 7946 features; pictures are data URIs, so that it stands alone."""
    document = {"type": "FeatureCollection", "features": [_feature(one) for one in objects]}
    path.write_text(json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n", encoding="utf-8")


def _feature(one: MappedObject) -> dict[str, Any]:
    return {
        "type": "Feature",
        "bbox": list(one.box.bounds),
        "geometry": mapping(one.box),
        "properties": {
            "score": round(one.score, 4),
            "length_m": round(one.length_m, 1),
            "width_m": round(one.width_m, 1),
            "heading_deg": round(one.heading_deg, 1),
            "x": round(one.x, 2),
            "y": round(one.y, 2),
            "crs": one.crs,
            "chip": "data:image/png;base64," + base64.b64encode(one.chip).decode("ascii"),
        },
    }
