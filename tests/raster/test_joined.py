"""Bits of bands, cells and nodes meet on one grid."""

from pathlib import Path

import numpy as np
import pytest

from undersky.grid import Window
from undersky.quality import Quality
from undersky.raster.joined import FlagCounter, Judgement, quality_strip, saturation_strip
from undersky.raster.planes import BandPlanes

SHAPE = (12, 12)
WHOLE = Window(0, 0, 12, 12)
NO_NODES = np.zeros((2, 2), dtype=bool)


def _judgement(mask: np.ndarray | None = None, **changes: object) -> Judgement:
    values = {"fallback": NO_NODES, "outside": NO_NODES, "is_incomplete": False} | changes
    return Judgement(np.zeros((2, 2), dtype=np.uint16) if mask is None else mask, **values)


@pytest.fixture
def bands(tmp_path: Path):
    with BandPlanes(tmp_path, "fine", (12, 12)) as fine, BandPlanes(tmp_path, "coarse", (2, 2)) as coarse:
        yield fine, coarse


def test_a_clear_scene_has_no_bit_set(bands) -> None:
    assert (quality_strip(_judgement(), bands, window=WHOLE, shape=SHAPE) == 0).all()
    assert (saturation_strip(bands, window=WHOLE, shape=SHAPE) == 0).all()


def test_a_coarse_bands_nodata_covers_all_its_fine_pixels(bands) -> None:
    bands[1].nodata.write(0, np.array([[True, False], [False, False]]))
    bands[0].nodata.write(11, np.eye(1, 12, dtype=bool))
    quality = quality_strip(_judgement(), bands, window=WHOLE, shape=SHAPE)
    expected = np.zeros(SHAPE, dtype=np.uint16)
    expected[:6, :6] = expected[11, 0] = Quality.NODATA
    assert (quality == expected).all()


def test_saturation_sets_the_bit_of_its_band_and_the_any_band_bit(bands) -> None:
    bands[1].saturated.write(1, np.array([[False, True]]))
    bands[0].saturated.write(7, np.ones((1, 12), dtype=bool))
    saturation = saturation_strip(bands, window=WHOLE, shape=SHAPE)
    assert saturation[7].tolist() == [1] * 6 + [3] * 6
    assert saturation[8].tolist() == [0] * 6 + [2] * 6
    quality = quality_strip(_judgement(), bands, window=WHOLE, shape=SHAPE)
    assert ((quality & Quality.SATURATED) > 0).tolist() == (saturation > 0).tolist()


def test_strips_join_to_the_whole(bands) -> None:
    generator = np.random.default_rng(5)
    bands[0].nodata.write(0, generator.random((12, 12)) > 0.6)
    bands[1].saturated.write(0, generator.random((2, 2)) > 0.4)
    judgement = _judgement(generator.choice([0, 2, 34], (4, 4)).astype(np.uint16), is_incomplete=True)
    whole = quality_strip(judgement, bands, window=WHOLE, shape=SHAPE)
    parts = [
        quality_strip(judgement, bands, window=Window(r, 0, 5 if r < 10 else 2, 12), shape=SHAPE)
        for r in (0, 5, 10)
    ]
    assert (np.concatenate(parts) == whole).all()


def test_masks_are_repeated_not_blended() -> None:
    mask = np.array([[Quality.CLOUD, 0], [0, Quality.WATER | Quality.SNOW]], dtype=np.uint16)
    quality = quality_strip(_judgement(mask), (), window=WHOLE, shape=SHAPE)
    assert (quality == np.kron(mask, np.ones((6, 6), dtype=np.uint16))).all()


def test_incomplete_testing_is_said_of_every_pixel() -> None:
    quality = quality_strip(_judgement(is_incomplete=True), (), window=WHOLE, shape=SHAPE)
    assert (quality == Quality.INCOMPLETE_TESTING).all()


@pytest.mark.parametrize(
    ("name", "flag"), [("fallback", Quality.FALLBACK), ("outside", Quality.OUTSIDE_TABLES)]
)
def test_a_node_speaks_for_the_pixels_nearest_to_it(name: str, flag: Quality) -> None:
    nodes = np.zeros((3, 3), dtype=bool)
    nodes[1, 2] = True
    quality = quality_strip(_judgement(**{name: nodes}), (), window=WHOLE, shape=SHAPE)
    expected = np.zeros(SHAPE, dtype=np.uint16)
    expected[3:9, 9:] = flag
    assert (quality == expected).all()


def test_percentages_are_of_the_pixels_with_data() -> None:
    counter = FlagCounter()
    counter.add(np.array([[Quality.NODATA, Quality.NODATA | Quality.CLOUD]], dtype=np.uint16))
    counter.add(np.array([[Quality.CLOUD, 0], [Quality.CLOUD | Quality.WATER, 0]], dtype=np.uint16))
    percent = counter.percent()
    assert percent["nodata"] == pytest.approx(100 * 2 / 6)
    assert percent["cloud"] == pytest.approx(50.0)
    assert percent["water"] == pytest.approx(25.0)
    assert percent["snow"] == 0.0


def test_a_scene_without_any_data_divides_by_nothing() -> None:
    counter = FlagCounter()
    counter.add(np.full((3, 3), Quality.NODATA, dtype=np.uint16))
    assert counter.percent()["cloud"] == 0.0
    assert counter.percent()["nodata"] == 100.0
