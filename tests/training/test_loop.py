"""The loop: what it makes, and that an interruption leaves no trace in it."""

import random
from dataclasses import replace

import pytest
import torch
from toy import Toy, build

from undersky.errors import ConfigError, DataError, ServiceError
from undersky.training.checkpoint import Checkpoints
from undersky.training.loop import Listeners, begin, take_step, train
from undersky.training.place import Place
from undersky.training.stopping import Stop

CPU = Place(torch.device("cpu"))


def trained(recipe, folder, *, place=CPU, stop_at=None, heard=None, seen=None, task=None):
    stop = Stop()
    keep = Checkpoints(folder, recipe=recipe.digest, dataset="d")

    def progress(fraction, sentence):
        if seen is not None:
            seen.append((fraction, sentence))
        if stop_at is not None and round(fraction * recipe.steps) == stop_at:
            stop.asked = True

    def tell(event, **facts):
        if heard is not None:
            heard.append((event, facts))

    listeners = Listeners(progress, tell)
    return train(task or build(recipe), recipe, place=place, keep=keep, stop=stop, listeners=listeners)


def tensors(state):
    return state.checkpoint().tensors


def same(one, other):
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_training_lowers_the_loss(recipe, tmp_path):
    state = trained(recipe(steps=300, learning_rate="2e-2", checkpoint_every=1000), tmp_path)
    assert state.step == 300
    assert state.history[-1]["loss"] < 0.6 * state.history[0]["loss"]


def test_the_same_recipe_makes_the_same_weights_and_another_seed_others(recipe, tmp_path):
    one, two = (trained(recipe(), tmp_path / name) for name in "ab")
    assert same(one, two)
    assert not same(one, trained(recipe(seed=8), tmp_path / "c"))


@pytest.mark.parametrize("seed", range(6))
def test_a_training_stopped_at_random_steps_makes_the_same_weights_to_the_bit(recipe, tmp_path, seed):
    wanted = recipe()
    whole = trained(wanted, tmp_path / "whole")
    source = random.Random(seed)
    stops = sorted(source.sample(range(1, wanted.steps), 3))
    for step in stops:
        with pytest.raises(ServiceError, match=f"after step {step} of 40"):
            trained(wanted, tmp_path / "cut", stop_at=step)
        torch.manual_seed(source.getrandbits(32))  # the process that resumes has drawn other numbers
    resumed = trained(wanted, tmp_path / "cut")
    assert same(whole, resumed)
    bare = [{k: v for k, v in row.items() if k != "scenes_per_s"} for row in whole.history]
    assert bare == [{k: v for k, v in row.items() if k != "scenes_per_s"} for row in resumed.history]


def test_a_training_that_lost_its_last_checkpoint_goes_on_from_the_one_before(recipe, tmp_path):
    wanted = recipe()
    whole = trained(wanted, tmp_path / "whole")
    with pytest.raises(ServiceError):
        trained(wanted, tmp_path / "cut", stop_at=17)
    (tmp_path / "cut" / "step-00000017.safetensors").write_bytes(b"torn")
    heard = []
    assert same(whole, trained(wanted, tmp_path / "cut", heard=heard))
    assert ("training resumes", {"step": 15, "steps": 40}) in heard


def test_a_finished_training_takes_no_further_step(recipe, tmp_path):
    first = trained(recipe(), tmp_path)
    seen = []
    assert same(first, trained(recipe(), tmp_path, seen=seen))
    assert seen == []


def test_a_stop_asked_for_during_the_last_step_leaves_a_finished_checkpoint(recipe, tmp_path):
    with pytest.raises(ServiceError, match="after step 40 of 40"):
        trained(recipe(), tmp_path, stop_at=40)
    assert trained(recipe(), tmp_path).step == 40


@pytest.mark.parametrize("step", [0, 12])
def test_a_loss_that_is_no_number_ends_the_training_and_overwrites_nothing(recipe, tmp_path, step):
    bad = recipe(loss=f"{{nan_at: {step}}}")
    with pytest.raises(ConfigError, match=f"at step {step} the loss is nan.*learning_rate"):
        trained(bad, tmp_path)
    last = Checkpoints(tmp_path, recipe=bad.digest, dataset="d").load()
    assert (last.step if last else None) == (None if step == 0 else 10)
    if last:
        assert all(value.isfinite().all() for value in last.tensors.values())


def test_a_step_that_fails_leaves_the_weights_as_they_were(recipe):
    bad = recipe(loss="{nan_at: 0}")
    task = build(bad)
    state = begin(task, bad, CPU)
    before = {name: value.clone() for name, value in state.network.named_parameters()}
    with pytest.raises(ConfigError):
        take_step(task, state.network, state, CPU)
    assert all(torch.equal(before[name], value) for name, value in state.network.named_parameters())
    assert state.step == 0


def test_the_gradient_is_never_longer_than_the_clip(recipe):
    short = recipe(gradient_clip=1e-3)
    task = build(short)
    state = begin(task, short, CPU)
    figures = take_step(task, state.network, state, CPU)
    length = torch.stack([p.grad.norm() for p in state.network.parameters()]).norm()
    assert figures["gradient"] > 1e-2
    assert float(length) == pytest.approx(1e-3, rel=1e-3)


def test_gpu_hours_stop_the_training_with_a_checkpoint_and_a_higher_cap_goes_on(recipe, tmp_path):
    wanted = recipe(max_gpu_hours=1e-9)
    place = replace(CPU, gpus=2)
    whole = trained(recipe(), tmp_path / "whole")
    with pytest.raises(ConfigError, match=r"GPU hours are used.*stopped after step 1 of 40.*--max-gpu-hours"):
        trained(wanted, tmp_path / "capped", place=place)
    state = trained(replace(wanted, max_gpu_hours=1.0), tmp_path / "capped", place=place)
    assert same(whole, state)
    assert state.gpu_hours == pytest.approx(2 * state.seconds / 3600)


def test_on_a_cpu_no_gpu_hour_is_counted(recipe, tmp_path):
    state = trained(recipe(max_gpu_hours=1e-9), tmp_path)
    assert (state.step, state.gpu_hours) == (40, 0.0)


def test_a_network_that_the_checkpoint_does_not_fit_is_refused(recipe, tmp_path):
    class Wider(Toy):
        def network(self):
            return torch.nn.Linear(4, 1)

    with pytest.raises(ServiceError):
        trained(recipe(), tmp_path, stop_at=3)
    with pytest.raises(DataError, match="does not fit the network that this version builds"):
        trained(recipe(), tmp_path, task=Wider(recipe()))


def test_progress_and_log_say_step_loss_pace_and_the_use_of_the_device(recipe, tmp_path):
    heard, seen = [], []
    trained(recipe(steps=400, checkpoint_every=1000), tmp_path, heard=heard, seen=seen)
    assert [fraction for fraction, _ in seen] == [step / 400 for step in range(1, 401)]
    assert seen[200][1].startswith("step 201/400, loss ")
    assert seen[200][1].endswith("left")
    rows = [facts for event, facts in heard if event == "training"]
    assert [row["step"] for row in rows] == list(range(2, 401, 2))
    assert all(0 < row["device_use"] < 3 and row["scenes_per_s"] > 0 for row in rows[1:])
    assert {"loss", "mean_error", "gradient", "learning_rate"} <= rows[0].keys()


def test_bfloat16_is_used_inside_and_the_weights_stay_float32(recipe, tmp_path):
    kinds = set()

    class Watched(Toy):
        def loss(self, network, step, **where):
            kinds.add(network.layers(torch.ones(1, 4)).dtype)
            return super().loss(network, step, **where)

    wanted = recipe(precision="bfloat16", steps=3)
    state = trained(wanted, tmp_path, task=Watched(wanted))
    assert kinds == {torch.bfloat16}
    assert {p.dtype for p in state.network.parameters()} == {torch.float32}
    assert not same(state, trained(recipe(steps=3), tmp_path / "full"))


def test_a_batch_that_the_ranks_cannot_share_is_refused(recipe):
    with pytest.raises(ConfigError, match="batch_size 8 cannot be shared by 3 ranks"):
        begin(build(recipe()), recipe(), replace(CPU, ranks=3))
