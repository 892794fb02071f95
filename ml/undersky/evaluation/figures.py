"""Figures of a report, as images that lie in the page itself. The only module that draws with matplotlib.

scatter       estimate over truth, one panel a band, logarithmic counts, the specification as a corridor
by AOD        percent in spec of every method over the optical depth
AOD           found over true
reliability   observed over expected coverage, 0.25 to 3 sigma
ratios        error / sigma beside the standard normal
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from scipy.special import erf

from undersky.datasets.design import MAIN
from undersky.evaluation.histograms import (
    EDGES,
    RATIO_END,
    RATIO_STEP,
    Counts,
    Histograms,
    coverage,
)
from undersky.evaluation.metrics import specification
from undersky.evaluation.score import SceneScore, Score
from undersky.raster.browse import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

INK, FAINT, OURS = "#1d2a35", "#8b98a3", "#0b62a8"
_PEERS = ("#9aa5ae", "#c08b2d", "#4f9a6a", "#d1603d", "#7a5aa6")
_TYPES = ("#0b62a8", "#d1603d", "#4f9a6a", "#c08b2d", "#7a5aa6", "#b0417a", "#5f6b75")
_STYLE: dict["RcKeyType", object] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": "#c3ccd4",
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8edf1",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "undersky",
}
_AOT_STEP = 0.1
_COLUMNS = 6


@contextmanager
def _drawn() -> Iterator[None]:
    with mpl.rc_context(_STYLE):
        yield


def scatter_figure(scatter: Mapping[str, Counts], *, reference: str) -> str:
    """Estimate over reference, a panel a band; between the lines lies the specification. A data URI."""
    rows = -(-len(scatter) // _COLUMNS)
    with _drawn():
        figure = Figure(figsize=(10.4, 1.95 * rows), layout="constrained")
        axes = figure.subplots(rows, _COLUMNS, squeeze=False)
        for panel, (band, counts) in zip(axes.flat, scatter.items(), strict=False):
            _scatter_panel(panel, counts)
            panel.set_title(band)
        for panel in axes.flat[len(scatter) :]:
            panel.set_axis_off()
        figure.supxlabel(f"{reference} reflectance", fontsize=9.0)
        figure.supylabel("estimated reflectance", fontsize=9.0)
        return _png(figure)


def _scatter_panel(panel: "Axes", counts: Counts) -> None:
    widths = np.diff(EDGES)
    density = np.ma.masked_equal(counts.T, 0) / np.outer(widths, widths)
    scale = LogNorm(density.min(), density.max()) if counts.any() else None
    panel.pcolormesh(EDGES, EDGES, density, norm=scale, cmap="YlGnBu", rasterized=True)
    limits = _occupied(counts)
    line = np.linspace(*limits, 50)
    allowed = specification(line)
    panel.plot(line, line, color=INK, linewidth=0.8)
    for sign in (-1.0, 1.0):
        panel.plot(line, line + sign * allowed, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    panel.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(4))
        axis.set_tick_params(labelsize=7.5)


def _occupied(counts: Counts) -> tuple[float, float]:
    """The range of reflectance that holds all but a thousandth of the pixels at each end, a little more."""
    share = np.cumsum(counts.sum(axis=0) + counts.sum(axis=1)) / max(1, 2 * counts.sum())
    first, last = (int(np.searchsorted(share, at)) for at in (0.001, 0.999))
    end = len(EDGES) - 1
    low, high = EDGES[min(first, end - 1)], EDGES[min(last + 1, end)]
    return float(low - 0.03 * (high - low)), float(high + 0.03 * (high - low))


def by_aot_figure(scores: Sequence[Score]) -> str:
    """Percent in spec over the optical depth: scenes of the first method as dots, means of all as lines."""
    with _drawn():
        figure, axes = _one()
        for score, colour in zip(scores[1:], _PEERS, strict=False):
            axes.plot(*_means(_known(score)), "o-", color=colour, markersize=3.5, label=score.method)
        ours = _known(scores[0])
        axes.scatter(
            [scene.aot_550 or 0.0 for scene in ours],
            [scene.in_spec_percent for scene in ours],
            s=9,
            color=OURS,
            alpha=0.28,
            linewidths=0,
        )
        axes.plot(*_means(ours), "o-", color=OURS, linewidth=2.6, markersize=5, label=scores[0].method)
        axes.set(xlabel="AOD at 550 nm", ylabel="pixels in spec, %", ylim=(-2, 102), xlim=(0, None))
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(scores), columnspacing=1.2)
        return _svg(figure)


def _known(score: Score) -> list[SceneScore]:
    return [scene for scene in score.scenes if scene.part == MAIN and scene.aot_550 is not None]


def _means(scenes: Sequence[SceneScore]) -> tuple[list[float], list[float]]:
    """Mean depth and mean percent in spec of each bin of the optical depth that holds a scene."""
    depth = np.array([scene.aot_550 or 0.0 for scene in scenes])
    share = np.array([scene.in_spec_percent for scene in scenes])
    bins = (depth / _AOT_STEP).astype(int)
    groups = [bins == one for one in np.unique(bins)]
    return [float(depth[here].mean()) for here in groups], [float(share[here].mean()) for here in groups]


def aot_figure(score: Score) -> str:
    """Optical depth that the method found over the true one, a dot a scene, by aerosol type."""
    scenes = _known(score)
    with _drawn():
        figure, axes = _one()
        for name, colour in zip(sorted({scene.aerosol for scene in scenes}), _TYPES, strict=False):
            of_type = [scene for scene in scenes if scene.aerosol == name]
            found = [np.nan if scene.aot_found is None else scene.aot_found for scene in of_type]
            axes.scatter([scene.aot_550 or 0.0 for scene in of_type], found, s=14, color=colour, label=name)
        end = 1.05 * max((max(scene.aot_550 or 0.0, scene.aot_found or 0.0) for scene in scenes), default=1.0)
        axes.plot([0, end], [0, end], color=INK, linewidth=0.9)
        axes.set(xlabel="true AOD", ylabel="AOD found or assumed", xlim=(0, end), ylim=(0, end))
        axes.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, columnspacing=1.0, handletextpad=0.2
        )
        return _svg(figure)


def reliability_figure(histograms: Histograms) -> str:
    """Percent of errors within k sigma over the percent a Gaussian would have, overall and by aerosol."""
    with _drawn():
        figure, axes = _one()
        axes.plot([0, 100], [0, 100], color=INK, linewidth=0.9)
        if len(histograms.ratios) > 1:
            for name, colour in zip(sorted(histograms.ratios), _TYPES[1:], strict=False):
                _coverage_line(axes, histograms.ratios[name], color=colour, label=name, width=1.2)
        _coverage_line(axes, histograms.all_ratios(), color=OURS, label="all", width=2.6)
        for k in (1, 2):
            expected = _gaussian(np.array([k]))[0]
            axes.axvline(expected, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.text(expected - 1, 2, f"{k} sigma", ha="right", color=FAINT)
        axes.set(xlabel="expected within k sigma, %", ylabel="observed, %", xlim=(0, 100), ylim=(0, 100))
        axes.legend(loc="upper left")
        return _svg(figure)


def _coverage_line(axes: "Axes", ratios: Counts, *, color: str, label: str, width: float) -> None:
    multiples, observed = coverage(ratios)
    axes.plot(
        _gaussian(multiples),
        observed,
        "o-",
        color=color,
        label=label,
        linewidth=width,
        markersize=1.8 * width,
    )


def _gaussian(multiples: np.ndarray) -> np.ndarray:
    """Percent of a Gaussian within so many sigma."""
    return np.asarray(100.0 * erf(multiples / np.sqrt(2.0)))


def ratios_figure(histograms: Histograms) -> str:
    """How error / sigma is spread, beside the standard normal; the outermost bars hold what lies beyond."""
    counts = histograms.all_ratios()
    density = counts / max(1, counts.sum()) / RATIO_STEP
    centres = (np.arange(len(counts)) + 0.5) * RATIO_STEP - RATIO_END - RATIO_STEP
    with _drawn():
        figure, axes = _one()
        axes.bar(centres, density, width=0.92 * RATIO_STEP, color=OURS, alpha=0.75, label="observed")
        line = np.linspace(-RATIO_END, RATIO_END, 200)
        axes.plot(
            line, np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi), color=INK, linewidth=1.2, label="Gaussian"
        )
        axes.set(xlabel="error / sigma", ylabel="density", xlim=(-RATIO_END - 0.3, RATIO_END + 0.3))
        axes.legend(loc="upper right")
        return _svg(figure)


def picture(panel: Picture) -> str:
    """A picture, (y, x, 3), as a PNG in a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(panel).save(buffer, format="PNG", optimize=True)
    return _uri("image/png", buffer.getvalue())


def _one() -> tuple[Figure, "Axes"]:
    figure = Figure(figsize=(5.1, 4.0), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _uri("image/svg+xml", buffer.getvalue())


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    image = Image.open(buffer).convert("RGB").quantize(96, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    image.save(packed, format="PNG", optimize=True)
    return _uri("image/png", packed.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
