"""How every layer of a product is stored: the frozen encodings of docs/product.md.

    physical value --encode--> integer on disk --decode--> physical value, NaN at nodata

Two curves exist. `linear`: value = scale * stored + offset. `square`: value = scale * stored**2, which
spends the 255 codes of a byte where a 1-sigma uncertainty needs them: the relative step is 2 / stored, so
that every value from code 20 on keeps 5 % of itself.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from undersky.bands import Band, Sensor
from undersky.grid import Floats
from undersky.landcover import CLASSES, NODATA, CoverClass
from undersky.quality import MEANING

Stored = npt.NDArray[np.integer[Any]]
Where = Literal["band", "scene", "view", "coarse"]
Overviews = Literal["average", "mode", "nearest"]

FORMAT_VERSION = "2"
"""Version of everything docs/product.md promises; part of every product's digest."""

UNCERTAINTY_PREFIX = "unc_"
COARSE_NODATA = -9999


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster of a product and how its numbers are stored."""

    key: str
    """Asset key and file stem: `B02`, `unc_B02`, `quality`."""
    title: str
    """What the layer is, for a person."""
    dtype: str
    """numpy name of the stored integers."""
    where: Where
    """Grid it lies on: its `band`'s own, the `scene`'s finest, the `view` from afar, the `coarse` nodes."""
    overviews: Overviews
    """How reduced resolutions are made: never `average` for classes and bits, it invents classes."""
    scale: float = 1.0
    """Value of one step (linear) or of the squared code (square)."""
    offset: float = 0.0
    """Value at stored 0; zero on the square curve."""
    nodata: int | None = None
    """The stored integer that means: no value; None where a bit says so."""
    curve: Literal["linear", "square"] = "linear"
    """How the stored integer becomes a value."""
    unit: str = "1"
    """Unit of the value: `1`, `degree`, `g/cm2`."""
    roles: tuple[str, ...] = ("data",)
    """STAC roles of the asset."""
    band: Band | None = None
    """The spectral band it belongs to, if any."""
    classes: tuple[CoverClass, ...] = ()
    """What its numbers stand for, where they are codes of classes; they become the file's colour table."""

    @property
    def codes(self) -> tuple[int, int]:
        """Smallest and largest stored integer that is a value."""
        limits = np.iinfo(self.dtype)
        low, high = int(limits.min), int(limits.max)
        if self.nodata is None:
            return low, high
        return (self.nodata + 1, high) if self.nodata < 0 else (low, self.nodata - 1)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value that can be stored; values beyond are clipped to it."""
        low, high = self.codes
        power = 2 if self.curve == "square" else 1
        return low**power * self.scale + self.offset, high**power * self.scale + self.offset


def encode(values: npt.NDArray[np.floating[Any]], layer: Layer) -> Stored:
    """The integers that store these values; NaN becomes nodata, values beyond the range its nearest code.

    Args:
        values: Physical values, any shape, NaN where there is none. Not changed.
        layer: A layer with a scale and a nodata.
    """
    return encode_in_place(np.array(values, dtype=np.float32), layer)


def encode_in_place(values: Floats, layer: Layer) -> Stored:
    """`encode` for the streaming path: `values` is the scratch memory and is destroyed."""
    low, high = layer.codes
    nodata = layer.nodata
    if layer.offset:
        values -= np.float32(layer.offset)
    if layer.curve == "square":
        np.multiply(values, np.float32(1.0 / layer.scale), out=values)
        np.sqrt(values, out=values)
    else:
        np.multiply(values, np.float32(1.0 / layer.scale), out=values)
    np.rint(values, out=values)
    np.clip(values, np.float32(low), np.float32(high), out=values)
    if nodata is not None:
        # fmin and fmax ignore NaN where clip keeps it: NaN, and only NaN, lands on nodata
        keep = np.fmax if nodata < low else np.fmin
        keep(values, np.float32(nodata), out=values)
    return values.astype(layer.dtype)


def decode(stored: npt.NDArray[Any], layer: Layer) -> Floats:
    """The physical values, float32, NaN at nodata; what a user's code does after reading a layer."""
    values = stored.astype(np.float32)
    if layer.curve == "square":
        values *= values
    values *= np.float32(layer.scale)
    values += np.float32(layer.offset)
    if layer.nodata is not None:
        values[stored == layer.nodata] = np.nan
    return values


def reflectance_layer(band: Band) -> Layer:
    """Surface reflectance of one band; slightly negative values are kept."""
    title = f"Surface reflectance, {band.common_name}, {band.wavelength_nm:.0f} nm"
    return Layer(
        band.asset, title, "int16", "band", "average", scale=1e-4, nodata=-9999, band=band,
        roles=("data", "reflectance"),
    )  # fmt: skip


def uncertainty_layer(band: Band) -> Layer:
    """1 sigma of one band's reflectance: (stored / 800)**2, within 5 % of itself from 0.0006 to 0.10.

    Why a byte at native resolution: measured in docs/product.md by tests/bench/uncertainty.py.
    """
    title = f"Uncertainty (1 sigma) of surface reflectance, {band.common_name}"
    return Layer(
        UNCERTAINTY_PREFIX + band.asset, title, "uint8", "band", "average", scale=1 / 640_000, nodata=255,
        curve="square", band=band, roles=("metadata", "uncertainty"),
    )  # fmt: skip


def _coarse(key: str, title: str, *, scale: float, unit: str, roles: tuple[str, ...]) -> Layer:
    return Layer(
        key, title, "int16", "coarse", "average", scale=scale, nodata=COARSE_NODATA, unit=unit, roles=roles
    )


QUALITY = Layer("quality", "Quality bits", "uint16", "scene", "nearest", roles=("metadata", "quality"))
"""One statement a bit: `undersky.quality.MEANING`. Bit 0 says nodata, so no stored number does."""

SATURATION = Layer(
    "saturation",
    "Saturated bands, one bit each",
    "uint16",
    "scene",
    "nearest",
    roles=("metadata", "saturation"),
)
"""Bit i: the i-th corrected band is saturated there."""

CLOUD_PROBABILITY = Layer(
    "cloud_probability", "Probability of cloud", "uint8", "view", "average", scale=0.01, nodata=255,
    roles=("metadata", "cloud"),
)  # fmt: skip
"""0 .. 1 in steps of a hundredth, on the pixels that the quality model saw."""

_AEROSOL = ("data", "aerosol")
_ANGLES = ("metadata", "angle")

AOT = _coarse("aot_550", "Aerosol optical thickness at 550 nm", scale=1e-4, unit="1", roles=_AEROSOL)
WATER_VAPOUR = _coarse("water_vapour", "Water vapour column", scale=1e-3, unit="g/cm2", roles=("data",))
SUN_ZENITH = _coarse("sun_zenith", "Sun zenith angle", scale=0.01, unit="degree", roles=_ANGLES)
VIEW_ZENITH = _coarse(
    "view_zenith", "View zenith angle, mean over the bands", scale=0.01, unit="degree", roles=_ANGLES
)
RELATIVE_AZIMUTH = _coarse(
    "relative_azimuth", "Angle between sun and view azimuth, mean over the bands", scale=0.01, unit="degree",
    roles=_ANGLES,
)  # fmt: skip

COARSE = (AOT, WATER_VAPOUR, SUN_ZENITH, VIEW_ZENITH, RELATIVE_AZIMUTH)
"""Smooth layers on edge-to-edge nodes over the footprint."""


@lru_cache
def layers_of(sensor: Sensor) -> tuple[Layer, ...]:
    """Every layer of a product of this sensor, in the order of docs/product.md."""
    bands = sensor.corrected_bands
    return (
        *(reflectance_layer(band) for band in bands),
        *(uncertainty_layer(band) for band in bands),
        QUALITY,
        CLOUD_PROBABILITY,
        SATURATION,
        *COARSE,
    )


def bits_of(layer: Layer, sensor: Sensor) -> tuple[tuple[str, str], ...]:
    """Name and sentence of every used bit of a layer of bits, from bit 0 on; empty for any other layer."""
    if layer == QUALITY:
        return tuple((str(flag.name).lower(), sentence) for flag, sentence in MEANING.items())
    if layer == SATURATION:
        return tuple((band.asset, f"{band.asset} is saturated") for band in sensor.corrected_bands)
    return ()


MAPS_FORMAT_VERSION = "2"
"""Version of everything docs/maps.md promises; part of the digest of every map."""

COVER = Layer(
    "landcover", "Land cover, ESA WorldCover classes", "uint8", "scene", "mode", nodata=NODATA,
    roles=("data", "classification"), classes=CLASSES,
)  # fmt: skip
"""One code of `undersky.landcover.CLASSES` a pixel."""

COVER_CONFIDENCE = Layer(
    "confidence", "Probability that the class is the right one", "uint8", "scene", "average", scale=0.01,
    nodata=255, roles=("metadata", "confidence"),
)  # fmt: skip
"""0 .. 1 in steps of a hundredth."""

COVER_LAYERS = (COVER, COVER_CONFIDENCE)
"""Every layer of a land-cover map, in the order of docs/maps.md."""

LAST_CLEAR = Layer(
    "last_clear", "Day of the newest clear view, since 1970-01-01", "uint16", "scene", "nearest", nodata=0,
    unit="day", roles=("metadata", "date"),
)  # fmt: skip

OBSERVATIONS = Layer(
    "observations", "Number of clear views", "uint8", "scene", "nearest", roles=("metadata", "count")
)
"""0 is a number like any other."""

CHANGE = Layer(
    "change", "Whether the ground became another: 1 yes, 0 no", "uint8", "scene", "mode", nodata=255,
    roles=("data", "change"),
)  # fmt: skip
"""Nodata where too few views tell."""

ROLLING_LAYERS = (COVER, COVER_CONFIDENCE, LAST_CLEAR, OBSERVATIONS, CHANGE)
"""Every layer of the rolling map of a tile, in the order of docs/maps.md."""
