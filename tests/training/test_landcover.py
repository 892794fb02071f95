"""The land-cover task: what a batch holds, what is held out, what the recipe refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from undersky.datasets.landuse import FOLDS, IGNORED, held_out
from undersky.errors import ConfigError
from undersky.evaluation.ground import RealGround
from undersky.landcover import SLUGS
from undersky.training import landcover
from undersky.training.landcover import LandcoverData, LandcoverPatches, build
from undersky.training.recipe import load_recipe

SHAPE = (67, 100)
TINY = load_recipe("landcover-tiny")
SMALL = replace(TINY, dataset={"landscapes": {"seed": 2, "train": 6, "validation": 2, "size": 48}})


def _ground() -> RealGround:
    surface = np.full((2, 9, *SHAPE), 0.1, dtype=np.float32)
    clear = np.ones((2, *SHAPE), dtype=bool)
    clear[1, :10] = False
    return RealGround(("a", "b"), surface, clear, np.full(SHAPE, 2, dtype=np.int64))


def _silent(_: float, __: str) -> None:
    return


@pytest.fixture
def patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LandcoverPatches:
    """Half real, fold 2 held out."""
    monkeypatch.setattr(landcover, "corrected_ground", lambda *_, **__: _ground())
    data = LandcoverData(landcover.LandscapeSpec(2, 6, 2, 48), real=0.5, hold_out="2")
    made = LandcoverPatches(data, tmp_path)
    made.prepare(tmp_path, progress=_silent)
    return made


def test_a_batch_is_a_function_of_its_seed(tmp_path: Path) -> None:
    task = build(SMALL)
    task.prepare(tmp_path, progress=_silent)
    one, other, another = (task.patches.train(seed, 4) for seed in ((1, 2), (1, 2), (1, 3)))
    torch.testing.assert_close(one[0], other[0], equal_nan=True)
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[1], another[1])
    assert one[0].shape == (4, 9, 48, 48)
    assert one[1].dtype == torch.int64


def test_statistics_are_of_the_bands_where_a_sensor_has_them(tmp_path: Path) -> None:
    task = build(SMALL)
    task.prepare(tmp_path, progress=_silent)
    mean, std = task.patches.statistics()
    assert len(mean) == len(std) == 9
    assert all(0.0 < value < 1.0 for value in (*mean, *std))


def test_no_label_of_the_held_out_fold_nor_under_cloud_reaches_a_batch(patches: LandcoverPatches) -> None:
    labels = patches._labels
    assert (labels[:, held_out(SHAPE, "2")] == IGNORED).all()
    assert (labels[1, :10] == IGNORED).all()
    assert (labels[0] == 2).any()


def test_a_batch_holds_real_ground_in_about_its_share(patches: LandcoverPatches) -> None:
    flat = sum(
        int((values[index, 0].nan_to_num(0.1) == 0.1).all())
        for step in range(10)
        for values in [patches.train((step,), 8)[0]]
        for index in range(8)
    )
    assert 20 <= flat <= 60


def test_a_real_recipe_names_the_correction_it_learns_from(patches: LandcoverPatches) -> None:
    assert set(patches.upstream) == {"correction"}
    assert LandcoverPatches(LandcoverData(), None).upstream == {}


def test_what_is_held_out_is_part_of_the_dataset(tmp_path: Path) -> None:
    keys = {LandcoverPatches(LandcoverData(real=0.5, hold_out=fold), tmp_path).key for fold in (None, *FOLDS)}
    assert len(keys) == 1 + len(FOLDS)


def test_a_real_recipe_without_samples_says_what_to_set(tmp_path: Path) -> None:
    small = LandcoverData(landcover.LandscapeSpec(2, 1, 1, 16), real=0.5)
    with pytest.raises(ConfigError, match="UNDERSKY_SAMPLES"):
        LandcoverPatches(small, None).prepare(tmp_path, progress=_silent)


@pytest.mark.parametrize("dataset", [{"hold_out": "0"}, {"real": 0.5, "hold_out": "north"}, {"real": 1.0}])
def test_a_dataset_that_makes_no_sense_is_refused(dataset: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build(replace(TINY, dataset=dataset))


@pytest.mark.parametrize("name", ["landcover", "landcover-tiny", "landcover-real"])
def test_every_shipped_recipe_is_one_of_this_task(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.task == "landcover"
    assert build(recipe, samples=Path("/nowhere")).name == "landcover"


def test_the_network_says_worldcovers_classes_and_can_do_without_red_edges(tmp_path: Path) -> None:
    task = build(SMALL)
    task.prepare(tmp_path, progress=_silent)
    network = task.network().eval()
    values = task.patches.train((0,), 2)[0]
    values[:, 6:] = float("nan")
    assert network(values).shape == (2, len(SLUGS), 48, 48)
    assert torch.isfinite(network(values)).all()
