"""GeoPackage and GeoJSON, and whatever else GDAL reads as features, become outlines on the globe."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FieldError, GeometryError
from pyproj import Transformer

from undersky.errors import ConfigError, DataError, Reason
from undersky.labels.class_map import ClassMap, value_text
from undersky.labels.drawn import Drawn, drawn
from undersky.labels.mending import crs_of, on_the_globe, outlines_of
from undersky.labels.tally import Tally
from undersky.labels.tasks import Task

MOST_FEATURES = 5_000_000
"""More are refused: they would not fit in memory; --bbox takes a part."""

Bbox = tuple[float, float, float, float]
"""West, south, east, north, degrees."""


def read_vectors(
    path: Path,
    class_map: ClassMap,
    *,
    task: Task,
    layer: str | None = None,
    crs: str | None = None,
    bbox: Bbox | None = None,
) -> tuple[Drawn, Tally]:
    """The outlines of a file and what became of everything in it.

    Args:
        path: GeoPackage, GeoJSON, or another file of features.
        class_map: What the file calls things, and in which column.
        task: Whose classes they become.
        layer: Which layer, where there are several.
        crs: The coordinate system, where the file does not say it; it contradicts no file that does.
        bbox: Only what touches it.

    Raises:
        ConfigError: The column, the layer or the mapping of a value is missing.
        DataError: `metadata_invalid`, `crs_mismatch` or `raster_too_large`: the file cannot be used.
    """
    codes = class_map.codes(task)
    name = _layer(path, layer)
    column = _column(path, name, class_map)
    shapes, values, found = _features(path, name, column=column, crs=crs, bbox=bbox)
    tally = Tally(met=Counter(values))
    class_map.refuse_unmapped(tally.met, f"{path.name}, column {column},")
    numbers = np.asarray([codes[value] for value in values], dtype=np.uint8)
    shapes, kept = outlines_of(shapes, tally)
    numbers = numbers[kept]
    shapes, kept = on_the_globe(shapes, found, where=path.name, tally=tally)
    return drawn(shapes, numbers[kept]), tally


def _layer(path: Path, wanted: str | None) -> str:
    """The layer to read.

    Raises:
        ConfigError: It is not there, or there are several and none was named.
    """
    try:
        names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except (DataSourceError, DataLayerError) as error:
        raise _unreadable(path, error) from error
    if wanted is not None and wanted not in names:
        raise ConfigError(f"{path.name} has no layer {wanted!r}; it has {' '.join(names)}")
    if wanted is None and len(names) != 1:
        raise ConfigError(
            f"{path.name} has {len(names)} layers of features ({' '.join(names)}); --layer names one"
        )
    return wanted or names[0]


def _column(path: Path, layer: str, class_map: ClassMap) -> str:
    try:
        info = pyogrio.read_info(path, layer=layer, force_feature_count=True)
    except (DataSourceError, DataLayerError) as error:
        raise _unreadable(path, error) from error
    fields = [str(field) for field in info["fields"]]
    if info["features"] > MOST_FEATURES:
        raise DataError(
            Reason.RASTER_TOO_LARGE,
            f"{path.name} has {info['features']} features, at most {MOST_FEATURES} fit; cut it up",
        )
    if not class_map.attributes:
        raise ConfigError(
            f"class map {class_map.name} names no attribute; {path.name} has the columns {' '.join(fields)}: "
            "write `attribute: COLUMN`"
        )
    for name in class_map.attributes:
        if name in fields:
            return name
    raise ConfigError(
        f"{path.name} has no column {' or '.join(class_map.attributes)}; it has {' '.join(fields)}; "
        "write the right one as `attribute:` of the class map"
    )


def _features(
    path: Path, layer: str, *, column: str, crs: str | None, bbox: Bbox | None
) -> tuple[Any, list[str], Any]:
    """Shapes, values as text, and the coordinate system."""
    try:
        meta, _, shapes, columns = pyogrio.raw.read(path, layer=layer, columns=[column])
    except (DataSourceError, DataLayerError, FieldError, GeometryError) as error:
        raise _unreadable(path, error) from error
    stated = meta["crs"]
    # A GeoPackage may say "undefined" in so many words; then nobody knows either.
    if stated is not None and crs_of(stated, path.name).name.lower().startswith("undefined"):
        stated = None
    if stated is not None and crs is not None and crs_of(stated, path.name) != crs_of(crs, path.name):
        raise ConfigError(
            f"{path.name} says it is in {stated}, --crs says {crs}; leave --crs out, or mend the file"
        )
    known = crs if stated is None else stated
    with np.errstate(invalid="ignore"):  # coordinates that are no numbers are counted, not warned of
        shapes = np.asarray(shapely.from_wkb(shapes, on_invalid="ignore"), dtype=object)
    values = [value_text(value) for value in columns[0]]
    if bbox is not None:
        system = crs_of(known, path.name)
        area = Transformer.from_crs("EPSG:4326", system, always_xy=True).transform_bounds(*bbox)
        with np.errstate(invalid="ignore"):
            near = shapely.intersects(shapely.envelope(shapes), shapely.box(*area))
        shapes, values = shapes[near], [value for value, is_near in zip(values, near, strict=True) if is_near]
    return shapes, values, known


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        Reason.METADATA_INVALID,
        f"{path.name} cannot be read as features: {error}; give GeoPackage, GeoJSON, COCO or GeoTIFF",
    )
