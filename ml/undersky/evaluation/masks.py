"""How good the quality mask is: simulated skies, labelled chips no fold saw before, another mask's word.

    simulated suite  --model, threshold tests--> F1, precision, recall by class     the gate's evidence
    labelled chips   --the fold that held the chip out--> cloud and shadow F1       against people's word
    Slovenian dates  --model--> agreement with s2cloudless                          not accuracy: a mask too

Truth and mask are compared where truth is known: not on the seam between cloud and no cloud of a simulated
sky, and for snow and water not under cloud.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from undersky.bands import SENSORS
from undersky.datasets.cloudy import CLASSES, CloudySpec, Observed, open_scenes
from undersky.evaluation import masks_real
from undersky.evaluation.evidence import Row
from undersky.evaluation.maps import SIMULATED, Counted, MapsOptions, MapsScore, MapView, class_rows, spread
from undersky.evaluation.report import Json
from undersky.grid import Floats
from undersky.inference.mask import bits_of, cast_only, class_planes
from undersky.inference.quality import Look, classify
from undersky.models.package import load_package, package_folder
from undersky.models.segmentation import Segmenter, build_segmenter
from undersky.quality import Quality, QualityBits
from undersky.raster.browse import Picture, true_colour

SUITE = CloudySpec(seed=20261128, size=128, fields=6, airs=160)
"""What the suite's skies are drawn from; spectra, fields and airs are those of the validation split."""

SCENES = 40
_AT_ONCE = 8
_PIXEL_BINS = ((30.0, "to 30 m"), (60.0, "30 to 60 m"), (1e9, "60 to 90 m"))
_LEGEND = {
    "clear": (60, 90, 60),
    "cloud": (255, 255, 255),
    "cloud_shadow": (40, 40, 40),
    "cirrus": (190, 150, 230),
    "snow": (120, 220, 255),
    "water": (30, 80, 200),
}
_ON_TOP = ("water", "snow", "cirrus", "cloud_shadow", "cloud")

Totals = Mapping[str, Counted]


@dataclass(frozen=True, slots=True)
class Sky:
    """One scene of the suite."""

    name: str
    """`sky-07`."""
    toa: Floats
    """(band, y, x)."""
    said: Floats
    """(class, y, x): 1, 0 or NaN."""
    sensor: str
    """`S2A`."""
    pixel_m: float
    """Ground size of a pixel."""
    sun: tuple[float, float]
    """Zenith and azimuth, degrees."""

    @property
    def slices(self) -> tuple[tuple[str, str], ...]:
        """What the scene is part of."""
        pixel = next(name for end, name in _PIXEL_BINS if self.pixel_m <= end)
        return ("all", "all"), ("sensor", self.sensor), ("pixel", pixel)


def evaluate_quality(options: MapsOptions) -> MapsScore:
    """The score of a quality model: simulated always, real where there are samples.

    Raises:
        ConfigError: A fold did not hold out what it is tested on.
        DataError: `model_refused`, or a sample is damaged.
    """
    package = load_package(package_folder(options.model or "quality"))
    model = build_segmenter(package, "quality")
    tell = options.progress or (lambda _done, _what: None)
    rows: list[Row] = []
    views: list[MapView] = []
    ours, tests = _none(), _none()
    wanted = spread(SCENES, options.scenes)
    for number, sky in enumerate(_suite(wanted)):
        tell(0.6 * number / len(wanted), f"simulated sky {number + 1} of {len(wanted)}")
        bits, planes = _looked(model, sky), _tested(sky)
        counted = counts(bits, sky.said)
        rows.extend(class_rows(SIMULATED, sky.name, counted=counted, slices=sky.slices))
        ours, tests = _added(ours, counted), _added(tests, counts(planes, sky.said))
        views.append(_view(sky, bits))
    tables = [_simulated_table(ours, tests, len(wanted))]
    result: dict[str, Json] = {"cloud_f1": None, "shadow_f1": None}
    if options.samples is not None:
        tell(0.6, "labelled chips")
        real = masks_real.evaluate_chips(options.samples, options.folds)
        result = {"cloud_f1": real.cloud_f1, "shadow_f1": real.shadow_f1}
        tables += [real.markdown, masks_real.agreement(model, options.samples)]
    tell(1.0, "done")
    title = f"## Quality mask, {package.version}\n"
    digest = hashlib.sha256(json.dumps([asdict(SUITE), SCENES], sort_keys=True).encode()).hexdigest()
    return MapsScore(
        result, "\n".join([title, *tables]), tuple(rows), {SIMULATED: digest}, tuple(views), _LEGEND
    )


def counts(bits: QualityBits, said: Floats) -> Totals:
    """By class: right, extra and missed pixels among those of which truth is known.

    Args:
        bits: Of a mask, (y, x).
        said: (class, y, x): 1, 0 or NaN.
    """
    found: dict[str, Counted] = {}
    for name, truth in zip(CLASSES, said, strict=True):
        claimed = (bits & np.uint16(_flag(name))) != 0
        there, absent = truth == 1.0, truth == 0.0
        found[name] = Counted(
            float((claimed & there).sum()), float((claimed & absent).sum()), float((~claimed & there).sum())
        )
    return found


def _suite(wanted: tuple[int, ...]) -> Iterator[Sky]:
    """The skies at these places."""
    scenes = open_scenes(SUITE, "validation")
    keys = tuple(SENSORS)
    for first in range(0, SCENES, _AT_ONCE):
        here = [place for place in wanted if first <= place < first + _AT_ONCE]
        if not here:
            continue
        seen: Observed = scenes.observe(_AT_ONCE, seed=(SUITE.seed, first))
        for place in here:
            row = place - first
            yield Sky(
                f"sky-{place:02d}",
                seen.toa[row].numpy(),
                seen.statements[row].numpy(),
                keys[int(seen.sensor[row])],
                float(seen.pixel_m[row]),
                (float(seen.sun_zenith[row]), float(seen.sun_azimuth[row])),
            )


def _looked(model: Segmenter, sky: Sky) -> QualityBits:
    """By the model, as in a scene."""
    planes = class_planes(model, sky.toa)
    return cast_only(bits_of(planes, model.config.settings, sky.toa), sky.pixel_m, sun=sky.sun)


def _tested(sky: Sky) -> QualityBits:
    """By the threshold tests."""
    zenith, azimuth = sky.sun
    return classify(as_look(sky.toa, sky.pixel_m), sun_zenith=zenith, sun_azimuth=azimuth)


def as_look(toa: Floats, pixel_m: float) -> Look:
    """The bands as the threshold tests want them; a band that is missing is left out."""
    names = ("blue", "green", "red", "nir", "swir16", "swir22", "cirrus")
    present = {name: plane for name, plane in zip(names, toa, strict=True) if bool(np.isfinite(plane).any())}
    return Look(present, pixel_m)


def _simulated_table(ours: Totals, tests: Totals, scenes: int) -> str:
    lines = [
        f"### Simulated skies (n = {scenes} of {SUITE.size} x {SUITE.size} pixels, 10 to 90 m; truth known)",
        "",
        "| class | pixels | F1 | precision | recall | F1 of the threshold tests |",
        "|---|---|---|---|---|---|",
    ]
    for name in CLASSES:
        mine, peer = ours[name], tests[name]
        there = int(mine.right + mine.missed)
        lines.append(
            f"| {name} | {there:,} | {f1(mine):.3f} | {share(mine.right, mine.extra):.3f} | "
            f"{share(mine.right, mine.missed):.3f} | {f1(peer):.3f} |"
        )
    return "\n".join(lines) + "\n"


def f1(found: Counted) -> float:
    """2 right / (2 right + extra + missed), 0 where there is nothing."""
    total = 2.0 * found.right + found.extra + found.missed
    return 2.0 * found.right / total if total else 0.0


def share(part: float, rest: float) -> float:
    """`part` of both, 0 where there is nothing."""
    return part / (part + rest) if part + rest else 0.0


def _view(sky: Sky, bits: QualityBits) -> MapView:
    blue, green, red = sky.toa[:3]
    title = f"{sky.sensor}, {sky.pixel_m:.0f} m, sun {sky.sun[0]:.0f} degrees from the zenith"
    truth = {name: plane == 1.0 for name, plane in zip(CLASSES, sky.said, strict=True)}
    found = {name: (bits & np.uint16(_flag(name))) != 0 for name in CLASSES}
    return MapView(sky.name, title, true_colour(red, green, blue), _coloured(truth), _coloured(found))


def _coloured(said: Mapping[str, np.ndarray]) -> Picture:
    picture = np.empty((*said["cloud"].shape, 3), dtype=np.uint8)
    picture[:] = _LEGEND["clear"]
    for name in _ON_TOP:
        picture[said[name]] = _LEGEND[name]
    return picture


def _flag(name: str) -> Quality:
    return Quality[name.upper()]


def _none() -> Totals:
    return {name: Counted(0.0, 0.0, 0.0) for name in CLASSES}


def _added(one: Totals, other: Totals) -> Totals:
    return {name: one[name] + other[name] for name in CLASSES}
