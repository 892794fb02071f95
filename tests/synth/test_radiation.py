"""What a band measures: the order of ground, air, shadow, cloud, cirrus and noise, law by law."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.inversion import apply_atmosphere
from undersky.atmosphere.state import AtmosphereState, Coefficients, Geometry
from undersky.bands import SENSORS
from undersky.synth.radiation import (
    ADJACENCY_M,
    BandColumn,
    Column,
    _gas_above,
    _optical_depth,
    band_toa,
    surroundings,
)
from undersky.synth.sensor_noise import noise_sigma
from undersky.synth.sky import Sky, cirrus_reflectance, cloud_reflectance

S2A = SENSORS["S2A"]
SHAPE = (12, 12)
SHARE = st.floats(0.0, 1.0)
QUICK = settings(max_examples=40, deadline=None)


def column(band: str = "B04", *, path=0.05, t=0.8, s=0.1, gas=0.95, down=0.7, up=0.85) -> BandColumn:
    def field(value):
        return np.full((2, 2), value)

    table = Coefficients(field(path), field(t), field(s), field(gas), np.zeros((2, 2), bool))
    return BandColumn(S2A, S2A.band(band), table, direct_down=down, direct_up=up, sun_zenith=35.0)


def hung(*, opacity=0.0, thickness=0.0, shadow=0.0, cirrus=0.0, top_m=2000.0) -> Sky:
    def field(value):
        return np.full(SHAPE, value, np.float32)

    return Sky(field(opacity), field(thickness), field(shadow), field(cirrus), top_m, 10_000.0)


def seen(rho, sky: Sky | None = None, at: BandColumn | None = None, **options) -> np.ndarray:
    ground = np.broadcast_to(np.float32(rho), SHAPE).astype(np.float32)
    return band_toa(ground, sky=sky or hung(), column=at or column(), **options)


def state(aot=0.2, pressure=1013.25) -> AtmosphereState:
    def field(value):
        return np.full((2, 2), float(value))

    fractions = np.zeros((5, 2, 2))
    fractions[0] = 1
    return AtmosphereState(field(aot), field(2.0), field(310.0), field(pressure), fractions)


def geometry(sun=30.0, view=5.0) -> Geometry:
    bands = len(S2A.bands)
    return Geometry(
        np.full((2, 2), sun), np.full((bands, 2, 2), view), np.full((bands, 2, 2), 90.0), per_band=True
    )


def all_bands(at: AtmosphereState, transmittance=0.75) -> Column:
    shape = (len(S2A.bands), 2, 2)
    fields = [np.full(shape, value) for value in (0.05, transmittance, 0.1, 0.97)]
    return Column(at, Coefficients(*fields, np.zeros((2, 2), bool)))


# clear sky ----------------------------------------------------------------------------------------------


@QUICK
@given(SHARE, st.floats(0, 0.3), st.floats(0.3, 1), st.floats(0, 0.4), st.floats(0.1, 1))
def test_clear_air_over_plain_ground_is_vermotes_equation(rho, path, t, s, gas):
    expected = gas * (path + t * rho / (1 - s * rho))
    found = seen(rho, at=column(path=path, t=t, s=s, gas=gas))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    assert found.dtype == np.float32


def test_clear_air_is_what_the_correction_calls_its_own_inverse():
    rho = np.random.default_rng(1).uniform(0, 0.8, SHAPE).astype(np.float32)
    table = column().coefficients
    fields = (table.path, table.transmittance, table.spherical_albedo, table.gas_transmittance)
    constants = (np.full((1, *SHAPE), field[0, 0]) for field in fields)
    single = Coefficients(*constants, np.zeros(SHAPE, bool))
    theirs = np.asarray(apply_atmosphere(rho[None], single))[0]
    np.testing.assert_allclose(band_toa(rho, sky=hung(), column=column()), theirs, atol=2e-6)


@QUICK
@given(SHARE, SHARE)
def test_brighter_ground_never_looks_darker(one, other):
    dark, bright = sorted((one, other))
    assert seen(dark).max() <= seen(bright).min() + 1e-6


def test_coefficients_vary_over_the_footprint_from_node_to_node():
    at = column()
    tilted = replace(at, coefficients=replace(at.coefficients, path=np.array([[0.0, 0.1], [0.0, 0.1]])))
    found = seen(0.1, at=tilted)
    assert (np.diff(found, axis=1) > 0).all()
    np.testing.assert_allclose(np.diff(found, axis=0), 0, atol=1e-6)


# shadow -------------------------------------------------------------------------------------------------


@QUICK
@given(SHARE, st.floats(0.05, 0.8))
def test_shadow_takes_the_direct_light_and_leaves_the_diffuse(shadow, rho):
    at = column(down=0.7)
    lit = (seen(rho, at=at) - seen(0.0, at=at)) * (1 - 0.7 * shadow)
    np.testing.assert_allclose(seen(rho, hung(shadow=shadow), at) - seen(0.0, at=at), lit, atol=2e-6)


def test_total_shadow_of_purely_direct_light_leaves_only_the_air():
    found = seen(0.5, hung(shadow=1.0), column(down=1.0))
    np.testing.assert_allclose(found, 0.95 * 0.05, atol=1e-6)


# clouds -------------------------------------------------------------------------------------------------


@QUICK
@given(SHARE, SHARE, st.floats(0, 1))
def test_an_opaque_cloud_hides_whatever_lies_below(one, other, thickness):
    cloud = hung(opacity=1.0, thickness=thickness)
    np.testing.assert_allclose(seen(one, cloud), seen(other, cloud), atol=1e-6)


@QUICK
@given(SHARE)
def test_a_thin_cloud_is_a_mixture_of_cloud_and_ground(opacity):
    ground, cloud = seen(0.1), seen(0.1, hung(opacity=1.0, thickness=0.5))
    mixed = seen(0.1, hung(opacity=opacity, thickness=0.5))
    np.testing.assert_allclose(mixed, ground + opacity * (cloud - ground), atol=1e-6)


def test_a_cloud_is_at_least_as_bright_as_its_top_through_the_gases_above():
    found = seen(0.0, hung(opacity=1.0, thickness=1.0))
    bright = cloud_reflectance(np.ones(1, np.float32), S2A.band("B04").wavelength_nm)[0]
    assert 0.95 * bright - 1e-6 <= found.min() <= found.max() < 1.0


@pytest.mark.parametrize("band", ["B09", "B10"])
def test_a_higher_cloud_shines_through_less_vapour(band):
    at = column(band, gas=0.05)
    low, high = (seen(0.0, hung(opacity=1.0, thickness=1.0, top_m=top), at).mean() for top in (500, 6000))
    assert high > 3 * low


@pytest.mark.parametrize("band", ["B02", "B08", "B12"])
def test_gases_of_the_surface_bands_lie_above_every_cloud(band):
    gas = np.array([0.9], np.float32)
    np.testing.assert_array_equal(_gas_above(column(band), gas, height_m=9000.0), gas)


@QUICK
@given(st.floats(0.001, 1), st.floats(0, 12_000), st.floats(0, 12_000))
def test_less_vapour_is_left_above_the_higher_point_and_never_more_than_all_of_it(gas, one, other):
    low, high = sorted((one, other))
    at, field = column("B09"), np.array([gas], np.float32)
    below, above = (float(_gas_above(at, field, height_m=h)[0]) for h in (low, high))
    assert gas - 1e-6 <= below <= above + 1e-6
    assert above <= 1.0


def test_vapour_that_lets_nothing_through_is_no_division_by_zero():
    found = seen(0.3, hung(opacity=1.0, thickness=1.0, cirrus=0.05), column("B10", gas=0.0))
    assert np.isfinite(found).all()
    assert (found >= 0).all()


# cirrus -------------------------------------------------------------------------------------------------


@QUICK
@given(st.floats(0.0, 0.1), st.floats(0.0, 0.9), st.floats(0.0, 0.9))
def test_cirrus_lowers_contrast_by_the_square_of_what_it_lets_through(cirrus, one, other):
    veil = float(cirrus_reflectance(np.array([cirrus], np.float32), S2A.band("B04").wavelength_nm)[0])
    clear, veiled = seen(one) - seen(other), seen(one, hung(cirrus=cirrus)) - seen(other, hung(cirrus=cirrus))
    np.testing.assert_allclose(veiled, clear * (1 - veil) ** 2, atol=1e-6)


def test_cirrus_brightens_the_dark_and_dims_the_bright():
    veil = hung(cirrus=0.08)
    assert seen(0.0, veil).mean() > seen(0.0).mean()
    assert seen(1.0, veil).mean() < seen(1.0).mean()


# adjacency ----------------------------------------------------------------------------------------------


@QUICK
@given(SHARE)
def test_light_from_around_changes_nothing_over_uniform_ground(rho):
    np.testing.assert_allclose(seen(rho, adjacency_m=60.0), seen(rho), atol=2e-6)


def test_a_dark_lake_in_snow_looks_brighter_and_the_snow_beside_it_darker():
    rho = np.full(SHAPE, 0.8, np.float32)
    rho[5:7, 5:7] = 0.02
    plain, mixed = (band_toa(rho, sky=hung(), column=column(), adjacency_m=m) for m in (None, 60.0))
    assert (mixed[5:7, 5:7] > plain[5:7, 5:7] + 0.02).all()
    assert mixed[4, 5] < plain[4, 5]


def test_what_reaches_the_sensor_straight_from_its_pixel_is_the_direct_share():
    rho = np.full((61, 61), 0.2, np.float32)
    rho[30, 30] = 0.6
    sky = Sky(*(np.zeros((61, 61), np.float32) for _ in range(4)), 1000.0, 9000.0)
    at = column(s=0.0, gas=1.0, t=1.0, path=0.0, up=0.85)
    found = band_toa(rho, sky=sky, column=at, adjacency_m=60.0)
    assert found[30, 30] - found[0, 0] == pytest.approx(0.85 * 0.4, abs=2e-3)


@QUICK
@given(st.integers(0, 1000), st.floats(10, 60))
def test_surroundings_are_linear_and_stay_inside_what_they_average(seed, pixel_m):
    one, other = np.random.default_rng(seed).random((2, 24, 24), dtype=np.float32)
    both = surroundings(one + other, pixel_m)
    np.testing.assert_allclose(both, surroundings(one, pixel_m) + surroundings(other, pixel_m), atol=1e-5)
    assert one.min() <= surroundings(one, pixel_m).min()
    assert surroundings(one, pixel_m).max() <= one.max()


def test_the_surroundings_reach_as_far_as_stated_and_lose_no_light():
    point = np.zeros((101, 101), np.float32)
    point[50, 50] = 1.0
    spread = surroundings(point, 60.0)
    assert spread.sum() == pytest.approx(1.0, abs=1e-4)
    offsets = np.arange(-50, 51) * 60.0
    width = float(np.sqrt((spread.sum(axis=0) * offsets**2).sum()))
    assert width == pytest.approx(ADJACENCY_M, rel=0.03)


# direct and diffuse -------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("wavelength_nm", "published"),
    # Rayleigh optical depth at 1013.25 hPa, Bucholtz 1995 (Appl. Opt. 34, 2765), 45 degrees north in summer.
    [(400.0, 0.3576), (450.0, 0.2198), (550.0, 0.0966), (650.0, 0.0490), (850.0, 0.0166)],
)
def test_the_optical_depth_of_clean_air_is_bucholtzs(wavelength_nm, published):
    assert _optical_depth(state(aot=0.0), wavelength_nm) == pytest.approx(published, rel=0.025)


@QUICK
@given(st.floats(0, 1), st.floats(600, 1040), st.floats(440, 2200))
def test_optical_depth_is_that_of_air_by_pressure_plus_that_of_haze(aot, pressure, wavelength):
    full = _optical_depth(state(0.0), wavelength) * pressure / 1013.25
    haze = aot * (wavelength / 550.0) ** -1.2
    assert _optical_depth(state(aot, pressure), wavelength) == pytest.approx(full + haze, rel=1e-6)


@QUICK
@given(st.floats(0, 1.2), st.floats(0, 75), st.floats(0, 12), st.integers(0, 12))
def test_direct_shares_are_shares_whatever_the_air_and_the_angles(aot, sun, view, index):
    part = all_bands(state(aot)).of_band(S2A, index, geometry=geometry(sun, view))
    assert 0 < part.direct_down <= 1
    assert 0 < part.direct_up <= 1
    assert part.sun_zenith == pytest.approx(sun)
    assert part.band is S2A.bands[index]


def test_haze_and_a_low_sun_take_direct_light():
    def down(aot, sun):
        return all_bands(state(aot)).of_band(S2A, 1, geometry=geometry(sun)).direct_down

    assert down(0.1, 30) > down(0.3, 30) > down(0.8, 30)
    assert down(0.3, 30) > down(0.3, 60)


def test_direct_light_obeys_beers_law():
    part = all_bands(state(0.3), transmittance=0.75).of_band(S2A, 1, geometry=geometry(40.0, 6.0))
    masses = 1 / np.cos(np.radians([40.0, 6.0]))
    both_ways = part.direct_down * part.direct_up * 0.75
    depth = _optical_depth(state(0.3), S2A.bands[1].wavelength_nm)
    assert both_ways == pytest.approx(np.exp(-depth * masses.sum()), rel=1e-6)


def test_one_band_of_the_table_is_handed_on_as_it_is():
    table = all_bands(state())
    varied = replace(table.coefficients, path=np.arange(13.0)[:, None, None] * np.ones((13, 2, 2)))
    part = Column(table.state, varied).of_band(S2A, 7, geometry=geometry())
    assert (part.coefficients.path == 7).all()
    assert part.band.name == "B08"


# noise --------------------------------------------------------------------------------------------------


def test_without_a_generator_there_is_no_noise_and_with_one_it_is_centred_on_the_signal():
    rho = np.full((400, 400), 0.2, np.float32)
    sky = Sky(*(np.zeros((400, 400), np.float32) for _ in range(4)), 1000.0, 9000.0)
    clean = band_toa(rho, sky=sky, column=column())
    noisy = band_toa(rho, sky=sky, column=column(), generator=np.random.default_rng(1))
    sigma = float(noise_sigma(S2A, "B04", toa=clean[:1, :1], sun_zenith=35.0)[0, 0])
    assert np.ptp(clean) < 1e-6
    assert abs((noisy - clean).mean()) < 4 * sigma / 400
    assert (noisy - clean).std() == pytest.approx(sigma, rel=0.02)
    assert noisy.dtype == np.float32
