"""Which scenes a reviewer sees, and as what pictures."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import Offset, observation

from undersky.datasets.design import MAIN, SENSOR_KEYS
from undersky.datasets.folders import Folder, FolderScene
from undersky.datasets.suites import Truth, load_suite
from undersky.errors import ConfigError
from undersky.evaluation.review import review_scenes, swipe, swipes, worst_scenes
from undersky.evaluation.score import score_suite
from undersky.evaluation.seen import Seen

SUITE = load_suite("direct-6s-stress")


def test_a_review_shows_ten_main_scenes_of_all_sensors_from_first_to_last():
    found = review_scenes(SUITE)
    main = [scene for scene in SUITE.scenes if scene.design.slice == MAIN]
    assert len({scene.design.id for scene in found}) == 10
    assert all(scene.design.slice == MAIN for scene in found)
    assert (found[0], found[-1]) == (main[0], main[-1])
    assert {scene.design.sensor for scene in found} == set(SENSOR_KEYS)


def test_every_review_shows_the_same_scenes():
    assert review_scenes(SUITE) == review_scenes(load_suite("direct-6s-stress"))


def test_a_small_folder_is_shown_whole(tmp_path):
    folder = Folder("own", tuple(FolderScene(tmp_path / f"{n}.npz") for n in range(3)), "real")
    assert review_scenes(folder) == folder.scenes
    with pytest.raises(ConfigError, match="ask for 1 or more"):
        review_scenes(folder, 0)


def test_the_worst_scenes_are_where_the_candidate_loses_most():
    suite = replace(SUITE, scenes=SUITE.scenes[:5])
    [score] = score_suite(suite, [Offset(0.0)])
    champion = replace(score, scenes=tuple(replace(s, in_spec_percent=80.0) for s in score.scenes))
    shares = (80.0, 40.0, 79.0, 90.0, 60.0)
    mine = tuple(replace(s, in_spec_percent=p) for s, p in zip(score.scenes, shares, strict=True))
    candidate = replace(score, scenes=mine)
    found = worst_scenes(suite, candidate, champion)
    assert found == (suite.scenes[1], suite.scenes[4], suite.scenes[2])
    assert worst_scenes(suite, champion, champion) == ()


def test_a_swipe_shows_both_models_at_one_size_and_says_what_each_scored():
    [found] = swipes(SUITE.scenes[:1], Offset(0.0, name="new"), Offset(0.5, name="old"))
    pictures = (found.candidate, found.champion, *found.panels.values())
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}
    assert found.champion_percent == 0.0 < found.candidate_percent
    assert found.title.startswith("main-000")
    assert not np.array_equal(found.candidate, found.champion)


def seen(**more):
    above = observation(**more)
    truth = Truth(above.toa.copy(), np.zeros(above.toa.shape[1:], np.uint8), 0.1, 2.0)
    return Seen(MAIN, above, truth, None)


def test_who_is_in_spec_where_is_green_and_red():
    scene = seen()
    pictured = "more bands in spec than the champion: green; fewer: red"
    gained = swipe(scene, Offset(0.0), Offset(0.5)).panels[pictured]
    lost = swipe(scene, Offset(0.5), Offset(0.0)).panels[pictured]
    equal = swipe(scene, Offset(0.0), Offset(0.0)).panels[pictured]
    assert (gained[..., 1] > gained[..., 0]).all()
    assert (lost[..., 0] > lost[..., 1]).all()
    assert (equal == 255).all()


def test_a_large_scene_is_thinned_out():
    found = swipe(seen(shape=(400, 200)), Offset(0.0), Offset(0.01))
    assert found.candidate.shape == (134, 67, 3)


def test_a_scene_without_a_visible_band_is_left_out():
    assert swipe(seen(bands=("B02", "B03", "B8A")), Offset(0.0), Offset(0.1)) is None
