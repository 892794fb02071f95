"""Which scenes labels meet: the ground is shared, and the day lies between the first and the last."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry import shape

from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Grid, Window, strips
from undersky.labels.drawn import Drawn
from undersky.labels.placing import labels_on, outlines_on
from undersky.labels.tasks import Task
from undersky.labels.version import Version

_ROWS = 1024
_MOST_ITEMS = 100_000


@dataclass(frozen=True, slots=True)
class SceneItem:
    """A surface product as far as labels are concerned."""

    id: str
    """Of its Item."""
    sensed: date
    """UTC day."""
    footprint: shapely.Geometry
    """WGS 84 longitude and latitude."""
    grid: Grid
    """Of its finest layer."""


@dataclass(frozen=True, slots=True)
class Match:
    """Labels on one scene."""

    scene: str
    """Of its Item."""
    sensed: date
    """UTC day."""
    counts: Mapping[str, int]
    """Pixels, or objects, of each class on the scene; classes without any left out."""

    def as_json(self) -> Mapping[str, object]:
        """For the report."""
        return {"scene": self.scene, "sensed": self.sensed.isoformat(), "counts": dict(self.counts)}


def items_in(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every Item below a folder of products.

    Raises:
        ConfigError: It is no folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of products; `undersky correct --out DIR` makes one")
    for path in sorted(folder.rglob("*.json"))[:_MOST_ITEMS]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # a folder of products may hold other files
        if isinstance(found, dict) and found.get("type") == "Feature" and "stac_version" in found:
            yield found


def scene_of(item: Mapping[str, Any]) -> SceneItem | None:
    """The scene of an Item; None where it has no layer with a place, as what is no product of ours."""
    try:
        grid = _finest(item)
        if grid is None:
            return None
        sensed = datetime.fromisoformat(str(item["properties"]["datetime"])).date()
        return SceneItem(str(item["id"]), sensed, shape(item["geometry"]), grid)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            Reason.METADATA_INVALID, f"Item {item.get('id')!r} cannot be read as a scene: {error!r}"
        ) from error


def matches(
    version: Version, scenes: Iterable[SceneItem], *, tell: Callable[[str], None] | None = None
) -> tuple[Match, ...]:
    """Labels on every scene that they meet, by day and name.

    Args:
        version: The labels.
        scenes: To look at.
        tell: Told the name of each scene that is counted.

    Raises:
        ConfigError: The labels lie on images, not on the globe.
    """
    if not version.manifest.placed:
        raise ConfigError(f"{version.folder} labels images that lie nowhere on the globe; it meets no scene")
    outlines = version.outlines() if version.raster is None else None
    area = _area_of(version, outlines)
    counted: dict[tuple[str, Affine, tuple[int, ...]], Mapping[str, int]] = {}
    found = []
    for scene in scenes:
        if not version.manifest.is_valid(scene.sensed) or not area.intersects(scene.footprint):
            continue
        if tell is not None:
            tell(scene.id)
        key = (str(scene.grid.crs), scene.grid.affine, tuple(scene.grid.shape))
        if key not in counted:  # every date of a tile lies on one grid
            counted[key] = _counts(version, outlines, scene)
        if counted[key]:
            found.append(Match(scene.id, scene.sensed, counted[key]))
    return tuple(sorted(found, key=lambda match: (match.sensed, match.scene)))


def why_unmet(version: Version, scenes: Sequence[SceneItem]) -> str:
    """Why labels meet none of these scenes, as far as that can be told; empty where there are none."""
    manifest = version.manifest
    if not scenes or manifest.bounds is None:
        return ""
    in_time = [scene for scene in scenes if manifest.is_valid(scene.sensed)]
    if not in_time:
        return f"no scene is met: none was sensed from {manifest.valid_from} to {manifest.valid_to}"
    west, south, east, north = manifest.bounds
    traded = shapely.box(south, west, north, east)
    if swapped := sum(traded.intersects(scene.footprint) for scene in in_time):
        return (
            f"no scene is met, but {swapped} would be with longitude and latitude traded: does the file "
            "write them the wrong way round?"
        )
    return "no scene is met: the labels lie on other ground"


def _area_of(version: Version, outlines: Drawn | None) -> shapely.Geometry:
    if outlines is not None:
        area = shapely.multipolygons(list(shapely.get_parts(outlines.shapes)))
        shapely.prepare(area)
        return area
    return shapely.box(*(version.manifest.bounds or (0, 0, 0, 0)))


def _counts(version: Version, outlines: Drawn | None, scene: SceneItem) -> dict[str, int]:
    """Pixels or objects of each class on the scene's grid."""
    task = version.task
    if outlines is not None and task.counted_in == "objects":
        middles = shapely.centroid(outlines.shapes)
        here = shapely.intersects(middles, scene.footprint)
        numbers = {kind.slug: int((here & (outlines.codes == kind.code)).sum()) for kind in task.classes}
        return {slug: count for slug, count in numbers.items() if count}
    total = np.zeros(len(task.classes), dtype=np.int64)
    part = _part_with_labels(version, scene.grid)
    if part is not None:
        for strip in strips(part, rows=_ROWS):
            total += _on(version, outlines, _cut(part, strip), day=scene.sensed, task=task)
    return {slug: int(count) for slug, count in zip(task.slugs, total, strict=True) if count}


def _on(
    version: Version, outlines: Drawn | None, grid: Grid, *, day: date, task: Task
) -> npt.NDArray[np.int64]:
    labels = (
        labels_on(version, grid, sensed=day) if outlines is None else outlines_on(outlines, grid, task=task)
    )
    return np.bincount(labels[labels >= 0], minlength=len(task.classes))


def _part_with_labels(version: Version, grid: Grid) -> Grid | None:
    """The part of a scene's grid where labels may lie; None where none do."""
    bounds = version.manifest.bounds
    if bounds is None:
        return None
    to = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True)
    left, bottom, right, top = to.transform_bounds(*bounds)
    (col0, row0), (col1, row1) = ~grid.affine @ (left, top), ~grid.affine @ (right, bottom)
    rows, cols = grid.shape
    top_row, bottom_row = max(0, int(row0) - 1), min(rows, int(row1) + 2)
    left_col, right_col = max(0, int(col0) - 1), min(cols, int(col1) + 2)
    if bottom_row <= top_row or right_col <= left_col:
        return None
    return _cut(grid, Window(top_row, left_col, bottom_row - top_row, right_col - left_col))


def _cut(grid: Grid, window: Window) -> Grid:
    return GeoBox(window.shape, grid.affine @ Affine.translation(window.col, window.row), grid.crs)


def _finest(item: Mapping[str, Any]) -> Grid | None:
    """Grid of the layer with the smallest pixels."""
    code = item["properties"].get("proj:code")
    best: Grid | None = None
    for asset in item["assets"].values():
        if "proj:shape" not in asset or "proj:transform" not in asset:
            continue
        rows, cols = asset["proj:shape"]
        grid = GeoBox(
            (int(rows), int(cols)), Affine(*asset["proj:transform"][:6]), asset.get("proj:code", code)
        )
        if best is None or abs(grid.affine.a) < abs(best.affine.a):
            best = grid
    return best
