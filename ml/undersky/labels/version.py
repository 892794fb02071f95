"""A version of labels: what a file said, in one form, under the digest of its content.

    <task>/<name>/<digest>/labels.parquet     outlines, GeoParquet in EPSG:4326: class, ignore, days
                           labels.tif         or classes as a COG on the grid they came on
                           preview.png        to look at
                           manifest.json      what, whence, how many; what was mended or left out

The digest is over content: outlines or pixels, classes, days, attribution. The order of features, the file's
name and its format are not part of it, so that adding the same labels twice changes nothing.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import geopandas
import numpy as np
import pyarrow as pa

from undersky.errors import ConfigError, DataError, Reason
from undersky.labels.drawn import Drawn, drawn
from undersky.labels.tasks import IGNORE, Task, task_of

OUTLINES, PIXELS, PREVIEW, MANIFEST = "labels.parquet", "labels.tif", "preview.png", "manifest.json"
FORMAT_VERSION = 1
SHORTEST_DIGEST = 8
"""Digits of a digest that name a version."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version holds and where it came from."""

    task: str
    """`landcover`, `quality` or `vessels`."""
    name: str
    """As it is asked for: `worldcover-north`."""
    digest: str
    """sha256 over the content."""
    form: Literal["outlines", "pixels"]
    """Which of the two files there is."""
    placed: bool
    """False where outlines are pixels of images that lie nowhere on the globe."""
    valid_from: str
    """First day on which the labels hold, YYYY-MM-DD."""
    valid_to: str
    """Last day."""
    attribution: str
    """Whom to thank, under what terms."""
    source: str
    """Name of the file, or address of what was read in place."""
    source_sha256: str | None
    """Of the file; None for what was read in place."""
    class_map: Mapping[str, object]
    """What the file called things, and what we call them."""
    counts: Mapping[str, int]
    """Pixels or outlines by class."""
    square_km: Mapping[str, float] | None
    """Ground by class; None where it is not known."""
    ignored: int
    """Pixels or outlines that nobody shall look at."""
    bounds: tuple[float, float, float, float] | None
    """West, south, east, north, degrees."""
    read: Mapping[str, object]
    """How often each value was met, what was mended, what was left out and why."""
    created_by: str
    """The version of Undersky that wrote it."""
    format: int = FORMAT_VERSION
    """Of this description."""

    @property
    def days(self) -> tuple[date, date]:
        """First and last day on which the labels hold."""
        return date.fromisoformat(self.valid_from), date.fromisoformat(self.valid_to)

    def is_valid(self, day: date) -> bool:
        """True where the labels hold on that day."""
        first, last = self.days
        return first <= day <= last

    def to_json(self) -> str:
        """The description as text, the same for the same content."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Version:
    """A version on this machine."""

    folder: Path
    """Its files."""
    manifest: Manifest
    """What it holds."""

    @property
    def task(self) -> Task:
        """What it is for."""
        return task_of(self.manifest.task)

    @property
    def raster(self) -> Path | None:
        """The raster of codes, if it has one."""
        return self.folder / PIXELS if self.manifest.form == "pixels" else None

    def outlines(self) -> Drawn:
        """Its outlines.

        Raises:
            DataError: `dataset_damaged`: they cannot be read, or are not those of the digest.
            ConfigError: It holds pixels.
        """
        if self.manifest.form != "outlines":
            raise ConfigError(f"{self.folder} holds pixels, not outlines; labels_on reads them")
        try:
            table = geopandas.read_parquet(self.folder / OUTLINES)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(self.folder / OUTLINES, str(error)) from error
        images = None if self.manifest.placed else tuple(map(str, table["image"]))
        found = drawn(np.asarray(table.geometry.array, dtype=object), np.asarray(table["code"]), images)
        if found.digest(digested(self.manifest)) != self.manifest.digest:
            raise _damaged(self.folder / OUTLINES, "its content is not that of its digest")
        return found


def digested(manifest: Manifest) -> Mapping[str, object]:
    """What a digest covers besides the labels themselves."""
    return said_of_all(
        task_of(manifest.task), (manifest.valid_from, manifest.valid_to), attribution=manifest.attribution
    )


def said_of_all(task: Task, days: tuple[str, str], *, attribution: str) -> Mapping[str, object]:
    """What is true of every label of a version."""
    return {"format": FORMAT_VERSION, "task": task.key, "days": list(days), "attribution": attribution}


def digest_of_pixels(about: Mapping[str, object], pixels_sha256: str) -> str:
    """The digest of a version of pixels."""
    text = json.dumps(dict(about) | {"pixels": pixels_sha256}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_outlines(path: Path, outlines: Drawn, *, task: Task, days: tuple[date, date]) -> None:
    """The file holds the outlines as GeoParquet, readable by geopandas, QGIS, DuckDB and GDAL.

    Raises:
        OSError: The disk refuses.
    """
    slugs = {kind.code: kind.slug for kind in task.classes}
    rows = len(outlines)
    columns: dict[str, Any] = {
        "class": [slugs.get(int(code), "") for code in outlines.codes],
        "code": outlines.codes,
        "ignore": outlines.codes == IGNORE,
        "valid_from": [days[0]] * rows,
        "valid_to": [days[1]] * rows,
    }
    if outlines.images is not None:
        columns["image"] = list(outlines.images)
    table = geopandas.GeoDataFrame(
        columns, geometry=outlines.shapes, crs=None if outlines.images is not None else "EPSG:4326"
    )
    table.to_parquet(path, index=False, schema_version="1.1.0")


def open_version(folder: Path) -> Version:
    """The version in a folder.

    Raises:
        ConfigError: There is none.
        DataError: `dataset_damaged`: its description cannot be read, or a file is missing.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ConfigError(
            f"{folder} holds no labels; `undersky labels add` makes a version, `labels list` shows them"
        )
    manifest = read_manifest(path.read_bytes(), where=str(path))
    version = Version(folder, manifest)
    file = folder / (PIXELS if manifest.form == "pixels" else OUTLINES)
    if not file.is_file():
        raise _damaged(file, "it is missing")
    return version


def read_manifest(data: bytes, *, where: str) -> Manifest:
    """The description of a version.

    Raises:
        DataError: `dataset_damaged`: it is none, or of another format.
    """
    try:
        fields = json.loads(data)
        if fields.get("format") != FORMAT_VERSION:
            raise _damaged(
                Path(where), f"format {fields.get('format')!r}, this Undersky reads {FORMAT_VERSION}"
            )
        bounds = fields.pop("bounds")
        manifest = Manifest(**fields, bounds=None if bounds is None else tuple(bounds))
        task_of(manifest.task)
        _ = manifest.days
    except (ValueError, TypeError, KeyError, AttributeError, ConfigError) as error:
        raise _damaged(Path(where), f"it describes no labels ({error})") from error
    return manifest


def checked_name(name: str) -> str:
    """The name of a set of labels: it becomes a folder and part of a key.

    Raises:
        ConfigError: It is none.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise ConfigError(
            f"{name!r} is no name of labels: small letters, digits, . _ - and at most 64 of them"
        )
    return name


def _damaged(path: Path, what: str) -> DataError:
    return DataError(Reason.DATASET_DAMAGED, f"{path} cannot be used: {what}; add the labels again")
