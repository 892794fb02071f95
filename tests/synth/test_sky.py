"""Clouds, their shadows and cirrus."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.quality import Quality
from undersky.synth.fractal import Frame
from undersky.synth.sky import Directions, Sky, cirrus_reflectance, cloud_reflectance, make_sky

FRAME = Frame(240, 240, 40.0, 5e5, 5e6)
NADIR = Directions(sun_zenith=40.0, sun_azimuth=90.0, view_zenith=0.0, view_azimuth=0.0)
SMALL = settings(max_examples=15, deadline=None)


def sky(directions: Directions = NADIR, *, cloud: float = 0.25, cirrus: float = 0.0, seed: int = 1) -> Sky:
    generator = np.random.default_rng(seed)
    return make_sky(FRAME, directions, cloud_cover=cloud, cirrus_cover=cirrus, generator=generator)


@SMALL
@given(st.floats(0.02, 0.9), st.integers(0, 100))
def test_cloud_cover_is_about_what_was_asked(cover, seed):
    assert abs(float((sky(cloud=cover, seed=seed).opacity > 0.3).mean()) - cover) < 0.06


@SMALL
@given(st.floats(0.05, 0.9), st.integers(0, 100))
def test_cirrus_cover_is_about_what_was_asked(cover, seed):
    assert abs(float((sky(cloud=0.0, cirrus=cover, seed=seed).cirrus > 0).mean()) - cover) < 0.03


def test_a_clear_sky_holds_nothing():
    clear = sky(cloud=0.0)
    for field in (clear.opacity, clear.thickness, clear.shadow, clear.cirrus):
        assert not field.any()
    assert not clear.quality().any()


def test_a_full_cover_hides_everything():
    assert sky(cloud=1.0).opacity.min() > 0.99


@SMALL
@given(st.integers(0, 50), st.floats(0.05, 0.8), st.floats(0.0, 0.8))
def test_every_field_stays_in_its_range(seed, cloud, cirrus):
    found = sky(cloud=cloud, cirrus=cirrus, seed=seed)
    for field in (found.opacity, found.thickness, found.shadow):
        assert field.dtype == np.float32
        assert 0 <= field.min() <= field.max() <= 1
    assert 0 <= found.cirrus.min() <= found.cirrus.max() < 0.12


@pytest.mark.parametrize(
    ("azimuth", "rows", "cols"), [(90.0, 0, -1), (180.0, -1, 0), (270.0, 0, 1), (0.0, 1, 0)]
)
def test_a_shadow_lies_away_from_the_sun_as_far_as_its_height_says(azimuth, rows, cols):
    found = sky(Directions(sun_zenith=45.0, sun_azimuth=azimuth, view_zenith=0.0, view_azimuth=0.0))
    shift = found.top_m * math.tan(math.radians(45.0)) / FRAME.pixel_m
    moved = np.roll(found.opacity, (round(rows * shift), round(cols * shift)), axis=(0, 1))
    inner = slice(90, -90)
    assert np.abs(found.shadow[inner, inner] - moved[inner, inner]).mean() < 0.05
    assert found.shadow[inner, inner].std() > 0.05


def test_with_the_sun_behind_the_sensor_the_cloud_hides_its_own_shadow():
    aligned = sky(Directions(sun_zenith=8.0, sun_azimuth=100.0, view_zenith=8.0, view_azimuth=100.0))
    np.testing.assert_allclose(aligned.shadow, aligned.opacity, atol=1e-4)
    assert not (aligned.quality() & np.uint16(Quality.CLOUD_SHADOW)).any()


def test_a_tilted_view_displaces_the_cloud_away_from_the_sensor():
    upright = sky()
    tilted = sky(Directions(sun_zenith=40.0, sun_azimuth=90.0, view_zenith=10.0, view_azimuth=90.0))
    shift = round(upright.top_m * math.tan(math.radians(10.0)) / FRAME.pixel_m)
    moved = np.roll(upright.opacity, -shift, axis=1)
    assert np.abs(tilted.opacity - moved)[:, 30:-30].mean() < 0.1


def test_clouds_have_thin_edges_and_thick_middles():
    found = sky()
    edge = (found.opacity > 0.05) & (found.opacity < 0.95)
    assert edge.mean() > 0.01
    assert found.thickness[found.opacity > 0.99].mean() > 3 * found.thickness[edge].mean()


def test_bits_say_cloud_over_shadow_and_cirrus():
    bits = sky(cloud=0.3, cirrus=0.5).quality()
    cloud = (bits & np.uint16(Quality.CLOUD)) != 0
    assert cloud.any()
    assert not (bits[cloud] & np.uint16(Quality.CLOUD_SHADOW | Quality.CIRRUS)).any()
    assert (bits & np.uint16(Quality.CLOUD_SHADOW)).any()
    assert (bits & np.uint16(Quality.CIRRUS)).any()
    assert not (bits & ~np.uint16(Quality.CLOUD | Quality.CLOUD_SHADOW | Quality.CIRRUS)).any()


def test_a_coarser_sky_is_the_mean_of_the_finer_one():
    fine = sky(cirrus=0.4)
    coarse = fine.seen_by(6)
    assert coarse.opacity.shape == (40, 40)
    np.testing.assert_allclose(coarse.opacity.mean(), fine.opacity.mean(), rtol=1e-4)
    assert coarse.top_m == fine.top_m
    assert fine.seen_by(1) is fine


def test_the_same_generator_makes_the_same_sky():
    np.testing.assert_array_equal(sky(seed=7).opacity, sky(seed=7).opacity)
    assert np.abs(sky(seed=7).opacity - sky(seed=8).opacity).mean() > 0.05


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([443.0, 665.0, 865.0, 1610.0, 2200.0]))
def test_thicker_clouds_are_brighter_and_none_reflects_all(one, other, wavelength):
    thin, thick = (
        float(cloud_reflectance(np.array([v], np.float32), wavelength)[0]) for v in sorted((one, other))
    )
    assert 0 < thin <= thick < 0.9


def test_clouds_and_cirrus_darken_towards_the_infrared():
    thick, veil = np.ones(1, np.float32), np.full(1, 0.05, np.float32)
    assert (
        cloud_reflectance(thick, 490.0) > cloud_reflectance(thick, 1610.0) > cloud_reflectance(thick, 2200.0)
    )
    assert cirrus_reflectance(veil, 490.0) > cirrus_reflectance(veil, 2200.0)
