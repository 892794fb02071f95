import numpy as np
import pytest

from undersky.inference.quality import Look, classify, look, scene_mask
from undersky.inference.view import View
from undersky.quality import Quality

VEGETATION = {
    "blue": 0.10,
    "green": 0.09,
    "red": 0.07,
    "nir": 0.30,
    "swir16": 0.18,
    "swir22": 0.09,
    "cirrus": 0.002,
}
CLOUD = {
    "blue": 0.45,
    "green": 0.44,
    "red": 0.45,
    "nir": 0.48,
    "swir16": 0.38,
    "swir22": 0.30,
    "cirrus": 0.004,
}
SNOW = {
    "blue": 0.80,
    "green": 0.80,
    "red": 0.80,
    "nir": 0.75,
    "swir16": 0.06,
    "swir22": 0.05,
    "cirrus": 0.004,
}
WATER = {
    "blue": 0.09,
    "green": 0.07,
    "red": 0.04,
    "nir": 0.02,
    "swir16": 0.01,
    "swir22": 0.005,
    "cirrus": 0.002,
}
DESERT = {
    "blue": 0.16,
    "green": 0.22,
    "red": 0.32,
    "nir": 0.40,
    "swir16": 0.48,
    "swir22": 0.42,
    "cirrus": 0.003,
}
SHADOW = {name: 0.35 * value for name, value in VEGETATION.items()}


def scene_of(background, size=80, pixel_m=60.0):
    return {name: np.full((size, size), value, dtype=np.float32) for name, value in background.items()}


def paint(toa, surface, rows, cols):
    for name, value in surface.items():
        toa[name][rows, cols] = value


def bits(toa, *, sun_zenith=45.0, sun_azimuth=180.0):
    return classify(Look(toa, 60.0), sun_zenith=sun_zenith, sun_azimuth=sun_azimuth)


def has(quality, bit):
    return (quality & np.uint16(bit)) > 0


@pytest.mark.parametrize(
    ("surface", "expected"),
    [
        (VEGETATION, Quality(0)),
        (DESERT, Quality(0)),
        (SNOW, Quality.SNOW),
        (WATER, Quality.WATER),
        (CLOUD, Quality.CLOUD),
    ],
)
def test_a_pure_surface_is_called_what_it_is(surface, expected):
    assert set(np.unique(bits(scene_of(surface)))) == {int(expected)}


def test_thin_cirrus_is_seen_in_its_band_alone():
    toa = scene_of(VEGETATION)
    toa["cirrus"][10:20, 10:20] = 0.03
    found = has(bits(toa), Quality.CIRRUS)
    assert found[10:20, 10:20].all()
    assert found.sum() == 100


def test_without_a_cirrus_band_no_pixel_is_called_cirrus():
    toa = scene_of(VEGETATION)
    del toa["cirrus"]
    assert not has(bits(toa), Quality.CIRRUS).any()


def test_nodata_carries_no_other_statement():
    toa = scene_of(CLOUD)
    toa["nir"][:, :40] = np.nan
    quality = bits(toa)
    assert (quality[:, :40] == int(Quality.NODATA)).all()
    assert has(quality[:, 42:], Quality.CLOUD).all()


def test_a_cloud_is_grown_by_two_pixels_of_sixty_metres():
    toa = scene_of(VEGETATION)
    paint(toa, CLOUD, slice(30, 40), slice(30, 40))
    found = has(bits(toa), Quality.CLOUD)
    assert found[28, 35]
    assert not found[27, 35]


def test_a_single_bright_roof_is_no_cloud():
    toa = scene_of(VEGETATION)
    paint(toa, CLOUD, slice(30, 31), slice(30, 31))
    assert not has(bits(toa), Quality.CLOUD).any()


@pytest.mark.parametrize(
    ("sun_azimuth", "rows", "cols"),
    [
        (180.0, slice(10, 20), slice(30, 40)),  # sun in the south, shadow to the north
        (0.0, slice(50, 60), slice(30, 40)),
        (90.0, slice(30, 40), slice(10, 20)),  # sun in the east, shadow to the west
        (270.0, slice(30, 40), slice(50, 60)),
    ],
)
def test_dark_ground_behind_a_cloud_is_its_shadow(sun_azimuth, rows, cols):
    toa = scene_of(VEGETATION)
    paint(toa, CLOUD, slice(30, 40), slice(30, 40))
    paint(toa, SHADOW, rows, cols)
    shadow = has(bits(toa, sun_azimuth=sun_azimuth), Quality.CLOUD_SHADOW)
    assert shadow[rows, cols].all()
    assert shadow.sum() == 100


def test_dark_ground_towards_the_sun_is_no_shadow():
    toa = scene_of(VEGETATION)
    paint(toa, CLOUD, slice(30, 40), slice(30, 40))
    paint(toa, SHADOW, slice(50, 60), slice(30, 40))
    assert not has(bits(toa, sun_azimuth=180.0), Quality.CLOUD_SHADOW).any()


def test_a_low_sun_beyond_the_frame_throws_no_shadow_into_it():
    toa = scene_of(VEGETATION, size=20)
    paint(toa, CLOUD, slice(0, 4), slice(0, 20))
    assert not has(bits(toa, sun_zenith=75.0, sun_azimuth=180.0), Quality.CLOUD_SHADOW).any()


def test_the_mask_of_a_coarse_scene_has_its_own_pixels(make_scene):
    toa = {"B02": 0.1, "B03": 0.09, "B04": 0.07, "B8A": 0.3, "B10": 0.002, "B11": 0.18, "B12": 0.09}
    scene = make_scene(toa)
    assert View(scene).shape() == (60, 60)
    assert (scene_mask(scene) == 0).all()


def test_bands_that_are_absent_are_left_out_of_the_look(make_scene):
    scene = make_scene({"B02": 0.1, "B03": 0.09, "B04": 0.07, "B08": 0.3, "B11": 0.18, "B12": 0.09})
    seen = look(View(scene))
    assert set(seen.toa) == {"blue", "green", "red", "nir", "swir16", "swir22"}
    assert seen.pixel_m == 60.0


def test_landsat_is_looked_at_through_its_own_band_names(make_scene):
    toa = {"B2": 0.45, "B3": 0.44, "B4": 0.45, "B5": 0.48, "B6": 0.38, "B7": 0.3, "B9": 0.004}
    assert has(scene_mask(make_scene(toa, sensor="L8")), Quality.CLOUD).all()
