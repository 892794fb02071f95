"""The emulator's arithmetic, computed a second time in plain numpy from the formulas of the papers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import legval

from undersky.atmosphere import coefficients, features
from undersky.atmosphere.state import AEROSOL_MODELS, AtmosphereState
from undersky.atmosphere.tables import Tables, load_tables

BAND = 1
NODES = 4
DELTA = 0.0279

suns, views, azimuths = st.floats(0.0, 76.0), st.floats(0.0, 13.0), st.floats(0.0, 180.0)
aots, pressures = st.floats(0.001, 1.25), st.floats(600.0, 1040.0)


def double_tables(sensor: str = "S2A") -> Tables:
    _, tables = load_tables(sensor)
    cast = {name: getattr(tables, name) for name in Tables.__slots__}
    return Tables(**{name: v.double() if v.is_floating_point() else v for name, v in cast.items()})


TABLES = double_tables()


def column(value: float) -> torch.Tensor:
    return torch.full((1,), value, dtype=torch.float64)


def state_of(aot: float, pressure: float, *, water: float = 2.0, ozone: float = 300.0) -> AtmosphereState:
    shares = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25], dtype=torch.float64)[:, None]
    return AtmosphereState(column(aot), column(water), column(ozone), column(pressure), shares)


def sight_of(sun: float, view: float, azimuth: float) -> features.Sight:
    return features.sight(column(sun), column(view), column(azimuth))


def evaluate(state: AtmosphereState, view: features.Sight, tables: Tables = TABLES) -> list[float]:
    bases = coefficients.all_bases(view, state, tables)
    answer = coefficients.band_coefficients(tables, BAND, view=view, state=state, bases=bases)
    return [float(value) for value in answer]


def polynomial(inputs: list[float], powers: torch.Tensor, terms: torch.Tensor) -> float:
    """Sum of products of Legendre polynomials by numpy's own Clenshaw sums."""
    total = 0.0
    for index, term in zip(powers.tolist(), terms.tolist(), strict=True):
        total += term * np.prod([legval(x, np.eye(n + 1)[n]) for x, n in zip(inputs, index, strict=True)])
    return float(total)


class Again:
    """One band, one node, numpy and nothing else."""

    def __init__(self, angles: tuple[float, float, float], aot: float, pressure: float) -> None:
        sun, view, azimuth = np.radians(angles)
        self.mu, self.aot, self.pressure = (np.cos(sun), np.cos(view)), aot, pressure
        self.cosine = -(self.mu[0] * self.mu[1] + np.sin(sun) * np.sin(view) * np.cos(azimuth))
        edge = np.sin(np.radians(13.5))
        self.a = 2 * np.log(1 + 3 * aot) / np.log(1 + 3 * 1.28) - 1
        self.p = 2 * (pressure - 590.0) / 450.0 - 1
        self.along = np.sin(view) * np.cos(azimuth) / edge
        self.tilt = 2 * np.sin(view) ** 2 / edge**2 - 1
        self.airmass = 1 / self.mu[0] + 1 / self.mu[1]

    def cosine_input(self, mu: float) -> float:
        return float(1 - 2 * np.log(mu) / np.log(np.cos(np.radians(77.0))))

    def single(self, source: float, depth: float) -> float:
        """First order of a homogeneous layer (Chandrasekhar 1960, section 60)."""
        return float(source / depth * (1 - np.exp(-depth * self.airmass)) / (4 * (self.mu[0] + self.mu[1])))

    def model(self, model: int) -> tuple[float, float, float]:
        """Clear path, what aerosol adds, and two-way transmittance."""
        t = TABLES
        depth = float(t.aerosol_depth[model, BAND]) * self.aot
        albedo = float(t.aerosol_albedo[model, BAND])
        dimming = depth * (1 - float(t.forward[model]) * albedo)
        air = float(t.rayleigh_depth[BAND]) * self.pressure / 1013.0
        gamma = DELTA / (2 - DELTA)
        rayleigh = 0.75 / (1 + 2 * gamma) * (1 + 3 * gamma + (1 - gamma) * self.cosine**2)
        angle = np.degrees(np.arccos(self.cosine))
        phase = np.exp(np.interp(angle, features.PHASE_ANGLES, t.log_phase[BAND, model].numpy()))
        alone = self.single(air * rayleigh, air)
        both = self.single(air * rayleigh + depth * albedo * phase, air + dimming)
        sun = self.cosine_input(self.mu[0])
        inputs = [self.a, sun, self.along, self.tilt, self.p]
        clear = alone * np.exp(polynomial(inputs[1:], t.powers_rayleigh_path, t.rayleigh_path[BAND]))
        rest = polynomial(inputs, t.powers_path, t.aerosol_path[BAND, model])
        added = both - alone + (1 - np.exp(-dimming * self.airmass)) * rest
        slope = 0.0
        for mu in self.mu:
            x = self.cosine_input(mu)
            slope += polynomial([x, self.p], t.powers_rayleigh_slope, t.rayleigh_slope[BAND])
            factor = 1 - np.exp(-dimming / mu)
            slope += factor * polynomial([self.a, x, self.p], t.powers_slope, t.aerosol_slope[BAND, model])
        return float(clear), float(added), float(np.exp(slope))

    def albedo(self, model: int) -> float:
        clear = polynomial([self.p], TABLES.powers_rayleigh_albedo, TABLES.rayleigh_albedo[BAND])
        change = TABLES.aerosol_albedo_change[BAND, model]
        return clear + self.aot * polynomial([self.a, self.p], TABLES.powers_albedo, change)

    def gas(self, water: float, ozone: float) -> float:
        largest = 1 / np.cos(np.radians(77.0)) + 1 / np.cos(np.radians(13.5))
        inputs = [
            2 * ((water * self.airmass + 1e-3) / (6.5 * largest)) ** 0.25 - 1,
            2 * np.sqrt(ozone * self.airmass / (550.0 * largest)) - 1,
            2 * np.log(self.airmass / 2) / np.log(largest / 2) - 1,
            self.p,
        ]
        return float(np.exp(-min(polynomial(inputs, TABLES.powers_gas, TABLES.gas[BAND]) ** 2, 20.0)))


@settings(deadline=None, max_examples=12)
@given(st.tuples(suns, views, azimuths), aots, pressures, st.floats(0.0, 6.0), st.floats(180.0, 500.0))
def test_a_second_computation_in_numpy_gives_the_same_coefficients(
    angles, aot, pressure, water, ozone
) -> None:
    again = Again(angles, aot, pressure)
    state = state_of(aot, pressure, water=water, ozone=ozone)
    path, through, albedo, gas = evaluate(state, sight_of(*angles))
    shares = state.aerosol_fractions[:, 0].numpy()
    parts = [again.model(model) for model in range(len(AEROSOL_MODELS))]
    full, half, dry = (again.gas(share * water, ozone) for share in (1.0, 0.5, 0.0))
    added = sum(share * part[1] for share, part in zip(shares, parts, strict=True))
    assert gas == pytest.approx(full, rel=1e-7)
    assert path == pytest.approx((added * half + parts[0][0] * dry) / full, rel=1e-5, abs=1e-8)
    assert through == pytest.approx(sum(s * p[2] for s, p in zip(shares, parts, strict=True)), rel=1e-7)
    assert albedo == pytest.approx(sum(s * again.albedo(m) for m, s in enumerate(shares)), rel=1e-7)


@settings(deadline=None, max_examples=25)
@given(st.tuples(suns, views, azimuths), pressures)
def test_without_aerosol_only_the_air_speaks(angles, pressure) -> None:
    clear, added, through = Again(angles, 0.0, pressure).model(2)
    path, transmittance, _, _ = evaluate(state_of(0.0, pressure, water=0.0), sight_of(*angles))
    assert added == pytest.approx(0.0, abs=1e-12)
    assert path == pytest.approx(clear, rel=1e-6)
    assert transmittance == pytest.approx(through, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.tuples(suns, views, azimuths), aots, pressures)
def test_dry_air_divides_no_water_out_of_the_path(angles, aot, pressure) -> None:
    # the path of dry air cannot know how much ozone dims it: gas cancels altogether
    few, many = (state_of(aot, pressure, water=0.0, ozone=ozone) for ozone in (180.0, 500.0))
    view = sight_of(*angles)
    assert evaluate(few, view)[0] == pytest.approx(evaluate(many, view)[0], rel=1e-12)


def test_the_gas_polynomial_can_neither_amplify_nor_extinguish_light() -> None:
    columns = torch.tensor([[1.0, 1.0, 1.0, 1.0], [-50.0, 0.0, 1.0, 50.0]], dtype=torch.float64)
    through = coefficients.gas_transmittance(columns, torch.tensor([0.5, 3.0], dtype=torch.float64))
    assert bool((through > 0.0).all())
    assert bool((through <= 1.0).all())
    assert float(through[0]) == float(through[3]) == pytest.approx(np.exp(-20.0))
    assert float(through[1]) == pytest.approx(np.exp(-0.25))


@settings(deadline=None, max_examples=25)
@given(st.tuples(suns, views), aots)
def test_the_ways_down_and_up_share_one_law(zeniths, aot) -> None:
    view = sight_of(*zeniths, 40.0)
    down, up = coefficients.slope_scales(TABLES, BAND, view=view, aot_550=column(aot))
    swapped = sight_of(*zeniths[::-1], 40.0)
    up_again, down_again = coefficients.slope_scales(TABLES, BAND, view=swapped, aot_550=column(aot))
    assert torch.equal(down, down_again)
    assert torch.equal(up, up_again)
    assert bool((down > 0).all())
    assert bool((down < 1).all())


def test_dimming_leaves_out_what_is_scattered_forward() -> None:
    whole = coefficients.dimming_depth(replace(TABLES, forward=0 * TABLES.forward), BAND, column(0.4))
    kept = coefficients.dimming_depth(TABLES, BAND, column(0.4))
    lost = TABLES.forward[:, None] * TABLES.aerosol_albedo[:, BAND, None]
    assert kept.numpy() == pytest.approx((whole * (1 - lost)).numpy())
    assert whole[:, 0].numpy() == pytest.approx(0.4 * TABLES.aerosol_depth[:, BAND].numpy())


@settings(deadline=None, max_examples=25)
@given(st.tuples(suns, views, azimuths), aots, pressures)
def test_single_scattering_of_two_media_tends_to_their_sum_in_thin_air(angles, aot, pressure) -> None:
    # to first order in optical depth, aerosol adds albedo * phase * depth / (4 mu mu') whatever the air does
    thin = 1e-6 * aot
    state = replace(state_of(thin, pressure), pressure_hpa=column(1e-3))
    view = sight_of(*angles)
    (_, added), _ = coefficients.path_baseline(TABLES, BAND, view=view, state=state)
    phase = features.aerosol_phase(TABLES.log_phase[BAND], view.cos_scattering)
    depth = TABLES.aerosol_depth[:, BAND, None] * thin
    expected = depth * TABLES.aerosol_albedo[:, BAND, None] * phase / (4 * view.mu_sun * view.mu_view)
    assert added.numpy() == pytest.approx(expected.numpy(), rel=2e-3)


def test_nodes_do_not_speak_to_each_other() -> None:
    suns = torch.linspace(5.0, 70.0, NODES, dtype=torch.float64)
    view = features.sight(suns, suns / 7, suns * 2)
    aot = torch.linspace(0.05, 1.0, NODES, dtype=torch.float64)
    shares = torch.rand(5, NODES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    state = AtmosphereState(aot, 2 * aot, 300 + aot, 900 + 100 * aot, shares)
    bases = coefficients.all_bases(view, state, TABLES)
    together = coefficients.band_coefficients(TABLES, BAND, view=view, state=state, bases=bases)
    for node in range(NODES):
        one = slice(node, node + 1)
        alone = AtmosphereState(*(getattr(state, n)[..., one] for n in AtmosphereState.__slots__))
        seen = features.sight(suns[one], suns[one] / 7, suns[one] * 2)
        values = evaluate(alone, seen)
        assert values == pytest.approx([float(v[node]) for v in together], rel=1e-10)
