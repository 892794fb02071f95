"""The task that trains networks that name pixels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from undersky.errors import ConfigError
from undersky.models.package import save_package
from undersky.models.segmentation import SegmentationConfig, build_segmenter
from undersky.training.recipe import Recipe
from undersky.training.segmentation import IGNORED, SegmentationTask
from undersky.training.task import Progress

CONFIG = SegmentationConfig(
    ("a", "b", "c"), ("x", "y", "z"), (0.0,) * 3, (1.0,) * 3, 10.0, optional=("c",), body="plain"
)


class Blobs:
    """Three classes that two numbers decide; where they do not count, the numbers lie."""

    key = None

    def __init__(self, *, soft: bool = False) -> None:
        self.soft = soft

    def prepare(self, folder: Path, *, progress: Progress) -> str:  # noqa: ARG002
        return "blobs"

    def train(self, seed: tuple[int, ...], size: int) -> tuple[Tensor, Tensor]:
        chance = torch.Generator().manual_seed(sum(n * 31**i for i, n in enumerate(seed)) % 2**31)
        values = torch.randn(size, 3, 32, 32, generator=chance)
        labels = named(values)
        labels[:, :2] = IGNORED
        values[:, 2, 5:9] = torch.nan
        if not self.soft:
            return values, labels
        planes = torch.stack([(labels == number).float() for number in range(3)], dim=1)
        return values, planes.masked_fill((labels == IGNORED)[:, None], torch.nan)

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        for number in range(2):
            yield self.train((99, number), 4)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return (0.1, 0.2, 0.3), (1.0, 1.1, 1.2)


def named(values: Tensor) -> Tensor:
    return (values[:, 0] > 0).long() + (values[:, 1] > 1).long()


def recipe(**changes: object) -> Recipe:
    given = {"network": {"features": [4, 8, 16]}, **changes}
    return Recipe("landcover-toy", "landcover", 1, 10, 4, 1e-3, **given)  # type: ignore[arg-type]


def task(*, soft: bool = False, **changes: object) -> SegmentationTask:
    config = CONFIG if not soft else SegmentationConfig(**{**_fields(CONFIG), "outputs": "sigmoid"})
    return SegmentationTask(recipe(**changes), config, name="landcover", patches=Blobs(soft=soft))


def _fields(config: SegmentationConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in SegmentationConfig.__slots__}


def trained(made: SegmentationTask, steps: int = 60) -> torch.nn.Module:
    torch.manual_seed(0)
    network = made.network()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for step in range(steps):
        optimizer.zero_grad()
        made.loss(network, step, size=4, device=torch.device("cpu")).total.backward()
        optimizer.step()
    return network


def test_turned_patches_keep_their_labels_and_what_is_missing():
    torch.manual_seed(4)
    values, labels = Blobs().train((1,), 6)
    turned, beside = task().turned(values, labels)
    counted = beside != IGNORED
    assert torch.equal(named(turned)[counted], beside[counted])
    assert int((~counted).sum()) == int((labels == IGNORED).sum())
    assert int(turned.isnan().sum()) == int(values.isnan().sum())
    assert not torch.equal(turned.nan_to_num(), values.nan_to_num())


def test_turned_probabilities_keep_where_they_do_not_count():
    torch.manual_seed(4)
    values, labels = Blobs(soft=True).train((1,), 6)
    _, beside = task(soft=True).turned(values, labels)
    assert beside.shape == labels.shape
    assert int(beside.isnan().sum()) == int(labels.isnan().sum())


def test_the_network_starts_from_the_seed_and_the_statistics_of_the_patches():
    first, again = task().network(), task().network()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert first.config.mean == (0.1, 0.2, 0.3)
    assert first.config.features == (4, 8, 16)


@pytest.mark.parametrize("soft", [False, True])
def test_training_learns_what_decides_the_classes(soft, tmp_path):
    made = task(soft=soft)
    untrained = made.finish(made.network(), {})[1]
    package, figures = made.finish(trained(made), {"recipe_digest": "r"})
    assert figures["nll"] < 0.8 * untrained["nll"]
    assert figures["miou_percent"] > untrained["miou_percent"]
    assert package.version == "landcover-toy"
    saved = save_package(package, tmp_path)
    assert build_segmenter(saved, "landcover").config.temperature == figures["temperature"]


def test_pixels_that_do_not_count_change_no_loss():
    made = task()
    network = made.network().eval()
    values, labels = Blobs().train((7,), 2)
    made.patches.train = lambda *_: (values, labels)  # type: ignore[method-assign]
    torch.manual_seed(2)
    one = made.loss(network, 0, size=2, device=torch.device("cpu")).total
    labels[:, 10:, :] = IGNORED
    torch.manual_seed(2)
    fewer = made.loss(network, 0, size=2, device=torch.device("cpu")).total
    labels[:] = IGNORED
    none = made.loss(network, 0, size=2, device=torch.device("cpu")).total
    assert fewer != one
    assert none == 0.0


def test_a_recipe_that_starts_from_another_kind_of_network_is_refused(tmp_path):
    package, _ = task().finish(task().network(), {})
    save_package(package, tmp_path)
    other = SegmentationConfig(**{**_fields(CONFIG), "classes": ("x", "y")})
    started = SegmentationTask(recipe(start=str(tmp_path)), other, name="landcover", patches=Blobs())
    with pytest.raises(ConfigError, match="inputs or classes"):
        started.network()


def test_fine_tuning_begins_with_the_weights_of_its_start(tmp_path):
    made = task()
    package, _ = made.finish(trained(made, 3), {})
    save_package(package, tmp_path)
    started = task(start=str(tmp_path))
    again = started.network()
    assert again.config == build_segmenter(package, "landcover").config
    story = started.finish(again, {})[0].provenance
    assert "start_digest" in story


def test_an_unknown_key_of_the_recipe_is_named():
    with pytest.raises(ConfigError, match="width"):
        task(network={"width": 3})
