"""Two map models held against each other on their simulated suite: masks, land cover, objects.

candidate, champion --evaluate, each by itself--> rows, views --> judgement, slices, page
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from undersky.evaluation.comparison import comparison_page
from undersky.evaluation.downstream import DOWNSTREAM, by_quality, downstream_rows
from undersky.evaluation.evaluating import CORRECTION
from undersky.evaluation.gate import Gate
from undersky.evaluation.map_review import map_swipes, map_telling, strips
from undersky.evaluation.maps import MapsOptions
from undersky.evaluation.review import Swipe
from undersky.evaluation.versus import Comparison
from undersky.evaluation.versus_maps import MapSides, compare_maps
from undersky.inference.air import one_thread
from undersky.judgement import Judgement
from undersky.landcover import CLASSES
from undersky.models.package import load_package
from undersky.training.task import Progress

_LEGENDS = {"landcover": {cover.name: cover.colour for cover in CLASSES}}
"""Of models whose colours are a standard's, where the score brings none."""


@dataclass(frozen=True, slots=True)
class HeldMaps:
    """A candidate beside the champion."""

    sides: MapSides
    """Judgement, evidence and both scores."""
    suite: str
    """Whose scenes are shown."""
    metric: str
    """The gate's first rule over all scenes: what is said beside each scene."""

    @property
    def comparison(self) -> Comparison:
        """Judgement and evidence."""
        return self.sides.comparison

    @property
    def judgement(self) -> Judgement:
        """What the gate says."""
        return self.comparison.judgement

    def figures(self) -> dict[str, bytes]:
        """Path to PNG: the first scenes of the review, seen, true, and as both map them."""
        from undersky.evaluation.figures import picture  # noqa: PLC0415  loads matplotlib

        review, _ = self._swipes()
        uris = (picture(strip) for strip in strips(review))
        return {f"figures/scene-{at}.png": b64decode(uri.partition(",")[2]) for at, uri in enumerate(uris, 1)}

    def page(self) -> str:
        """The review page: ten scenes, the same in every review, and the worst ones."""
        review, worst = self._swipes()
        legend = self.sides.candidate.legend or _LEGENDS.get(self.judgement.model, {})
        telling = map_telling(legend, self.metric)
        return comparison_page(self.judgement, review=review, worst=worst, telling=telling)

    def _swipes(self) -> tuple[tuple[Swipe, ...], tuple[Swipe, ...]]:
        return map_swipes(self.sides.candidate, self.sides.champion, suite=self.suite, metric=self.metric)


def hold_maps(
    candidate: Path,
    champion: Path,
    *,
    gate: Gate,
    suites: tuple[str, ...] = (),
    scenes: int | None = None,
    others: Mapping[str, Path] | None = None,
    progress: Progress | None = None,
) -> HeldMaps:
    """Both packages on the same scenes, judged; the arguments are those of `comparing.hold_against`."""
    champions = {
        name: folder for name, folder in (others or {}).items() if name in DOWNSTREAM.get(gate.model, ())
    }
    correction = (others or {}).get(CORRECTION)
    with one_thread():
        mine, theirs = (
            downstream_rows(by_quality(folder, correction), champions, scenes=scenes, progress=progress)
            for folder in (candidate, champion)
        )
    sides = compare_maps(
        candidate,
        champion,
        gate=gate,
        options=MapsOptions(scenes=scenes, progress=progress),
        suites=suites,
        downstream={name: load_package(folder).digest for name, folder in champions.items()},
        further=(mine, theirs),
    )
    metric = next(rule.metric for rule in gate.rules if rule.dimension == "all")
    return HeldMaps(sides, (suites or gate.suites)[0], metric)
