"""How good a land-cover model is: on simulated landscapes always, on a real place where samples are.

landscapes of the suite's spectra --model--> confusion --> mIoU, beside the nearest spectrum
real place, block by block --the fold that held it out--> confusion --> accuracy and its interval (cover_real)
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from undersky.datasets.landscapes.compose import VERSION, Landscape, draw_landscape
from undersky.datasets.landscapes.spectra import BANDS, names_of
from undersky.errors import DataError, Reason
from undersky.evaluation.confusion import Confusion
from undersky.evaluation.cover_real import RealScore, score_real
from undersky.evaluation.evidence import Row
from undersky.evaluation.maps import (
    MapsOptions,
    MapsScore,
    MapView,
    calibration_rows,
    class_rows,
    spread,
)
from undersky.evaluation.nearest_spectrum import NearestSpectrum, learn_spectra
from undersky.grid import Floats
from undersky.inference.cover import in_colours
from undersky.inference.sliding import class_probabilities
from undersky.landcover import CLASSES, CODES, SLUGS
from undersky.models.package import load_package, package_folder
from undersky.models.segmentation import Segmenter, build_segmenter
from undersky.raster.browse import true_colour

MODEL = "landcover"
SUITE = "simulated"
SCENES, SIZE = 80, 96
"""Landscapes of the suite, and their pixels along each side."""
_SEED = 20261128
_LEARNED_FROM, _LEARNED_SIZE = 120, 64
_COMMON = 6
"""Bands that both sensors have: the first of BANDS."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """One landscape of the suite, mapped."""

    name: str
    landscape: Landscape
    found: npt.NDArray[np.int64]
    confidence: float
    confusion: Confusion
    baseline: Confusion

    @property
    def slices(self) -> tuple[tuple[str, str], ...]:
        family = "landsat" if self.landscape.sensor.startswith("L") else "sentinel-2"
        return (("all", "all"), ("season", self.landscape.season), ("sensor", family))

    def rows(self) -> Iterator[Row]:
        """Evidence for the gate."""
        yield from class_rows(SUITE, self.name, counted=self.confusion.counted(), slices=self.slices)
        right = float(np.trace(self.confusion.counts))
        yield from calibration_rows(
            SUITE,
            self.name,
            confidence=self.confidence,
            right=right,
            pixels=float(self.confusion.pixels),
            slices=self.slices,
        )

    def view(self) -> MapView:
        """For the review."""
        blue, green, red = self.landscape.reflectance[:3]
        codes = np.array(CODES, dtype=np.uint8)
        title = f"{self.landscape.sensor}, {self.landscape.country}, {self.landscape.season}"
        return MapView(
            self.name,
            title,
            true_colour(red, green, blue),
            in_colours(codes[self.landscape.cover]),
            in_colours(codes[self.found]),
        )


def evaluate_landcover(options: MapsOptions) -> MapsScore:
    """The score of a model on the simulated suite, and of its folds on the real place.

    Raises:
        DataError: `model_refused`, of the model or of a fold.
        ConfigError: No scene is left, or samples cannot be read.
    """
    model = build_segmenter(
        load_package(package_folder(MODEL if options.model is None else options.model)), MODEL
    )
    numbers = spread(SCENES, options.scenes)
    tell = options.progress or (lambda _, __: None)
    scenes = []
    for done, number in enumerate(numbers):
        tell(0.8 * done / len(numbers), "mapping simulated landscapes")
        scenes.append(_mapped(model, number))
    real = None
    if options.samples is not None:
        tell(0.8, "mapping real ground")
        real = score_real(options.samples, options.folds)
    miou = sum((s.confusion for s in scenes[1:]), scenes[0].confusion).miou
    return MapsScore(
        result={
            "simulated_miou": round(miou, 4),
            "real_oa": None if real is None else round(real.together.accuracy, 4),
        },
        markdown=_markdown(scenes, real),
        rows=tuple(row for scene in scenes for row in scene.rows()),
        suites={SUITE: suite_digest()},
        views=tuple(scene.view() for scene in scenes),
    )


def suite_digest() -> str:
    """sha256 of all that decides the scenes of the suite."""
    decides = [VERSION, SCENES, SIZE, _SEED, BANDS, CODES, names_of("suite")]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def inputs_of(model: Segmenter, reflectance: Floats) -> Floats:
    """What the model looks at, of reflectance (band, y, x) in the order of BANDS.

    Raises:
        DataError: `model_refused`: it wants a band that landscapes lack.
    """
    strange = [name for name in model.config.inputs if name not in BANDS]
    if strange:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"the model looks at {' '.join(strange)}, landscapes have {' '.join(BANDS)}; train it on these",
        )
    return reflectance[[BANDS.index(name) for name in model.config.inputs]]


def positions(model: Segmenter) -> npt.NDArray[np.int64]:
    """Position in `landcover.CLASSES` of each of the model's classes.

    Raises:
        DataError: `model_refused`: it has a class of its own.
    """
    strange = [name for name in model.config.classes if name not in SLUGS]
    if strange:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"the model maps {' '.join(strange)}, which are no classes of WorldCover: {' '.join(SLUGS)}",
        )
    return np.array([SLUGS.index(name) for name in model.config.classes], dtype=np.int64)


def _mapped(model: Segmenter, number: int) -> _Scene:
    landscape = draw_landscape("suite", (_SEED, number), size=SIZE)
    probabilities = class_probabilities(model, inputs_of(model, landscape.reflectance))
    found = positions(model)[probabilities.argmax(axis=0)]
    truth = landscape.cover.astype(np.int64)
    nearest = _baseline().classify(landscape.reflectance[:_COMMON])
    return _Scene(
        f"landscape-{number:03d}",
        landscape,
        found,
        float(probabilities.max(axis=0).sum(dtype=np.float64)),
        Confusion.of(truth, found, SLUGS),
        Confusion.of(truth, nearest, SLUGS),
    )


@cache
def _baseline() -> NearestSpectrum:
    """What knows the spectra of the training split, pixel by pixel."""
    drawn = [draw_landscape("train", (_SEED, n), size=_LEARNED_SIZE) for n in range(_LEARNED_FROM)]
    pixels = np.concatenate([one.reflectance[:_COMMON].reshape(_COMMON, -1).T for one in drawn])
    return learn_spectra(pixels, np.concatenate([one.cover.ravel() for one in drawn]).astype(np.int64))


def _markdown(scenes: list[_Scene], real: RealScore | None) -> str:
    ours = sum((s.confusion for s in scenes[1:]), scenes[0].confusion)
    theirs = sum((s.baseline for s in scenes[1:]), scenes[0].baseline)
    lines = [
        f"Land cover, simulated: {len(scenes)} landscapes of spectra that no training saw.",
        "",
        "| class | pixels | IoU, model | IoU, nearest spectrum |",
        "|---|---|---|---|",
    ]
    iou, base = ours.iou, theirs.iou
    lines += [
        f"| {c.name} | {ours.there[c.slug]:,} | {_told(iou[c.slug])} | {_told(base[c.slug])} |"
        for c in CLASSES
    ]
    lines += [
        f"| **mean (mIoU)** | {ours.pixels:,} | **{_told(ours.miou)}** | {_told(theirs.miou)} |",
        f"| overall accuracy | {ours.pixels:,} | {_told(ours.accuracy)} | {_told(theirs.accuracy)} |",
        "",
        *_slices(scenes),
    ]
    if real is not None:
        lines += ["", real.markdown()]
    return "\n".join(lines) + "\n"


def _slices(scenes: list[_Scene]) -> Iterator[str]:
    yield "| slice | landscapes | mIoU, model | mIoU, nearest spectrum | accuracy | mean confidence |"
    yield "|---|---|---|---|---|---|"
    for key in sorted({key for scene in scenes for key in scene.slices}):
        some = [scene for scene in scenes if key in scene.slices]
        ours = sum((s.confusion for s in some[1:]), some[0].confusion)
        theirs = sum((s.baseline for s in some[1:]), some[0].baseline)
        sure = sum(s.confidence for s in some) / ours.pixels
        yield (
            f"| {': '.join(key)} | {len(some)} | {_told(ours.miou)} | {_told(theirs.miou)} | "
            f"{_told(ours.accuracy)} | {sure:.3f} |"
        )


def _told(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"
