"""`correct`: a Level-1 product in, a surface-reflectance product out.

    open_scene -> require_bands -> digest known?  --yes--> the product that is already there
        |
    verify_pixels -> mask -> estimate (coarse fields)
        |
    per band, strip by strip:   decode -> invert -> encode -> scratch -> COG       (two bands at a time)
                                   `-> nodata and saturation bits -> planes
        |
    planes + mask -> quality, saturation;  coarse layers;  thumbnail;  Item  -> the folder gets its name

Pixels stream: strips in memory, bit planes on disk, fields on nodes. Only the mask grows with the area.
"""

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from undersky import stac
from undersky.atmosphere.streaming import stacked
from undersky.bands import Band
from undersky.grid import Floats, Grid, strips
from undersky.inference.estimator import Estimate, Estimator
from undersky.inference.surface import correct_strip
from undersky.quality import QualityBits
from undersky.raster import browse
from undersky.raster import encoding as enc
from undersky.raster.cog import CoarseGrid, CogStream, cog_stream, read_reduced, stored_statistics, write_cog
from undersky.raster.commit import committed_folder, put_text, sha256_of
from undersky.raster.fields import FieldStack
from undersky.raster.joined import FlagCounter, Judgement, quality_strip, saturation_strip
from undersky.raster.planes import BandPlanes
from undersky.scene import Scene
from undersky.sensors import open_scene, require_bands, verify_pixels

STRIP_PIXELS = 1024 * 10_980
"""Pixels decoded at a time, about: one row of blocks of a Sentinel-2 band at 10 m, whatever the area."""

GDAL_OPTIONS: Mapping[str, Any] = {
    "GDAL_CACHEMAX": 96 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
}
"""Set here and nowhere else: a bounded block cache, no listing of neighbours, no sidecar files."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class CorrectOptions:
    """How a correction runs; nothing here changes a pixel."""

    threads: int = 2
    """Bands worked on at a time."""
    run_id: str = "by-hand"
    """Name of the run, for provenance."""
    strip_pixels: int = STRIP_PIXELS
    """Pixels decoded at a time by each thread."""
    progress: Progress | None = None
    """Told the done fraction, 0 .. 1, and what is being done; called from any thread, one at a time."""


@dataclass(frozen=True, slots=True)
class CorrectedProduct:
    """A product that lies complete on the disk."""

    id: str
    """Item id and folder name."""
    folder: Path
    """Holds the COGs, the thumbnail and the Item."""
    item: Path
    """The STAC Item, `<id>.json`."""
    digest: str
    """sha256 over sources, model, parameters and format version."""
    was_there: bool
    """True when an equal product existed and nothing was done."""
    seconds: float
    """Wall clock of this call."""
    cpu_seconds: float
    """All threads of this call."""
    bytes: int
    """Size of the product's files without the Item."""
    quality_percent: Mapping[str, float] = field(default_factory=dict)
    """Percent of the valid pixels by quality flag, lower case; `nodata` of all pixels."""


def correct(
    product: Path, out: Path, *, estimator: Estimator, options: CorrectOptions | None = None
) -> CorrectedProduct:
    """The surface-reflectance product of a Level-1 product lies complete in `out / <id>`.

    Running it twice changes nothing: an equal product that is there is returned as it is.

    Args:
        product: Whatever `open_scene` opens.
        out: Folder for products; made when absent.
        estimator: Estimates the atmosphere.
        options: Threads, progress, run id.

    Raises:
        DataError: The product cannot be used; nothing is left behind.
        ConfigError: Model, state or DEM cannot be used.
    """
    options, clock = options or CorrectOptions(), _Clock()
    with rasterio.Env(**GDAL_OPTIONS):
        return correct_scene(open_scene(product), out, estimator=estimator, options=options, clock=clock)


def correct_scene(
    scene: Scene, out: Path, *, estimator: Estimator, options: CorrectOptions, clock: "_Clock | None" = None
) -> CorrectedProduct:
    """`correct` for a scene that is open already."""
    clock = clock or _Clock()
    with rasterio.Env(**GDAL_OPTIONS):
        require_bands(scene)
        lineage = trace(scene, estimator)
        folder = out / product_id(scene, lineage.digest)
        found = _existing(folder, lineage.digest)
        was_there = found is not None
        if not was_there:
            verify_pixels(scene)
            _make(scene, folder, estimator=estimator, lineage=lineage, options=options, clock=clock)
            name = scene.sensor.collection
            put_text(out / f"{name}.json", stac.to_json(stac.surface_collection(name)))
            found = _existing(folder, lineage.digest)
    if found is None:
        raise OSError(f"{folder} was complete a moment ago and is not any more: who deletes there?")
    properties = found["properties"]
    return CorrectedProduct(
        id=folder.name,
        folder=folder,
        item=folder / f"{folder.name}.json",
        digest=lineage.digest,
        was_there=was_there,
        seconds=clock.seconds,
        cpu_seconds=clock.cpu_seconds,
        bytes=properties["undersky:bytes"],
        quality_percent=properties["undersky:quality_percent"],
    )


class _Clock:
    """Seconds and CPU-seconds since it was made."""

    def __init__(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def cpu_seconds(self) -> float:
        return time.process_time() - self._cpu


def estimator_for(
    *,
    model: str | Path | None = None,
    state: Path | None = None,
    dem: Path | None = None,
    altitude_m: float | None = None,
) -> Estimator:
    """The estimator of a model (the shipped learned one when None) and of what the user knows better.

    Raises:
        ConfigError: The state file or DEM cannot be read, or both DEM and altitude are given.
        DataError: `model_refused`.
    """
    # the emulator brings torch: whoever states an atmosphere another way does not wait for it
    from undersky.inference.correction import CorrectionOptions, open_estimator  # noqa: PLC0415
    from undersky.inference.ground import GroundOptions  # noqa: PLC0415

    return open_estimator(CorrectionOptions(model, state, GroundOptions(dem, altitude_m)))


def product_id(scene: Scene, digest: str) -> str:
    """Sensor, tile, sensing time, head of the digest: a re-make by another model has another name."""
    return f"{scene.sensor.key}_{scene.tile}_{scene.acquired:%Y%m%dT%H%M%S}_SR_{digest[:8]}"


def trace(scene: Scene, estimator: Estimator) -> stac.Lineage:
    """What the product will be made of; the same sources, model and parameters give the same digest."""
    paths = {path: name for name, path in reversed(list(scene.sources.items()))}
    names = scene.sources if len(paths) == len(scene.sources) else {path.name: path for path in paths}
    sums = {path: sha256_of(path) for path in paths}
    sources = {name: sums[path] for name, path in sorted(names.items())}
    model, parameters = estimator.model, dict(estimator.parameters)
    content = {
        "format": enc.FORMAT_VERSION, "model": model.digest, "parameters": parameters, "sources": sources,
    }  # fmt: skip
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return stac.Lineage(sources, model.name, model.version, model.digest, parameters, digest)


def _existing(folder: Path, digest: str) -> Any:
    """The Item of a complete product of that digest in `folder`, as JSON; None when there is none."""
    try:
        item = json.loads((folder / f"{folder.name}.json").read_text(encoding="utf-8"))
        same = item["properties"]["undersky:digest"] == digest
        whole = all((folder / a["href"]).stat().st_size == a["file:size"] for a in item["assets"].values())
    except (OSError, ValueError, KeyError):
        return None
    return item if same and whole else None


def _make(
    scene: Scene,
    final: Path,
    *,
    estimator: Estimator,
    lineage: stac.Lineage,
    options: CorrectOptions,
    clock: _Clock,
) -> None:
    """The product is made and committed."""
    tell = _Teller(scene, options.progress)
    tell("looking for clouds, snow and water")
    mask = estimator.mask(scene)
    tell("estimating the atmosphere")
    estimate = estimator.estimate(scene, mask)
    with committed_folder(final) as folder:
        job = _Job(scene, estimate, folder, tell, options.strip_pixels)
        summary = _write_scene_layers(job, mask, threads=options.threads)
        _write_coarse(job)
        thumbnail = _write_thumbnail(job)
        tell("describing the product")
        files = job.written(), stac.WrittenFile.of(thumbnail)
        cost = stac.Cost(clock.seconds, clock.cpu_seconds, options.run_id, datetime.now(UTC))
        item = stac.surface_item(
            stac.Product(final.name, scene, *files, lineage, estimate.sources, cost, summary)
        )
        (folder / f"{final.name}.json").write_text(stac.to_json(item), encoding="utf-8")
    tell("done")


@dataclass(frozen=True, slots=True)
class _Job:
    """One product in the making."""

    scene: Scene
    estimate: Estimate
    folder: Path
    tell: "_Teller"
    strip_pixels: int

    def grid_of(self, layer: enc.Layer) -> Grid:
        """Where the layer's pixels lie."""
        if layer.band is not None:
            return self.scene.bands[layer.band.name].grid
        if layer.where == "scene":
            return self.scene.grid
        return CoarseGrid(self.scene.grid, self.coarse(layer).shape).grid

    def coarse(self, layer: enc.Layer) -> Floats:
        """The values of a coarse layer, (y, x)."""
        angles, names = self.scene.angles, [band.name for band in self.scene.sensor.corrected_bands]
        match layer.key:
            case enc.AOT.key:
                return self.estimate.aot_550
            case enc.WATER_VAPOUR.key:
                return self.estimate.water_vapour
            case enc.SUN_ZENITH.key:
                return angles.sun_zenith
            case enc.VIEW_ZENITH.key:
                fields = [angles.view_zenith[name] for name in names]
            case _:
                fields = [angles.relative_azimuth(name) for name in names]
        return np.asarray(np.mean(fields, axis=0), dtype=np.float32)

    def path_of(self, layer: enc.Layer) -> Path:
        return self.folder / f"{layer.key}.tif"

    def planes_of(self, band: Band) -> BandPlanes:
        return BandPlanes(self.folder, band.asset, self.scene.bands[band.name].grid.shape.yx)

    def stream(self, layer: enc.Layer) -> AbstractContextManager[CogStream]:
        return cog_stream(self.path_of(layer), self.grid_of(layer), layer=layer)

    def strip_rows(self, grid: Grid, block_rows: int = 1) -> int:
        """Rows of about `strip_pixels` pixels, in whole blocks."""
        return max(1, self.strip_pixels // int(grid.shape[1]) // block_rows) * block_rows

    def written(self) -> tuple[stac.WrittenLayer, ...]:
        """Every layer of the product, as it lies in the folder."""
        return tuple(
            stac.WrittenLayer(layer, self.grid_of(layer), stac.WrittenFile.of(path), stored_statistics(path))
            for layer in enc.layers_of(self.scene.sensor)
            for path in (self.path_of(layer),)
        )


def _write_scene_layers(job: _Job, mask: QualityBits, *, threads: int) -> Mapping[str, float]:
    """All full-resolution layers are COGs; the percent of each quality flag."""
    with ExitStack() as stack:
        planes = [stack.enter_context(job.planes_of(band)) for band in job.scene.sensor.corrected_bands]
        _write_bands(job, planes, threads=threads)
        job.tell("joining the bands' quality")
        estimate = job.estimate
        judgement = Judgement(mask, estimate.fallback, estimate.outside, job.scene.is_incomplete)
        return _write_joined(job, planes, judgement)


def _write_bands(job: _Job, planes: list[BandPlanes], *, threads: int) -> None:
    """Reflectance and uncertainty of every band are COGs; `planes` know nodata and saturation.

    The largest bands start first, so that the threads end together. The first error stops them all.
    """
    bands = job.scene.sensor.corrected_bands
    order = sorted(range(len(bands)), key=lambda i: -math.prod(job.scene.bands[bands[i].name].grid.shape))
    stop = threading.Event()
    with ThreadPoolExecutor(threads) as pool, ExitStack() as end:
        end.callback(pool.shutdown, wait=False, cancel_futures=True)
        end.callback(stop.set)  # an interrupt of this thread stops the others too
        futures = [pool.submit(_write_band, job, i, planes=planes[i], stop=stop) for i in order]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()


def _write_band(job: _Job, index: int, *, planes: BandPlanes, stop: threading.Event) -> None:
    """One band, strip by strip."""
    band = job.scene.sensor.corrected_bands[index]
    source = job.scene.bands[band.name]
    stack = FieldStack(stacked(job.estimate.fields, index), source.grid.shape.yx)
    reflectance, uncertainty = enc.reflectance_layer(band), enc.uncertainty_layer(band)
    with rasterio.Env(**GDAL_OPTIONS), job.stream(reflectance) as rho, job.stream(uncertainty) as sigma:
        for strip in strips(source.grid, rows=job.strip_rows(source.grid, source.block_rows)):
            if stop.is_set():
                raise InterruptedError  # nobody waits for it; a return would finish the layers
            toa, saturated = source.observed(strip)
            planes.nodata.write(strip.row, np.isnan(toa))
            planes.saturated.write(strip.row, saturated)
            stored = correct_strip(toa, stack, window=strip, layers=(reflectance, uncertainty))
            rho.write(strip, stored[0])
            sigma.write(strip, stored[1])
            job.tell(f"correcting {band.name}", pixels=toa.size)


def _write_joined(job: _Job, planes: list[BandPlanes], judgement: Judgement) -> Mapping[str, float]:
    """`quality` and `saturation` are COGs; the percent of each flag. What the agency's mask says is added."""
    grid, flags, agency = job.scene.grid, FlagCounter(), job.scene.agency_mask
    shape = grid.shape.yx
    with job.stream(enc.QUALITY) as quality, job.stream(enc.SATURATION) as saturation:
        for strip in strips(grid, rows=job.strip_rows(grid)):
            bits = quality_strip(judgement, planes, window=strip, shape=shape)
            if agency is not None:
                bits |= agency.quality(strip)
            flags.add(bits)
            quality.write(strip, bits)
            saturation.write(strip, saturation_strip(planes, window=strip, shape=shape))
    return flags.percent()


def _write_coarse(job: _Job) -> None:
    """Atmosphere and angles are COGs."""
    for layer in enc.COARSE:
        stored = enc.encode(job.coarse(layer), layer)
        write_cog(job.path_of(layer), stored, grid=job.grid_of(layer), layer=layer)


def _write_thumbnail(job: _Job) -> Path:
    """The true-colour picture of the finished layers."""
    layers = {band.common_name: enc.reflectance_layer(band) for band in job.scene.sensor.corrected_bands}
    shape = browse.thumbnail_shape(job.scene.grid.shape.yx)
    red, green, blue = (
        read_reduced(job.path_of(layers[colour]), layer=layers[colour], shape=shape)
        for colour in ("red", "green", "blue")
    )
    path = job.folder / "thumbnail.jpg"
    browse.write_picture(path, browse.true_colour(red, green, blue))
    return path


class _Teller:
    """Passes progress on, one report at a time, as a fraction of the pixels to correct."""

    def __init__(self, scene: Scene, progress: Progress | None) -> None:
        bands = (scene.bands[band.name] for band in scene.sensor.corrected_bands)
        self._total = sum(math.prod(band.grid.shape) for band in bands)
        self._progress, self._done, self._lock = progress, 0, threading.Lock()

    def __call__(self, sentence: str, *, pixels: int = 0) -> None:
        with self._lock:
            self._done += pixels
            if self._progress is not None:
                self._progress(self._done / self._total, sentence)
