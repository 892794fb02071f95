"""Laws can be broken: each is broken here by the method that it is against, and kept by one that knows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scenes import Offset

from undersky.bands import SENSORS
from undersky.datasets.ground import draw_materials, lay_out
from undersky.evaluation import laws
from undersky.evaluation.correctors import Corrected, ModelCorrector
from undersky.evaluation.laws import LAWS, Bench, Finding, Sky, keep_laws, laws_json, laws_markdown, observe
from undersky.evaluation.peers import FixedAot

STATED = {"uncertainty_positive", "uncertainty_under_haze"}


class Method:
    """A method made of a function of the observation."""

    def __init__(self, surface, sigma=None):
        self.name, self.surface, self.sigma = "made", surface, sigma

    def correct(self, seen):
        sigma = None if self.sigma is None else self.sigma(seen)
        return Corrected(self.surface(seen), sigma)


def bench(method, sensor="L8"):
    ground, _ = lay_out(draw_materials(sensor, "land", seed=5), seed=5)
    return Bench(method, SENSORS[sensor], ground)


def measured(name, method):
    return Finding(LAWS[name], LAWS[name].measure(bench(method)))


@pytest.fixture(scope="module")
def physics():
    return keep_laws(ModelCorrector("physics", "physics"), scenes=[("L8", 5), ("S2A", 6)])


def test_the_baseline_inverts_the_sky_that_it_assumes(physics):
    assert physics["standard_air"].value > 99.0


@pytest.mark.parametrize(
    "name",
    ["brighter_is_brighter", "flip", "transpose", "sun_moves", "no_invented_texture", "nodata"],
)
def test_the_baseline_keeps_what_the_inversion_gives_for_nothing(physics, name):
    assert physics[name].passed


def test_a_fixed_depth_sees_no_clean_air(physics):
    """AOD 0.1 where there is 0.01 is what the baseline is known for."""
    assert not physics["clean_air"].passed


def test_a_scene_of_a_law_is_the_inversion_backwards():
    one = bench(Offset(0.0))
    found = FixedAot().correct(one.observe(Sky())).surface
    rows = one.rows
    assert np.allclose(found[rows], one.ground[rows], atol=2e-3)


def test_a_law_is_measured_on_what_the_emulator_says():
    ground = np.zeros((7, 2, 2), dtype=np.float32)
    thin, thick = (observe(SENSORS["L8"], ground, Sky(aot)).toa for aot in (0.05, 0.4))
    assert (thick[:4] > thin[:4]).all()


def test_an_offset_is_not_in_spec():
    assert measured("standard_air", Offset(0.2)).value == 0.0


def test_a_method_that_darkens_what_brightens_is_found():
    assert measured("brighter_is_brighter", Method(lambda seen: 1.0 - seen.toa)).value == 0.0


def test_a_method_that_knows_left_from_right_is_found():
    ramp = np.linspace(0.0, 0.1, 64, dtype=np.float32)
    lopsided = Method(lambda seen: seen.toa + ramp)
    assert not measured("flip", lopsided).passed
    assert not measured("transpose", lopsided).passed


def test_a_mirror_alone_is_no_transposition():
    symmetric = np.abs(np.linspace(-0.1, 0.1, 64, dtype=np.float32))
    method = Method(lambda seen: seen.toa + symmetric[:, None])
    assert measured("flip", method).passed
    assert not measured("transpose", method).passed


def test_a_method_that_jumps_with_the_sun_is_found():
    jumpy = Method(lambda seen: seen.toa + np.float32(0.1 * (seen.sun_zenith > 40.2)))
    assert not measured("sun_moves", jumpy).passed


def test_invented_texture_is_found():
    speckle = np.random.default_rng(1).normal(0.0, 0.01, (64, 64)).astype(np.float32)
    assert not measured("no_invented_texture", Method(lambda seen: seen.toa + speckle)).passed


def test_filled_nodata_is_found():
    assert not measured("nodata", Method(lambda seen: np.nan_to_num(seen.toa))).passed


def test_lost_pixels_are_found():
    def eroded(seen):
        surface = seen.toa.copy()
        surface[:, 0] = np.nan
        return surface

    assert not measured("nodata", Method(eroded)).passed


@pytest.mark.parametrize("bad", [0.0, -0.01, np.nan, np.inf])
def test_an_uncertainty_that_is_none_is_found(bad):
    method = Method(lambda seen: seen.toa, lambda seen: np.full_like(seen.toa, bad))
    assert not measured("uncertainty_positive", method).passed


def test_an_uncertainty_that_grows_with_the_haze_keeps_its_law():
    grows = Method(lambda seen: seen.toa, lambda seen: np.full_like(seen.toa, seen.toa[:2].min()))
    shrinks = Method(lambda seen: seen.toa, lambda seen: np.full_like(seen.toa, 1.0 - seen.toa[:2].min()))
    assert measured("uncertainty_under_haze", grows).passed
    assert not measured("uncertainty_under_haze", shrinks).passed


def test_a_method_that_states_no_uncertainty_does_not_pass_its_laws():
    for name in STATED:
        found = measured(name, Offset(0.0))
        assert np.isnan(found.value)
        assert not found.passed


def test_the_worst_scene_counts():
    class Sensitive(Offset):
        def correct(self, seen):
            error = 0.0 if seen.sensor.key == "L8" else 0.5
            return FixedAot().correct(replace(seen, toa=seen.toa + np.float32(error)))

    [alone] = [keep_laws(Sensitive(0.0), scenes=[("L8", 5)])["standard_air"]]
    both = keep_laws(Sensitive(0.0), scenes=[("L8", 5), ("L9", 5)])["standard_air"]
    assert alone.passed
    assert not both.passed


def test_json_holds_value_bar_and_verdict_of_every_law(physics):
    found = json.loads(json.dumps(laws_json(physics), allow_nan=False))
    assert set(found) == set(LAWS)
    for name, one in found.items():
        assert set(one) == {"value", "bar", "pass"}
        assert one["bar"] == LAWS[name].bar
        assert isinstance(one["pass"], bool)


def test_what_cannot_be_measured_is_null_in_json():
    found = laws_json({"x": Finding(LAWS["uncertainty_positive"], float("nan"))})
    assert found["x"] == {"value": None, "bar": 100.0, "pass": False}


def test_the_table_says_that_the_skies_are_simulated_and_what_passed(physics):
    text = laws_markdown(physics)
    assert text.startswith("### laws (simulated")
    assert "| clean_air |" in text
    assert (
        "| nodata | nodata where the scene has none, and only there, % of values | 100.000 | >= 100 | yes |"
        in text
    )


def test_the_suite_looks_through_both_constellations():
    assert {SENSORS[sensor].constellation for sensor, _ in laws.SCENES} == {"sentinel-2", "landsat"}


def test_a_bar_may_be_met_exactly():
    law = LAWS["flip"]
    assert Finding(law, law.bar).passed
    assert not Finding(law, law.bar + 1e-6).passed
