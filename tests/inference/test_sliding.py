"""Windows and the whole say the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from undersky.inference.sliding import class_probabilities, margined_strips
from undersky.models.segmentation import SegmentationConfig, SegmentationNetwork, Segmenter

CONFIG = SegmentationConfig(
    ("blue", "red"), ("a", "b", "c"), (0.0, 0.0), (1.0, 1.0), 10.0, features=(4, 8, 8), outputs="softmax"
)


def segmenter(body: str) -> Segmenter:
    torch.manual_seed(3)
    network = SegmentationNetwork(replace(CONFIG, body=body))
    *_, head = (layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d))
    torch.nn.init.normal_(head.bias)  # no two classes are exactly as likely
    network.train()
    for _ in range(3):
        network(torch.randn(4, 2, 32, 32))
    return Segmenter(network.eval())


def raster(rows: int, cols: int) -> np.ndarray:
    values = np.random.default_rng(5).normal(size=(2, rows, cols)).astype(np.float32)
    values[:, 10:20, 5:9] = np.nan
    return values


@pytest.mark.parametrize("body", ["plain", "monai"])
@pytest.mark.parametrize(("rows", "cols"), [(301, 214), (160, 333), (40, 400)])
def test_windows_say_what_one_pass_says(body, rows, cols):
    model, values = segmenter(body), raster(rows, cols)
    whole = class_probabilities(model, values, window=4096)
    windowed = class_probabilities(model, values, window=148)
    assert whole.shape == (3, rows, cols)
    np.testing.assert_allclose(windowed, whole, atol=1e-5)
    assert np.array_equal(windowed.argmax(0), whole.argmax(0))


@pytest.mark.parametrize("size", [1, 3, 17])
def test_a_raster_smaller_than_any_window_has_probabilities_too(size):
    found = class_probabilities(segmenter("plain"), raster(size, size))
    np.testing.assert_allclose(found.sum(axis=0), np.ones((size, size)), atol=1e-5)


def test_strips_with_margins_say_what_the_whole_says():
    model, values = segmenter("plain"), raster(250, 90)
    grid = GeoBox((250, 90), Affine.identity(), None)
    whole = class_probabilities(model, values)
    joined = np.full_like(whole, np.nan)
    for outer, inner in margined_strips(grid, rows=64, margin=model.margin, multiple=model.config.multiple):
        found = class_probabilities(model, values[:, outer.row : outer.row + outer.height])
        top = inner.row - outer.row
        joined[:, inner.row : inner.row + inner.height] = found[:, top : top + inner.height]
    np.testing.assert_allclose(joined, whole, atol=1e-5)


@given(
    height=st.integers(1, 400), rows=st.integers(1, 300), margin=st.integers(0, 80), power=st.integers(0, 4)
)
@settings(max_examples=60, deadline=None)
def test_what_strips_keep_covers_the_grid_once_and_lies_within_what_they_read(height, rows, margin, power):
    multiple = 2**power
    grid = GeoBox((height, 7), Affine.identity(), None)
    at = 0
    for outer, inner in margined_strips(grid, rows=rows, margin=margin, multiple=multiple):
        assert (inner.row, inner.width) == (at, 7)
        assert outer.row % multiple == 0
        assert outer.row <= max(0, inner.row - margin)
        assert outer.row + outer.height >= min(height, inner.row + inner.height + margin)
        at += inner.height
    assert at == height
