import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undersky.atmosphere.inversion import apply_atmosphere
from undersky.atmosphere.state import Coefficients
from undersky.inference.water_vapour import node_medians, retrieve
from undersky.quality import Quality


def coefficients(gas):
    def field(value):
        return np.full((3, 4), value)

    return Coefficients(field(0.01), field(0.93), field(0.03), field(gas), np.zeros((3, 4), bool))


def at(column):
    """Beer's law in the square root of the column: close to what a saturated band does."""
    return coefficients(0.99), coefficients(np.exp(-0.7 * np.sqrt(column)))


@given(st.floats(0.1, 5.5), st.floats(0.15, 0.6))
def test_the_column_that_darkened_the_ground_is_found(column, rho):
    window, absorption = (apply_atmosphere(np.full((3, 4), rho), c) for c in at(column))
    np.testing.assert_allclose(retrieve(window, absorption, coefficients_at=at), column, rtol=0.01, atol=0.01)


def test_a_node_that_saw_nothing_takes_the_median_of_the_others():
    window, absorption = (apply_atmosphere(np.full((3, 4), 0.3), c) for c in at(2.0))
    window[0, 0] = np.nan
    found = retrieve(window, absorption, coefficients_at=at)
    assert found[0, 0] == pytest.approx(2.0, rel=0.01)


def test_a_scene_without_bright_clear_ground_says_nothing():
    nothing = np.full((3, 4), np.nan)
    assert retrieve(nothing, nothing, coefficients_at=at) is None


def test_drier_than_dry_ends_at_the_edge_of_the_table():
    found = retrieve(np.full((3, 4), 0.3), np.full((3, 4), 0.9), coefficients_at=at)
    np.testing.assert_allclose(found, 0.05)


def test_medians_ignore_clouds_water_and_dark_ground():
    window = np.full((40, 40), 0.3, dtype=np.float32)
    absorption = np.full((40, 40), 0.15, dtype=np.float32)
    mask = np.zeros((40, 40), dtype=np.uint16)
    absorption[:20], mask[:20] = 0.29, int(Quality.CLOUD)
    window[20:25] = 0.02
    bright, dark = node_medians(window, absorption, mask, (3, 2))
    assert np.isnan(bright[0]).all()
    np.testing.assert_allclose(bright[1:], 0.3, rtol=1e-6)
    np.testing.assert_allclose(dark[1:], 0.15, rtol=1e-6)


def test_a_fully_clouded_scene_has_no_medians():
    everywhere = np.full((20, 20), 0.3, dtype=np.float32)
    clouds = np.full((20, 20), int(Quality.CLOUD), dtype=np.uint16)
    bright, dark = node_medians(everywhere, everywhere, clouds, (2, 2))
    assert np.isnan(bright).all()
    assert np.isnan(dark).all()
