"""The real place with its atmosphere removed as `undersky correct` removes it.

    samples --read_landuse--> looks --the shipped correction--> surface, and where no cloud hid it

A map is trained and judged on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from undersky.datasets.landscapes.spectra import BANDS, band_of
from undersky.datasets.landuse import Bools, Labels, read_landuse
from undersky.datasets.observation import Observation
from undersky.evaluation.correctors import ModelCorrector
from undersky.grid import Floats

_CLOUDED = 0.5
"""A look with more of its pixels under cloud shows no ground worth the correction."""


@dataclass(frozen=True, slots=True)
class RealGround:
    """Surface reflectance of one place on several dates, and what lies there."""

    dates: tuple[str, ...]
    """Ids of the looks that show ground, in the order of time."""
    surface: Floats
    """(date, band, y, x), bands as in landscapes.BANDS."""
    clear: Bools
    """False under cloud, (date, y, x)."""
    labels: Labels
    """Position in `landcover.CLASSES`, -1 where nothing is labelled, (y, x)."""


def corrected_ground(samples: Path, *, progress: Callable[[float, str], None] | None = None) -> RealGround:
    """The place of `datasets.landuse` on its clear dates.

    Args:
        samples: Folder of real samples.
        progress: Told the done fraction.

    Raises:
        ConfigError: It is not there.
        DataError: It is damaged.
    """
    place, corrector = read_landuse(samples), ModelCorrector()
    seen = [index for index, cloudy in enumerate(place.cloudy) if cloudy.mean() < _CLOUDED]
    surface = []
    for done, index in enumerate(seen):
        if progress is not None:
            progress(done / len(seen), f"correcting {place.looks[index].id}")
        look = place.looks[index]
        surface.append(_in_order(look, corrector.correct(look).surface))
    return RealGround(
        tuple(place.looks[index].id for index in seen), np.stack(surface), ~place.cloudy[seen], place.labels
    )


def _in_order(look: Observation, surface: Floats) -> Floats:
    """The bands of BANDS."""
    names = [band_of(look.sensor, name) for name in BANDS]
    return surface[[look.bands.index(name) for name in names if name is not None]]
