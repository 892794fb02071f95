"""Patches: turned with their targets, relit without them, drawn where it matters."""

import numpy as np
import pytest
import shapely
from affine import Affine
from shapely import affinity

from undersky.datasets.object_patches import Augmentation, Planes, draw_patch, planes_of, relit, turned_patch
from undersky.datasets.objects import LabelledObject, ObjectScene
from undersky.grid import Grid

STILL = Augmentation(scale=1.0, gain=0.0, haze=0.0, noise=0.0)


@pytest.fixture
def scene() -> ObjectScene:
    """Water in the west, land in the east, one ship that is bright in every band."""
    values = np.full((2, 200, 200), 0.02, dtype=np.float32)
    values[:, :, 140:] = 0.3
    box = affinity.rotate(shapely.box(56, 76, 64, 104), 20.0)
    ship = LabelledObject(90.0, 60.0, box)
    rows, cols = np.mgrid[0:200, 0:200] + 0.5
    values[:, shapely.contains_xy(box, cols, rows)] = 0.5
    grid = Grid((200, 200), Affine(10, 0, 0, 0, -10, 0), "EPSG:32631")
    return ObjectScene("one", values, grid, (ship,))


@pytest.fixture
def planes(scene: ObjectScene) -> Planes:
    allowed = np.zeros((200, 200), dtype=bool)
    allowed[:, :144] = True
    return planes_of(scene, allowed, centre_m=20.0)


def test_what_lies_far_from_water_does_not_count(planes: Planes) -> None:
    assert np.isfinite(planes.targets[:, :, :150]).all()
    assert np.isnan(planes.targets[:, :, 151:]).all()


def test_the_coast_is_where_objects_may_lie_near_where_they_may_not(planes: Planes) -> None:
    assert planes.coast[:, 1].min() >= 144 - 24
    assert len(planes.anywhere) == 200 * 144


@pytest.mark.parametrize("seed", range(6))
def test_targets_turn_with_their_pixels(planes: Planes, seed: int) -> None:
    chance = np.random.default_rng(seed)
    values, targets = turned_patch(planes, np.array([92.0, 58.0]), chance, size=64, scale=1.3)
    bright, inside = values[0] > 0.25, targets[0] > 0.5
    ship = bright & np.isfinite(targets[0]) & (np.nan_to_num(values[0]) > 0.4)
    assert inside.sum() > 80
    assert (ship & inside).sum() / inside.sum() > 0.85
    centre = np.argwhere(targets[1] > 0.5).mean(axis=0)
    assert np.hypot(*(centre - np.argwhere(inside).mean(axis=0))) < 1.5


def test_turning_keeps_the_size_and_scaling_changes_it(planes: Planes) -> None:
    areas = [
        turned_patch(planes, np.array([90.0, 60.0]), np.random.default_rng(seed), size=64, scale=scale)[1][0]
        for scale in (1.0, 1.5)
        for seed in range(8)
    ]
    sizes = np.array([np.nansum(area) for area in areas])
    assert np.ptp(sizes[:8]) / sizes[:8].mean() < 0.12
    assert np.ptp(sizes[8:]) / sizes[8:].mean() > 0.3


def test_beyond_the_scene_all_is_missing(planes: Planes) -> None:
    values, targets = turned_patch(planes, np.array([0.0, 0.0]), np.random.default_rng(0), size=64, scale=1.0)
    missing = np.isnan(values[0])
    assert 0.6 < missing.mean() < 0.85
    assert (np.isnan(targets[0]) | ~missing).mean() > 0.95


def test_light_and_haze_change_values_alone_and_nothing_when_their_spread_is_none() -> None:
    values = np.full((2, 8, 8), 0.1, dtype=np.float32)
    values[0, 0, 0] = np.nan
    np.testing.assert_array_equal(relit(values, np.random.default_rng(0), STILL), values)
    changed = relit(values, np.random.default_rng(0), Augmentation())
    assert np.isnan(changed[0, 0, 0])
    assert np.nanstd(changed[1] - 0.1) < 0.02
    assert abs(np.nanmean(changed[1]) - np.nanmean(changed[0])) > 1e-4


def test_the_share_near_objects_is_as_asked(planes: Planes) -> None:
    def share(options: Augmentation) -> float:
        chance = np.random.default_rng(1)
        drawn = [draw_patch([planes], chance, size=32, options=options)[1] for _ in range(60)]
        return float(np.mean([np.nansum(targets[1]) > 0 for targets in drawn]))

    always = Augmentation(near_object=1.0, near_coast=0.0)
    never = Augmentation(near_object=0.0, near_coast=1.0)
    assert share(always) > 0.9
    assert share(never) < 0.1


@pytest.mark.parametrize(
    "wrong", [{"near_object": 0.8, "near_coast": 0.3}, {"scale": 0.9}, {"noise": -0.1}, {"near_coast": -0.1}]
)
def test_an_augmentation_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"shares|spreads"):
        Augmentation(**wrong)
