"""`detect`: a surface-reflectance product in, a table of the objects on its water out.

surface product, model --> digest known?  --yes--> the map that is already there
    |
strip by strip, with the margin beyond which nothing changes an object:
    read (this thread) --> water, probabilities, boxes, chips (`threads` others) --> objects whose peak
    lies in the strip's own rows, so that one on a seam is found once
    |
vessels.parquet, vessels.geojson, thumbnail;  Item  -> the folder gets its name
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio

from undersky import stac
from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Window
from undersky.models.package import ModelPackage, load_package, package_folder
from undersky.raster import browse
from undersky.raster.cog import read_reduced
from undersky.raster.commit import committed_folder, put_text
from undersky.raster.encoding import MAPS_FORMAT_VERSION, reflectance_layer
from undersky.raster.surface_product import SurfaceProduct
from undersky.stac.made import Clock, mapped
from undersky.stac.maps import COLLECTIONS, MapFile, MappedProduct, MapProduct, map_collection, map_item

if TYPE_CHECKING:
    from undersky.grid import Floats
    from undersky.inference.objects import Detection
    from undersky.models.segmentation import Segmenter
    from undersky.quality import QualityBits
    from undersky.vectors.objects import MappedObject

MODEL = "vessels"
"""Name of the model that finds them, and of the table."""

STRIP_ROWS = 512
"""Rows of a strip: one row of blocks of a 10 m band."""

_SEEN = ("red", "green", "blue")
_WATER = ("green", "nir", "swir16")
_GDAL: Mapping[str, Any] = {
    "GDAL_CACHEMAX": 256 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
}

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """How objects are looked for; nothing here changes one."""

    threads: int = 2
    """Strips worked on at a time."""
    run_id: str = "by-hand"
    """Name of the run, for provenance."""
    strip_rows: int = STRIP_ROWS
    """Rows looked at at a time by each thread."""
    progress: Progress | None = None
    """Told the done fraction, 0 .. 1, and what is being done."""


@dataclass(frozen=True)
class Detector:
    """A model of objects, verified; its network is built when the first product is looked at."""

    package: ModelPackage
    """The package."""

    @property
    def name(self) -> str:
        """`vessels`."""
        return self.package.name

    @property
    def version(self) -> str:
        """Which one of them."""
        return self.package.version

    @property
    def digest(self) -> str:
        """sha256 of the package."""
        return self.package.digest

    @property
    def identity(self) -> dict[str, str]:
        """Name, version and digest."""
        return {"name": self.name, "version": self.version, "digest": self.digest}

    @cached_property
    def segmenter(self) -> "Segmenter":
        """The network.

        Raises:
            DataError: `model_refused`.
        """
        from undersky.inference.objects import require_objects  # noqa: PLC0415  loads torch
        from undersky.models.segmentation import build_segmenter  # noqa: PLC0415

        model = build_segmenter(self.package, self.package.name)
        require_objects(model)
        return model.on_best_device()


def open_detector(model: str | Path | None = None) -> Detector:
    """The detector of a model package, the shipped one of vessels when None; cheap, torch is not loaded.

    Raises:
        DataError: `model_refused`: damaged, or no model whose objects have a collection.
    """
    package = load_package(package_folder(MODEL if model is None else model))
    if collection_named(package.name) not in COLLECTIONS:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"{package.name} {package.version} finds nothing that has a collection of maps "
            f"({' '.join(COLLECTIONS)}); give the folder of a package called {MODEL}, or leave --model out",
        )
    return Detector(package)


def detect(
    product: Path, out: Path, *, detector: Detector, options: DetectOptions | None = None
) -> MappedProduct:
    """The objects in a surface product lie, as tables, complete in `out / <id>`.

    Running it twice changes nothing: equal tables that are there are returned as they are. No object at all
    is a result like any other.

    Args:
        product: Folder that `undersky correct` made of a Sentinel-2 scene.
        out: Folder for maps; made when absent.
        detector: The model.
        options: Threads, progress, run id.

    Raises:
        ConfigError: It is a product of a sensor whose pixels are too large.
        DataError: It is no surface product, a band is missing, or a file cannot be read; nothing is left.
    """
    options, clock = options or DetectOptions(), Clock()
    with rasterio.Env(**_GDAL), SurfaceProduct.open(product) as surface:
        _require_sharp(surface)
        digest = detection_digest(surface, detector)
        folder = out / detection_id(surface, detector, digest)

        def make() -> None:
            _make(_Job(surface, detector, digest, options, clock), folder)
            name = collection_named(detector.name)
            put_text(out / f"{name}.json", stac.to_json(map_collection(name)))

        return mapped(folder, digest, make, clock)


def detection_id(surface: SurfaceProduct, detector: Detector, digest: str) -> str:
    """The surface product's id up to its kind, then the objects and the head of the digest."""
    start = surface.id.rpartition("_SR_")[0] or surface.id
    return f"{start}_{detector.name.upper()}_{digest[:8]}"


def detection_digest(surface: SurfaceProduct, detector: Detector) -> str:
    """sha256 over everything that decides an object."""
    content = {
        "format": MAPS_FORMAT_VERSION, "surface": surface.digest, "model": detector.digest,
        "parameters": dict(detection_parameters(detector)),
    }  # fmt: skip
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def detection_parameters(detector: Detector) -> Mapping[str, Any]:
    """Everything beside surface product and model that decides an object."""
    return {"kind": detector.name, "decision": DECISION}


DECISION = "1"
"""`inference.objects.VERSION`, known without loading torch; a test holds them equal."""


def collection_named(name: str) -> str:
    """The collection of what a model of that name finds: `sentinel-2-vessels`."""
    return f"sentinel-2-{name}"


def _require_sharp(surface: SurfaceProduct) -> None:
    if surface.sensor.constellation != "sentinel-2":
        raise ConfigError(
            f"{surface.id} is not applicable: objects are looked for at 10 m, and {surface.sensor.key} has "
            f"pixels of {abs(surface.grid.affine.a):.0f} m; give a product of Sentinel-2"
        )


@dataclass(frozen=True, slots=True)
class _Job:
    """One table in the making."""

    surface: SurfaceProduct
    detector: Detector
    digest: str
    options: DetectOptions
    clock: Clock

    def tell(self, fraction: float, sentence: str) -> None:
        if self.options.progress is not None:
            self.options.progress(fraction, sentence)


class _Strip(NamedTuple):
    objects: "tuple[tuple[Detection, bytes], ...]"  # in the whole scene's pixels, each with its chip
    searched: int  # pixels where one could lie


def _make(job: _Job, final: Path) -> None:
    """The tables are made and committed."""
    from undersky.vectors.objects import write_geojson, write_geoparquet  # noqa: PLC0415  loads pandas

    with committed_folder(final) as folder:
        strips = list(_strips(job))
        found = sorted((pair for strip in strips for pair in strip.objects), key=lambda pair: -pair[0].score)
        job.tell(1.0, "describing the objects")
        table = [_mapped(job.surface, one, chip) for one, chip in found]
        write_geoparquet(table, folder / f"{job.detector.name}.parquet")
        write_geojson(table, folder / f"{job.detector.name}.geojson")
        _write_thumbnail(job, folder / "thumbnail.png", [one for one, _ in found])
        summary = _summary(job, table, sum(strip.searched for strip in strips))
        item = map_item(_described(job, folder, summary, name=final.name))
        (folder / f"{final.name}.json").write_text(stac.to_json(item), encoding="utf-8")
    job.tell(1.0, "done")


def _strips(job: _Job) -> "Sequence[_Strip]":
    """Every strip of the scene, looked at, top to bottom."""
    from undersky.inference.objects import reach_pixels  # noqa: PLC0415  loads torch
    from undersky.inference.sliding import margined_strips  # noqa: PLC0415

    model, done = job.detector.segmenter, []
    windows = margined_strips(
        job.surface.grid,
        rows=job.options.strip_rows,
        margin=reach_pixels(model),
        multiple=model.config.multiple,
    )
    with ThreadPoolExecutor(job.options.threads) as pool:
        waiting: deque[Future[_Strip]] = deque()
        for outer, inner in windows:
            values, quality = _read(job.surface, model, outer)
            waiting.append(pool.submit(_look, model, values, quality, windows=(outer, inner)))
            if len(waiting) > job.options.threads:
                done.append(waiting.popleft().result())
            job.tell((inner.row + inner.height) / job.surface.grid.shape[0], "looking for objects")
        done.extend(future.result() for future in waiting)
    return done


def _read(
    surface: SurfaceProduct, model: "Segmenter", window: Window
) -> "tuple[Mapping[str, Floats], QualityBits]":
    names = dict.fromkeys((*model.config.inputs, *_SEEN, *_WATER))
    missing = surface.missing(tuple(names))
    planes = [name for name in names if name not in missing or name not in model.config.optional]
    values = dict(zip(planes, surface.read(tuple(planes), window), strict=True))
    nothing = np.full(window.shape, np.nan, dtype=np.float32)
    return {name: values.get(name, nothing) for name in names}, surface.quality(window)


def _look(
    model: "Segmenter",
    values: "Mapping[str, Floats]",
    quality: "QualityBits",
    *,
    windows: tuple[Window, Window],
) -> _Strip:
    """The objects whose peaks lie in the inner window, with a picture of each."""
    from undersky.inference.objects import find_objects, moved, require_objects, where_to_look  # noqa: PLC0415
    from undersky.vectors.pictures import chip_of  # noqa: PLC0415

    outer, inner = windows
    green, nir, swir16 = (values[name] for name in _WATER)
    settings, pixel_m = require_objects(model), model.config.pixel_m
    allowed = where_to_look(green, nir, quality, settings=settings, pixel_m=pixel_m, swir16=swir16)
    rows = range(inner.row - outer.row, inner.row - outer.row + inner.height)
    stack = np.stack([values[name] for name in model.config.inputs])
    found = [one for one in find_objects(model, stack, allowed) if one.peak[0] in rows]
    picture = browse.true_colour(*(values[name] for name in _SEEN)) if found else None
    chips = [chip_of(picture, (one.row, one.col)) for one in found if picture is not None]
    objects = tuple(
        (moved(one, rows=outer.row, cols=outer.col), chip) for one, chip in zip(found, chips, strict=True)
    )
    return _Strip(objects, int(allowed[rows.start : rows.stop].sum()))


def _mapped(surface: SurfaceProduct, one: "Detection", chip: bytes) -> "MappedObject":
    from undersky.vectors.objects import MappedObject, on_globe  # noqa: PLC0415  loads pandas

    box, (x, y), heading = on_globe(one.box, surface.grid)
    crs = str(surface.item["properties"].get("proj:code") or surface.grid.crs)
    return MappedObject(box, x, y, crs, one.score, one.length_m, one.width_m, heading, chip)


def _summary(job: _Job, table: "Sequence[MappedObject]", searched: int) -> dict[str, float]:
    """Number of objects, the longest, and the percent of the scene where one could lie."""
    rows, cols = job.surface.grid.shape
    longest = max((one.length_m for one in table), default=0.0)
    return {
        job.detector.name: float(len(table)),
        "longest_m": longest,
        "searched_percent": 100.0 * searched / (rows * cols),
    }


def _write_thumbnail(job: _Job, path: Path, found: "Sequence[Detection]") -> None:
    """True colours with a frame about each object."""
    from undersky.vectors.pictures import framed  # noqa: PLC0415

    surface = job.surface
    bands = {band.common_name: band for band in surface.sensor.corrected_bands}
    rows, cols = surface.grid.shape
    shape = browse.thumbnail_shape((rows, cols))
    planes = [
        read_reduced(surface.folder / f"{band.asset}.tif", layer=reflectance_layer(band), shape=shape)
        for band in (bands[name] for name in _SEEN)
    ]
    picture = browse.true_colour(planes[0], planes[1], planes[2])
    scale = (shape[0] / rows, shape[1] / cols)
    browse.write_picture(path, framed(picture, [one.box for one in found], scale=scale))


def _described(job: _Job, folder: Path, summary: Mapping[str, float], *, name: str) -> MapProduct:
    surface, properties, model = job.surface, job.surface.item["properties"], job.detector
    endings = {"application/vnd.apache.parquet": "parquet", "application/geo+json": "geojson"}
    files = tuple(
        MapFile(key, stac.WrittenFile.of(folder / f"{model.name}.{endings[media]}"), media, title, roles)
        for key, (media, title, roles) in COLLECTIONS[collection_named(model.name)].files.items()
    )
    return MapProduct(
        id=name,
        surface=surface.item,
        collection=collection_named(model.name),
        title=f"{model.name.capitalize()}, {properties['platform']}, {properties['datetime'][:10]}",
        layers=(),
        files=files,
        thumbnail=stac.WrittenFile.of(folder / "thumbnail.png"),
        model=model.identity,
        parameters=detection_parameters(model),
        digest=job.digest,
        cost=stac.Cost(job.clock.seconds, job.clock.cpu_seconds, job.options.run_id, datetime.now(UTC)),
        summary=summary,
    )
