"""The task of objects: what it holds out it never sees, and its package finds ships."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine

from undersky.datasets.harbours import HarbourSpec, simulate_harbour
from undersky.errors import ConfigError
from undersky.inference.objects import CLASSES, ObjectSettings
from undersky.models.package import save_package
from undersky.models.segmentation import build_segmenter
from undersky.training.objects import ObjectSpec, ObjectTask
from undersky.training.recipe import Recipe, load_recipe
from undersky.training.task import build_task

BANDS = ("blue", "green", "red", "nir", "swir16")
NAMES = dict(zip(BANDS, ("B02", "B03", "B04", "B08", "B11"), strict=True))


def silent(_fraction: float, _sentence: str) -> None:
    """Nobody listens."""


def write_ports(root: Path, *names: str) -> Path:
    """Simulated harbours as labelled scenes on the disk, one a port."""
    for number, name in enumerate(names):
        scene = simulate_harbour(HarbourSpec(96, 6), BANDS, seed=(8, number))
        folder = root / "s2-ships" / name
        folder.mkdir(parents=True)
        for band, values in zip(BANDS, scene.values, strict=True):
            with rasterio.open(
                folder / f"2023_{NAMES[band]}_Raw.tiff", "w", driver="GTiff", height=96, width=96, count=1,
                dtype="uint16", crs="EPSG:32631", transform=Affine(10, 0, 500_000, 0, -10, 4_000_000),
            ) as dataset:  # fmt: skip
                dataset.write(np.clip(values * 65_535, 1, 65_535).astype(np.uint16), 1)
        marks = [
            {"id": one, "category_id": 1, "segmentation": [np.ravel(found.box.exterior.coords[:-1]).tolist()]}
            for one, found in enumerate(scene.objects)
        ]
        document = {"categories": [{"id": 1, "name": "vessel"}], "annotations": marks}
        (folder / f"{name}_coco.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ports(tmp_path_factory.mktemp("samples"), "east", "north", "west")


def task_of(samples: Path | None = None, **dataset: object) -> ObjectTask:
    recipe = replace(load_recipe("vessels-tiny"), dataset=dataset)
    task = build_task(recipe, samples=samples)
    assert isinstance(task, ObjectTask)
    return task


REAL = {"real": {"folder": "s2-ships"}, "patch": 32}


def test_what_is_held_out_is_neither_read_nor_named(ports: Path, tmp_path: Path) -> None:
    task = task_of(ports, **REAL, hold_out="north")
    digest = task.prepare(tmp_path, progress=silent)
    assert task.objects.names == ("east", "west")
    (ports / "s2-ships" / "north" / "2023_B08_Raw.tiff").touch()
    spoilt = task_of(ports, **REAL, hold_out="north")
    assert spoilt.prepare(tmp_path, progress=silent) == digest


def test_the_digest_says_what_was_held_out(ports: Path, tmp_path: Path) -> None:
    digests = {
        task_of(ports, **REAL, hold_out=port).prepare(tmp_path, progress=silent)
        for port in (None, "east", "north", "west")
    }
    assert len(digests) == 4


def test_holding_out_a_port_that_is_not_there_is_an_error(ports: Path) -> None:
    with pytest.raises(ConfigError, match=r"'south'.*east north west"):
        task_of(ports, **REAL, hold_out="south")


def test_real_scenes_without_samples_say_how_to_do_without() -> None:
    with pytest.raises(ConfigError, match="vessels-tiny"):
        task_of(None, **REAL)


def test_validation_shows_no_pixel_that_trains(ports: Path, tmp_path: Path) -> None:
    task = task_of(ports, **REAL)
    task.prepare(tmp_path, progress=silent)
    train, _ = task.patches.train((1, 1), 24)
    for values, targets in task.patches.validation():
        assert values.shape[1:] == train.shape[1:]
        assert targets.shape[1] == len(CLASSES)
    widths = [planes.values.shape[2] for planes in task.objects._train]
    kept = [scene.values.shape[2] for scene in task.objects._validation]
    assert [a + b for a, b in zip(widths, kept, strict=True)] == [96, 96, 96]


def test_patches_belong_to_their_seed(tmp_path: Path) -> None:
    task = task_of(None, harbours=1, harbour={"size": 96, "ships": 4}, patch=32)
    task.prepare(tmp_path, progress=silent)
    first, again, other = (task.patches.train(seed, 4) for seed in ((1, 2), (1, 2), (1, 3)))
    torch.testing.assert_close(first, again, equal_nan=True)
    assert not torch.equal(first[0].nan_to_num(), other[0].nan_to_num())
    assert first[0].dtype == first[1].dtype == torch.float32
    assert set(torch.unique(first[1].nan_to_num()).tolist()) <= {0.0, 1.0}


def test_a_new_network_begins_by_finding_next_to_nothing(tmp_path: Path) -> None:
    task = task_of(None, harbours=1, harbour={"size": 96, "ships": 4}, patch=32)
    task.prepare(tmp_path, progress=silent)
    network = task.network().eval()
    with torch.no_grad():
        found = torch.sigmoid(network(task.patches.train((1, 1), 4)[0]))
    assert found.mean() < 0.2


def test_a_short_training_learns_and_its_package_carries_its_threshold(tmp_path: Path) -> None:
    task = task_of(None, harbours=2, harbour={"size": 96, "ships": 6}, patch=32)
    task.prepare(tmp_path, progress=silent)
    network = task.network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        torch.manual_seed(0)  # the same patches, turned the same way
        network.train()
        loss = task.loss(network, 0, size=4, device=torch.device("cpu")).total
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]
    package, figures = task.finish(network, {"recipe": "toy"})
    saved = save_package(package, tmp_path / "package")
    model = build_segmenter(saved, "vessels")
    assert ObjectSettings.of(model.config.settings).threshold == pytest.approx(figures["threshold"])
    assert saved.provenance["held_out"] is None
    assert saved.provenance["scenes"] == []
    assert {"f1_percent", "precision_percent", "recall_percent", "objects"} <= figures.keys()
    assert figures["objects"] > 0


def test_a_threshold_of_the_recipe_is_the_packages(tmp_path: Path) -> None:
    task = task_of(None, harbours=1, harbour={"size": 96, "ships": 4}, patch=32, threshold=0.42)
    task.prepare(tmp_path, progress=silent)
    package, _ = task.finish(task.network(), {})
    assert build_segmenter(package, "vessels").config.settings["threshold"] == 0.42


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "harbours"),
        ({"harbours": 2, "hold_out": "busan"}, "hold out"),
        ({"harbours": 2, "bands": ["blue", "green"]}, "green and nir"),
        ({"harbours": 2, "patch": 30}, "patch"),
        ({"harbours": 2, "validation_share": 1.0}, "validation_share"),
        ({"harbours": 2, "ships": 3}, "ships"),
    ],
)
def test_a_dataset_that_cannot_be_is_told_by_key(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        task_of(None, **wrong)


@pytest.mark.parametrize("name", ["vessels", "vessels-tiny"])
def test_the_shipped_recipes_fit(name: str, ports: Path) -> None:
    task = build_task(load_recipe(name), samples=ports)
    assert isinstance(task, ObjectTask)
    assert task.name == "vessels"
    assert isinstance(task.objects.spec, ObjectSpec)


def test_boxes_on_the_disk_are_those_of_the_simulation(ports: Path) -> None:
    scene = simulate_harbour(HarbourSpec(96, 6), BANDS, seed=(8, 0))
    document = json.loads((ports / "s2-ships" / "east" / "east_coco.json").read_text())
    boxes = [shapely.Polygon(np.reshape(one["segmentation"][0], (-1, 2))) for one in document["annotations"]]
    assert all(a.box.equals_exact(b, 1e-9) for a, b in zip(scene.objects, boxes, strict=True))


def test_the_recipe_names_the_task() -> None:
    assert isinstance(load_recipe("vessels"), Recipe)
    assert load_recipe("vessels").task == "objects"
