"""The interval of a difference as a small drawing in units of what is allowed, so that all slices compare."""

import math

from undersky.judgement import Finding, GateOutcome

_WIDTH, _HEIGHT, _MARGIN = 230, 18, 7
_REACH = 60.0
"""Tolerances that are drawn on either side; an interval that goes beyond ends at the edge with an arrow."""
_COLOURS = {
    GateOutcome.PASS: "#2f8f5b",
    GateOutcome.FAIL: "#c0392b",
    GateOutcome.TOO_LITTLE_EVIDENCE: "#b7791f",
}


def interval_bar(finding: Finding) -> str:
    """SVG: zero in the middle, better to the right; a dash where there is no interval."""
    if finding.low is None or finding.high is None or finding.difference is None:
        return "-"
    # without a tolerance there is no unit to speak of: the interval itself fills half of either side
    unit = finding.tolerance or max(abs(finding.low), abs(finding.high)) / math.sqrt(_REACH) or 1.0
    low, high, at = (_at(value / unit) for value in (finding.low, finding.high, finding.difference))
    limit, middle, colour = _at(-finding.tolerance / unit), _HEIGHT // 2, _COLOURS[finding.outcome]
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">'
        f'<path d="M{_at(0.0):g} 0v{_HEIGHT}" stroke="#66747f"/>'
        f'<path d="M{limit:g} 0v{_HEIGHT}" stroke="#66747f" stroke-dasharray="2 3"/>'
        f'<path d="M{low:g} {middle}H{max(high, low + 1.0):g}" stroke="{colour}" stroke-width="5" '
        f'stroke-opacity=".4"/><circle cx="{at:g}" cy="{middle}" r="3.5" fill="{colour}"/>'
        f"{_arrow(finding.low / unit, colour)}{_arrow(finding.high / unit, colour)}</svg>"
    )


def _at(tolerances: float) -> float:
    """Where a difference lies from left to right: even near zero, ever narrower beyond a tolerance."""
    held = max(-_REACH, min(_REACH, tolerances))
    share = math.asinh(held) / math.asinh(_REACH)
    return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * (share + 1.0) / 2.0, 1)


def _arrow(tolerances: float, colour: str) -> str:
    """Points outwards where an end lies beyond the drawing."""
    if abs(tolerances) <= _REACH:
        return ""
    tip, back = (0, 6) if tolerances < 0.0 else (_WIDTH, -6)
    return f'<path d="M{tip} {_HEIGHT // 2}l{back} -5v10z" fill="{colour}"/>'
