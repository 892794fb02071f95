"""Facts that every map has: its Item, what it was made of, and what the surface product knows of the ground.

    map folder, surface product (where it is at hand) --> FinishedMap --> facts of cover and of objects

What the surface product would have said, were it at hand, is not known: it is never judged.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undersky.bands import SENSORS, Sensor
from undersky.errors import ConfigError
from undersky.raster.encoding import COVER, QUALITY
from undersky.validation.files import number
from undersky.validation.rules import Family, Row

PARQUET_TYPE = "application/vnd.apache.parquet"
UNSEEN = ("cloud", "cloud_shadow", "cirrus", "saturated")
"""Quality flags under which a map says nothing, as `undersky.quality.UNUSABLE` has them."""
_NAN = float("nan")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SurfaceEvidence:
    """What the surface product of a map knows of the same ground."""

    item: Json
    """Its Item."""
    folder: Path | None = None
    """Holds Item and quality layer; None where only the Item is at hand."""

    def percent(self, flag: str) -> float:
        """Percent of the valid pixels with that quality flag; NaN where the Item does not say."""
        return number(self.item["properties"].get("undersky:quality_percent", {}).get(flag))

    @property
    def valid_percent(self) -> float:
        """Percent of the grid's pixels with a value."""
        return 100.0 - self.percent("nodata")

    @property
    def seen_percent(self) -> float:
        """Percent of the valid pixels of which the ground was seen, at least: flags may overlap."""
        return max(0.0, 100.0 - sum(self.percent(flag) for flag in UNSEEN))

    @property
    def area_km2(self) -> float:
        """Of the valid pixels; NaN where the Item does not say on which grid they lie."""
        grid = self.grid
        if grid is None:
            return _NAN
        (rows, cols), transform = grid
        return rows * cols * abs(transform[0] * transform[4]) / 1e6 * self.valid_percent / 100.0

    @property
    def grid(self) -> tuple[tuple[int, int], tuple[float, ...]] | None:
        """Shape and transform of the finest grid, as the Item's quality layer has them."""
        asset = self.item["assets"].get(QUALITY.key, {})
        if "proj:shape" not in asset or len(asset.get("proj:transform", ())) < 6:
            return None
        rows, cols = asset["proj:shape"]
        return (int(rows), int(cols)), tuple(float(value) for value in asset["proj:transform"][:6])


@dataclass(frozen=True, slots=True)
class FinishedMap:
    """A folder with the Item of a map and its assets."""

    folder: Path
    """Holds the Item and its files, flat."""
    item: Json
    """The Item."""
    sensor: Sensor
    """Whose surface product it was made of."""
    digest: str | None = None
    """Digest the folder is named after; None where nobody said."""
    source: str | None = None
    """Digest of the surface product that it should be made of; None where nobody said."""
    schema_error: str | None = None
    """What breaks the STAC schema."""
    surface: SurfaceEvidence | None = None
    """The surface product; None where it is not at hand."""

    @property
    def family(self) -> Family:
        """Which suites judge it."""
        return "landsat" if self.sensor.constellation == "landsat" else "sentinel-2"


def is_map(item: Json) -> bool:
    """Whether an Item is of a map, of either kind: it says of which surface product it was made."""
    return "undersky:surface" in item.get("properties", {})


def is_cover(item: Json) -> bool:
    """Whether the Item of a map is of a map of classes, and not of one of objects."""
    return COVER.key in item.get("assets", {})


def read_map_item(folder: Path) -> tuple[Json, Sensor]:
    """The one Item in a folder of a map, and the sensor it names.

    Raises:
        ConfigError: There is none, or several, or it is no Item of a map.
    """
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if len(paths) != 1:
        raise ConfigError(f"{folder} holds {len(paths)} JSON files: expected one Item, <id>.json")
    try:
        item = json.loads(paths[0].read_text(encoding="utf-8"))
        platform = item["properties"]["platform"]
        sensor = next(sensor for sensor in SENSORS.values() if sensor.platform == platform)
        _ = [asset["href"] for asset in item["assets"].values()], item["id"]
        known = is_map(item)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ConfigError(f"{paths[0]} is no Item of a map: make it with `undersky map`") from error
    if not known:
        raise ConfigError(f"{paths[0]} names no surface product: a map is made with `undersky map`")
    return item, sensor


def described(product: FinishedMap, expected: Collection[str]) -> dict[str, Any]:
    """Facts of the Item itself, which of the expected assets it lacks, and of what it was made."""
    properties = product.item["properties"]
    digest = str(properties.get("undersky:digest"))
    source = str((properties.get("undersky:surface") or {}).get("digest"))
    missing = [key for key in expected if key not in product.item["assets"]]
    return {
        "id": str(product.item["id"]),
        "collection": str(product.item.get("collection")),
        "digest": digest,
        "digest_agrees": None if product.digest is None else digest == product.digest,
        "source": source,
        "source_agrees": None if product.source is None else source == product.source,
        "schema_error": product.schema_error or "none",
        "missing": " ".join(missing),
        "missing_assets": float(len(missing)),
    }


def bytes_of(rows: Collection[Row]) -> float:
    """Of all files."""
    return float(sum(float(row["bytes"] or 0.0) for row in rows))
