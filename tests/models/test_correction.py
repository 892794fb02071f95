from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from looks import LEAF, NOISE, SMALL, SOIL, hypotheses, mixed, shaded, under, windows_of

from undersky.atmosphere.hypotheses import AOT_LADDER, COUNT, REFERENCE, hypothesis_states
from undersky.atmosphere.inversion import apply_atmosphere, remove_atmosphere
from undersky.atmosphere.state import AEROSOL_MODELS
from undersky.models.correction import (
    BLOCK,
    MODELS,
    PRIOR,
    STATE,
    Blocks,
    CorrectionNetwork,
    Look,
    NetworkConfig,
    Windows,
    blocks_of,
    mean_coefficients,
    mean_state,
    without_prior,
)


@pytest.fixture(scope="module")
def network() -> CorrectionNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return CorrectionNetwork(SMALL).eval()


def look(network: CorrectionNetwork, windows: Windows) -> Look:
    with torch.no_grad():
        return network(windows, blocks_of(windows, reference=REFERENCE))


def same(one: Look, other: Look, **tolerance: float) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Look)]
    return all(torch.allclose(a, b, **tolerance) if tolerance else torch.equal(a, b) for a, b in pairs)


def black_of(windows: Windows) -> torch.Tensor:
    """Mean over blocks and scales of t, (hypothesis,)."""
    found = blocks_of(windows, reference=REFERENCE).black
    return (50.0 * torch.expm1(found)).mean((0, 2, 3))


def test_network_and_hypotheses_speak_of_the_same_air() -> None:
    assert len(AEROSOL_MODELS) == MODELS
    assert NetworkConfig().ladder == AOT_LADDER
    network = CorrectionNetwork(SMALL)
    depth, shares = hypothesis_states()
    assert torch.equal(network.depth, depth)
    assert torch.equal(network.models, shares.T)


# The physics: spectra of a shaded block, continued towards the dark, come near zero under the true air.


@pytest.mark.parametrize("spectrum", [SOIL, LEAF], ids=["soil", "leaf"])
@pytest.mark.parametrize("truth", [2, 3, 4, 6, 2 * 8 + 3, 3 * 8 + 2, 4 * 8 + 4])
def test_black_is_nearest_under_the_true_hypothesis(spectrum, truth: int) -> None:
    black = black_of(windows_of(shaded(spectrum), truth=truth))
    assert int(black.argmin()) == truth


def test_thin_aerosol_is_told_by_its_depth_if_not_by_its_kind() -> None:
    black = black_of(windows_of(shaded(SOIL), truth=1))
    assert int(black.argmin()) % len(AOT_LADDER) == 1
    assert float(black[0]) > 10.0 * float(black[1])


@pytest.mark.parametrize("truth", [REFERENCE, 2 * 8 + 3])
def test_black_is_far_under_wrong_hypotheses(truth: int) -> None:
    black = black_of(windows_of(shaded(SOIL), truth=truth))
    apart = (hypotheses().path[0] - hypotheses().path[0, truth]).abs().amax(-1)
    assert float(black[truth]) < 150.0
    assert float(black[apart > 0.02].min()) > 10.0 * float(black[truth])


def test_under_the_truth_the_distance_is_the_mean_over_the_spread_of_the_shade() -> None:
    # t = m' (C + N)^-1 m with C = m m' var / mean^2: 1 / (relative variance of the brightness)
    surface = shaded(SOIL, sigma=0.1)
    t = 50.0 * torch.expm1(blocks_of(windows_of(surface, truth=REFERENCE), reference=REFERENCE).black)
    brightness = surface[0, 0].reshape(8, BLOCK, 8, BLOCK).transpose(1, 2).flatten(2)
    expected = (brightness.mean(-1) ** 2 / brightness.var(-1, correction=0)).flatten()
    assert torch.allclose(t[0, REFERENCE, :, 0], expected, rtol=0.05)


def test_mixtures_of_shaded_materials_still_point_at_black() -> None:
    black = black_of(windows_of(mixed(n=1), truth=REFERENCE))
    apart = (hypotheses().path[0] - hypotheses().path[0, REFERENCE]).abs().amax(-1)
    assert float(black[REFERENCE]) < 0.2 * float(black[apart > 0.02].min())


def test_the_statistics_are_those_of_the_pixels_at_all_three_scales() -> None:
    slope = torch.linspace(0.5, 1.5, 64)  # blocks differ among each other, not only inside
    windows = windows_of(slope * mixed(n=1), truth=2 * 8 + 4)
    windows.usable[0, 3:6, :40] = 0.0
    found = blocks_of(windows, reference=REFERENCE)
    linear = remove_atmosphere(windows.toa, under(REFERENCE))[0].double().numpy()
    gas, t = windows.gas_transmittance[0].double(), windows.transmittance[0, REFERENCE].double()
    floor = (0.2 * NOISE / (gas * t) ** 2 + 2e-5**2).numpy()
    z = remove_atmosphere(
        (windows.gas_transmittance[0] * windows.path[0])[:, :, None, None], under(REFERENCE)
    )
    black = z[..., 0, 0].double().numpy()
    shown = windows.usable[0].numpy() > 0
    for scale, side in enumerate((8, 16, 32)):
        for row, col in ((0, 0), (1, 1), (7, 2)):
            y, x = (BLOCK * v // side * side for v in (row, col))
            keep = shown[y : y + side, x : x + side]
            pixels = linear[:, y : y + side, x : x + side][:, keep]
            inverse = np.linalg.inv(np.cov(pixels, bias=True) + np.diag(floor))
            away = pixels.mean(1) - black
            expected = np.log1p(np.einsum("hb,bc,hc->h", away, inverse, away) / 50.0)
            assert found.black[0, :, row * 8 + col, scale].numpy() == pytest.approx(
                expected, rel=0.02, abs=0.1
            )


def test_the_mean_of_a_block_is_that_of_its_pixels_without_the_gases() -> None:
    windows = windows_of(mixed(), truth=5)
    found = blocks_of(windows, reference=REFERENCE)
    assert found.mean.shape == (2, 64, 7)
    block = windows.toa[1, :, 8:16, 24:32].mean((1, 2)) / windows.gas_transmittance[1]
    assert torch.allclose(found.mean[1, 1 * 8 + 3], block, rtol=1e-4)


def test_contrast_is_nothing_on_even_ground_and_grows_with_the_shade() -> None:
    contrasts = []
    for sigma in (0.0, 0.05, 0.2):
        windows = windows_of(shaded(SOIL, sigma=sigma), truth=REFERENCE)
        contrasts.append(float(blocks_of(windows, reference=REFERENCE).contrast.mean()))
    assert contrasts[0] < 1e-4
    assert contrasts[0] < contrasts[1] < contrasts[2]


# Masked pixels


def masked() -> Windows:
    windows = windows_of(mixed(), truth=3)
    usable = torch.ones(2, 64, 64)
    usable[0, :20, :30] = 0.0
    usable[1, 40:, ::3] = 0.0
    return replace(windows, usable=usable)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -9999.0, 0.0, 65535.0])
def test_masked_pixels_change_nothing_whatever_their_values(network, value: float) -> None:
    windows = masked()
    hidden = (windows.usable == 0)[:, None].expand_as(windows.toa)
    other = replace(windows, toa=windows.toa.masked_fill(hidden, value))
    assert same(look(network, windows), look(network, other))


def test_gradients_do_not_know_masked_pixels_that_are_nan(network) -> None:
    windows = masked()
    hidden = (windows.usable == 0)[:, None].expand_as(windows.toa)
    windows = replace(windows, toa=windows.toa.masked_fill(hidden, float("nan")))
    other = CorrectionNetwork(SMALL)
    other.load_state_dict(network.state_dict())
    found = other(windows, blocks_of(windows, reference=REFERENCE))
    (found.log_posterior[:, 4].sum() + found.factors.square().sum()).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in other.parameters() if p.grad is not None)


def test_a_block_with_few_usable_pixels_is_not_looked_at(network) -> None:
    windows = windows_of(mixed(n=1), truth=3)
    windows.usable[0, :8, :8] = 0.0
    windows.usable[0, 0, :8] = 1.0  # eight of sixteen that are needed
    found = blocks_of(windows, reference=REFERENCE)
    assert found.usable[0].tolist() == [False] + [True] * 63
    strange = replace(found, mean=found.mean.clone())
    strange.mean[0, 0] = 0.9
    with torch.no_grad():
        assert same(network(windows, found), network(windows, strange), atol=1e-6)


def test_a_window_without_a_usable_pixel_still_gets_an_answer(network) -> None:
    windows = windows_of(mixed(n=1), truth=3, usable=torch.zeros(1, 64, 64))
    found = look(network, replace(windows, toa=windows.toa * float("nan")))
    assert all(bool(torch.isfinite(getattr(found, f.name)).all()) for f in fields(Look))


# What the network says


def test_the_posterior_sums_to_one(network) -> None:
    found = look(network, masked())
    assert found.log_posterior.shape == (2, COUNT)
    assert torch.allclose(found.log_posterior.exp().sum(1), torch.ones(2), atol=1e-5)
    assert found.factors.shape == (2, STATE, SMALL.rank)
    assert found.embedding.shape == (2, SMALL.embedding)


@pytest.mark.parametrize("turn", [(2,), (3,), (2, 3)])
def test_a_flipped_window_has_the_same_air(network, turn: tuple) -> None:
    windows = masked()
    axes = [axis - 1 for axis in turn]
    flipped = replace(windows, toa=windows.toa.flip(turn), usable=windows.usable.flip(axes))
    assert same(look(network, windows), look(network, flipped), rtol=1e-3, atol=1e-4)


def test_the_order_of_blocks_means_nothing(network) -> None:
    windows = masked()
    blocks = blocks_of(windows, reference=REFERENCE)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert same(network(windows, blocks), network(windows, blocks.some(order)), rtol=1e-3, atol=1e-4)


def test_every_window_of_a_batch_is_looked_at_alone(network) -> None:
    windows = masked()
    second = Windows(*(getattr(windows, f.name)[1:] for f in fields(Windows)))
    both, alone = look(network, windows), look(network, second)
    assert torch.allclose(both.log_posterior[1:], alone.log_posterior, atol=1e-4)
    assert not torch.allclose(both.log_posterior[0], both.log_posterior[1], atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (64, 32), (32, 96), (128, 64)])
def test_windows_may_be_of_any_multiple_of_four_blocks(network, size: tuple[int, int]) -> None:
    windows = windows_of(mixed(size=size), truth=3)
    found = blocks_of(windows, reference=REFERENCE)
    assert found.black.shape == (2, COUNT, size[0] * size[1] // 64, 3)
    assert bool(torch.isfinite(look(network, windows).log_posterior).all())


def test_a_tiled_window_says_what_its_tile_says(network) -> None:
    tile = mixed(size=(32, 32))
    one, four = (windows_of(ground, truth=3) for ground in (tile, tile.repeat(1, 1, 2, 2)))
    assert same(look(network, one), look(network, four), rtol=1e-3, atol=1e-3)


def test_some_blocks_are_those_of_all() -> None:
    blocks = blocks_of(masked(), reference=REFERENCE)
    index = torch.tensor([5, 2])
    some = blocks.some(index)
    for f in fields(Blocks):
        axis = 2 if f.name == "black" else 1
        assert torch.equal(getattr(some, f.name), getattr(blocks, f.name).index_select(axis, index)), f.name


def test_no_forecast_is_a_forecast_of_zeros_and_changes_what_is_seen(network) -> None:
    windows = masked()
    told = replace(windows, prior=torch.tensor([[1.0, 0.4, 0.2, 0.2, 0.2, 0.2, 0.2]]).expand(2, PRIOR))
    assert same(look(network, without_prior(told)), look(network, windows))
    assert not same(look(network, told), look(network, windows), atol=1e-5)
    assert bool((told.prior != 0).all())


def test_darker_gases_are_divided_out_before_anything_is_seen(network) -> None:
    windows = masked()
    dimmed = replace(windows, toa=0.8 * windows.toa, gas_transmittance=0.8 * windows.gas_transmittance)
    quiet = replace(dimmed, noise=0.64 * windows.noise)
    assert same(look(network, windows), look(network, quiet), rtol=1e-3, atol=1e-3)


def test_a_sure_posterior_means_its_hypothesis() -> None:
    windows, depth_shares = masked(), hypothesis_states()
    sure = torch.eye(COUNT)[[11, 39]]
    depth, shares = mean_state(sure, depth_shares[0], depth_shares[1].T)
    assert depth[:, 0].tolist() == pytest.approx([AOT_LADDER[3], AOT_LADDER[7]])
    assert shares.argmax(1).tolist() == [1, 4]
    path, transmittance, albedo = mean_coefficients(sure, windows)
    for found, name in ((path, "path"), (transmittance, "transmittance"), (albedo, "spherical_albedo")):
        expected = torch.stack([getattr(windows, name)[0, 11], getattr(windows, name)[1, 39]])
        assert torch.allclose(found, expected), name


def test_moving_windows_leaves_what_they_hold() -> None:
    windows = masked()
    moved = windows.to(torch.device("cpu"))
    assert all(torch.equal(getattr(moved, f.name), getattr(windows, f.name)) for f in fields(Windows))


def test_the_shipped_size_is_a_few_megabytes() -> None:
    weights = sum(value.numel() for value in CorrectionNetwork(NetworkConfig()).state_dict().values())
    assert 4 * weights < 4e6


@pytest.mark.parametrize(
    "wrong",
    [{"width": 48, "heads": 7}, {"heads": 0}, {"width": 0}, {"rank": 0}, {"embedding": 0}, {"width": -8}],
)
def test_sizes_that_make_no_network_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="positive"):
        NetworkConfig(**wrong)


def test_the_windows_here_are_made_by_the_physics_they_test() -> None:
    surface = shaded(LEAF, n=1)
    seen = apply_atmosphere(surface, under(12))
    assert torch.allclose(remove_atmosphere(seen, under(12)), surface, atol=1e-5)
