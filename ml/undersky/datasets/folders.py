"""Scenes that a user adds to an evaluation: a folder of `.npz` files, each an observation with its truth.

    DIR/*.npz --load_folder--> Folder of FolderScene --read_scene--> Observation, Truth

docs/evaluation.md lists the arrays. Nothing is ever unpickled, and a folder holds one origin: what was
simulated and what was measured never share a table.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from undersky.bands import SENSORS, Sensor
from undersky.datasets.observation import Observation, Place
from undersky.datasets.suites import Truth
from undersky.errors import ConfigError, DataError, Reason
from undersky.grid import Floats

Origin = Literal["simulated", "real"]

UNKNOWN_COVER = 255
"""What covers a pixel of which nobody said what covers it; no index of `ground.COVERS`."""

LARGEST_BYTES = 2 * 1024**3
"""Of one scene, unpacked."""

_NUMBERS: Mapping[str, tuple[float, float]] = {
    "sun_zenith": (0.0, 89.0),
    "view_zenith": (0.0, 60.0),
    "relative_azimuth": (0.0, 180.0),
    "ozone_dobson": (50.0, 700.0),
    "altitude_km": (-0.5, 9.0),
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    "pixel_m": (0.1, 10_000.0),
}
"""What every scene states, and between what."""
_OPTIONAL: Mapping[str, tuple[float, float]] = {"aot_550": (0.0, 5.0), "water_vapour": (0.0, 10.0)}
_TEXTS = ("sensor", "acquired", "origin")
_REQUIRED = ("toa", "surface", "bands", *_TEXTS, *_NUMBERS)
_KNOWN = (*_REQUIRED, *_OPTIONAL, "aerosol")
_NEEDED = ("blue", "green", "red", "swir16", "swir22")
"""Common names of the bands without which cloud, water and snow cannot be told apart."""
_NEAR_INFRARED = ("nir", "nir08")
_BRIGHTEST = 3.0
"""A reflectance beyond is a digital number that nobody scaled."""


@dataclass(frozen=True, slots=True)
class FolderScene:
    """One scene of a folder, not yet read."""

    path: Path
    """Its `.npz`."""


@dataclass(frozen=True, slots=True)
class FolderPixels:
    """One scene of a folder."""

    observation: Observation
    """What the sensor measured."""
    truth: Truth
    """What lies below; the cover is unknown, and so is the state where it is NaN."""
    aerosol: str | None
    """Type of aerosol, where the user says it."""
    origin: Origin
    """Whether it was computed or measured."""


@dataclass(frozen=True, slots=True)
class Folder:
    """All scenes of a folder; each was read once and can be used."""

    name: str
    """Of the folder."""
    scenes: tuple[FolderScene, ...]
    """In the order of their names."""
    origin: Origin
    """Of all of them."""


def load_folder(folder: Path) -> Folder:
    """The scenes of a folder, each read once so that a bad one is refused before anything is measured.

    Raises:
        ConfigError: No such folder, no scene in it, or simulated beside real ones.
        DataError: A scene cannot be used; `read_scene` lists the reasons.
    """
    paths = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    if not paths:
        what = "holds no .npz" if folder.is_dir() else "is no folder"
        raise ConfigError(f"{folder} {what}; give a folder of scenes as docs/evaluation.md describes them")
    origins = {path: read_scene(path).origin for path in paths}
    if len(set(origins.values())) > 1:
        odd = next(path for path, origin in origins.items() if origin != origins[paths[0]])
        raise ConfigError(
            f"{odd.name} is {origins[odd]}, {paths[0].name} is {origins[paths[0]]}: simulated and real "
            f"results never share a table; split {folder} into two folders"
        )
    return Folder(folder.resolve().name, tuple(map(FolderScene, paths)), origins[paths[0]])


def read_scene(path: Path) -> FolderPixels:
    """One scene.

    Raises:
        DataError: `raster_unreadable`, `raster_too_large`, `metadata_missing`, `metadata_invalid`,
            `unsupported_sensor`, `bands_mismatch`, `band_missing`, `grid_mismatch` or `all_nodata`.
    """
    held = _read(path)
    sensor = _sensor(path, _text(path, held, "sensor"))
    bands = _bands(path, held["bands"], sensor)
    toa, surface = (_pixels(path, held, name, bands) for name in ("toa", "surface"))
    if toa.shape != surface.shape:
        raise DataError(
            Reason.GRID_MISMATCH,
            f"{path.name}: toa is {toa.shape}, surface {surface.shape}; both lie on one grid, (band, y, x)",
        )
    number = {name: _number(path, held[name], name, limits) for name, limits in _NUMBERS.items()}
    state = {
        name: _number(path, held[name], name, limits) if name in held else np.nan
        for name, limits in _OPTIONAL.items()
    }
    place = Place(
        number.pop("latitude"), number.pop("longitude"), _acquired(path, held), number.pop("pixel_m")
    )
    cover = np.full(toa.shape[1:], UNKNOWN_COVER, dtype=np.uint8)
    return FolderPixels(
        observation=Observation(id=path.stem, sensor=sensor, bands=bands, toa=toa, place=place, **number),
        truth=Truth(surface, cover, **state),
        aerosol=_text(path, held, "aerosol") if "aerosol" in held else None,
        origin=_origin(path, held),
    )


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array of the file, none of them unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_BYTES:
            raise DataError(
                Reason.RASTER_TOO_LARGE,
                f"{path.name} unpacks to {size / 1e9:.1f} GB, at most {LARGEST_BYTES / 1e9:.1f}; cut it up",
            )
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            Reason.RASTER_UNREADABLE,
            f"{path.name} cannot be read: {error}; write it with numpy.savez, plain arrays only",
        ) from error
    missing = [name for name in _REQUIRED if name not in held]
    if missing:
        raise DataError(Reason.METADATA_MISSING, f"{path.name} lacks {' '.join(missing)}; add them")
    unknown = [name for name in held if name not in _KNOWN]
    if unknown:
        raise _invalid(path, f"{' '.join(unknown)} is nothing a scene has; it has {' '.join(_KNOWN)}")
    return held


def _invalid(path: Path, what: str) -> DataError:
    return DataError(Reason.METADATA_INVALID, f"{path.name}: {what}")


def _text(path: Path, held: Mapping[str, npt.NDArray[Any]], name: str) -> str:
    value = held[name]
    if value.ndim or value.dtype.kind != "U":
        raise _invalid(path, f"{name} is {value.dtype} of shape {value.shape}, expected one text")
    return str(value)


def _number(path: Path, value: npt.NDArray[Any], name: str, limits: tuple[float, float]) -> float:
    low, high = limits
    if value.ndim or value.dtype.kind not in "iuf" or not low <= float(value) <= high:
        told = f"{float(value):g}" if value.ndim == 0 and value.dtype.kind in "iuf" else str(value.dtype)
        raise _invalid(path, f"{name} is {told}, expected one number from {low:g} to {high:g}")
    return float(value)


def _sensor(path: Path, key: str) -> Sensor:
    if key not in SENSORS:
        raise DataError(
            Reason.UNSUPPORTED_SENSOR, f"{path.name}: no sensor {key!r}; there are {' '.join(SENSORS)}"
        )
    return SENSORS[key]


def _bands(path: Path, value: npt.NDArray[Any], sensor: Sensor) -> tuple[str, ...]:
    names = tuple(map(str, np.atleast_1d(value)))
    known = [band.name for band in sensor.corrected_bands]
    if not names or [name for name in known if name in names] != list(names):
        raise DataError(
            Reason.BANDS_MISMATCH,
            f"{path.name}: bands {' '.join(names)}, expected some of {' '.join(known)} in this order",
        )
    common = {sensor.band(name).common_name for name in names}
    missing = [name for name in _NEEDED if name not in common]
    if missing or not common & set(_NEAR_INFRARED):
        raise DataError(
            Reason.BAND_MISSING,
            f"{path.name} lacks {' '.join(missing) or 'nir'}; needed: {' '.join(_NEEDED)}, nir or nir08",
        )
    return names


def _pixels(path: Path, held: Mapping[str, npt.NDArray[Any]], name: str, bands: tuple[str, ...]) -> Floats:
    """Reflectance, float32 (band, y, x), NaN at nodata."""
    value = held[name]
    if value.dtype.kind != "f" or value.ndim != 3 or len(value) != len(bands):
        raise DataError(
            Reason.GRID_MISMATCH,
            f"{path.name}: {name} is {value.dtype} of shape {value.shape}, expected floats "
            f"({len(bands)}, y, x) for bands {' '.join(bands)}",
        )
    known = value[np.isfinite(value)]
    if not known.size:
        raise DataError(Reason.ALL_NODATA, f"{path.name}: {name} holds no finite pixel; leave the scene out")
    if float(np.median(known)) > _BRIGHTEST:
        raise _invalid(
            path, f"{name} has a median of {np.median(known):g}; scale digital numbers to reflectance, 0 to 1"
        )
    return value.astype(np.float32)


def _acquired(path: Path, held: Mapping[str, npt.NDArray[Any]]) -> datetime:
    text = _text(path, held, "acquired")
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid(path, f"acquired {text!r} is no ISO time; write 2024-04-15T10:30:00Z") from error
    if when.tzinfo is None:
        raise _invalid(path, f"acquired {text!r} names no time zone; write 2024-04-15T10:30:00Z")
    return when


def _origin(path: Path, held: Mapping[str, npt.NDArray[Any]]) -> Origin:
    text = _text(path, held, "origin")
    if text not in ("simulated", "real"):
        raise _invalid(path, f"origin is {text!r}, expected simulated or real")
    return cast("Origin", text)
