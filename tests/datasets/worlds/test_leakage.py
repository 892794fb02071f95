from dataclasses import replace

import numpy as np
import pytest
import torch

from undersky.datasets.worlds.airs import Airs
from undersky.datasets.worlds.leakage import DISTANCE, refuse_leaks, refuse_near_airs, refuse_shared_spectra
from undersky.datasets.worlds.materials import split_names
from undersky.errors import DataError, Reason
from undersky.synth.library import Library, load_library, split_of


def leaks(library: Library, names) -> str:
    with pytest.raises(DataError) as caught:
        refuse_shared_spectra(library, names)
    assert caught.value.reason is Reason.SPLIT_LEAKS
    return str(caught.value)


def test_the_shipped_splits_do_not_leak(worlds) -> None:
    refuse_leaks(worlds.train.airs, worlds.validation.airs)


def test_a_name_in_both_splits_is_a_leak() -> None:
    library, names = load_library(), dict(split_names(load_library()))
    shared = names["validation"][3]
    names["train"] = (*names["train"], shared)
    assert shared in leaks(library, names)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_spectrum_of_the_frozen_suites_is_a_leak(split) -> None:
    library, names = load_library(), dict(split_names(load_library()))
    theirs = library.where(split="test").names[0]
    names[split] = (*names[split], theirs)
    message = leaks(library, names)
    assert theirs in message
    assert "test" in message


def twin_of(library: Library, name: str, factor: float, *, into: str) -> tuple[Library, str]:
    """The library with one spectrum more, which is another's, a little brighter; and its name."""
    row = library.names.index(name)
    twin = next(n for n in (f"twin {i}" for i in range(100)) if split_of(n) == into)
    grown = Library(
        (*library.names, twin),
        (*library.classes, library.classes[row]),
        (*library.kinds, library.kinds[row]),
        np.concatenate([library.reflectance, factor * library.reflectance[row : row + 1]]),
    )
    return grown, twin


def test_one_sample_measured_twice_is_a_leak_under_any_name() -> None:
    names = dict(split_names(load_library()))
    library, twin = twin_of(load_library(), names["train"][5], 1.002, into="train")
    names["validation"] = (*names["validation"], twin)
    assert twin in leaks(library, names)


def test_a_twin_among_the_frozen_suites_is_a_leak() -> None:
    names = split_names(load_library())
    library, twin = twin_of(load_library(), names["train"][5], 1.002, into="test")
    assert twin in leaks(library, names)


def test_the_splits_of_a_library_with_twins_leave_them_out() -> None:
    names = split_names(load_library())
    library, _ = twin_of(load_library(), names["train"][5], 1.002, into="test")
    mended = split_names(library)
    assert names["train"][5] not in mended["train"]
    refuse_shared_spectra(library, mended)


def near(airs: Airs, by: float) -> Airs:
    few = airs.take(torch.tensor([4]))
    return replace(few, point=few.point + torch.tensor([by, 0, 0, 0, 0, 0, 0]))


def test_an_air_beside_one_of_the_other_split_is_a_leak(worlds) -> None:
    train = worlds.train.airs
    with pytest.raises(DataError, match="air 0 of validation") as caught:
        refuse_near_airs(train, near(train, 0.5 * DISTANCE))
    assert caught.value.reason is Reason.SPLIT_LEAKS


def test_an_air_a_little_further_is_another_air(worlds) -> None:
    train = worlds.train.airs
    refuse_near_airs(train, near(train, 2.0 * DISTANCE))
