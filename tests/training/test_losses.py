from dataclasses import replace

import numpy as np
import pytest
import torch

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.hypotheses import AOT_LADDER, COUNT, evaluate_hypotheses, hypothesis_states
from undersky.atmosphere.inversion import apply_atmosphere, remove_atmosphere
from undersky.atmosphere.state import AtmosphereState, Coefficients, Geometry
from undersky.evaluation import metrics
from undersky.models.correction import CONDITIONS, PRIOR, STATE, Look, Windows
from undersky.training.losses import (
    _LEAST_VARIANCE,
    SPEC_FLOOR,
    SPEC_SLOPE,
    LossConfig,
    Pixels,
    accuracy,
    atmosphere_of,
    depth_error,
    honesty,
    scaled_error,
    scaled_variance,
)

BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7")
DEPTH, SHARES = hypothesis_states()
GROUND = torch.tensor([0.02, 0.1, 0.3]).expand(1, 7, 3)


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator.load("L8", BANDS)


def belief() -> AtmosphereState:
    return AtmosphereState(*(torch.tensor([v]) for v in (0.2, 1.5, 320.0, 990.0)), torch.ones(5, 1))


def geometry() -> Geometry:
    return Geometry(*(torch.tensor([v]) for v in (50.0, 4.0, 110.0)))


@pytest.fixture(scope="module")
def windows(emulator) -> Windows:
    found = evaluate_hypotheses(emulator, belief(), geometry())
    return Windows(
        torch.zeros(1, 7, 32, 32),
        torch.ones(1, 32, 32),
        found.path,
        found.transmittance,
        found.spherical_albedo,
        found.gas_transmittance,
        torch.zeros(1, 7),
        torch.zeros(1, CONDITIONS),
        torch.zeros(1, PRIOR),
    )


def posterior_of(aot: float, shares: torch.Tensor) -> torch.Tensor:
    """Weights of the hypotheses that mean this depth and these shares, by the rungs around the depth."""
    rungs = torch.tensor(AOT_LADDER)
    left = int((torch.searchsorted(rungs, torch.tensor(aot), right=True) - 1).clamp(0, 6))
    part = (aot - rungs[left]) / (rungs[left + 1] - rungs[left])
    grid = torch.zeros(5, len(AOT_LADDER))
    grid[:, left], grid[:, left + 1] = shares * (1 - part), shares * part
    return grid.flatten()


def look_of(posterior: torch.Tensor, factors: torch.Tensor | None = None) -> Look:
    factors = torch.zeros(STATE, 2) if factors is None else factors
    return Look(posterior.clamp(min=1e-30).log()[None], factors[None], torch.zeros(1, 4))


MIXED = torch.tensor([0.5, 0.1, 0.2, 0.1, 0.1])
FACTORS = torch.tensor(
    [[0.015, 0.0], [0.04, -0.02], [0.0, 0.05], [-0.03, 0.0], [0.02, 0.0], [0.0, -0.03]]
)  # depth, then shares


def seen(windows: Windows, look: Look) -> Pixels:
    return Pixels(apply_atmosphere(GROUND, atmosphere_of(look, windows)), GROUND)


@pytest.mark.parametrize("index", [0, 11, 25, COUNT - 1])
def test_the_true_air_leaves_no_error(windows, index: int) -> None:
    look = look_of(torch.eye(COUNT)[index])
    error, estimate = scaled_error(look, windows, seen(windows, look))
    assert float(error.abs().max()) < 1e-3
    assert torch.allclose(estimate, GROUND, atol=1e-5)


def test_an_error_of_one_is_the_specification(windows) -> None:
    assert (SPEC_SLOPE, SPEC_FLOOR) == (metrics.SPEC_SLOPE, metrics.SPEC_FLOOR)
    look = look_of(posterior_of(0.3, MIXED))
    pixels = seen(windows, look)
    allowed = SPEC_SLOPE * pixels.truth + SPEC_FLOOR
    brighter = apply_atmosphere(pixels.truth + allowed, atmosphere_of(look, windows))
    error, _ = scaled_error(look, windows, replace(pixels, toa=brighter))
    assert torch.allclose(error, torch.ones_like(error), atol=2e-3)


def test_too_little_haze_is_a_ground_too_bright_in_the_blue(windows) -> None:
    pixels = seen(windows, look_of(posterior_of(0.5, MIXED)))
    error, _ = scaled_error(look_of(posterior_of(0.1, MIXED)), windows, pixels)
    assert float(error[0, 0, 0]) > 1.0


def variance_of(windows: Windows, look: Look) -> torch.Tensor:
    return scaled_variance(look, windows, GROUND, GROUND, depth=DEPTH)


def ladder_air(windows: Windows, aot: torch.Tensor, shares: torch.Tensor) -> Coefficients[torch.Tensor]:
    """Coefficients of many states by the rungs, each (state, band, 1): what a look about them would mean."""
    weights = torch.stack([posterior_of(float(a), s / s.sum()) for a, s in zip(aot, shares, strict=True)])
    rows = (windows.path, windows.transmittance, windows.spherical_albedo)
    found = ((weights @ row[0])[..., None] for row in rows)
    return Coefficients(*found, windows.gas_transmittance[..., None], torch.zeros(1, dtype=torch.bool))


def drawn(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States around depth 0.32 and MIXED that err as FACTORS say."""
    off = torch.randn(n, 2, generator=torch.Generator().manual_seed(1)) @ FACTORS.T
    return 0.32 + off[:, 0], MIXED + off[:, 1:]


def test_variance_is_what_erring_states_do_to_the_ground(windows) -> None:
    look = look_of(posterior_of(0.32, MIXED), FACTORS)
    aot, shares = drawn(2000)
    found = remove_atmosphere(seen(windows, look).toa, ladder_air(windows, aot, shares))
    scatter = (found / (SPEC_SLOPE * GROUND + SPEC_FLOOR)).var(0)
    stated = variance_of(windows, look)[0] - _LEAST_VARIANCE
    assert torch.allclose(stated, scatter, rtol=0.12, atol=1e-4)


def test_variance_is_that_of_the_emulator_not_of_the_ladder_alone(windows, emulator) -> None:
    look = look_of(posterior_of(0.32, MIXED), FACTORS)
    aot, shares = drawn(2000)
    few = belief()
    flat = (value.expand(2000) for value in (few.water_vapour, few.ozone_dobson, few.pressure_hpa))
    air = emulator(AtmosphereState(aot, *flat, shares.T), geometry())
    toa = seen(windows, look).toa[0, :, None]
    columns = (getattr(air, name)[..., None] for name in ("path", "transmittance", "spherical_albedo"))
    moved = Coefficients(*columns, air.gas_transmittance[..., None], air.outside)
    scatter = (remove_atmosphere(toa, moved) / (SPEC_SLOPE * GROUND[0, :, None] + SPEC_FLOOR)).var(1)
    stated = variance_of(windows, look)[0] - _LEAST_VARIANCE
    assert torch.allclose(stated, scatter, rtol=0.25, atol=2e-3)


@pytest.mark.parametrize("aot", [0.0, 0.06, 0.1, 0.6, 1.249])
def test_variance_is_finite_anywhere_on_the_ladder(windows, aot: float) -> None:
    found = variance_of(windows, look_of(posterior_of(aot, MIXED), FACTORS))
    assert bool(torch.isfinite(found).all())
    assert bool((found > _LEAST_VARIANCE).all())


def test_sensor_noise_counts_by_the_gain(windows) -> None:
    look = look_of(posterior_of(0.32, MIXED))
    noisy = replace(windows, noise=torch.full((1, 7), 4e-6))
    air = atmosphere_of(look, windows)
    gain = 1.0 / (air.gas_transmittance * air.transmittance)
    expected = 4e-6 * gain**2 / (SPEC_SLOPE * GROUND + SPEC_FLOOR) ** 2 + _LEAST_VARIANCE
    assert torch.allclose(variance_of(noisy, look), expected, rtol=1e-5)


def test_twice_the_factors_are_four_times_the_variance(windows) -> None:
    one, two = (
        variance_of(windows, look_of(posterior_of(0.32, MIXED), k * FACTORS)) - _LEAST_VARIANCE
        for k in (1, 2)
    )
    assert torch.allclose(two, 4 * one, rtol=1e-3)


def test_nothing_is_stated_without_doubt_but_the_least(windows) -> None:
    found = variance_of(windows, look_of(posterior_of(0.32, MIXED)))
    assert torch.allclose(found, torch.full_like(found, _LEAST_VARIANCE))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_honesty_is_least_at_the_right_sigma(sigma: float) -> None:
    error = sigma * torch.randn(20_000, generator=torch.Generator().manual_seed(1))
    stated = sigma * torch.linspace(0.5, 2.0, 31)
    values = [float(honesty(error, (s**2).expand_as(error))) for s in stated]
    assert float(stated[int(np.argmin(values))]) == pytest.approx(sigma, rel=0.06)


def test_honesty_teaches_sigma_and_not_the_estimate() -> None:
    error = torch.tensor([0.5, -2.0], requires_grad=True)
    variance = torch.tensor([1.0, 1.0], requires_grad=True)
    honesty(error, variance).backward()
    assert error.grad is None
    assert variance.grad is not None
    assert float(variance.grad[0]) > 0.0 > float(variance.grad[1])


def test_the_hopeless_count_as_far_and_not_further() -> None:
    one = torch.ones(1)
    assert float(honesty(6.0 * one, one)) == float(honesty(1e4 * one, one))
    assert float(honesty(5.9 * one, one)) < float(honesty(6.0 * one, one))


def test_accuracy_is_nothing_at_the_truth_and_lets_go_of_the_far() -> None:
    values = [float(accuracy(torch.tensor([v]))) for v in (0.0, 0.5, 1.0, 10.0, 100.0)]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert values[-1] - values[-2] < 5.0
    assert accuracy(torch.tensor([-2.0])) == accuracy(torch.tensor([2.0]))


def test_depth_is_judged_by_its_own_measure() -> None:
    truth = torch.tensor([0.05, 0.5])
    assert float(depth_error(truth, truth)) == 0.0
    thin, thick = (float(depth_error(truth[i : i + 1] + 0.05, truth[i : i + 1])) for i in (0, 1))
    assert thin > 2 * thick


@pytest.mark.parametrize("wrong", [{"pixels": 0}, {"honesty": -0.1}, {"depth": -1.0}])
def test_weights_that_make_no_loss_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="pixels"):
        LossConfig(**wrong)
