"""Found objects beside marked ones: one to one, the surest first, by the distance of their centres.

Every found object takes the nearest marked one that is still free within the distance; what takes none is
false, what is taken by none is missed. So a ship found twice counts once as right and once as false.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WITHIN_M = 50.0
"""Two centres nearer than this are one object."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found and what is there in one scene, centres as (y, x) in metres."""

    centres: Array
    """Of the found objects, (n, 2)."""
    scores: Array
    """Of the same, (n,)."""
    truth: Array
    """Centres of the marked objects, (m, 2)."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Found objects in the order of their scores, falling."""

    scores: Array
    """(n,)."""
    taken: npt.NDArray[np.intp]
    """Index of the marked object each one takes, -1 where it takes none, (n,)."""
    distance_m: Array
    """From it, NaN where it takes none, (n,)."""
    truth: int
    """How many are marked."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over scenes."""

    right: int
    """Found and there."""
    found: int
    """Found."""
    there: int
    """Marked."""

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(self.right + other.right, self.found + other.found, self.there + other.there)

    @property
    def precision(self) -> float:
        """Right of all found; 0 of nothing."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Right of all there; 0 of nothing."""
        return self.right / self.there if self.there else 0.0

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        both = self.found + self.there
        return 2.0 * self.right / both if both else 0.0


def match(scene: Found, *, within_m: float = WITHIN_M) -> Matched:
    """Which marked object each found one takes.

    Args:
        scene: Found and marked objects.
        within_m: Largest distance of the centres.
    """
    order = np.argsort(-scene.scores, kind="stable")
    apart = np.linalg.norm(scene.centres[order][:, None] - scene.truth[None], axis=-1)
    taken = np.full(len(order), -1, dtype=np.intp)
    distance = np.full(len(order), np.nan)
    for place in range(len(order) if len(scene.truth) else 0):
        nearest = int(apart[place].argmin())
        if apart[place, nearest] <= within_m:
            taken[place], distance[place] = nearest, apart[place, nearest]
            apart[:, nearest] = np.inf
    return Matched(scene.scores[order], taken, distance, len(scene.truth))


def counts_at(matched: Matched, threshold: float) -> Counts:
    """The counts of what scores at least the threshold.

    Matching goes by falling score, so that what is kept is matched as if nothing below had been found.
    """
    kept = matched.scores >= threshold
    return Counts(int((matched.taken[kept] >= 0).sum()), int(kept.sum()), matched.truth)


def best_threshold(scenes: Sequence[Matched], ladder: Sequence[float]) -> tuple[float, Counts]:
    """The threshold of the ladder with the best F1 over all scenes, and the counts there.

    Of a plateau its middle is taken: a threshold on an edge is one of chance.
    """
    counts = [sum((counts_at(scene, step) for scene in scenes), Counts(0, 0, 0)) for step in ladder]
    best = max(count.f1 for count in counts)
    plateau = [place for place, count in enumerate(counts) if count.f1 >= best - 1e-9]
    middle = plateau[len(plateau) // 2]
    return float(ladder[middle]), counts[middle]


def average_precision(scenes: Sequence[Matched]) -> float:
    """Area under precision over recall, every scene's objects in one ranking; 0 where nothing is marked.

    Precision at a recall is the best at that recall or beyond, as in PASCAL VOC 2010 and COCO.
    """
    there = sum(scene.truth for scene in scenes)
    if not there or not (scores := np.concatenate([scene.scores for scene in scenes])).size:
        return 0.0
    right = np.concatenate([scene.taken >= 0 for scene in scenes])[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * right).sum() / there)
