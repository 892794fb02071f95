"""Which maps a reviewer sees, and as what pictures."""

import numpy as np
import pytest
from map_scores import LEGEND, score

from undersky.evaluation.map_review import map_swipes, map_telling, strips

WHERE = {"suite": "simulated", "metric": "f1_percent"}


def test_a_review_shows_ten_scenes_from_first_to_last():
    review, worst = map_swipes(score(0.8), score(0.8), **WHERE)
    titles = [swipe.title[:8] for swipe in review]
    assert len(set(titles)) == 10
    assert (titles[0], titles[-1]) == ("scene-00", "scene-11")
    assert worst == ()


def test_the_same_scenes_are_shown_of_any_two_models():
    one, other = (map_swipes(score(share), score(0.5), **WHERE)[0] for share in (0.1, 0.9))
    assert [swipe.title for swipe in one] == [swipe.title for swipe in other]


def test_the_worst_are_where_the_candidate_loses_most():
    review, worst = map_swipes(score([0.8, 0.3, 0.9, 0.7, 0.1, 0.79]), score(0.8, scenes=6), **WHERE)
    assert [swipe.title[:8] for swipe in worst] == ["scene-04", "scene-01", "scene-03"]
    assert len(review) == 6
    assert (worst[0].candidate_percent, worst[0].champion_percent) == pytest.approx((10.0, 80.0))


def test_the_pictures_say_who_is_right_where():
    [swipe] = map_swipes(score([0.5]), score([1.0]), **WHERE)[0]
    panels = list(swipe.panels.values())
    assert {panel.shape for panel in (swipe.candidate, swipe.champion, *panels)} == {(20, 20, 3)}
    balance, differ, wrong, other_wrong = panels[2:]
    assert (balance[:10] == 238).all()
    assert (balance[10:, :, 0] > balance[10:, :, 1]).all()
    assert np.array_equal(differ, wrong)
    assert (wrong[10:] == LEGEND["water"]).all()
    assert (other_wrong == 238).all()


def test_a_scene_that_one_model_has_no_picture_of_is_left_out():
    assert map_swipes(score([0.5, 0.5]), score([0.5]), **WHERE)[0][0].title.startswith("scene-00")
    assert len(map_swipes(score([0.5, 0.5]), score([0.5]), **WHERE)[0]) == 1


def test_the_legend_is_text_not_markup():
    telling = map_telling(LEGEND, "f1_percent")
    assert "&lt;trees&gt;" in telling.key
    assert "rgb(0, 100, 0)" in telling.key
    assert "F1" in telling.worst
    assert map_telling({}, "iou_percent").key == ""


def test_the_first_scenes_are_strips_for_the_registry():
    review, _ = map_swipes(score(0.8), score(0.7), **WHERE)
    drawn = list(strips(review))
    assert len(drawn) == 3
    assert all(picture.shape[1] == 4 * 20 + 3 * 8 for picture in drawn)
