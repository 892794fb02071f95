"""The learned model on scenes whose air is known: it finds it, and it knows when not to speak."""

import dataclasses

import numpy as np
import pytest

from undersky.datasets.observation import as_scene
from undersky.datasets.suites import load_suite, render
from undersky.inference.air import Air, _Pixels, _spread, at_nodes, window_origins
from undersky.inference.correction import CorrectionOptions, open_estimator
from undersky.inference.ground import GroundOptions
from undersky.scene import AtmospherePrior

GROUND = GroundOptions(altitude_m=500.0)


def scene_of(index):
    scene = load_suite("direct-6s").scenes[index]
    observation, truth = render(scene)
    return as_scene(observation), truth, GroundOptions(altitude_m=1000.0 * observation.altitude_km)


def estimate(scene, *, model="learned", ground=GROUND, **options):
    estimator = open_estimator(CorrectionOptions(model=model, ground=ground, **options))
    return estimator.estimate(scene, estimator.mask(scene))


def with_pixels(scene, change):
    """The scene with every band's pixels changed by a function of (band name, pixels)."""
    bands = {
        name: dataclasses.replace(band, toa=change(name, band.toa)) for name, band in scene.bands.items()
    }
    return dataclasses.replace(scene, bands=bands)


@pytest.fixture(scope="module")
def hazy():
    """A scene of the frozen suite under an optical depth of 0.2 or more."""
    index = next(i for i, s in enumerate(load_suite("direct-6s").scenes) if s.design.case.aot_550 > 0.25)
    return scene_of(index)


def test_the_depth_is_found_far_better_than_assumed():
    found, assumed = [], []
    for index in range(0, 60, 5):
        scene, truth, ground = scene_of(index)
        found.append(estimate(scene, ground=ground).aot_550.mean() - truth.aot_550)
        assumed.append(0.1 - truth.aot_550)
    assert np.sqrt(np.mean(np.square(found))) < 0.5 * np.sqrt(np.mean(np.square(assumed)))


def test_the_aerosol_is_said_to_be_learned_and_a_stated_one_stated(hazy, tmp_path):
    scene, _, ground = hazy
    seen = estimate(scene, ground=ground)
    assert seen.sources["aerosol"] == "learned"
    assert not seen.fallback.any()
    path = tmp_path / "state.json"
    path.write_text(
        '{"format": "undersky-atmosphere-state/1", "aot_550": 0.3, "water_vapour_g_cm2": 1.7,'
        '"ozone_dobson": 330, "pressure_hpa": 960, "aerosol": {"urban": 1.0}}'
    )
    told = estimate(scene, state=path, ground=GroundOptions())
    assert told.sources["aerosol"] == "stated"
    assert told.aot_550 == pytest.approx(0.3)


def test_what_it_does_not_know_is_left_to_the_baseline(hazy):
    scene, _, ground = hazy
    chance = np.random.default_rng(5)
    static = with_pixels(scene, lambda _, toa: chance.uniform(0.0, 1.2, toa.shape).astype(np.float32))
    seen, baseline = estimate(static, ground=ground), estimate(static, model="physics", ground=ground)
    assert seen.fallback.all()
    assert seen.sources == baseline.sources
    np.testing.assert_array_equal(seen.fields.offset, baseline.fields.offset)
    np.testing.assert_array_equal(seen.fields.q0, baseline.fields.q0)


def test_without_a_band_or_without_ground_the_baseline_stands_in(hazy):
    scene, _, ground = hazy
    bands = {name: band for name, band in scene.bands.items() if name not in ("B01", "B1")}
    lacking = dataclasses.replace(scene, bands=bands)
    assert estimate(lacking, ground=ground).fallback.all()
    empty = with_pixels(scene, lambda _, toa: np.full_like(toa, np.nan))
    assert estimate(empty, ground=ground).fallback.all()


def test_pixels_without_data_change_nothing_elsewhere(hazy):
    scene, truth, ground = hazy
    holed = with_pixels(scene, lambda _, toa: np.where(np.indices(toa.shape)[1] < 16, np.nan, toa))
    seen = estimate(holed, ground=ground)
    assert np.isfinite(seen.aot_550).all()
    assert abs(seen.aot_550.mean() - truth.aot_550) < 0.1


def test_a_right_forecast_is_not_despised(hazy):
    scene, truth, ground = hazy

    def field(value):
        return np.full((2, 2), value, dtype=np.float32)

    species = {"dust": field(0.05), "sulphate": field(truth.aot_550)}
    prior = AtmospherePrior("AUX_CAMSFO", aot_550=field(truth.aot_550), aot_550_by_species=species)
    told = estimate(dataclasses.replace(scene, prior=prior), ground=ground)
    assert abs(told.aot_550.mean() - truth.aot_550) < 0.08


def test_windows_lie_inside_the_scene_and_around_their_nodes():
    origins = window_origins((200, 100), (5, 3))
    assert origins.shape == (5, 3, 2)
    assert origins[0, 0].tolist() == [0, 0]
    assert origins[-1, -1].tolist() == [136, 36]
    assert origins[2, 1].tolist() == [68, 18]
    assert not window_origins((40, 30), (2, 2)).any()


def test_relief_sees_the_same_air_between_the_models_nodes():
    corner = np.array([[1.0, 0.0], [0.0, 0.0]])
    air = Air(corner, np.stack([corner] * 5), np.ones((6, 3, 2, 2)), corner.astype(np.float32), corner > 0)
    fine = at_nodes(air, (3, 3))
    assert fine.aot_550[0].tolist() == [1.0, 0.5, 0.0]
    assert fine.factors.shape == (6, 3, 3, 3)
    assert fine.fallback.tolist() == [[True, True, False], [True, True, False], [False, False, False]]
    assert at_nodes(air, (2, 2)) is air


def said(strange, depth):
    """What the network says of 2 x 2 nodes."""
    count = len(strange)
    return {
        "aot_550": np.array(depth, dtype=float),
        "shares": np.full((count, 5), 0.2),
        "factors": np.zeros((count, 6, 3)),
        "strange": np.array(strange, dtype=float),
    }


def test_a_window_that_says_nothing_takes_its_neighbours_air_and_a_strange_one_the_baselines():
    air = _spread(said([np.nan, 0.5, 0.5, 2.0], [np.nan, 0.3, 0.3, 9.0]), (2, 2))
    assert air.fallback.tolist() == [[False, False], [False, True]]
    assert air.aot_550[~air.fallback] == pytest.approx(0.3)
    assert np.isfinite(air.shares).all()


def test_where_nobody_speaks_everything_falls_back_and_nothing_is_nan():
    air = _spread(said([np.nan, 3.0, np.nan, 2.0], [np.nan] * 4), (2, 2))
    assert air.fallback.all()
    assert np.isfinite(air.aot_550).all()


def pixels(red, *, clear, snow=False):
    toa = np.full((7, 8, 8), red, dtype=np.float32)
    shape = (8, 8)
    return _Pixels(toa, np.ones(shape, bool), np.full(shape, clear), np.full(shape, snow))


def test_haze_that_a_test_takes_for_cloud_is_looked_at_and_a_cloud_is_not():
    here = np.s_[0:8, 0:8]
    assert pixels(0.2, clear=True).usable(here).all()
    assert pixels(0.2, clear=False).usable(here).all()
    assert not pixels(0.6, clear=False).usable(here).any()
    assert not pixels(0.2, clear=True, snow=True).usable(here).any()
