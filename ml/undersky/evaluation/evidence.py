"""Evidence for a gate: what a model did on every scene, as sums whose ratios are the metrics.

    Score --rows_of--> Row (scene, slice, metric, top, bottom) --sliced--> sums by scene --> a gate
                                                               `--to_table, slice_table--> files for people

A gate knows rows and metrics, never a model: the share in spec today, a mask's IoU or F1 tomorrow are all
ratios of sums over scenes.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from undersky.datasets.design import MAIN
from undersky.evaluation.metrics import Tally
from undersky.evaluation.score import UNKNOWN, SceneScore, Score

Array = npt.NDArray[np.float64]

Value = TypeVar("Value", float, Array)

Slice = tuple[str, str, str, str]
"""Suite, dimension, value along it, metric."""

Sums = dict[str, tuple[float, float]]
"""Scene to top and bottom."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio of two sums over scenes; its size counts, never its sign."""

    name: str
    """`in_spec_percent`."""
    title: str
    """In a sentence: `in spec`."""
    unit: Literal["%", ""]
    """Percent, or the model's own unit."""
    better: Literal["higher", "lower"]
    """Where a better model lies."""
    root: bool = False
    """The ratio is a mean of squares, the metric its root."""

    def of(self, top: Array | float, bottom: Array | float) -> Array:
        """The metric of these sums; NaN where the lower sum is none."""
        below = np.asarray(bottom, dtype=np.float64)
        ratio = np.abs(np.asarray(top)) / np.where(below == 0.0, np.nan, below)
        scaled = np.sqrt(ratio) if self.root else ratio
        return np.asarray(100.0 * scaled if self.unit == "%" else scaled)

    def gain(self, candidate: Value, champion: Value) -> Value:
        """How much better the candidate is, in the metric's units."""
        return candidate - champion if self.better == "higher" else champion - candidate

    def shown(self, value: float | None, *, with_unit: bool = True) -> str:
        """A value as people read it: `61.2 %`, `0.0123`."""
        if value is None or not math.isfinite(value):
            return "nothing"
        if self.unit == "%":
            return f"{value:.1f} %" if with_unit else f"{value:.1f}"
        return f"{value:.4f}"


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("in_spec_percent", "in spec", "%", "higher"),
        Metric("rmse", "RMSE", "", "lower", root=True),
        Metric("bias", "bias", "", "lower"),
        Metric("answered_percent", "answered", "%", "higher"),
        Metric("iou_percent", "IoU", "%", "higher"),
        Metric("f1_percent", "F1", "%", "higher"),
        Metric("accuracy_percent", "accuracy", "%", "higher"),
        Metric("precision_percent", "precision", "%", "higher"),
        Metric("recall_percent", "recall", "%", "higher"),
        Metric("calibration_gap", "calibration gap", "", "lower"),
    )
}
"""Every metric that a rule may name.

Of reflectance: the share in spec, the error, its mean, the share of pixels answered. Of maps: intersection
over union, F1, right of all labelled, right of all found, found of all there, mean confidence less accuracy.
"""

DIMENSIONS: Mapping[str, str] = {
    "all": "all scenes",
    "aerosol": "aerosol",
    "sensor": "sensor",
    "sun_zenith": "sun zenith",
    "aot_550": "AOD",
    "surface": "surface",
    "band": "band",
    "part": "part",
    "class": "class",
    "season": "season",
    "pixel": "pixel",
    "length": "length",
    "chip": "chip",
    "port": "port",
    "block": "block",
    "downstream": "on its output:",
}
"""Every dimension that a rule may name, in words.

`part` is a slice of the suite of its own; `downstream` is what another model makes of this one's output.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What one model did on one scene, within one slice."""

    suite: str
    """`direct-6s`."""
    scene: str
    """`main-017`."""
    dimension: str
    """`all`, `aerosol`, ..."""
    value: str
    """Along the dimension: `urban`."""
    metric: str
    """A key of METRICS."""
    top: float
    """Upper sum: pixels in spec, squares of the error, the error."""
    bottom: float
    """Lower sum: pixels."""


def rows_of(suite: str, score: Score) -> tuple[Row, ...]:
    """One method's evidence on a suite, scene by scene; every dimension but `part` is of the slice `main`."""
    return tuple(
        Row(suite, scene.id, dimension, value, metric, top, bottom)
        for scene in score.scenes
        for dimension, value, metric, top, bottom in _scene(scene)
    )


def _scene(scene: SceneScore) -> Iterator[tuple[str, str, str, float, float]]:
    everything = sum(scene.tallies.values(), Tally())
    slices = scene.slices if scene.part == MAIN else (("part", scene.part),)
    for dimension, value in slices:
        for metric, top, bottom in _sums(everything):
            yield dimension, value, metric, top, bottom
        yield dimension, value, "answered_percent", everything.count, scene.pixels
    if scene.part == MAIN:
        for place, dimension in enumerate(("surface", "band")):
            for value, found in _pooled(scene, place).items():
                for metric, top, bottom in _sums(found):
                    yield dimension, value, metric, top, bottom


def _pooled(scene: SceneScore, place: int) -> dict[str, Tally]:
    """The scene's tallies by cover (place 0) or by band (place 1)."""
    found: dict[str, Tally] = {}
    for key, part in scene.tallies.items():
        if key[place] != UNKNOWN:
            found[key[place]] = found.get(key[place], Tally()) + part
    return found


def _sums(found: Tally) -> Iterator[tuple[str, float, float]]:
    yield "in_spec_percent", found.in_spec, found.count
    yield "rmse", found.total_squared, found.count
    yield "bias", found.total, found.count


def sliced(rows: Sequence[Row]) -> dict[Slice, Sums]:
    """The sums of each slice by scene, slices in the order met."""
    found: dict[Slice, Sums] = {}
    for row in rows:
        sums = found.setdefault((row.suite, row.dimension, row.value, row.metric), {})
        top, bottom = sums.get(row.scene, (0.0, 0.0))
        sums[row.scene] = (top + row.top, bottom + row.bottom)
    return found


def pooled(metric: str, sums: Sums) -> float:
    """The metric over all scenes of a slice; NaN of nothing."""
    tops, bottoms = zip(*sums.values(), strict=True) if sums else ((), ())
    return float(METRICS[metric].of(math.fsum(tops), math.fsum(bottoms)))


def to_table(rows: Mapping[str, Sequence[Row]]) -> bytes:
    """The rows of each method as one Parquet file; the same rows give the same bytes."""
    names = ["method", *(field.name for field in fields(Row))]
    flat = [(method, *astuple(row)) for method, found in rows.items() for row in found]
    frame = pd.DataFrame(flat, columns=names).astype({"top": "float64", "bottom": "float64"})
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def from_table(table: bytes) -> dict[str, tuple[Row, ...]]:
    """What `to_table` wrote: method to rows, in their order."""
    frame: Any = pd.read_parquet(io.BytesIO(table), engine="pyarrow")
    found: dict[str, list[Row]] = {}
    for method, *values in frame.itertuples(index=False, name=None):
        found.setdefault(str(method), []).append(Row(*values))
    return {method: tuple(rows) for method, rows in found.items()}


def slice_table(candidate: Sequence[Row], champion: Sequence[Row]) -> str:
    """Every slice of both models as CSV; `difference` is positive where the candidate is better."""
    theirs = sliced(champion)
    lines = ["suite,dimension,value,metric,scenes,candidate,champion,difference"]
    for key, sums in sliced(candidate).items():
        mine, other = pooled(key[3], sums), pooled(key[3], theirs.get(key, {}))
        gain = METRICS[key[3]].gain(mine, other)
        figures = (f"{value:.6g}" if math.isfinite(value) else "" for value in (mine, other, gain))
        lines.append(",".join((*map(_quoted, key), str(len(sums)), *figures)))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text
