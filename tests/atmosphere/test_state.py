import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.atmosphere.state import altitude_at, fold_azimuth, pressure_at


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
