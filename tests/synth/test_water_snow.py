"""Water and snow by their optics: published tables, limits of the theory, and what any swimmer knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.synth.water_snow import (
    Snow,
    Water,
    ice_absorption,
    pure_water_absorption,
    snow_reflectance,
    water_reflectance,
)

NM = np.arange(400.0, 2451.0, 10.0)
CLEAR = Water(0.1, 0.05, 0.01)
QUICK = settings(max_examples=40)
PIGMENT, SEDIMENT, DISSOLVED = st.floats(0.02, 40), st.floats(0, 200), st.floats(0, 6)


def at(values: np.ndarray, *wavelengths: float) -> np.ndarray:
    return np.array([values[int(np.flatnonzero(wavelength == NM)[0])] for wavelength in wavelengths])


# absorption ---------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("wavelength", "per_metre", "tolerance"),
    [
        (412.0, 0.00456, 0.05),  # Pope & Fry 1997, between 410 and 412.5 nm
        (490.0, 0.0150, 0.01),
        (510.0, 0.0325, 0.01),
        (620.0, 0.2755, 0.01),
        (670.0, 0.439, 0.01),
        (865.0, 4.6, 0.12),  # 4.6 to 5.0 in Kou et al. 1993 and Hale & Querry 1973
        (1610.0, 690.0, 0.15),  # about 7 per centimetre
        (2200.0, 1650.0, 0.15),
    ],
)
def test_liquid_water_absorbs_as_published(wavelength, per_metre, tolerance):
    assert pure_water_absorption(np.array([wavelength]))[0] == pytest.approx(per_metre, rel=tolerance)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("wavelength", "imaginary_index"),
    # Warren & Brandt 2008, columns of their table at or beside these wavelengths.
    [
        (450.0, 9.24e-11),
        (550.0, 2.29e-9),
        (700.0, 2.9e-8),
        (900.0, 4.2e-7),
        (1300.0, 1.33e-5),
        (2000.0, 1.46e-3),
    ],
)
def test_ice_absorbs_as_published(wavelength, imaginary_index):
    expected = 4e9 * np.pi * imaginary_index / wavelength
    assert ice_absorption(np.array([wavelength]))[0] == pytest.approx(expected, rel=0.03)


def test_between_the_entries_of_a_table_absorption_runs_without_a_jump():
    fine = np.arange(400.0, 2450.0, 1.0)
    for absorption in (pure_water_absorption(fine), ice_absorption(fine)):
        assert (absorption > 0).all()
        assert np.abs(np.diff(np.log(absorption))).max() < 0.12


def test_ice_and_water_share_their_bands_shifted_to_longer_waves_in_ice():
    window = (NM > 1300) & (NM < 1700)
    water, ice = pure_water_absorption(NM)[window], ice_absorption(NM)[window]
    assert NM[window][water.argmax()] < NM[window][ice.argmax()]


# water --------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("wavelength", "absorption", "scattering"),
    # Pope & Fry 1997; scattering of pure seawater, Smith & Baker 1981, table 1.
    [(440.0, 0.00635, 0.0049), (500.0, 0.0204, 0.0029), (550.0, 0.0565, 0.0019), (600.0, 0.2224, 0.0014)],
)
def test_pure_sea_water_reflects_as_morel_and_prieur_estimate(wavelength, absorption, scattering):
    # R = 0.33 b_b / a just below the surface; 0.54 of the radiance leaves it.
    estimate = 0.54 * 0.33 * (0.5 * scattering) / absorption
    found = water_reflectance(np.array([wavelength]), Water(0.0, 0.0, 0.0, glint=0.0))[0]
    assert found == pytest.approx(estimate, rel=0.25)


@QUICK
@given(PIGMENT, SEDIMENT, DISSOLVED, st.floats(0, 0.05))
def test_glint_is_added_flat(pigment, sediment, dissolved, glint):
    plain = water_reflectance(NM, Water(pigment, sediment, dissolved, glint=0.0))
    np.testing.assert_allclose(
        water_reflectance(NM, Water(pigment, sediment, dissolved, glint)), plain + glint
    )


@QUICK
@given(PIGMENT, DISSOLVED, st.floats(0, 100), st.floats(1, 100))
def test_sediment_brightens_the_red(pigment, dissolved, sediment, more):
    less = water_reflectance(NM, Water(pigment, sediment, dissolved))
    turbid = water_reflectance(NM, Water(pigment, sediment + more, dissolved))
    assert (at(turbid, 660, 800) > at(less, 660, 800)).all()


@QUICK
@given(st.floats(0.05, 20), st.floats(1.2, 3))
def test_plankton_turns_blue_water_green(pigment, times):
    def colour(chlorophyll: float) -> float:
        blue, green = at(water_reflectance(NM, Water(chlorophyll, 0.1, 0.02, glint=0.0)), 440, 560)
        return blue / green

    assert colour(pigment * times) < colour(pigment)


@QUICK
@given(PIGMENT, SEDIMENT, DISSOLVED)
def test_water_is_black_in_the_short_wave_infrared(pigment, sediment, dissolved):
    found = water_reflectance(NM, Water(pigment, sediment, dissolved, glint=0.0))
    assert at(found, 1610, 2200).max() < 0.012
    assert at(found, 2200) < at(found, 660)


def test_clear_water_reddens_nothing_and_brown_water_blues_nothing():
    clear = water_reflectance(NM, CLEAR)
    brown = water_reflectance(NM, Water(2.0, 0.5, 6.0))
    assert at(clear, 440) > 3 * at(clear, 660)
    assert at(brown, 440) < at(brown, 560)


def test_dense_sediment_saturates():
    steps = [at(water_reflectance(NM, Water(1.0, s, 0.1)), 660)[0] for s in (10, 100, 1000, 10_000)]
    growth = np.diff(steps)
    assert (growth > 0).all()
    assert growth[2] < growth[0]
    assert steps[-1] < 0.5


# snow ---------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("grain_mm", "wavelength", "low", "high"),
    [
        # Wiscombe & Warren 1980, figure 8 (diffuse light; radii of 50, 200 and 1000 um).
        (0.1, 500, 0.97, 1.0), (0.1, 1030, 0.75, 0.90), (0.1, 1300, 0.55, 0.75),
        (0.4, 1030, 0.60, 0.80), (0.4, 1300, 0.32, 0.55),
        (2.0, 500, 0.94, 1.0), (2.0, 1030, 0.35, 0.60), (2.0, 1300, 0.08, 0.25),
    ],
)  # fmt: skip
def test_clean_snow_is_as_bright_as_wiscombe_and_warren_computed(grain_mm, wavelength, low, high):
    found = snow_reflectance(np.array([float(wavelength)]), Snow(grain_mm))[0]
    assert low <= found <= high


@QUICK
@given(st.floats(0.05, 10), st.floats(0, 5))
def test_snow_reflects_between_nothing_and_all(grain, impurity):
    found = snow_reflectance(NM, Snow(grain, impurity))
    assert (found >= 0).all()
    assert (found <= 1).all()


@QUICK
@given(st.floats(0.05, 5), st.floats(1.1, 4))
def test_optical_thickness_grows_with_the_root_of_the_grain(grain, times):
    fine, coarse = (np.log(snow_reflectance(NM, Snow(g))) for g in (grain, grain * times))
    np.testing.assert_allclose(coarse / fine, np.sqrt(times), rtol=1e-6)


@QUICK
@given(st.floats(0.1, 5), st.floats(0.1, 4))
def test_soot_darkens_the_visible_and_hardly_the_infrared(grain, impurity):
    clean, dirty = snow_reflectance(NM, Snow(grain)), snow_reflectance(NM, Snow(grain, impurity))
    loss = clean - dirty
    assert at(loss, 500) > 0
    assert at(loss, 500) > at(loss, 1500)
    assert at(loss, 2000) < 0.02


@QUICK
@given(st.floats(0.08, 5), st.floats(0, 1.5))
def test_the_snow_index_tells_snow_from_everything_else(grain, impurity):
    green, infrared = at(snow_reflectance(NM, Snow(grain, impurity)), 560, 1610)
    assert (green - infrared) / (green + infrared) > 0.4


def test_snow_turns_blue_as_it_coarsens():
    blue, red = at(snow_reflectance(NM, Snow(10.0)), 450, 700)
    assert blue > red + 0.05
