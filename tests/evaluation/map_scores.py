"""A map model as tests need it: it maps four small scenes, some better than others, by its package's name."""

import numpy as np

from undersky.evaluation.gate import Gate, Rule
from undersky.evaluation.maps import Counted, MapsScore, MapView, class_rows
from undersky.models.package import load_package, package_folder

LEGEND = {"<trees>": (0, 100, 0), "water": (0, 100, 200)}
SCENES = 12
SIDE = 20


def score(right, *, scenes=SCENES, suite="simulated", more=()):
    """The score of a model that gets that share of every scene's pixels right; a list is one by scene."""
    shares = right if isinstance(right, list) else [right] * scenes
    rows, views = list(more), []
    for place, share in enumerate(shares):
        name = f"scene-{place:02d}"
        hits = round(share * 100)
        counted = {
            "trees": Counted(hits, 100 - hits, 100 - hits),
            "water": Counted(0.0, 0.0, 0.0),
        }
        rows += class_rows(suite, name, counted=counted, slices=(("all", "all"), ("season", "summer")))
        views.append(view(name, hits))
    return MapsScore({"iou": 1.0}, "| tables |\n", tuple(rows), views=tuple(views), legend=LEGEND)


def view(name, hits):
    """One scene whose first rows are mapped right."""
    trees, water = (np.array(colour, dtype=np.uint8) for colour in LEGEND.values())
    truth = np.broadcast_to(trees, (SIDE, SIDE, 3)).copy()
    found = truth.copy()
    found[SIDE * hits // 100 :] = water
    return MapView(name, f"{name}: S2A, <summer>", np.full((SIDE, SIDE, 3), 90, dtype=np.uint8), truth, found)


def gate_of(*rules, suites=("simulated",)):
    """A gate of these rules, or of one over all scenes that allows a point of F1."""
    return Gate(
        model="landcover",
        version=1,
        confidence=0.95,
        resamples=500,
        seed=7,
        minimum_scenes=5,
        suites=suites,
        rules=rules or (Rule("f1_percent", "all", 1.0, required=True),),
        digest="0" * 64,
    )


def evaluate(options):
    """Stands in the table of evaluators: a package is as good as its provenance says."""
    package = load_package(package_folder(options.model))
    if options.progress is not None:
        options.progress(1.0, "mapping")
    return score(package.provenance["right"], scenes=options.scenes or SCENES)
