"""The page of a run: every scene before and after, what the ground is, what was found on the water.

    Heading, scenes --in_full--> those that are shown whole, and the rest --run_page--> one HTML file

The file opens from a disk and from a bucket and asks for nothing: its policy forbids it to. The script only
moves the sliders; without it each scene shows half of either picture.
"""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from undersky.pages.scene import scene_article, scene_row
from undersky.pages.values import Heading, PageScene

FULL = 60
"""Scenes that a page shows with their pictures."""

_STYLE, _SCRIPT = (Path(__file__).with_name(name) for name in ("run.css", "run.js"))
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_HEAD = ("scene", "what was made", "Items")
_NAMES = {"surface": "surface reflectance", "landcover": "land cover"}


def in_full(
    scenes: Sequence[PageScene], *, most: int = FULL
) -> tuple[tuple[PageScene, ...], tuple[PageScene, ...]]:
    """The scenes that are shown whole, and the rest: first what a person should look at, then by title.

    Scenes of which nothing was made have nothing to show and are never among the first.
    """
    ranked = sorted(scenes, key=lambda scene: (not scene.needs_a_look, scene.title, scene.key))
    shown = tuple(scene for scene in ranked if scene.was_made)[:most]
    chosen = {id(scene) for scene in shown}
    return shown, tuple(scene for scene in ranked if id(scene) not in chosen)


def run_page(heading: Heading, *, shown: Sequence[PageScene], rest: Sequence[PageScene] = ()) -> str:
    """The page: the same values give the same text.

    Args:
        heading: What stands above.
        shown: Scenes with their pictures.
        rest: Scenes that get a line each.
    """
    parts = [_header(heading, shown, rest), "<main>", _lead(shown)]
    parts += [scene_article(scene, number) for number, scene in enumerate(shown)]
    parts += [_rest(shown, rest), "</main>", _footer()]
    script = f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Undersky: {escape(heading.title)}, {escape(heading.run)}</title>"
        f'<link rel="icon" href="data:,"><style>{_STYLE.read_text(encoding="utf-8")}</style></head>'
        f"<body>{''.join(parts)}{script}</body></html>\n"
    )


def _header(heading: Heading, shown: Sequence[PageScene], rest: Sequence[PageScene]) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in heading.facts.items()
    )
    return (
        f"<header><p>Undersky · to look at</p><h1>{escape(heading.title)}</h1>"
        f'<p class="run"><code>{escape(heading.run)}</code></p>'
        f'{_counts([*shown, *rest])}<dl class="facts">{facts}</dl></header>'
    )


def _counts(scenes: Sequence[PageScene]) -> str:
    """How many products of each kind ended how."""
    counts = Counter(
        (product.kind, product.state) for scene in scenes for product in scene.products if not product.note
    )
    tiles = "".join(
        f'<li class="{_css(state)}"><b>{number}</b> {escape(_NAMES.get(kind, kind))} {escape(state)}</li>'
        for (kind, state), number in sorted(counts.items(), key=lambda one: (_order(one[0][0]), one[0]))
    )
    return (
        f'<ul class="counts"><li><b>{len(scenes)}</b> scene{"" if len(scenes) == 1 else "s"}</li>{tiles}</ul>'
    )


def _order(kind: str) -> int:
    """What a map is made of comes before the map."""
    return [*_NAMES, kind].index(kind)


def _scenes(number: int) -> str:
    return f"{number} scene" if number == 1 else f"{number} scenes"


def _css(state: str) -> str:
    return "".join(letter for letter in state if letter.isalnum())


def _lead(shown: Sequence[PageScene]) -> str:
    if not shown:
        return (
            '<p class="lead">No scene of this run has anything to show; what became of each stands below.</p>'
        )
    return (
        '<p class="lead">Drag the line on a picture, or focus it and use the arrow keys: left of it lies '
        "what the satellite saw, right of it the ground without the air. Both have one fixed stretch.</p>"
    )


def _rest(shown: Sequence[PageScene], rest: Sequence[PageScene]) -> str:
    """A line for each scene that is not shown whole, and why it is not."""
    if not rest:
        return ""
    made = sum(scene.was_made for scene in rest)
    said = [
        f"{made} more scene{'s' if made > 1 else ''} with products: this page shows the pictures of "
        f"{len(shown)} alone"
        if made
        else "",
        f"{_scenes(len(rest) - made)} of which nothing was made" if len(rest) > made else "",
    ]
    head = "".join(f"<th>{title}</th>" for title in _HEAD)
    rows = "".join(map(scene_row, rest))
    return (
        f'<section id="rest"><h2>One line each</h2><p>{"; ".join(filter(None, said))}.</p>'
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</section>"
    )


def _footer() -> str:
    return (
        "<footer><p>Contains modified Copernicus Sentinel data or USGS Landsat data; the terms stand in each "
        "Item. Terrain illumination is not corrected.</p></footer>"
    )
