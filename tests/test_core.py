"""Bands, quality bits, errors, settings: small values whose mistakes would be everywhere."""

import json

import numpy as np
import pytest

from undersky.bands import SENSORS
from undersky.errors import ConfigError, DataError, Reason, ServiceError, UnderskyError
from undersky.log import set_up_logs
from undersky.quality import MEANING, UNUSABLE, Quality, is_clear
from undersky.scene import INCOMPLETE, Angles, Finding
from undersky.settings import read_settings


def test_every_sensor_is_found_by_its_own_key():
    assert list(SENSORS) == ["S2A", "S2B", "S2C", "L8", "L9"]
    assert all(key == sensor.key for key, sensor in SENSORS.items())


@pytest.mark.parametrize("key", SENSORS)
def test_band_and_asset_names_are_unique(key):
    sensor = SENSORS[key]
    assert len({b.name for b in sensor.bands}) == len(sensor.bands) == len({b.asset for b in sensor.bands})


@pytest.mark.parametrize(("key", "count"), [("S2A", 12), ("S2C", 12), ("L8", 7), ("L9", 7)])
def test_cirrus_and_pan_are_never_corrected(key, count):
    corrected = SENSORS[key].corrected_bands
    assert len(corrected) == count
    assert not {b.common_name for b in corrected} & {"cirrus", "pan"}


@pytest.mark.parametrize("key", SENSORS)
def test_bands_that_both_constellations_share_have_the_same_common_name(key):
    names = {b.common_name for b in SENSORS[key].corrected_bands}
    assert {"coastal", "blue", "green", "red", "nir08", "swir16", "swir22"} <= names


def test_a_band_answers_to_its_name_and_its_asset():
    assert SENSORS["L9"].band("SR_B4") is SENSORS["L9"].band("B4")


def test_an_unknown_band_is_refused_with_the_ones_there_are():
    with pytest.raises(ConfigError, match="L8 has no band 'B8A'; it has B1 B2"):
        SENSORS["L8"].band("B8A")


@pytest.mark.parametrize(("error", "code"), [(ConfigError("x"), 2), (ServiceError("x"), 75)])
def test_errors_carry_the_exit_code_of_who_must_act(error, code):
    assert isinstance(error, UnderskyError)
    assert error.exit_code == code


def test_a_data_error_carries_its_reason():
    error = DataError(Reason.OFFSET_UNKNOWN, "no offsets")
    assert (error.exit_code, error.reason, str(error)) == (3, "offset_unknown", "no offsets")


def test_quality_bits_are_where_the_product_contract_puts_them():
    names = "NODATA CLOUD CLOUD_SHADOW CIRRUS SNOW WATER SATURATED FALLBACK OUTSIDE_TABLES"
    expected = [*names.split(), "INCOMPLETE_TESTING", "TERRAIN_SHADOW"]
    assert [(bit.name, bit.value) for bit in Quality] == [(n, 1 << i) for i, n in enumerate(expected)]
    assert set(MEANING) == set(Quality)


@pytest.mark.parametrize("bit", Quality)
def test_only_unusable_bits_hide_the_ground(bit):
    pixels = np.array([[0, bit]], dtype=np.uint16)
    np.testing.assert_array_equal(is_clear(pixels), [[True, not bit & UNUSABLE]])


def test_relative_azimuth_folds_across_north():
    def field(value):
        return np.full((2, 2), value, dtype=np.float32)

    angles = Angles(field(30), field(350), {"B02": field(5)}, {"B02": field(20)})
    np.testing.assert_allclose(angles.relative_azimuth("B02"), 30.0)


def test_a_warning_about_the_grid_does_not_make_testing_incomplete():
    assert Finding.GRID_SIZE_DIFFERS not in INCOMPLETE
    assert Finding.VIEW_ANGLES_ASSUMED_NADIR in INCOMPLETE


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("UNDERSKY_THREADS", "7")
    assert read_settings().threads == 7


def test_a_setting_out_of_range_is_refused_by_its_name(monkeypatch):
    monkeypatch.setenv("UNDERSKY_THREADS", "0")
    with pytest.raises(ConfigError, match="UNDERSKY_THREADS='0' cannot be used"):
        read_settings()


def test_logs_are_one_json_line_an_event(capsys):
    import structlog

    set_up_logs(level="info", json=True)
    structlog.get_logger().info("product corrected", scene="S2A_X", seconds=3)
    structlog.get_logger().debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["scene"], event["level"]) == ("product corrected", "S2A_X", "info")
