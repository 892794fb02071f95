"""Two map models on the same scenes: evidence by scene, and what the gate says of the candidate.

MapsOptions --evaluate, each by itself--> MapsScore, MapsScore --rows of the gate's suites--> Comparison
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from undersky.errors import ConfigError
from undersky.evaluation.evaluating import Evaluate, evaluate_model
from undersky.evaluation.evidence import Row
from undersky.evaluation.gate import Gate
from undersky.evaluation.judging import Identity, judge
from undersky.evaluation.maps import MapsOptions, MapsScore, Progress
from undersky.evaluation.versus import Comparison
from undersky.models.package import load_package


@dataclass(frozen=True, slots=True)
class MapSides:
    """Both models on the suites that were asked for."""

    comparison: Comparison
    """Judgement and evidence."""
    candidate: MapsScore
    """The candidate's score."""
    champion: MapsScore
    """The champion's."""


def compare_maps(
    candidate: Path,
    champion: Path,
    *,
    gate: Gate,
    options: MapsOptions,
    suites: Sequence[str] = (),
    downstream: Mapping[str, str] | None = None,
    further: tuple[Sequence[Row], Sequence[Row]] = ((), ()),
    evaluate: Evaluate | None = None,
) -> MapSides:
    """Both packages on the same scenes, judged by the gate.

    Nothing real is judged: both may have been trained on the little that is labelled.

    Args:
        candidate: Folder of the new package.
        champion: Folder of the one in use.
        gate: The rules.
        options: How many scenes, whom to tell; the model is set here, samples are left out.
        suites: Of the evaluation; the gate's when empty.
        downstream: Model to digest of each champion that was looked at on what both make.
        further: Evidence of that, the candidate's and the champion's.
        evaluate: The model's own evaluation, by its name, when None.

    Raises:
        ConfigError: An unknown suite, or no scene is left.
        DataError: A package is refused.
    """
    new, old = load_package(candidate), load_package(champion)
    score = evaluate or (lambda given: evaluate_model(gate.model, given))
    mine, theirs = (
        score(replace(options, model=folder, samples=None, progress=_half(options.progress, half)))
        for half, folder in enumerate((candidate, champion))
    )
    wanted = _wanted(suites or gate.suites, mine)
    identity = Identity(
        candidate=new.digest,
        candidate_label=new.version,
        champion=old.digest,
        champion_label=old.version,
        suites={suite: digest for suite, digest in mine.digests().items() if suite in wanted},
        downstream=downstream or {},
    )
    candidates, champions = (
        (*(row for row in scored.rows if row.suite in wanted), *more)
        for scored, more in zip((mine, theirs), further, strict=True)
    )
    judgement = judge(gate, candidates, champions, identity=identity)
    return MapSides(Comparison(judgement, candidates, champions), mine, theirs)


def _wanted(suites: Sequence[str], score: MapsScore) -> frozenset[str]:
    there = score.digests()
    if unknown := [name for name in suites if name not in there]:
        raise ConfigError(f"no suite {unknown[0]!r}; there are {' '.join(there) or 'none'}")
    return frozenset(suites)


def _half(progress: Progress | None, half: int) -> Progress | None:
    """The progress of one of two evaluations, as part of both."""
    if progress is None:
        return None
    return lambda done, what: progress((half + done) / 2.0, what)
