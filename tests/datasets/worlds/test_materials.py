import numpy as np
import pytest

from undersky.bands import SENSORS
from undersky.datasets.worlds.materials import (
    FAMILIAR,
    MOST,
    ROLES,
    SENSOR_KEYS,
    TWIN,
    draw_mixture,
    load_materials,
    relative_distance,
    role_bands,
    split_names,
    without_twins,
)
from undersky.models import correction
from undersky.synth.library import CLASSES, Library, load_library, split_of


def test_validation_and_train_share_no_spectrum() -> None:
    train, validation = load_materials("train"), load_materials("validation")
    assert train.names
    assert validation.names
    assert not set(train.names) & set(validation.names)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_no_spectrum_of_the_frozen_suites_is_learned_from_or_validated_on(split: str) -> None:
    assert {split_of(name) for name in load_materials(split).names} == {"train"}


def test_no_two_splits_hold_one_sample_measured_twice() -> None:
    library, names = load_library(), split_names(load_library())
    parts = [library.take([library.names.index(n) for n in found]) for found in names.values()]
    parts.append(library.where(split="test"))
    for one in range(3):
        for other in range(one + 1, 3):
            assert relative_distance(parts[one], parts[other]).min() >= TWIN


@pytest.mark.parametrize("split", ["train", "validation"])
def test_both_splits_know_every_class(split: str) -> None:
    materials = load_materials(split)
    assert set(materials.members) == set(CLASSES)
    for name, members in materials.members.items():
        assert members, name
        assert {materials.classes[index] for index in members} == {name}
    assert sum(map(len, materials.members.values())) == len(materials.names)


def test_validation_is_about_a_sixth() -> None:
    train, validation = (len(load_materials(split).names) for split in ("train", "validation"))
    assert 0.1 < validation / (train + validation) < 0.25


def test_a_sensor_sees_each_spectrum_in_the_bands_of_the_roles() -> None:
    materials, library = load_materials("train"), load_library()
    row = library.names.index(materials.names[7])
    for place, key in enumerate(SENSOR_KEYS):
        seen = library.band_reflectance(key)[row]
        by_role = {b.common_name: seen[i] for i, b in enumerate(SENSORS[key].bands)}
        for column, role in enumerate(ROLES):
            band = next(b for b in SENSORS[key].bands if b.name == role_bands(key)[column])
            assert band.common_name == role
        expected = [seen[[b.name for b in SENSORS[key].bands].index(name)] for name in role_bands(key)]
        assert materials.reflectance[place, 7] == pytest.approx(expected)
        assert by_role["red"] == pytest.approx(materials.reflectance[place, 7, ROLES.index("red")])


def test_network_and_worlds_mean_the_same_bands() -> None:
    assert correction.ROLES == ROLES


def test_which_split_a_spectrum_is_in_does_not_depend_on_the_order_of_the_library() -> None:
    library = load_library()
    names = split_names(library)
    again = split_names(library.take(list(reversed(range(len(library.names))))))
    assert {split: set(found) for split, found in names.items()} == {
        split: set(found) for split, found in again.items()
    }


def small_library(rows: np.ndarray, prefix: str) -> Library:
    names = tuple(f"{prefix}{i}" for i in range(len(rows)))
    return Library(names, ("soil",) * len(rows), ("soil",) * len(rows), rows.astype(np.float32))


def test_twins_are_left_out_and_the_others_stay() -> None:
    rows = np.linspace(0.1, 0.5, 4)[:, None] * np.ones((4, 206))
    ours, others = small_library(rows, "a"), small_library(rows[2:3] * 1.004, "b")
    assert without_twins(ours, others).names == ("a0", "a1", "a3")
    assert without_twins(ours, small_library(rows[2:3] * 1.02, "b")).names == ours.names


@pytest.mark.parametrize("familiar", [True, False])
def test_a_world_holds_one_to_most_materials_that_exist(familiar) -> None:
    materials, chance = load_materials("validation"), np.random.default_rng(1)
    counts = set()
    for _ in range(200):
        mixture = draw_mixture(materials, chance, familiar=familiar)
        counts.add(len(mixture))
        assert all(0 <= index < len(materials.names) for index, _ in mixture)
    assert min(counts) >= 1
    assert max(counts) <= MOST
    assert len(counts) > 2


def test_familiar_materials_lie_together_in_nature() -> None:
    materials, chance = load_materials("train"), np.random.default_rng(2)
    kinds = [sorted(n for n, (count, _) in kind.items() for _ in range(count)) for _, kind in FAMILIAR]
    for _ in range(100):
        drawn = sorted(materials.classes[i] for i, _ in draw_mixture(materials, chance, familiar=True))
        assert drawn in kinds


def test_no_landscape_is_larger_than_a_world() -> None:
    assert all(sum(count for count, _ in kind.values()) <= MOST for _, kind in FAMILIAR)
    assert all(set(kind) <= set(CLASSES) for _, kind in FAMILIAR)
