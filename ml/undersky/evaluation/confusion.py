"""A table of what was there against what was mapped, and the figures read from it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.evaluation.maps import Counted

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pixels by true class (rows) and mapped class (columns)."""

    classes: tuple[str, ...]
    """Slugs along both axes."""
    counts: Counts
    """(class, class)."""

    @classmethod
    def of(
        cls, truth: npt.NDArray[np.integer], found: npt.NDArray[np.integer], classes: tuple[str, ...]
    ) -> "Confusion":
        """Of pixels that count; both are positions in `classes`, of one shape."""
        flat = np.bincount(truth.ravel() * len(classes) + found.ravel(), minlength=len(classes) ** 2)
        return cls(classes, flat.reshape(len(classes), len(classes)).astype(np.int64))

    def __add__(self, other: "Confusion") -> "Confusion":
        """Both together."""
        return Confusion(self.classes, self.counts + other.counts)

    @property
    def pixels(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Overall accuracy, 0 .. 1; NaN without a pixel."""
        return float(np.trace(self.counts)) / self.pixels if self.pixels else float("nan")

    @property
    def miou(self) -> float:
        """Mean intersection over union of the classes that are there or were mapped, 0 .. 1."""
        found = [value for value in self.iou.values() if np.isfinite(value)]
        return float(np.mean(found)) if found else float("nan")

    @property
    def iou(self) -> dict[str, float]:
        """Of each class; NaN where it is neither there nor mapped."""
        right = np.diag(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - right
        ratio = np.where(union > 0, right / np.maximum(union, 1), np.nan)
        return dict(zip(self.classes, map(float, ratio), strict=True))

    @property
    def there(self) -> dict[str, int]:
        """True pixels of each class."""
        return dict(zip(self.classes, map(int, self.counts.sum(axis=1)), strict=True))

    def counted(self) -> dict[str, Counted]:
        """What every class got right, added and missed."""
        right = np.diag(self.counts)
        extra, missed = self.counts.sum(axis=0) - right, self.counts.sum(axis=1) - right
        return {
            name: Counted(float(right[i]), float(extra[i]), float(missed[i]))
            for i, name in enumerate(self.classes)
        }


def bootstrap_accuracy(
    blocks: list[Confusion], *, resamples: int = 2000, seed: int = 1, confidence: float = 0.95
) -> tuple[float, float]:
    """The interval of the overall accuracy when whole blocks are drawn again, not pixels.

    Neighbouring pixels are not independent; blocks nearly are.

    Source: percentile bootstrap over clusters, Davison & Hinkley 1997, section 3.8.
    """
    right = np.array([float(np.trace(block.counts)) for block in blocks])
    total = np.array([float(block.pixels) for block in blocks])
    drawn = np.random.default_rng(seed).integers(0, len(blocks), (resamples, len(blocks)))
    accuracy = right[drawn].sum(axis=1) / np.maximum(total[drawn].sum(axis=1), 1.0)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(accuracy, (tail, 100.0 - tail))
    return float(low), float(high)
