import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.hypotheses import (
    AOT_LADDER,
    COUNT,
    REFERENCE,
    evaluate_hypotheses,
    hypothesis_states,
)
from undersky.atmosphere.state import AEROSOL_MODELS, LIMITS, AtmosphereState, Geometry

BANDS = ("B01", "B02", "B03", "B04", "B8A", "B11", "B12")
FIELDS = ("path", "transmittance", "spherical_albedo")


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def air_of(aot=0.2, *, model="continental", pressure=1000.0, n=2) -> AtmosphereState:
    shares = torch.zeros(len(AEROSOL_MODELS), n)
    shares[AEROSOL_MODELS.index(model)] = 1.0
    flat = (torch.full((n,), v) for v in (aot, 1.5, 320.0, pressure))
    return AtmosphereState(*flat, shares)


def geometry_of() -> Geometry:
    return Geometry(column(35.0, 62.0), column(3.0, 9.0), column(40.0, 130.0))


def test_the_ladder_runs_fastest_and_spans_all_that_the_tables_hold() -> None:
    depth, shares = hypothesis_states()
    assert depth[: len(AOT_LADDER)].tolist() == pytest.approx(AOT_LADDER)
    assert shares.shape == (len(AEROSOL_MODELS), COUNT)
    assert bool((shares[0, : len(AOT_LADDER)] == 1).all())
    assert bool((shares.sum(0) == 1).all())
    assert (AOT_LADDER[0], AOT_LADDER[-1]) == LIMITS["aot_550"]


def test_pixels_are_linearised_under_a_little_continental_aerosol() -> None:
    depth, shares = hypothesis_states()
    assert float(depth[REFERENCE]) == pytest.approx(0.14)
    assert AEROSOL_MODELS[int(shares[:, REFERENCE].argmax())] == "continental"


@pytest.mark.parametrize("sensor", ["S2B", "L9"])
def test_every_hypothesis_is_the_emulator_at_that_state(sensor: str) -> None:
    emulator, belief = Emulator.load(sensor), air_of()
    found = evaluate_hypotheses(emulator, belief, geometry_of())
    depth, shares = hypothesis_states()
    for index in range(COUNT):
        state = AtmosphereState(
            depth[index].expand(2),
            belief.water_vapour,
            belief.ozone_dobson,
            belief.pressure_hpa,
            shares[:, index : index + 1].expand(-1, 2),
        )
        there = emulator(state, geometry_of())
        for name in FIELDS:
            assert torch.allclose(getattr(found, name)[:, index].T, getattr(there, name), rtol=1e-5), name
        assert torch.allclose(found.gas_transmittance.T, there.gas_transmittance, rtol=1e-5)


def test_the_aerosol_that_is_believed_changes_no_hypothesis() -> None:
    emulator = Emulator.load("L8")
    one = evaluate_hypotheses(emulator, air_of(0.05), geometry_of())
    other = evaluate_hypotheses(emulator, air_of(0.9, model="urban"), geometry_of())
    for name in (*FIELDS, "gas_transmittance"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_bands_that_look_apart_have_each_their_own_hypotheses() -> None:
    emulator = Emulator.load("S2A", BANDS)
    zenith = torch.linspace(1.0, 11.0, len(BANDS))[:, None].expand(-1, 2)
    azimuth = torch.linspace(20.0, 160.0, len(BANDS))[:, None].expand(-1, 2)
    sun = column(35.0, 62.0)
    apart = evaluate_hypotheses(emulator, air_of(), Geometry(sun, zenith, azimuth, per_band=True))
    for band in range(len(BANDS)):
        alone = evaluate_hypotheses(emulator, air_of(), Geometry(sun, zenith[band], azimuth[band]))
        for name in FIELDS:
            one, other = getattr(apart, name)[..., band], getattr(alone, name)[..., band]
            assert torch.allclose(one, other, rtol=1e-5), name
    shared = evaluate_hypotheses(emulator, air_of(), Geometry(sun, zenith[0], azimuth[0]))
    assert not torch.allclose(apart.path[..., -2], shared.path[..., -2], rtol=1e-3)


@pytest.mark.parametrize("model", AEROSOL_MODELS)
def test_a_line_between_two_rungs_is_the_air_between_them(model: str) -> None:
    emulator = Emulator.load("S2A", BANDS)
    rungs = torch.tensor(AOT_LADDER)
    found = evaluate_hypotheses(emulator, air_of(), geometry_of()).path
    first = AEROSOL_MODELS.index(model) * len(AOT_LADDER)
    line = found[:, first : first + len(AOT_LADDER)]
    errors = [
        (emulator(air_of(float(aot), model=model), geometry_of()).path.T - line[:, k : k + 2].mean(1)).abs()
        for k, aot in enumerate((rungs[:-1] + rungs[1:]) / 2)
    ]
    assert float(torch.stack(errors).mean()) < 6e-4


@settings(deadline=None, max_examples=40)
@given(
    st.floats(0.0, 1.25),
    st.sampled_from(AEROSOL_MODELS),
    st.floats(600.0, 1030.0),
    st.floats(0.0, 13.0),
    st.sampled_from(["S2A", "L8"]),
)
def test_the_scattered_share_is_a_share(aot, model, pressure, zenith, sensor) -> None:
    emulator = Emulator.load(sensor)
    share = emulator.diffuse_share(air_of(aot, model=model, pressure=pressure), column(zenith, zenith))
    assert share.shape == (len(emulator.bands), 2)
    assert bool(((share >= 0.0) & (share < 1.0)).all())


def test_clean_air_scatters_the_blue_and_lets_the_infrared_straight_through() -> None:
    share = Emulator.load("S2A", BANDS).diffuse_share(air_of(0.0), column(0.0, 8.0))
    assert bool((share[:-1] > share[1:]).all())
    assert float(share[0].min()) > 0.08
    assert float(share[-1].max()) < 0.01


@pytest.mark.parametrize("model", AEROSOL_MODELS)
def test_more_aerosol_and_more_air_scatter_more(model: str) -> None:
    emulator, zenith = Emulator.load("S2A", BANDS), column(5.0, 5.0)
    depths = [0.0, 0.05, 0.2, 0.5, 1.0]
    shares = torch.stack([emulator.diffuse_share(air_of(d, model=model), zenith)[:, 0] for d in depths])
    assert bool((shares[1:, :5] > shares[:-1, :5]).all())
    high = emulator.diffuse_share(air_of(0.0, pressure=650.0), zenith)
    assert bool((high[:3] < emulator.diffuse_share(air_of(0.0), zenith)[:3]).all())


def test_a_mixture_scatters_as_its_shares_say_whatever_their_sum() -> None:
    emulator, mixed = Emulator.load("L8", ("B2", "B4")), air_of(0.4)
    one = AtmosphereState(*(getattr(mixed, n) for n in mixed.__slots__[:-1]), torch.full((5, 2), 0.2))
    five = AtmosphereState(*(getattr(mixed, n) for n in mixed.__slots__[:-1]), torch.full((5, 2), 1.0))
    found = (emulator.diffuse_share(state, column(4.0, 4.0)) for state in (one, five))
    assert torch.allclose(*found, rtol=1e-5)
