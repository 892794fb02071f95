"""`labels`: what a person knows about the ground becomes a version that trainings can name.

    FILE --read, mend, map--> outlines | pixels --digest--> <labels>/<task>/<name>/<digest>/
                                   |--> scenes it meets, counts of each class on them
                                   `--> preview.png

Adding the same labels twice changes nothing: the digest is over their content.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from undersky import __version__
from undersky.bands import SENSORS
from undersky.errors import ConfigError, DataError, Reason
from undersky.labels.class_map import ClassMap, read_class_map
from undersky.labels.coco import looks_like_coco, read_coco
from undersky.labels.drawn import Drawn
from undersky.labels.matching import Match, SceneItem, items_in, matches, scene_of, why_unmet
from undersky.labels.painted import paint, tile_hrefs
from undersky.labels.preview import View, draw_preview
from undersky.labels.shelf import FolderShelf, Shelf, find_labels, list_labels
from undersky.labels.tally import Tally
from undersky.labels.tasks import task_of
from undersky.labels.vectors import Bbox, read_vectors
from undersky.labels.version import (
    MANIFEST,
    OUTLINES,
    PIXELS,
    PREVIEW,
    Manifest,
    Version,
    checked_name,
    digest_of_pixels,
    open_version,
    read_manifest,
    said_of_all,
    write_outlines,
)  # fmt: skip
from undersky.raster.commit import sha256_of
from undersky.services.geoparquet import read_items
from undersky.services.store import PreconditionFailed, Store

__all__ = ["AddOptions", "Added", "StoreShelf", "add", "find_labels", "list_labels", "shelf_at"]

PREFIX = "datasets/labels"
"""Of all versions in the store."""
_REMOTE = ("https://", "http://", "s3://")


@dataclass(frozen=True, slots=True)
class AddOptions:
    """How labels are read and what is said of them."""

    task: str
    """`landcover`, `quality` or `vessels`."""
    classes: str
    """A shipped class map by its name, or the YAML or JSON file of one."""
    name: str | None = None
    """Of the labels; the file's when None."""
    valid_from: date | None = None
    """First day on which they hold; the class map's when None."""
    valid_to: date | None = None
    """Last day; the class map's when None."""
    attribution: str | None = None
    """Whom to thank, under what terms; the class map's when None."""
    layer: str | None = None
    """Of a GeoPackage with several."""
    crs: str | None = None
    """Where the file does not say it."""
    bbox: Bbox | None = None
    """Only what lies in it: west, south, east, north, degrees."""
    scenes: Path | None = None
    """Folder of surface products to match."""
    store: Store | None = None
    """Whose published Items are matched too."""
    tell: Callable[[str], None] = field(default=lambda _sentence: None)
    """Told what is being done."""


@dataclass(frozen=True, slots=True)
class Added:
    """A version that is there now."""

    key: str
    """`<task>/<name>/<digest>`."""
    place: str
    """Of all versions: a folder or an address."""
    was_there: bool
    """True when the same labels had been added before."""
    manifest: Manifest
    """What it holds."""
    scenes_seen: int
    """Scenes that were looked at."""
    matches: tuple[Match, ...]
    """Those that the labels meet."""
    hint: str
    """A suspicion, where nothing was met; empty otherwise."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "key": self.key, "place": self.place, "was_there": self.was_there,
            "manifest": asdict(self.manifest), "scenes_seen": self.scenes_seen,
            "matches": [match.as_json() for match in self.matches], "hint": self.hint,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoreShelf:
    """The bucket, as a place of versions."""

    store: Store

    @property
    def place(self) -> str:
        """Its address."""
        return self.store.href(PREFIX)

    def holds(self, key: str) -> bool:
        """True where the description is there: it is put last."""
        return self.store.head(f"{PREFIX}/{key}/{MANIFEST}") is not None

    def put(self, key: str, folder: Path) -> None:
        """See `Shelf`."""
        if self.holds(key):
            return
        for path in sorted(folder.iterdir()):
            if path.name != MANIFEST:
                self.store.put_file(f"{PREFIX}/{key}/{path.name}", path)
        try:
            data = (folder / MANIFEST).read_bytes()
            self.store.put(f"{PREFIX}/{key}/{MANIFEST}", data, if_absent=True)
        except PreconditionFailed:
            return  # somebody added the same labels meanwhile

    def manifests(self) -> Iterator[tuple[str, Manifest]]:
        """See `Shelf`, in the order of keys."""
        for stored in self.store.list(f"{PREFIX}/"):
            if stored.key.endswith(f"/{MANIFEST}"):
                key = stored.key.removeprefix(f"{PREFIX}/").removesuffix(f"/{MANIFEST}")
                yield key, read_manifest(self.store.get(stored.key), where=self.store.href(stored.key))

    def fetch(self, key: str, scratch: Path) -> Version:
        """See `Shelf`."""
        folder = scratch / key
        folder.mkdir(parents=True, exist_ok=True)
        for stored in list(self.store.list(f"{PREFIX}/{key}/")):
            name = stored.key.rpartition("/")[2]
            if name in (MANIFEST, OUTLINES, PIXELS, PREVIEW):
                self.store.get_file(stored.key, folder / name, size=stored.size)
        return open_version(folder)


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read into a folder."""

    form: Literal["outlines", "pixels"]
    digest: str
    counts: Mapping[str, int]
    square_km: Mapping[str, float] | None
    ignored: int
    bounds: Bbox | None
    placed: bool
    tally: Tally
    outlines: Drawn | None
    backdrop: Path | None


def add(file: str, shelf: Shelf, *, options: AddOptions) -> Added:
    """The labels of a file are a version on the shelf; what they are and which scenes they meet.

    Args:
        file: GeoPackage, GeoJSON, COCO or GeoTIFF; the address of a GeoTIFF; or the name of a class map that
            brings its own source (`worldcover`).
        shelf: Where versions are kept.
        options: How it is read and what is said of it.

    Raises:
        ConfigError: An option is missing or wrong, or a value is neither mapped nor ignored.
        DataError: The file cannot be used.
        ServiceError: A server or the disk failed.
    """
    task, class_map = task_of(options.task), read_class_map(options.classes)
    days, name = _days(options, class_map), _name(file, options, class_map)
    attribution = class_map.attribution if options.attribution is None else options.attribution
    with tempfile.TemporaryDirectory(prefix="undersky-labels-") as scratch:
        folder = Path(scratch) / "version"
        folder.mkdir()
        options.tell(f"reading {file}")
        texts = (days[0].isoformat(), days[1].isoformat())
        about = said_of_all(task, texts, attribution=attribution)
        read = _read(file, folder, class_map, about=about, options=options, days=days)
        manifest = Manifest(
            task=task.key, name=name, digest=read.digest, form=read.form, placed=read.placed,
            valid_from=texts[0], valid_to=texts[1], attribution=attribution, source=_source_name(file),
            source_sha256=_source_sum(file), class_map=_map_json(class_map), counts=read.counts,
            square_km=read.square_km, ignored=read.ignored, bounds=read.bounds, read=read.tally.as_json(),
            created_by=f"undersky {__version__}",
        )  # fmt: skip
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        version = Version(folder, manifest)
        scenes = _scenes(options, manifest, Path(scratch))
        found = matches(version, scenes, tell=options.tell) if manifest.placed else ()
        key = f"{task.key}/{name}/{read.digest}"
        was_there = shelf.holds(key)
        if not was_there:
            options.tell("drawing a preview")
            met = {match.scene for match in found}
            shown = [scene for scene in scenes if scene.id in met]
            view = View(manifest, task, read.outlines, version.raster, read.backdrop, shown)
            draw_preview(folder / PREVIEW, view)
            shelf.put(key, folder)
        hint = "" if found else why_unmet(version, scenes)
    return Added(key, shelf.place, was_there, manifest, len(scenes), found, hint)


def shelf_at(out: Path | None, store: Store | None) -> Shelf:
    """Where versions are kept: the folder where one is named, else the store.

    Raises:
        ConfigError: Neither is given.
    """
    if out is not None:
        return FolderShelf(out)
    if store is None:
        raise ConfigError(
            "nowhere to keep labels: give --out DIR, or set UNDERSKY_STORE to the bucket, s3://name"
        )
    return StoreShelf(store)


def _read(
    file: str,
    folder: Path,
    class_map: ClassMap,
    *,
    about: Mapping[str, object],
    options: AddOptions,
    days: tuple[date, date],
) -> _Read:
    """The labels of the file lie in the folder, in their one form."""
    task = task_of(options.task)
    path, backdrop = Path(file), None
    if hrefs := _rasters(file, class_map, options):
        if task.counted_in == "objects":
            raise ConfigError(f"{task.key} are objects: give outlines or boxes (GeoPackage, GeoJSON, COCO)")
        painted, tally = paint(
            hrefs, folder / PIXELS, class_map, task=task, bbox=options.bbox, crs=options.crs
        )  # fmt: skip
        digest = digest_of_pixels(about, painted.pixels_sha256)
        return _Read(
            "pixels", digest, painted.counts, painted.square_km, painted.ignored, painted.bounds, True, tally,
            None, None,
        )  # fmt: skip
    if not path.is_file():
        raise ConfigError(f"{file} is no file, no address and no class map with a source of its own")
    if path.suffix.lower() in (".json", ".geojson") and looks_like_coco(path):
        outlines, tally, backdrop = read_coco(path, class_map, task=task)
    else:
        outlines, tally = read_vectors(
            path, class_map, task=task, layer=options.layer, crs=options.crs, bbox=options.bbox
        )
    if len(outlines) == outlines.ignored:
        told = (
            ", ".join(f"{count} {why}" for why, count in sorted(tally.left_out.items())) or "nothing left out"
        )
        raise DataError(
            Reason.ALL_NODATA,
            f"{file} holds no label to use: {outlines.ignored} to ignore, {told}; is it the right file?",
        )
    write_outlines(folder / OUTLINES, outlines, task=task, days=days)
    counts, km2 = outlines.counts(task), outlines.square_km(task)
    placed = outlines.images is None
    return _Read(
        "outlines", outlines.digest(about), counts, km2, outlines.ignored, outlines.bounds, placed, tally,
        outlines, backdrop,
    )  # fmt: skip


def _rasters(file: str, class_map: ClassMap, options: AddOptions) -> dict[str, str]:
    """Name and address of the rasters that the file stands for; none where it is no raster."""
    if file.startswith(_REMOTE):
        # GDAL's own S3 reader: rasterio's would look for somebody's credentials first
        href = f"/vsis3/{file.removeprefix('s3://')}" if file.startswith("s3://") else f"/vsicurl/{file}"
        return {file: href}
    if Path(file).is_file():
        return {file: file} if Path(file).suffix.lower() in (".tif", ".tiff") else {}
    if class_map.source is None or file not in (class_map.name, "tiles"):
        return {}
    if options.bbox is None:
        raise ConfigError(
            f"{class_map.name} covers the Earth: say which part with --bbox WEST SOUTH EAST NORTH"
        )
    hrefs = tile_hrefs(class_map.source, options.bbox)
    return {name: f"/vsicurl/{href}" if "://" in href else href for name, href in hrefs.items()}


def _days(options: AddOptions, class_map: ClassMap) -> tuple[date, date]:
    first, last = options.valid_from or class_map.valid_from, options.valid_to or class_map.valid_to
    if first is None or last is None:
        raise ConfigError("from when to when do these labels hold? --valid-from and --valid-to, YYYY-MM-DD")
    if last < first:
        raise ConfigError(f"labels that hold from {first} to {last} never hold; trade the days")
    return first, last


def _name(file: str, options: AddOptions, class_map: ClassMap) -> str:
    if options.name is not None:
        return checked_name(options.name)
    stem = class_map.name if file == "tiles" else Path(file).stem
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64]
    if not name:
        raise ConfigError(f"{file} gives no name to the labels; --name does")
    return checked_name(name)


def _source_name(file: str) -> str:
    return file if file.startswith(_REMOTE) else Path(file).name


def _source_sum(file: str) -> str | None:
    return None if file.startswith(_REMOTE) or not Path(file).is_file() else sha256_of(Path(file))


def _map_json(class_map: ClassMap) -> Mapping[str, object]:
    source = None if class_map.source is None else class_map.source.href
    return {
        "name": class_map.name, "attributes": list(class_map.attributes), "classes": dict(class_map.classes),
        "ignore": sorted(class_map.ignore), "source": source,
    }  # fmt: skip


def _scenes(options: AddOptions, manifest: Manifest, scratch: Path) -> Sequence[SceneItem]:
    """Scenes to match, each once: of the folder, then published ones."""
    if not manifest.placed:
        return ()
    found: dict[str, SceneItem] = {}
    items: list[Iterable[Mapping[str, object]]] = []
    if options.scenes is not None:
        items.append(items_in(options.scenes))
    if options.store is not None:
        items.append(_published(options.store, scratch))
    for source in items:
        for item in source:
            scene = scene_of(item)
            if scene is not None:
                found.setdefault(scene.id, scene)
    return tuple(found.values())


def _published(store: Store, scratch: Path) -> Iterator[Mapping[str, object]]:
    """Every current Item of surface reflectance in the store, from the index of its collection."""
    for collection in sorted({sensor.collection for sensor in SENSORS.values()}):
        key = f"stac/{collection}/items.parquet"
        if store.head(key) is None:
            continue
        path = scratch / f"{collection}.parquet"
        store.get_file(key, path)
        yield from read_items(path)
