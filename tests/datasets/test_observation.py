"""An observation as arrays and as a scene are one and the same thing."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.datasets.observation import ArrayBand, Observation, Place, as_scene
from undersky.grid import Window, footprint_lonlat, resolution_m, whole

PLACE = Place(46.0, 10.0, datetime(2019, 7, 23, 10, 20, tzinfo=UTC), 20.0)


def observation(sensor="S2A", *, bands=None, shape=(6, 8), **changes) -> Observation:
    known = SENSORS[sensor]
    names = bands or tuple(band.name for band in known.corrected_bands)
    toa = np.random.default_rng(1).uniform(0.05, 0.4, (len(names), *shape)).astype(np.float32)
    whole_observation = Observation(
        id="test",
        sensor=known,
        bands=names,
        toa=toa,
        sun_zenith=40.0,
        view_zenith=5.0,
        relative_azimuth=70.0,
        ozone_dobson=310.0,
        altitude_km=0.4,
        place=PLACE,
    )
    return replace(whole_observation, **changes)


def test_a_scene_delivers_exactly_the_observed_pixels():
    seen = observation()
    scene = as_scene(seen)
    for index, name in enumerate(seen.bands):
        source = scene.bands[name]
        assert np.array_equal(source.toa_reflectance(whole(source.grid)), seen.toa[index])


def test_a_window_of_the_scene_is_a_window_of_the_array():
    seen = observation()
    source = as_scene(seen).bands["B03"]
    assert np.array_equal(source.toa_reflectance(Window(1, 2, 3, 4)), seen.toa[2, 1:4, 2:6])
    values, saturated = source.observed(Window(1, 2, 3, 4))
    assert np.array_equal(values, seen.toa[2, 1:4, 2:6])
    assert not saturated.any()


@given(zenith=st.floats(0, 75), azimuth=st.floats(0, 180), ozone=st.floats(180, 500))
def test_a_scene_keeps_geometry_and_ozone(zenith, azimuth, ozone):
    scene = as_scene(observation(sun_zenith=zenith, relative_azimuth=azimuth, ozone_dobson=ozone))
    assert np.allclose(scene.angles.sun_zenith, zenith, atol=1e-4)
    assert np.allclose(scene.angles.relative_azimuth("B02"), azimuth, atol=1e-3)
    assert scene.prior is not None
    assert scene.prior.ozone_dobson is not None
    assert np.allclose(scene.prior.ozone_dobson, ozone, atol=1e-3)
    assert scene.prior.aot_550 is None


@given(latitude=st.floats(-70, 70), longitude=st.floats(-179, 179))
def test_a_scene_lies_at_its_place(latitude, longitude):
    place = replace(PLACE, latitude=latitude, longitude=longitude)
    ring = np.array(footprint_lonlat(as_scene(observation(place=place)).grid))
    assert abs(ring[:, 1].mean() - latitude) < 0.5
    # only the UTM zone is kept of the longitude
    assert abs(ring[:, 0].mean() - longitude) < 3.1


def test_a_scene_has_the_pixel_size_of_its_place():
    assert resolution_m(as_scene(observation()).grid) == 20.0


def test_a_band_that_was_not_observed_is_absent_from_the_scene():
    scene = as_scene(observation(bands=("B02", "B03", "B04", "B08")))
    assert set(scene.bands) == {"B02", "B03", "B04", "B08"}


def test_a_landsat_observation_is_a_landsat_scene():
    scene = as_scene(observation("L9"))
    assert scene.level == "L1TP"
    assert scene.sensor.key == "L9"


def test_reduction_takes_the_mean_of_each_block():
    seen = observation(shape=(6, 8))
    source = as_scene(seen).bands["B02"]
    reduced = source.toa_reflectance(whole(source.grid), shape=(3, 4))
    expected = seen.toa[1].reshape(3, 2, 4, 2).mean(axis=(1, 3))
    assert np.allclose(reduced, expected, atol=1e-6)


@given(rows=st.integers(1, 9), cols=st.integers(1, 11))
def test_reduction_of_a_constant_is_that_constant(rows, cols):
    band = ArrayBand(as_scene(observation(shape=(9, 11))).grid, np.full((9, 11), 0.25, dtype=np.float32))
    reduced = band.toa_reflectance(Window(0, 0, 9, 11), shape=(rows, cols))
    assert reduced.shape == (rows, cols)
    assert np.allclose(reduced, 0.25)


def test_nodata_leaves_a_block_its_other_pixels_and_empties_it_only_with_them():
    values = np.full((4, 4), 0.2, dtype=np.float32)
    values[0, 0] = np.nan
    values[2:, 2:] = np.nan
    band = ArrayBand(as_scene(observation(shape=(4, 4))).grid, values)
    reduced = band.toa_reflectance(Window(0, 0, 4, 4), shape=(2, 2))
    assert reduced[0, 0] == pytest.approx(0.2)
    assert np.isnan(reduced[1, 1])
    assert np.isfinite(reduced).sum() == 3


def test_bands_out_of_order_are_refused():
    with pytest.raises(ValueError, match="no ordered subset"):
        observation(bands=("B03", "B02"))


def test_an_unknown_band_is_refused():
    with pytest.raises(ValueError, match="no ordered subset"):
        observation(bands=("B02", "B99"))


def test_an_array_with_too_few_bands_is_refused():
    with pytest.raises(ValueError, match="an array of shape"):
        observation(toa=np.zeros((3, 4, 4), dtype=np.float32))
