"""The real place: labels, blocks, and that nothing leaks between them."""

from pathlib import Path

import numpy as np
import pytest

from undersky.datasets.landuse import (
    BLOCK_COLS,
    BLOCK_ROWS,
    FOLDS,
    GAP,
    IGNORED,
    blocks,
    held_out,
    read_landuse,
    refuse_leak,
    training_labels,
)
from undersky.errors import ConfigError, DataError, Reason
from undersky.landcover import SLUGS

SHAPE = (67, 100)


def test_blocks_cover_the_place_once_and_every_fold_has_some() -> None:
    covered = np.zeros(SHAPE, dtype=int)
    found = list(blocks(SHAPE))
    for _, (rows, cols) in found:
        covered[rows, cols] += 1
    assert (covered == 1).all()
    assert len(found) == BLOCK_ROWS * BLOCK_COLS
    assert {fold for fold, _ in found} == set(FOLDS)


def test_folds_together_hold_out_everything_once() -> None:
    assert (np.sum([held_out(SHAPE, fold) for fold in FOLDS], axis=0) == 1).all()


def test_training_labels_keep_a_gap_from_what_is_held_out() -> None:
    labels = training_labels(np.zeros(SHAPE, dtype=np.int64), "1")
    out = held_out(SHAPE, "1")
    rows, cols = np.nonzero(labels != IGNORED)
    near = [
        out[max(0, r - GAP) : r + GAP + 1, max(0, c - GAP) : c + GAP + 1].any()
        for r, c in zip(rows, cols, strict=True)
    ]
    assert rows.size
    assert not any(near)
    refuse_leak(labels, "1")


def test_a_label_inside_the_held_out_fold_is_a_leak() -> None:
    labels = training_labels(np.zeros(SHAPE, dtype=np.int64), "1")
    row, col = (int(axis[0]) for axis in np.nonzero(held_out(SHAPE, "1")))
    labels[row, col] = 3
    with pytest.raises(DataError, match=rf"the first at \({row}, {col}\)") as caught:
        refuse_leak(labels, "1")
    assert caught.value.reason is Reason.SPLIT_LEAKS


def test_without_a_fold_every_label_is_trained_on() -> None:
    labels = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(training_labels(labels, None), labels)


def test_an_unknown_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="no fold 'north'"):
        held_out(SHAPE, "north")


def test_a_missing_place_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="UNDERSKY_SAMPLES"):
        read_landuse(tmp_path)


@pytest.mark.oracle
def test_the_real_place_has_five_dates_in_order_three_of_them_clear(samples: Path) -> None:
    place = read_landuse(samples)
    days = [look.place.acquired.date().isoformat() for look in place.looks]
    assert days == sorted(days)
    assert len(days) == 5
    assert (place.cloudy.mean(axis=(1, 2)) < 0.5).sum() == 3
    assert (place.labels == SLUGS.index("tree_cover")).sum() == 5263
    assert (place.labels == IGNORED).sum() == 155
    assert all(20.0 < look.sun_zenith < 50.0 for look in place.looks)
