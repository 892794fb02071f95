"""The task of the quality mask."""

from pathlib import Path

import numpy as np
import pytest
import torch

from undersky.datasets.cloud_chips import CHIPS, FOLDER
from undersky.datasets.cloudy import CLASSES
from undersky.datasets.cloudy_air import ROLES
from undersky.errors import ConfigError
from undersky.models.segmentation import build_segmenter
from undersky.training.quality import QualityTask, build, known_only
from undersky.training.recipe import Recipe, load_recipe
from undersky.training.task import build_task

SCENES = {"size": 32, "fields": 4, "airs": 40}


def recipe(**dataset) -> Recipe:
    return Recipe(
        "quality-small", "quality", seed=2, steps=3, batch_size=5, learning_rate=1e-3,
        dataset={"scenes": SCENES, "validation": 4} | dataset, network={"features": [4, 8]},
    )  # fmt: skip


@pytest.fixture
def chips(tmp_path) -> Path:
    (tmp_path / FOLDER).mkdir()
    labels = np.full((64, 64, 1), 3, dtype=np.uint8)
    labels[:, :32] = 4
    for name in CHIPS:
        image = np.where(labels == 4, 0.5, 0.1).astype(np.float32) * np.ones(6, dtype=np.float32)
        np.savez(tmp_path / FOLDER / f"{name}_left.npz", img=image, msk=labels)
    return tmp_path


@pytest.fixture(scope="module")
def task() -> QualityTask:
    made = build(recipe())
    made.prepare(Path(), progress=lambda _done, _what: None)
    return made


def test_the_network_sees_the_bands_of_both_sensors_and_cirrus_may_be_missing(task) -> None:
    network = task.network()
    assert network.config.inputs == ROLES
    assert network.config.optional == ("cirrus",)
    assert network.config.classes == CLASSES
    assert all(0.1 < mean < 0.9 for mean in network.config.mean[:4])


def test_a_batch_is_a_function_of_its_seed(task) -> None:
    one, same = (task.patches.train((1, 2), 4)[0].nan_to_num() for _ in range(2))
    assert torch.equal(one, same)
    assert not torch.equal(one, task.patches.train((1, 3), 4)[0].nan_to_num())


def test_what_the_network_reads_is_the_root_of_the_reflectance(task) -> None:
    values, _ = task.patches.train((1, 2), 2)
    toa, _ = task.patches._scenes().compose(2, seed=(1, 2, 0))
    np.testing.assert_allclose(values[:, :6].numpy(), np.sqrt(np.maximum(toa[:, :6].numpy(), 0.0)), rtol=1e-6)


def test_the_loss_falls_in_a_few_steps(task) -> None:
    torch.manual_seed(1)
    network = task.network().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(8):
        loss = task.loss(network, 0, size=5, device=torch.device("cpu")).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]


def test_what_nobody_knows_costs_nothing() -> None:
    labels = torch.tensor([1.0, 0.0, torch.nan]).reshape(1, 1, 1, 3)
    logits, target = known_only(torch.tensor([2.0, -1.0, 7.0]).reshape(1, 1, 1, 3), labels)
    assert torch.isfinite(target).all()
    cost = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    assert float(cost[..., 2]) == 0.0
    assert float(cost[..., 0]) > 0.0
    assert logits.shape == (1, 1, 3)


def test_it_ends_in_a_package_that_says_what_it_saw(chips) -> None:
    made = build(recipe(real=0.4, hold_out="landsat5"), samples=chips)
    made.prepare(Path(), progress=lambda _done, _what: None)
    package, figures = made.finish(made.network(), {"recipe": "small"})
    assert package.provenance["held_out"] == "landsat5"
    assert package.provenance["chips"] == ["sentinel2", "landsat7"]
    assert {"iou_percent.cloud", "miou_percent", "nll"} <= set(figures)
    assert build_segmenter(package, "quality").config.temperature > 0


def test_a_share_of_the_batch_is_cut_from_chips(chips) -> None:
    made = build(recipe(real=0.4), samples=chips)
    values, said = made.patches.train((1,), 5)
    assert values.shape[0] == 5
    assert torch.isnan(said[3:, CLASSES.index("cirrus")]).all()


def test_the_digest_of_the_dataset_knows_the_spec_and_the_chips(chips) -> None:
    def digest(made: QualityTask) -> str:
        return made.prepare(Path(), progress=lambda _done, _what: None)

    plain, real = digest(build(recipe())), digest(build(recipe(real=0.4), samples=chips))
    held = digest(build(recipe(real=0.4, hold_out="landsat7"), samples=chips))
    assert len({plain, real, held}) == 3
    assert digest(build(recipe())) == plain


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"real": 0.4}, "UNDERSKY_SAMPLES"),
        ({"hold_out": "landsat7"}, "nothing to hold out"),
        ({"real": 1.0}, "share below 1"),
        ({"sceens": {}}, "'sceens' is no key"),
    ],
)
def test_a_dataset_that_cannot_be_made_is_refused(dataset, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build(recipe(**dataset))


@pytest.mark.parametrize("name", CHIPS)
def test_a_fold_differs_from_the_shipped_recipe_in_the_chip_alone(name) -> None:
    whole, fold = load_recipe("quality"), load_recipe(f"quality-{name}")
    assert dict(fold.dataset) == {**whole.dataset, "hold_out": name}
    assert (fold.seed, fold.steps, fold.network) == (whole.seed, whole.steps, whole.network)


def test_the_tiny_recipe_needs_no_samples() -> None:
    assert build_task(load_recipe("quality-tiny")).name == "quality"
