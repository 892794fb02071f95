"""The review page of a candidate: what the gate says, and both models on the same scenes under one slider.

    Judgement + Swipe (ten of every review, the worst) --comparison_page--> one HTML file, opens from disk

The script only moves the sliders: without it each scene shows half of either model.
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from undersky.evaluation import figures
from undersky.evaluation.evidence import METRICS
from undersky.evaluation.interval_bar import interval_bar
from undersky.evaluation.page import document, folded
from undersky.evaluation.review import REFLECTANCE, Swipe, Telling
from undersky.evaluation.tables import cell
from undersky.evaluation.wording import difference_words, slice_words
from undersky.judgement import Finding, GateOutcome, Judgement

_STYLE, _SCRIPT = (Path(__file__).with_name(name) for name in ("comparison.css", "comparison.js"))
_WORDS = {
    GateOutcome.PASS: "pass",
    GateOutcome.FAIL: "fail",
    GateOutcome.TOO_LITTLE_EVIDENCE: "too little evidence",
}
_SHORT = _WORDS | {GateOutcome.TOO_LITTLE_EVIDENCE: "undecided"}
_OPEN = 12
"""Rows of findings that are seen at once, where as many are no failure."""
_HEAD = ("", "slice", "metric", "scenes", "candidate", "champion", "difference", "interval")


def comparison_page(
    judgement: Judgement,
    *,
    review: Sequence[Swipe],
    worst: Sequence[Swipe],
    telling: Telling = REFLECTANCE,
) -> str:
    """The page that a person reads before answering.

    Args:
        judgement: What the gate says.
        review: The scenes of every review.
        worst: Where the candidate loses most, the worst first.
        telling: How the page speaks of these scenes.
    """
    sections = (
        _section("figures", "In figures", _headlines(judgement)),
        _section("findings", "Every rule in every slice, the worst first", _findings(judgement.findings)),
        _section("scenes", "The scenes of every review", _scenes(review, telling)),
        _section("worst", "Where the candidate loses most", _worst(worst, telling)),
        _section("provenance", "What was compared", _provenance(judgement)),
    )
    script = f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>"
    return document(
        f"Undersky: {judgement.model}, {judgement.candidate_label}",
        f"{_header(judgement)}<main>{''.join(sections)}</main>{script}",
        style=_STYLE.read_text(encoding="utf-8"),
    )


def _header(judgement: Judgement) -> str:
    champion = judgement.champion_label
    links = {
        "figures": "In figures",
        "findings": "Findings",
        "scenes": "Scenes",
        "worst": "Where it loses most",
        "provenance": "What was compared",
    }
    nav = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in links.items())
    return (
        f"<header><p>Undersky · {escape(judgement.model)} · review of a candidate</p>"
        f"<h1><em>{escape(judgement.candidate_label)}</em> beside {escape(champion)}</h1>"
        f'<div class="outcome {judgement.outcome}"><strong>{_WORDS[judgement.outcome]}</strong>'
        f"<p>{_sentence(judgement.sentence)}</p></div><nav>{nav}</nav></header>"
    )


def _sentence(text: str) -> str:
    """A sentence in HTML that never parts a figure from its percent sign."""
    return escape(f"{text[:1].upper()}{text[1:]}.").replace(" %", "&nbsp;%")


def _section(anchor: str, title: str, inner: str) -> str:
    return f'<section id="{anchor}"><h3>{title}</h3>{inner}</section>'


def _headlines(judgement: Judgement) -> str:
    blocks = []
    for suite, mine in judgement.metrics.items():
        theirs = judgement.champion_metrics.get(suite, {})
        tiles = "".join(_tile(name, value, theirs.get(name)) for name, value in mine.items())
        scenes = judgement.scenes.get(suite, 0)
        blocks.append(f"<h4>{escape(suite)} <span>{scenes} scenes</span></h4><dl>{tiles}</dl>")
    return "".join(blocks)


def _tile(name: str, mine: float, theirs: float | None) -> str:
    metric = METRICS[name]
    gain = 0.0 if theirs is None else metric.gain(mine, theirs)
    side = "better" if gain > 0.0 else "worse" if gain < 0.0 else "equal"
    return (
        f"<div><dt>{escape(metric.title)}</dt><dd>{metric.shown(mine)}</dd>"
        f'<dd class="beside {side}">champion {metric.shown(theirs)}</dd></div>'
    )


def _findings(findings: Sequence[Finding]) -> str:
    failed = sum(finding.outcome is GateOutcome.FAIL for finding in findings)
    seen = max(failed, _OPEN)
    lead = (
        "<p>Better lies to the right of the solid line, and the dashed line is how much worse is allowed. A "
        "finding passes where its whole interval lies right of the dashed line, and fails where it lies left "
        "of it. The scale, in units of what is allowed, narrows away from zero.</p>"
    )
    rest = findings[seen:]
    more = folded(f"{len(rest)} more", _findings_table(rest)) if rest else ""
    return lead + _findings_table(findings[:seen]) + more


def _findings_table(findings: Sequence[Finding]) -> str:
    head = "".join(f"<th>{title}</th>" for title in _HEAD)
    rows = "".join(f"<tr>{''.join(_cells(finding))}</tr>" for finding in findings)
    return (
        f'<div class="table"><table class="findings"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _cells(finding: Finding) -> Iterator[str]:
    metric = METRICS[finding.metric]
    yield f'<td><span class="mark {finding.outcome}">{_SHORT[finding.outcome]}</span></td>'
    yield f"<td>{escape(slice_words(finding))}<small>{escape(finding.suite)}</small></td>"
    yield f"<td>{escape(metric.title)}</td><td>{finding.scenes}</td>"
    yield f"<td>{metric.shown(finding.candidate)}</td><td>{metric.shown(finding.champion)}</td>"
    yield f"<td>{difference_words(finding)}</td>"
    yield f'<td title="{escape(finding.sentence, quote=True)}">{interval_bar(finding)}</td>'


def _scenes(swipes: Sequence[Swipe], telling: Telling) -> str:
    lead = (
        "<p>Drag the line, or focus it and use the arrow keys: the champion lies left of it, the candidate "
        f"right. {telling.pictures}</p>{telling.key}"
    )
    return lead + "".join(
        _swipe(swipe, f"scenes-{number}", telling.metric) for number, swipe in enumerate(swipes)
    )


def _worst(swipes: Sequence[Swipe], telling: Telling) -> str:
    if not swipes:
        return f"<p>{telling.nowhere}</p>"
    return f"<p>{telling.worst}</p>" + "".join(
        _swipe(swipe, f"worst-{number}", telling.metric) for number, swipe in enumerate(swipes)
    )


def _swipe(swipe: Swipe, anchor: str, metric: str) -> str:
    panels = "".join(
        f'<figure><img src="{figures.picture(panel)}" alt="{escape(name, quote=True)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, panel in swipe.panels.items()
    )
    mine, theirs = (f"{cell(share, 1)} %" for share in (swipe.candidate_percent, swipe.champion_percent))
    return (
        f'<article id="{anchor}"><h4>{escape(swipe.title)} <span>{escape(metric)}: candidate {mine}, '
        f'champion {theirs}</span></h4><div class="scene"><div class="swipe">'
        f'<img src="{figures.picture(swipe.champion)}" alt="champion">'
        f'<img class="over" src="{figures.picture(swipe.candidate)}" alt="candidate">'
        '<input type="range" min="0" max="100" step="0.5" value="50" aria-label="champion left, candidate '
        f'right: {escape(swipe.title, quote=True)}"><i></i><b>champion</b><b>candidate</b></div>'
        f'<div class="beside-it">{panels}</div></div></article>'
    )


def _provenance(judgement: Judgement) -> str:
    facts = {
        f"candidate {judgement.candidate_label}": judgement.candidate,
        f"champion {judgement.champion_label}": judgement.champion,
        f"gate, version {judgement.gate_version}": judgement.gate,
        **{f"suite {name}": digest for name, digest in judgement.suites.items()},
        **{f"downstream {name}": digest for name, digest in judgement.downstream.items()},
        "Undersky": judgement.code_version,
        "judgement": judgement.digest,
    }
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(value)}</code></td></tr>"
        for name, value in facts.items()
    )
    return f'<div class="table"><table class="facts"><tbody>{rows}</tbody></table></div>'
