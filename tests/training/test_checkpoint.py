"""Checkpoints: whole or not there, ours or refused, never executed."""

import json
import os
import pickle

import pytest
import torch

from undersky.errors import DataError
from undersky.training.checkpoint import Checkpoint, Checkpoints, write_whole

RECIPE, DATASET = "a" * 64, "b" * 64


def a_checkpoint(step):
    tensors = {"network/w": torch.arange(6.0).reshape(2, 3) + step, "network/n": torch.tensor(step)}
    return Checkpoint(step, tensors, {"seconds": 0.1 + step, "history": [{"step": 1.0}]})


@pytest.fixture
def keep(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", recipe=RECIPE, dataset=DATASET)


def names(keep):
    return sorted(path.name for path in keep.folder.iterdir())


def test_what_was_saved_is_loaded_to_the_bit(keep):
    saved = a_checkpoint(4)
    keep.save(saved)
    found = keep.load()
    assert (found.step, found.facts) == (4, saved.facts)
    assert found.tensors.keys() == saved.tensors.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in saved.tensors.items())
    assert found.tensors["network/n"].dtype == torch.int64


def test_without_a_checkpoint_there_is_none(keep):
    assert keep.load() is None


def test_weights_that_share_memory_are_saved(keep):
    weight = torch.ones(3, 3)
    keep.save(Checkpoint(1, {"a": weight, "b": weight, "c": weight.T[1:]}, {}))
    assert torch.equal(keep.load().tensors["b"], weight)


def test_the_last_two_are_kept_and_nothing_that_was_cut_off(keep):
    keep.save(a_checkpoint(1))
    (keep.folder / "step-00000009.safetensors.part").write_bytes(b"half")
    (keep.folder / "step-00000009.safetensors").write_bytes(b"without its JSON")
    for step in (2, 3):
        keep.save(a_checkpoint(step))
    assert names(keep) == [f"step-0000000{n}.{kind}" for n in (2, 3) for kind in ("json", "safetensors")]


def test_an_older_checkpoint_saved_again_is_the_newest_that_is_kept(keep):
    for step in (1, 2, 3):
        keep.save(a_checkpoint(step))
    keep.clear()
    assert names(keep) == []


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    blob = bytearray(path.read_bytes())
    blob[-5] ^= 1
    path.write_bytes(blob)


def empty(path):
    path.write_bytes(b"")


def other_object(path):
    path.write_text(json.dumps([1]))


def other_keys(path):
    path.write_text(json.dumps({"step": 3}))


def deep(path):
    path.write_text("[" * 100_000)


def a_pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def step_changed(path):
    path.write_text(path.read_text().replace('"step": 2', '"step": 9', 1))


class Bomb:
    def __reduce__(self):
        return os._exit, (86,)


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize(
    "harm", [cut, flip, empty, os.unlink, other_object, other_keys, deep, a_pickle, step_changed]
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(keep, kind, harm):
    if harm is step_changed and kind == "safetensors":
        harm = cut
    keep.save(a_checkpoint(1))
    keep.save(a_checkpoint(2))
    harm(keep.folder / f"step-00000002.{kind}")
    heard = []
    keep._tell = lambda event, **facts: heard.append((event, facts["file"]))
    assert keep.load().step == 1
    if (keep.folder / "step-00000002.json").exists():
        assert heard == [("checkpoint is damaged", "step-00000002.json")]


def test_a_training_whose_every_checkpoint_is_damaged_does_not_silently_start_over(keep):
    for step in (1, 2):
        keep.save(a_checkpoint(step))
        cut(keep.folder / f"step-0000000{step}.safetensors")
    with pytest.raises(DataError, match=r"none is whole: step-00000002.json: its .* bytes .*--fresh"):
        keep.load()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"recipe": "c" * 64}, "is of recipe aaaaaaaaaaaa, this training of cccccccccccc"),
        ({"dataset": "d" * 64}, "is of dataset bbbbbbbbbbbb, this training of dddddddddddd"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_and_left_alone(keep, other, told):
    keep.save(a_checkpoint(1))
    before = names(keep)
    stranger = Checkpoints(keep.folder, **({"recipe": RECIPE, "dataset": DATASET} | other))
    with pytest.raises(DataError, match=told) as refused:
        stranger.load()
    assert refused.value.reason == "model_refused"
    assert names(keep) == before


def test_tensors_of_another_step_are_not_taken_for_their_own(keep):
    keep.save(a_checkpoint(1))
    keep.save(a_checkpoint(2))
    first, second = (keep.folder / f"step-0000000{n}.safetensors" for n in (1, 2))
    second.write_bytes(first.read_bytes())
    assert keep.load().step == 1


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_whole(path, b"old")

    def full(_number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
