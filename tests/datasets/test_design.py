"""The suites' distributions are part of the bars: what SCIENCE.md writes down is held here, draw by draw."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from undersky.datasets.design import MAIN, SENSOR_KEYS, SUITES, SceneDesign, design
from undersky.errors import ConfigError


@pytest.fixture(scope="module", params=SUITES)
def scenes(request) -> tuple[SceneDesign, ...]:
    return design(request.param)


def _main(scenes):
    return [scene for scene in scenes if scene.slice == MAIN]


def _values(scenes, name):
    return np.array([getattr(scene.case, name) for scene in scenes])


def test_a_suite_has_at_least_two_hundred_main_scenes(scenes):
    assert len(_main(scenes)) >= 200


def test_scene_ids_and_seeds_are_unique(scenes):
    assert len({scene.id for scene in scenes}) == len(scenes)
    assert len({scene.seed for scene in scenes}) == len(scenes)


def test_the_two_suites_share_no_seed():
    first, second = (set(_seeds(design(name))) for name in SUITES)
    assert not first & second


def _seeds(scenes):
    return [scene.seed for scene in scenes]


def test_the_design_is_the_same_on_every_call(scenes):
    name = SUITES[0] if any(scene.slice == "mixture" for scene in scenes) else SUITES[1]
    assert design(name) == scenes


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("view_zenith", 0.0, 12.0),
        ("relative_azimuth", 0.0, 180.0),
        ("altitude_km", 0.0, 2.0),
        ("water_vapour", 0.4, 4.6),
        ("ozone_dobson", 200.0, 450.0),
    ],
)
def test_a_uniform_quantity_is_uniform_over_its_range(scenes, name, low, high):
    values = _values(_main(scenes), name)
    assert values.min() >= low
    assert values.max() <= high
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).statistic < 0.02


def test_the_cosine_of_the_sun_zenith_is_uniform_between_15_and_70_degrees(scenes):
    cosine = np.cos(np.radians(_values(_main(scenes), "sun_zenith")))
    low, high = np.cos(np.radians([70.0, 15.0]))
    assert cosine.min() >= low - 1e-6
    assert cosine.max() <= high + 1e-6
    assert stats.kstest(cosine, stats.uniform(low, high - low).cdf).statistic < 0.02


def test_sensors_have_equal_shares(scenes):
    counts = Counter(scene.sensor for scene in _main(scenes))
    assert set(counts) == set(SENSOR_KEYS)
    assert len(set(counts.values())) == 1


def test_quantities_are_not_correlated(scenes):
    names = ("sun_zenith", "view_zenith", "relative_azimuth", "altitude_km", "water_vapour", "aot_550")
    table = np.array([_values(_main(scenes), name) for name in names])
    off_diagonal = np.corrcoef(table) - np.eye(len(names))
    assert np.abs(off_diagonal).max() < 0.25


def test_the_climatological_suite_has_the_written_aerosol_shares():
    counts = Counter(scene.case.aerosol for scene in _main(design("direct-6s")))
    assert counts == {"continental": 100, "maritime": 40, "urban": 30, "desert": 30}


def test_the_stress_suite_has_equal_aerosol_shares():
    counts = Counter(scene.case.aerosol for scene in _main(design("direct-6s-stress")))
    assert counts == {"continental": 50, "maritime": 50, "urban": 50, "desert": 50}


def test_climatological_aod_is_the_clipped_lognormal():
    aot = _values(_main(design("direct-6s")), "aot_550")
    assert aot.min() >= 0.01
    assert aot.max() <= 0.6
    assert np.median(aot) == pytest.approx(0.13, abs=0.003)
    inside = aot[(aot > 0.01) & (aot < 0.6)]
    assert np.std(np.log(inside)) == pytest.approx(0.73, abs=0.04)


def test_stress_aod_is_uniform():
    aot = _values(_main(design("direct-6s-stress")), "aot_550")
    assert stats.kstest(aot, stats.uniform(0.02, 0.58).cdf).statistic < 0.02


def test_the_thick_slice_lies_above_the_main_range():
    thick = [scene for scene in design("direct-6s-stress") if scene.slice == "aod 0.6-1.0"]
    aot = _values(thick, "aot_550")
    assert aot.min() >= 0.6
    assert aot.max() <= 1.0
    assert set(Counter(scene.case.aerosol for scene in thick).values()) == {5}


def test_mixtures_blend_sixs_own_components():
    mixed = [scene for scene in design("direct-6s") if scene.slice == "mixture"]
    shares = np.array([scene.case.components for scene in mixed])
    assert {scene.case.aerosol for scene in mixed} == {"mixture"}
    assert np.allclose(shares.sum(axis=1), 1.0, atol=1e-4)
    assert shares.min() >= 0.0
    assert np.ptp(shares, axis=0).min() > 0.05


def test_only_mixtures_name_components(scenes):
    for scene in scenes:
        assert bool(scene.case.components) == (scene.case.aerosol == "mixture")


@pytest.mark.parametrize("surface", ["snow", "water"])
def test_a_surface_slice_lies_under_atmospheres_of_the_main_scenes(surface):
    scenes = design("direct-6s-stress")
    part = [scene for scene in scenes if scene.slice == surface]
    main = {(scene.sensor, scene.case) for scene in _main(scenes)}
    assert len(part) == 20
    assert all(scene.surface == surface for scene in part)
    assert all((scene.sensor, scene.case) in main for scene in part)
    assert len({scene.case for scene in part}) == 20


def test_main_scenes_are_land(scenes):
    assert {scene.surface for scene in _main(scenes)} == {"land"}


def test_an_unknown_suite_is_a_config_error_that_names_the_known_ones():
    with pytest.raises(ConfigError, match="direct-6s-stress"):
        design("direct-7s")
