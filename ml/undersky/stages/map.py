"""`map`: a surface-reflectance product in, a land-cover map out.

    surface product, model --> digest known?  --yes--> the map that is already there
        |
    strip by strip, with the margin that the network sees beyond:
        read (this thread) --> probabilities, class, confidence (`threads` others) --> write (this thread)
        |
    landcover, confidence --> COGs;  thumbnail;  Item  -> the folder gets its name

At most `threads + 1` strips are in memory, so a full tile costs what a small scene costs.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

from undersky import stac
from undersky.errors import DataError, Reason
from undersky.grid import Window
from undersky.landcover import BY_CODE, CODES, NODATA
from undersky.models.package import ModelPackage, load_package, package_folder
from undersky.raster import browse
from undersky.raster.cog import CogStream, cog_stream, read_reduced, stored_statistics
from undersky.raster.commit import committed_folder, put_text
from undersky.raster.encoding import COVER, COVER_CONFIDENCE, COVER_LAYERS, MAPS_FORMAT_VERSION, encode
from undersky.raster.surface_product import SurfaceProduct
from undersky.stac.made import Clock, mapped
from undersky.stac.maps import MappedProduct, MapProduct, map_collection, map_item

if TYPE_CHECKING:
    from undersky.inference.cover import CoverMap
    from undersky.models.segmentation import Segmenter

MODEL = "landcover"
"""Name of the model that makes these maps."""

STRIP_ROWS = 512
"""Rows of a strip: one row of blocks of a 10 m band."""

_GDAL: Mapping[str, Any] = {
    "GDAL_CACHEMAX": 256 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
}
"""The cache keeps the rows of blocks that two strips share, of every band: 100 MB for a full tile."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How a map is made; nothing here changes a pixel."""

    threads: int = 2
    """Strips worked on at a time."""
    run_id: str = "by-hand"
    """Name of the run, for provenance."""
    strip_rows: int = STRIP_ROWS
    """Rows mapped at a time by each thread."""
    progress: Progress | None = None
    """Told the done fraction, 0 .. 1, and what is being done."""


@dataclass(frozen=True)
class Mapper:
    """A land-cover model, verified; its network is built when the first product is mapped."""

    package: ModelPackage
    """The package."""

    @property
    def name(self) -> str:
        """`landcover`."""
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
        from undersky.models.segmentation import build_segmenter  # noqa: PLC0415  loads torch

        return build_segmenter(self.package, MODEL).on_best_device()


def open_mapper(model: str | Path | None = None) -> Mapper:
    """The mapper of a model package, the shipped one when None; cheap, torch is not loaded.

    Raises:
        DataError: `model_refused`: damaged, or no model of land cover.
    """
    package = load_package(package_folder(MODEL if model is None else model))
    if package.name != MODEL:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"{package.name} {package.version} is no model of land cover; give the folder of a package "
            f"called {MODEL}, or leave --model out",
        )
    return Mapper(package)


def map_cover(
    product: Path, out: Path, *, mapper: Mapper, options: MapOptions | None = None
) -> MappedProduct:
    """The land-cover map of a surface product lies complete in `out / <id>`.

    Running it twice changes nothing: an equal map that is there is returned as it is.

    Args:
        product: Folder that `undersky correct` made.
        out: Folder for maps; made when absent.
        mapper: The model.
        options: Threads, progress, run id.

    Raises:
        DataError: It is no surface product, a band is missing, or a file cannot be read; nothing is left.
    """
    options, clock = options or MapOptions(), Clock()
    with rasterio.Env(**_GDAL), SurfaceProduct.open(product) as surface:
        parameters = map_parameters()
        digest = map_digest(surface, mapper, parameters)
        folder = out / map_id(surface, digest)

        def make() -> None:
            _make(_Job(surface, mapper, parameters, digest, options, clock), folder)
            name = collection_of(surface)
            put_text(out / f"{name}.json", stac.to_json(map_collection(name)))

        return mapped(folder, digest, make, clock)


def collection_of(surface: SurfaceProduct) -> str:
    """`sentinel-2-landcover`, `landsat-8-9-landcover`."""
    return surface.sensor.collection.removesuffix("-sr") + "-landcover"


def map_id(surface: SurfaceProduct, digest: str) -> str:
    """The surface product's id up to its kind, then `LC` and the head of the digest."""
    return f"{surface.id.rpartition('_SR_')[0] or surface.id}_LC_{digest[:8]}"


def map_digest(surface: SurfaceProduct, mapper: Mapper, parameters: Mapping[str, Any]) -> str:
    """sha256 over everything that decides a pixel of the map."""
    content = {
        "format": MAPS_FORMAT_VERSION, "surface": surface.digest, "model": mapper.digest,
        "parameters": dict(parameters),
    }  # fmt: skip
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def map_parameters() -> Mapping[str, Any]:
    """Everything beside surface product and model that decides a pixel."""
    return {"kind": MODEL, "decision": DECISION}


DECISION = "1"
"""`inference.cover.VERSION`, known without loading torch; a test holds them equal."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One map in the making."""

    surface: SurfaceProduct
    mapper: Mapper
    parameters: Mapping[str, Any]
    digest: str
    options: MapOptions
    clock: Clock

    def tell(self, fraction: float, sentence: str) -> None:
        if self.options.progress is not None:
            self.options.progress(fraction, sentence)


@dataclass(slots=True)
class _Counts:
    """What has been mapped so far."""

    pixels: dict[int, int] = field(default_factory=dict)
    confidence: float = 0.0

    def add(self, found: "CoverMap") -> None:
        codes, counts = np.unique(found.codes, return_counts=True)
        for code, count in zip(codes, counts, strict=True):
            self.pixels[int(code)] = self.pixels.get(int(code), 0) + int(count)
        self.confidence += float(np.nansum(found.confidence, dtype=np.float64))

    def summary(self) -> dict[str, float]:
        """Percent of the mapped pixels by class, nodata of all, and the mean confidence in percent."""
        nodata, total = self.pixels.get(NODATA, 0), sum(self.pixels.values())
        mapped = total - nodata
        shares = {BY_CODE[code].slug: 100.0 * self.pixels.get(code, 0) / max(mapped, 1) for code in CODES}
        shares["nodata"] = 100.0 * nodata / max(total, 1)
        return shares | {"confidence": 100.0 * self.confidence / max(mapped, 1)}


def _make(job: _Job, final: Path) -> None:
    """The map is made and committed."""
    with committed_folder(final) as folder:
        summary = _write_layers(job, folder)
        job.tell(1.0, "describing the map")
        item = map_item(_described(job, folder, summary, name=final.name))
        (folder / f"{final.name}.json").write_text(stac.to_json(item), encoding="utf-8")
    job.tell(1.0, "done")


def _write_layers(job: _Job, folder: Path) -> Mapping[str, float]:
    """Both layers are COGs; what they hold."""
    from undersky.inference.sliding import margined_strips  # noqa: PLC0415  loads torch

    model, grid, counts = job.mapper.segmenter, job.surface.grid, _Counts()
    strips = margined_strips(
        grid, rows=job.options.strip_rows, margin=model.margin, multiple=model.config.multiple
    )
    with ExitStack() as stack:
        streams = [
            stack.enter_context(cog_stream(folder / f"{x.key}.tif", grid, layer=x)) for x in COVER_LAYERS
        ]
        pool = stack.enter_context(ThreadPoolExecutor(job.options.threads))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[tuple[Window, Future[CoverMap]]] = deque()
        for outer, inner in strips:
            waiting.append((inner, _submitted(job, pool, outer=outer, inner=inner)))
            if len(waiting) > job.options.threads:
                _write(job, waiting.popleft(), streams, counts=counts)
        while waiting:
            _write(job, waiting.popleft(), streams, counts=counts)
    return counts.summary()


def _submitted(job: _Job, pool: ThreadPoolExecutor, *, outer: Window, inner: Window) -> "Future[CoverMap]":
    """The strip is read, and will be mapped."""
    from undersky.inference.cover import CoverMap, map_pixels, read_inputs  # noqa: PLC0415  loads torch

    model, quality = job.mapper.segmenter, job.surface.quality(outer)
    values = read_inputs(job.surface, model, outer)
    rows = slice(inner.row - outer.row, inner.row - outer.row + inner.height)

    def mapped() -> CoverMap:
        found = map_pixels(model, values, quality)
        return CoverMap(found.codes[rows], found.confidence[rows])

    return pool.submit(mapped)


def _write(
    job: _Job, done: "tuple[Window, Future[CoverMap]]", streams: list[CogStream], *, counts: _Counts
) -> None:
    window, future = done
    found = future.result()
    streams[0].write(window, found.codes)
    streams[1].write(window, encode(found.confidence, COVER_CONFIDENCE).astype(np.uint8))
    counts.add(found)
    job.tell((window.row + window.height) / job.surface.grid.shape[0], "mapping the ground")


def _described(job: _Job, folder: Path, summary: Mapping[str, float], *, name: str) -> MapProduct:
    from undersky.inference.cover import in_colours  # noqa: PLC0415  loads torch

    grid, properties = job.surface.grid, job.surface.item["properties"]
    shape = browse.thumbnail_shape(grid.shape.yx)
    codes = np.nan_to_num(read_reduced(folder / f"{COVER.key}.tif", layer=COVER, shape=shape)).astype(
        np.uint8
    )
    picture = folder / "thumbnail.png"
    browse.write_picture(picture, in_colours(codes))
    layers = tuple(
        stac.WrittenLayer(layer, grid, stac.WrittenFile.of(path), stored_statistics(path))
        for layer in COVER_LAYERS
        for path in (folder / f"{layer.key}.tif",)
    )
    clock = job.clock
    return MapProduct(
        id=name,
        surface=job.surface.item,
        collection=collection_of(job.surface),
        title=f"Land cover, {properties['platform']}, {properties['datetime'][:10]}",
        layers=layers,
        files=(),
        thumbnail=stac.WrittenFile.of(picture),
        model=job.mapper.identity,
        parameters=job.parameters,
        digest=job.digest,
        cost=stac.Cost(clock.seconds, clock.cpu_seconds, job.options.run_id, datetime.now(UTC)),
        summary=summary,
    )
