"""Real chips with a person's word on every pixel: cloud, shadow, snow, water, or land.

    <samples>/cloudmask-512-left/{sentinel2,landsat7,landsat5}_left.npz   img (y, x, 6), msk (y, x, 1)

The six bands are TOA reflectance of blue, green, red, nir08, swir16, swir22; none has a cirrus band. Classes
of `msk`: 0 is cloud shadow and 4 cloud by the tests of the project that published them, 3 land. 1 is water,
by what the pixels show: it lies in lakes and along a river, its near infrared is far below that of the land
around (in the mean 0.114 against 0.431 in sentinel2, 0.135 against 0.267 in landsat7), and its green of 0.09
and 0.12 is no snow's. 2, then snow, does not occur in these chips.

Source: ukis-csmask, DLR, https://github.com/dlr-eoc/ukis-csmask (Apache-2.0), Wieland et al. 2019, Remote
Sens. Environ. 230, 111203.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from undersky.datasets.cloudy import CLASSES
from undersky.datasets.cloudy_air import ROLES
from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Floats

FOLDER = "cloudmask-512-left"
CHIPS: Mapping[str, float] = {"sentinel2": 10.0, "landsat7": 30.0, "landsat5": 30.0}
"""Names of the chips, and the ground size of their pixels in metres."""

_SHADOW, _WATER, _SNOW, _LAND, _CLOUD = range(5)
_STEPS = (1, 2, 3, 4, 6, 8)
_COARSEST_M = 95.0
_MAJORITY = 0.5


@dataclass(frozen=True, slots=True)
class CloudChip:
    """One of them."""

    name: str
    """`sentinel2`."""
    toa: Floats
    """(band, y, x), bands as in ROLES, the cirrus band NaN."""
    labels: npt.NDArray[np.uint8]
    """Classes as published, (y, x)."""
    pixel_m: float
    """Ground size of a pixel."""
    digest: str
    """sha256 of its file."""

    def truth(self, name: str) -> npt.NDArray[np.bool_]:
        """Where it is said to be `cloud` or `cloud_shadow`, (y, x)."""
        return np.asarray(self.labels == {"cloud": _CLOUD, "cloud_shadow": _SHADOW, "water": _WATER}[name])


def load_chips(samples: Path, *, without: tuple[str, ...] = ()) -> tuple[CloudChip, ...]:
    """The chips under a folder of samples, without the named.

    Raises:
        ConfigError: `without` names a chip that does not exist.
        DataError: A chip is missing or is not what is described above.
    """
    if unknown := sorted(set(without) - set(CHIPS)):
        raise ConfigError(f"there is no chip {unknown[0]!r} to hold out; there are {' '.join(CHIPS)}")
    return tuple(_load(samples / FOLDER / f"{name}_left.npz", name) for name in CHIPS if name not in without)


def _load(path: Path, name: str) -> CloudChip:
    try:
        blob = path.read_bytes()
        with np.load(path, allow_pickle=False) as held:
            image, labels = held["img"], held["msk"][..., 0]
    except (OSError, KeyError, ValueError) as error:
        raise _unusable(path, str(error)) from error
    if image.shape != (*labels.shape, len(ROLES) - 1) or not set(np.unique(labels)) <= set(range(5)):
        raise _unusable(path, f"images {image.shape}, labels {labels.shape}")
    toa = np.full((len(ROLES), *labels.shape), np.nan, dtype=np.float32)
    toa[:-1] = image.transpose(2, 0, 1)
    return CloudChip(name, toa, labels.astype(np.uint8), CHIPS[name], sha256(blob).hexdigest())


def _unusable(path: Path, why: str) -> DataError:
    return DataError(
        Reason.DATASET_DAMAGED,
        f"the labelled chip {path.name} cannot be used: {why}; expected img (y, x, {len(ROLES) - 1}) and msk "
        "(y, x, 1) with classes 0 to 4",
    )


def draw_crops(
    chips: tuple[CloudChip, ...], count: int, *, size: int, chance: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Crops of the chips at their own and at coarser pixels, to about 90 m, by the generator alone.

    Returns:
        TOA (n, band, y, x) and statements (n, class, y, x) as `CloudyScenes.compose` gives them; NaN beyond
        the chip.
    """
    values = torch.full((count, len(ROLES), size, size), torch.nan)
    said = torch.full((count, len(CLASSES), size, size), torch.nan)
    for row in range(count):
        chip = chips[int(chance.integers(len(chips)))]
        step = int(chance.choice([step for step in _STEPS if step * chip.pixel_m < _COARSEST_M]))
        toa, labels = _crop(chip, size * step, chance)
        reduced, truth = reduced_by(toa, step), reduced_by(_statements(labels), step)
        rows, cols = reduced.shape[1:]
        gain = np.float32(np.exp(0.1 * chance.standard_normal()))
        values[row, :, :rows, :cols] = torch.from_numpy(reduced * gain)
        said[row, :, :rows, :cols] = torch.from_numpy(np.where(np.isnan(truth), np.nan, truth > _MAJORITY))
    return values, said


def _crop(chip: CloudChip, size: int, chance: np.random.Generator) -> tuple[Floats, npt.NDArray[np.uint8]]:
    top, left = (int(chance.integers(0, max(length - size, 0) + 1)) for length in chip.labels.shape)
    window = np.s_[top : top + size, left : left + size]
    return chip.toa[(slice(None), *window)], chip.labels[window]


def _statements(labels: npt.NDArray[np.uint8]) -> Floats:
    """As in CLASSES; under cloud and in shadow nobody says what lies there, and nobody looked for cirrus."""
    said = np.full((len(CLASSES), *labels.shape), np.nan, dtype=np.float32)
    seen = (labels != _CLOUD) & (labels != _SHADOW)
    for name, value in {"cloud": _CLOUD, "cloud_shadow": _SHADOW}.items():
        said[CLASSES.index(name)] = labels == value
    for name, value in {"snow": _SNOW, "water": _WATER}.items():
        said[CLASSES.index(name)] = np.where(seen, labels == value, np.nan)
    return said


def reduced_by(field: Floats, step: int) -> Floats:
    """Means of step x step pixels, (band, y, x); what does not fill a block is left out."""
    rows, cols = (length // step * step for length in field.shape[1:])
    blocks = field[:, :rows, :cols].reshape(len(field), rows // step, step, cols // step, step)
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float32)
