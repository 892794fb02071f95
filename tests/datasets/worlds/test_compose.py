from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from undersky.atmosphere.inversion import apply_atmosphere, remove_atmosphere
from undersky.atmosphere.state import Coefficients
from undersky.datasets.worlds.airs import draw_airs
from undersky.datasets.worlds.compose import (
    _CLOUD,
    _EDGE,
    World,
    _cloud_over,
    _unequally_sharp,
    look_through,
)
from undersky.datasets.worlds.spec import AirSpec

RECIPE = {"adjacency": 0.5, "blurred": 0.5, "miscalibrated": 0.5, "clouded": 0.5}


def truth_of(world: World) -> Coefficients[torch.Tensor]:
    rows = (world.air.truth[:, 0, row, :, None, None] for row in range(4))
    return Coefficients(*rows, outside=torch.zeros(1, dtype=torch.bool))


def tensors(world: World) -> dict[str, torch.Tensor]:
    return {f.name: getattr(world, f.name) for f in fields(World) if f.name != "air"}


def test_the_same_seed_makes_the_same_worlds_to_the_bit(composer) -> None:
    one, other = (composer(**RECIPE).compose(4, seed=(1, 2)) for _ in range(2))
    for name, value in tensors(one).items():
        assert torch.equal(value, tensors(other)[name]), name
    assert torch.equal(one.air.path, other.air.path)


def test_another_seed_makes_other_worlds(composer) -> None:
    made = composer(**RECIPE)
    one, other = made.compose(4, seed=(1, 2)), made.compose(4, seed=(1, 3))
    assert not torch.equal(one.surface, other.surface)
    assert not torch.equal(one.toa, other.toa)


def test_what_the_global_generator_says_changes_no_world(composer) -> None:
    torch.manual_seed(1)
    one = composer(**RECIPE).compose(3, seed=(4,))
    torch.manual_seed(2)
    assert torch.equal(one.toa, composer(**RECIPE).compose(3, seed=(4,)).toa)


def test_composing_leaves_the_global_generator_as_it_was(composer) -> None:
    before = torch.random.get_rng_state()
    composer(**RECIPE).compose(3, seed=(4,))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_world_of_a_batch_is_another(composer) -> None:
    world = composer().compose(6, seed=(3,))
    assert len(torch.unique(world.surface.flatten(1), dim=0)) == 6


def test_ground_is_no_darker_than_black_and_no_brighter_than_white(composer) -> None:
    surface = composer(tinted_shade=1.0).compose(12, seed=(5,)).surface
    assert float(surface.min()) >= 0.0
    assert float(surface.max()) <= 0.99


def test_a_perfect_sensor_sees_the_ground_through_its_air_within_its_noise(composer) -> None:
    world = composer().compose(8, seed=(6,))
    clean = apply_atmosphere(world.surface, truth_of(world))
    promised = world.air.noise[..., 0, None, None] + world.air.noise[..., 1, None, None] * clean
    scatter = ((world.toa - clean) ** 2 / promised).mean((2, 3)).sqrt()
    assert float(scatter.min()) > 0.39  # in orbit sensors do 0.4 to 0.8 of the promised
    assert float(scatter.max()) < 0.82
    assert bool((world.usable == 1).all())


def test_the_ground_comes_back_from_a_perfect_world(composer) -> None:
    world = composer().compose(4, seed=(7,))
    found = remove_atmosphere(world.toa, truth_of(world)).mean((2, 3))
    assert torch.allclose(found, world.surface.mean((2, 3)), atol=1e-3)


def test_the_noise_that_is_told_is_a_quarter_of_the_promised_variance(composer) -> None:
    world = composer().compose(4, seed=(7,))
    mean = world.toa.mean((2, 3))
    expected = 0.25 * (world.air.noise[..., 0] + world.air.noise[..., 1] * mean)
    assert torch.allclose(world.noise, expected, rtol=1e-4)


def look(surface, air, around):
    uneven = torch.zeros(len(air), *surface.shape[-2:])
    return look_through(surface, air, uneven=uneven, around=torch.full((len(air),), around))


@pytest.fixture(scope="module")
def air():
    return draw_airs(5, AirSpec(varying=0.0), seed=4)


def test_light_from_around_changes_nothing_over_uniform_ground(air) -> None:
    surface = torch.linspace(0.02, 0.7, 7)[None, :, None, None].expand(5, 7, 64, 64).contiguous()
    assert torch.allclose(look(surface, air, 1.0), look(surface, air, 0.0), atol=1e-6)


def test_light_from_around_brightens_the_dark_beside_the_bright(air) -> None:
    surface = torch.full((5, 7, 64, 64), 0.02)
    surface[..., 32:] = 0.5
    alone, beside = look(surface, air, 0.0), look(surface, air, 1.0)
    assert bool((beside[..., 31] > alone[..., 31]).all())
    assert bool((beside[..., 32] < alone[..., 32]).all())
    assert float((beside - alone)[:, 0, :, 31].mean()) > float((beside - alone)[:, 6, :, 31].mean())
    assert float((beside - alone)[..., 31].abs().mean()) > 5 * float((beside - alone)[..., 2].abs().mean())


def test_adjacency_is_seen_by_the_flagged_worlds_alone(air) -> None:
    surface = torch.full((5, 7, 64, 64), 0.02)
    surface[..., 32:] = 0.5
    flags = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0])
    some = look_through(surface, air, uneven=torch.zeros(5, 64, 64), around=flags)
    every, none = look(surface, air, 1.0), look(surface, air, 0.0)
    assert torch.equal(some[[0, 3]], every[[0, 3]])
    assert torch.equal(some[[1, 2, 4]], none[[1, 2, 4]])


def test_uneven_air_leads_from_one_end_to_the_other() -> None:
    air = draw_airs(5, AirSpec(varying=1.0), seed=4)
    surface = torch.full((5, 7, 64, 64), 0.1)
    ramp = torch.linspace(-6.0, 6.0, 64).expand(5, 64, 64)
    seen = look_through(surface, air, uneven=ramp, around=torch.zeros(5))
    for end, column in ((0, 0), (1, 63)):
        path, through, albedo, gas = air.truth[:, end].unbind(1)
        expected = gas * (path + through * 0.1 / (1.0 - 0.1 * albedo))
        assert torch.allclose(seen[..., 32, column], expected, atol=1e-3)


def test_bands_are_made_unequally_sharp_where_flagged_and_only_there() -> None:
    toa = torch.rand(3, 7, 64, 64, generator=torch.Generator().manual_seed(1))
    blurred = _unequally_sharp(toa, torch.tensor([1.0, 0.0, 0.0]), np.random.default_rng(1))
    assert torch.equal(blurred[1:], toa[1:])
    spread = blurred[0].flatten(1).std(1) / toa[0].flatten(1).std(1)
    assert bool((spread <= 1.0).all())
    assert float(spread.max() - spread.min()) > 0.02
    flat = torch.full((1, 7, 64, 64), 0.3)
    assert torch.allclose(_unequally_sharp(flat, torch.ones(1), np.random.default_rng(1)), flat, atol=1e-6)


def test_the_cores_of_clouds_are_masked_and_what_is_left_is_hardly_brighter() -> None:
    toa = torch.full((8, 7, 64, 64), 0.1)
    ramp = torch.linspace(-2.0, 4.0, 64).expand(8, 64, 64)
    white, usable = _cloud_over(toa, ramp, torch.ones(8), np.random.default_rng(2))
    masked = (usable == 0)[:, None].expand_as(toa)
    brighter = white - toa
    assert bool(masked.any())
    assert float(brighter[masked].min()) >= _EDGE * (_CLOUD - 0.1) - 1e-6
    assert float(brighter[~masked].max()) < _EDGE * (_CLOUD - 0.1) + 1e-6
    assert float(brighter[~masked].max()) > 0.0  # thin edges are not masked


def test_worlds_without_clouds_are_left_alone() -> None:
    toa = torch.rand(4, 7, 64, 64)
    white, usable = _cloud_over(toa, 3.0 * torch.ones(4, 64, 64), torch.zeros(4), np.random.default_rng(2))
    assert torch.equal(white, toa)
    assert bool((usable == 1).all())


def test_as_many_worlds_are_clouded_as_the_spec_says(composer) -> None:
    none, every = (composer(clouded=c).compose(12, seed=(8,)).usable for c in (0.0, 1.0))
    assert bool((none == 1).all())
    assert int((every.flatten(1).amin(1) == 0).sum()) >= 6


def test_a_miscalibrated_band_is_off_everywhere_alike(composer) -> None:
    exact, off = (composer(miscalibrated=m).compose(6, seed=(9,)) for m in (0.0, 1.0))
    ratio = (off.toa.mean((2, 3)) / exact.toa.mean((2, 3))).sub(1.0)
    assert torch.equal(exact.surface, off.surface)
    assert 0.005 < float(ratio.std()) < 0.05


def test_shade_changes_the_brightness_and_not_the_colour(composer) -> None:
    grey = composer(tinted_shade=0.0)
    shade = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(2))
    factor = grey._brightness(shade, np.random.default_rng(3))
    assert torch.allclose(factor, factor[:, :1].expand_as(factor), rtol=1e-5)
    tinted = composer(tinted_shade=1.0)._brightness(shade, np.random.default_rng(3))
    assert not torch.allclose(tinted, tinted[:, :1].expand_as(tinted), rtol=1e-2)


def test_half_windows_are_worlds_of_half_the_columns(composer) -> None:
    world = composer(cols=32, **RECIPE).compose(4, seed=(2,))
    assert world.toa.shape == world.surface.shape == (4, 7, 64, 32)
    assert world.usable.shape == (4, 64, 32)
    assert bool(torch.isfinite(world.toa).all())
    even = composer(cols=32).compose(4, seed=(2,))
    clean = apply_atmosphere(even.surface, truth_of(even))
    assert float((even.toa - clean).abs().max()) < 0.03


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 6)])
def test_worlds_have_the_forecasts_that_are_asked_for(composer, share: float, expected: int) -> None:
    world = composer(forecast=share).compose(6, seed=(2,))
    has = world.forecast[:, 0] == 1.0
    assert int(has.sum()) == expected
    assert torch.equal(world.forecast[has][:, 1:], world.air.forecast[has])
    assert bool((world.forecast[~has] == 0).all())


def test_one_world_is_a_batch(composer) -> None:
    assert composer(**RECIPE).compose(1, seed=(0,)).toa.shape == (1, 7, 64, 64)


def test_ground_is_made_of_the_spectra_it_is_given(composer) -> None:
    # one material of one class, unblended: the ground is its spectrum, up to level, tilt and shade
    made = composer(blended=0.0, familiar=0.0, shade_sigma=(0.01,))
    spectra = np.full_like(made.materials.reflectance, 0.2)
    grey = replace(made, materials=replace(made.materials, reflectance=spectra))
    surface = grey.compose(6, seed=(1,)).surface
    assert float(surface.min()) > 0.08
    assert float(surface.max()) < 0.45
