"""A judgement in sentences: what was found in a slice, and what follows from all of it."""

from collections.abc import Sequence

from undersky.evaluation.evidence import DIMENSIONS, METRICS, Metric
from undersky.judgement import Finding, GateOutcome

_PLAIN = ("aerosol", "surface", "part", "sensor")


def finding_sentence(finding: Finding, *, confidence: float, needed: int) -> str:
    """`urban: in spec 61.2 % against 70.1 %, worse by 8.9 points (95 % interval 5.1 to 12.4), 1 allowed`.

    Args:
        finding: What was found.
        confidence: Of the interval, 0.95.
        needed: Scenes that the slice needs.
    """
    metric = METRICS[finding.metric]
    sides = f"{metric.shown(finding.candidate)} against {metric.shown(finding.champion)}"
    start = f"{slice_words(finding)}: {metric.title} {sides}"
    if finding.scenes < needed:
        few = "1 scene" if finding.scenes == 1 else f"{finding.scenes} scenes"
        return f"{start}; {few}, {needed} are needed to judge"
    if finding.difference is None or finding.low is None or finding.high is None:
        return f"{start}; there is no pixel to compare"
    interval = f"{100.0 * confidence:g} % interval {interval_words(finding.low, finding.high, metric)}"
    end = "; undecided" if finding.outcome is GateOutcome.TOO_LITTLE_EVIDENCE else ""
    return f"{start}, {difference_words(finding)} ({interval}), {finding.tolerance:g} allowed{end}"


def difference_words(finding: Finding) -> str:
    """`worse by 8.9 points`, `equal`; `unknown` of nothing."""
    if finding.difference is None:
        return "unknown"
    if finding.difference == 0.0:
        return "equal"
    metric = METRICS[finding.metric]
    size = metric.shown(abs(finding.difference), with_unit=False)
    side = "worse" if finding.difference < 0.0 else "better"
    return f"{side} by {size} points" if metric.unit == "%" else f"{side} by {size}"


def interval_words(low: float, high: float, metric: Metric) -> str:
    """The ends as sizes, smaller first, where they lie on one side; else each with its side."""
    if low * high > 0.0 or low == high:
        near, far = (metric.shown(end, with_unit=False) for end in sorted((abs(low), abs(high))))
        return f"{near} to {far}"
    worse, better = (metric.shown(abs(end), with_unit=False) for end in (low, high))
    return f"{worse} worse to {better} better"


def slice_words(finding: Finding) -> str:
    """`all scenes`, `urban`, `band B02`, `sun zenith 15-35`: nobody needs to be told what urban is."""
    if finding.dimension == "all":
        return DIMENSIONS["all"]
    return (
        finding.value if finding.dimension in _PLAIN else f"{DIMENSIONS[finding.dimension]} {finding.value}"
    )


def judgement_sentence(outcome: GateOutcome, findings: Sequence[Finding], *, waiting: int) -> str:
    """Why the gate says so, with the worst slice.

    Args:
        outcome: What it says.
        findings: Everything that was found, the worst first.
        waiting: How many of those that decide do not pass.
    """
    if not findings:
        return "nothing was evaluated, so nothing was found"
    of = {kind: sum(found.outcome is kind for found in findings) for kind in GateOutcome}
    undecided = of[GateOutcome.TOO_LITTLE_EVIDENCE]
    counts = f"{of[GateOutcome.PASS]} of {len(findings)} findings pass, {undecided} undecided"
    if outcome is GateOutcome.FAIL:
        lead = f"worse than allowed in {of[GateOutcome.FAIL]} slices ({counts}); the worst"
        return f"{lead}: {_told(findings[0])}"
    if outcome is GateOutcome.TOO_LITTLE_EVIDENCE:
        lead = f"{waiting} of the findings that decide are undecided ({counts}); the first"
        return f"{lead}: {_told(findings[0])}"
    lead = f"not worse than allowed wherever that had to be shown ({counts}); nearest to its limit"
    return f"{lead}: {_told(min(findings, key=_room))}"


def _room(finding: Finding) -> float:
    """What lies between a finding that passed and its limit, in tolerances; the others last."""
    if finding.outcome is not GateOutcome.PASS or finding.low is None or finding.tolerance == 0.0:
        return float("inf")
    return (finding.low + finding.tolerance) / finding.tolerance


def _told(finding: Finding) -> str:
    return f"{finding.suite}, {finding.sentence}" if finding.scenes else finding.sentence
