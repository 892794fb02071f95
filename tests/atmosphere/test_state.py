import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from undersky.atmosphere.sampling import MAX_ALTITUDE_KM
from undersky.atmosphere.state import LIMITS, altitude_at, fold_azimuth, pressure_at


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("altitude_km", "printed_hpa"),
    [(0.5, 954.09), (1.0, 898.60), (1.5, 845.21), (2.7, 728.11), (3.3, 674.67), (4.2, 600.57), (6.5, 440.59)],
)
def test_pressure_is_what_6s_prints(altitude_km: float, printed_hpa: float) -> None:
    assert pressure_at(altitude_km) == pytest.approx(printed_hpa, abs=0.006)


@given(st.floats(-0.45, 7.9))
def test_altitude_and_pressure_are_inverse(altitude_km: float) -> None:
    assert altitude_at(pressure_at(altitude_km)) == pytest.approx(altitude_km, abs=1e-6)


def test_pressure_below_the_sea_exceeds_sea_level() -> None:
    assert 1050.0 < float(pressure_at(-0.43)) < 1080.0


def test_pressure_keeps_the_shape_of_its_input() -> None:
    assert pressure_at(np.zeros((2, 3))).shape == (2, 3)


@pytest.mark.parametrize(
    ("sun", "view", "expected"),
    [(100.0, 100.0, 0.0), (350.0, 10.0, 20.0), (10.0, 350.0, 20.0), (0.0, 180.0, 180.0), (725.0, 0.0, 5.0)],
)
def test_azimuths_fold_to_half_a_turn(sun: float, view: float, expected: float) -> None:
    folded = fold_azimuth(np.array([sun]), np.array([view]))
    assert folded[0] == pytest.approx(expected)


@given(st.floats(-720, 720), st.floats(-720, 720))
def test_relative_azimuth_does_not_know_which_is_which(sun: float, view: float) -> None:
    one, other = (
        fold_azimuth(np.array([sun]), np.array([view])),
        fold_azimuth(np.array([view]), np.array([sun])),
    )
    assert 0.0 <= one[0] <= 180.0
    assert one[0] == pytest.approx(other[0], abs=1e-6)


@given(st.floats(-0.4, 7.5), st.floats(0.01, 0.4))
def test_higher_ground_has_less_air_above_it(altitude_km: float, more: float) -> None:
    assert pressure_at(altitude_km + more) < pressure_at(altitude_km)


@given(st.floats(0.1, 7.9))
def test_pressure_follows_the_hydrostatic_law_of_dry_air(altitude_km: float) -> None:
    # d ln p / dz = -g / (R T): between 223 K (8 km, cold) and 300 K a scale height of 6.5 to 8.9 km
    gradient = np.log(pressure_at(altitude_km - 0.05) / pressure_at(altitude_km + 0.05)) / 0.1
    assert 9.807 * 0.02896 / 8.314 / 0.300 < gradient < 9.807 * 0.02896 / 8.314 / 0.223


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("altitude_km", "hpa"), [(0.0, 1013.25), (1.0, 898.76), (3.0, 701.21), (5.0, 540.48), (8.0, 356.51)]
)
def test_pressure_is_the_us_standard_atmospheres(altitude_km: float, hpa: float) -> None:
    assert pressure_at(altitude_km) == pytest.approx(hpa, rel=4e-4)


def test_pressure_has_no_step_at_sea_level() -> None:
    below, above = pressure_at(-1e-6), pressure_at(1e-6)
    assert below > above
    assert below == pytest.approx(float(above), rel=1e-6)


def test_the_promised_pressures_are_the_promised_altitudes() -> None:
    assert altitude_at(LIMITS["pressure_hpa"][0]) == pytest.approx(4.2, abs=0.01)
    assert altitude_at(LIMITS["pressure_hpa"][0]) < MAX_ALTITUDE_KM


@given(st.floats(-360, 360), st.floats(-360, 360), st.integers(-2, 2))
def test_whole_turns_do_not_matter(sun: float, view: float, turns: int) -> None:
    plain = fold_azimuth(np.array([sun]), np.array([view]))
    turned = fold_azimuth(np.array([sun + 360.0 * turns]), np.array([view]))
    assert turned[0] == pytest.approx(plain[0], abs=1e-6)


@given(st.floats(-360, 360), st.floats(-360, 360))
def test_the_fold_keeps_the_cosine(sun: float, view: float) -> None:
    folded = fold_azimuth(np.array([sun]), np.array([view]))
    assert np.cos(np.radians(folded[0])) == pytest.approx(np.cos(np.radians(sun - view)), abs=1e-9)


@given(st.floats(-360, 360), st.floats(-360, 360))
def test_azimuths_fold_alike_in_torch(sun: float, view: float) -> None:
    array = fold_azimuth(np.array([sun]), np.array([view]))
    tensor = fold_azimuth(torch.tensor([sun], dtype=torch.float64), torch.tensor([view], dtype=torch.float64))
    assert tensor.numpy() == pytest.approx(array, abs=1e-9)
