"""What the evaluation of a map model takes and gives, and its evidence for a gate: counts by class and scene.

    truth, map of one scene --count--> Counted by class --class_rows--> Row (iou, f1, accuracy, ...)
    MapsOptions --evaluate_quality, evaluate_landcover, evaluate_vessels--> MapsScore

The suite that a gate names is simulated and the same for every model: drawn from a seed, whatever lies on
the machine. What is measured on real samples is a suite of another name; the two never share a table.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from undersky.errors import ConfigError
from undersky.evaluation.evidence import Row
from undersky.evaluation.report import Json
from undersky.models.package import shipped
from undersky.raster.browse import Picture

Progress = Callable[[float, str], None]

SIMULATED = "simulated"
"""The suite of every map model that its gate names; real ones go by the name of their data."""

EVERYWHERE = (("all", "all"),)
"""The slice of everything, which no scene lacks."""


@dataclass(frozen=True, slots=True)
class MapsOptions:
    """Which map model is evaluated, and on what."""

    model: str | Path | None = None
    """A shipped model by its name, or the folder of a package; the shipped one of its kind when None."""
    samples: Path | None = None
    """Folder of real labelled data; without it nothing real is measured."""
    folds: Path = field(default_factory=lambda: shipped("folds"))
    """Folder of the packages that each held out a part of the real data."""
    scenes: int | None = None
    """Of the simulated suite, evenly spread; all when None."""
    progress: Progress | None = None
    """Told the done fraction, 0 .. 1, and what is being done."""


@dataclass(frozen=True, slots=True)
class MapView:
    """One scene of the simulated suite as a person sees it, all pictures (y, x, 3) and of one size."""

    scene: str
    """As it stands in the rows."""
    title: str
    """In words: `S2 at 10 m, summer, fields`."""
    picture: Picture
    """True colours at the fixed stretch (raster/browse.py)."""
    truth: Picture
    """What is there, in the colours of the classes."""
    found: Picture
    """What the model maps, in the same colours."""


@dataclass(frozen=True, slots=True)
class MapsScore:
    """What came out, for machines, for people and for a gate."""

    result: Mapping[str, Json]
    """The headline figures; None where one cannot be measured without samples."""
    markdown: str
    """Tables, simulated and real ones apart, each with its number of scenes and the baseline beside it."""
    rows: tuple[Row, ...]
    """Evidence by scene: of the simulated suite always, of real ones under their own names."""
    suites: Mapping[str, str] = field(default_factory=dict)
    """Suite to sha256 of what decides its scenes; over their names where an evaluation says nothing."""
    views: tuple[MapView, ...] = ()
    """A picture of every scene of the simulated suite, for the review; scenes without one are not shown."""
    legend: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    """Class to the colour it has in the views."""

    def digests(self) -> dict[str, str]:
        """Suite to sha256 of what was evaluated."""
        scenes: dict[str, set[str]] = {}
        for row in self.rows:
            scenes.setdefault(row.suite, set()).add(row.scene)
        named = {
            suite: hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()
            for suite, found in scenes.items()
        }
        return {suite: self.suites.get(suite, digest) for suite, digest in named.items()}


@dataclass(frozen=True, slots=True)
class Counted:
    """How one class came out in one scene, in pixels or in objects."""

    right: float
    """There and found."""
    extra: float
    """Found and not there."""
    missed: float
    """There and not found."""

    def __add__(self, other: "Counted") -> "Counted":
        """Both together."""
        return Counted(self.right + other.right, self.extra + other.extra, self.missed + other.missed)


def class_rows(
    suite: str,
    scene: str,
    *,
    counted: Mapping[str, Counted],
    slices: Sequence[tuple[str, str]] = EVERYWHERE,
) -> Iterator[Row]:
    """The evidence of one scene: each class by itself, and all of them together in every slice of the scene.

    A class that is neither there nor found is a row of nothing: both models have the same rows.

    Args:
        suite: Its name.
        scene: Its name within the suite.
        counted: Class to counts, the same classes in every scene.
        slices: Dimension and value of all that the scene is part of, such as ("season", "summer").
    """
    for name, found in counted.items():
        yield from _sums(Row(suite, scene, "class", name, "", 0.0, 0.0), found)
    together = sum(counted.values(), Counted(0.0, 0.0, 0.0))
    for dimension, value in slices:
        yield from _sums(Row(suite, scene, dimension, value, "", 0.0, 0.0), together)


def calibration_rows(
    suite: str,
    scene: str,
    *,
    confidence: float,
    right: float,
    pixels: float,
    slices: Sequence[tuple[str, str]] = EVERYWHERE,
) -> Iterator[Row]:
    """The evidence of one scene for the gap between how sure a model says it is and how often it is right.

    Args:
        suite: Its name.
        scene: Its name within the suite.
        confidence: Sum of the confidences, 0 .. 1, over its labelled pixels.
        right: How many of these are right.
        pixels: How many there are.
        slices: As of `class_rows`.
    """
    for dimension, value in slices:
        yield Row(suite, scene, dimension, value, "calibration_gap", confidence - right, pixels)


def _sums(row: Row, found: Counted) -> Iterator[Row]:
    there, claimed = found.right + found.missed, found.right + found.extra
    for metric, top, bottom in (
        ("iou_percent", found.right, there + found.extra),
        ("f1_percent", 2.0 * found.right, there + claimed),
        ("precision_percent", found.right, claimed),
        ("recall_percent", found.right, there),
    ):
        yield Row(row.suite, row.scene, row.dimension, row.value, metric, top, bottom)
    if row.dimension != "class":  # of one class alone it is the recall
        yield Row(row.suite, row.scene, row.dimension, row.value, "accuracy_percent", found.right, there)


def spread(count: int, limit: int | None) -> tuple[int, ...]:
    """The places of at most that many of `count` scenes, evenly spread; all when None.

    Raises:
        ConfigError: None is left.
    """
    if limit is None or limit >= count:
        return tuple(range(count))
    if limit < 1:
        raise ConfigError(f"{limit} scenes leave nothing to evaluate: give 1 or more, or leave it out")
    return tuple(place * count // limit for place in range(limit))
