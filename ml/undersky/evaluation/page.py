"""The report as one page: no script, nothing from elsewhere, simulated and real results in sections apart.

results of suites, laws, pairs --section--> Section (tables, figures, pictures) --page--> HTML
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from undersky.datasets.folders import Origin
from undersky.evaluation import figures
from undersky.evaluation.histograms import Histograms
from undersky.evaluation.laws import Finding, laws_table
from undersky.evaluation.real import PairResult, pair_table
from undersky.evaluation.score import Score
from undersky.evaluation.tables import (
    Table,
    band_by_slice_tables,
    bands_table,
    cell,
    methods_table,
    slice_tables,
)
from undersky.evaluation.views import View, pair_view

_STYLE = Path(__file__).with_name("page.css")
_KINDS: Mapping[Origin, tuple[str, str]] = {
    "simulated": ("Simulated scenes", "The truth is known: every figure is an error."),
    "real": (
        "Real scenes",
        "Nobody knows the truth: every figure is a difference to somebody else's product or measurement.",
    ),
}


@dataclass(frozen=True, slots=True)
class Section:
    """One suite, or one real pair, as it stands on the page."""

    title: str
    """Name of the suite."""
    origin: Origin
    """Which half of the page it belongs to."""
    lead: str
    """What it is, one sentence of plain text."""
    tiles: tuple[tuple[str, str], ...]
    """The headline figures: label, value."""
    blocks: tuple[str, ...]
    """HTML, in order."""


def suite_section(
    name: str, scores: Sequence[Score], views: Sequence[View], *, origin: Origin, lead: str
) -> Section:
    """A suite of scenes: the first score is the result, the others are its peers."""
    result, found = scores[0], scores[0].pooled()
    tiles = (
        ("in spec", f"{cell(found.in_spec_percent, 1)} %"),
        ("bias", cell(found.bias, 4)),
        ("RMSE", cell(found.rmse, 4)),
        ("AOD RMSE", cell(result.aot_rmse(), 3)),
        ("within 1 sigma", f"{cell(found.coverage_1sigma, 1)} %"),
        ("within 2 sigma", f"{cell(found.coverage_2sigma, 1)} %"),
    )
    slices = "".join(_table(table) for table in slice_tables(scores))
    matrices = "".join(_table(table) for _, table in band_by_slice_tables(result))
    blocks = (
        _table(methods_table(scores)),
        *_suite_figures(scores),
        *_histogram_figures(result.histograms, reference="true"),
        *map(_view, views),
        _table(bands_table(result)),
        folded("By aerosol, surface, sensor, sun zenith and AOD", slices),
        folded("Every band in every slice: in spec % · A / P / U", matrices),
    )
    return Section(name, origin, lead, tiles, blocks)


def _suite_figures(scores: Sequence[Score]) -> Iterator[str]:
    if any(scene.aot_550 is not None for scene in scores[0].scenes):
        drawn = {
            "Percent of pixels in spec over the optical depth. Dots are scenes, lines means of 0.1.": (
                figures.by_aot_figure(scores)
            ),
            f"AOD that {scores[0].method} found over the true one, a dot a scene.": (
                figures.aot_figure(scores[0])
            ),
        }
        yield _figures(drawn)


def _histogram_figures(histograms: Histograms, *, reference: str) -> Iterator[str]:
    if histograms.ratios:
        drawn = {
            "Reliability: how many errors lie within k sigma, and how many should.": (
                figures.reliability_figure(histograms)
            ),
            "Error over stated sigma. The outermost bars hold what lies beyond.": (
                figures.ratios_figure(histograms)
            ),
        }
        yield _figures(drawn)
    if histograms.scatter:
        caption = (
            f"Estimated over {reference} reflectance, each band at its own scale, colours logarithmic. "
            "Between the dashed lines lies the specification, 0.05 rho + 0.005."
        )
        yield _figures({caption: figures.scatter_figure(histograms.scatter, reference=reference)})


def laws_section(findings: Mapping[str, Finding]) -> Section:
    """The laws and what became of them."""
    kept = sum(finding.passed for finding in findings.values())
    lead = "What every correction must keep, whatever it learned; skies from the emulator, no noise."
    tiles = (("laws kept", f"{kept} of {len(findings)}"),)
    return Section("laws", "simulated", lead, tiles, (_table(laws_table(findings)),))


def pair_section(result: PairResult) -> Section:
    """One acquisition beside its agency's product."""
    pair = result.pair
    view = pair_view(result)
    assumed = "".join(f"<li>{escape(sentence)}</li>" for sentence in pair.assumptions)
    blocks = (
        _table(pair_table(result)),
        *([] if view is None else [_view(view)]),
        *_histogram_figures(result.histograms, reference=pair.processor),
        f"<p>Assumed, because no file says it:</p><ul>{assumed}</ul>",
    )
    lead = f"Our surface reflectance minus that of {pair.processor}, which is company and no truth."
    return Section(pair.name, "real", lead, (("clear pixels", f"{result.pixels:,}"),), blocks)


def page(sections: Sequence[Section], *, model: str) -> str:
    """The whole page."""
    body = "".join(_half(origin, [s for s in sections if s.origin == origin]) for origin in _KINDS)
    links = "".join(f'<a href="#{_anchor(s)}">{escape(s.title)}</a>' for s in sections)
    return document(
        f"Undersky: correction, {model}",
        f"<header><p>Undersky</p><h1>Correction with <em>{escape(model)}</em></h1>"
        "<p>In spec: the error is at most 0.05 rho + 0.005. A is the bias, P the spread, U the RMSE, in "
        f"units of reflectance.</p><nav>{links}</nav></header><main>{body}</main>",
    )


def document(title: str, body: str, *, style: str = "") -> str:
    """A whole page that needs nothing from elsewhere; `style` comes after the style that all pages share."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE.read_text(encoding='utf-8')}{style}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _half(origin: Origin, sections: Sequence[Section]) -> str:
    if not sections:
        return ""
    title, sentence = _KINDS[origin]
    inner = "".join(map(_section, sections))
    return f'<div class="half {origin}"><h2>{title}</h2><p>{sentence}</p>{inner}</div>'


def _section(section: Section) -> str:
    tiles = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in section.tiles
    )
    return (
        f'<section id="{_anchor(section)}"><h3>{escape(section.title)}</h3><p>{escape(section.lead)}</p>'
        f"<dl>{tiles}</dl>{''.join(section.blocks)}</section>"
    )


def _anchor(section: Section) -> str:
    return f"{section.origin}-{escape(section.title, quote=True)}".replace(" ", "-")


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in table.head)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    return f'<td class="no">{text}</td>' if text == "no" else f"<td>{escape(text)}</td>"


def _figures(drawn: Mapping[str, str]) -> str:
    inner = "".join(
        f'<figure><img src="{uri}" alt="{escape(caption, quote=True)}"><figcaption>{escape(caption)}'
        "</figcaption></figure>"
        for caption, uri in drawn.items()
    )
    return f'<div class="figures">{inner}</div>'


def _view(view: View) -> str:
    panels = "".join(
        f'<figure><img src="{figures.picture(panel)}" alt="{escape(name, quote=True)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, panel in view.panels.items()
    )
    return f'<div class="view"><p>{escape(view.caption)}</p><div class="panels">{panels}</div></div>'


def folded(title: str, inner: str) -> str:
    """HTML that opens when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"
