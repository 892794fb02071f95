r"""Many land-cover maps of one tile become one that holds now; arrays in, arrays out, numpy alone.

    a view says: class k, probability p      evidence for k beside any other class:  logit(p) + log(K - 1)
    views i = 1 .. n of a pixel, weights w   evidence(k) = sum over views of k of w evidence / sqrt(sum w^2)
    all classes                              probability(k) = exp(evidence(k)) / sum of exp(evidence)

One view gives itself: its class and its probability. n equal views would multiply the evidence by n if their
mistakes were independent, and leave it as it is if all made the same: it grows with the square root of the
number, because views of one place are made by one model of one ground and share mistakes. How much they do
was not measured: the square root is a choice between the two ends.

A view loses half its weight in HALF_LIFE_DAYS, against the newest map of the tile; so it is the relative age
of a pixel's views that counts, and a pixel seen once, long ago, keeps what was seen (`last_clear` says when).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats
from undersky.landcover import CODES, NODATA, SNOW_ICE

Codes = npt.NDArray[np.uint8]
Days = npt.NDArray[np.uint16]

VERSION = "1"
"""Of this rule: another one makes other maps of the same views."""

HALF_LIFE_DAYS = 120.0
"""In which a view loses half its weight: a season. A choice, not a measurement."""
SURE = 0.595
"""Probability from which a view, or what older ones fuse to, may speak of change: 60 of the whole percent in
which a map keeps it."""
NEWEST = 2
"""Views that must agree on another class, so that one bad map changes nothing."""
OLDER = 2
"""Views, at least, that must have seen what was there before."""
NO_CHANGE_KNOWN = 255
"""Too few views to tell."""

LEAST, MOST = 0.1, 0.99
"""Stated probabilities are taken as within: the best of eleven classes has a tenth, rounded, and nobody is
surer than the calibration could show."""

_INDEX = np.zeros(256, dtype=np.uint8)
_INDEX[list(CODES)] = range(len(CODES))
_CODES = np.array(CODES, dtype=np.uint8)
_SNOW = CODES.index(SNOW_ICE)


@dataclass(frozen=True, slots=True)
class Rolled:
    """A piece of a rolling map, each (y, x)."""

    codes: Codes
    """WorldCover codes, 0 where no view was clear."""
    confidence: Floats
    """Probability of that class, 0 .. 1, NaN where there is none."""
    last_clear: Days
    """Day of the newest clear view since 1970-01-01, 0 where there is none."""
    observations: Codes
    """Number of clear views."""
    change: Codes
    """1 where the ground became another, 0 where it did not, 255 where too few views tell."""


def fuse(codes: Codes, confidence: Floats, days: npt.NDArray[np.integer]) -> Rolled:
    """What the views of a piece of ground say together.

    The ground has changed where its two newest views agree on a class that all older ones together do not
    have, each of the three surely. There the older ones count no more. Snow comes and goes: it is no change.

    Args:
        codes: WorldCover codes, 0 where the ground was not seen, (view, y, x), oldest first; the order of
            views of one day must be one that does not depend on their arrival. At most 255 views.
        confidence: Probability of each, 0 .. 1, (view, y, x); not looked at where the code is 0.
        days: Of each view, since 1970-01-01, ascending, the last one that of the tile's newest map.
    """
    shape = codes.shape[1:]
    seen = _Seen.of(codes.reshape(len(codes), -1), confidence.reshape(len(codes), -1), days)
    older, squares, newest = _older(seen)
    observations = seen.clear.sum(axis=0, dtype=np.uint8)
    change = _change(older, squares, newest=newest, enough=observations >= NEWEST + OLDER)
    changed = change == 1
    older[:, changed], squares[changed] = 0.0, 0.0
    for view in newest:
        view.put_into(older, squares)
    best, sure = _decided(older, squares)
    unseen = observations == 0
    sure[unseen] = np.nan
    return Rolled(
        codes=np.where(unseen, np.uint8(NODATA), _CODES[best]).reshape(shape),
        confidence=sure.reshape(shape),
        last_clear=(seen.clear * seen.days[:, None]).max(axis=0).reshape(shape),
        observations=observations.reshape(shape),
        change=change.reshape(shape),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """All views, (view, pixel)."""

    clear: npt.NDArray[np.bool_]
    index: Codes
    """Of the class, along CODES; anything where not clear."""
    sure: Floats
    """Probability, within LEAST .. MOST."""
    evidence: Floats
    """For that class."""
    weights: Floats
    """(view,)"""
    days: Days
    """(view,)"""

    @classmethod
    def of(cls, codes: Codes, confidence: Floats, days: npt.NDArray[np.integer]) -> "_Seen":
        clear = codes != NODATA
        sure = np.clip(np.where(clear, confidence, np.float32(LEAST)), LEAST, MOST).astype(np.float32)
        evidence = np.log(sure / (1.0 - sure)) + np.float32(math.log(len(CODES) - 1))
        age = np.asarray(days, dtype=np.float64)
        weights = np.exp2((age - age.max()) / HALF_LIFE_DAYS).astype(np.float32)
        return cls(clear, _INDEX[codes], sure, evidence.astype(np.float32), weights, days.astype(np.uint16))


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest view of every pixel, or the one before it, (pixel,)."""

    known: npt.NDArray[np.bool_]
    """Whether there is one."""
    index: Codes
    sure: Floats
    weighed: Floats
    """Evidence times weight."""
    weight: Floats

    @classmethod
    def none(cls, pixels: int) -> "_Newest":
        zeros = (np.zeros(pixels, dtype=np.float32) for _ in range(3))
        return cls(np.zeros(pixels, dtype=bool), np.zeros(pixels, dtype=np.uint8), *zeros)

    def take(self, seen: _Seen, view: int, where: npt.NDArray[np.intp]) -> None:
        self.known[where] = True
        self.index[where] = seen.index[view, where]
        self.sure[where] = seen.sure[view, where]
        self.weighed[where] = seen.evidence[view, where] * seen.weights[view]
        self.weight[where] = seen.weights[view]

    def put_into(self, evidence: Floats, squares: Floats) -> None:
        where = np.flatnonzero(self.known)
        evidence[self.index[where], where] += self.weighed[where]
        squares[where] += self.weight[where] ** 2


def _older(seen: _Seen) -> tuple[Floats, Floats, list[_Newest]]:
    """Weighed evidence (class, pixel) and squared weights (pixel,) of all but the newest views; those too."""
    views, pixels = seen.clear.shape
    newest = [_Newest.none(pixels) for _ in range(NEWEST)]
    evidence = np.zeros((len(CODES), pixels), dtype=np.float32)
    squares, count = np.zeros(pixels, dtype=np.float32), np.zeros(pixels, dtype=np.intp)
    for view in reversed(range(views)):
        clear = seen.clear[view]
        for place, kept in enumerate(newest):
            kept.take(seen, view, np.flatnonzero(clear & (count == place)))
        rest = np.flatnonzero(clear & (count >= NEWEST))
        weight = seen.weights[view]
        evidence[seen.index[view, rest], rest] += seen.evidence[view, rest] * weight
        squares[rest] += weight * weight
        count += clear
    return evidence, squares, newest


def _change(older: Floats, squares: Floats, *, newest: list[_Newest], enough: npt.NDArray[np.bool_]) -> Codes:
    """0, 1 or NO_CHANGE_KNOWN, (pixel,)."""
    before, before_sure = _decided(older, squares)
    first, second = newest
    agree = (first.index == second.index) & (first.index != before)
    surely = np.minimum(np.minimum(first.sure, second.sure), before_sure) >= SURE
    snowy = (first.index == _SNOW) | (before == _SNOW)
    return np.where(enough, (agree & surely & ~snowy).astype(np.uint8), np.uint8(NO_CHANGE_KNOWN))


def _decided(evidence: Floats, squares: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Along CODES the class with most evidence, and its probability, (pixel,)."""
    scaled = evidence / np.sqrt(np.where(squares > 0, squares, np.float32(1.0)))
    best = scaled.argmax(axis=0)
    scaled -= np.take_along_axis(scaled, best[None], axis=0)
    return best, np.asarray(1.0 / np.exp(scaled).sum(axis=0), dtype=np.float32)
