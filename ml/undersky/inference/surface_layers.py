"""The layers of one surface product: reflectance and uncertainty by band, quality, coarse fields, thumbnail.

    per band, strip by strip:   decode -> invert -> encode -> scratch -> COG       (two bands at a time)
                                   `-> nodata and saturation bits -> planes
        |
    planes + mask -> quality, saturation;  coarse layers;  thumbnail, the same of what was seen

Pixels stream: strips in memory, bit planes on disk, fields on nodes. Only the mask grows with the area.
"""

import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky.atmosphere.streaming import stacked
from undersky.bands import Band
from undersky.grid import Floats, Grid, strips
from undersky.inference.estimator import Estimate
from undersky.inference.mask import SceneMask
from undersky.inference.surface import correct_strip
from undersky.raster import browse
from undersky.raster import encoding as enc
from undersky.raster.cog import CoarseGrid, CogStream, cog_stream, read_reduced, stored_statistics, write_cog
from undersky.raster.fields import FieldStack
from undersky.raster.joined import FlagCounter, Judgement, quality_strip, saturation_strip
from undersky.raster.planes import BandPlanes
from undersky.raster.shrunk import Shrunk
from undersky.raster.written import WrittenFile, WrittenLayer
from undersky.scene import Scene

GDAL_OPTIONS: Mapping[str, Any] = {
    "GDAL_CACHEMAX": 96 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
}
"""Set here and nowhere else: a bounded block cache, no listing of neighbours, no sidecar files."""

Progress = Callable[[float, str], None]

SEEN = ("red", "green", "blue")
"""Common names of what pictures show."""


@dataclass(frozen=True, slots=True)
class Job:
    """One product in the making."""

    scene: Scene
    """What it is made from."""
    estimate: Estimate
    """What lies over it."""
    mask: SceneMask
    """What hides it."""
    folder: Path
    """Where its files appear."""
    tell: "Teller"
    """Hears how it goes."""
    strip_pixels: int
    """Pixels decoded at a time by each thread."""

    def grid_of(self, layer: enc.Layer) -> Grid:
        """Where the layer's pixels lie."""
        if layer.band is not None:
            return self.scene.bands[layer.band.name].grid
        if layer.where == "scene":
            return self.scene.grid
        if layer.where == "view":
            return _from_afar(self.scene.grid, self.mask.bits.shape)
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
        """Where the layer's COG lies."""
        return self.folder / f"{layer.key}.tif"

    @property
    def before_path(self) -> Path:
        """Where the picture of what the satellite saw lies."""
        return self.folder / "before.jpg"

    def planes_of(self, band: Band) -> BandPlanes:
        """Scratch for the band's nodata and saturation."""
        return BandPlanes(self.folder, band.asset, self.scene.bands[band.name].grid.shape.yx)

    def stream(self, layer: enc.Layer) -> AbstractContextManager[CogStream]:
        """The layer being written."""
        return cog_stream(self.path_of(layer), self.grid_of(layer), layer=layer)

    def strip_rows(self, grid: Grid, block_rows: int = 1) -> int:
        """Rows of about `strip_pixels` pixels, in whole blocks."""
        return max(1, self.strip_pixels // int(grid.shape[1]) // block_rows) * block_rows

    def written(self) -> tuple[WrittenLayer, ...]:
        """Every layer of the product, as it lies in the folder."""
        return tuple(
            WrittenLayer(layer, self.grid_of(layer), WrittenFile.of(path), stored_statistics(path))
            for layer in enc.layers_of(self.scene.sensor)
            for path in (self.path_of(layer),)
        )


def _from_afar(grid: Grid, shape: tuple[int, int]) -> Grid:
    """The grid over the same footprint with so many rows and cols."""
    rows, cols = grid.shape
    return GeoBox(shape, grid.affine @ Affine.scale(cols / shape[1], rows / shape[0]), grid.crs)


def write_scene_layers(job: Job, *, threads: int) -> Mapping[str, float]:
    """All full-resolution layers are COGs, what was seen is a picture; the percent of each quality flag."""
    seen = _small_bands(job.scene)
    with ExitStack() as stack:
        planes = [stack.enter_context(job.planes_of(band)) for band in job.scene.sensor.corrected_bands]
        _write_bands(job, planes, threads=threads, seen=seen)
        browse.write_picture(job.before_path, browse.true_colour(*(seen[colour].mean() for colour in SEEN)))
        job.tell("joining the bands' quality")
        estimate = job.estimate
        judgement = Judgement(job.mask.bits, estimate.fallback, estimate.outside, job.scene.is_incomplete)
        return _write_joined(job, planes, judgement)


def _small_bands(scene: Scene) -> Mapping[str, Shrunk]:
    """What will become the picture of what was seen, by common name."""
    shape = browse.thumbnail_shape(scene.grid.shape.yx)
    bands = {band.common_name: band for band in scene.sensor.corrected_bands}
    return {colour: Shrunk(scene.bands[bands[colour].name].grid.shape.yx, shape) for colour in SEEN}


def _write_bands(job: Job, planes: list[BandPlanes], *, threads: int, seen: Mapping[str, Shrunk]) -> None:
    """Reflectance and uncertainty of every band are COGs; `planes` know nodata and saturation.

    The largest bands start first, so that the threads end together. The first error stops them all.
    """
    bands = job.scene.sensor.corrected_bands
    order = sorted(range(len(bands)), key=lambda i: -math.prod(job.scene.bands[bands[i].name].grid.shape))
    stop = threading.Event()
    with ThreadPoolExecutor(threads) as pool, ExitStack() as end:
        end.callback(pool.shutdown, wait=False, cancel_futures=True)
        end.callback(stop.set)  # an interrupt of this thread stops the others too
        futures = [pool.submit(_write_band, job, i, planes=planes[i], stop=stop, seen=seen) for i in order]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()


def _write_band(
    job: Job, index: int, *, planes: BandPlanes, stop: threading.Event, seen: Mapping[str, Shrunk]
) -> None:
    """One band, strip by strip."""
    band = job.scene.sensor.corrected_bands[index]
    small = seen.get(band.common_name)
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
            if small is not None:
                small.add(strip.row, toa)
            stored = correct_strip(toa, stack, window=strip, layers=(reflectance, uncertainty))
            rho.write(strip, stored[0])
            sigma.write(strip, stored[1])
            job.tell(f"correcting {band.name}", pixels=toa.size)


def _write_joined(job: Job, planes: list[BandPlanes], judgement: Judgement) -> Mapping[str, float]:
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


def write_coarse(job: Job) -> None:
    """Probability of cloud, atmosphere and angles are COGs."""
    likely = enc.CLOUD_PROBABILITY
    stored = enc.encode(job.mask.cloud_probability, likely)
    write_cog(job.path_of(likely), stored, grid=job.grid_of(likely), layer=likely)
    for layer in enc.COARSE:
        stored = enc.encode(job.coarse(layer), layer)
        write_cog(job.path_of(layer), stored, grid=job.grid_of(layer), layer=layer)


def write_thumbnail(job: Job) -> Path:
    """The true-colour picture of the finished layers."""
    layers = {band.common_name: enc.reflectance_layer(band) for band in job.scene.sensor.corrected_bands}
    shape = browse.thumbnail_shape(job.scene.grid.shape.yx)
    red, green, blue = (
        read_reduced(job.path_of(layers[colour]), layer=layers[colour], shape=shape) for colour in SEEN
    )
    path = job.folder / "thumbnail.jpg"
    browse.write_picture(path, browse.true_colour(red, green, blue))
    return path


class Teller:
    """Passes progress on, one report at a time, as a fraction of the pixels to correct."""

    def __init__(self, scene: Scene, progress: Progress | None) -> None:
        bands = (scene.bands[band.name] for band in scene.sensor.corrected_bands)
        self._total = sum(math.prod(band.grid.shape) for band in bands)
        self._progress, self._done, self._lock = progress, 0, threading.Lock()

    def __call__(self, sentence: str, *, pixels: int = 0) -> None:
        """That many pixels more are done, and this is being done."""
        with self._lock:
            self._done += pixels
            if self._progress is not None:
                self._progress(self._done / self._total, sentence)
