"""Areas: what is wanted, from when, of which sensors."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from undersky.cli import area_verbs as verbs
from undersky.cli.outcome import add_verb

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs


def add_verbs(group: "Verbs") -> None:
    """Add, list, pause, resume."""
    summary = "Pieces of ground that somebody wants maps of."
    parser = group.add_parser("area", help=summary, description=summary)
    inner = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for add in (_add_add, _add_list, _add_pause, _add_resume):
        add(inner)


def _add_add(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "add",
        verbs.add,
        summary="Want every scene over the polygons of a GeoJSON file, from a day on; no deploy needed.",
        example="undersky area add alps.geojson --from 2025-06-01 --collections sentinel-2-l1c --dry-run",
    )
    parser.add_argument("file", type=Path, help="GeoJSON: Polygon, MultiPolygon, Feature, FeatureCollection")
    parser.add_argument(
        "--from", dest="since", type=date.fromisoformat, required=True, metavar="DATE",
        help="first day of sensing; past days go into the historical lane",
    )  # fmt: skip
    parser.add_argument(
        "--until", type=date.fromisoformat, metavar="DATE", help="last day (default: for ever)"
    )
    parser.add_argument(
        "--collections", nargs="+", required=True, metavar="COLLECTION",
        help="sentinel-2-l1c, landsat-c2-l1 or both",
    )  # fmt: skip
    parser.add_argument(
        "--profile", nargs="+", action="extend", default=[], metavar="NAME",
        help="archives to ask, by preference (default: every one that has the collection)",
    )  # fmt: skip
    parser.add_argument("--max-cloud", type=float, metavar="PERCENT", help="as the archive states it")
    parser.add_argument("--name", help="default: the feature's name, or the file's")
    parser.add_argument(
        "--dry-run", action="store_true",
        help="ask upstream what that would bring (scenes, GB, hours), change nothing",
    )  # fmt: skip


def _add_list(group: "Verbs") -> None:
    add_verb(group, "list", verbs.show_all, summary="Every area.", example="undersky area list")


def _add_pause(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "pause",
        verbs.pause,
        summary="Search nothing new over an area; what is known goes on.",
        example="undersky area pause alps --reason 'the project ended'",
    )
    parser.add_argument("name")
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="kept in the ledger, and said by `why`"
    )


def _add_resume(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "resume",
        verbs.resume,
        summary="Search an area again; what came meanwhile is found.",
        example="undersky area resume alps",
    )
    parser.add_argument("name")
