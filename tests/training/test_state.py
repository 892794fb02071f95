"""What a training carries."""

import pytest
import torch
from toy import Network

from undersky.training.state import State


def stepped(state, by):
    """A step along a gradient of ones, with a rate that moves every weight by something."""
    for parameter in state.network.parameters():
        parameter.grad = torch.ones_like(parameter) * by
    state.advance({"loss": by})


def test_the_running_mean_is_that_of_the_weights_after_every_step(recipe):
    state = State.fresh(Network(), recipe(ema_decay=0.5, steps=100))
    mean = {name: value.clone() for name, value in state.average.named_parameters()}
    for step in range(20):
        stepped(state, 1.0)
        keep = min(0.5, (1 + step) / (10 + step))
        now = dict(state.network.named_parameters())
        mean = {name: keep * value + (1 - keep) * now[name].detach() for name, value in mean.items()}
    for name, value in state.average.named_parameters():
        torch.testing.assert_close(value, mean[name])
        assert not value.requires_grad
        assert not torch.equal(value, dict(state.network.named_parameters())[name])


def test_without_a_decay_the_mean_is_the_last_weights(recipe):
    state = State.fresh(Network(), recipe(ema_decay=0))
    stepped(state, 1.0)
    assert all(map(torch.equal, state.average.parameters(), state.network.parameters()))


def test_counts_are_copied_not_averaged(recipe):
    state = State.fresh(Network(), recipe())
    state.network.calls += 5
    stepped(state, 1.0)
    assert int(state.average.calls) == 5


def test_weights_decay_and_biases_do_not(recipe):
    state = State.fresh(Network(), recipe(weight_decay=0.5))
    before = {name: value.detach().clone() for name, value in state.network.named_parameters()}
    stepped(state, 0.0)
    for name, value in state.network.named_parameters():
        assert torch.equal(value, before[name]) == name.endswith("bias")


def test_a_row_holds_the_means_since_the_last_row(recipe):
    state = State.fresh(Network(), recipe())
    for loss in (1.0, 2.0, 6.0):
        stepped(state, loss)
    assert state.note({"scenes_per_s": 4.0}) | {"learning_rate": 0} == {
        "step": 3, "loss": 3.0, "scenes_per_s": 4.0, "learning_rate": 0,
    }  # fmt: skip
    stepped(state, 8.0)
    assert state.note({})["loss"] == 8.0
    assert [row["step"] for row in state.history] == [3, 4]


def test_a_frozen_part_of_the_network_stays_as_it_is(recipe):
    network = Network()
    network.layers[0].requires_grad_(False)
    state = State.fresh(network, recipe())
    before = network.layers[0].weight.clone()
    stepped(state, 1.0)
    assert torch.equal(network.layers[0].weight, before)
    assert len(state.optimizer.state_dict()["state"]) == 2


def test_a_state_comes_back_from_its_checkpoint_and_goes_on_alike(recipe):
    one, two = (State.fresh(Network(), recipe()) for _ in range(2))
    for loss in (1.0, -0.5, 3.0):
        stepped(one, loss)
    two.resume(one.checkpoint())
    for state in (one, two):
        stepped(state, 0.25)
    a, b = one.checkpoint(), two.checkpoint()
    assert a.step == b.step == 4
    assert a.facts == b.facts
    assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)
    assert a.facts["sums"]["loss"] == pytest.approx(3.75)
