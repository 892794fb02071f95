import pytest
import torch

from undersky.datasets.worlds.spec import AirSpec
from undersky.training.calibration import (
    ONE_SIGMA,
    TWO_SIGMA,
    Errors,
    calibrate,
    domain_of,
    joined,
    natural_weight,
)


def errors_of(inflation: float, residual: float, *, n: int = 6000, seed: int = 1) -> Errors:
    """Gaussian errors of pixels whose states differ, as wide as these two say."""
    source = torch.Generator().manual_seed(seed)
    state = torch.exp(2.0 * torch.randn(n, generator=source) - 3.0)
    noise = torch.full((n,), 0.001)
    sigma = (inflation**2 * state + noise + residual**2).sqrt()
    return Errors(sigma * torch.randn(n, generator=source), state, noise, torch.ones(n))


@pytest.mark.parametrize(("inflation", "residual"), [(1.0, 0.0), (2.0, 0.1), (0.4, 0.3)])
def test_one_and_two_sigma_hold_what_a_gaussian_holds(inflation: float, residual: float) -> None:
    errors = errors_of(inflation, residual)
    found = calibrate(errors)
    assert errors.held(*found, 1.0) == pytest.approx(ONE_SIGMA, abs=0.01)
    assert errors.held(*found, 2.0) == pytest.approx(TWO_SIGMA, abs=0.01)


def test_what_was_found_holds_on_other_pixels_too() -> None:
    found = calibrate(errors_of(1.5, 0.1))
    fresh = errors_of(1.5, 0.1, seed=2)
    assert fresh.held(*found, 1.0) == pytest.approx(ONE_SIGMA, abs=0.02)
    assert fresh.held(*found, 2.0) == pytest.approx(TWO_SIGMA, abs=0.02)


def test_a_wider_sigma_holds_more() -> None:
    errors = errors_of(1.0, 0.1)
    held = [errors.held(inflation, 0.1, 1.0) for inflation in (0.2, 0.5, 1.0, 2.0)]
    assert held == sorted(held)
    assert errors.held(0.5, 0.4, 1.0) > errors.held(0.5, 0.0, 1.0)


def test_what_nature_never_has_does_not_count() -> None:
    errors = errors_of(1.0, 0.1)
    wild = Errors(1e6 * torch.ones(500), torch.ones(500), torch.ones(500), torch.zeros(500))
    assert calibrate(joined([errors, wild])) == calibrate(errors)


def test_errors_are_joined_in_order() -> None:
    one, other = errors_of(1.0, 0.1, n=3), errors_of(2.0, 0.1, n=2)
    both = joined([one, other])
    assert both.error.tolist() == [*one.error.tolist(), *other.error.tolist()]
    assert both.weight.shape == (5,)


def test_worlds_weighed_by_nature_have_the_optical_depths_of_nature() -> None:
    # draws of the worlds' own three distributions, weighed, have the median of the climatology
    spec, source = AirSpec(), torch.Generator().manual_seed(1)
    n = 60_000
    lognormal = 0.13 * torch.exp(0.8 * torch.randn(n, generator=source))
    uniform = 0.01 + 0.64 * torch.rand(n, generator=source)
    thick = 0.6 + 0.6 * torch.rand(n, generator=source)
    which = torch.rand(n, generator=source)
    aot = torch.where(which < spec.climatological + spec.thick, thick, uniform)
    aot = torch.where(which < spec.climatological, lognormal, aot)
    weight = natural_weight(aot, spec)
    order = aot.argsort()
    share = weight[order].cumsum(0) / weight.sum()
    assert float(aot[order][int((share < 0.5).sum())]) == pytest.approx(0.13, rel=0.05)
    assert float(weight.mean()) == pytest.approx(2.5066 * 0.3989, rel=0.03)
    assert float(natural_weight(torch.tensor([0.005, 0.7, 1.1]), spec).max()) == 0.0


def blob(n: int = 4000) -> torch.Tensor:
    source = torch.Generator().manual_seed(1)
    stretch = torch.tensor([[3.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
    return torch.randn(n, 3, generator=source) @ stretch + torch.tensor([5.0, -2.0, 0.0])


def distance(embedding: torch.Tensor, domain: tuple) -> torch.Tensor:
    apart = embedding - domain[0]
    return ((apart @ domain[1]) * apart).sum(-1)


def test_all_but_a_two_hundredth_of_what_was_validated_on_is_in_the_domain() -> None:
    seen = blob()
    domain = domain_of(seen)
    beyond = (distance(seen, domain) > domain[2]).float().mean()
    assert float(beyond) == pytest.approx(0.005, abs=5e-4)


def test_the_threshold_is_that_of_a_gaussian() -> None:
    domain = domain_of(blob())
    assert domain[0].tolist() == pytest.approx([5.0, -2.0, 0.0], abs=0.2)
    assert domain[2] == pytest.approx(12.8, rel=0.15)  # chi-square of 3 degrees of freedom at 99.5 %


def test_the_strange_lies_across_the_cloud_not_along_it() -> None:
    domain = domain_of(blob())
    along, across = domain[0] + torch.tensor([3.0, 0.0, 0.0]), domain[0] + torch.tensor([0.0, 3.0, 0.0])
    assert float(distance(across, domain)) > domain[2] > float(distance(along, domain))


def test_an_embedding_that_is_always_zero_is_no_obstacle() -> None:
    dead = torch.cat([blob(), torch.zeros(4000, 2)], dim=1)
    domain = domain_of(dead)
    assert bool(torch.isfinite(domain[1]).all())
    assert float(distance(domain[0] + torch.tensor([0, 0, 0, 1.0, 0]), domain)) > domain[2]
