"""`roll`: land-cover maps of one tile in, the rolling map of the tile out.

    Items of the maps --sorted by day--> digest known?  --yes--> the map that is already there
        |
    strip by strip of the grid that holds all of them:
        read (this thread) --> fuse, row by row of blocks (`threads` others) --> write (this thread)
        |
    landcover, confidence, last_clear, observations, change --> COGs;  thumbnail;  Item

There is no state to go on from: a rolling map is a function of the set of its maps. So it does not matter in
which order they came, and whoever has them makes the same bytes again.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from undersky import stac
from undersky.errors import DataError, Reason
from undersky.grid import Grid, Window, strips
from undersky.inference import rolling
from undersky.inference.rolling import Rolled, fuse
from undersky.landcover import BY_CODE, CLASSES, CODES, NODATA
from undersky.raster import browse
from undersky.raster.cog import CogStream, cog_stream, read_reduced, stored_statistics
from undersky.raster.commit import committed_folder, put_text
from undersky.raster.cover_product import CoverProduct, union_grid
from undersky.raster.encoding import (
    COVER,
    COVER_CONFIDENCE,
    MAPS_FORMAT_VERSION,
    ROLLING_LAYERS,
    decode,
    encode,
)
from undersky.stac.made import Clock, mapped
from undersky.stac.maps import MappedProduct
from undersky.stac.rolling import RollingProduct, rolling_collection, rolling_item
from undersky.tile_refs import HORIZON_DAYS, LATEST, MOST_MAPS, ROLL_RULE

STRIP_ROWS = 512
"""Rows read at a time: one row of blocks of the maps."""
FUSED_PIXELS = 400_000
"""Pixels fused at a time: their evidence stays in a processor's cache, about, and memory stays small."""

_GDAL: Mapping[str, Any] = {
    "GDAL_CACHEMAX": 256 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
}
_PREFIX = {"sentinel-2": "S2", "landsat": "L89"}

Stored = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.integer[Any]]
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class RollOptions:
    """How a rolling map is made; nothing here changes a pixel."""

    threads: int = 2
    """Strips worked on at a time."""
    run_id: str = "by-hand"
    """Name of the run, for provenance."""
    strip_rows: int = STRIP_ROWS
    """Rows read at a time."""
    progress: Progress | None = None
    """Told the done fraction, 0 .. 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class RollPlan:
    """What a rolling map will be, known before a raster is read."""

    maps: tuple[CoverProduct, ...]
    """The maps that count, oldest first."""
    id: str
    """Of the Item, and name of the folder."""
    digest: str
    """sha256 over the digests of the maps, parameters, rule and format version."""
    collection: str
    """`sentinel-2-landcover-latest`."""
    grid: Grid
    """Holds every map."""


def plan_roll(products: Iterable[Path]) -> RollPlan:
    """What the rolling map of these maps is; cheap. The order in which they are named does not matter.

    Only maps of the year before the newest count, the newest MOST_MAPS of them, and each once.

    Args:
        products: Folders of land-cover maps.

    Raises:
        DataError: None is given, one is no land-cover map, they are of several tiles, or lie on several
            lattices.
    """
    maps = _that_count([CoverProduct.open(folder) for folder in products])
    newest = maps[-1]
    for each in maps:
        if (each.collection, each.tile) != (newest.collection, newest.tile):
            raise DataError(
                Reason.GRID_MISMATCH,
                f"{each.id} is of {each.collection} {each.tile}, {newest.id} of {newest.collection} "
                f"{newest.tile}: a rolling map is of one tile of one collection; name the maps of one",
            )
    digest = roll_digest(each.digest for each in maps)
    prefix = _PREFIX.get(str(newest.item["properties"].get("constellation")), "MAP")
    name = f"{prefix}_{newest.tile}_{newest.sensed:%Y%m%d}_LATEST_{digest[:8]}"
    return RollPlan(maps, name, digest, newest.collection + LATEST, union_grid(maps))


def roll_digest(maps: Iterable[str]) -> str:
    """sha256 over everything that decides a pixel of a rolling map: the set of digests of its maps."""
    content = {
        "format": MAPS_FORMAT_VERSION, "maps": sorted(set(maps)), "parameters": dict(roll_parameters()),
    }  # fmt: skip
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def roll_parameters() -> Mapping[str, Any]:
    """Everything beside the maps that decides a pixel."""
    return {
        "kind": "landcover-latest", "rule": ROLL_RULE, "half_life_days": rolling.HALF_LIFE_DAYS,
        "horizon_days": HORIZON_DAYS, "most_maps": MOST_MAPS, "sure": rolling.SURE,
    }  # fmt: skip


def roll(products: Sequence[Path], out: Path, *, options: RollOptions | None = None) -> MappedProduct:
    """The rolling map of the tile lies complete in `out / <id>`.

    Running it twice changes nothing: an equal one that is there is returned as it is.

    Args:
        products: Folders of land-cover maps of one tile, in any order.
        out: Folder for maps; made when absent.
        options: Threads, progress, run id.

    Raises:
        DataError: As `plan_roll`, or a raster cannot be read; nothing is left.
    """
    options, clock = options or RollOptions(), Clock()
    plan = plan_roll(products)
    folder = out / plan.id

    def make() -> None:
        with rasterio.Env(**_GDAL):
            _make(_Job(plan, options, clock), folder)
        put_text(out / f"{plan.collection}.json", stac.to_json(rolling_collection(plan.collection)))

    return mapped(folder, plan.digest, make, clock)


@dataclass(frozen=True, slots=True)
class _Job:
    """One rolling map in the making."""

    plan: RollPlan
    options: RollOptions
    clock: Clock

    def tell(self, fraction: float, sentence: str) -> None:
        if self.options.progress is not None:
            self.options.progress(fraction, sentence)


@dataclass(slots=True)
class _Counts:
    """What has been fused so far."""

    pixels: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, dtype=np.int64))
    confidence: float = 0.0
    changed: int = 0
    views: int = 0

    def add(self, found: Rolled) -> None:
        self.pixels += np.bincount(found.codes.ravel(), minlength=256)
        self.confidence += float(np.nansum(found.confidence, dtype=np.float64))
        self.changed += int((found.change == 1).sum())
        self.views += int(found.observations.sum(dtype=np.int64))

    def summary(self) -> dict[str, float]:
        """Percent of the seen pixels by class and of change, nodata of all; mean confidence and views."""
        total, nodata = int(self.pixels.sum()), int(self.pixels[NODATA])
        seen = max(total - nodata, 1)
        shares = {BY_CODE[code].slug: 100.0 * int(self.pixels[code]) / seen for code in CODES}
        return shares | {
            "nodata": 100.0 * nodata / max(total, 1),
            "confidence": 100.0 * self.confidence / seen,
            "changed": 100.0 * self.changed / seen,
            "views": self.views / seen,
        }


def _that_count(maps: Sequence[CoverProduct]) -> tuple[CoverProduct, ...]:
    """Each digest once, within the horizon before the newest, oldest first."""
    each_once = {one.digest: one for one in maps}
    ordered = sorted(each_once.values(), key=lambda one: (one.sensed, one.digest))
    if not ordered:
        raise DataError(Reason.UNKNOWN_PRODUCT, "no map was given: name folders that `undersky map` made")
    since = ordered[-1].sensed - timedelta(days=HORIZON_DAYS)
    return tuple(one for one in ordered if one.sensed > since)[-MOST_MAPS:]


def _make(job: _Job, final: Path) -> None:
    """The map is made and committed."""
    try:
        with committed_folder(final) as folder:
            summary = _write_layers(job, folder)
            job.tell(1.0, "describing the map")
            item = rolling_item(_described(job, folder, summary))
            (folder / f"{final.name}.json").write_text(stac.to_json(item), encoding="utf-8")
    finally:
        for each in job.plan.maps:
            each.close()
    job.tell(1.0, "done")


def _write_layers(job: _Job, folder: Path) -> Mapping[str, float]:
    """Every layer is a COG; what they hold."""
    grid, counts = job.plan.grid, _Counts()
    days = np.array([each.day for each in job.plan.maps])
    with ExitStack() as stack:
        streams = [
            stack.enter_context(cog_stream(folder / f"{x.key}.tif", grid, layer=x)) for x in ROLLING_LAYERS
        ]
        pool = stack.enter_context(ThreadPoolExecutor(job.options.threads))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[tuple[Window, Future[list[Rolled]]]] = deque()
        for window in strips(grid, rows=job.options.strip_rows):
            read = [each.read(grid, window) for each in job.plan.maps]
            waiting.append((window, pool.submit(_fused, read, days)))
            if len(waiting) > job.options.threads:
                _write(job, waiting.popleft(), streams, counts=counts)
        while waiting:
            _write(job, waiting.popleft(), streams, counts=counts)
    return counts.summary()


def _fused(read: Sequence[tuple[Stored, Stored]], days: npt.NDArray[np.integer]) -> list[Rolled]:
    """The views of a strip, fused a few rows at a time, top to bottom."""
    return [
        fuse(
            np.stack([codes[rows] for codes, _ in read]),
            decode(np.stack([stored[rows] for _, stored in read]), COVER_CONFIDENCE),
            days,
        )
        for rows in _few_rows(read[0][0].shape)
    ]


def _few_rows(shape: tuple[int, ...]) -> Iterator[slice]:
    step = max(1, FUSED_PIXELS // shape[1])
    return (slice(row, row + step) for row in range(0, shape[0], step))


def _write(
    job: _Job, done: "tuple[Window, Future[list[Rolled]]]", streams: list[CogStream], *, counts: _Counts
) -> None:
    window, future = done
    row = window.row
    for found in future.result():
        height, width = found.codes.shape
        place = Window(row, 0, height, width)
        sure = encode(found.confidence, COVER_CONFIDENCE).astype(np.uint8)
        layers: list[Whole] = [found.codes, sure, found.last_clear, found.observations, found.change]
        for stream, stored in zip(streams, layers, strict=True):
            stream.write(place, stored)
        counts.add(found)
        row += height
    job.tell((window.row + window.height) / job.plan.grid.shape[0], "fusing the maps")


def _described(job: _Job, folder: Path, summary: Mapping[str, float]) -> RollingProduct:
    plan, clock = job.plan, job.clock
    shape = browse.thumbnail_shape(plan.grid.shape.yx)
    codes = np.nan_to_num(read_reduced(folder / f"{COVER.key}.tif", layer=COVER, shape=shape))
    picture = folder / "thumbnail.png"
    browse.write_picture(picture, browse.class_colours(codes.astype(np.uint8), CLASSES))
    layers = tuple(
        stac.WrittenLayer(layer, plan.grid, stac.WrittenFile.of(path), stored_statistics(path))
        for layer in ROLLING_LAYERS
        for path in (folder / f"{layer.key}.tif",)
    )
    return RollingProduct(
        id=plan.id,
        maps=tuple(each.item for each in plan.maps),
        layers=layers,
        thumbnail=stac.WrittenFile.of(picture),
        parameters=roll_parameters(),
        digest=plan.digest,
        cost=stac.Cost(clock.seconds, clock.cpu_seconds, job.options.run_id, datetime.now(UTC)),
        summary=summary,
    )
