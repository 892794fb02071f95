"""`correct`: a Level-1 product in, a surface-reflectance product out.

open_scene -> require_bands -> digest known?  --yes--> the product that is already there
|
verify_pixels -> the scene from afar: mask -> too cloudy?  --yes--> nothing is made (in a batch)
|
estimate (coarse fields), from the same pixels
|
every layer (inference/surface_layers.py), thumbnail, Item  -> the folder gets its name
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import rasterio

from undersky import stac
from undersky.inference.estimator import Estimator
from undersky.inference.surface_layers import (
    GDAL_OPTIONS,
    Job,
    Progress,
    Teller,
    write_coarse,
    write_scene_layers,
    write_thumbnail,
)
from undersky.raster import encoding as enc
from undersky.raster.commit import committed_folder, put_text, sha256_of
from undersky.scene import Scene
from undersky.sensors import open_scene, require_bands, verify_pixels
from undersky.stac.made import Clock, made_once

__all__ = [
    "GDAL_OPTIONS",
    "CorrectOptions",
    "CorrectedProduct",
    "TooCloudyError",
    "correct",
    "correct_scene",
    "estimator_for",
    "product_id",
    "trace",
]

STRIP_PIXELS = 1024 * 10_980
"""Pixels decoded at a time, about: one row of blocks of a Sentinel-2 band at 10 m, whatever the area."""


@dataclass(frozen=True, slots=True)
class CorrectOptions:
    """How a correction runs; nothing here changes a pixel."""

    threads: int = 2
    """Bands worked on at a time."""
    run_id: str = "by-hand"
    """Name of the run, for provenance."""
    strip_pixels: int = STRIP_PIXELS
    """Pixels decoded at a time by each thread."""
    min_clear_percent: float = 0.0
    """Share of the pixels with data that must show the ground; with less nothing is made."""
    progress: Progress | None = None
    """Told the done fraction, 0 .. 1, and what is being done; called from any thread, one at a time."""


class TooCloudyError(Exception):
    """The scene from afar shows less clear ground than was asked for; nothing was made, nothing is wrong."""

    reason = "too_cloudy"

    def __init__(self, clear_percent: float, wanted_percent: float) -> None:
        super().__init__(
            f"only {clear_percent:.1f} % of the pixels show the ground by our own quality mask, less than "
            f"{wanted_percent:g}: no product is made of such a scene"
        )


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
    options, clock = options or CorrectOptions(), Clock()
    with rasterio.Env(**GDAL_OPTIONS):
        return correct_scene(open_scene(product), out, estimator=estimator, options=options, clock=clock)


def correct_scene(
    scene: Scene, out: Path, *, estimator: Estimator, options: CorrectOptions, clock: Clock | None = None
) -> CorrectedProduct:
    """`correct` for a scene that is open already.

    Raises:
        DataError, ConfigError: As `correct`.
        TooCloudyError: The options ask for more clear ground than there is.
    """
    clock = clock or Clock()
    with rasterio.Env(**GDAL_OPTIONS):
        require_bands(scene)
        lineage = trace(scene, estimator)
        folder = out / product_id(scene, lineage.digest)

        def make() -> None:
            verify_pixels(scene)
            _make(scene, folder, estimator=estimator, lineage=lineage, options=options, clock=clock)
            name = scene.sensor.collection
            put_text(out / f"{name}.json", stac.to_json(stac.surface_collection(name)))

        found, was_there = made_once(folder, lineage.digest, make)
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


def estimator_for(
    *,
    model: str | Path | None = None,
    quality: str | Path | None = None,
    state: Path | None = None,
    dem: Path | None = None,
    altitude_m: float | None = None,
) -> Estimator:
    """The estimator of a model (the shipped learned one when None) and of what the user knows better.

    Args:
        model: A shipped model by its name, or the folder of a package.
        quality: The same of the model that tells cloud from ground; `thresholds` for the tests instead.
        state: A state file.
        dem: Raster of heights.
        altitude_m: One height.

    Raises:
        ConfigError: The state file or DEM cannot be read, or both DEM and altitude are given.
        DataError: `model_refused`.
    """
    # the emulator brings torch: whoever states an atmosphere another way does not wait for it
    from undersky.inference.correction import QUALITY, CorrectionOptions, open_estimator  # noqa: PLC0415
    from undersky.inference.ground import GroundOptions  # noqa: PLC0415

    ground = GroundOptions(dem, altitude_m)
    return open_estimator(CorrectionOptions(model, state, ground, QUALITY if quality is None else quality))


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
    mask = estimator.quality_model
    lineage = stac.Lineage(sources, model.name, model.version, model.digest, parameters, digest)
    if mask is None:
        return lineage
    told = {"name": mask.name, "version": mask.version, "digest": mask.digest}
    return replace(lineage, quality_model=told)


def _make(
    scene: Scene,
    final: Path,
    *,
    estimator: Estimator,
    lineage: stac.Lineage,
    options: CorrectOptions,
    clock: Clock,
) -> None:
    """The product is made and committed."""
    tell = Teller(scene, options.progress)
    tell("looking for clouds, snow and water")
    mask = estimator.see(scene)
    if mask.clear_percent < options.min_clear_percent:
        raise TooCloudyError(mask.clear_percent, options.min_clear_percent)
    tell("estimating the atmosphere")
    estimate = estimator.estimate(scene, mask.bits)
    with committed_folder(final) as folder:
        job = Job(scene, estimate, mask, folder, tell, options.strip_pixels)
        summary = write_scene_layers(job, threads=options.threads)
        write_coarse(job)
        thumbnail = write_thumbnail(job)
        tell("describing the product")
        files = job.written(), stac.WrittenFile.of(thumbnail)
        before = stac.WrittenFile.of(job.before_path)
        cost = stac.Cost(clock.seconds, clock.cpu_seconds, options.run_id, datetime.now(UTC))
        item = stac.surface_item(
            stac.Product(final.name, scene, *files, lineage, estimate.sources, cost, summary, before)
        )
        (folder / f"{final.name}.json").write_text(stac.to_json(item), encoding="utf-8")
    tell("done")
