"""Scores add up: every pixel once per dimension, no B09, and the same for any number of processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes import Offset

from undersky.bands import SENSORS
from undersky.datasets.design import MAIN
from undersky.datasets.folders import load_folder
from undersky.datasets.suites import load_suite, render
from undersky.evaluation.correctors import Corrected
from undersky.evaluation.metrics import tally
from undersky.evaluation.score import Score, StateError, score_scene, score_suite, scored
from undersky.evaluation.seen import look
from undersky.evaluation.slices import DIMENSIONS

METHODS = (Offset(0.0, sigma=0.02, aot_550=0.1), Offset(0.5, name="wrong"))


def surface_rows(sensor):
    """Positions among the corrected bands of those that are scored."""
    return [index for index, band in enumerate(sensor.corrected_bands) if band.role == "surface"]


@pytest.fixture(scope="module")
def suite():
    whole = load_suite("direct-6s")
    return replace(whole, scenes=(*whole.scenes[:10], *whole.scenes[-5:]))


@pytest.fixture(scope="module")
def scores(suite) -> list[Score]:
    return score_suite(suite, METHODS)


def test_there_is_one_score_a_method_in_their_order(scores):
    assert [score.method for score in scores] == ["offset", "wrong"]


def test_every_pixel_counts_once_in_every_dimension(scores, suite):
    expected = (
        sum(len(surface_rows(scene.sensor)) for scene in suite.scenes if scene.design.slice == MAIN) * 64 * 64
    )
    for dimension in DIMENSIONS:
        values = {at for part, along, at, _ in scores[0].tallies if (part, along) == (MAIN, dimension)}
        assert sum(scores[0].pooled(dimension, value).count for value in values) == expected, dimension


@pytest.mark.parametrize("dimension", DIMENSIONS[1:])
def test_slices_of_a_dimension_add_up_to_the_whole(scores, dimension):
    values = {at for part, along, at, _ in scores[0].tallies if (part, along) == (MAIN, dimension)}
    parts = [scores[0].pooled(dimension, value) for value in values]
    whole = scores[0].pooled()
    assert sum(part.in_spec for part in parts) == whole.in_spec
    assert sum(part.total for part in parts) == pytest.approx(whole.total, rel=1e-9)


def test_a_pooled_tally_is_numpys_on_all_pixels(scores, suite):
    main = [render(scene) for scene in suite.scenes if scene.design.slice == MAIN]
    estimate = np.concatenate([seen.toa[surface_rows(seen.sensor)].ravel() for seen, _ in main])
    truth = np.concatenate([found.surface[surface_rows(seen.sensor)].ravel() for seen, found in main])
    direct = tally(estimate, truth, sigma=np.full_like(estimate, 0.02))
    pooled = scores[0].pooled()
    assert (pooled.count, pooled.in_spec, pooled.within_1) == (direct.count, direct.in_spec, direct.within_1)
    assert pooled.bias == pytest.approx(direct.bias, abs=1e-7)


def test_water_vapour_and_cirrus_bands_never_enter_a_score(scores):
    bands = {band for *_, band in scores[0].tallies}
    assert not bands & {"B09", "B10", "B9"}
    assert {"B8A", "B12", "B7"} <= bands


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_all_surface_bands_are_scored(suite, sensor):
    scene = next(scene for scene in suite.scenes if scene.design.sensor == sensor)
    names = {name for _, name in scored(look(scene))}
    assert names == {band.name for band in SENSORS[sensor].bands if band.role == "surface"}


def test_slices_of_their_own_stay_out_of_the_main_figure(scores, suite):
    assert {part for part, *_ in scores[0].tallies} == {MAIN, "mixture"}
    assert scores[0].slices() == [MAIN, "mixture"]
    main = sum(len(surface_rows(scene.sensor)) for scene in suite.scenes[:10]) * 64 * 64
    assert scores[0].pooled().count == main


def test_a_slice_with_too_few_pixels_is_not_shown(suite):
    few = replace(suite, scenes=suite.scenes[:2])
    [score] = score_suite(few, METHODS[:1])
    assert score.values("sensor") == []
    assert score.slices() == []
    assert score.values("all") == []


def test_the_number_of_processes_does_not_change_a_figure(scores, suite):
    told: list[tuple[int, int]] = []
    again = score_suite(suite, METHODS, workers=2, progress=lambda done, of: told.append((done, of)))
    assert again == scores
    for kind in ("scatter", "ratios"):
        one, two = (getattr(found[0].histograms, kind) for found in (scores, again))
        assert set(one) == set(two)
        assert all(np.array_equal(one[name], two[name]) for name in one)
    assert told == [(done, 15) for done in range(1, 16)]


def test_the_state_is_measured_once_a_scene(scores, suite):
    aot = np.array([scene.design.case.aot_550 for scene in suite.scenes if scene.design.slice == MAIN])
    found = scores[0].aot_550[MAIN]
    assert found.count == len(aot)
    assert found.rmse == pytest.approx(np.sqrt(np.mean((0.1 - aot) ** 2)))


def test_a_method_without_a_state_has_no_state_error(scores):
    assert scores[1].aot_550[MAIN].count == 0
    assert np.isnan(scores[1].aot_550[MAIN].rmse)
    assert np.isnan(scores[1].water_vapour[MAIN].rmse)


def test_state_errors_add_up():
    one = StateError().plus(0.2, 0.1)
    assert one + StateError().plus(None, 0.3) == one
    assert (one + one).rmse == pytest.approx(0.1)


def test_coverage_is_counted_where_a_sigma_is_stated(scores):
    assert scores[0].pooled().with_sigma == scores[0].pooled().count
    assert scores[1].pooled().with_sigma == 0


def test_the_truth_itself_scores_a_hundred_percent(suite):
    class Truth:
        name = "truth"

        def correct(self, seen):
            scene = next(scene for scene in suite.scenes if scene.design.id == seen.id)
            return Corrected(render(scene)[1].surface)

    [score] = score_scene(suite.scenes[0], [Truth()])
    assert score.pooled().in_spec_percent == 100.0
    assert score.pooled().rmse == 0.0


def test_scoring_leaves_the_number_of_threads_as_it_was(suite):
    before = torch.get_num_threads()
    score_suite(replace(suite, scenes=suite.scenes[:1]), METHODS[:1])
    assert torch.get_num_threads() == before


def test_every_scene_is_told_by_itself(scores, suite):
    told = scores[0].scenes
    assert [scene.index for scene in told] == list(range(len(suite.scenes)))
    assert [scene.aerosol for scene in told] == [scene.design.case.aerosol for scene in suite.scenes]
    assert all(scene.aot_found == 0.1 for scene in told)
    main = [scene.in_spec_percent for scene in told if scene.part == MAIN]
    assert min(main) <= scores[0].pooled().in_spec_percent <= max(main)


def test_the_depth_is_measured_in_every_slice_of_whole_scenes(scores, suite):
    assert scores[0].aot_rmse() == pytest.approx(scores[0].aot_550[MAIN].rmse)
    aot = [
        scene.design.case.aot_550
        for scene in suite.scenes
        if scene.design.slice == MAIN and scene.design.case.aerosol == "continental"
    ]
    expected = np.sqrt(np.mean((0.1 - np.array(aot)) ** 2))
    assert scores[0].aot_rmse("aerosol", "continental") == pytest.approx(expected)
    assert np.isnan(scores[0].aot_rmse("surface", "soil"))
    assert np.isnan(scores[1].aot_rmse())


def test_a_depth_that_nobody_knows_is_no_error():
    assert StateError().plus(0.2, np.nan) == StateError()


def test_histograms_count_the_pixels_of_the_main_slice_once_a_band(scores, suite):
    main = [scene for scene in suite.scenes if scene.design.slice == MAIN]
    counted = sum(int(counts.sum()) for counts in scores[0].histograms.scatter.values())
    assert counted == scores[0].pooled().count
    assert int(scores[0].histograms.all_ratios().sum()) == scores[0].pooled().with_sigma
    assert set(scores[0].histograms.ratios) == {scene.design.case.aerosol for scene in main}


def test_only_the_first_method_is_counted_for_figures(scores):
    assert scores[1].histograms.scatter == {}


def test_a_users_folder_is_scored_like_a_suite(tmp_path):
    bands = ("B2", "B3", "B4", "B5", "B6", "B7")
    truth = np.full((6, 120, 120), 0.2, dtype=np.float32)
    facts = {"sun_zenith": 40.0, "view_zenith": 2.0, "relative_azimuth": 60.0, "ozone_dobson": 300.0}
    place = {"altitude_km": 0.1, "latitude": 45.0, "longitude": 9.0, "pixel_m": 30.0}
    for name, error in (("a", 0.001), ("b", 0.1)):
        toa = truth + np.float32(error)
        words = {"sensor": "L9", "bands": np.array(bands), "acquired": "2024-05-01T10:00:00Z"}
        np.savez(
            tmp_path / f"{name}.npz", toa=toa, surface=truth, **words, origin="simulated", **facts, **place
        )
    [score] = score_suite(load_folder(tmp_path), METHODS[:1])
    assert score.pooled().in_spec_percent == 50.0
    assert tuple(score.by_band()) == bands
    assert score.values("sensor") == ["L9"]
    assert score.values("aerosol") == score.values("surface") == score.values("aot_550") == []
    assert score.slices() == [MAIN]
    assert [scene.aerosol for scene in score.scenes] == ["unknown", "unknown"]
    assert score.aot_550[MAIN].count == 0
