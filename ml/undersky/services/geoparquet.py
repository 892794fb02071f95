"""stac-geoparquet: many Items in one file, for pandas, DuckDB, GDAL, QGIS. The only owner of rustac."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rustac

from undersky.errors import ConfigError, ServiceError

Json = Mapping[str, Any]
Shape = tuple[object, ...]

CHUNK = 250
"""Items that are turned into a table at a time: about 0.35 MB of memory each."""


def write_items(items: Sequence[Json], path: Path) -> None:
    """The file holds the Items, one a row; fields that some lack are null there.

    They keep their order, but for the first of each kind (which fields it has), which stand at the top: the
    columns are theirs.

    Args:
        items: STAC Items as JSON. A field holds one kind of value in all of them.
        path: A new file.

    Raises:
        ConfigError: There are none, since a file without rows has no columns; or a field is a number in one
            Item and a text in another.
        ServiceError: The disk refuses.
    """
    if not items:
        raise ConfigError(f"{path.name} would hold no Item: write it where there is something to find")
    kinds: dict[Shape, int] = {}
    for number, item in enumerate(items):
        kinds.setdefault(_shape(item), number)
    first = set(kinds.values())
    rest = [item for number, item in enumerate(items) if number not in first]
    try:
        asyncio.run(_write([items[number] for number in sorted(first)], rest, path.absolute()))
    except rustac.RustacError as error:
        if "LocalFileSystem" in str(error):
            raise ServiceError(f"{path} cannot be written: {error}; is the disk full?") from error
        raise ConfigError(
            f"{len(items)} Items do not fit one table ({error}): a field must hold one kind of value in all"
        ) from error


async def _write(first: Sequence[Json], rest: Sequence[Json], path: Path) -> None:
    # the writer drops a field that its first Items lack, without a word: they are one of each kind
    writer = await rustac.GeoparquetWriter.open([dict(item) for item in first], str(path))
    for begin in range(0, len(rest), CHUNK):
        await writer.write([dict(item) for item in rest[begin : begin + CHUNK]])
    await writer.finish()


def _shape(value: object) -> Shape:
    """Which fields a JSON value has and of what kinds; a column of whole numbers would cut broken ones."""
    if isinstance(value, Mapping):
        return ("object", *((key, _shape(value[key])) for key in sorted(value)))
    if isinstance(value, list):
        return ("list", *sorted({_shape(each) for each in value}, key=repr))
    return (type(value).__name__,)


def read_items(path: Path) -> list[dict[str, Any]]:
    """The Items of such a file.

    Raises:
        ConfigError: It is no stac-geoparquet.
    """
    try:
        found: list[dict[str, Any]] = rustac.read_sync(str(path.absolute()), set_self_link=False)["features"]
    except rustac.RustacError as error:
        raise ConfigError(f"{path} is no stac-geoparquet: {error}") from error
    return found
