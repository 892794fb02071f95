"""The peers are what their papers say, and no more."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import observation, stub

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.inversion import apply_atmosphere
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState, Geometry, pressure_at
from undersky.evaluation.peers import (
    FIXED_AOT,
    STANDARD_WATER_VAPOUR,
    DarkObject,
    FixedAot,
    NoCorrection,
    Srem,
    coefficients_of,
    peers,
    srem_rayleigh,
    water_vapour_of,
)


def test_there_are_four_peers_in_the_order_of_the_tables():
    assert [peer.name for peer in peers()] == ["none", "dos", "srem", "fixed-aod"]


def test_no_correction_is_the_observation():
    seen = observation()
    assert np.array_equal(NoCorrection().correct(seen).surface, seen.toa)


def test_dark_object_subtraction_leaves_the_darkest_pixels_one_percent():
    surface = DarkObject().correct(observation(shape=(40, 40))).surface
    assert surface.min(axis=(1, 2)) == pytest.approx(np.full(12, 0.01), abs=0.002)


@given(haze=st.floats(0.0, 0.2))
@settings(max_examples=20, deadline=None)
def test_dark_object_subtraction_removes_a_constant_haze(haze):
    seen = observation(level=(0.01, 0.4), shape=(30, 30))
    hazy = replace(seen, toa=seen.toa + np.float32(haze))
    assert np.allclose(DarkObject().correct(hazy).surface, DarkObject().correct(seen).surface, atol=1e-5)


def test_dark_object_subtraction_adds_nothing_to_a_scene_darker_than_one_percent():
    seen = observation(level=(0.001, 0.005))
    assert np.array_equal(DarkObject().correct(seen).surface, seen.toa)


def test_dark_object_subtraction_is_each_bands_own():
    seen = observation()
    toa = seen.toa.copy()
    toa[0] += 0.1
    found = DarkObject().correct(replace(seen, toa=toa)).surface
    assert np.allclose(found[1:], DarkObject().correct(seen).surface[1:])


def test_nodata_stays_nodata_in_every_peer():
    seen = observation()
    toa = seen.toa.copy()
    toa[:, 0, 0] = np.nan
    for peer in peers(stub):
        surface = peer.correct(replace(seen, toa=toa)).surface
        assert np.isnan(surface[:, 0, 0]).all(), peer.name
        assert np.isfinite(surface[:, 1:, 1:]).all(), peer.name


def test_every_peer_keeps_the_shape_and_kind_of_the_observation():
    for sensor in ("S2C", "L9"):
        seen = observation(sensor)
        for peer in peers(stub):
            surface = peer.correct(seen).surface
            assert surface.shape == seen.toa.shape
            assert surface.dtype == np.float32


def test_no_peer_states_an_uncertainty():
    assert all(peer.correct(observation()).sigma is None for peer in peers(stub))


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("wavelength_um", "depth"), [(0.4, 0.3600), (0.55, 0.0968), (0.7, 0.0364), (1.0, 0.00867)]
)
def test_the_rayleigh_depth_is_that_of_hansen_and_travis(wavelength_um, depth):
    """Optical depth follows from the albedo 0.92 t exp(-t), which is monotonous below t = 1."""
    albedo = srem_rayleigh(np.array([wavelength_um]), observation()).spherical_albedo[0]
    assert albedo == pytest.approx(0.92 * depth * np.exp(-depth), rel=0.01)


def test_the_rayleigh_path_of_a_thin_atmosphere_is_single_scattering():
    """depth * phase / (4 mu_s mu_v) as the depth goes to zero."""
    seen = observation(sun_zenith=60.0, view_zenith=0.0)
    found = srem_rayleigh(np.array([5.0]), seen)
    depth = 0.008569 * 5.0**-4
    phase = 3 * 0.9587256 / (4 + 1 - 0.9587256) * (1 + 0.25)
    assert found.path[0] == pytest.approx(depth * phase / (4 * 0.5), rel=0.01)


@given(zenith=st.floats(0, 70), view=st.floats(0, 12), azimuth=st.floats(0, 180))
def test_the_molecular_atmosphere_is_physical(zenith, view, azimuth):
    seen = observation(sun_zenith=zenith, view_zenith=view, relative_azimuth=azimuth)
    found = srem_rayleigh(np.array([0.443, 0.56, 0.865, 2.2]), seen)
    assert (np.diff(found.path) < 0).all()
    assert (np.diff(found.transmittance) > 0).all()
    assert ((found.transmittance > 0) & (found.transmittance <= 1)).all()
    assert found.spherical_albedo.max() < 0.25


@pytest.mark.oracle
@pytest.mark.parametrize("zenith", [20.0, 45.0, 65.0])
def test_srem_under_aerosol_free_6s_errs_by_the_multiple_scattering_it_leaves_out(zenith):
    """Its path is single scattering: too dark by up to 0.05 at 443 nm, right from the red on."""
    seen = observation(level=(0.05, 0.3), sun_zenith=zenith, altitude_km=0.0)
    surface = seen.toa
    emulator = Emulator.load("S2A", seen.bands)
    shares = np.ones((len(AEROSOL_MODELS), 1, 1))
    node = np.ones((1, 1))
    state = AtmosphereState(0 * node, 2.0 * node, 310.0 * node, 1013.0 * node, shares)
    above = emulator(state, Geometry(zenith * node, 5.0 * node, 70.0 * node))
    hazy = replace(seen, toa=apply_atmosphere(surface, above).astype(np.float32))
    error = Srem().correct(hazy).surface - surface
    assert 0.01 < error[0].mean() < 0.06
    assert error[0].mean() > error[1].mean() > error[2].mean() > 0.0
    red_on = [i for i, name in enumerate(seen.bands) if name not in ("B01", "B02", "B03", "B09")]
    assert np.abs(error[red_on]).max() < 0.01


def _under(seen, *, aot, water, load):
    """The observation whose surface is `seen.toa`, under the fixed state but for aerosol and water."""
    bands = seen.bands
    shares = np.zeros((len(AEROSOL_MODELS), 1, 1))
    shares[AEROSOL_MODELS.index("continental")] = 1.0
    node = np.ones((1, 1))
    pressure = float(pressure_at(seen.altitude_km))
    state = AtmosphereState(aot * node, water * node, seen.ozone_dobson * node, pressure * node, shares)
    geometry = Geometry(seen.sun_zenith * node, seen.view_zenith * node, seen.relative_azimuth * node)
    above = load(seen.sensor.key, bands)(state, geometry)
    return replace(seen, toa=apply_atmosphere(seen.toa, above).astype(np.float32))


def _spectrally_flat(sensor="S2A"):
    seen = observation(sensor, level=(0.2, 0.4))
    return replace(seen, toa=np.broadcast_to(seen.toa[:1], seen.toa.shape).copy())


@pytest.mark.parametrize("water", [0.5, 1.5, 4.0])
def test_water_vapour_is_found_in_b09(water):
    seen = _under(_spectrally_flat(), aot=FIXED_AOT, water=water, load=Emulator.load)
    assert water_vapour_of(seen, Emulator.load) == pytest.approx(water, rel=0.05)


def test_water_vapour_of_a_sensor_without_b09_is_the_standard_one():
    assert water_vapour_of(observation("L8"), stub) == STANDARD_WATER_VAPOUR


def test_water_vapour_of_a_dark_scene_is_the_standard_one():
    assert water_vapour_of(observation(level=(0.01, 0.05)), stub) == STANDARD_WATER_VAPOUR


@pytest.mark.parametrize("sensor", ["S2B", "L8"])
def test_fixed_aod_is_exact_where_its_assumption_is_true(sensor):
    truth = _spectrally_flat(sensor)
    seen = _under(truth, aot=FIXED_AOT, water=STANDARD_WATER_VAPOUR, load=Emulator.load)
    found = FixedAot().correct(seen)
    scored = [i for i, name in enumerate(seen.bands) if name != "B09"]
    assert np.abs(found.surface - truth.toa)[scored].max() < 0.002
    assert found.aot_550 == FIXED_AOT


def test_fixed_aod_errs_where_there_is_more_aerosol():
    truth = replace(_spectrally_flat("L8"), toa=np.full((7, 8, 8), 0.05, dtype=np.float32))
    seen = _under(truth, aot=0.6, water=STANDARD_WATER_VAPOUR, load=Emulator.load)
    error = (FixedAot().correct(seen).surface - truth.toa).mean(axis=(1, 2))
    assert error[0] > 0.03
    assert error[0] > error[4] > 0.0


def test_coefficients_follow_the_observations_bands():
    seen = observation(bands=("B02", "B09", "B12"))
    found = coefficients_of(seen, stub, water_vapour=1.0)
    assert found.path.shape == (3, 1, 1)
    assert found.gas_transmittance[:, 0, 0] == pytest.approx([1.0, np.exp(-0.3), 1.0])
