"""Blocks: the same ground is always in the same split, and what leaks is found."""

from collections import Counter
from datetime import date

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from undersky.datasets.blocks import (
    NEITHER,
    SPLITS,
    Block,
    Dealing,
    Piece,
    block_at,
    blocks_on,
    find_leaks,
    refuse_leaks,
    shares,
    splits_on,
)
from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import footprint_lonlat

UTM33 = "EPSG:32633"


def grid_at(left, top, *, pixel=100.0, shape=(60, 60), crs=UTM33):
    return GeoBox(shape, Affine(pixel, 0, left, 0, -pixel, top), crs)


def footprint(grid):
    return shapely.Polygon(footprint_lonlat(grid))


@settings(max_examples=30, deadline=None)
@given(st.floats(-179.9, 179.9), st.floats(-80, 80), st.integers(0, 2**31))
def test_a_place_has_one_block_and_a_block_one_split(longitude, latitude, seed):
    dealing = Dealing(side_m=5_000, seed=seed)
    block = block_at(longitude, latitude, side_m=5_000)
    assert block == block_at(longitude, latitude, side_m=5_000)
    assert dealing.split(block) == Dealing(side_m=5_000, seed=seed).split(block)
    assert dealing.split(block) in SPLITS


@settings(max_examples=15, deadline=None)
@given(st.floats(-60, 70), st.integers(0, 1000))
def test_another_sensor_or_date_sees_a_place_in_the_same_split(latitude, seed):
    """30 m pixels of a neighbouring zone and 10 m pixels of the own one: one ground, one split."""
    dealing = Dealing(side_m=2_000, seed=seed)
    x, y = 500_000.0, 10_000_000.0 + latitude * 111_000.0
    south = "EPSG:32733"
    fine = grid_at(x, y, pixel=10, shape=(90, 90), crs=south)
    coarse = grid_at(x, y, pixel=30, shape=(30, 30), crs=south)
    assert np.array_equal(splits_on(fine, dealing)[1::3, 1::3], splits_on(coarse, dealing))


def test_a_dealing_is_frozen_for_ever():
    """These splits are part of what a recipe's digest means."""
    dealing = Dealing(side_m=1_000, seed=7)
    dealt = [SPLITS.index(dealing.split(Block(col, 3))) for col in range(20)]
    assert dealt == [1, 2, 2, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_the_shares_are_those_that_were_asked_for():
    dealing = Dealing(side_m=1_000, seed=1, validation=0.2, test=0.1)
    dealt = Counter(dealing.split(Block(col, row)) for col in range(60) for row in range(60))
    assert dealt["validation"] / 3600 == pytest.approx(0.2, abs=0.02)
    assert dealt["test"] / 3600 == pytest.approx(0.1, abs=0.02)


def test_blocks_hold_the_same_ground_at_every_latitude():
    for latitude in (0.0, 46.0, 70.0):
        top = 10_000_000.0 + latitude * 111_000
        grid = grid_at(400_000, top, pixel=100, shape=(400, 400), crs="EPSG:32733")
        cols, rows = blocks_on(grid, side_m=8_000)
        _, counts = np.unique(cols * 100_000 + rows, return_counts=True)
        assert counts.max() * 0.01 == pytest.approx(64.0, rel=0.02)  # square km of a whole block


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 46.0, 65.0]))
def test_what_splits_on_deals_never_leaks(seed, latitude):
    """Cut the grid into its pixels' splits; the pieces keep the margin, less half a pixel's diagonal each."""
    dealing = Dealing(side_m=2_000, seed=seed, validation=0.3, test=0.3, margin_m=300)
    grid = grid_at(500_000, 10_000_000.0 + latitude * 111_000, pixel=100, shape=(30, 30), crs="EPSG:32733")
    dealt = splits_on(grid, dealing)
    pieces = []
    for row in range(0, 30, 2):
        for col in range(0, 30, 2):
            part = dealt[row : row + 2, col : col + 2]
            if part.min() != part.max() or part.min() == NEITHER:
                continue
            cut = GeoBox((2, 2), grid.affine @ Affine.translation(col, row), grid.crs)
            pieces.append(
                Piece(f"{row} {col}", SPLITS[part.min()], footprint(cut), date(2021, 6, 1 + row % 20))
            )
    refuse_leaks(pieces, side_m=2_000, margin_m=300 - 1.5 * 71)


def test_pixels_within_the_margin_of_another_split_belong_to_nobody():
    dealing = Dealing(side_m=2_000, seed=3, validation=0.3, test=0.3, margin_m=400)
    grid = grid_at(500_000, 5_100_000)
    with_margin = splits_on(grid, dealing)
    without = splits_on(grid, Dealing(side_m=2_000, seed=3, validation=0.3, test=0.3))
    assert (with_margin == NEITHER).any()
    kept = with_margin != NEITHER
    assert np.array_equal(with_margin[kept], without[kept])
    for row, col in np.argwhere(kept)[::37]:
        near = without[max(0, row - 3) : row + 4, max(0, col - 3) : col + 4]
        inner = near[:, :]
        distance = (
            np.hypot(*np.indices(inner.shape) - np.array([min(row, 3), min(col, 3)])[:, None, None]) * 100
        )
        assert (inner[distance < 320] == without[row, col]).all()


def test_the_same_ground_on_another_date_leaks():
    ground = footprint(grid_at(500_000, 5_100_000, shape=(10, 10)))
    pieces = [
        Piece("June", "train", ground, date(2021, 6, 1)),
        Piece("August", "validation", ground, date(2021, 8, 1)),
    ]
    with pytest.raises(DataError, match="the same ground on other dates") as caught:
        refuse_leaks(pieces, side_m=10_000)
    assert caught.value.reason is Reason.SPLIT_LEAKS


def test_two_splits_in_one_block_leak_though_they_do_not_touch():
    block = shapely.box(15.0, 46.0, 15.001, 46.001), shapely.box(15.003, 46.003, 15.004, 46.004)
    assert block_at(15.0005, 46.0005, side_m=5_000) == block_at(15.0035, 46.0035, side_m=5_000)
    leaks = find_leaks([Piece("here", "train", block[0]), Piece("there", "test", block[1])], side_m=5_000)
    assert [leak.kind for leak in leaks] == ["block"]
    assert "here of train and there of test share a block" in leaks[0].sentence


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 75), st.floats(0.2, 3.0))
def test_ground_nearer_to_another_splits_block_than_the_margin_leaks(latitude, factor):
    """`out` begins `factor` margins east of the block of `in`, measured on the ground."""
    side, margin = 20_000.0, 1_000.0
    first = block_at(10.0, latitude, side_m=side)
    from pyproj import Transformer

    back = Transformer.from_crs("EPSG:6933", "EPSG:4326", always_xy=True)
    edge_lon, lat = back.transform((first.col + 1) * side, (first.row + 0.5) * side)
    degree = 111_320.0 * np.cos(np.radians(lat))
    inside = shapely.box(edge_lon - 2_000 / degree, lat, edge_lon - 1_000 / degree, lat + 0.001)
    start = edge_lon + factor * margin / degree
    outside = shapely.box(start, lat, start + 500 / degree, lat + 0.001)
    leaks = find_leaks(
        [Piece("in", "train", inside), Piece("out", "test", outside)], side_m=side, margin_m=margin
    )
    if factor < 0.97:
        assert [leak.kind for leak in leaks] == ["margin"]
    elif factor > 2.05:  # `in` lies 1 margin from the edge of the block that `out` occupies
        assert leaks == ()


def test_pieces_of_one_split_never_leak():
    ground = footprint(grid_at(500_000, 5_100_000))
    refuse_leaks([Piece("a", "train", ground), Piece("b", "train", ground)], side_m=1_000, margin_m=100)


def test_shares_count_overlapping_ground_once():
    ground = footprint(grid_at(500_000, 5_100_000, shape=(100, 100)))  # 100 square km
    found = shares([Piece("a", "train", ground), Piece("b", "train", ground)])
    assert found["train"] == pytest.approx(100.0, rel=0.01)
    assert found["test"] == 0.0


def test_a_dealing_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(ConfigError, match="nothing to train on"):
        Dealing(side_m=1_000, validation=0.5, test=0.5)
    with pytest.raises(ConfigError, match="less than a third"):
        Dealing(side_m=1_000, margin_m=400)


def test_a_grid_without_a_place_lies_in_no_block():
    with pytest.raises(DataError, match="lies in no block"):
        splits_on(GeoBox((4, 4), Affine.identity(), None), Dealing(side_m=1_000))
