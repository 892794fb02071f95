from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch.optim import AdamW

from undersky.errors import ConfigError
from undersky.models.build import build_network
from undersky.models.correction import CorrectionNetwork, Windows
from undersky.models.package import load_package, save_package
from undersky.training import correction
from undersky.training.correction import CorrectionTask, build, windows_of
from undersky.training.loop import begin, take_step
from undersky.training.place import Place
from undersky.training.recipe import Recipe, load_recipe
from undersky.training.task import build_task

CPU = torch.device("cpu")
RECIPE = Recipe(
    name="miniature",
    task="correction",
    seed=3,
    steps=6,
    batch_size=3,
    learning_rate=3e-3,
    ema_decay=0.5,
    dataset={"airs": {"count": 40, "validation": 30}, "ground": {"textures": 18}},
    network={"width": 12, "heads": 2, "hypothesis_width": 12, "embedding": 8, "rank": 2},
    loss={"pixels": 48},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module")
def task(folder) -> CorrectionTask:
    made = build(RECIPE)
    made.prepare(folder, progress=lambda _share, _sentence: None)
    return made


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("dataset", {"worlds": 3}),
        ("dataset", {"airs": {"altitude": 3}}),
        ("dataset", {"ground": {"textures": 3}}),
        ("network", {"depth": 3}),
        ("network", {"heads": 0}),
        ("network", {"width": 10, "heads": 4}),
        ("network", {"kind": "pixels"}),
        ("loss", {"accuracy": 1.0}),
        ("loss", {"pixels": 0}),
        ("loss", {"honesty": -1.0}),
    ],
)
def test_a_recipe_with_an_unknown_key_or_an_impossible_value_is_refused(section: str, values: dict) -> None:
    with pytest.raises(ConfigError, match=section):
        build(replace(RECIPE, **{section: values}))


def test_a_ladder_that_is_not_that_of_the_hypotheses_is_refused() -> None:
    with pytest.raises(ConfigError, match="ladder"):
        build(replace(RECIPE, network={"ladder": [0.0, 0.5]}))


@pytest.mark.parametrize("name", ["tiny", "default"])
def test_the_shipped_recipes_are_understood(name: str) -> None:
    task = build_task(load_recipe(name))
    assert isinstance(task, CorrectionTask)
    assert task.name == "correction"


def test_no_world_is_made_before_the_dataset_is_prepared() -> None:
    with pytest.raises(ConfigError, match="prepare"):
        build(RECIPE).composer("train")


def test_a_network_is_that_of_the_seed_and_leaves_the_global_generator_alone(task) -> None:
    before = torch.random.get_rng_state()
    one, same = task.network().state_dict(), task.network().state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    other = build(replace(RECIPE, seed=4)).network().state_dict()
    assert not torch.equal(one["block.0.weight"], other["block.0.weight"])


def test_the_dataset_that_is_there_is_found(task, folder) -> None:
    told = []
    digest = build(RECIPE).prepare(folder, progress=lambda share, _: told.append(share))
    assert digest == build(RECIPE).prepare(folder, progress=lambda *_: None)
    assert told == []


def test_a_batch_is_that_of_its_step_and_rank(task) -> None:
    def total(step: int, **more) -> float:
        return task.loss(task.network(), step, size=3, device=CPU, **more).total.item()

    assert total(2) == total(2)
    assert len({total(2), total(3), total(2, rank=1)}) == 3


def test_half_windows_are_trained_on_and_whole_ones_validated_with(task) -> None:
    assert task._training.compose(2, seed=(1,)).toa.shape == (2, 7, 64, 32)
    assert task.composer("validation").compose(2, seed=(1,)).toa.shape == (2, 7, 64, 64)


def test_training_and_validation_are_of_different_spectra_airs_and_textures(task) -> None:
    train, validation = task._training, task.composer("validation")
    assert not set(train.materials.names) & set(validation.materials.names)
    assert float(torch.cdist(train.airs.point, validation.airs.point).min()) > 0.0
    assert train.textures is not validation.textures


def test_the_network_sees_the_world_and_not_its_truth(task) -> None:
    world = task._training.compose(2, seed=(1,))
    windows = windows_of(world)
    assert windows.toa is world.toa
    assert windows.path is world.air.path
    hidden = (world.surface, world.air.truth, world.air.aot_550, world.air.shares)
    assert not any(getattr(windows, f.name) is secret for f in fields(Windows) for secret in hidden)


def test_the_loss_is_the_sum_of_its_parts(task) -> None:
    loss = task.loss(task.network(), 0, size=3, device=CPU)
    figures = {name: value.item() for name, value in loss.figures.items()}
    expected = figures["accuracy"] + 0.1 * figures["honesty"] + 0.1 * figures["depth"]
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert 0.0 <= figures["in_spec_percent"] <= 100.0


def test_every_weight_is_taught(task) -> None:
    network = task.network()
    task.loss(network, 0, size=3, device=CPU).total.backward()
    untaught = [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert untaught in ([], ["attention.bias", "value.bias"], ["attention.bias"])  # a softmax knows no offset


def test_a_few_steps_over_a_batch_lower_its_loss(task) -> None:
    network = task.network()
    optimizer = AdamW(network.parameters(), lr=3e-3)
    values = []
    for _ in range(25):
        loss = task.loss(network, 0, size=3, device=CPU).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert np.mean(values[-3:]) < 0.8 * np.mean(values[:3])


def trained(task: CorrectionTask) -> CorrectionNetwork:
    state, place = begin(task, RECIPE, Place(CPU)), Place(CPU)
    for _ in range(4):
        take_step(task, state.network, state, place)
    return state.average


def test_the_same_recipe_trains_the_same_weights_to_the_bit(task) -> None:
    one, other = trained(task).state_dict(), trained(task).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    fresh = task.network().state_dict()
    assert not torch.equal(one["block.0.weight"], fresh["block.0.weight"])


@pytest.fixture(scope="module")
def finished(task):
    """A network, its package and its figures.

    Validated on 48 worlds instead of 1,536: the numbers are rougher, the path is the same.
    """
    network = trained(task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correction, "_VALIDATION_BATCHES", 2)
        patch.setattr(correction, "_VALIDATION_SIZE", 24)
        yield network, *task.finish(network, {"made_by": "a test"})


def test_what_is_finished_is_a_package_that_builds_the_network_again(finished, tmp_path) -> None:
    network, package, figures = finished
    saved = save_package(package, tmp_path / "package")
    model = build_network(load_package(tmp_path / "package"))
    for name, value in network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], value), name
    assert saved.version == "learned-miniature"
    assert saved.provenance["made_by"] == "a test"
    assert saved.provenance["worlds"]["airs"]["count"] == 40
    assert saved.provenance["figures"] == pytest.approx(dict(figures))
    assert all(np.isfinite(value) for value in figures.values())


def test_sigma_is_calibrated_on_the_validation_split(finished) -> None:
    _, _, figures = finished
    assert figures["coverage_1sigma_percent"] == pytest.approx(68.3, abs=4.0)
    assert 88.0 < figures["coverage_2sigma_percent"] <= 100.0


def test_finishing_again_gives_the_same_package(task, finished) -> None:
    network, one, first = finished
    other, second = task.finish(network, {"made_by": "a test"})
    assert dict(one.config) == dict(other.config)
    assert first == second
    assert all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_what_was_validated_on_is_in_the_domain_of_the_package(task, finished) -> None:
    model = build_network(finished[1])
    embedding = torch.cat([task._validated(model.network, number).embedding for number in range(2)])
    strange = model.strangeness(embedding)
    assert float((strange > 1.0).float().mean()) < 0.03
    assert float(model.strangeness(embedding + 100.0).min()) > 1.0


def test_a_recipe_may_start_from_a_package(finished, tmp_path) -> None:
    network, package, _ = finished
    save_package(package, tmp_path / "start")
    begun = build(replace(RECIPE, start=str(tmp_path / "start"))).network().state_dict()
    assert all(torch.equal(begun[name], value) for name, value in network.state_dict().items())
