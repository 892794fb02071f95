"""Slopes of the coefficients: exact on functions with known slopes, never a step outside the tables."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.sensitivity import derivatives
from undersky.atmosphere.state import AEROSOL_MODELS, LIMITS, AtmosphereState, Coefficients, Geometry

SCALARS = ("aot_550", "water_vapour", "ozone_dobson", "pressure_hpa")
VALUES = ("path", "transmittance", "spherical_albedo", "gas_transmittance")
STATE_LIMITS = {name: LIMITS[name] for name in SCALARS}
SHAPE = (2, 3)


def state_of(**values: float) -> AtmosphereState:
    typical = {"aot_550": 0.2, "water_vapour": 2.0, "ozone_dobson": 300.0, "pressure_hpa": 980.0} | values
    shares = np.full((len(AEROSOL_MODELS), *SHAPE), 0.2)
    return AtmosphereState(
        **{name: np.full(SHAPE, typical[name]) for name in SCALARS}, aerosol_fractions=shares
    )


def geometry() -> Geometry:
    return Geometry(np.full(SHAPE, 40.0), np.full(SHAPE, 5.0), np.full(SHAPE, 70.0))


SLOPES = {"aot_550": 0.3, "water_vapour": -0.02, "ozone_dobson": 1e-4, "pressure_hpa": -2e-4}
"""Of the plane that stands for the emulator."""


class Recorder:
    """Stands for the emulator: a plane through the state, and memory of what was asked."""

    def __init__(self) -> None:
        self.asked: list[AtmosphereState] = []

    def __call__(self, state: AtmosphereState) -> Coefficients:
        self.asked.append(state)
        plane = sum(slope * getattr(state, name) for name, slope in SLOPES.items())
        plane = np.stack([plane, 2.0 * plane])
        weighted = np.tensordot(np.arange(5.0), state.aerosol_fractions, axes=(0, 0))
        return Coefficients(
            plane, -plane, np.stack([weighted, weighted]), plane**0, np.zeros(plane.shape[1:], bool)
        )


@pytest.mark.parametrize("name", SCALARS)
def test_the_slope_of_a_plane_is_exact(name: str) -> None:
    _, slopes = derivatives(Recorder(), state_of())
    slope = SLOPES[name]
    assert slopes[name, None].path[0] == pytest.approx(slope, rel=1e-9)
    assert slopes[name, None].path[1] == pytest.approx(2 * slope, rel=1e-9)
    assert slopes[name, None].transmittance[0] == pytest.approx(-slope, rel=1e-9)
    assert np.abs(slopes[name, None].gas_transmittance).max() == 0.0


@pytest.mark.parametrize("model", range(len(AEROSOL_MODELS)))
def test_the_slope_of_a_share_is_of_that_share_alone(model: int) -> None:
    _, slopes = derivatives(Recorder(), state_of())
    assert slopes["aerosol_fractions", model].spherical_albedo == pytest.approx(float(model), abs=1e-9)
    assert np.abs(slopes["aerosol_fractions", model].path).max() == 0.0


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("end", [0, 1])
def test_at_the_edge_of_the_tables_the_slope_is_one_sided_and_still_exact(name: str, end: int) -> None:
    recorder = Recorder()
    _, slopes = derivatives(recorder, state_of(**{name: LIMITS[name][end]}))
    assert slopes[name, None].path[0] == pytest.approx(SLOPES[name], rel=1e-8)
    asked = getattr(recorder.asked[0], name)
    assert asked.min() >= LIMITS[name][0]
    assert asked.max() <= LIMITS[name][1]


@settings(deadline=None, max_examples=50)
@given(st.floats(-1.0, 3.0), st.floats(-2.0, 9.0), st.floats(0.0, 900.0), st.floats(300.0, 1200.0))
def test_no_step_ever_leaves_the_tables(aot: float, water: float, ozone: float, pressure: float) -> None:
    recorder = Recorder()
    state = state_of(aot_550=aot, water_vapour=water, ozone_dobson=ozone, pressure_hpa=pressure)
    _, slopes = derivatives(recorder, state)
    for name, (low, high) in STATE_LIMITS.items():
        asked = getattr(recorder.asked[0], name)
        assert (asked >= low).all(), name
        assert (asked <= high).all(), name
    assert all(np.isfinite(slope.path).all() for slope in slopes.values())


def test_the_emulator_is_asked_once_for_all_nudges() -> None:
    recorder = Recorder()
    derivatives(recorder, state_of())
    assert len(recorder.asked) == 1
    assert recorder.asked[0].aot_550.shape == (1 + 2 * (4 + 5), *SHAPE)
    assert recorder.asked[0].aerosol_fractions.shape == (5, 1 + 2 * (4 + 5), *SHAPE)


def test_every_field_and_every_model_has_its_slope() -> None:
    _, slopes = derivatives(Recorder(), state_of())
    assert set(slopes) == {(name, None) for name in SCALARS} | {("aerosol_fractions", m) for m in range(5)}


@pytest.mark.parametrize(
    ("name", "beyond"), [("aot_550", 2.0), ("pressure_hpa", 500.0), ("ozone_dobson", 90.0)]
)
def test_a_state_beyond_the_tables_is_flagged_although_its_slope_is_the_edges(
    name: str, beyond: float
) -> None:
    emulator = Emulator.load("L8", ("B2",))
    state = state_of(**{name: beyond})
    getattr(state, name)[0, 0] = getattr(state_of(), name)[0, 0]
    at, slopes = emulator.with_derivatives(state, geometry())
    assert not at.outside[0, 0]
    assert np.asarray(at.outside).sum() == 5
    edge = min(max(beyond, LIMITS[name][0]), LIMITS[name][1])
    _, at_edge = emulator.with_derivatives(state_of(**{name: edge}), geometry())
    assert slopes[name, None].path[0, 1, 1] == pytest.approx(at_edge[name, None].path[0, 1, 1], rel=1e-6)


def test_an_unknown_state_has_no_slope_and_spoils_no_other_node() -> None:
    state = state_of()
    state.aot_550[1, 1] = np.nan
    at, slopes = Emulator.load("L8", ("B2", "B5")).with_derivatives(state, geometry())
    slope = slopes["aot_550", None].path
    assert np.isnan(at.path[:, 1, 1]).all()
    assert np.isnan(slope[:, 1, 1]).all()
    assert np.isfinite(slope).sum() == slope.size - 2


def exact_slope(emulator: Emulator, state: AtmosphereState, name: str, value: str) -> np.ndarray:
    """By automatic differentiation in one node, (band,)."""
    fields = {n: torch.tensor(float(getattr(state, n)[0, 0])) for n in SCALARS}
    shares = torch.tensor(state.aerosol_fractions[:, 0, 0], dtype=torch.float32)
    angles = Geometry(*(torch.tensor(v) for v in (40.0, 5.0, 70.0)))
    point = fields[name].clone().requires_grad_()
    result = getattr(
        emulator(AtmosphereState(**(fields | {name: point}), aerosol_fractions=shares), angles), value
    )
    if not result.requires_grad:  # this value does not know that field
        return np.zeros(len(result))
    return np.array([float(torch.autograd.grad(band, point, retain_graph=True)[0]) for band in result])


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", SCALARS)
def test_differences_agree_with_automatic_differentiation(name: str, value: str) -> None:
    emulator = Emulator.load("S2A", ("B02", "B04", "B8A", "B09", "B12"))
    exact = exact_slope(emulator, state_of(), name, value)
    _, slopes = emulator.with_derivatives(state_of(), geometry())
    found = getattr(slopes[name, None], value)[:, 0, 0]
    # seen over a whole plausible change of the field, the two differ by less than a ten-thousandth
    change = {"aot_550": 0.1, "water_vapour": 0.5, "ozone_dobson": 50.0, "pressure_hpa": 20.0}[name]
    assert found * change == pytest.approx(exact * change, rel=0.01, abs=1e-4)


def test_shares_scaled_alike_change_nothing_so_their_slopes_cancel() -> None:
    state = state_of()
    _, slopes = Emulator.load("S2A", ("B02", "B11")).with_derivatives(state, geometry())
    total = sum(slopes["aerosol_fractions", m].path * state.aerosol_fractions[m] for m in range(5))
    largest = max(np.abs(slopes["aerosol_fractions", m].path).max() for m in range(5))
    assert np.abs(total).max() < 0.02 * largest


def test_coefficients_beside_the_slopes_are_the_emulators_own() -> None:
    emulator = Emulator.load("L9")
    at, _ = emulator.with_derivatives(state_of(), geometry())
    plain = emulator(state_of(), geometry())
    for name in VALUES:
        assert getattr(at, name) == pytest.approx(getattr(plain, name), rel=1e-6)


def test_the_state_that_was_asked_about_is_left_as_it_was() -> None:
    state = state_of(aot_550=2.0)
    before = replace(state, **{n: getattr(state, n).copy() for n in (*SCALARS, "aerosol_fractions")})
    derivatives(Recorder(), state)
    for name in (*SCALARS, "aerosol_fractions"):
        assert np.array_equal(getattr(state, name), getattr(before, name)), name
