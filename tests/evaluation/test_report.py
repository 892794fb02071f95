"""What is printed: the agreed JSON, and tables that show what a pooled number hides."""

import json

import pytest

from undersky.evaluation.metrics import Tally
from undersky.evaluation.report import suite_json, suite_markdown
from undersky.evaluation.score import SceneScore, Score, StateError

PIXELS = 20_000


def _tally(in_spec, *, bias=0.001, sigma=True):
    """A tally of PIXELS pixels with this percentage in spec."""
    return Tally(
        count=PIXELS,
        in_spec=int(PIXELS * in_spec / 100),
        total=bias * PIXELS,
        total_squared=0.01**2 * PIXELS,
        with_sigma=PIXELS if sigma else 0,
        within_1=int(0.68 * PIXELS) if sigma else 0,
        within_2=int(0.95 * PIXELS) if sigma else 0,
    )


def _score(method="physics", *, sigma=True, aot=True):
    tallies = {
        ("main", "all", "all", "B02"): _tally(80, sigma=sigma),
        ("main", "all", "all", "B04"): _tally(90, bias=-0.002, sigma=sigma),
        ("main", "aerosol", "urban", "B02"): _tally(60, sigma=sigma),
        ("main", "aerosol", "desert", "B02"): _tally(100, sigma=sigma),
        ("main", "aot_550", "0.1-0.2", "B02"): _tally(77, sigma=sigma),
        ("main", "sensor", "S2A", "B02"): Tally(count=50, in_spec=50),
        ("mixture", "all", "all", "B02"): _tally(70, sigma=sigma),
    }
    error = StateError(2, 0.02) if aot else StateError()
    urban = (("all", "all"), ("aerosol", "urban"))
    scene = SceneScore(0, "main", urban, "urban", 0.3, 0.2 if aot else None, 60.0)
    return Score(method, tallies, {"main": error}, {"main": StateError()}, (scene,))


@pytest.fixture(scope="module")
def scores():
    return [_score(), _score("none", sigma=False, aot=False)]


def test_the_json_has_the_agreed_shape(scores):
    found = suite_json(scores)
    assert set(found["in_spec"]) >= {"all", "by_band", "by_aerosol"}
    assert set(found["coverage"]) == {"1sigma", "2sigma"}
    assert set(found) >= {"in_spec", "bias", "rmse", "aod_rmse", "coverage", "peers"}
    assert set(found["peers"]) == {"none"}
    assert "all" in found["peers"]["none"]["in_spec"]


def test_the_json_holds_percent_and_reflectance_units(scores):
    found = suite_json(scores)
    assert found["in_spec"]["all"] == 85.0
    assert found["in_spec"]["by_band"] == {"B02": 80.0, "B04": 90.0}
    assert found["in_spec"]["by_aerosol"] == {"urban": 60.0, "desert": 100.0}
    assert found["in_spec"]["by_slice"] == {"mixture": 70.0}
    assert found["bias"] == {"B02": 0.001, "B04": -0.002}
    assert found["rmse"] == {"B02": 0.01, "B04": 0.01}
    assert found["aod_rmse"] == 0.1
    assert found["coverage"] == {"1sigma": 68.0, "2sigma": 95.0}


def test_the_json_is_json_even_where_nothing_is_known(scores):
    text = json.dumps(suite_json(scores[::-1]), allow_nan=False)
    assert json.loads(text)["coverage"] == {"1sigma": None, "2sigma": None}
    assert json.loads(text)["aod_rmse"] is None


def test_a_suite_of_real_scenes_says_so(scores):
    text = suite_markdown("mine", scores, origin="real: 3 scenes of a user")
    assert text.startswith("### mine (real: 3 scenes of a user)")
    assert "simulated" not in text


def test_the_markdown_says_that_its_figures_are_simulated(scores):
    assert suite_markdown("direct-6s", scores).startswith("### direct-6s (simulated")


def test_methods_stand_side_by_side(scores):
    text = suite_markdown("direct-6s", scores)
    assert "| physics | 85.0 | -0.0005 | 0.0100 | 0.100 | - | 68.0 | 95.0 |" in text
    assert "| none | 85.0 | -0.0005 | 0.0100 | - | - | - | - |" in text


def test_every_band_shows_accuracy_precision_and_uncertainty(scores):
    text = suite_markdown("direct-6s", scores)
    assert "| B02 | 0.0010 | 0.0100 | 0.0100 | 80.0 | 68.0 | 95.0 |" in text
    assert "| B04 | -0.0020 |" in text


def test_slices_show_every_method_and_the_results_accuracy_coverage_and_depth(scores):
    text = suite_markdown("direct-6s", scores)
    stated = "A bias | P spread | U RMSE | in 1 sigma % | in 2 sigma % | AOD RMSE |"
    assert f"| Aerosol | physics in spec % | none in spec % | {stated}" in text
    assert "| urban | 60.0 | 60.0 | 0.0010 | 0.0100 | 0.0100 | 68.0 | 95.0 | 0.100 |" in text
    assert "| 0.1-0.2 | 77.0 |" in text
    assert "| mixture | 70.0 | 70.0 | 0.0010 | 0.0100 | 0.0100 | 68.0 | 95.0 | - |" in text


def test_a_slice_with_too_few_pixels_is_left_out(scores):
    assert "S2A" not in suite_markdown("direct-6s", scores)


def test_every_table_is_well_formed(scores):
    blocks = suite_markdown("direct-6s", scores).split("\n\n")[1:]
    for block in blocks:
        widths = {line.count("|") for line in block.strip().splitlines()}
        assert len(widths) == 1, block
