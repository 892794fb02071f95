"""The whole command line: every group of verbs with help that teaches."""

import argparse

from undersky import __version__
from undersky.cli import (
    areas,
    batches,
    by_hand,
    campaigns,
    furnishing,
    labelling,
    mapping,
    models,
    operations,
    paging,
    planning,
    rolling,
    scenes,
    steps,
    training,
)


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="undersky",
        description="Surface reflectance from Sentinel-2 Level-1C and Landsat 8/9 Collection 2 Level-1.",
        epilog="Settings: UNDERSKY_<NAME>, see docs/settings.md.\n"
        "Exit codes: 0 done, 2 command or setting wrong, 3 product cannot be used,\n"
        "4 something waits too long (status), 75 try again later.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"undersky {__version__}")
    group = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    by_person = (
        by_hand,
        mapping,
        rolling,
        paging,
        labelling,
        training,
        models,
        areas,
        scenes,
        campaigns,
        operations,
        planning,
    )
    for verbs in (*by_person, steps, furnishing, batches):
        verbs.add_verbs(group)
    return parser
