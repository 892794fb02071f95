"""Two corrections held against each other on the frozen suites, with what the map models make of either.

candidate, champion --every suite of the gate--> scores ----------------+--> judgement, slices, page
candidate, champion --simulated ground--> champions downstream --> rows --+
"""

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from undersky.datasets.suites import DATA, Suite, load_suite
from undersky.errors import ConfigError
from undersky.evaluation.comparison import comparison_page
from undersky.evaluation.correctors import ModelCorrector
from undersky.evaluation.downstream import DOWNSTREAM, by_correction, downstream_rows
from undersky.evaluation.gate import Gate
from undersky.evaluation.judging import Identity
from undersky.evaluation.review import review_scenes, swipes, worst_scenes
from undersky.evaluation.versus import Comparison, compare_on
from undersky.inference.air import one_thread
from undersky.judgement import Judgement
from undersky.models.package import load_package
from undersky.training.task import Progress


@dataclass(frozen=True, slots=True)
class HeldCorrection:
    """A candidate beside the champion."""

    comparison: Comparison
    """Judgement, evidence and scores."""
    suites: tuple[Suite, ...]
    """What was evaluated: whole suites, or some scenes of each."""
    whole: tuple[Suite, ...]
    """The suites as they are frozen: what every review shows is chosen from these."""
    candidate: ModelCorrector
    champion: ModelCorrector

    @property
    def judgement(self) -> Judgement:
        """What the gate says."""
        return self.comparison.judgement

    def figures(self) -> dict[str, bytes]:
        """Path to PNG: both by optical depth on the first suite, the candidate's scatter and sigma."""
        from undersky.evaluation import figures  # noqa: PLC0415  loads matplotlib

        sides = self.comparison.scores[self.suites[0].name]
        counted = sides.candidate.histograms
        drawn = {"by-aod": figures.by_aot_figure([sides.candidate, sides.champion])}
        if counted.scatter:
            drawn["scatter"] = figures.scatter_figure(counted.scatter, reference="true")
        if counted.ratios:
            drawn["reliability"] = figures.reliability_figure(counted)
        return {f"figures/{name}.png": b64decode(uri.partition(",")[2]) for name, uri in drawn.items()}

    def page(self) -> str:
        """The review page: ten scenes of the first suite, the same in every review, and the worst ones."""
        sides = self.comparison.scores[self.suites[0].name]
        shown = review_scenes(self.whole[0])
        worst = worst_scenes(self.suites[0], sides.candidate, sides.champion)
        with one_thread():
            return comparison_page(
                self.judgement,
                review=tuple(swipes(shown, self.candidate, self.champion)),
                worst=tuple(swipes(worst, self.candidate, self.champion)),
            )


def hold_corrections(
    candidate: Path,
    champion: Path,
    *,
    gate: Gate,
    suites: tuple[str, ...] = (),
    scenes: int | None = None,
    workers: int = 1,
    others: Mapping[str, Path] | None = None,
    progress: Progress | None = None,
    suites_folder: Path = DATA,
) -> HeldCorrection:
    """Both packages on the same scenes, judged; the arguments are those of `comparing.hold_against`."""
    new, old = load_package(candidate), load_package(champion)
    champions = {name: folder for name, folder in (others or {}).items() if name in DOWNSTREAM[gate.model]}
    whole = tuple(load_suite(name, suites_folder) for name in suites or gate.suites)
    chosen = tuple(_limited(suite, scenes) for suite in whole)
    methods = [
        ModelCorrector(package.version, folder) for package, folder in ((new, candidate), (old, champion))
    ]
    identity = Identity(
        candidate=new.digest,
        candidate_label=new.version,
        champion=old.digest,
        champion_label=old.version,
        suites={suite.name: _sha256(suites_folder / f"{suite.name}.json") for suite in whole},
        downstream={name: load_package(folder).digest for name, folder in champions.items()},
    )
    with one_thread():
        mine, theirs = (
            downstream_rows(by_correction(method), champions, scenes=scenes, progress=progress)
            for method in methods
        )
    found = compare_on(
        chosen,
        *methods,
        gate=gate,
        identity=identity,
        workers=workers,
        progress=progress,
        further=(mine, theirs),
    )
    return HeldCorrection(found, chosen, whole, *methods)


def _limited(suite: Suite, limit: int | None) -> Suite:
    """The suite with at most that many scenes, evenly spread over it."""
    if limit is None or limit >= len(suite.scenes):
        return suite
    if limit < 1:
        raise ConfigError(f"{limit} scenes leave nothing to compare: give 1 or more, or leave it out")
    step = len(suite.scenes) / limit
    return replace(suite, scenes=tuple(suite.scenes[int(number * step)] for number in range(limit)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
