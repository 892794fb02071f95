"""Do the pixels agree with what the metadata says of them? A quick look at reduced resolution.

Four laws that hold over any ground and in any weather, for the darkest hundredth of a scene:

1. Reflectance is not negative: a scene below zero had an offset subtracted that its numbers do not hold.
2. In the cirrus band the ground is invisible, so a clear scene is black there. A scene of one even grey, just
   as high as the offset that processing adds, still has that offset in it.
3. No pixel is darker than the air above it: below half of the Rayleigh path, a file holds another band.
   Half, because at 5.5 km there is half of the air, and single scattering is less than all scattering.
4. Two bands of nearly one wavelength (B08, B8A) look alike, and water vapour darkens B10 more than B09.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from undersky.bands import Band
from undersky.errors import DataError, Reason
from undersky.grid import Floats, whole
from undersky.scene import Angles, Scene

S = TypeVar("S", bound=np.generic)

LOOK_SIDE = 171
"""Pixels a side of the look: half of what a full tile has at its lowest JPEG 2000 resolution."""
MIN_PIXELS = 16
"""Below this many valid pixels no law is tried."""

_NEGATIVE = -0.02
_OFFSET = 0.1
_OFFSET_TOLERANCE = 0.02
_EVEN = 0.005
_VISIBLE_NM = 620.0
_ALIKE = 0.02
_WHITE = 0.25


@dataclass(frozen=True, slots=True)
class Look:
    """The valid pixels of one band, seen coarsely."""

    image: Floats
    """Reflectance (y, x), NaN at nodata."""

    def percentile(self, percent: float) -> float:
        """That percentile of the valid pixels; NaN when there are too few."""
        values = self.image[np.isfinite(self.image)]
        return float(np.percentile(values, percent)) if values.size >= MIN_PIXELS else float("nan")


def verify_pixels(scene: Scene) -> None:
    """The pixels agree with the metadata as far as the laws above can tell.

    Raises:
        DataError: `all_nodata`; `offset_contradicted`; `band_swapped`; or the pixels cannot be decoded.
    """
    looks = {name: Look(_look(scene, name)) for name in scene.bands}
    _require_data(scene, looks)
    _require_positive(scene, looks)
    _require_air(scene, looks)
    _require_offset_removed(scene, looks)
    _require_alike(scene, looks)


def _look(scene: Scene, name: str) -> Floats:
    band = scene.bands[name]
    rows, cols = band.grid.shape
    return band.toa_reflectance(whole(band.grid), shape=(min(rows, LOOK_SIDE), min(cols, LOOK_SIDE)))


def _require_data(scene: Scene, looks: Mapping[str, Look]) -> None:
    empty = [name for name, look in looks.items() if not np.isfinite(look.image).any()]
    if empty:
        raise DataError(
            Reason.ALL_NODATA,
            f"{' '.join(empty)} of {scene.id} hold no data at all; expected some ground in every band: "
            "deliver the product again, or leave this acquisition out",
        )


def _require_positive(scene: Scene, looks: Mapping[str, Look]) -> None:
    for name, look in looks.items():
        dark = look.percentile(1)
        if dark < _NEGATIVE:
            raise _contradicted(
                scene, f"the darkest hundredth of {name} has reflectance {dark:.3f}, below zero"
            )


def _require_offset_removed(scene: Scene, looks: Mapping[str, Look]) -> None:
    cirrus = [band.name for band in scene.sensor.bands if band.role == "cirrus" and band.name in looks]
    infrared = [name for name in ("B11", "B12") if name in looks] if scene.sensor.instrument == "msi" else []
    for name in cirrus:
        if _is_even_grey(looks[name]):
            dark = looks[name].percentile(1)
            raise _contradicted(scene, f"{name}, black where there is no cirrus, is an even {dark:.3f}")
    if not cirrus and len(infrared) == 2 and all(_is_even_grey(looks[name]) for name in infrared):
        raise _contradicted(scene, f"{' and '.join(infrared)} do not fall below {_OFFSET}")


def _is_even_grey(look: Look) -> bool:
    """The lower quarter of the scene lies within a hair of the offset that processing adds."""
    dark, quarter = look.percentile(1), look.percentile(25)
    return abs(dark - _OFFSET) < _OFFSET_TOLERANCE and quarter - dark < _EVEN


def _contradicted(scene: Scene, what: str) -> DataError:
    return DataError(
        Reason.OFFSET_CONTRADICTED,
        f"{scene.id}: {what}; its pixels do not hold the offset that its metadata (baseline "
        f"{scene.baseline}) gives: deliver it again",
    )


def _require_air(scene: Scene, looks: Mapping[str, Look]) -> None:
    for band in scene.sensor.bands:
        if band.name not in looks or band.wavelength_nm > _VISIBLE_NM or band.role != "surface":
            continue
        dark, least = looks[band.name].percentile(1), 0.5 * rayleigh_path(band, scene.angles)
        if dark < least:
            raise DataError(
                Reason.BAND_SWAPPED,
                f"{band.name} of {scene.id} is as dark as {dark:.3f}; the air alone is at least {least:.3f} "
                f"bright at {band.wavelength_nm:.0f} nm: the file holds another band; deliver it again",
            )


def rayleigh_path(band: Band, angles: Angles) -> float:
    """Least reflectance over the scene of clean air above a black ground at sea level, singly scattered.

    Source: optical depth by Hansen and Travis 1974, Space Science Reviews 16, eq. 2.30; single scattering by
    a plane layer, Chandrasekhar 1960, Radiative Transfer, section 71; Rayleigh's phase function.
    """
    wavelength_um = band.wavelength_nm / 1000.0
    depth = 0.008569 * wavelength_um**-4 * (1.0 + 0.0113 * wavelength_um**-2 + 0.00013 * wavelength_um**-4)
    sun = np.radians(np.minimum(angles.sun_zenith, 85.0).astype(np.float64))
    view = np.radians(angles.view_zenith[band.name].astype(np.float64))
    relative = np.radians(angles.relative_azimuth(band.name).astype(np.float64))
    mu_sun, mu_view = np.cos(sun), np.cos(view)
    cos_scattering = -mu_sun * mu_view - np.sin(sun) * np.sin(view) * np.cos(relative)
    phase = 0.75 * (1.0 + cos_scattering**2)
    path = phase / (4.0 * (mu_sun + mu_view)) * (1.0 - np.exp(-depth * (1.0 / mu_sun + 1.0 / mu_view)))
    return float(path.min())


def _require_alike(scene: Scene, looks: Mapping[str, Look]) -> None:
    if scene.sensor.instrument != "msi":
        return
    if {"B09", "B10"} <= looks.keys() and looks["B10"].percentile(50) > looks["B09"].percentile(50) + _ALIKE:
        raise _swapped(scene, "B10", "it is brighter than B09, although water vapour absorbs more of it")
    if not {"B08", "B8A"} <= looks.keys():
        return
    looks = _without_white(looks)
    apart = _distance(looks["B08"], looks["B8A"])
    if not apart > _ALIKE:
        return
    for name, twin, rivals in (("B08", "B8A", ("B02", "B03", "B04")), ("B8A", "B08", ("B05", "B11", "B12"))):
        for rival in rivals:
            if rival in looks and _distance(looks[rival], looks[twin]) < 0.5 * apart:
                raise _swapped(
                    scene, name, f"{rival} looks like {twin} instead, of nearly the same wavelength"
                )


def _distance(one: Look, other: Look) -> float:
    """Mean absolute difference where both have data; NaN where there is no such pixel."""
    rows, cols = (min(a, b) for a, b in zip(one.image.shape, other.image.shape, strict=True))
    pair = [_shrunk(look.image, (rows, cols)) for look in (one, other)]
    difference = np.abs(pair[0] - pair[1])
    valid = np.isfinite(difference)
    return float(np.mean(difference[valid])) if valid.sum() >= MIN_PIXELS else float("nan")


def _without_white(looks: Mapping[str, Look]) -> dict[str, Look]:
    """The looks with NaN where every visible band is white: over cloud any two bands look alike."""
    visible = [looks[name].image for name in ("B02", "B03", "B04") if name in looks]
    if not visible:
        return dict(looks)
    rows, cols = (min(sizes) for sizes in zip(*(image.shape for image in visible), strict=True))
    white = np.min([_shrunk(image, (rows, cols)) for image in visible], axis=0) > _WHITE
    return {
        name: Look(np.where(_shrunk(white, look.image.shape), np.float32(np.nan), look.image))
        for name, look in looks.items()
    }


def _shrunk(image: npt.NDArray[S], shape: tuple[int, ...]) -> npt.NDArray[S]:
    """The image at the nearest of its pixels to each cell of another shape over the same ground."""
    rows, cols = (
        ((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(shape, image.shape, strict=True)
    )
    return image[np.ix_(rows, cols)]


def _swapped(scene: Scene, name: str, what: str) -> DataError:
    return DataError(
        Reason.BAND_SWAPPED,
        f"{name} of {scene.id} does not look like itself: {what}; its file holds another band",
    )
