"""Figures are images in themselves, the same for the same counts, and drawn of whatever there is."""

import base64
import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from undersky.evaluation import figures
from undersky.evaluation.histograms import Histograms, count_ratios, count_scatter
from undersky.evaluation.score import SceneScore, Score

GENERATOR = np.random.default_rng(6)
SVG = "data:image/svg+xml;base64,"
PNG = "data:image/png;base64,"


def decoded(uri):
    return base64.b64decode(uri.split(",", 1)[1])


def histograms(types=("urban", "desert")):
    truth = GENERATOR.uniform(0.0, 0.4, 3000)
    error = GENERATOR.normal(0.0, 0.01, truth.size)
    ratios = count_ratios(error, np.full(truth.size, 0.01))
    return Histograms({"B02": count_scatter(truth + error, truth)}, dict.fromkeys(types, ratios))


def score(name="physics", found=0.1):
    depths = GENERATOR.uniform(0.01, 0.6, 30)
    scenes = tuple(
        SceneScore(i, "main", (), ("urban", "desert")[i % 2], float(depth), found, 90.0 - 60.0 * float(depth))
        for i, depth in enumerate(depths)
    )
    return Score(name, {}, {}, {}, scenes)


def labels(uri):
    """The text that an SVG draws, which matplotlib keeps in comments."""
    return decoded(uri).decode()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.by_aot_figure([score(), score("srem", None)]),
        lambda: figures.aot_figure(score()),
        lambda: figures.reliability_figure(histograms()),
        lambda: figures.ratios_figure(histograms()),
    ],
)
def test_a_chart_is_an_svg_that_asks_for_nothing_else(draw):
    uri = draw()
    assert uri.startswith(SVG)
    root = ET.fromstring(decoded(uri))
    assert root.tag.endswith("svg")
    links = [
        value for node in root.iter() for key, value in node.attrib.items() if key.endswith(("href", "src"))
    ]
    assert all(link.startswith(("#", "data:")) for link in links)


def test_a_scatter_is_a_png_of_a_panel_a_band():
    counts = histograms().scatter["B02"]
    one, many = (
        Image.open(
            io.BytesIO(decoded(figures.scatter_figure(dict.fromkeys(names, counts), reference="true")))
        )
        for names in (["B02"], [f"B{i:02d}" for i in range(13)])
    )
    assert one.width == many.width
    assert many.height == pytest.approx(3 * one.height, abs=3)


def test_the_same_counts_make_the_same_image():
    found = histograms()
    assert figures.reliability_figure(found) == figures.reliability_figure(found)
    assert figures.scatter_figure(found.scatter, reference="x") == figures.scatter_figure(
        found.scatter, reference="x"
    )


def test_every_method_is_in_the_legend():
    text = labels(figures.by_aot_figure([score(), score("srem"), score("fixed-aod")]))
    assert all(f"<!-- {name} -->" in text for name in ("physics", "srem", "fixed-aod"))


def test_every_aerosol_is_in_the_reliability_diagram():
    assert all(f"<!-- {n} -->" in labels(figures.reliability_figure(histograms())) for n in ("urban", "all"))


def test_a_single_type_is_drawn_once():
    assert "<!-- urban -->" not in labels(figures.reliability_figure(histograms(("urban",))))


def test_a_method_without_a_depth_is_drawn_without_dots():
    assert figures.aot_figure(score(found=None)).startswith(SVG)


def test_a_band_without_pixels_is_drawn_empty():
    empty = count_scatter(np.empty(0), np.empty(0))
    assert figures.scatter_figure({"B02": empty}, reference="true").startswith(PNG)


def test_nothing_covered_is_drawn():
    assert figures.ratios_figure(Histograms()).startswith(SVG)


def test_a_picture_is_its_pixels():
    panel = GENERATOR.integers(0, 255, (5, 7, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(decoded(figures.picture(panel))))), panel)


def test_means_are_those_of_the_bins():
    scenes = [
        SceneScore(0, "main", (), "urban", aot, None, share)
        for aot, share in ((0.02, 100.0), (0.06, 90.0), (0.25, 40.0))
    ]
    depth, share = figures._means(scenes)
    assert depth == pytest.approx([0.04, 0.25])
    assert share == pytest.approx([95.0, 40.0])


def test_drawing_leaves_matplotlib_as_it_was():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.ratios_figure(histograms())
    assert dict(mpl.rcParams) == before
