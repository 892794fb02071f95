"""Stage `train`: a candidate in the store, and a training that goes on anywhere after it was stopped."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from orders import Works

from undersky.errors import ConfigError, DataError, ServiceError
from undersky.models.package import load_package
from undersky.refs import ReleaseStage
from undersky.release import train as stage
from undersky.release.candidates import get_candidate
from undersky.release.run import run_release
from undersky.services.store import Store

DATASET, TRAIN = ReleaseStage.DATASET, ReleaseStage.TRAIN


def _ready(works: Works, run: str = "one", **recipe: object) -> str:
    """An order whose dataset is made."""
    order = works.order(run, recipe=works.recipe(**recipe))
    works.run(DATASET, order)
    return order


def _stopped_at(works: Works, order: str, step: int) -> None:
    """Trained until a signal comes after that step."""

    def hear(event: str, **facts: Any) -> None:
        works.hear(event, **facts)
        if event == "training" and facts["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(ServiceError, match="the same command"):
        run_release(TRAIN, order, store=works.store, settings=works.settings, tell=hear)


def test_a_training_ends_with_a_package_among_the_candidates_that_its_document_names(
    works: Works, tmp_path: Path
) -> None:
    done = works.run(TRAIN, _ready(works))
    assert done.package.href == works.store.href(f"candidates/toy/{done.package.digest}")
    assert get_candidate(works.store, done.package, tmp_path / "got").digest == done.package.digest
    assert (done.steps, done.figures, done.mlflow_run) == (40, {"weights": 50.0}, None)
    assert [key.rpartition("/")[2] for key in works.keys("candidates/")] == [
        "history.csv", "package.json", "training.json", "weights.safetensors",
    ]  # fmt: skip
    assert works.keys("checkpoints/") == []


def test_it_says_which_recipe_and_dataset_it_was_trained_with(works: Works, tmp_path: Path) -> None:
    order = _ready(works)
    made = works.run(DATASET, order)
    get_candidate(works.store, works.run(TRAIN, order).package, tmp_path / "got")
    assert load_package(tmp_path / "got").provenance["dataset_digest"] == made.digest


def test_the_same_recipe_gives_the_same_candidate_in_every_run(works: Works) -> None:
    one = works.run(TRAIN, _ready(works))
    other = works.elsewhere("other")
    two = other.run(TRAIN, _ready(other, "two"))
    assert two.package == one.package
    assert len(works.keys("candidates/")) == 4


def test_one_that_dies_without_a_word_goes_on_from_what_it_kept_on_the_way(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "KEEP_EVERY_S", 0.0)
    order = _ready(works)

    def hear(event: str, **facts: Any) -> None:
        works.hear(event, **facts)
        if event == "training" and facts["step"] == 20:
            raise MemoryError

    with pytest.raises(MemoryError):
        run_release(TRAIN, order, store=works.store, settings=works.settings, tell=hear)
    assert works.keys("checkpoints/") != []
    other = works.elsewhere("other")
    done = other.run(TRAIN, order)
    resumed = [facts["step"] for event, facts in other.told if event == "training resumes"]
    assert resumed == [15]
    assert done.figures == {"weights": 50.0}
    assert works.keys("checkpoints/") == []


def test_without_its_dataset_it_says_with_which_stage_to_begin(works: Works) -> None:
    with pytest.raises(ConfigError, match="begin the run with `dataset`"):
        works.run(TRAIN, works.order(recipe=works.recipe()))


def test_a_damaged_dataset_is_refused_before_the_first_step(works: Works) -> None:
    order = _ready(works)
    (manifest,) = [key for key in works.keys("datasets/") if key.endswith("manifest.json")]
    works.store.put(manifest, b'{"seed": 8, "scenes": 64}')
    with pytest.raises(DataError):
        works.run(TRAIN, order)
    assert works.keys("candidates/") == []


@pytest.mark.faults
def test_a_stopped_training_goes_on_from_the_store_on_an_empty_scratch_to_the_same_bytes(
    works: Works,
) -> None:
    order = _ready(works, checkpoint_every=5)
    _stopped_at(works, order, 12)
    assert works.store.find("releases/one/train.json") is None
    assert works.keys("candidates/") == []
    assert any(key.endswith("/folder.json") for key in works.keys("checkpoints/"))
    other = works.elsewhere("other")
    cut = other.run(TRAIN, order)
    assert ("training resumes", {"step": 12, "steps": 40}) in other.told
    assert works.keys("checkpoints/") == []
    for key in works.keys("candidates/"):
        works.store.delete(key)
    third = works.elsewhere("third")
    whole = third.run(TRAIN, works.order("two", recipe=works.recipe(checkpoint_every=5)))
    assert "training resumes" not in [event for event, _ in third.told]
    assert cut.package == whole.package


@pytest.mark.faults
def test_a_training_that_is_stopped_twice_on_different_machines_forgets_no_step(works: Works) -> None:
    order = _ready(works, checkpoint_every=5)
    _stopped_at(works, order, 7)
    other = works.elsewhere("other")
    _stopped_at(other, order, 22)
    third = works.elsewhere("third")
    third.run(TRAIN, order)
    assert [facts["step"] for event, facts in third.told if event == "training resumes"] == [22]
    assert works.keys("checkpoints/") == []


@pytest.mark.faults
def test_a_checkpoint_that_arrives_in_part_is_fetched_again(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _ready(works, checkpoint_every=5)
    _stopped_at(works, order, 12)
    get = Store.get_file

    def cut(self: Store, key: str, path: Path, **how: Any) -> None:
        if key.endswith("step-00000012.safetensors"):
            raise ServiceError("the line is cut")
        get(self, key, path, **how)

    other = works.elsewhere("other")
    with monkeypatch.context() as line:
        line.setattr(Store, "get_file", cut)
        with pytest.raises(ServiceError, match="cut"):
            other.run(TRAIN, order)
    other.run(TRAIN, order)
    assert ("training resumes", {"step": 12, "steps": 40}) in other.told


@pytest.mark.faults
def test_a_training_whose_candidate_cannot_be_put_is_not_trained_again(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _ready(works)

    def full(*_: Any, **__: Any) -> None:
        raise ServiceError("the store is full")

    with monkeypatch.context() as line:
        line.setattr(stage, "put_candidate", full)
        with pytest.raises(ServiceError, match="full"):
            works.run(TRAIN, order)
    other = works.elsewhere("other")
    other.run(TRAIN, order)
    assert ("training resumes", {"step": 40, "steps": 40}) in other.told


@pytest.mark.faults
def test_a_training_that_waits_for_an_operator_keeps_its_checkpoint_too(works: Works) -> None:
    order = _ready(works, checkpoint_every=5, loss="{nan_at: 23}")
    with pytest.raises(ConfigError, match="loss is nan"):
        works.run(TRAIN, order)
    assert any(key.endswith("step-00000020.json") for key in works.keys("checkpoints/"))


def test_the_log_hears_of_every_tenth(works: Works) -> None:
    works.run(TRAIN, _ready(works))
    tenths = [facts["percent"] for _, facts in works.told if "percent" in facts]
    assert 10 <= len(tenths) < 20, "of the forty steps, and of the dataset"
    assert tenths[-1] == 100
