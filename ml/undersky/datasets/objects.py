"""Scenes with labelled objects: bands on one metric grid, and each object as an oriented box on it.

    <folder>/<scene>/*_B02_*.tiff ...    one raster a band, any CRS, digital numbers
    <folder>/<scene>/*_coco.json         boxes, and masks as polygons or run lengths, of the first raster

What is labelled comes from the recipe, not from here. Rasters in Web Mercator are the rule where labels were
drawn in a browser: their pixel is 1 / cos(latitude) too long, so bands and boxes are brought to the UTM zone
of the scene before anything is measured in metres.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.warp import reproject
from shapely import Polygon, affinity

from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Floats, Grid

Positions = npt.NDArray[np.float64]

_S2_BANDS = {
    "blue": "*_B02_*",
    "green": "*_B03_*",
    "red": "*_B04_*",
    "nir": "*_B08_*",
    "swir16": "*_B11_*",
}
_MAX_LABELS = 64 << 20
_EDGE_POINTS = 33


@dataclass(frozen=True, slots=True)
class SceneFiles:
    """Where labelled scenes lie and how they are read; a section of a recipe."""

    folder: str
    """Under the folder of samples; one folder a scene below it."""
    category: str = "vessel"
    """The COCO category that is the object; others are passed over."""
    annotations: str = "*_coco.json"
    """File of the labels, a glob inside a scene's folder."""
    bands: Mapping[str, str] = field(default_factory=lambda: dict(_S2_BANDS))
    """Common name of each band to its file, a glob inside a scene's folder."""
    scale: float = 65535.0
    """Digital number of reflectance one."""
    suffix: str = ".tiff"
    """What a raster's name ends with."""


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """One object somebody marked."""

    row: float
    """Of its centre; 0 is the upper edge of the first row."""
    col: float
    """Of its centre; 0 is the left edge of the first column."""
    box: Polygon
    """The smallest rotated rectangle about its mask, in (col, row)."""


@dataclass(frozen=True, slots=True)
class ObjectScene:
    """One labelled scene."""

    name: str
    """Of its folder: `busan`."""
    values: Floats
    """Surface reflectance, (band, y, x), NaN outside the raster."""
    grid: Grid
    """Of the values, in metres."""
    objects: tuple[LabelledObject, ...]
    """All that is marked."""


def scene_folders(samples: Path, files: SceneFiles) -> tuple[Path, ...]:
    """The folders of the labelled scenes, in the order of their names.

    Raises:
        ConfigError: There is none.
    """
    root = samples / files.folder
    found = tuple(sorted(path.parent for path in root.glob(f"*/{files.annotations}")))
    if not found:
        raise ConfigError(
            f"{root} holds no labelled scene ({files.annotations} in a folder of its own): "
            "UNDERSKY_SAMPLES must name the folder that holds it"
        )
    return found


def files_digest(folders: Sequence[Path], files: SceneFiles) -> str:
    """sha256 over the names and bytes of all that is read of these scenes."""
    digest = hashlib.sha256()
    for folder in folders:
        paths = [_only(folder, pattern + files.suffix) for pattern in files.bands.values()]
        for path in (*paths, _only(folder, files.annotations)):
            with path.open("rb") as opened:
                digest.update(f"{folder.name}/{path.name}".encode())
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def read_object_scene(folder: Path, files: SceneFiles, *, pixel_m: float) -> ObjectScene:
    """The scene in a folder, its bands and objects on one UTM grid.

    Args:
        folder: Of the scene.
        files: How it is read.
        pixel_m: Pixel of the grid in metres.

    Raises:
        ConfigError: A file is missing or there are two.
        DataError: `raster_unreadable`, or `dataset_damaged`: the labels are no use, or of another raster.
    """
    paths = [_only(folder, pattern + files.suffix) for pattern in files.bands.values()]
    try:
        with rasterio.open(paths[0]) as first:
            source = GeoBox((first.height, first.width), first.transform, first.crs)
        grid = _metric_grid(source, pixel_m)
        values = np.stack([_warped(path, grid) for path in paths]) / np.float32(files.scale)
    except (RasterioError, ValueError) as error:
        raise DataError(Reason.RASTER_UNREADABLE, f"{folder.name}: a band cannot be read: {error}") from error
    boxes = coco_boxes(_only(folder, files.annotations), files.category, shape=source.shape.yx)
    objects = tuple(_placed(box, source, grid) for box in boxes)
    return ObjectScene(folder.name, values.astype(np.float32), grid, objects)


def coco_boxes(path: Path, category: str, *, shape: tuple[int, int]) -> tuple[Polygon, ...]:
    """The oriented box of every annotation of a category, in (col, row) of the annotated raster.

    Args:
        path: COCO JSON. `image_id` is not asked: some exports number it wrongly, and a file is of one scene.
        category: Its name.
        shape: (rows, cols) of the raster; run lengths must be of that size.

    Raises:
        DataError: `dataset_damaged`: not COCO, no such category, or of another raster.
    """
    try:
        document = _labels(path)
        wanted = {entry["id"] for entry in document["categories"] if entry["name"] == category}
        found = [entry for entry in document["annotations"] if entry["category_id"] in wanted]
        boxes = tuple(_box(entry, shape) for entry in found)
        names = " ".join(str(entry["name"]) for entry in document["categories"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _useless(path, str(error)) from error
    if not wanted:
        raise _useless(path, f"there is no category {category!r}; there are {names}")
    return boxes


def _labels(path: Path) -> Any:
    if path.stat().st_size > _MAX_LABELS:
        raise ValueError(f"it has more than {_MAX_LABELS:,} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def _useless(path: Path, why: str) -> DataError:
    return DataError(Reason.DATASET_DAMAGED, f"{path.parent.name}/{path.name} is no use as labels: {why}")


def object_targets(scene: ObjectScene, *, centre_m: float) -> npt.NDArray[np.uint8]:
    """What a network is asked for: (2, y, x), one inside an object and one near its centre.

    Centres are discs, cut to the object's own box so that neighbours along a quay stay apart.

    Args:
        scene: With its objects.
        centre_m: Radius of the disc.
    """
    pixel = abs(scene.grid.affine.a)
    discs = [
        shapely.Point(found.col, found.row).buffer(centre_m / pixel).intersection(found.box.buffer(0.5))
        for found in scene.objects
    ]
    layers = [_burnt([found.box for found in scene.objects], scene.grid), _burnt(discs, scene.grid)]
    return np.stack(layers)


def _burnt(shapes: Sequence[shapely.Geometry], grid: Grid) -> npt.NDArray[np.uint8]:
    if not shapes:
        return np.zeros(grid.shape, np.uint8)
    burnt = rasterize([(shape, 1) for shape in shapes], out_shape=grid.shape, dtype="uint8")
    return np.asarray(burnt, dtype=np.uint8)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ConfigError(f"{folder} holds {len(found)} files {pattern}, expected one")
    return found[0]


def _metric_grid(source: Grid, pixel_m: float) -> Grid:
    """The grid in the UTM zone of the raster's middle that covers it."""
    if source.crs is None:
        raise ValueError("the raster has no CRS")
    rows, cols = source.shape
    middle = source.affine @ (cols / 2, rows / 2)
    lon, lat = source.crs.transformer_to_crs("EPSG:4326")(*middle)
    zone = int((lon + 180.0) // 6.0) % 60 + 1
    code = f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"
    along = np.linspace(0.0, 1.0, _EDGE_POINTS)
    edge_cols = np.concatenate([along * cols, along * cols, 0 * along, 0 * along + cols])
    edge_rows = np.concatenate([0 * along, 0 * along + rows, along * rows, along * rows])
    x, y = source.crs.transformer_to_crs(code)(*_on_map(source, edge_cols, edge_rows))
    left, top = math.floor(x.min() / pixel_m) * pixel_m, math.ceil(y.max() / pixel_m) * pixel_m
    shape = math.ceil((top - y.min()) / pixel_m), math.ceil((x.max() - left) / pixel_m)
    return GeoBox(shape, Affine(pixel_m, 0, left, 0, -pixel_m, top), code)


def _on_map(grid: Grid, cols: Positions, rows: Positions) -> tuple[Positions, Positions]:
    """Pixel positions on the grid's map plane."""
    turn = grid.affine
    return turn.a * cols + turn.b * rows + turn.c, turn.d * cols + turn.e * rows + turn.f


def _warped(path: Path, grid: Grid) -> Floats:
    """One raster on the grid, bilinear, NaN outside it."""
    out = np.full(grid.shape, np.nan, dtype=np.float32)
    with rasterio.open(path) as raster:
        reproject(
            raster.read(1).astype(np.float32),
            out,
            src_transform=raster.transform,
            src_crs=raster.crs,
            src_nodata=None,
            dst_transform=grid.affine,
            dst_crs=str(grid.crs),
            dst_nodata=math.nan,
            resampling=Resampling.bilinear,
        )
    return out


def split_scene(scene: ObjectScene, *, share: float) -> tuple[ObjectScene, ObjectScene]:
    """The scene in two, west for training and east for validation; they share no pixel.

    Args:
        scene: With its objects.
        share: Of the objects, that lie in the east.
    """
    cols = scene.values.shape[2]
    centres = sorted(found.col for found in scene.objects) or [cols * (1 - share)]
    cut = min(max(math.floor(float(np.quantile(centres, 1 - share))), 1), cols - 1)
    return _columns(scene, 0, cut), _columns(scene, cut, cols)


def _columns(scene: ObjectScene, first: int, last: int) -> ObjectScene:
    """Some columns of the scene, with the objects whose centres lie there."""
    objects = tuple(
        LabelledObject(found.row, found.col - first, affinity.translate(found.box, -first))
        for found in scene.objects
        if first <= found.col < last
    )
    affine = scene.grid.affine @ Affine.translation(first, 0)
    grid = GeoBox((scene.values.shape[1], last - first), affine, scene.grid.crs)
    return ObjectScene(scene.name, scene.values[:, :, first:last], grid, objects)


def _placed(box: Polygon, source: Grid, grid: Grid) -> LabelledObject:
    """A box of the annotated raster in the pixels of the grid, again a rectangle."""
    if source.crs is None or grid.crs is None:
        raise ValueError("a grid without a CRS lies nowhere")
    x, y = source.crs.transformer_to_crs(grid.crs)(*_on_map(source, *np.asarray(box.exterior.coords).T))
    inverse = ~grid.affine
    cols = inverse.a * np.asarray(x) + inverse.b * np.asarray(y) + inverse.c
    rows = inverse.d * np.asarray(x) + inverse.e * np.asarray(y) + inverse.f
    placed = shapely.minimum_rotated_rectangle(Polygon(np.column_stack([cols, rows])))
    centre = placed.centroid
    return LabelledObject(float(centre.y), float(centre.x), placed)


def _box(entry: Mapping[str, Any], shape: tuple[int, int]) -> Polygon:
    """The smallest rotated rectangle about one annotation."""
    outline = entry.get("segmentation")
    if isinstance(outline, dict):
        rows, cols = np.nonzero(_run_lengths(outline, shape))
        corners = shapely.MultiPoint(
            np.concatenate([np.column_stack([cols + x, rows + y]) for x in (0, 1) for y in (0, 1)])
        )
    elif isinstance(outline, list) and outline:
        corners = shapely.MultiPoint(np.concatenate([np.reshape(ring, (-1, 2)) for ring in outline]))
    else:
        x, y, width, height = (float(value) for value in entry["bbox"])
        corners = shapely.MultiPoint([(x, y), (x + width, y + height)]).envelope
    rectangle = shapely.minimum_rotated_rectangle(corners)
    if not isinstance(rectangle, Polygon):
        raise ValueError(f"annotation {entry.get('id')} covers no area")  # noqa: TRY004  a value of the file
    return rectangle


def _run_lengths(outline: Mapping[str, Any], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """An uncompressed COCO mask: runs of zeros and ones by turns, down the columns."""
    counts, size = outline["counts"], outline["size"]
    if not isinstance(counts, list) or not isinstance(size, list) or tuple(size) != shape:
        raise ValueError(f"a mask of {size}, the raster has {list(shape)} rows and columns")
    if sum(counts) != math.prod(shape) or min(counts) < 0:
        raise ValueError("run lengths that do not fill the raster")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(shape, order="F")
