"""Vessels are scored on harbours no training saw, and on ports by the fold that held each out."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from object_models import INPUTS, bright_package
from undersky.datasets.harbours import HarbourSpec, simulate_harbour
from undersky.errors import DataError, Reason
from undersky.evaluation.evidence import DIMENSIONS, METRICS
from undersky.evaluation.maps import SIMULATED, MapsOptions, MapsScore
from undersky.evaluation.objects import evaluate_vessels, fold_of, judge
from undersky.models.package import load_package, package_folder, save_package, shipped


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "vessels"
    bright_package(folder)
    return folder


@pytest.fixture(scope="module")
def score(model: Path) -> MapsScore:
    return evaluate_vessels(MapsOptions(model=model, scenes=1))


def test_without_samples_nothing_real_is_claimed(score: MapsScore) -> None:
    assert score.result == {"f1": None, "precision": None, "recall": None}
    assert "Real" not in score.markdown


def test_rows_are_of_known_metrics_and_dimensions_and_never_more_right_than_there(score: MapsScore) -> None:
    assert {row.suite for row in score.rows} == {SIMULATED}
    assert {row.metric for row in score.rows} <= METRICS.keys()
    assert {row.dimension for row in score.rows} <= DIMENSIONS.keys()
    assert all(0 <= row.top <= row.bottom for row in score.rows)
    lengths = [row for row in score.rows if row.dimension == "length"]
    there = next(r.bottom for r in score.rows if (r.dimension, r.metric) == ("all", "recall_percent"))
    assert sum(row.bottom for row in lengths) == there > 0


def test_every_scene_has_a_picture_of_what_is_there_and_what_is_found(score: MapsScore) -> None:
    (view,) = score.views
    assert view.picture.shape == view.truth.shape == view.found.shape
    colour = np.array(next(iter(score.legend.values())))
    assert (view.truth == colour).all(axis=2).any()


def test_the_counts_are_those_of_the_model_as_it_reports(model: Path) -> None:
    package = load_package(model)
    scene = simulate_harbour(HarbourSpec(128, 8), INPUTS, seed=(1, 2), split="test")
    judged = judge(package, scene)
    assert judged.counts.there == len(scene.objects) == len(judged.moored) == len(judged.lengths_m)
    assert len(judged.ranked.scores) >= judged.counts.found
    everything = judged.recalled([True] * len(scene.objects))
    assert everything == (judged.counts.right, judged.counts.there)


def test_a_fold_that_does_not_say_what_it_held_out_is_refused(model: Path, tmp_path: Path) -> None:
    package = load_package(model)
    save_package(package, tmp_path / "vessels-busan")
    with pytest.raises(DataError, match="hold_out: busan") as caught:
        fold_of(tmp_path, "busan")
    assert caught.value.reason is Reason.MODEL_REFUSED
    honest = dataclasses.replace(package, provenance={"held_out": "busan"})
    save_package(honest, tmp_path / "vessels-busan")
    assert fold_of(tmp_path, "busan").provenance["held_out"] == "busan"


def test_the_shipped_folds_say_what_they_held_out_and_did_not_train_on_it() -> None:
    for port in ("algiers", "busan", "cartagena", "casablanca", "klang"):
        package = fold_of(shipped("folds"), port)
        scenes = package.provenance["scenes"]
        assert isinstance(scenes, list)
        assert port not in scenes
        assert len(scenes) == 4


def test_the_shipped_model_finds_most_of_the_ships_of_a_simulated_harbour() -> None:
    package = load_package(package_folder("vessels"))
    scene = simulate_harbour(HarbourSpec(160, 8), INPUTS, seed=(77, 1), split="test")
    assert judge(package, scene).counts.f1 >= 0.5
    assert json.dumps(dict(package.config))
