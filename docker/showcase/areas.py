"""The demo's areas are in the ledger: `areas UPSTREAM REAL`, a child process; those that are there stay."""

import os
import sys
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from showcase.cast import AREAS, Area, made_on, read_areas
from undersky.services.ledger import Actor, Ledger
from undersky.services.ledger import Area as Wanted
from undersky.tiles import footprint, geojson

BY = Actor("demo", "areas")


def add(upstream: Path, real: Path) -> None:
    """Every area of the cast and of the real products is in the ledger."""
    ledger = Ledger.open(os.environ["UNDERSKY_LEDGER"])
    there = {area.name for area in ledger.areas()}
    for area in [*AREAS, *read_areas(real / "areas.json")]:
        if area.name not in there:
            ledger.add_area(wanted(area, made=made_on(upstream)), BY)
            print(f"added {area.name}", flush=True)  # noqa: T201  its log
    ledger.close()


def wanted(area: Area, *, made: date) -> Wanted:
    """As the ledger has it."""
    rings = [ring for tile in area.tiles for ring in _boxes(tile)]
    since = date.fromisoformat(area.since) if area.since else made - timedelta(days=area.days)
    return Wanted(
        name=area.name,
        geometry=area.geometry or geojson(rings),
        collections=(area.collection,),
        since=since,
        until=date.fromisoformat(area.until) if area.until else None,
        profiles=(area.profile,),
    )


def _boxes(tile: str) -> list[tuple[tuple[float, float], ...]]:
    """The upright boxes around a tile's footprint: the simulator fills a corner of those."""
    boxes: list[tuple[tuple[float, float], ...]] = []
    for ring in footprint(tile):
        (west, east), (south, north) = ((min(values), max(values)) for values in zip(*ring, strict=True))
        boxes.append(((west, south), (east, south), (east, north), (west, north), (west, south)))
    return boxes


if __name__ == "__main__":
    add(Path(sys.argv[1]), Path(sys.argv[2]))
