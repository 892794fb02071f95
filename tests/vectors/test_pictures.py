"""Chips and frames."""

import io

import numpy as np
from PIL import Image
from shapely import box

from undersky.vectors.pictures import CHIP_PIXELS, chip_of, framed


def opened(chip: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(chip)))


def test_a_chip_shows_its_object_in_the_middle() -> None:
    picture = np.zeros((200, 300, 3), dtype=np.uint8)
    picture[99:101, 149:151] = 255
    chip = opened(chip_of(picture, (100.0, 150.0)))
    assert chip.shape == (CHIP_PIXELS, CHIP_PIXELS, 3)
    half = CHIP_PIXELS // 2
    assert chip[half - 1 : half + 1, half - 1 : half + 1].min() == 255
    assert chip.sum() == 255 * 3 * 4


def test_a_chip_at_the_corner_of_a_scene_is_black_beyond_it() -> None:
    picture = np.full((200, 300, 3), 90, dtype=np.uint8)
    for row, col in ((1.0, 2.0), (199.0, 299.0)):
        chip = opened(chip_of(picture, (row, col)))
        assert chip.shape == (CHIP_PIXELS, CHIP_PIXELS, 3)
        assert 0.2 < (chip > 0).mean() < 0.4


def test_a_scene_smaller_than_a_chip_has_chips() -> None:
    chip = opened(chip_of(np.full((20, 20, 3), 90, dtype=np.uint8), (10.0, 10.0)))
    assert (chip > 0).sum() == 20 * 20 * 3


def test_a_frame_is_seen_however_small_the_object_and_leaves_the_rest() -> None:
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    out = framed(picture, [box(400, 200, 403, 204)], scale=(0.1, 0.1))
    changed = np.argwhere(out.any(axis=2))
    assert len(changed) > 20
    assert np.abs(changed.mean(axis=0) - (20.2, 40.15)).max() < 1.0
    assert not out[20, 40].any()
    np.testing.assert_array_equal(framed(picture, [], scale=(0.1, 0.1)), picture)
