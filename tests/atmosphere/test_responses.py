import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.responses import STEP_NM, Response, band_weights, resample, responses, solar_spectrum
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


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_weights_are_the_direct_sum_with_half_ends(sensor: str) -> None:
    wavelength, irradiance = solar_spectrum()
    values = irradiance / irradiance.mean()
    for response in responses(sensor):
        lit = response.values * np.interp(response.wavelength_um, wavelength, irradiance)
        seen = np.interp(response.wavelength_um, wavelength, values)
        # the trapezoidal rule over response times sun, which is how 6S integrates
        expected = np.trapezoid(lit * seen) / np.trapezoid(lit)
        assert band_weights(response) @ seen == pytest.approx(expected, rel=1e-12)


@pytest.mark.oracle
def test_the_solar_constant_lies_within_what_the_spectrum_leaves_out() -> None:
    # ASTM E490: 0.4125 to 2.4 um hold about 1110 of 1366 W/m2; 6S's table at 7 July stands near aphelion
    wavelength, irradiance = solar_spectrum()
    total = np.trapezoid(irradiance, wavelength)
    assert 1040.0 < total < 1180.0


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sensor", "band", "esun"),
    [("S2A", "B02", 1959.7), ("S2A", "B04", 1512.1), ("S2A", "B8A", 955.3), ("S2A", "B11", 245.6)],
)
def test_band_irradiances_are_near_those_in_product_metadata(sensor: str, band: str, esun: float) -> None:
    # SOLAR_IRRADIANCE of Sentinel-2A metadata (Thuillier 2003); 6S prints its day of July, 3.3 % fainter
    response = next(r for r in responses(sensor) if r.band == band)
    wavelength, irradiance = solar_spectrum()
    mean = np.average(np.interp(response.wavelength_um, wavelength, irradiance), weights=response.values)
    assert mean == pytest.approx(esun, rel=0.06)


@settings(deadline=None, max_examples=40)
@given(st.floats(450.0, 2300.0), st.floats(8.0, 40.0), st.floats(0.1, 5.0))
def test_resampling_a_bell_keeps_its_area_and_centre(centre: float, width: float, peak: float) -> None:
    fine = np.arange(centre - 6 * width, centre + 6 * width, 0.25)
    bell = peak * np.exp(-(((fine - centre) / width) ** 2))
    # resampling is linear: no normalisation hides in it
    response = resample("X", fine, bell)
    if centre - 3 * width > 415.0 and centre + 3 * width < 2395.0:
        assert response.values.sum() * STEP_NM == pytest.approx(peak * width * np.sqrt(np.pi), rel=4e-3)
        assert centroid_nm(response) == pytest.approx(centre, abs=0.02 * width)
    assert response.values[[0, -1]].min() > 0.0


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 100.0))
def test_the_unit_of_a_response_does_not_matter_to_its_weights(scale: float) -> None:
    plain = responses("L8")[3]
    scaled = Response(plain.band, plain.first_nm, scale * plain.values)
    assert band_weights(scaled) == pytest.approx(band_weights(plain), rel=1e-9)


def test_negative_noise_of_a_measurement_is_no_response() -> None:
    fine = np.arange(500.0, 700.0, 0.5)
    noisy = np.where(np.abs(fine - 600.0) < 20.0, 1.0, -0.2)
    assert resample("X", fine, noisy).values.min() >= 0.0


@pytest.mark.faults
@pytest.mark.parametrize(("low", "high"), [(250.0, 350.0), (3000.0, 4000.0)])
def test_a_band_outside_6s_range_is_refused_by_its_name(low: float, high: float) -> None:
    fine = np.arange(low, high)
    with pytest.raises(ConfigError, match="TIR1 is empty"):
        resample("TIR1", fine, np.ones_like(fine))


@pytest.mark.faults
def test_a_band_that_sees_nothing_is_refused() -> None:
    fine = np.arange(500.0, 600.0)
    with pytest.raises(ConfigError, match="empty"):
        resample("X", fine, np.zeros_like(fine))


def test_resampling_what_is_already_on_the_grid_keeps_a_flat_band() -> None:
    plateau = resample("X", np.arange(540.0, 661.0, STEP_NM), np.ones(49))
    assert plateau.values[1:-1] == pytest.approx(1.0)
    assert plateau.first_nm == pytest.approx(540.0)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sensor", "band", "fwhm_nm"),
    [
        ("S2A", "B02", 66),
        ("S2A", "B04", 31),
        ("S2A", "B8A", 21),
        ("L8", "B3", 57),
        ("L8", "B5", 28),
        ("L9", "B6", 85),
    ],
)
def test_bandwidths_are_those_the_agencies_publish(sensor: str, band: str, fwhm_nm: float) -> None:
    response = next(r for r in responses(sensor) if r.band == band)
    wide = (response.values > 0.5 * response.values.max()).sum() * STEP_NM
    assert wide == pytest.approx(fwhm_nm, abs=0.06 * fwhm_nm + 2 * STEP_NM)
