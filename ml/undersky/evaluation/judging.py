"""Applies a gate: paired bootstrap over scenes, a finding for every rule in every slice, one judgement.

    rows of both models, same scenes --draw scenes again and again--> differences of the ratios --> interval
    low >= -tolerance --> pass      high < -tolerance --> fail      otherwise, or few scenes --> undecided

Both models are drawn on the same scenes, so what is hard for both cancels. Scenes are drawn, not pixels:
the pixels of one scene share one air and err together. The interval lies between two percentiles of the
draws, wider the fewer the scenes, because plain percentiles are too narrow for few.

Source: Hesterberg 2015, The American Statistician 69(4), 371-386 (expanded percentile interval).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from undersky import __version__
from undersky.errors import ConfigError
from undersky.evaluation.evidence import METRICS, Array, Metric, Row, Slice, Sums, pooled, sliced
from undersky.evaluation.gate import Gate, Rule
from undersky.evaluation.wording import finding_sentence, judgement_sentence
from undersky.judgement import Finding, GateOutcome, Judgement

_RANK = {GateOutcome.FAIL: 0, GateOutcome.TOO_LITTLE_EVIDENCE: 1, GateOutcome.PASS: 2}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which packages stand behind the rows, and what they were evaluated on."""

    candidate: str
    """Digest of the candidate's package."""
    candidate_label: str
    """`learned-3`."""
    champion: str
    """Digest of the champion's package."""
    champion_label: str
    """`learned-2`."""
    suites: Mapping[str, str]
    """Suite to sha256 of its file."""
    downstream: Mapping[str, str] = field(default_factory=dict)
    """Model to digest of each champion that was evaluated on the candidate's output."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A finding beside the rule that it answers."""

    rule: Rule
    finding: Finding


def judge(gate: Gate, candidate: Sequence[Row], champion: Sequence[Row], *, identity: Identity) -> Judgement:
    """What the gate says; the same rows in any order give the same judgement.

    Args:
        gate: The rules.
        candidate: The candidate's evidence.
        champion: The champion's, of the same scenes.
        identity: Whose evidence it is.

    Raises:
        ConfigError: The two were not evaluated on the same scenes.
    """
    mine, theirs = sliced(candidate), sliced(champion)
    _same_scenes(mine, theirs)
    found = [*_missing(gate, mine), *_slices(gate, mine, theirs)]
    found.sort(key=_worst_first)
    waiting = [one for one in found if one.rule.decides and one.finding.outcome is not GateOutcome.PASS]
    outcome = _overall(found, waiting)
    return Judgement(
        model=gate.model,
        candidate=identity.candidate,
        candidate_label=identity.candidate_label,
        champion=identity.champion,
        champion_label=identity.champion_label,
        gate=gate.digest,
        gate_version=gate.version,
        outcome=outcome,
        sentence=judgement_sentence(outcome, [one.finding for one in found], waiting=len(waiting)),
        findings=tuple(one.finding for one in found),
        suites=dict(identity.suites),
        scenes=scene_counts(candidate),
        metrics=_headline(mine),
        champion_metrics=_headline(theirs),
        code_version=__version__,
        downstream=dict(identity.downstream),
    )


def _same_scenes(mine: Mapping[Slice, Sums], theirs: Mapping[Slice, Sums]) -> None:
    for key in dict.fromkeys((*mine, *theirs)):
        here, there = set(mine.get(key, {})), set(theirs.get(key, {}))
        if here != there:
            suite, dimension, value, _ = key
            odd = min(here ^ there)
            raise ConfigError(
                f"{suite}, {dimension} {value}: the candidate has {len(here)} scenes, the champion "
                f"{len(there)}, and {odd} is on one side only; evaluate both on the same scenes"
            )


def _missing(gate: Gate, mine: Mapping[Slice, Sums]) -> Iterator[_Found]:
    """A finding for every suite that the gate asks for and nobody evaluated."""
    rule = next(rule for rule in gate.rules if rule.dimension == "all")
    evaluated = {suite for suite, *_ in mine}
    for suite in gate.suites:
        if suite not in evaluated:
            yield _Found(
                rule,
                Finding(
                    suite=suite,
                    dimension=rule.dimension,
                    value="all",
                    metric=rule.metric,
                    scenes=0,
                    tolerance=rule.tolerance,
                    outcome=GateOutcome.TOO_LITTLE_EVIDENCE,
                    sentence=f"{suite} was not evaluated, and this gate asks for it",
                ),
            )


def _slices(gate: Gate, mine: Mapping[Slice, Sums], theirs: Mapping[Slice, Sums]) -> Iterator[_Found]:
    for rule in gate.rules:
        for key, sums in mine.items():
            if (key[1], key[3]) == (rule.dimension, rule.metric):
                yield _Found(rule, _finding(gate, rule, key, (sums, theirs[key])))


def _finding(gate: Gate, rule: Rule, key: Slice, sides: tuple[Sums, Sums]) -> Finding:
    suite, dimension, value, name = key
    metric, (mine, theirs) = METRICS[name], sides
    here, there = (pooled(name, side) for side in sides)
    low, high = _interval(gate, metric, mine, theirs)
    scenes = sum(bool(mine[scene][1] or theirs[scene][1]) for scene in mine)
    enough = scenes >= gate.needed(rule)
    found = Finding(
        suite=suite,
        dimension=dimension,
        value=value,
        metric=name,
        scenes=scenes,
        tolerance=rule.tolerance,
        outcome=_outcome(low, high, tolerance=rule.tolerance, enough=enough),
        candidate=_known(here),
        champion=_known(there),
        difference=_known(metric.gain(here, there)),
        low=_known(low),
        high=_known(high),
    )
    sentence = finding_sentence(found, confidence=gate.confidence, needed=gate.needed(rule))
    return found.model_copy(update={"sentence": sentence})


def _interval(gate: Gate, metric: Metric, mine: Sums, theirs: Sums) -> tuple[float, float]:
    """The ends of the interval of the gain, positive where the candidate is better; NaN of nothing."""
    scenes = sorted(mine)
    sums = np.array([(*mine[scene], *theirs[scene]) for scene in scenes], dtype=np.float64)
    drawn = _draws(len(scenes), gate.resamples, gate.seed) @ sums
    gain = metric.gain(metric.of(drawn[:, 0], drawn[:, 1]), metric.of(drawn[:, 2], drawn[:, 3]))
    if not np.isfinite(gain).any():
        return float("nan"), float("nan")
    tail = _tail(len(scenes), gate.confidence)
    low, high = np.nanquantile(gain, [tail, 1.0 - tail])
    return float(low), float(high)


def _tail(scenes: int, confidence: float) -> float:
    """The share of the draws beyond each end of the interval; of one scene, which says nothing, none."""
    if scenes < 2:
        return 0.0
    wide = np.sqrt(scenes / (scenes - 1)) * student.ppf((1.0 + confidence) / 2.0, scenes - 1)
    return float(norm.cdf(-wide))


@lru_cache(maxsize=64)
def _draws(scenes: int, resamples: int, seed: int) -> Array:
    """How often each scene is in each draw, (resamples, scenes)."""
    drawn = np.random.default_rng([seed, scenes]).integers(scenes, size=(resamples, scenes))
    places = drawn + scenes * np.arange(resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=resamples * scenes)
    return counts.reshape(resamples, scenes).astype(np.float64)


def _outcome(low: float, high: float, *, tolerance: float, enough: bool) -> GateOutcome:
    if enough and low >= -tolerance:
        return GateOutcome.PASS
    if enough and high < -tolerance:
        return GateOutcome.FAIL
    return GateOutcome.TOO_LITTLE_EVIDENCE


def _known(value: float) -> float | None:
    """The value as JSON can say it."""
    return value if np.isfinite(value) else None


def _overall(found: Sequence[_Found], waiting: Sequence[_Found]) -> GateOutcome:
    if any(one.finding.outcome is GateOutcome.FAIL for one in found):
        return GateOutcome.FAIL
    decisive = any(one.rule.decides for one in found)
    return GateOutcome.PASS if decisive and not waiting else GateOutcome.TOO_LITTLE_EVIDENCE


def _worst_first(one: _Found) -> tuple[int, bool, float, str, str, str, str]:
    """By outcome; of the undecided what decides first; then by how near the difference comes to its limit."""
    finding = one.finding
    undecided = finding.outcome is GateOutcome.TOO_LITTLE_EVIDENCE
    margin = float("inf") if finding.difference is None else finding.difference + finding.tolerance
    return (
        _RANK[finding.outcome],
        undecided and not one.rule.decides,
        margin / max(finding.tolerance, 1e-12),
        *(finding.suite, finding.dimension, finding.value, finding.metric),
    )


def scene_counts(rows: Sequence[Row]) -> dict[str, int]:
    """Suite to the number of its scenes."""
    scenes: dict[str, set[str]] = {}
    for row in rows:
        scenes.setdefault(row.suite, set()).add(row.scene)
    return {suite: len(found) for suite, found in scenes.items()}


def headlines(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Suite to every metric over all its main scenes; one of nothing is left out."""
    return _headline(sliced(rows))


def _headline(slices: Mapping[Slice, Sums]) -> dict[str, dict[str, float]]:
    """Every metric over all main scenes, by suite."""
    found: dict[str, dict[str, float]] = {}
    for (suite, dimension, _, metric), sums in slices.items():
        value = _known(round(pooled(metric, sums), 6))
        if dimension == "all" and value is not None:
            found.setdefault(suite, {})[metric] = value
    return found
