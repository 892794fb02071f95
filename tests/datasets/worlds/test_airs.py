from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.hypotheses import AOT_LADDER, COUNT
from undersky.atmosphere.state import AEROSOL_MODELS, LIMITS, AtmosphereState, Geometry, pressure_at
from undersky.bands import SENSORS
from undersky.datasets.worlds.airs import (
    IN_ORBIT,
    Airs,
    _belief,
    _depths,
    draw_airs,
    noise_in_orbit,
    promised_noise,
)
from undersky.datasets.worlds.materials import SENSOR_KEYS, role_bands
from undersky.datasets.worlds.spec import AirSpec
from undersky.synth.sensor_noise import noise_sigma

EVEN = AirSpec(varying=0.0)


def alike(one: Airs, other: Airs) -> dict[str, bool]:
    return {f.name: torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Airs)}


def test_the_same_seed_draws_the_same_airs_to_the_bit() -> None:
    assert all(alike(draw_airs(20, AirSpec(), seed=3), draw_airs(20, AirSpec(), seed=3)).values())


def test_another_seed_draws_other_airs() -> None:
    same = alike(draw_airs(20, AirSpec(), seed=3), draw_airs(20, AirSpec(), seed=4))
    assert [name for name, equal in same.items() if equal] == ["sensor"]


def test_drawing_leaves_the_global_generators_as_they_were() -> None:
    before, old = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  it is asked after
    draw_airs(8, AirSpec(), seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], old)  # noqa: NPY002  likewise


def test_every_sensor_has_its_share(many_airs) -> None:
    counts = torch.bincount(many_airs.sensor, minlength=len(SENSOR_KEYS))
    assert int(counts.max() - counts.min()) <= 1
    assert len(many_airs) == 1024


def test_airs_lie_in_their_ranges(many_airs) -> None:
    sun, view, along, pressure, seen = many_airs.conditions.unbind(1)
    zenith = torch.rad2deg(torch.arccos(sun))
    assert 10.0 - 1e-3 <= float(zenith.min()) < 12.0
    assert 75.0 < float(zenith.max()) <= 76.0 + 1e-3
    assert float(view.min()) >= np.cos(np.radians(13.0)) - 1e-6
    assert float(along.abs().max()) <= np.sin(np.radians(13.0)) + 1e-6
    assert float(pressure.max()) < 1.1
    assert float(pressure.min()) > 0.9 * pressure_at(4.0) / 1013.0
    assert set(seen.tolist()) == {0.0, 1.0}
    assert float(many_airs.aot_550.min()) >= 0.005
    assert float(many_airs.aot_550.max()) <= 1.2 + 1e-6


def test_no_air_of_the_ranges_leaves_the_tables() -> None:
    assert LIMITS["sun_zenith"][1] >= 76.0
    assert LIMITS["view_zenith"][1] >= 13.0
    assert LIMITS["water_vapour"][0] <= 0.15 * 0.9
    assert LIMITS["water_vapour"][1] >= 5.5 * 1.1 - 0.1
    assert LIMITS["ozone_dobson"][0] <= 190.0
    assert LIMITS["ozone_dobson"][1] >= 480.0
    assert LIMITS["pressure_hpa"][0] <= pressure_at(4.0)


def test_points_fill_the_cube_evenly(many_airs) -> None:
    points = many_airs.point.numpy()
    assert points.shape == (1024, 7)
    for column in points.T:
        counts, _ = np.histogram(column, bins=8, range=(0.0, 1.0))
        assert counts.min() > 120
        assert counts.max() < 136


def test_optical_depths_follow_their_three_distributions() -> None:
    rng, spec = np.random.default_rng(1), AirSpec()
    quantile = rng.random(20_000)
    natural = _depths(quantile, np.zeros(20_000), spec)
    assert np.median(natural) == pytest.approx(0.13, rel=0.03)
    inner = np.log(natural[(natural > 0.006) & (natural < 1.19)])
    assert inner.std() == pytest.approx(0.8, rel=0.06)
    assert natural.max() <= 1.2
    assert natural.min() >= 0.005
    thick = _depths(quantile, np.full(20_000, spec.climatological + 0.5 * spec.thick), spec)
    assert (thick.min(), thick.max()) == pytest.approx((0.6, 1.2), abs=1e-3)
    others = _depths(quantile, np.ones(20_000), spec)
    assert (others.min(), others.max()) == pytest.approx((0.01, 0.65), abs=1e-3)
    assert others.mean() == pytest.approx(0.33, abs=0.01)


def test_as_many_airs_are_thick_as_the_spec_says(many_airs) -> None:
    spec = AirSpec()
    lognormal_tail = spec.climatological * 0.028  # beyond 0.6: 1.91 sigma
    uniform_tail = (1.0 - spec.climatological - spec.thick) * 0.05 / 0.64
    share = float((many_airs.aot_550 > 0.6).float().mean())
    assert share == pytest.approx(spec.thick + lognormal_tail + uniform_tail, abs=0.03)


def test_aerosols_are_pure_and_mixed_in_the_shares_of_the_spec(many_airs) -> None:
    spec, shares = AirSpec(), many_airs.shares
    assert torch.allclose(shares.sum(1), torch.ones(1024), atol=1e-5)
    assert float(shares.min()) >= 0.0
    pure = shares.amax(1) == 1.0
    assert float(pure.float().mean()) == pytest.approx(spec.pure, abs=0.05)
    models = torch.bincount(shares[pure].argmax(1), minlength=len(AEROSOL_MODELS)) / pure.sum()
    assert models.tolist() == pytest.approx(spec.models, abs=0.05)
    assert shares[~pure].mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.05)


def test_as_many_airs_vary_over_the_window_as_the_spec_says(many_airs) -> None:
    varies = (many_airs.truth[:, 0] != many_airs.truth[:, 1]).flatten(1).any(1)
    assert float(varies.float().mean()) == pytest.approx(AirSpec().varying, abs=0.05)


def test_even_air_is_the_same_at_both_ends() -> None:
    airs = draw_airs(20, EVEN, seed=3)
    assert torch.equal(airs.truth[:, 0], airs.truth[:, 1])


def test_uneven_air_has_more_aerosol_at_its_second_end() -> None:
    airs = draw_airs(20, AirSpec(varying=1.0), seed=3)
    assert bool((airs.truth[:, 1, 1, 0] < airs.truth[:, 0, 1, 0]).all())  # transmittance of the deep blue


def test_truth_is_the_emulator_at_the_place_the_point_says() -> None:
    airs = draw_airs(10, EVEN, seed=6)
    low, high = np.cos(np.radians([76.0, 10.0]))
    for row in range(10):
        where = airs.point[row].double().numpy()
        key = SENSOR_KEYS[int(airs.sensor[row])]
        sun = np.degrees(np.arccos(low + (high - low) * where[0]))
        angles = (np.array([v]) for v in (sun, 13.0 * where[1], 180.0 * where[2]))
        water, ozone = 0.15 + 5.35 * where[3], 190.0 + 290.0 * where[4]
        pressure = float(pressure_at(4.0 * where[5] ** 1.5))
        flat = (np.array([v]) for v in (float(airs.aot_550[row]), water, ozone, pressure))
        state = AtmosphereState(*flat, airs.shares[row].double().numpy()[:, None])
        found = Emulator.load(key, role_bands(key))(state, Geometry(*angles))
        names = ("path", "transmittance", "spherical_albedo", "gas_transmittance")
        for place, name in enumerate(names):
            expected = getattr(found, name)[:, 0]
            assert airs.truth[row, 0, place].numpy() == pytest.approx(expected, rel=1e-3, abs=1e-5), name


def test_a_pure_air_lies_on_the_line_between_two_of_its_hypotheses() -> None:
    # but for what is believed of gases and pressure
    airs = draw_airs(60, AirSpec(varying=0.0, pure=1.0), seed=8)
    rungs = torch.tensor(AOT_LADDER)
    assert airs.path.shape == (60, COUNT, 7)
    for row in range(60):
        first = int(airs.shares[row].argmax()) * len(AOT_LADDER)
        left = int((torch.searchsorted(rungs, airs.aot_550[row], right=True) - 1).clamp(0, 6))
        part = (airs.aot_550[row] - rungs[left]) / (rungs[left + 1] - rungs[left])
        line = torch.lerp(airs.path[row, first + left], airs.path[row, first + left + 1], part)
        assert torch.allclose(line, airs.truth[row, 0, 0], atol=0.012)


def test_what_is_believed_is_near_the_truth_and_never_the_truth() -> None:
    chance, n = np.random.default_rng(1), 4000
    air = {
        "water_vapour": np.full(n, 2.0),
        "ozone_dobson": np.full(n, 300.0),
        "pressure_hpa": np.full(n, 900.0),
    }
    sensor = np.arange(n) % len(SENSOR_KEYS)
    seen = np.array([SENSORS[k].constellation == "sentinel-2" for k in SENSOR_KEYS])[sensor]
    belief = _belief(air, sensor, chance)
    assert np.log(belief["water_vapour"][seen] / 2.0).std() == pytest.approx(0.1, rel=0.1)
    assert belief["water_vapour"][~seen].std() > 0.7
    assert belief["water_vapour"][~seen].min() >= 0.2
    assert belief["ozone_dobson"].std() == pytest.approx(8.0, rel=0.1)
    assert 0.005 < (belief["pressure_hpa"] / 900.0).std() < 0.02
    assert not any((belief[name] == air[name]).any() for name in air)


def test_a_forecast_knows_something_and_not_all(many_airs) -> None:
    depth, shares = many_airs.forecast[:, 0], many_airs.forecast[:, 1:]
    assert torch.allclose(shares.sum(1), torch.ones(1024), atol=1e-5)
    assert float(depth.min()) >= 0.0
    assert float(depth.max()) <= 1.25
    assert 0.7 < float(torch.corrcoef(torch.stack([depth, many_airs.aot_550]))[0, 1]) < 0.97
    assert float((shares - many_airs.shares).abs().max()) > 0.2
    assert float((shares * many_airs.shares).sum(1).mean()) > 0.4


@pytest.mark.parametrize("sensor", ["S2A", "L9"])
@pytest.mark.parametrize("sun", [15.0, 70.0])
def test_promised_noise_is_the_makers(sensor: str, sun: float) -> None:
    table = promised_noise(sensor, np.array([sun]))
    for column, band in enumerate(role_bands(sensor)):
        for toa in (0.0, 0.07, 0.6):
            sigma = noise_sigma(SENSORS[sensor], band, toa=np.array([toa], np.float32), sun_zenith=sun)
            assert table[0, column, 0] + toa * table[0, column, 1] == pytest.approx(sigma[0] ** 2, rel=1e-4)


def test_noise_in_orbit_is_a_share_of_the_promised() -> None:
    found = noise_in_orbit()
    assert found.shape == (len(SENSOR_KEYS), 7, 2)
    assert found.dtype == np.float32
    assert found[3] == pytest.approx(IN_ORBIT**2 * promised_noise(SENSOR_KEYS[3], np.zeros(1))[0])


def test_taking_some_takes_the_same_ones_of_everything(many_airs) -> None:
    some = many_airs.take(torch.tensor([9, 2]))
    for f in fields(Airs):
        assert torch.equal(getattr(some, f.name), getattr(many_airs, f.name)[[9, 2]]), f.name


def test_fewer_airs_of_a_seed_are_other_airs_but_as_many_as_asked() -> None:
    assert [len(draw_airs(n, replace(EVEN, pure=1.0), seed=1)) for n in (1, 5, 17)] == [1, 5, 17]
