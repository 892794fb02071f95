"""How well objects are found: on simulated harbours, and on ports, each by a model that never saw it.

    simulated: the given model --> harbours of spectra no training saw     rows for a gate
    real:      the package of each fold --> the port it held out           headline figures

A fold whose provenance does not say that it held out the port is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rasterio.features import rasterize
from shapely import Polygon

from undersky.datasets.harbours import HarbourSpec, simulate_harbour
from undersky.datasets.objects import ObjectScene, SceneFiles, read_object_scene, scene_folders
from undersky.errors import DataError, Reason
from undersky.evaluation.bright_spots import bright_spots
from undersky.evaluation.evidence import Row
from undersky.evaluation.finding import allowed_in, detections_in, found_in, is_moored, water_in
from undersky.evaluation.maps import (
    SIMULATED,
    Counted,
    MapsOptions,
    MapsScore,
    MapView,
    class_rows,
    spread,
)
from undersky.evaluation.matching import (
    WITHIN_M,
    Counts,
    Matched,
    average_precision,
    best_threshold,
    counts_at,
    match,
)
from undersky.evaluation.report import Json
from undersky.inference.objects import require_objects
from undersky.models.package import ModelPackage, load_package, package_folder
from undersky.models.segmentation import Segmenter, build_segmenter
from undersky.raster import browse

MODEL = "vessels"
OBJECT = "vessel"
PORTS = SceneFiles("s2-ships", category=OBJECT)
"""The labelled ports, as a folder of samples holds them."""

HARBOURS = 12
"""Of the simulated suite."""

_SEED = 20_251
_LOW = 0.05
_LENGTHS = ((0.0, 100.0, "under 100 m"), (100.0, 200.0, "100 to 200 m"), (200.0, np.inf, "over 200 m"))
_COLOUR = (230, 60, 0)


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled scene, and what was found in it."""

    name: str
    """Of the scene."""
    matched: Matched
    """What is reported, at the model's threshold."""
    ranked: Matched
    """Down to a score far below it, for the average precision."""
    baseline: Matched
    """What a threshold on brightness finds."""
    moored: tuple[bool, ...]
    """Of each marked object: does it lie along something."""
    lengths_m: tuple[float, ...]
    """Of each marked object."""

    @property
    def counts(self) -> Counts:
        """Of what is reported."""
        return counts_at(self.matched, 0.0)

    def recalled(self, wanted: Sequence[bool]) -> tuple[int, int]:
        """How many of the marked objects that are wanted were found, and how many there are."""
        taken = set(self.matched.taken.tolist())
        chosen = [number for number, want in enumerate(wanted) if want]
        return sum(number in taken for number in chosen), len(chosen)


def evaluate_vessels(options: MapsOptions) -> MapsScore:
    """What a model of vessels finds of what is there.

    Raises:
        ConfigError: No scene is left.
        DataError: A package is refused, or a sample is damaged.
    """
    package = load_package(package_folder(MODEL if options.model is None else options.model))
    model = build_segmenter(package, MODEL)
    require_objects(model)
    scenes = list(_harbours(model, options))
    simulated = [judge(package, scene) for scene in scenes]
    rows = [row for one in simulated for row in _rows(SIMULATED, one)]
    real: list[Judged] = []
    if options.samples is not None and (options.samples / PORTS.folder).is_dir():
        real = list(_real(options))
    result: dict[str, Json] = dict.fromkeys(("f1", "precision", "recall"))
    if real:
        pooled = _pooled(real)
        result = {"f1": pooled.f1, "precision": pooled.precision, "recall": pooled.recall}
    return MapsScore(
        result=result,
        markdown=_markdown(package, simulated, real),
        rows=tuple(rows),
        views=tuple(_view(model, scene) for scene in scenes),
        legend={OBJECT: _COLOUR},
    )


def judge(package: ModelPackage, scene: ObjectScene) -> Judged:
    """What a model, and the baseline, find in a labelled scene."""
    model = build_segmenter(package, MODEL)
    settings, bands = require_objects(model), model.config.inputs
    water = water_in(scene, bands)
    nir = scene.values[bands.index("nir")]
    spots = bright_spots(scene, nir, water=water, allowed=allowed_in(scene, bands, settings))
    return Judged(
        name=scene.name,
        matched=match(found_in(model, scene)),
        ranked=match(found_in(_lowered(package), scene)),
        baseline=match(spots),
        moored=tuple(is_moored(one, water) for one in scene.objects),
        lengths_m=tuple(_length(one.box, abs(scene.grid.affine.a)) for one in scene.objects),
    )


def fold_of(folds: Path, port: str) -> ModelPackage:
    """The package that held out a port.

    Raises:
        DataError: `model_refused`: there is none, or its provenance says otherwise.
    """
    package = load_package(folds / f"{MODEL}-{port}")
    if (held := package.provenance.get("held_out")) != port:
        raise DataError(
            Reason.MODEL_REFUSED,
            f"fold {MODEL}-{port} says it held out {held}, so that it may have seen {port}: train it with "
            f"`hold_out: {port}` in the recipe's dataset",
        )
    return package


def _harbours(model: Segmenter, options: MapsOptions) -> Iterator[ObjectScene]:
    for number in spread(HARBOURS, options.scenes):
        if options.progress is not None:
            options.progress(0.5 * number / HARBOURS, f"harbour {number + 1} of {HARBOURS}")
        bands = model.config.inputs
        scene = simulate_harbour(HarbourSpec(), bands, seed=(_SEED, number), split="test")
        yield replace(scene, name=f"harbour-{number:02d}")


def _real(options: MapsOptions) -> Iterator[Judged]:
    folders = scene_folders(options.samples or Path(), PORTS)
    for number, folder in enumerate(folders):
        if options.progress is not None:
            options.progress(0.5 + 0.5 * number / len(folders), f"{folder.name}, held out")
        package = fold_of(options.folds, folder.name)
        pixel_m = build_segmenter(package, MODEL).config.pixel_m
        yield judge(package, read_object_scene(folder, PORTS, pixel_m=pixel_m))


def _lowered(package: ModelPackage) -> Segmenter:
    """The same model, reporting what it hardly believes: a ranking needs all of it."""
    settings = package.config["settings"]
    known = dict(settings) if isinstance(settings, dict) else {}
    config = {**package.config, "settings": {**known, "threshold": _LOW}}
    return build_segmenter(replace(package, config=config), MODEL)


def _pooled(scenes: Sequence[Judged]) -> Counts:
    return sum((scene.counts for scene in scenes), Counts(0, 0, 0))


def _rows(suite: str, one: Judged) -> Iterator[Row]:
    """The evidence of one scene."""
    counts = one.counts
    counted = Counted(counts.right, counts.found - counts.right, counts.there - counts.right)
    yield from class_rows(suite, one.name, counted={OBJECT: counted})
    for low, high, title in _LENGTHS:
        right, there = one.recalled([low <= length < high for length in one.lengths_m])
        yield Row(suite, one.name, "length", title, "recall_percent", right, there)


def _length(box: Polygon, pixel_m: float) -> float:
    corners = np.asarray(box.exterior.coords)[:3]
    return float(np.hypot(*np.diff(corners, axis=0).T).max() * pixel_m)


def _view(model: Segmenter, scene: ObjectScene) -> MapView:
    """Scene, marked and found objects side by side."""
    bands = model.config.inputs
    picture = browse.true_colour(*(scene.values[bands.index(name)] for name in ("red", "green", "blue")))
    found = detections_in(model, scene)

    def drawn(boxes: Sequence[Polygon]) -> browse.Picture:
        out = picture // 3
        if boxes:
            out[rasterize([(box, 1) for box in boxes], out_shape=out.shape[:2], dtype="uint8") > 0] = _COLOUR
        return out

    marked = [one.box for one in scene.objects]
    title = f"simulated harbour, {len(marked)} ships, {len(found)} found"
    return MapView(scene.name, title, picture, drawn(marked), drawn([one.box for one in found]))


def _markdown(package: ModelPackage, simulated: Sequence[Judged], real: Sequence[Judged]) -> str:
    parts = [
        f"### Vessels: {package.version}",
        (
            f"A found object is right when its centre lies within {WITHIN_M:.0f} m of a marked one, one "
            "to one, the surest first. *Bright spots* is a threshold on the near infrared above the water "
            "around, at the excess that serves these very scenes best."
        ),
        "**Simulated** harbours of spectra that no training saw.",
        _table([("all", simulated)]),
    ]
    if real:
        parts += [
            "**Real** ports, each by a model that saw only the others; the threshold is that model's own.",
            _table([*((one.name, [one]) for one in real), ("pooled", real)]),
            _by_place(real),
        ]
    return "\n\n".join(parts) + "\n"


def _table(lines: Sequence[tuple[str, Sequence[Judged]]]) -> str:
    head = (
        "| | marked | found | right | precision | recall | **F1** | average precision | median distance, m "
        "| bright spots: precision | recall | F1 |\n|---|" + "---:|" * 11
    )
    return "\n".join([head, *(_line(name, scenes) for name, scenes in lines)])


def _line(name: str, scenes: Sequence[Judged]) -> str:
    counts, ranked = _pooled(scenes), [scene.ranked for scene in scenes]
    near = np.concatenate([one.matched.distance_m for one in scenes])
    distance = f"{np.nanmedian(near):.0f}" if np.isfinite(near).any() else "-"
    base = _baseline(scenes)
    return (
        f"| {name} | {counts.there} | {counts.found} | {counts.right} | {counts.precision:.2f} "
        f"| {counts.recall:.2f} | **{counts.f1:.2f}** | {average_precision(ranked):.2f} | {distance} "
        f"| {base.precision:.2f} | {base.recall:.2f} | {base.f1:.2f} |"
    )


def _baseline(scenes: Sequence[Judged]) -> Counts:
    """Of the baseline, at the excess that is best for these scenes."""
    ladder = [0.0, *np.arange(0.02, 0.4, 0.01)]
    return best_threshold([scene.baseline for scene in scenes], ladder)[1]


def _by_place(real: Sequence[Judged]) -> str:
    """Recall of what lies along something and of what is surrounded by water."""
    lines: Mapping[str, list[tuple[int, int]]] = {
        "along a quay or another ship": [one.recalled(one.moored) for one in real],
        "in open water": [one.recalled([not moored for moored in one.moored]) for one in real],
    }
    told = [
        f"| {name} | {sum(there for _, there in pairs)} | {sum(r for r, _ in pairs)} "
        f"| {sum(r for r, _ in pairs) / max(1, sum(there for _, there in pairs)):.2f} |"
        for name, pairs in lines.items()
    ]
    return "\n".join(["| where | marked | found | recall |\n|---|---:|---:|---:|", *told])
