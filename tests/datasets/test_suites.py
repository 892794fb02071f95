"""The frozen suites, as committed: complete, small, consistent with 6S, the same on every machine."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from undersky.atmosphere.inversion import apply_atmosphere, remove_atmosphere
from undersky.bands import SENSORS
from undersky.datasets.design import MAIN, SUITES, design
from undersky.datasets.ground import COVERS, SIZE
from undersky.datasets.suites import DATA, GROUND, Suite, load_suite, over_pixels, render
from undersky.errors import ConfigError
from undersky.synth.library import split_of

# the stress suite is built apart from the climatological one; whichever lies here is held to the same claims
BUILT = ["direct-6s", *(name for name in SUITES[1:] if (DATA / f"{name}.json").is_file())]


@pytest.fixture(scope="module", params=BUILT)
def suite(request) -> Suite:
    return load_suite(request.param)


@pytest.fixture(scope="module")
def some(suite):
    """Scenes of every sensor and slice."""
    return [*suite.scenes[:10], *suite.scenes[-10:]]


def test_the_committed_suites_stay_below_five_megabytes():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 5_000_000


def test_a_suite_holds_exactly_its_design(suite):
    """A generator that draws otherwise one day changes the design; the committed scenes must not follow."""
    assert tuple(scene.design for scene in suite.scenes) == design(suite.name)


def test_a_suite_says_how_it_was_made(suite):
    assert "6SV1.1" in suite.provenance["code"]
    assert suite.name in suite.provenance["command"]
    assert len(suite.provenance["binary_sha256"]) == 64
    assert float(suite.provenance["cpu_seconds"]) > 100
    assert float(suite.provenance["ground"]) == GROUND


def test_every_scene_has_finite_physical_coefficients_of_every_band(suite):
    for scene in suite.scenes:
        known = scene.coefficients
        for values in (known.path, known.transmittance, known.spherical_albedo, known.gas_transmittance):
            assert values.shape == (len(scene.sensor.corrected_bands),)
            assert np.isfinite(values).all()
        assert (known.path > 0).all()
        assert (known.path < 0.4).all()
        # urban haze of AOD 1 under a sun at 70 degrees leaves a sixth of the deep blue
        assert ((known.transmittance > 0.15) & (known.transmittance <= 1.0)).all()
        assert ((known.spherical_albedo >= 0) & (known.spherical_albedo < 0.4)).all()
        assert ((known.gas_transmittance > 0.05) & (known.gas_transmittance <= 1.0)).all()


def test_coefficients_give_back_6s_own_apparent_reflectance(suite):
    path = DATA / f"{suite.name}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["scenes"]
    for row, scene in zip(rows, suite.scenes, strict=True):
        printed = [row["bands"][band.name][4] for band in scene.sensor.corrected_bands]
        assert np.allclose(apply_atmosphere(GROUND, scene.coefficients), printed, atol=1e-6)


def test_the_path_is_close_to_the_gas_free_one_where_gases_hardly_absorb(suite):
    rows = json.loads((DATA / f"{suite.name}.json").read_text(encoding="utf-8"))["scenes"]
    for row, scene in zip(rows, suite.scenes, strict=True):
        name = "B02" if "B02" in row["bands"] else "B2"
        index = [band.name for band in scene.sensor.corrected_bands].index(name)
        assert abs(scene.coefficients.path[index] - row["bands"][name][0]) < 0.002


def test_aerosol_brightens_the_blue_path():
    scenes = [scene for scene in load_suite("direct-6s").scenes if scene.design.slice == MAIN]
    aot = np.array([scene.design.case.aot_550 for scene in scenes])
    red = np.array([scene.coefficients.path[3] for scene in scenes])
    assert np.corrcoef(aot, red)[0, 1] > 0.5


def test_every_material_was_kept_from_training(suite):
    assert {split_of(name) for scene in suite.scenes for name in scene.materials.names} == {"test"}


def test_main_scenes_cover_every_kind_of_land_with_pixels_enough():
    pixels = Counter()
    for scene in load_suite("direct-6s").scenes:
        _, truth = render(scene)
        pixels.update(COVERS[code] for code in truth.cover.ravel())
    for name in ("soil", "sand", "vegetation", "npv", "built", "burnt", "water"):
        assert pixels[name] >= 10_000, name


def test_rendering_is_the_same_on_every_call(some):
    first, again = render(some[0]), render(some[0])
    assert np.array_equal(first[0].toa, again[0].toa)
    assert np.array_equal(first[1].surface, again[1].surface)


def test_a_rendered_scene_tells_what_a_forecast_and_a_dem_would(some):
    for scene in some:
        observation, truth = render(scene)
        case = scene.design.case
        assert observation.sun_zenith == case.sun_zenith
        assert observation.altitude_km == case.altitude_km
        assert observation.ozone_dobson == case.ozone_dobson
        assert truth.aot_550 == case.aot_550
        assert truth.water_vapour == case.water_vapour
        assert observation.toa.shape == (len(scene.sensor.corrected_bands), SIZE, SIZE)


def test_the_true_coefficients_find_the_truth_but_for_the_noise(some):
    for scene in some:
        observation, truth = render(scene)
        found = remove_atmosphere(observation.toa, over_pixels(scene.coefficients))
        scored = [band.role == "surface" for band in scene.sensor.corrected_bands]
        error = (found - truth.surface)[scored]
        assert abs(error.mean()) < 2e-4
        assert error.std() < 0.006
        spec = 0.05 * truth.surface[scored] + 0.005
        known = scene.coefficients
        at_sensor = error * (known.transmittance * known.gas_transmittance)[scored][:, None, None]
        assert at_sensor.std() < 0.0025
        if known.transmittance.min() > 0.5:  # thicker haze raises the noise of dark pixels out of spec
            assert (np.abs(error) <= spec).mean() > 0.97


def test_noise_is_on_and_independent_between_scenes(some):
    noises = []
    for scene in (some[0], some[5]):
        observation, truth = render(scene)
        noises.append(observation.toa - apply_atmosphere(truth.surface, over_pixels(scene.coefficients)))
    assert all(1e-4 < noise[1].std() < 0.005 for noise in noises)
    assert abs(np.corrcoef(noises[0][1].ravel(), noises[1][1].ravel())[0, 1]) < 0.1


def test_another_seed_is_another_scene(some):
    other = replace(some[0], design=replace(some[0].design, seed=some[0].design.seed + 1))
    assert not np.allclose(render(some[0])[1].surface, render(other)[1].surface)


def test_known_scenes_have_not_moved():
    """Frozen means frozen: a change of texture, noise or library that moves these figures moves the bars."""
    seen = load_suite("direct-6s").scenes[0]
    observation, truth = render(seen)
    assert seen.sensor is SENSORS["S2A"]
    assert truth.surface.mean(axis=(1, 2))[[1, 3, 8]] == pytest.approx(KNOWN_SURFACE, abs=2e-4)
    assert observation.toa.mean(axis=(1, 2))[[1, 3, 8]] == pytest.approx(KNOWN_TOA, abs=2e-4)


KNOWN_SURFACE = [0.03369, 0.04642, 0.39018]
KNOWN_TOA = [0.08535, 0.06076, 0.38368]


def test_an_unknown_suite_is_a_config_error_that_names_the_known_ones():
    with pytest.raises(ConfigError, match="direct-6s"):
        load_suite("direct-7s")


@pytest.mark.faults
def test_a_damaged_scene_is_a_config_error(tmp_path: Path):
    document = json.loads((DATA / "direct-6s.json").read_text(encoding="utf-8"))
    document["scenes"] = document["scenes"][:1]
    document["scenes"][0]["bands"] = None
    (tmp_path / "direct-6s.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match="main-000"):
        load_suite("direct-6s", tmp_path)
