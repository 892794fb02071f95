"""Pictures show the scenes that matter at the stretch of every other picture."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import Offset, observation

from undersky.datasets.suites import load_suite
from undersky.evaluation.correctors import Corrected
from undersky.evaluation.score import SceneScore, Score, score_suite
from undersky.evaluation.views import chosen, panels_of, suite_views
from undersky.raster.browse import true_colour


def score_of(*shares, part="main"):
    scenes = tuple(SceneScore(i, part, (), "urban", 0.2, 0.1, share) for i, share in enumerate(shares))
    return Score("physics", {}, {}, {}, scenes)


def test_the_worst_scene_is_always_shown():
    assert chosen(score_of(80.0, 3.0, 99.0, 70.0))["the worst"].index == 1


def test_the_median_scene_is_shown():
    assert chosen(score_of(*range(101)))["the median"].index == 50


def test_one_scene_is_not_shown_twice():
    assert list(chosen(score_of(50.0))) == ["the worst"]
    found = chosen(score_of(10.0, 20.0, 30.0))
    assert len({scene.index for scene in found.values()}) == len(found)


def test_slices_of_their_own_and_empty_scenes_are_not_shown():
    assert chosen(score_of(50.0, part="snow")) == {}
    assert chosen(score_of(float("nan"))) == {}


def test_before_after_and_truth_share_one_stretch():
    seen = observation()
    truth = seen.toa - np.float32(0.05)
    panels = panels_of(seen, Corrected(seen.toa), ("mine", "truth", truth))
    before, after, expected, _ = panels.values()
    assert list(panels)[:3] == ["top of the atmosphere", "mine", "truth"]
    assert np.array_equal(before, after)
    assert np.array_equal(before, true_colour(*seen.toa[[3, 2, 1]]))
    assert (expected <= before).all()


def test_the_difference_is_red_where_the_method_is_brighter_in_the_blue():
    seen = observation()
    surface = seen.toa.copy()
    surface[1] += np.float32(0.05)
    *_, last = panels_of(seen, Corrected(surface), ("mine", "truth", seen.toa)).values()
    assert np.allclose(last, (255, 0, 0), atol=1)


def test_a_scene_without_colours_is_not_shown():
    seen = observation(bands=("B03", "B8A"))
    assert panels_of(seen, Corrected(seen.toa), ("mine", "truth", seen.toa)) == {}


@pytest.fixture(scope="module")
def few():
    whole = load_suite("direct-6s")
    return replace(whole, scenes=whole.scenes[:4])


def test_a_caption_names_the_scene_and_how_well_it_went(few):
    method = Offset(0.0)
    [score] = score_suite(few, [method])
    views = list(suite_views(few.scenes, score, method))
    worst = min(score.scenes, key=lambda scene: scene.in_spec_percent)
    assert views[0].caption.startswith(f"The worst: {few.scenes[worst.index].design.id}: ")
    assert f"{worst.in_spec_percent:.1f} % in spec" in views[0].caption
    assert all(panel.shape == (64, 64, 3) for view in views for panel in view.panels.values())
