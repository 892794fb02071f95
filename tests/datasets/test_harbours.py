"""Simulated harbours: ships afloat, apart, of known size, and the same for the same seed."""

import itertools

import numpy as np
import pytest

from undersky.datasets.harbours import HarbourSpec, simulate_harbour
from undersky.datasets.objects import ObjectScene, object_targets

BANDS = ("blue", "green", "red", "nir", "swir16")
SPEC = HarbourSpec(size=128, ships=8)


@pytest.fixture(scope="module")
def harbours() -> list[ObjectScene]:
    return [simulate_harbour(SPEC, BANDS, seed=(3, number)) for number in range(3)]


def test_the_same_seed_gives_the_same_harbour_and_another_another(harbours: list[ObjectScene]) -> None:
    again = simulate_harbour(SPEC, BANDS, seed=(3, 0))
    np.testing.assert_array_equal(again.values, harbours[0].values)
    assert [one.box.wkt for one in again.objects] == [one.box.wkt for one in harbours[0].objects]
    assert not np.array_equal(harbours[1].values, harbours[0].values)


def test_ships_lie_within_the_scene_and_apart(harbours: list[ObjectScene]) -> None:
    for harbour in harbours:
        assert len(harbour.objects) >= 4
        for one in harbour.objects:
            assert 0 < one.row < SPEC.size
            assert 0 < one.col < SPEC.size
        for one, other in itertools.combinations(harbour.objects, 2):
            # a box has corners that a bow has not
            assert one.box.intersection(other.box).area < 0.1 * min(one.box.area, other.box.area)


def test_ships_are_as_long_as_ships(harbours: list[ObjectScene]) -> None:
    for one in (one for harbour in harbours for one in harbour.objects):
        corners = np.asarray(one.box.exterior.coords)[:3]
        width, length = sorted(np.hypot(*np.diff(corners, axis=0).T) * SPEC.pixel_m)
        assert 44.0 <= length <= 331.0
        assert 11.0 <= width <= 70.0


def test_a_ship_differs_from_the_water_around_it(harbours: list[ObjectScene]) -> None:
    contrasts = []
    for harbour in harbours:
        inside = object_targets(harbour, centre_m=20.0)[0] > 0
        water = (harbour.values[1] > harbour.values[3]) & ~inside
        contrasts.append(harbour.values[3][inside].mean() - np.median(harbour.values[3][water]))
    assert min(contrasts) > 0.05


def test_a_harbour_has_water_and_land(harbours: list[ObjectScene]) -> None:
    shares = [(harbour.values[1] > harbour.values[3]).mean() for harbour in harbours]
    assert min(shares) > 0.2
    assert max(shares) < 0.99


def test_nothing_of_a_test_harbour_is_made_of_what_training_saw() -> None:
    train, test = (simulate_harbour(SPEC, BANDS, seed=(9, 9), split=split) for split in ("train", "test"))
    assert not np.allclose(
        np.median(train.values, axis=(1, 2)), np.median(test.values, axis=(1, 2)), atol=1e-4
    )


@pytest.mark.parametrize(
    "wrong", [{"size": 60}, {"size": 130}, {"ships": -1}, {"moored": 1.5}, {"pixel_m": 0.0}]
)
def test_a_harbour_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="size"):
        HarbourSpec(**wrong)  # type: ignore[arg-type]
