"""COCO: boxes, polygons and run-length masks on images, on the globe where a GeoTIFF says where those lie.

An image is georeferenced by the file of its name beside the JSON, by a GeoTIFF of that name (`port.png` and
`port.tif`), or, where those are missing, by the GeoTIFFs beside it if all of them have one grid of its size.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.errors import RasterioIOError

from undersky.errors import DataError, Reason
from undersky.labels.class_map import ClassMap
from undersky.labels.drawn import Drawn, drawn
from undersky.labels.mending import Shapes, on_the_globe, outlines_of
from undersky.labels.run_lengths import outline_of_runs
from undersky.labels.tally import Tally
from undersky.labels.tasks import IGNORE, Task

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """An image that annotations lie on."""

    name: str
    """As the file calls it."""
    size: tuple[int, int]
    """Rows and columns."""
    raster: Path | None
    """The GeoTIFF that says where it lies."""


def looks_like_coco(path: Path) -> bool:
    """True for a JSON object with images and annotations."""
    fields = _json(path)
    return isinstance(fields, dict) and {"images", "annotations"} <= fields.keys()


def read_coco(path: Path, class_map: ClassMap, *, task: Task) -> tuple[Drawn, Tally, Path | None]:
    """The outlines of a file, what became of everything in it, and a raster to draw them on.

    Raises:
        ConfigError: A category is neither mapped nor ignored.
        DataError: `metadata_invalid`, `grid_mismatch` or `crs_mismatch`: the file cannot be used.
    """
    fields = _json(path)
    codes = class_map.codes(task)
    images = {each.get("id"): _image(path, each) for each in _objects(path, fields, "images")}
    names = {each.get("id"): str(each.get("name")) for each in _objects(path, fields, "categories")}
    annotations = _objects(path, fields, "annotations")
    values = [names.get(each.get("category_id"), str(each.get("category_id"))) for each in annotations]
    tally = Tally(met=Counter(values))
    class_map.refuse_unmapped(tally.met, f"{path.name}, categories,")
    _note_crowds(annotations, class_map, tally)
    places = [_image_of(path, each, images, tally) for each in annotations]
    shapes = np.empty(len(annotations), dtype=object)
    shapes[:] = [_outline(path, *pair) for pair in zip(annotations, places, strict=True)]
    numbers = np.asarray(
        [
            IGNORE if _is_ignored(each, class_map) else codes[v]
            for each, v in zip(annotations, values, strict=True)
        ],
        dtype=np.uint8,
    )
    shapes, kept = outlines_of(shapes, tally)
    placed = [place for place, is_kept in zip(places, kept, strict=True) if is_kept]
    outlines = _placed(path, shapes, codes=numbers[kept], images=placed, tally=tally)
    return outlines, tally, next((image.raster for image in placed), None)


def _placed(
    path: Path, shapes: Shapes, *, codes: npt.NDArray[np.uint8], images: Sequence[Image], tally: Tally
) -> Drawn:
    """On the globe where every image lies there, else on the pixels of the images."""
    lost = sorted({image.name for image in images if image.raster is None})
    if lost and any(image.raster is not None for image in images):
        raise _invalid(
            path, f"has images that lie somewhere and images that do not ({lost[0]}); keep them apart"
        )
    if lost:
        tally.notes.append("the images lie nowhere on the globe: labels are pixels of the named images")
        return drawn(shapes, codes, tuple(image.name for image in images))
    found: list[Shapes] = []
    numbers: list[npt.NDArray[np.uint8]] = []
    for raster in sorted({image.raster for image in images if image.raster is not None}):
        here = np.asarray([image.raster == raster for image in images])
        with rasterio.open(raster) as dataset:
            to_map, crs = dataset.transform, dataset.crs
        on_map = shapely.transform(shapes[here], lambda c, a=to_map: np.column_stack(a @ (c[:, 0], c[:, 1])))
        lonlat, kept = on_the_globe(on_map, crs, where=raster.name, tally=tally)
        found.append(lonlat)
        numbers.append(codes[here][kept])
    if not found:
        return drawn(shapes, codes)
    return drawn(np.concatenate(found), np.concatenate(numbers))


def _image(path: Path, fields: Fields) -> Image:
    try:
        name, size = str(fields["file_name"]), (int(fields["height"]), int(fields["width"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid(path, "has an image without file_name, height and width") from error
    if min(size) < 1:
        raise _invalid(path, f"says that {name} has {size[0]} x {size[1]} pixels")
    return Image(name, size, _raster_of(path.parent, name, size))


def _raster_of(folder: Path, name: str, size: tuple[int, int]) -> Path | None:
    """The GeoTIFF that says where an image lies; None where nothing does."""
    named = folder / Path(name).name  # a path in the file leads nowhere else
    for candidate in (named, named.with_suffix(".tif"), named.with_suffix(".tiff")):
        place = _place(candidate)
        if place is None:
            continue
        if place[1] != size:
            raise DataError(
                Reason.GRID_MISMATCH,
                f"{candidate.name} has {place[1][0]} x {place[1][1]} pixels, the annotations say {size[0]} x "
                f"{size[1]}; put the image beside them that they were drawn on",
            )
        return candidate
    beside = {each: _place(each) for each in sorted((*folder.glob("*.tif"), *folder.glob("*.tiff")))}
    grids = {place for place in beside.values() if place is not None}
    if len(grids) == 1 and next(iter(grids))[1] == size:
        return next(each for each, place in beside.items() if place is not None)
    return None


def _place(path: Path) -> tuple[tuple[float, ...], tuple[int, int], str] | None:
    """Transform, rows and columns, and CRS of a georeferenced raster; None for anything else."""
    if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        return None
    try:
        with rasterio.open(path) as dataset:
            if dataset.crs is None:
                return None
            return tuple(dataset.transform), dataset.shape, dataset.crs.to_wkt()
    except RasterioIOError as error:
        raise DataError(
            Reason.RASTER_UNREADABLE, f"{path.name} cannot be read: {error}; export it again"
        ) from error


def _image_of(path: Path, annotation: Fields, images: Mapping[object, Image], tally: Tally) -> Image:
    """The image an annotation lies on.

    Some tools number images anew and leave the annotations as they were. Where all images of the file are of
    one size and place there is nothing to be mistaken about.
    """
    found = images.get(annotation.get("image_id"))
    if found is not None:
        return found
    places = {(image.size, image.raster) for image in images.values()}
    if len(places) != 1 or (len(images) > 1 and next(iter(places))[1] is None):
        raise _invalid(
            path,
            f"has an annotation on image {annotation.get('image_id')!r}, which it does not list; it lists "
            f"{' '.join(map(str, images)) or 'none'}",
        )
    note = "annotations name images that are not listed; all that are listed are one grid, which they lie on"
    if note not in tally.notes:
        tally.notes.append(note)
    return next(iter(images.values()))


def _outline(path: Path, annotation: Fields, image: Image) -> shapely.Geometry | None:
    """The mask where there is one, else the box; (column, row) from the upper left corner of the image."""
    mask = annotation.get("segmentation")
    try:
        if isinstance(mask, Mapping):
            size = (int(mask["size"][0]), int(mask["size"][1]))
            return outline_of_runs(mask["counts"], _of_image(size, image))
        if mask:
            rings = [np.asarray(ring, dtype=float).reshape(-1, 2) for ring in mask]
            return shapely.union_all([shapely.make_valid(shapely.Polygon(ring)) for ring in rings])
        if not annotation.get("bbox"):
            return None
        left, top, width, height = (float(value) for value in annotation["bbox"])
        return shapely.box(left, top, left + width, top + height)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _invalid(
            path, f"has annotation {annotation.get('id')!r} that cannot be drawn: {error}"
        ) from error


def _of_image(size: tuple[int, int], image: Image) -> tuple[int, int]:
    """The size of a mask, which is its image's.

    Raises:
        ValueError: It is not.
    """
    if size != image.size:
        raise ValueError(f"a mask of {size} on an image of {image.size}")
    return size


def _note_crowds(annotations: Sequence[Fields], class_map: ClassMap, tally: Tally) -> None:
    crowds = sum(bool(each.get("iscrowd")) for each in annotations)
    if crowds:
        what = "regions to ignore" if class_map.ignores_crowds else "objects (`crowds: ignore` ignores them)"
        tally.notes.append(f"{crowds} annotations are marked iscrowd and taken as {what}")


def _is_ignored(annotation: Fields, class_map: ClassMap) -> bool:
    return bool(annotation.get("ignore")) or (class_map.ignores_crowds and bool(annotation.get("iscrowd")))


def _objects(path: Path, fields: object, key: str) -> list[Fields]:
    found = fields.get(key) if isinstance(fields, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise _invalid(path, f"has no list `{key}`")
    return found


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _invalid(path, f"is no JSON: {error}") from error


def _invalid(path: Path, what: str) -> DataError:
    return DataError(Reason.METADATA_INVALID, f"{path.name} {what}; see the COCO object-detection format")
