"""The verbs that make maps of a surface product by hand: land cover and objects."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Outcome, add_verb, jsonable, progress
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs

_PRODUCT = "folder that `undersky correct` made"
_SHOWN = 5.0
"""Percent of the ground from which a class is worth a word."""


def add_verbs(group: "Verbs") -> None:
    """The verbs `map` and `detect`."""
    _add_map(group)
    _add_detect(group)


def _add_map(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "map",
        map_,
        summary="Map the ground of a surface product: land-cover classes, confidence, one STAC Item.",
        example="undersky map products/S2A_32TQM_20250613T101559_SR_0a1b2c3d --out maps",
    )
    parser.add_argument("product", type=Path, help=_PRODUCT)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the map appears in DIR/<id>/")
    parser.add_argument(
        "--model", default="landcover", help="`landcover` (default), or the folder of a model package"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="strips worked on at a time (default 2)")


def _add_detect(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "detect",
        detect_,
        summary="Find the vessels in a Sentinel-2 surface product: GeoParquet, GeoJSON, one STAC Item.",
        example="undersky detect products/S2A_31SDA_20230817T104031_SR_0a1b2c3d --out maps",
    )
    parser.add_argument("product", type=Path, help=_PRODUCT)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the tables appear in DIR/<id>/"
    )
    parser.add_argument(
        "--model", default="vessels", help="`vessels` (default), or the folder of a model package"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="strips worked on at a time (default 2)")


def map_(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky map`."""
    from undersky.stages.map import MapOptions, map_cover, open_mapper  # noqa: PLC0415  loads what others don't

    mapper = open_mapper(arguments.model)
    with progress(screen, arguments.product.name) as told:
        options = MapOptions(threads=arguments.threads or settings.threads, progress=told)
        made = map_cover(arguments.product, arguments.out, mapper=mapper, options=options)

    def show(console: Console) -> None:
        how = "was there already" if made.was_there else f"made in {made.seconds:.1f} s"
        ground = {k: v for k, v in made.summary.items() if k not in ("nodata", "confidence") and v >= _SHOWN}
        told = ", ".join(f"{k} {v:.0f} %" for k, v in sorted(ground.items(), key=lambda pair: -pair[1]))
        console.print(f"{made.folder}\n  {how}, {made.bytes / 1e6:.1f} MB, Item {made.item.name}")
        console.print(f"  ground: {told or 'none was seen'}; not seen {made.summary['nodata']:.0f} %")

    return Outcome(jsonable(asdict(made)), show)


def detect_(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky detect`."""
    from undersky.stages.detect import DetectOptions, detect, open_detector  # noqa: PLC0415  as above

    detector = open_detector(arguments.model)
    with progress(screen, arguments.product.name) as told:
        options = DetectOptions(threads=arguments.threads or settings.threads, progress=told)
        made = detect(arguments.product, arguments.out, detector=detector, options=options)

    def show(console: Console) -> None:
        how = "was there already" if made.was_there else f"made in {made.seconds:.1f} s"
        count, searched = made.summary[detector.name], made.summary["searched_percent"]
        longest = f", the longest {made.summary['longest_m']:.0f} m" if count else ""
        console.print(f"{made.folder}\n  {how}, {made.bytes / 1e6:.1f} MB, Item {made.item.name}")
        console.print(
            f"  {count:.0f} {detector.name}{longest}; {searched:.0f} % of the scene lies on or beside water"
        )

    return Outcome(jsonable(asdict(made)), show)
