"""The sensors' noise, against what their makers published and what real metadata says of the sun."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.bands import SENSORS
from undersky.synth.sensor_noise import _MSI, _OLI, MSI_IRRADIANCE, noise_sigma

# Sentinel-2 User Handbook, table 1: reference radiance (W/m2/sr/um) and signal-to-noise ratio there.
HANDBOOK = {
    "B01": (129, 129), "B02": (128, 154), "B03": (128, 168), "B04": (108, 142), "B05": (74.5, 117),
    "B06": (68, 89), "B07": (67, 105), "B08": (103, 174), "B8A": (52.5, 72), "B09": (9, 114),
    "B10": (6, 50), "B11": (4, 100), "B12": (1.5, 100),
}  # fmt: skip
# Irons, Dwyer & Barsi 2012, table 3: typical radiance and required ratio.
IRONS = {
    "B1": (40, 130), "B2": (40, 130), "B3": (30, 100), "B4": (22, 90), "B5": (14, 90), "B6": (4, 100),
    "B7": (1.7, 100), "B8": (23, 80), "B9": (6, 50),
}  # fmt: skip
PUBLISHED = [("S2B", name, *values) for name, values in HANDBOOK.items()]
PUBLISHED += [("L8", name, *values) for name, values in IRONS.items()]


def sigma(sensor: str, band: str, toa: float, sun: float = 0.0) -> float:
    return float(noise_sigma(SENSORS[sensor], band, toa=np.array([toa], np.float32), sun_zenith=sun)[0])


@pytest.mark.oracle
@pytest.mark.parametrize(("sensor", "band", "radiance", "ratio"), PUBLISHED)
def test_at_the_reference_radiance_the_ratio_is_the_published_one(sensor, band, radiance, ratio):
    irradiance = (_MSI if sensor == "S2B" else _OLI)[band].irradiance
    for sun in (0.0, 40.0, 65.0):
        reference = math.pi * radiance / (irradiance * math.cos(math.radians(sun)))
        assert reference / sigma(sensor, band, reference, sun) == pytest.approx(ratio, rel=1e-4)


def test_every_reflective_band_of_every_sensor_has_its_promise():
    for sensor in SENSORS.values():
        table = _MSI if sensor.instrument == "msi" else _OLI
        assert list(table) == [band.name for band in sensor.bands]


@given(st.sampled_from(PUBLISHED), st.floats(0.0, 1.5), st.floats(0.0, 1.5), st.floats(0, 75))
def test_variance_grows_linearly_with_the_light(promise, one, other, sun):
    sensor, band = promise[:2]
    middle = 0.5 * (one + other)
    ends = 0.5 * (sigma(sensor, band, one, sun) ** 2 + sigma(sensor, band, other, sun) ** 2)
    assert sigma(sensor, band, middle, sun) ** 2 == pytest.approx(ends, rel=1e-3)


@given(st.sampled_from(PUBLISHED), st.floats(0, 75))
def test_half_the_variance_at_the_reference_is_dark(promise, sun):
    sensor, band, radiance, _ = promise
    irradiance = (_MSI if sensor == "S2B" else _OLI)[band].irradiance
    reference = math.pi * radiance / (irradiance * math.cos(math.radians(sun)))
    both = sigma(sensor, band, reference, sun) ** 2
    assert sigma(sensor, band, 0.0, sun) ** 2 == pytest.approx(0.5 * both, rel=1e-3)


@given(st.sampled_from(PUBLISHED), st.floats(-0.5, 0.0))
def test_less_than_no_light_is_as_noisy_as_none(promise, toa):
    assert sigma(*promise[:2], toa, 30.0) == sigma(*promise[:2], 0.0, 30.0)


@given(st.sampled_from(PUBLISHED), st.floats(0, 70))
def test_in_the_dark_noise_in_reflectance_grows_as_the_sun_sinks(promise, sun):
    ratio = sigma(*promise[:2], 0.0, sun) / sigma(*promise[:2], 0.0, 0.0)
    assert ratio == pytest.approx(1 / math.cos(math.radians(sun)), rel=1e-4)


def test_one_table_serves_all_sensors_of_a_family():
    for family in (("S2A", "S2B", "S2C"), ("L8", "L9")):
        for band in SENSORS[family[0]].bands:
            assert len({sigma(key, band.name, 0.2, 30.0) for key in family}) == 1


def test_shape_is_kept_and_the_result_single_precision():
    toa = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    found = noise_sigma(SENSORS["S2A"], "B03", toa=toa, sun_zenith=20.0)
    assert found.shape == toa.shape
    assert found.dtype == np.float32
    assert (np.diff(found.ravel()) > 0).all()


@pytest.mark.oracle
def test_the_suns_irradiance_is_that_of_a_real_sentinel_2a_product(samples):
    text = next((samples / "s2-l1c-safe-t51mup-20230804-metadata").glob("*.SAFE/MTD_MSIL1C.xml")).read_text()
    theirs = [float(value) for value in re.findall(r"<SOLAR_IRRADIANCE [^>]*>([\d.]+)<", text)]
    assert list(MSI_IRRADIANCE.values()) == theirs
    assert [band.name for band in SENSORS["S2A"].bands] == list(MSI_IRRADIANCE)


@pytest.mark.oracle
def test_the_suns_irradiance_in_landsats_bands_agrees_with_a_real_calibration(samples):
    folder = samples / "landsat8-l1tp-c2-decimated-20201029"
    text = next(folder.glob("*_MTL.txt")).read_text()
    keys = dict(re.findall(r"(\w+) = ([-\d.E+]+)\n", text))
    for name, promise in _OLI.items():
        radiance = float(keys[f"RADIANCE_MAXIMUM_BAND_{name[1:]}"])
        reflectance = float(keys[f"REFLECTANCE_MAXIMUM_BAND_{name[1:]}"])
        sun = math.pi * float(keys["EARTH_SUN_DISTANCE"]) ** 2 * radiance / reflectance
        # the agency's solar spectrum is another one (ChKur): a few percent lie between them
        assert promise.irradiance == pytest.approx(sun, rel=0.07), name


def test_noise_is_far_below_what_a_scene_carries():
    for key, sensor in SENSORS.items():
        for band in sensor.corrected_bands:
            assert sigma(key, band.name, 0.2, 35.0) < 0.006
