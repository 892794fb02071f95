"""A real place whose land use was mapped by its country: five looks, one label a pixel, spatial blocks.

    s2-l1c-slovenia-landcover-north    1 km x 0.67 km in the Slovenian hills, Sentinel-2A L1C, summer 2015
    LULC 1 2 3 4 8 --> cropland, tree cover, grassland, shrubland, built-up; 0 counts nowhere

The same place on another date is not another place: a block holds all its dates, and what is held out is
held out on every date, with a strip of GAP pixels around it that counts nowhere.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from undersky.bands import SENSORS
from undersky.datasets.observation import Observation, Place
from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Floats
from undersky.landcover import SLUGS
from undersky.synth.geometry import sun_position

Labels = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDER = "s2-l1c-slovenia-landcover-north"
"""Its name in a folder of samples; SOURCE.md there says where it is from."""

IGNORED = -1

LAND_USE: Mapping[int, str] = {
    1: "cropland", 2: "tree_cover", 3: "grassland", 4: "shrubland", 5: "water", 6: "wetland",
    7: "moss_lichen", 8: "built_up", 9: "bare", 10: "snow_ice",
}  # fmt: skip
"""Classes of the Slovenian land-use register as eo-learn groups them, to slugs of WorldCover's."""

BLOCK_ROWS, BLOCK_COLS = 3, 4
"""Blocks down and across."""

FOLDS = ("0", "1", "2", "3")
"""What can be held out: a fold is the blocks (row, col) with (row + col) % 4 of its number."""

GAP = 4
"""Pixels around what is held out that are not trained on either."""

_ORDER = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip
_LONGITUDE, _LATITUDE, _ALTITUDE_KM = 14.555, 45.867, 0.73
_NADIR = 5.0
"""View zenith and relative azimuth are not recorded: nearly nadir, sun across."""


@dataclass(frozen=True, slots=True)
class LandUse:
    """The place, as it was measured."""

    looks: tuple[Observation, ...]
    """One for each date, in the order of time."""
    cloudy: Bools
    """True under cloud by the mask that came with the data, (date, y, x)."""
    labels: Labels
    """Position in `landcover.CLASSES`, IGNORED where nothing is labelled, (y, x)."""


def read_landuse(samples: Path) -> LandUse:
    """The place in a folder of samples.

    Raises:
        ConfigError: It is not there.
        DataError: `grid_mismatch`: its arrays do not fit each other.
    """
    folder = samples / FOLDER
    try:
        toa = np.load(folder / "BANDS-S2-L1C.npy", allow_pickle=False)
        cloudy = np.load(folder / "CLM.npy", allow_pickle=False)[..., 0] > 0
        register = np.load(folder / "LULC.npy", allow_pickle=False)[..., 0]
        times = json.loads((folder / "timestamps.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{folder} cannot be read ({error}); set UNDERSKY_SAMPLES to the folder of real samples"
        ) from error
    times = times if isinstance(times, list) else next(iter(times.values()))
    if toa.shape != (len(times), *register.shape, len(_ORDER)) or cloudy.shape != toa.shape[:3]:
        raise DataError(
            Reason.GRID_MISMATCH,
            f"{folder.name}: bands {toa.shape}, clouds {cloudy.shape}, labels {register.shape} and "
            f"{len(times)} dates do not fit; copy the folder anew",
        )
    labels = np.full(register.shape, IGNORED, dtype=np.int64)
    for code, slug in LAND_USE.items():
        labels[register == code] = SLUGS.index(slug)
    order = sorted(range(len(times)), key=lambda index: str(times[index]))
    looks = tuple(_look(toa[index], str(times[index])) for index in order)
    return LandUse(looks, cloudy[order], labels)


def _look(toa: Floats, time: str) -> Observation:
    """One date, as a reader would have delivered it."""
    when = datetime.fromisoformat(time).replace(tzinfo=UTC)
    zenith, _ = sun_position(when, np.array([_LONGITUDE]), np.array([_LATITUDE]))
    sensor = SENSORS["S2A"]
    bands = tuple(band.name for band in sensor.corrected_bands)
    values = np.stack([toa[..., _ORDER.index(name)] for name in bands]).astype(np.float32)
    return Observation(
        id=f"slovenia-{when:%Y%m%d}",
        sensor=sensor,
        bands=bands,
        toa=values,
        sun_zenith=float(zenith[0]),
        view_zenith=_NADIR,
        relative_azimuth=90.0,
        ozone_dobson=310.0,
        altitude_km=_ALTITUDE_KM,
        place=Place(_LATITUDE, _LONGITUDE, when, 10.0),
    )


def blocks(shape: tuple[int, int]) -> Iterator[tuple[str, tuple[slice, slice]]]:
    """Every block with the fold it belongs to; they cover the place once."""
    rows = np.linspace(0, shape[0], BLOCK_ROWS + 1).round().astype(int)
    cols = np.linspace(0, shape[1], BLOCK_COLS + 1).round().astype(int)
    for row in range(BLOCK_ROWS):
        for col in range(BLOCK_COLS):
            where = slice(int(rows[row]), int(rows[row + 1])), slice(int(cols[col]), int(cols[col + 1]))
            yield FOLDS[(row + col) % len(FOLDS)], where


def held_out(shape: tuple[int, int], fold: str, *, gap: int = 0) -> Bools:
    """True on the blocks of a fold, and on `gap` pixels around them, (y, x).

    Raises:
        ConfigError: There is no such fold.
    """
    if fold not in FOLDS:
        raise ConfigError(f"there is no fold {fold!r} of {FOLDER}; there are {' '.join(FOLDS)}")
    out = np.zeros(shape, dtype=np.bool_)
    for name, (rows, cols) in blocks(shape):
        if name == fold:
            first, left = max(0, rows.start - gap), max(0, cols.start - gap)
            out[first : rows.stop + gap, left : cols.stop + gap] = True
    return out


def refuse_leak(trained: Labels, fold: str) -> None:
    """Returns if no pixel of the fold, nor of the gap around it, has a label to train on.

    Args:
        trained: Labels as the training sees them, (y, x).
        fold: What is held out.

    Raises:
        DataError: `split_leaks`.
    """
    leaking = (trained != IGNORED) & held_out(trained.shape, fold, gap=GAP)
    if leaking.any():
        row, col = (int(axis[0]) for axis in np.nonzero(leaking))
        raise DataError(
            Reason.SPLIT_LEAKS,
            f"{int(leaking.sum())} pixels of fold {fold} are trained on, the first at ({row}, {col}): what "
            "is held out must be held out on every date; build the labels with training_labels",
        )


def training_labels(labels: Labels, fold: str | None) -> Labels:
    """The labels with the fold, and a gap around it, left out; all of them when None."""
    if fold is None:
        return labels
    return np.where(held_out(labels.shape, fold, gap=GAP), IGNORED, labels).astype(np.int64)
