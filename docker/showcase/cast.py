"""The acquisitions that the demo announces, each with the ending that it must come to."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

CDSE, EARTH_SEARCH, LANDSATLOOK = "copernicus-dataspace", "earth-search", "usgs-landsatlook"
PUBLISHED, SKIPPED, QUARANTINED = "published", "skipped", "quarantined"


@dataclass(frozen=True, slots=True)
class Part:
    """One simulated acquisition, and what must become of it."""

    sensor: str
    """`S2A` ... `L9`."""
    tile: str
    """MGRS tile, or Landsat path and row."""
    days_ago: int
    """Before the day on which the cast was made; fresh up to ten."""
    theme: str
    """Kind of landscape."""
    cloud_percent: float
    layout: Literal["folder", "zip", "tile"] = "folder"
    """As `undersky simulate` has it."""
    baseline: str = "05.11"
    malformed: str | None = None
    """A kind of damage."""
    size_m: int = 5400
    """Side of the square that is simulated."""
    day: str | None = None
    """A day of its own, in the past: the historical lane."""
    ending: str = PUBLISHED
    reason: str = "ok"
    """Reason code of any other ending."""

    def sensed_on(self, made: date) -> date:
        """The day it was taken."""
        return date.fromisoformat(self.day) if self.day else made - timedelta(days=self.days_ago)


# Low latitudes: the sun is high enough in every month of the year.
CAST: tuple[Part, ...] = (
    Part("S2A", "32TQM", 1, "fields", 15.0, size_m=9000),
    Part("S2B", "32TQM", 4, "fields", 35.0),
    Part("S2C", "31TCJ", 2, "town", 5.0, layout="zip"),
    Part("S2A", "31TCJ", 5, "town", 60.0, baseline="05.10"),
    Part("S2B", "36RUU", 3, "desert", 0.0, layout="tile"),
    Part("S2C", "36RUU", 1, "coast", 20.0, layout="tile"),
    Part("S2A", "21LYH", 2, "forest", 40.0),
    Part("S2B", "55HEV", 3, "lakes", 10.0),
    Part("L8", "192029", 3, "mountain", 20.0, size_m=10_800),
    Part("L9", "192029", 6, "mountain", 5.0, size_m=10_800),
    Part("L9", "227068", 2, "forest", 30.0, size_m=10_800),
    Part("L8", "093086", 4, "coast", 15.0, size_m=10_800),
    Part("S2A", "32TQM", 0, "fields", 20.0, baseline="02.09", day="2021-06-14"),
    # What nobody expects a product of.
    Part("S2C", "31TCJ", 4, "town", 100.0, size_m=3600, ending=SKIPPED, reason="too_cloudy"),
    Part("S2B", "32UNE", 0, "forest", 5.0, size_m=3600, day="2025-12-21",
         ending=SKIPPED, reason="sun_too_low"),
    # What must never become a product.
    Part("S2A", "32TQM", 3, "fields", 10.0, malformed="truncated_jp2", size_m=3600,
         ending=QUARANTINED, reason="raster_truncated"),
    Part("S2B", "21LYH", 4, "forest", 10.0, malformed="missing_band", size_m=3600,
         ending=QUARANTINED, reason="band_missing"),
    Part("S2C", "55HEV", 1, "lakes", 10.0, malformed="swapped_band", size_m=3600,
         ending=QUARANTINED, reason="band_swapped"),
    Part("S2A", "55HEV", 6, "lakes", 10.0, malformed="contradictory_offset", size_m=3600,
         ending=QUARANTINED, reason="offset_contradicted"),
    Part("S2B", "31TCJ", 6, "town", 10.0, malformed="external_entity", size_m=3600,
         ending=QUARANTINED, reason="metadata_hostile"),
    Part("S2C", "21LYH", 6, "forest", 10.0, malformed="exploding_zip", size_m=3600,
         ending=QUARANTINED, reason="archive_unsafe"),
    Part("L9", "093086", 1, "coast", 10.0, malformed="landsat_wrong_crs", size_m=7200,
         ending=QUARANTINED, reason="crs_mismatch"),
)  # fmt: skip
"""A dozen good ones and one of the past, two that are skipped, seven that are malformed."""


@dataclass(frozen=True, slots=True)
class Area:
    """Ground that the demo wants maps of."""

    name: str
    collection: str
    profile: str
    tiles: tuple[str, ...] = ()
    """Whose ground it is."""
    days: int = 8
    """How far it reaches back from the day on which the cast was made."""
    since: str | None = None
    """A day of its own."""
    until: str | None = None
    geometry: dict[str, object] | None = None
    """GeoJSON, in place of tiles."""


S2, LANDSAT = "sentinel-2-l1c", "landsat-c2-l1"
AREAS: tuple[Area, ...] = (
    Area("fields-and-forests", S2, CDSE, ("32TQM", "31TCJ", "21LYH", "55HEV")),
    Area("nile", S2, EARTH_SEARCH, ("36RUU",)),
    Area("landsat-scenes", LANDSAT, LANDSATLOOK, ("192029", "227068", "093086")),
    Area("a-past-summer", S2, CDSE, ("32TQM",), since="2021-06-13", until="2021-06-15"),
    Area("midwinter", S2, CDSE, ("32UNE",), since="2025-12-20", until="2025-12-22"),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """How one announced scene must end."""

    scene: str
    """Product id."""
    ending: str
    reason: str
    sentence: str = ""
    """Why, for a person."""
    is_real: bool = False
    """Not simulated: upstream's own Item may have it refused before any file is fetched."""


def made_on(folder: Path) -> date:
    """The day on which the cast was (or is now) made; kept, so that a second demo shows the same."""
    path = folder / "made-on.txt"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(date.today().isoformat(), encoding="utf-8")  # noqa: DTZ011  a day is meant, anybody's
    return date.fromisoformat(path.read_text(encoding="utf-8").strip())


def write_expected(path: Path, expected: Sequence[Expected]) -> None:
    """They lie there as JSON, whole or not at all."""
    _write(path, [asdict(each) for each in expected])


def read_expected(path: Path) -> list[Expected]:
    """What `write_expected` wrote; none where it did not."""
    return [Expected(**each) for each in _read(path)]


def write_areas(path: Path, areas: Sequence[Area]) -> None:
    """They lie there as JSON, whole or not at all."""
    _write(path, [asdict(each) for each in areas])


def read_areas(path: Path) -> list[Area]:
    """What `write_areas` wrote; none where it did not."""
    return [Area(**each) for each in _read(path)]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    new = path.with_suffix(".part")
    new.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    new.replace(path)


def _read(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []
