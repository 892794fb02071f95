"""Land cover on a real place, by spatial blocks: every block is mapped by the fold that never saw its labels.

fold 0 .. 3 (packages, each trained with hold_out) --its held-out blocks, every clear date--> confusion
all blocks together --> overall accuracy; whole blocks drawn again --> its interval
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undersky.datasets.landscapes.spectra import BANDS
from undersky.datasets.landuse import FOLDER, FOLDS, GAP, IGNORED, blocks, training_labels
from undersky.errors import DataError, Reason
from undersky.evaluation.confusion import Confusion, bootstrap_accuracy
from undersky.evaluation.ground import RealGround, corrected_ground
from undersky.evaluation.nearest_spectrum import learn_spectra
from undersky.inference.sliding import class_probabilities
from undersky.landcover import BY_SLUG, SLUGS
from undersky.models.package import ModelPackage, load_package
from undersky.models.segmentation import Segmenter, build_segmenter

MODEL = "landcover"


@dataclass(frozen=True, slots=True)
class BlockScore:
    """One block, all dates together."""

    fold: str
    """That held it out."""
    model: Confusion
    """What the fold's model mapped."""
    baseline: Confusion
    """What the nearest spectrum of the other folds' blocks says."""


@dataclass(frozen=True, slots=True)
class RealScore:
    """The whole place."""

    dates: tuple[str, ...]
    """Looks that count."""
    blocks: tuple[BlockScore, ...]
    """Every block once."""

    @property
    def together(self) -> Confusion:
        """Of the model, all blocks."""
        return sum((b.model for b in self.blocks[1:]), self.blocks[0].model)

    @property
    def baseline(self) -> Confusion:
        """Of the nearest spectrum, all blocks."""
        return sum((b.baseline for b in self.blocks[1:]), self.blocks[0].baseline)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the overall accuracy, over blocks."""
        return bootstrap_accuracy([block.model for block in self.blocks])

    def markdown(self) -> str:
        """For people."""
        ours, theirs, (low, high) = self.together, self.baseline, self.interval
        common = max(ours.there.values()) / max(ours.pixels, 1)
        title = (
            f"Land cover, real: {FOLDER}, {len(self.blocks)} blocks on {len(self.dates)} clear dates, "
            f"{ours.pixels:,} labelled pixels; each block mapped by the fold that held it and {GAP} pixels "
            "around it out, on every date."
        )
        lines = [
            title,
            "",
            "| | overall accuracy | 95 % interval, over blocks |",
            "|---|---|---|",
            f"| model | {ours.accuracy:.3f} | {low:.3f} to {high:.3f} |",
            f"| nearest spectrum | {theirs.accuracy:.3f} | "
            + " to ".join(f"{v:.3f}" for v in bootstrap_accuracy([b.baseline for b in self.blocks]))
            + " |",
            f"| the commonest class everywhere | {common:.3f} | |",
            "",
            "| class | pixels | recall, model | IoU, model | IoU, nearest spectrum |",
            "|---|---|---|---|---|",
        ]
        for slug, there in ours.there.items():
            if there:
                right = ours.counted()[slug].right
                lines.append(
                    f"| {BY_SLUG[slug].name} | {there:,} | {right / there:.3f} | {ours.iou[slug]:.3f} | "
                    f"{theirs.iou[slug]:.3f} |"
                )
        lines += [
            "",
            "| fold | blocks | pixels | accuracy, model | accuracy, nearest spectrum |",
            "|---|---|---|---|---|",
        ]
        for fold in FOLDS:
            some = [block for block in self.blocks if block.fold == fold]
            mine = sum((b.model for b in some[1:]), some[0].model)
            other = sum((b.baseline for b in some[1:]), some[0].baseline)
            lines.append(
                f"| {fold} | {len(some)} | {mine.pixels:,} | {mine.accuracy:.3f} | {other.accuracy:.3f} |"
            )
        return "\n".join(lines)


def score_real(samples: Path, folds: Path) -> RealScore:
    """The real place, mapped by the folds.

    Args:
        samples: Folder of real samples.
        folds: Folder of the packages `landcover-<fold>`.

    Raises:
        ConfigError: The place is not there.
        DataError: `model_refused`: a fold is missing, or its provenance does not say that it held out what
            it would be tested on.
    """
    models = {fold: build_segmenter(load_fold(folds, fold), MODEL) for fold in FOLDS}
    return score_ground(corrected_ground(samples), models)


def score_ground(ground: RealGround, models: dict[str, Segmenter]) -> RealScore:
    """The same for ground in memory."""
    shape = ground.labels.shape
    found: list[BlockScore] = []
    maps = {fold: _maps(ground, model) for fold, model in models.items()}
    nearest = {fold: _nearest(ground, fold) for fold in models}
    for fold, (rows, cols) in blocks((shape[0], shape[1])):
        counts = (ground.labels[rows, cols] != IGNORED) & ground.clear[:, rows, cols]
        truth = np.broadcast_to(ground.labels[rows, cols], counts.shape)[counts]
        scored = (table[fold][:, rows, cols][counts] for table in (maps, nearest))
        found.append(BlockScore(fold, *(Confusion.of(truth, seen, SLUGS) for seen in scored)))
    return RealScore(ground.dates, tuple(found))


def load_fold(folds: Path, fold: str) -> ModelPackage:
    """The package that held out a fold.

    Raises:
        DataError: `model_refused`.
    """
    package = load_package(folds / f"{MODEL}-{fold}")
    recipe = package.provenance.get("recipe")
    dataset = recipe.get("dataset") if isinstance(recipe, dict) else None
    said = dataset.get("hold_out") if isinstance(dataset, dict) else None
    if said != fold:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"{package.version} says that it held out {said!r}, it would be tested on {fold!r}; train it "
            f"with hold_out: {fold!r} in its recipe's dataset",
        )
    return package


def _maps(ground: RealGround, model: Segmenter) -> np.ndarray:
    """Position in `landcover.CLASSES`, (date, y, x)."""
    names = [BANDS.index(name) for name in model.config.inputs]
    positions = np.array([SLUGS.index(name) for name in model.config.classes], dtype=np.int64)
    return np.stack(
        [positions[class_probabilities(model, look[names]).argmax(axis=0)] for look in ground.surface]
    )


def _nearest(ground: RealGround, fold: str) -> np.ndarray:
    """The baseline, knowing what the fold's model knew of the place, (date, y, x)."""
    labels = training_labels(ground.labels, fold)
    known = (labels != IGNORED) & ground.clear
    pixels = np.moveaxis(ground.surface, 1, -1)[known]
    classes = np.broadcast_to(labels, known.shape)[known]
    baseline = learn_spectra(pixels, classes)
    return np.stack([baseline.classify(look) for look in ground.surface])
