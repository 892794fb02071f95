"""Peaks and pieces become boxes; boxes do not depend on where a scene was cut."""

import dataclasses

import numpy as np
import pytest
import shapely

from object_models import bright_model, sea, with_ship
from undersky.errors import DataError, Reason
from undersky.inference.objects import (
    ObjectSettings,
    beside_water,
    box_measures,
    cloudy,
    decode_objects,
    find_objects,
    moved,
    reach_pixels,
    require_objects,
    spectral_water,
    where_to_look,
)
from undersky.models.segmentation import SegmentationNetwork, Segmenter
from undersky.quality import Quality

SETTINGS = ObjectSettings()


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return bright_model()


def everywhere(values: np.ndarray) -> np.ndarray:
    return np.ones(values.shape[1:], dtype=bool)


def test_a_ship_is_found_where_it_lies_with_its_length_width_and_heading(model: Segmenter) -> None:
    values = with_ship(sea(120, 140), 50, 60, rows=4, cols=10)
    (one,) = find_objects(model, values, everywhere(values))
    assert (one.row, one.col) == pytest.approx((52.0, 65.0), abs=0.01)
    assert (one.length_m, one.width_m) == pytest.approx((100.0, 40.0), abs=0.1)
    assert one.heading_deg == pytest.approx(90.0, abs=0.1)
    assert 0.5 < one.score <= 1.0


def test_empty_water_holds_nothing(model: Segmenter) -> None:
    values = sea(64, 64)
    assert find_objects(model, values, everywhere(values)) == ()


def test_a_ship_is_not_looked_for_where_it_may_not_lie(model: Segmenter) -> None:
    values = with_ship(sea(100, 100), 40, 40)
    allowed = everywhere(values)
    allowed[:, :60] = False
    assert find_objects(model, values, allowed) == ()
    assert find_objects(model, values, np.zeros_like(allowed)) == ()


def test_nodata_holds_nothing_and_breaks_nothing(model: Segmenter) -> None:
    values = with_ship(sea(100, 100), 40, 40)
    values[:, :30] = np.nan
    assert len(find_objects(model, values, everywhere(values))) == 1


def test_the_surest_comes_first(model: Segmenter) -> None:
    values = with_ship(with_ship(sea(100, 160), 20, 20, rows=3, cols=3), 60, 90, rows=6, cols=12)
    scores = [one.score for one in find_objects(model, values, everywhere(values))]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)


def test_two_ships_side_by_side_are_two(model: Segmenter) -> None:
    values = with_ship(with_ship(sea(100, 100), 40, 40, rows=12, cols=5), 40, 46, rows=12, cols=5)
    found = find_objects(model, values, everywhere(values))
    assert len(found) == 2
    boxes = [one.box for one in found]
    assert boxes[0].intersection(boxes[1]).area < 0.2 * boxes[0].area


def test_an_object_does_not_depend_on_where_the_scene_was_cut(model: Segmenter) -> None:
    chance = np.random.default_rng(4)
    values = sea(600, 400)
    for _ in range(25):
        with_ship(values, *chance.integers(5, [590, 385]), rows=int(chance.integers(3, 7)))
    values += chance.normal(0.0, 0.003, values.shape).astype(np.float32)
    water = spectral_water(values[1], values[3])
    whole = find_objects(model, values, beside_water(water, SETTINGS, pixel_m=10.0))
    reach = -(-reach_pixels(model) // 8) * 8
    parts = []
    for first in range(0, 600, 200):
        top, bottom = max(0, first - reach), min(600, first + 200 + reach)
        allowed = beside_water(water[top:bottom], SETTINGS, pixel_m=10.0)
        found = find_objects(model, values[:, top:bottom], allowed)
        parts += [moved(one, rows=top, cols=0) for one in found if first <= one.peak[0] + top < first + 200]
    assert len(whole) > 15
    told = [sorted((one.peak, round(one.score, 4), one.box.wkt) for one in some) for some in (whole, parts)]
    assert told[0] == told[1]


def test_a_peak_without_any_piece_around_it_is_one_pixel() -> None:
    found = np.zeros((2, 40, 40), dtype=np.float32)
    found[1, 18:23, 18:23] = 0.9
    (one,) = decode_objects(found, np.ones((40, 40), dtype=bool), threshold=0.3, pixel_m=10.0)
    assert one.peak == (20, 20)
    assert (one.length_m, one.width_m) == pytest.approx((10.0, 10.0))


def test_a_plateau_of_certainty_is_one_object() -> None:
    found = np.zeros((2, 40, 40), dtype=np.float32)
    found[:, 18:22, 10:13] = 1.0
    assert len(decode_objects(found, np.ones((40, 40), dtype=bool), threshold=0.3, pixel_m=10.0)) == 1


def test_raising_the_threshold_only_takes_objects_away(model: Segmenter) -> None:
    chance = np.random.default_rng(2)
    found = chance.uniform(0, 1, (2, 40, 40)).astype(np.float32)
    allowed = np.ones((40, 40), dtype=bool)
    few, many = (
        {one.peak for one in decode_objects(found, allowed, threshold=at, pixel_m=10.0)} for at in (0.6, 0.5)
    )
    assert few < many


@pytest.mark.parametrize("turn", [0.0, 25.0, 90.0, 133.0])
def test_the_measures_of_a_box_are_those_it_was_made_with(turn: float) -> None:
    box = shapely.affinity.rotate(shapely.box(-2, -9, 2, 9), turn, origin=(0, 0))
    length, width, heading = box_measures(box, pixel_m=10.0)
    assert (length, width) == pytest.approx((180.0, 40.0))
    assert heading % 180.0 == pytest.approx(turn, abs=1e-6)


def test_a_moored_ship_counts_as_beside_water_and_a_town_does_not() -> None:
    water = np.zeros((200, 200), dtype=bool)
    water[:, 100:] = True
    allowed = beside_water(water, SETTINGS, pixel_m=10.0)
    assert allowed[50, 96:].all()
    assert not allowed[:, :96].any()


def test_puddles_are_no_harbour() -> None:
    water = np.zeros((200, 200), dtype=bool)
    water[90:100, 90:100] = True
    assert not beside_water(water, SETTINGS, pixel_m=10.0).any()
    speckle = np.random.default_rng(0).random((200, 200)) < 0.2
    assert beside_water(speckle, SETTINGS, pixel_m=10.0).mean() < 0.05


def test_a_surer_mask_decides_which_waters_there_are() -> None:
    water = np.ones((100, 100), dtype=bool)
    body = np.zeros((100, 100), dtype=bool)
    body[:, 70:] = True
    allowed = beside_water(water, SETTINGS, pixel_m=10.0, body=body)
    assert allowed[:, 70:].all()
    assert not allowed[:, :40].any()


def test_a_ship_taken_for_a_cloud_is_still_looked_for_and_a_real_cloud_is_not() -> None:
    green = np.full((200, 200), 0.05, dtype=np.float32)
    nir = np.full((200, 200), 0.02, dtype=np.float32)
    bits = np.full((200, 200), Quality.WATER, dtype=np.uint16)
    bits[20:26, 20:50] = Quality.CLOUD
    bits[100:160, 100:160] = Quality.CLOUD
    bits[190:] = Quality.NODATA
    allowed = where_to_look(green, nir, bits, settings=SETTINGS, pixel_m=10.0)
    assert allowed[20:26, 20:50].all()
    assert not allowed[105:155, 105:155].any()
    assert not allowed[190:].any()


def test_without_water_by_the_mask_nothing_is_looked_for() -> None:
    shape = (50, 50)
    bits = np.zeros(shape, dtype=np.uint16)
    dark = np.zeros(shape, dtype=np.float32)
    assert not where_to_look(dark + 0.1, dark, bits, settings=SETTINGS, pixel_m=10.0).any()


def test_where_no_water_is_asked_for_objects_may_lie_anywhere_near_enough(model: Segmenter) -> None:
    settings = ObjectSettings(beside_water_m=5000.0, water_share=0.0, water_box_m=5000.0)
    dark, bits = np.full((40, 40), 0.01, dtype=np.float32), np.zeros((40, 40), dtype=np.uint16)
    assert where_to_look(dark + 0.1, dark, bits, settings=settings, pixel_m=10.0).all()
    far = dataclasses.replace(model.config, settings=dataclasses.asdict(settings))
    assert reach_pixels(Segmenter(SegmentationNetwork(far).eval())) > 500


def test_water_is_where_green_exceeds_the_near_infrared_and_nodata_is_none() -> None:
    green = np.array([0.05, 0.05, 0.002, np.nan, np.nan], dtype=np.float32)
    nir = np.array([0.03, 0.30, 0.004, 0.03, np.nan], dtype=np.float32)
    assert spectral_water(green, nir).tolist() == [True, False, True, False, False]


def test_water_is_also_what_is_dark_in_both_infrareds_or_darker_at_the_longer_one_than_in_green() -> None:
    green = np.array([0.06, 0.15, 0.10, 0.06], dtype=np.float32)
    nir = np.array([0.07, 0.16, 0.30, np.nan], dtype=np.float32)
    swir16 = np.array([0.07, 0.12, 0.20, 0.01], dtype=np.float32)
    assert spectral_water(green, nir, swir16).tolist() == [True, True, False, False]
    assert not spectral_water(green, nir).any()


def test_a_small_cloud_is_a_ship_and_a_wide_one_is_a_cloud() -> None:
    unclear = np.zeros((60, 60), dtype=bool)
    unclear[5:11, 5:35] = unclear[30:50, 30:50] = True
    found = cloudy(unclear)
    assert not found[:20].any()
    assert found[30:50, 30:50].all()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": 0.5, "beside_water_m": 900.0, "water_box_m": 100.0}, "beside_water_m"),
        ({"threshold": 0.5, "colour": 3.0}, "colour"),
        ({"threshold": float("nan")}, "threshold"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        ObjectSettings.of(settings)
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_a_model_that_names_no_centres_is_refused(model: Segmenter) -> None:
    other = dataclasses.replace(model.config, classes=("inside", "outside"))
    network = type(model.network)(other)
    with pytest.raises(DataError, match="inside outside"):
        require_objects(Segmenter(network))
