from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.inversion import (
    InversionFields,
    SensorNoise,
    apply_atmosphere,
    inversion_fields,
    mean_view,
    remove_atmosphere,
    remove_with_fields,
    sigma_with_fields,
)
from undersky.atmosphere.state import AtmosphereState, Coefficients, Geometry, StateUncertainty

SHAPE = (2, 3)
EXACT = SensorNoise(floor=0.0, shot=0.0, calibration=0.0)

coefficients = st.builds(
    lambda path, through, albedo, gas: Coefficients(
        *(np.array([v]) for v in (path, through, albedo, gas)), outside=np.array(False)
    ),
    st.floats(0.0, 0.4),
    st.floats(0.2, 1.0),
    st.floats(0.0, 0.35),
    st.floats(0.05, 1.0),
)
grounds = st.floats(-0.05, 1.2)


def state_of(aot: float = 0.2) -> AtmosphereState:
    values = (np.full(SHAPE, v) for v in (aot, 2.0, 300.0, 990.0))
    shares = np.zeros((5, *SHAPE))
    shares[:2] = 0.5
    return AtmosphereState(*values, shares)


def geometry() -> Geometry:
    return Geometry(np.full(SHAPE, 40.0), np.full(SHAPE, 5.0), np.full(SHAPE, 70.0))


def sigma_of(**fields: float) -> StateUncertainty:
    names = ("aot_550", "water_vapour", "ozone_dobson", "pressure_hpa")
    shares = np.full((5, *SHAPE), fields.get("aerosol_fractions", 0.0))
    return StateUncertainty(*(np.full(SHAPE, fields.get(n, 0.0)) for n in names), shares)


@given(grounds, coefficients)
def test_correcting_a_simulation_gives_the_ground_back(rho: float, atmosphere: Coefficients) -> None:
    toa = apply_atmosphere(np.array([rho]), atmosphere)
    assert remove_atmosphere(toa, atmosphere)[0] == pytest.approx(rho, abs=1e-9)


@given(grounds, coefficients)
def test_simulating_a_correction_gives_the_measurement_back(toa: float, atmosphere: Coefficients) -> None:
    rho = remove_atmosphere(np.array([toa]), atmosphere)
    assert apply_atmosphere(rho, atmosphere)[0] == pytest.approx(toa, abs=1e-7)


@given(st.floats(0.0, 1.0), st.floats(0.001, 0.2), coefficients)
def test_brighter_ground_is_brighter_from_space(rho: float, more: float, atmosphere: Coefficients) -> None:
    one, other = (apply_atmosphere(np.array([v]), atmosphere)[0] for v in (rho, rho + more))
    assert other > one


def test_nodata_stays_nodata_after_correction() -> None:
    atmosphere = Coefficients(*(np.array([[v]]) for v in (0.1, 0.8, 0.1, 0.95)), outside=np.array(False))
    corrected = remove_atmosphere(np.array([[0.2, np.nan]]), atmosphere)
    assert np.isfinite(corrected[0, 0])
    assert np.isnan(corrected[0, 1])


def test_darker_than_the_path_becomes_negative_not_zero() -> None:
    atmosphere = Coefficients(*(np.array([v]) for v in (0.1, 0.8, 0.1, 1.0)), outside=np.array(False))
    assert remove_atmosphere(np.array([0.09]), atmosphere)[0] < 0.0


def test_torch_and_numpy_invert_alike() -> None:
    values = (0.1, 0.8, 0.1, 0.95)
    arrays = Coefficients(*(np.array([v]) for v in values), outside=np.array(False))
    tensors = Coefficients(*(torch.tensor([v]) for v in values), outside=torch.tensor(False))
    there = remove_atmosphere(torch.tensor([0.25]), tensors)
    assert float(there) == pytest.approx(remove_atmosphere(np.array([0.25]), arrays)[0], rel=1e-6)


def test_the_fields_invert_like_the_coefficients() -> None:
    emulator = Emulator.load("S2A")
    fields = inversion_fields(emulator, state_of(), geometry(), sigma=sigma_of(), noise=EXACT)
    toa = np.full((13, *SHAPE), 0.22)
    expected = remove_atmosphere(toa, emulator(state_of(), geometry()))
    assert remove_with_fields(toa, fields) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert fields.gain.dtype == np.float32
    assert fields.q2.shape == (13, *SHAPE)


def test_a_known_state_and_a_perfect_sensor_leave_no_doubt() -> None:
    fields = inversion_fields(Emulator.load("L8"), state_of(), geometry(), sigma=sigma_of(), noise=EXACT)
    assert sigma_with_fields(np.full((9, *SHAPE), 0.3), fields).max() == 0.0


@pytest.mark.parametrize(
    ("name", "step"),
    [("aot_550", 0.01), ("water_vapour", 0.05), ("ozone_dobson", 4.0), ("pressure_hpa", 5.0)],
)
@pytest.mark.parametrize("ground", [0.02, 0.15, 0.4])
def test_sigma_is_what_moving_the_state_does_to_the_ground(name: str, step: float, ground: float) -> None:
    emulator = Emulator.load("S2A", ("B02", "B03", "B04", "B8A", "B12"))
    fields = inversion_fields(emulator, state_of(), geometry(), sigma=sigma_of(**{name: step}), noise=EXACT)
    predicted = sigma_with_fields(np.full((5, *SHAPE), ground), fields)
    toa = apply_atmosphere(np.full((5, *SHAPE), ground), emulator(state_of(), geometry()))
    moved = {n: getattr(state_of(), n) for n in AtmosphereState.__slots__}
    moved[name] = moved[name] + step
    actual = np.abs(remove_atmosphere(toa, emulator(AtmosphereState(**moved), geometry())) - ground)
    assert predicted == pytest.approx(actual, rel=0.12, abs=1e-4)


def test_sensor_noise_is_amplified_by_the_gain() -> None:
    emulator = Emulator.load("L8")
    noise = SensorNoise(floor=0.001, shot=0.0, calibration=0.0)
    fields = inversion_fields(emulator, state_of(), geometry(), sigma=sigma_of(), noise=noise)
    assert sigma_with_fields(np.zeros((9, *SHAPE)), fields) == pytest.approx(0.001 * fields.gain, rel=1e-4)


def test_every_doubt_adds_to_the_others() -> None:
    emulator = Emulator.load("S2A")
    ground = np.full((13, *SHAPE), 0.1)
    one = inversion_fields(emulator, state_of(), geometry(), sigma=sigma_of(aot_550=0.05), noise=EXACT)
    more = inversion_fields(
        emulator,
        state_of(),
        geometry(),
        sigma=sigma_of(aot_550=0.05, aerosol_fractions=0.2),
        noise=SensorNoise(),
    )
    assert (sigma_with_fields(ground, more) > sigma_with_fields(ground, one)).all()


def test_variance_below_zero_becomes_no_doubt_and_nan_stays() -> None:
    tiny = np.full((1, 1, 1), 1e-6, np.float32)
    fields = InversionFields(tiny, tiny, tiny, -tiny, tiny, tiny)
    assert sigma_with_fields(np.zeros((1, 1, 1)), fields)[0, 0, 0] == 0.0
    assert np.isnan(sigma_with_fields(np.full((1, 1, 1), np.nan), fields)[0, 0, 0])


@settings(deadline=None, max_examples=40)
@given(st.floats(0.0, 180.0), st.floats(0.0, 13.0), st.integers(2, 13))
def test_views_that_agree_have_themselves_as_mean(azimuth: float, zenith: float, bands: int) -> None:
    views = (np.full((bands, 2, 2), v, np.float32) for v in (zenith, azimuth))
    mean = mean_view(Geometry(np.full((2, 2), 30.0), *views, per_band=True))
    assert not mean.per_band
    # also half a turn, whose sine in float32 is a hair below zero, must not become minus half a turn
    assert mean.relative_azimuth == pytest.approx(azimuth, abs=0.05)
    assert mean.view_zenith == pytest.approx(zenith, rel=1e-5)


def test_one_view_is_its_own_mean() -> None:
    one = geometry()
    assert mean_view(one) is one


@settings(deadline=None, max_examples=40)
@given(st.floats(0.0, 0.3), st.floats(1e-4, 2e-3), st.floats(0.0, 1e-5), st.floats(0.0, 0.05))
def test_noise_reaches_the_ground_as_the_slope_of_the_inversion(rho, floor, shot, calibration) -> None:
    emulator = Emulator.load("L8", ("B2", "B4"))
    noise = SensorNoise(floor, shot, calibration)
    fields = inversion_fields(emulator, state_of(), geometry(), sigma=sigma_of(), noise=noise)
    air = emulator(state_of(), geometry())
    ground = np.full((2, *SHAPE), rho)
    # without multiple reflection, as the parabola has it
    toa = air.gas_transmittance * (air.path + air.transmittance * rho)
    variance = floor**2 + shot * toa + (calibration * toa) ** 2
    expected = np.sqrt(variance) / (air.gas_transmittance * air.transmittance)
    assert sigma_with_fields(ground, fields) == pytest.approx(expected, rel=1e-3)


def wide(function, nodes: int) -> np.ndarray:
    """A smooth field on a square of nodes, edge to edge."""
    y, x = np.meshgrid(*[np.linspace(0.0, 1.0, nodes)] * 2, indexing="ij")
    return function(y, x)


def test_doubt_on_few_nodes_is_the_doubt_on_all_of_them() -> None:
    # more nodes than variance is worked out on; the same scene on few nodes has the same doubt at its corners
    emulator, found = Emulator.load("L8", ("B2", "B5")), {}
    for nodes in (9, 41):
        aot = wide(lambda y, x: 0.1 + 0.2 * x + 0.1 * y, nodes)
        flat = (np.full((nodes, nodes), v) for v in (2.0, 300.0, 990.0))
        shares = np.full((5, nodes, nodes), 0.2)
        state = AtmosphereState(aot, *flat, shares)
        sun = wide(lambda y, x: 35.0 + 4.0 * y + 0.1 * x, nodes)
        view = Geometry(sun, np.full_like(sun, 5.0), np.full_like(sun, 70.0))
        sigma = StateUncertainty(0.1 * aot, *(np.zeros_like(aot) for _ in range(3)), 0.0 * shares)
        found[nodes] = inversion_fields(emulator, state, view, sigma=sigma, noise=EXACT)
    for name in ("gain", "offset", "albedo", "q0", "q1", "q2"):
        few, many = (getattr(found[nodes], name) for nodes in (9, 41))
        assert many.shape == (2, 41, 41)
        assert many[:, ::5, ::5] == pytest.approx(few, rel=0.01, abs=1e-9), name


@settings(deadline=None, max_examples=40)
@given(coefficients, st.floats(0.0, 0.8), st.floats(1e-5, 1e-3))
def test_an_error_at_the_top_grows_by_the_gain_and_no_more(atmosphere, rho: float, error: float) -> None:
    toa = apply_atmosphere(np.array([rho]), atmosphere)
    off = remove_atmosphere(toa + error, atmosphere)[0] - rho
    gain = 1.0 / float(atmosphere.gas_transmittance[0] * atmosphere.transmittance[0])
    assert 0.0 < off <= error * gain * (1 + 1e-9)


@given(st.floats(0.01, 1.0), coefficients)
def test_light_thrown_back_and_forth_is_a_geometric_series(rho: float, atmosphere: Coefficients) -> None:
    bounce = float(atmosphere.spherical_albedo[0]) * rho
    series = sum(bounce**n for n in range(60)) * atmosphere.transmittance[0] * rho
    expected = atmosphere.gas_transmittance[0] * (atmosphere.path[0] + series)
    assert apply_atmosphere(np.array([rho]), atmosphere)[0] == pytest.approx(expected, rel=1e-9)


TOGETHER = np.array([[0.02, 0.0], [0.05, -0.02], [0.0, 0.06], [-0.03, 0.0], [0.0, 0.0], [0.01, 0.02]])
"""Depth, then shares: what they err by in two ways."""


def with_factors(factors: np.ndarray, **fields: float) -> StateUncertainty:
    """Factors (6, rank), the same at every node."""
    everywhere = np.broadcast_to(factors[..., None, None], (*factors.shape, *SHAPE)).copy()
    return replace(sigma_of(**fields), aerosol_factors=everywhere)


def sigma_at(ground: float, sigma: StateUncertainty) -> np.ndarray:
    emulator = Emulator.load("S2A", ("B02", "B03", "B04", "B8A", "B12"))
    fields = inversion_fields(emulator, state_of(), geometry(), sigma=sigma, noise=EXACT)
    return sigma_with_fields(np.full((5, *SHAPE), ground), fields)


@pytest.mark.parametrize("ground", [0.02, 0.3])
def test_a_factor_in_depth_alone_is_the_sigma_of_depth(ground: float) -> None:
    factor = np.zeros((6, 1))
    factor[0] = -0.03
    assert sigma_at(ground, with_factors(factor)) == pytest.approx(
        sigma_at(ground, sigma_of(aot_550=0.03)), rel=1e-6
    )


@pytest.mark.parametrize("ground", [0.02, 0.3])
def test_a_factor_a_share_is_the_sigma_of_the_shares(ground: float) -> None:
    factors = np.concatenate([np.zeros((1, 5)), 0.1 * np.eye(5)])
    assert sigma_at(ground, with_factors(factors)) == pytest.approx(
        sigma_at(ground, sigma_of(aerosol_fractions=0.1)), rel=1e-6
    )


def test_no_factors_are_factors_of_zero() -> None:
    assert np.array_equal(
        sigma_at(0.1, with_factors(np.zeros((6, 3)), aot_550=0.05)), sigma_at(0.1, sigma_of(aot_550=0.05))
    )


def test_factors_count_beside_what_errs_by_itself() -> None:
    alone, together = sigma_of(aot_550=0.05, pressure_hpa=9.0), with_factors(TOGETHER)
    both = with_factors(TOGETHER, aot_550=0.05, pressure_hpa=9.0)
    expected = sigma_at(0.1, alone) ** 2 + sigma_at(0.1, together) ** 2
    assert sigma_at(0.1, both) ** 2 == pytest.approx(expected, rel=1e-5)


def test_what_errs_together_may_cancel_or_double() -> None:
    depth, share = np.zeros((6, 1)), np.zeros((6, 1))
    depth[0], share[3] = 0.03, 0.2
    variances = [sigma_at(0.05, with_factors(f)) ** 2 for f in (depth + share, depth - share, depth, share)]
    same, against, one, other = variances
    assert same + against == pytest.approx(2 * (one + other), rel=1e-5)
    assert (np.abs(same - against) > 0.1 * (one + other)).any()


def test_a_covariance_has_many_square_roots_and_one_sigma() -> None:
    turn = np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]])
    one, turned = (sigma_at(0.1, with_factors(f)) for f in (TOGETHER, TOGETHER @ turn))
    assert turned == pytest.approx(one, rel=1e-6)


@pytest.mark.parametrize("ground", [0.03, 0.3])
def test_errors_that_go_together_move_the_ground_as_sigma_says(ground: float) -> None:
    emulator = Emulator.load("S2A", ("B02", "B03", "B04", "B8A", "B12"))
    n, base = 4000, state_of()
    off = TOGETHER @ np.random.default_rng(3).standard_normal((2, n))
    one = np.broadcast_to(base.aerosol_fractions[:, :1, 0], (5, n))
    flat = (np.full(n, getattr(base, f)[0, 0]) for f in ("water_vapour", "ozone_dobson", "pressure_hpa"))
    moved = AtmosphereState(0.2 + off[0], *flat, one + off[1:])
    angles = Geometry(*(np.full(n, v) for v in (40.0, 5.0, 70.0)))
    toa = apply_atmosphere(np.full((5, *SHAPE), ground), emulator(base, geometry()))[:, :1, 0]
    found = remove_atmosphere(toa, emulator(moved, angles)).std(axis=1)
    assert sigma_at(ground, with_factors(TOGETHER))[:, 0, 0] == pytest.approx(found, rel=0.1, abs=5e-5)


def test_factors_on_many_nodes_are_worked_out_on_few() -> None:
    emulator, found = Emulator.load("L8", ("B2", "B5")), {}
    for nodes in (9, 41):
        flat = (np.full((nodes, nodes), v) for v in (0.2, 2.0, 300.0, 990.0))
        state = AtmosphereState(*flat, np.full((5, nodes, nodes), 0.2))
        view = Geometry(*(np.full((nodes, nodes), v) for v in (35.0, 5.0, 70.0)))
        zero = np.zeros((nodes, nodes))
        grows = wide(lambda y, x: 0.5 + 0.3 * x + 0.2 * y, nodes)
        factors = TOGETHER[..., None, None] * grows
        sigma = StateUncertainty(zero, zero, zero, zero, np.zeros((5, nodes, nodes)), factors)
        found[nodes] = inversion_fields(emulator, state, view, sigma=sigma, noise=EXACT)
    for name in ("q0", "q1", "q2"):
        few, many = (getattr(found[nodes], name) for nodes in (9, 41))
        assert many[:, ::5, ::5] == pytest.approx(few, rel=0.02, abs=1e-9), name
