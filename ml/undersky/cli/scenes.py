"""Questions about scenes, and decisions on them: status, show, why, retry, release, skip, remake."""

import argparse
from datetime import date
from typing import TYPE_CHECKING

from undersky.cli import scene_verbs as verbs
from undersky.cli.outcome import add_verb

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs

_SUMMARIES = {
    "retry": "Try failed, quarantined or delayed scenes again, now; skipped and held ones if named.",
    "release": "Let held products be published; count quarantined or skipped scenes as valid if named.",
    "skip": "Do nothing more with scenes; what is published stays.",
    "remake": "Make published products again, with the models that are champions then; maps follow.",
}
_EXAMPLES = {
    "retry": "undersky retry --state failed --since 6h --why 'the store is back'",
    "release": "undersky release S2B_20250619T095753_32TQM --why 'the haze is real, looked at it'",
    "skip": "undersky skip --state quarantined --reason-code band_missing --why 'will not be re-delivered'",
    "remake": "undersky remake --model-version physics-1 --dry-run --why 'physics-2 is champion'",
}


def add_verbs(group: "Verbs") -> None:
    """status, why, show, retry, release, skip, remake."""
    for add in (_add_status, _add_why, _add_show):
        add(group)
    for action in _SUMMARIES:
        _add_action(group, action)


def _add_status(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "status",
        verbs.status,
        summary="How the flow stands: states, queues, runs, searches. Exit 4 if something waits too long.",
        example="undersky status --max-wait 6h",
    )
    parser.add_argument(
        "--max-wait", default="6h", metavar="SPAN",
        help="how long a fresh scene may wait and an area go unsearched; exit 4 beyond (default 6h)",
    )  # fmt: skip


def _add_why(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "why",
        verbs.why,
        summary="Why a scene is or is not there, in a paragraph, also where nothing is known of it.",
        example="undersky why --tile 30TVP --date 2025-06-19",
    )
    parser.add_argument("scene", nargs="?", help="id of a scene or acquisition, in place of tile and date")
    parser.add_argument("--tile", help="MGRS tile (30TVP) or Landsat path and row (192029)")
    parser.add_argument("--date", type=date.fromisoformat, metavar="DATE", help="day of sensing, UTC")
    parser.add_argument("--sensor", help="S2, S2A, S2B, S2C, L8, L9; all that use the tile by default")


def _add_show(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "show",
        verbs.show,
        summary="The whole story of a scene: deliveries, states, products, with links to the logs.",
        example="undersky show S2B_20250619T095753_32TQM",
    )
    parser.add_argument(
        "scene", help="key of an acquisition, id of a delivered scene or of a product; or a tile, and DATE"
    )
    parser.add_argument(
        "date", nargs="?", type=date.fromisoformat, metavar="DATE", help="day of sensing, UTC"
    )


def _add_action(group: "Verbs", action: str) -> None:
    parser = add_verb(group, action, verbs.manage, summary=_SUMMARIES[action], example=_EXAMPLES[action])
    parser.set_defaults(action=action)
    add_selection(parser)
    parser.add_argument("--why", required=True, metavar="TEXT", help="the reason, kept in the history")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")
    if action == "remake":
        parser.add_argument(
            "--lane", choices=("fresh", "historical"), default="historical",
            help="where they wait; historical ones never delay fresh scenes (default historical)",
        )  # fmt: skip


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Options that say which scenes are meant; all that are given must hold."""
    which = parser.add_argument_group("which scenes (all that is given must hold)")
    which.add_argument("scenes", nargs="*", metavar="SCENE", help="keys of acquisitions or ids of scenes")
    which.add_argument("--state", help="of the acquisition or product: failed, quarantined, held, ...")
    which.add_argument("--reason-code", metavar="CODE", help="of that state: band_missing, too_cloudy, ...")
    which.add_argument("--since", metavar="WHEN", help="in that state since then: 2025-06-19, or 6h, 3d ago")
    which.add_argument("--tile", help="MGRS tile or Landsat path and row")
    which.add_argument(
        "--model-version", metavar="NAME", help="label, version or digest that made the product"
    )
    which.add_argument("--collection", help="sentinel-2-l1c or landsat-c2-l1")
    which.add_argument(
        "--kind", choices=("surface", "landcover", "vessels"), help="products of that kind alone, no scenes"
    )
