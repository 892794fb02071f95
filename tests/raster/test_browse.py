"""Pictures: a fixed stretch, the same for everybody."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from undersky.raster import browse


def _flat(value: float) -> np.ndarray:
    return np.full((4, 6), value, dtype=np.float32)


def test_the_stretch_is_the_documented_one() -> None:
    picture = browse.true_colour(_flat(0.0), _flat(0.0875), _flat(0.35))
    assert picture[0, 0].tolist() == [0, 128, 255]


def test_nodata_is_black_and_bright_cloud_is_white() -> None:
    assert browse.true_colour(_flat(np.nan), _flat(-0.1), _flat(2.0))[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("shape", [(10980, 10980), (172, 172), (7731, 7591), (1, 3000), (512, 2)])
def test_a_thumbnail_fits_and_keeps_its_proportions(shape: tuple[int, int]) -> None:
    rows, cols = browse.thumbnail_shape(shape)
    assert 1 <= rows <= 512
    assert 1 <= cols <= 512
    if min(shape) > 100:
        assert rows / cols == pytest.approx(shape[0] / shape[1], rel=0.01)
    if max(shape) <= 512:
        assert (rows, cols) == shape


@pytest.mark.oracle
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_written_picture_opens_and_is_the_same_bytes_again(tmp_path: Path, suffix: str) -> None:
    picture = browse.true_colour(_flat(0.1), _flat(0.2), _flat(0.3))
    for name in ("a", "b"):
        browse.write_picture(tmp_path / f"{name}.{suffix}", picture)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.size == (6, 4)
        assert np.abs(np.asarray(image).astype(int) - picture).max() <= (0 if suffix == "png" else 3)
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_before_and_after_stand_side_by_side_at_one_stretch() -> None:
    hazy, clear = (_flat(0.2),) * 3, (_flat(0.1),) * 3
    picture = browse.before_after(hazy, clear)
    assert picture.shape[1] == 2 * 6 + 8
    assert picture[-1, 0].tolist() == browse.true_colour(*hazy)[0, 0].tolist()
    assert picture[-1, -1].tolist() == browse.true_colour(*clear)[0, 0].tolist()


def test_a_difference_is_red_where_mine_is_brighter_and_white_where_equal() -> None:
    mine = np.array([[0.2, 0.1, 0.1, np.nan]], dtype=np.float32)
    theirs = np.array([[0.1, 0.2, 0.1, 0.1]], dtype=np.float32)
    picture = browse.difference(mine, theirs)[0].tolist()
    assert picture == [[255, 0, 0], [0, 0, 255], [255, 255, 255], [128, 128, 128]]
