"""The verbs for one scene, by hand, and their options."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from undersky.bands import SENSORS
from undersky.cli import verbs
from undersky.cli.outcome import add_verb

if TYPE_CHECKING:
    from undersky.cli.outcome import Verbs

_PRODUCT = "Sentinel-2 L1C SAFE folder or zip, AWS tile folder; Landsat 8/9 Level-1 folder or tar"


def add_verbs(group: "Verbs") -> None:
    """inspect, correct, compare, simulate, evaluate."""
    for add in (_add_inspect, _add_correct, _add_compare, _add_simulate, _add_evaluate):
        add(group)


def _add_inspect(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "inspect",
        verbs.inspect,
        summary="Say what a product is: sensor, baseline, angles, sizes, priors, what is missing.",
        example="undersky inspect S2B_MSIL1C_20250613T101559_N0511_R065_T32TQM_20250613T122215.SAFE",
    )
    parser.add_argument("product", type=Path, help=_PRODUCT)


def _add_correct(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "correct",
        verbs.correct,
        summary="Remove the atmosphere: COGs with uncertainty and quality bits, and one STAC Item.",
        example="undersky correct LC09_L1TP_192028_20250613_20250613_02_T1 --out products --dem dem.tif",
    )
    parser.add_argument("product", type=Path, help=_PRODUCT)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the product appears in DIR/<id>/"
    )
    parser.add_argument(
        "--model", default="learned", help="`learned` (default), `physics`, or the folder of a model package"
    )
    parser.add_argument(
        "--quality",
        default="quality",
        metavar="MODEL",
        help="what tells cloud from ground: `quality` (default, the shipped model), the folder of a package, "
        "or `thresholds` for simple tests",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="the atmosphere as measured, JSON; docs/product.md shows one",
    )
    ground = parser.add_mutually_exclusive_group()
    ground.add_argument("--dem", type=Path, metavar="FILE", help="raster of heights in metres, any CRS")
    ground.add_argument(
        "--altitude", type=float, metavar="M", help="one height in metres for the whole scene"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="bands worked on at a time (default 2)")


def _add_compare(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "compare",
        verbs.compare,
        summary="Hold a product of ours against the agency's: bias, spread, RMSE per band, a picture.",
        example="undersky compare products/S2A_32TQM_... S2A_MSIL2A_20250613T101031_....SAFE --out report",
    )
    parser.add_argument("product", type=Path, help="folder that `undersky correct` made")
    parser.add_argument(
        "agency_l2", type=Path, help="Landsat L2SP folder or Sen2Cor L2A SAFE of the same scene"
    )
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where difference.png goes")


def _add_simulate(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "simulate",
        verbs.simulate,
        summary="Make a Level-1 product of a known ground under a known sky, its truth beside it.",
        example="undersky simulate --sensor L9 --seed 3 --date 2025-06-13 --out scenes",
    )
    parser.add_argument("--sensor", choices=sorted(SENSORS), default="S2A")
    parser.add_argument("--tile", help="MGRS tile (default 32TQM) or Landsat path and row (default 192029)")
    parser.add_argument("--date", type=date.fromisoformat, help="day of the overpass, YYYY-MM-DD")
    parser.add_argument("--seed", type=int, default=0, help="of the ground; the same seed is the same ground")
    parser.add_argument("--theme", help="kind of country: fields forest town coast mountain desert lakes")
    parser.add_argument(
        "--clouds", type=float, default=15.0, metavar="PERCENT", help="cloud cover (default 15)"
    )
    parser.add_argument(
        "--size", type=int, metavar="M", help="side in metres, a multiple of 180 (default 10980)"
    )
    parser.add_argument("--baseline", default="05.11", help="Sentinel-2 baseline; 02.09 has no offsets")
    parser.add_argument(
        "--layout", choices=("folder", "zip", "tile"), default="folder", help="Sentinel-2 only"
    )
    parser.add_argument("--malformed", metavar="KIND", help="spoil the product; an unknown KIND lists them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def _add_evaluate(group: "Verbs") -> None:
    parser = add_verb(
        group,
        "evaluate",
        verbs.evaluate,
        summary="Measure the models: the correction beside its peers, masks, land cover and vessels.",
        example="undersky evaluate quality landcover vessels --json",
    )
    parser.add_argument(
        "what",
        nargs="*",
        choices=("correction", "quality", "landcover", "vessels"),
        default="correction",
        metavar="WHAT",
        help="what is evaluated: correction (default), quality, landcover, vessels; on labelled data too "
        "where UNDERSKY_SAMPLES is set",
    )
    parser.add_argument(
        "--suite",
        action="append",
        metavar="NAME|DIR",
        help="of the correction: direct-6s, direct-6s-stress, laws, pairs (real, from UNDERSKY_SAMPLES), or "
        "a folder of your own (docs/evaluation.md); repeatable, all of the named when none is",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="of the correction: write DIR/index.html, tables, figures, maps in one page",
    )
    parser.add_argument(
        "--model", help="a shipped model by its name, or the folder of a package (default: the shipped one)"
    )
