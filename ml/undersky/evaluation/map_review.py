"""Scenes for a person who reviews a candidate that makes maps: both maps in one legend, under one slider.

MapsScore, MapsScore --map_swipes--> Swipe (the same ten in every review, where the candidate loses most)
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from undersky.evaluation.evidence import METRICS, Row
from undersky.evaluation.maps import MapsScore, MapView
from undersky.evaluation.review import Swipe, Telling
from undersky.raster.browse import Picture, side_by_side

_GAINED, _LOST, _PALE = (47, 143, 91), (192, 57, 43), 238
_LONGEST = 192
"""Pixels along a picture's longer side; a larger scene is thinned out."""
_REVIEWED, _WORST = 10, 3

Shares = Mapping[str, float]
"""Scene to the model's figure there."""


def shares(rows: Sequence[Row], suite: str, metric: str) -> Shares:
    """The metric over all of each scene of the suite; NaN of nothing."""
    return {
        row.scene: float(METRICS[metric].of(row.top, row.bottom))
        for row in rows
        if (row.suite, row.dimension, row.metric) == (suite, "all", metric)
    }


def map_swipes(
    candidate: MapsScore, champion: MapsScore, *, suite: str, metric: str
) -> tuple[tuple[Swipe, ...], tuple[Swipe, ...]]:
    """The scenes of every review, from the first to the last; and where the candidate loses most.

    Args:
        candidate: The candidate's score, with its views.
        champion: The champion's, of the same scenes.
        suite: Whose scenes the views are.
        metric: What is said beside each scene, and by which it loses.
    """
    theirs = {view.scene: view for view in champion.views}
    shown = [(view, theirs[view.scene]) for view in candidate.views if view.scene in theirs]
    mine, other = (shares(score.rows, suite, metric) for score in (candidate, champion))
    nothing = float("nan")

    def swipe(pair: tuple[MapView, MapView]) -> Swipe:
        scene = pair[0].scene
        return _swipe(*pair, figures=(mine.get(scene, nothing), other.get(scene, nothing)))

    # from the first to the last, as of corrections: a step could show one kind of scene only
    spread = np.linspace(0, len(shown) - 1, min(_REVIEWED, len(shown))).astype(int)
    lost = {
        view.scene: METRICS[metric].gain(other.get(view.scene, nothing), mine.get(view.scene, nothing))
        for view, _ in shown
    }
    ranked = sorted((pair for pair in shown if lost[pair[0].scene] > 0.0), key=lambda p: -lost[p[0].scene])
    return tuple(swipe(shown[place]) for place in spread), tuple(swipe(pair) for pair in ranked[:_WORST])


def map_telling(legend: Mapping[str, tuple[int, int, int]], metric: str) -> Telling:
    """How the page speaks of maps with that legend."""
    title = METRICS[metric].title
    classes = "".join(
        f'<span><i style="background:rgb{colour}"></i>{escape(name)}</span>'
        for name, colour in legend.items()
    )
    return Telling(
        metric=title,
        pictures="Maps have the colours of their classes, true colours one fixed stretch.",
        key=f'<p class="legend">{classes}</p>' if classes else "",
        worst=f"The scenes where the candidate's {title} falls most below the champion's.",
        nowhere=f"In no scene is the candidate's {title} below the champion's.",
    )


def strips(swipes: Sequence[Swipe], count: int = 3) -> Iterator[Picture]:
    """The first scenes as pictures side by side: what was seen, the truth, both maps."""
    for swipe in swipes[:count]:
        seen = dict(list(swipe.panels.items())[:2])
        yield side_by_side({**seen, "champion": swipe.champion, "candidate": swipe.candidate})


def _swipe(mine: MapView, theirs: MapView, *, figures: tuple[float, float]) -> Swipe:
    found, other, truth = (_thinned(picture) for picture in (mine.found, theirs.found, mine.truth))
    wrong, other_wrong = (_differs(picture, truth) for picture in (found, other))
    return Swipe(
        title=mine.title,
        candidate_percent=figures[0],
        champion_percent=figures[1],
        candidate=found,
        champion=other,
        panels={
            "true colours": _thinned(mine.picture),
            "as it should be": truth,
            "only the candidate right: green; only the champion: red": _balance(wrong, other_wrong),
            "where the two differ: the candidate": _where(found, _differs(found, other)),
            "where the candidate is wrong": _where(found, wrong),
            "where the champion is wrong": _where(other, other_wrong),
        },
    )


def _differs(one: Picture, other: Picture) -> np.ndarray:
    """True where the colours are not the same, (y, x)."""
    return np.asarray((one != other).any(axis=-1))


def _balance(wrong: np.ndarray, other_wrong: np.ndarray) -> Picture:
    picture = np.full((*wrong.shape, 3), _PALE, dtype=np.uint8)
    picture[~wrong & other_wrong] = _GAINED
    picture[wrong & ~other_wrong] = _LOST
    return picture


def _where(picture: Picture, shown: np.ndarray) -> Picture:
    """The picture where it is to be shown, pale elsewhere."""
    return np.where(shown[..., None], picture, np.uint8(_PALE))


def _thinned(picture: Picture) -> Picture:
    step = -(-max(picture.shape[:2]) // _LONGEST)
    return np.ascontiguousarray(picture[::step, ::step])
