"""Real pairs: a difference on the pixels that both sides call clear."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import Offset, observation

from undersky.datasets.pairs import Pair, load_pairs
from undersky.evaluation.correctors import ModelCorrector
from undersky.evaluation.peers import NoCorrection, peers
from undersky.evaluation.real import our_clear, pair_json, pair_markdown, score_pair


@pytest.fixture
def pair() -> Pair:
    """Plain land that our own tests call clear."""
    spectrum = np.array([0.12, 0.1, 0.1, 0.1, 0.15, 0.25, 0.28, 0.3, 0.3, 0.2, 0.2, 0.15], dtype=np.float32)
    seen = observation(shape=(12, 12))
    texture = np.random.default_rng(5).normal(1.0, 0.03, (1, 12, 12)).astype(np.float32)
    seen = replace(seen, toa=spectrum[:, None, None] * texture)
    return Pair("made-up", "LaSRC", seen, seen.toa - np.float32(0.01), np.ones((12, 12), bool), ("no wind",))


def test_the_difference_is_method_minus_agency(pair):
    result = score_pair(pair, [NoCorrection(), Offset(0.02)])
    assert result.pixels == 144
    assert result.scores[0].bands["B02"].bias == pytest.approx(0.01, abs=1e-6)
    assert result.scores[1].bands["B02"].bias == pytest.approx(0.03, abs=1e-6)
    assert result.scores[0].bands["B02"].spread == pytest.approx(0.0, abs=1e-6)


def test_the_first_method_is_kept_for_figures(pair):
    result = score_pair(pair, [Offset(0.02, sigma=0.01), NoCorrection()])
    assert np.array_equal(result.corrected.surface, Offset(0.02).correct(pair.observation).surface)
    assert set(result.histograms.scatter) == set(result.scores[0].bands)
    assert int(result.histograms.scatter["B04"].sum()) == result.pixels
    assert int(result.histograms.all_ratios().sum()) == result.pixels * len(result.scores[0].bands)


def test_water_vapour_bands_are_left_out(pair):
    assert "B09" not in score_pair(pair, [NoCorrection()]).scores[0].bands


def test_pixels_that_the_agency_calls_cloudy_do_not_count(pair):
    clear = pair.clear.copy()
    clear[:4] = False
    spoilt = pair.agency.copy()
    spoilt[:, :4] = 0.9
    result = score_pair(replace(pair, clear=clear, agency=spoilt), [NoCorrection()])
    assert result.pixels == 96
    assert result.scores[0].bands["B03"].bias == pytest.approx(0.01, abs=1e-6)


def test_pixels_that_our_own_tests_call_cloudy_do_not_count(pair):
    toa = np.tile(pair.observation.toa, (1, 5, 5))
    toa[:, :, 40:] = 0.8
    seen = replace(pair.observation, toa=toa)
    found = our_clear(replace(pair, observation=seen, clear=np.ones((60, 60), bool)))
    assert found.shape == (60, 60)
    assert found[:, :15].all()
    assert not found[:, 45:].any()


def test_the_json_names_agency_pixels_and_each_methods_figures(pair):
    found = pair_json(score_pair(pair, [NoCorrection()]))
    assert found["agency"] == "LaSRC"
    assert found["pixels"] == 144
    assert found["methods"]["none"]["B04"] == {"bias": 0.01, "spread": 0.0, "rmse": 0.01}


def test_the_table_says_that_it_is_real_and_what_was_assumed(pair):
    text = pair_markdown(score_pair(pair, [NoCorrection(), Offset(0.0)]))
    assert "(real: beside LaSRC, 144 clear pixels)" in text
    assert "| band | none A / P / U | offset A / P / U |" in text
    assert "| visible | 0.0100 / 0.0000 / 0.0100 |" in text
    assert "- no wind" in text
    assert "simulated" not in text


@pytest.mark.oracle
def test_on_the_real_pairs_physics_is_closer_to_the_agency_in_the_visible_than_no_correction_or_srem(samples):
    for found in load_pairs(samples):
        result = score_pair(found, [ModelCorrector("physics", "physics"), *peers()])
        rmse = {score.method: [score.bands[band].rmse for band in _visible(found)] for score in result.scores}
        assert result.pixels > 500
        assert all(np.array(rmse["physics"]) < np.array(rmse["none"])), found.name
        assert np.mean(rmse["physics"]) < np.mean(rmse["srem"]), found.name


def _visible(pair):
    known = pair.observation.sensor
    return [name for name in pair.observation.bands if 470 < known.band(name).wavelength_nm < 680]
