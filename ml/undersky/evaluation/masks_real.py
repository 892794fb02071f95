"""The quality mask on real pixels: chips that people labelled, and dates that another mask has judged.

A chip is mapped by the fold that never saw it, at its own pixels and, averaged, at those of a product's
mask. Nobody knows when the chips were taken, so no sun is used: the network alone finds shadows. The
threshold tests need one; they are given the direction, of eight, that suits them best on that chip.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undersky.datasets.cloud_chips import CloudChip, load_chips, reduced_by
from undersky.errors import ConfigError, DataError, Reason
from undersky.evaluation.maps import Counted
from undersky.grid import Floats
from undersky.inference.mask import bits_of, class_planes
from undersky.inference.quality import Look, classify
from undersky.models.package import PACKAGE_FILE, load_package
from undersky.models.segmentation import Segmenter, build_segmenter
from undersky.quality import Quality, QualityBits
from undersky.scene import Bools

AGREEMENT = "s2-l1c-slovenia-landcover-north"
"""Folder of the dates that another mask has judged."""

_KINDS = ("cloud", "cloud_shadow")
_MASK_M = 85.0
_ZENITH = 45.0
_AZIMUTHS = range(0, 360, 45)
_S2_PLANES = (1, 2, 3, 8, 11, 12, 10)
"""Of B01 B02 .. B8A B09 B10 B11 B12: those of ROLES."""

Totals = Mapping[str, Counted]


@dataclass(frozen=True, slots=True)
class ChipsScore:
    """Over all chips, each by the fold that never saw it."""

    cloud_f1: float
    """Pooled over their pixels."""
    shadow_f1: float
    """The same of cloud shadow."""
    markdown: str
    """By chip, with the threshold tests beside it."""


def evaluate_chips(samples: Path, folds: Path) -> ChipsScore:
    """The folds on the chips they held out.

    Raises:
        ConfigError: A fold is missing, or did not hold out its chip.
        DataError: `model_refused`, or a chip is damaged.
    """
    ours, tests, coarse = _none(), _none(), _none()
    lines = [
        "### Labelled chips (real, n = 3 of 512 x 256 pixels; each by the fold that never saw it)",
        "",
        "| chip | pixel | cloud | shadow | cloud F1 | tests | shadow F1 | tests | cloud F1, 80 m | shadow |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for chip in load_chips(samples):
        model = open_fold(folds, chip.name)
        mine = _counts(_looked(model, chip.toa), _truths(chip, 1))
        peer = _best_tests(chip)
        step = max(1, int(_MASK_M // chip.pixel_m))
        far = _counts(_looked(model, reduced_by(chip.toa, step)), _truths(chip, step))
        ours, tests, coarse = _added(ours, mine), _added(tests, peer), _added(coarse, far)
        lines.append(_line(chip.name, f"{chip.pixel_m:g} m", (mine, peer, far)))
    lines.append(_line("all", "", (ours, tests, coarse)))
    markdown = "\n".join(lines) + "\n"
    return ChipsScore(round(_f1(ours["cloud"]), 4), round(_f1(ours["cloud_shadow"]), 4), markdown)


def open_fold(folds: Path, chip: str) -> Segmenter:
    """The fold that held out the chip.

    Raises:
        ConfigError: It is not there, or its provenance does not say so.
        DataError: `model_refused`.
    """
    folder = folds / f"quality-{chip}"
    if not (folder / PACKAGE_FILE).is_file():
        raise ConfigError(
            f"{folder} holds no fold of the quality mask: train it, `undersky train quality-{chip}`"
        )
    package = load_package(folder)
    seen = package.provenance.get("chips")
    if package.provenance.get("held_out") != chip or not isinstance(seen, list) or chip in seen:
        raise ConfigError(
            f"{folder.name} does not say that it held out {chip}: what it is tested on it may have seen"
        )
    return build_segmenter(package, "quality")


def agreement(model: Segmenter, samples: Path) -> str:
    """A table: how often the model and s2cloudless say the same of cloud, date by date.

    Raises:
        DataError: The dates cannot be read.
    """
    lines = [
        "### Agreement with another mask (real, s2cloudless over Slovenia; agreement, not accuracy)",
        "",
        "| date | pixels | same word | cloud by s2cloudless | cloud by this mask |",
        "|---|---|---|---|---|",
    ]
    for date, toa, theirs in _dates(samples / AGREEMENT):
        ours = (_looked(model, toa) & np.uint16(Quality.CLOUD)) != 0
        parts = (100.0 * float(part.mean()) for part in (ours == theirs, theirs, ours))
        lines.append(f"| {date} | {theirs.size:,} | " + " | ".join(f"{part:.1f} %" for part in parts) + " |")
    return "\n".join(lines) + "\n"


def _dates(folder: Path) -> Iterator[tuple[str, Floats, Bools]]:
    try:
        bands, masks = (
            np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("BANDS-S2-L1C", "CLM")
        )
    except (OSError, ValueError) as error:
        raise DataError(
            Reason.DATASET_DAMAGED, f"the dates in {folder} cannot be read: {error}; expected BANDS and CLM"
        ) from error
    for number, (image, mask) in enumerate(zip(bands, masks, strict=True), 1):
        toa = np.moveaxis(image[..., _S2_PLANES], -1, 0).astype(np.float32)
        yield f"date {number}", toa, mask[..., 0] > 0


def _looked(model: Segmenter, toa: Floats) -> QualityBits:
    return bits_of(class_planes(model, toa), model.config.settings, toa)


def _truths(chip: CloudChip, step: int) -> Mapping[str, Bools]:
    """Where most of the pixels of a block are cloud, or shadow."""
    return {name: reduced_by(chip.truth(name)[None].astype(np.float32), step)[0] > 0.5 for name in _KINDS}


def _counts(bits: QualityBits, truths: Mapping[str, Bools]) -> Totals:
    found = {}
    for name, truth in truths.items():
        claimed = (bits & np.uint16(Quality[name.upper()])) != 0
        parts = (claimed & truth, claimed & ~truth, ~claimed & truth)
        found[name] = Counted(*(float(part.sum()) for part in parts))
    return found


def _best_tests(chip: CloudChip) -> Totals:
    """The threshold tests under the sun that suits their shadows best."""
    names = ("blue", "green", "red", "nir", "swir16", "swir22")
    seen = Look(dict(zip(names, chip.toa[:-1], strict=True)), chip.pixel_m)
    truths = _truths(chip, 1)
    tried = [
        _counts(classify(seen, sun_zenith=_ZENITH, sun_azimuth=float(azimuth)), truths)
        for azimuth in _AZIMUTHS
    ]
    return max(tried, key=lambda found: _f1(found["cloud_shadow"]))


def _line(name: str, pixel: str, parts: tuple[Totals, Totals, Totals]) -> str:
    mine, peer, far = parts
    there = (int(mine[kind].right + mine[kind].missed) for kind in _KINDS)
    scores = (
        _f1(mine["cloud"]), _f1(peer["cloud"]), _f1(mine["cloud_shadow"]), _f1(peer["cloud_shadow"]),
        _f1(far["cloud"]), _f1(far["cloud_shadow"]),
    )  # fmt: skip
    return " | ".join([f"| {name}", pixel, *(f"{n:,}" for n in there), *(f"{s:.3f}" for s in scores)]) + " |"


def _f1(found: Counted) -> float:
    total = 2.0 * found.right + found.extra + found.missed
    return 2.0 * found.right / total if total else 0.0


def _none() -> Totals:
    return {name: Counted(0.0, 0.0, 0.0) for name in _KINDS}


def _added(one: Totals, other: Totals) -> Totals:
    return {name: one[name] + other[name] for name in _KINDS}
