import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import legendre

from undersky.atmosphere import features


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_same_side_is_backscatter() -> None:
    view = features.sight(column(30.0, 30.0), column(10.0, 10.0), column(0.0, 180.0))
    angles = torch.rad2deg(torch.acos(view.cos_scattering))
    assert angles.tolist() == pytest.approx([160.0, 140.0])


@pytest.mark.oracle
def test_scattering_angle_is_what_6s_prints() -> None:
    view = features.sight(column(40.0), column(8.0), column(70.0))
    assert float(torch.rad2deg(torch.acos(view.cos_scattering))) == pytest.approx(142.11, abs=0.005)


@pytest.mark.oracle
def test_rayleigh_phase_function_is_what_6s_prints() -> None:
    cosine = torch.cos(torch.deg2rad(column(150.0, 142.11)))
    assert features.rayleigh_phase(cosine).tolist() == pytest.approx([1.29960, 1.20815], abs=2e-4)


def test_rayleigh_phase_function_scatters_all_light() -> None:
    nodes, weights = legendre.leggauss(16)
    mean = (features.rayleigh_phase(torch.from_numpy(nodes)).numpy() * weights).sum() / 2
    assert mean == pytest.approx(1.0)


@given(st.floats(0.0, 76.0))
def test_inputs_stay_inside_the_box(sun: float) -> None:
    view = features.sight(column(sun), column(12.0), column(45.0))
    inputs = features.path_inputs(view, column(1.25), column(650.0))
    inputs += features.gas_inputs(view, column(6.0), column(500.0), column(650.0))
    assert all(abs(float(value)) <= 1.0001 for value in inputs)


def test_basis_is_a_product_of_legendre_polynomials() -> None:
    x, y = np.linspace(-1, 1, 7), np.linspace(0.3, -0.8, 7)
    powers = features.exponents((3, 2), 1.0)
    table = features.basis([torch.from_numpy(x), torch.from_numpy(y)], powers)
    for row, (i, j) in zip(table, powers.tolist(), strict=True):
        expected = legendre.legval(x, np.eye(4)[i]) * legendre.legval(y, np.eye(4)[j])
        assert row.numpy() == pytest.approx(expected)


def test_exponents_respect_the_budget() -> None:
    powers = features.exponents((4, 2), 1.0).tolist()
    assert [4, 0] in powers
    assert [2, 1] in powers
    assert [3, 1] not in powers
    assert len(features.exponents((4, 2), 2.0)) == 15


@given(st.floats(1e-4, 2.0), st.floats(0.0, 75.0))
def test_single_scattering_never_exceeds_a_thin_layer(depth: float, sun: float) -> None:
    view = features.sight(column(sun), column(5.0), column(90.0))
    thin = depth / (4.0 * view.mu_sun * view.mu_view)
    scattered = features.single_scattering(view, column(depth), column(depth))
    assert 0.0 < float(scattered) <= float(thin) * (1 + 1e-9)


def test_phase_tables_are_hit_at_whole_degrees() -> None:
    table = torch.log(torch.linspace(0.1, 0.4, len(features.PHASE_ANGLES), dtype=torch.float64))[None]
    cosine = torch.cos(torch.deg2rad(column(88.0, 120.0, 180.0)))
    found = features.aerosol_phase(table, cosine)[0]
    assert found.tolist() == pytest.approx([0.1, float(torch.exp(table[0, 32])), 0.4], rel=1e-6)


def test_slope_scale_runs_from_nothing_to_one() -> None:
    scale = features.slope_scale(column(0.0, 0.3, 50.0), column(0.5, 0.5, 0.5))
    assert scale[0] == 0.0
    assert 0.0 < scale[1] < 1.0
    assert float(scale[2]) == pytest.approx(1.0)


def test_a_basis_without_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        features.basis([], torch.zeros(1, 0, dtype=torch.int64))


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.99, 0.99), st.integers(1, 8))
def test_legendre_slopes_obey_their_differential_equation(x: float, degree: int) -> None:
    # (1 - x2) P_n' = n (P_n-1 - x P_n): Abramowitz and Stegun 8.5.4
    point = column(x).requires_grad_()
    rows = features.basis([point], torch.arange(degree + 1)[:, None])
    (slope,) = torch.autograd.grad(rows[degree].sum(), point)
    expected = degree * (rows[degree - 1] - point * rows[degree])
    assert float((1 - x**2) * slope) == pytest.approx(float(expected.detach()), abs=1e-9)


@pytest.mark.parametrize("edge", [-1.0, 1.0])
def test_every_basis_function_has_size_one_at_the_corners_of_the_box(edge: float) -> None:
    powers = features.exponents((5, 4, 2), 1.0)
    corner = features.basis([column(edge), column(1.0), column(edge)], powers)[:, 0]
    assert corner.tolist() == (edge ** (powers[:, 0] + powers[:, 2])).tolist()


@settings(deadline=None, max_examples=30)
@given(st.floats(88.0, 180.0), st.integers(0, 100))
def test_phase_tables_are_continuous_and_stay_between_their_neighbours(angle: float, seed: int) -> None:
    logs = np.random.default_rng(seed).uniform(-3.0, 1.0, len(features.PHASE_ANGLES))
    near = np.clip([angle - 1e-5, angle, angle + 1e-5], 88.0, 180.0)
    found = features.aerosol_phase(torch.from_numpy(logs)[None], torch.cos(torch.deg2rad(column(*near))))[0]
    assert float(found[1]) == pytest.approx(np.exp(np.interp(angle, features.PHASE_ANGLES, logs)), rel=1e-5)
    assert float(found.max() - found.min()) < 1e-3


@pytest.mark.faults
def test_an_unknown_angle_has_no_phase_and_its_neighbour_has_one() -> None:
    table = torch.zeros(2, len(features.PHASE_ANGLES), dtype=torch.float64)
    found = features.aerosol_phase(table, column(float("nan"), -0.5))
    assert torch.isnan(found[:, 0]).all()
    assert found[:, 1].tolist() == pytest.approx([1.0, 1.0])


@settings(deadline=None, max_examples=30)
@given(st.floats(0.0, 76.0), st.floats(0.0, 13.0), st.floats(0.0, 180.0))
def test_the_scattering_angle_is_the_angle_between_two_vectors(
    sun: float, view: float, azimuth: float
) -> None:
    def direction(zenith: float, bearing: float) -> np.ndarray:
        z, b = np.radians((zenith, bearing))
        return np.array([np.sin(z) * np.cos(b), np.sin(z) * np.sin(b), np.cos(z)])

    found = features.sight(column(sun), column(view), column(azimuth))
    # light travels away from the sun and then towards the satellite
    expected = -direction(sun, 0.0) @ direction(view, azimuth)
    assert float(found.cos_scattering) == pytest.approx(expected, abs=1e-12)
    assert float(found.airmass) == pytest.approx(1 / np.cos(np.radians(sun)) + 1 / np.cos(np.radians(view)))


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 3.0), st.floats(0.0, 75.0), st.floats(0.0, 13.0))
def test_single_scattering_is_the_integral_over_the_layer(depth: float, sun: float, view: float) -> None:
    seen = features.sight(column(sun), column(view), column(30.0))
    nodes, weights = legendre.leggauss(40)
    levels = depth * (nodes + 1) / 2
    # source / 4 mu_sun mu_view, dimmed on the way in and out, level by level
    dimmed = np.exp(-levels * float(seen.airmass)) @ weights * depth / 2
    expected = 0.7 * dimmed / (4 * float(seen.mu_sun) * float(seen.mu_view))
    found = features.single_scattering(seen, column(0.7 * depth), column(depth))
    assert float(found) == pytest.approx(expected, rel=1e-9)
