import csv
from pathlib import Path

import numpy as np
import pytest

from undersky.atmosphere.responses import STEP_NM, band_weights, resample, responses, solar_spectrum
from undersky.atmosphere.sixs import SPECTRUM_RANGE_UM
from undersky.bands import SENSORS
from undersky.errors import ConfigError

PUBLISHED_V3 = "spectral-response/S2-SRF_COPE-GSEG-EOPG-TN-15-0007_3.0_{}.csv"


def centroid_nm(response) -> float:
    return float((response.wavelength_um * response.values).sum() / response.values.sum() * 1000)


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_every_band_lies_where_the_band_table_says(sensor: str) -> None:
    for band, response in zip(SENSORS[sensor].bands, responses(sensor), strict=True):
        assert response.band == band.name
        assert centroid_nm(response) == pytest.approx(band.wavelength_nm, abs=0.01 * band.wavelength_nm)


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_every_response_lies_on_6s_grid_inside_its_spectrum(sensor: str) -> None:
    for response in responses(sensor):
        steps = (response.first_nm - 250.0) / STEP_NM
        assert steps == pytest.approx(round(steps))
        assert response.wavelength_um[0] >= SPECTRUM_RANGE_UM[0] - 1e-9
        assert response.wavelength_um[-1] <= SPECTRUM_RANGE_UM[1] + 1e-9
        assert 0.8 < response.values.max() <= 1.001


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_weights_are_a_mean(sensor: str) -> None:
    for response in responses(sensor):
        weights = band_weights(response)
        assert weights.sum() == pytest.approx(1.0)
        assert (weights >= 0).all()


def test_the_three_sentinels_are_not_the_same_instrument() -> None:
    blue = {sensor: centroid_nm(responses(sensor)[1]) for sensor in ("S2A", "S2B", "S2C")}
    assert blue["S2C"] < blue["S2A"] - 3.0


@pytest.mark.oracle
@pytest.mark.parametrize("sensor", ["S2A", "S2B"])
def test_version_4_stays_close_to_version_3(samples: Path, sensor: str) -> None:
    table = samples / PUBLISHED_V3.format(sensor)
    with table.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    head = rows[0]
    values = np.array([[float(cell or 0) for cell in row[: len(head)]] for row in rows[1:] if row[0]])
    for name, response in zip(head[1:14], responses(sensor)[:13], strict=True):
        column = values[:, head.index(name)]
        published = float((values[:, 0] * column).sum() / column.sum())
        assert centroid_nm(response) == pytest.approx(published, abs=1.0), name


def test_an_unknown_sensor_is_refused() -> None:
    with pytest.raises(ConfigError, match="L7"):
        responses("L7")


def test_resampling_keeps_area_and_place() -> None:
    fine = np.arange(500.0, 700.0, 0.5)
    bell = np.exp(-(((fine - 601.3) / 15.0) ** 2))
    response = resample("X", fine, bell)
    assert response.values.sum() * STEP_NM == pytest.approx(bell.sum() * 0.5, rel=3e-3)
    assert centroid_nm(response) == pytest.approx(601.3, abs=0.1)


def test_resampling_drops_noise_outside_the_band() -> None:
    fine = np.arange(420.0, 900.0, 1.0)
    box = np.where(np.abs(fine - 600.0) < 20.0, 1.0, 1e-4)
    response = resample("X", fine, box)
    assert 575.0 <= response.first_nm <= 582.5
    assert response.wavelength_um[-1] <= 0.625


def test_the_sun_shines_most_in_the_blue_green() -> None:
    wavelength, irradiance = solar_spectrum()
    assert wavelength[0] == pytest.approx(0.4125)
    assert 0.44 < wavelength[irradiance.argmax()] < 0.56
