"""No split may know another: the check that a training fails on rather than flatter itself.

    spectra   no name twice, none of the frozen suites' names, no spectrum that equals one of another split
    airs      no air of one split within DISTANCE of one of the other, in the cube of all ranges

What leaks is named.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from undersky.datasets.worlds.airs import Airs
from undersky.datasets.worlds.materials import TWIN, Split, relative_distance, split_names
from undersky.errors import DataError, Reason
from undersky.synth.library import Library, load_library

DISTANCE = 0.002
"""Of two airs: a five-hundredth of every range at once (sun, view, azimuth, gases, altitude, aerosol)."""


def refuse_leaks(train: Airs, validation: Airs) -> None:
    """Returns if no split knows another.

    Raises:
        DataError: `split_leaks`: what leaks, and from where to where.
    """
    library = load_library()
    refuse_shared_spectra(library, split_names(library))
    refuse_near_airs(train, validation)


def refuse_shared_spectra(library: Library, names: Mapping[Split, tuple[str, ...]]) -> None:
    """Returns if train, validation and the frozen suites' test half share no spectrum, nor twins.

    Raises:
        DataError: `split_leaks`.
    """
    halves = {str(split): _named(library, found) for split, found in names.items()}
    halves["test"] = library.where(split="test")
    for (first, one), (second, other) in combinations(halves.items(), 2):
        if shared := set(one.names) & set(other.names):
            raise _leak(f"{min(shared)} is a spectrum of both {first} and {second}")
        distance = relative_distance(one, other)
        if distance.min() < TWIN:
            row, column = np.unravel_index(int(distance.argmin()), distance.shape)
            raise _leak(f"{one.names[row]} of {first} and {other.names[column]} of {second} are one sample")


def _named(library: Library, names: tuple[str, ...]) -> Library:
    wanted = set(names)
    return library.take([i for i, name in enumerate(library.names) if name in wanted])


def refuse_near_airs(train: Airs, validation: Airs) -> None:
    """Returns if no air of one split is one of the other.

    Raises:
        DataError: `split_leaks`.
    """
    nearest, _ = cKDTree(train.point.numpy()).query(validation.point.numpy())
    if float(nearest.min()) < DISTANCE:
        row = int(nearest.argmin())
        near = f"{nearest[row]:.5f} from one of train, closer than {DISTANCE}"
        raise _leak(f"air {row} of validation lies {near}")


def _leak(what: str) -> DataError:
    return DataError(Reason.SPLIT_LEAKS, f"the splits leak: {what}; choose another seed, or mend the library")
