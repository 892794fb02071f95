"""Scenes for a person who reviews a candidate: each with both models' pictures, at one fixed stretch.

suite --review_scenes--> the same ten in every review     --swipe--> Swipe (pictures, what each scored)
scores --worst_scenes--> where the candidate loses most   --/
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from undersky.datasets.design import MAIN
from undersky.datasets.folders import Folder, FolderScene
from undersky.datasets.suites import Suite
from undersky.errors import ConfigError
from undersky.evaluation.correctors import Corrector
from undersky.evaluation.metrics import Tally, specification
from undersky.evaluation.score import Score, cover_tallies, scored
from undersky.evaluation.seen import AnyScene, Seen, look
from undersky.grid import Floats
from undersky.raster.browse import DIFFERENCE_END, Picture, difference, true_colour

_COLOURS = ("red", "green", "blue")
_MORE, _FEWER = (47, 143, 91), (192, 57, 43)
_LONGEST = 192
"""Pixels along a picture's longer side; a user's larger scene is thinned out."""


@dataclass(frozen=True, slots=True)
class Swipe:
    """One scene as both models see it."""

    title: str
    """The scene in words."""
    candidate_percent: float
    """The candidate's figure: its pixels in spec, its F1."""
    champion_percent: float
    """The champion's."""
    candidate: Picture
    """Its true colours, or its map in the colours of the classes, (y, x, 3)."""
    champion: Picture
    """The same."""
    panels: Mapping[str, Picture]
    """Caption to picture: what was seen, the truth, who is right where, differences."""


@dataclass(frozen=True, slots=True)
class Telling:
    """How a review page speaks of its scenes."""

    metric: str
    """What the percentages beside a scene are: `in spec`."""
    pictures: str
    """A sentence on how the pictures are drawn."""
    key: str
    """What the colours mean, HTML."""
    worst: str
    """What the worst scenes are the worst in."""
    nowhere: str
    """Said where the candidate loses in no scene."""


REFLECTANCE = Telling(
    metric="in spec",
    pictures="All pictures have one fixed stretch. Differences are of the blue band:",
    key=f'<p class="key">darker by {DIFFERENCE_END:g} <i></i> brighter by {DIFFERENCE_END:g} and more</p>',
    worst="The scenes where the candidate's share in spec falls most below the champion's.",
    nowhere="In no scene does the candidate have fewer pixels in spec than the champion.",
)
"""Of corrections."""


def review_scenes(suite: Suite | Folder, count: int = 10) -> tuple[AnyScene, ...]:
    """The scenes that every review of the suite shows, evenly spread over its main part in its fixed order.

    Args:
        suite: The whole suite, whatever part of it was evaluated.
        count: How many; fewer where the suite has fewer.

    Raises:
        ConfigError: Less than one is asked for.
    """
    if count < 1:
        raise ConfigError(f"{count} scenes are no review; ask for 1 or more")
    main = [scene for scene in suite.scenes if _is_main(scene)]
    # from the first to the last: a step that divides the suite would show one sensor only
    spread = np.linspace(0, len(main) - 1, min(count, len(main))).astype(int)
    return tuple(main[position] for position in spread)


def _is_main(scene: AnyScene) -> bool:
    return isinstance(scene, FolderScene) or scene.design.slice == MAIN


def worst_scenes(
    suite: Suite | Folder, candidate: Score, champion: Score, *, count: int = 3
) -> tuple[AnyScene, ...]:
    """Where the candidate loses most pixels in spec to the champion, the worst first; only where it loses.

    Args:
        suite: What was scored, the same scenes in the same order.
        candidate: The candidate's score.
        champion: The champion's.
        count: At most so many.
    """
    lost = [
        (theirs.in_spec_percent - mine.in_spec_percent, mine.index)
        for mine, theirs in zip(candidate.scenes, champion.scenes, strict=True)
    ]
    ranked = sorted((-loss, index) for loss, index in lost if loss > 0.0)
    return tuple(suite.scenes[index] for _, index in ranked[:count])


def swipes(scenes: Sequence[AnyScene], candidate: Corrector, champion: Corrector) -> Iterator[Swipe]:
    """Each scene corrected once more by both; one without a visible band is left out.

    Raises:
        DataError: A user's scene was damaged since its folder was opened.
    """
    for scene in scenes:
        found = swipe(look(scene), candidate, champion)
        if found is not None:
            yield found


def swipe(seen: Seen, candidate: Corrector, champion: Corrector) -> Swipe | None:
    """One scene; None where a visible band is missing."""
    known = seen.observation.sensor
    rows = {known.band(name).common_name: row for row, name in enumerate(seen.observation.bands)}
    if any(colour not in rows for colour in _COLOURS):
        return None
    colours = [rows[colour] for colour in _COLOURS]
    mine, theirs = (method.correct(seen.observation) for method in (candidate, champion))
    blue, scored_rows = colours[-1], [row for row, _ in scored(seen)]
    truth = seen.truth.surface
    shares = [sum(cover_tallies(seen, found).values(), Tally()).in_spec_percent for found in (mine, theirs)]
    return Swipe(
        title=seen.sentence(),
        candidate_percent=shares[0],
        champion_percent=shares[1],
        candidate=_colours(mine.surface[colours]),
        champion=_colours(theirs.surface[colours]),
        panels={
            "top of the atmosphere": _colours(seen.observation.toa[colours]),
            "as it should be": _colours(truth[colours]),
            "more bands in spec than the champion: green; fewer: red": _thinned(
                _balance(mine.surface[scored_rows], theirs.surface[scored_rows], truth[scored_rows])
            ),
            "candidate - champion": _thinned(difference(mine.surface[blue], theirs.surface[blue])),
            "candidate - as it should be": _thinned(difference(mine.surface[blue], truth[blue])),
            "champion - as it should be": _thinned(difference(theirs.surface[blue], truth[blue])),
        },
    )


def _balance(mine: Floats, theirs: Floats, truth: Floats) -> Picture:
    """Green where mine has more bands in spec than theirs, red where fewer, full at half of all bands."""
    allowed = specification(truth)
    more = (np.abs(mine - truth) <= allowed).mean(axis=0) - (np.abs(theirs - truth) <= allowed).mean(axis=0)
    strength = np.clip(2.0 * np.abs(more), 0.0, 1.0)[..., None]
    side = np.where(more[..., None] < 0.0, _FEWER, _MORE)
    return np.asarray(np.rint(255.0 * (1.0 - strength) + strength * side), dtype=np.uint8)


def _colours(bands: Floats) -> Picture:
    return _thinned(true_colour(*bands))


def _thinned(picture: Picture) -> Picture:
    step = -(-max(picture.shape[:2]) // _LONGEST)
    return np.ascontiguousarray(picture[::step, ::step])
