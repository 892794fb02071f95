"""A scene is the same to a method wherever it came from."""

from pathlib import Path

import numpy as np
import pytest

from undersky.datasets.folders import FolderScene
from undersky.datasets.suites import load_suite, render
from undersky.errors import DataError
from undersky.evaluation.seen import look


@pytest.fixture(scope="module")
def scene():
    return load_suite("direct-6s-stress").scenes[-1]


def test_a_suites_scene_is_what_the_suite_renders(scene):
    seen = look(scene)
    observation, truth = render(scene)
    assert np.array_equal(seen.observation.toa, observation.toa)
    assert np.array_equal(seen.truth.surface, truth.surface)
    assert seen.part == "water"
    assert seen.aerosol == scene.design.case.aerosol


def test_a_scene_says_its_slices_and_itself_in_words(scene):
    seen = look(scene)
    slices = dict(seen.slices())
    assert slices["sensor"] == scene.design.sensor
    assert slices["aerosol"] in seen.sentence()
    assert f"AOD {scene.design.case.aot_550:.2f}" in seen.sentence()
    assert seen.sentence().startswith(f"{scene.design.id}: {scene.design.sensor}")


def test_a_file_that_went_away_is_a_data_error():
    with pytest.raises(DataError, match="cannot be read"):
        look(FolderScene(Path("nowhere") / "gone.npz"))
