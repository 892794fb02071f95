"""Labels: what people know about the ground, brought in for training and evaluation."""

import argparse
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from undersky.cli.outcome import Json, Outcome, add_verb, jsonable, table
from undersky.settings import Settings

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs
    from undersky.services.store import Store
    from undersky.stages.labels import Added

_OUT = "folder of labels (default: the store, where UNDERSKY_STORE names one)"
_TASKS = ("landcover", "quality", "vessels")
_EXAMPLES = """\
undersky labels add fields.gpkg --task landcover --classes fields.yaml \\
    --valid-from 2021-05-01 --valid-to 2021-09-30 --scenes products --out labels
  undersky labels add worldcover --task landcover --classes worldcover --bbox 14.5 45.9 14.7 46.1 --out labels
  undersky labels add port_coco.json --task vessels --classes vessels.yaml \\
    --valid-from 2023-08-17 --valid-to 2023-08-17 --out labels

a class map, fields.yaml:
  attribute: land_use          # the column that holds the value; COCO and GeoTIFF need none
  classes:                     # value in the file: our class
    arable: cropland
    12: tree_cover
  ignore: [orchard, 0]         # regions where nothing is learnt and nothing counts

classes: landcover  tree_cover shrubland grassland cropland built_up bare snow_ice water wetland
                    mangroves moss_lichen
         quality    cloud cloud_shadow cirrus snow water clear
         vessels    vessel
Every value that the file holds must be mapped or ignored; docs/labels.md says more."""


def add_verbs(group: "Verbs") -> None:
    """Labels add, list, show."""
    summary = "Labels: what people know about the ground, for training and evaluation."
    parser = group.add_parser("labels", help=summary, description=summary)
    inner = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_add(inner)
    listed = add_verb(
        inner,
        "list",
        show_all,
        summary="Every version of labels: task, name, days, what it holds.",
        example="undersky labels list --out labels",
    )
    listed.add_argument("--task", choices=_TASKS, help="only of this task")
    listed.add_argument("--out", type=Path, metavar="DIR", help=_OUT)
    shown = add_verb(
        inner,
        "show",
        show_one,
        summary="One version: where it came from, its classes, what was mended and what was left out.",
        example="undersky labels show fields --out labels",
    )
    shown.add_argument("reference", metavar="NAME|DIGEST", help="name, or at least 8 digits of the digest")
    shown.add_argument("--task", choices=_TASKS, help="where two tasks have labels of one name")
    shown.add_argument("--out", type=Path, metavar="DIR", help=_OUT)


def _add_add(inner: "Verbs") -> None:
    parser = add_verb(
        inner,
        "add",
        add,
        summary="Bring in labels: read, mend, map to our classes, match with scenes, draw, keep by digest.",
        example=_EXAMPLES,
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="GeoPackage, GeoJSON, COCO, GeoTIFF; the address of a GeoTIFF; or worldcover, read in place",
    )
    parser.add_argument("--task", choices=_TASKS, required=True, help="what is learnt from them")
    parser.add_argument(
        "--classes", required=True, metavar="MAP", help="class map: worldcover, slovenia-land-use, or a file"
    )
    day = date.fromisoformat
    parser.add_argument("--valid-from", type=day, metavar="DAY", help="first day on which they hold")
    parser.add_argument("--valid-to", type=day, metavar="DAY", help="last day on which they hold")
    parser.add_argument("--name", help="of the labels (default: the file's)")
    parser.add_argument("--attribution", metavar="TEXT", help="whom to thank, under what licence")
    parser.add_argument("--layer", help="of a GeoPackage with several")
    parser.add_argument("--crs", metavar="EPSG", help="coordinate system, where the file names none")
    parser.add_argument(
        "--bbox", type=float, nargs=4, metavar=("W", "S", "E", "N"), help="only this part, degrees"
    )
    parser.add_argument("--scenes", type=Path, metavar="DIR", help="surface products to match")
    parser.add_argument("--out", type=Path, metavar="DIR", help=_OUT)


def add(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:
    """`undersky labels add`."""
    from undersky.stages.labels import AddOptions, shelf_at  # noqa: PLC0415  help stays quick
    from undersky.stages.labels import add as run  # noqa: PLC0415  likewise

    store = _store(settings)
    shelf = shelf_at(arguments.out, store)
    with screen.status("reading labels") as status:
        options = AddOptions(
            task=arguments.task,
            classes=arguments.classes,
            name=arguments.name,
            valid_from=arguments.valid_from,
            valid_to=arguments.valid_to,
            attribution=arguments.attribution,
            layer=arguments.layer,
            crs=arguments.crs,
            bbox=None if arguments.bbox is None else tuple(arguments.bbox),
            scenes=arguments.scenes,
            store=store,
            tell=status.update,
        )
        made = run(arguments.file, shelf, options=options)
    return Outcome(jsonable(made.as_json()), lambda console: _show_added(console, made))


def show_all(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky labels list`."""
    from undersky.stages.labels import list_labels, shelf_at  # noqa: PLC0415  help stays quick

    shelf = shelf_at(arguments.out, None if arguments.out else _store(settings))
    rows = [
        {
            "task": manifest.task,
            "name": manifest.name,
            "digest": manifest.digest[:12],
            "from": manifest.valid_from,
            "to": manifest.valid_to,
            "form": manifest.form,
            "labels": sum(manifest.counts.values()),
            "ignored": manifest.ignored,
        }
        for _, manifest in list_labels(shelf, task=arguments.task)
    ]

    def show(console: Console) -> None:
        if not rows:
            console.print(f"no labels at {shelf.place}; `undersky labels add --help` shows how", markup=False)
            return
        for row in rows:
            held = f"{row['labels']} {row['form']}" + (
                f", {row['ignored']} ignored" if row["ignored"] else ""
            )
            console.print(f"{row['task']}/{row['name']}  {row['digest']}", markup=False)
            console.print(f"  {row['from']} to {row['to']}, {held}", markup=False)

    return Outcome({"place": shelf.place, "labels": rows}, show)


def show_one(arguments: argparse.Namespace, settings: Settings, screen: Console) -> Outcome:  # noqa: ARG001
    """`undersky labels show`."""
    from undersky.stages.labels import find_labels, shelf_at  # noqa: PLC0415  help stays quick

    shelf = shelf_at(arguments.out, None if arguments.out else _store(settings))
    key, manifest = find_labels(shelf, arguments.reference, task=arguments.task)

    told = jsonable({"key": key, "place": shelf.place, "manifest": asdict(manifest)})

    def show(console: Console) -> None:
        console.print(f"{shelf.place}/{key}", markup=False)
        _show_manifest(console, told["manifest"])

    return Outcome(told, show)


def _show_added(console: Console, made: "Added") -> None:
    there = "was there already, nothing changed" if made.was_there else "added"
    console.print(f"{made.place}/{made.key}\n  {there}; preview.png lies in it", markup=False)
    _show_manifest(console, made.as_json()["manifest"])
    if not made.manifest.placed:
        console.print("  scenes: none, the images lie nowhere on the globe", markup=False)
        return
    if not made.scenes_seen:
        console.print("  scenes: none to match; --scenes DIR names a folder of products", markup=False)
        return
    console.print(f"  scenes: {len(made.matches)} of {made.scenes_seen} met")
    for match in made.matches:
        counts = ", ".join(f"{slug} {count}" for slug, count in match.counts.items())
        console.print(f"    {match.scene}  {match.sensed}: {counts}", markup=False)
    if made.hint:
        console.print(f"! {made.hint}", markup=False)


def _show_manifest(console: Console, manifest: "Json") -> None:
    days = f"{manifest['valid_from']} to {manifest['valid_to']}"
    console.print(f"  {manifest['task']}, holds from {days}", markup=False)
    console.print(f"  from {manifest['source']}, class map {manifest['class_map']['name']}", markup=False)
    if manifest["attribution"]:
        console.print(f"  {manifest['attribution']}", markup=False)
    form, areas = manifest["form"], manifest["square_km"] or {}
    rows = [
        {"class": slug, form: count, "km2": areas.get(slug)}
        for slug, count in manifest["counts"].items()
        if count
    ]
    console.print(table([*rows, {"class": "ignored", form: manifest["ignored"]}], ("class", form, "km2")))
    for what in ("mended", "left_out"):
        for why, count in manifest["read"][what].items():
            console.print(f"  {what.replace('_', ' ')}: {count} {why}", markup=False)
    for note in manifest["read"]["notes"]:
        console.print(f"! {note}", markup=False)


def _store(settings: Settings) -> "Store | None":
    """The store, where one is set."""
    from undersky.services.opened import open_store  # noqa: PLC0415  help stays quick

    return None if settings.store is None else open_store(settings)
