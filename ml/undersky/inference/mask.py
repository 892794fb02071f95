"""The learned quality mask: a small network reads the scene from afar; or threshold tests do.

    View --root of the TOA of seven bands at ~80 m--> U-Net --> probabilities --thresholds--> bits
                                                                      '--> that of cloud is kept

A shadow needs a cloud that can throw it: what the network takes for one and no cloud of the scene reaches is
dark ground. The shadow of a cloud that stands beyond the frame is lost by that rule. And clouds shade as much
ground as they cover: that decides how likely a shadow must be, for one forest is as dark as another's shade.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from undersky.grid import Floats, resolution_m
from undersky.inference.quality import mean_sun, scene_mask, shadow_reach
from undersky.inference.view import View
from undersky.quality import Quality, QualityBits
from undersky.scene import Bools

if TYPE_CHECKING:
    from undersky.models.segmentation import Segmenter

CLOUD_HEIGHTS_M = (100.0, 8000.0)
"""Between which clouds hang whose shadows can be seen as such."""

_NEAR_CLOUD_M = 240.0
_WINDOW = 1536
"""Holds a full Sentinel-2 tile from afar and its margins: one pass; windows of 512 cost thrice as much."""
_DEFAULT_THRESHOLD = 0.5
_SHADOW_THRESHOLDS = (0.1, 0.7)
"""Within which the share of cloud decides how likely a shadow must be."""


@dataclass(frozen=True, slots=True)
class SceneMask:
    """What was seen of a scene's pixels, over its footprint."""

    bits: QualityBits
    """CLOUD .. WATER and NODATA, uint16 (y, x)."""
    cloud_probability: Floats
    """0 .. 1, (y, x), NaN at nodata; NaN everywhere where threshold tests decided, which know none."""

    @property
    def clear_percent(self) -> float:
        """Share of the pixels with data that show the ground, 0 .. 100; 0 where there are none."""
        seen = (self.bits & np.uint16(Quality.NODATA)) == 0
        hidden = np.uint16(Quality.CLOUD | Quality.CLOUD_SHADOW | Quality.CIRRUS)
        return 100.0 * float(((self.bits & hidden) == 0)[seen].mean()) if bool(seen.any()) else 0.0


def threshold_mask(view: View) -> SceneMask:
    """By the threshold tests."""
    bits = scene_mask(view.scene, view)
    return SceneMask(bits, np.full(bits.shape, np.nan, dtype=np.float32))


def learned_mask(view: View, model: "Segmenter") -> SceneMask:
    """By a quality model.

    Raises:
        DataError: The pixels cannot be decoded.
    """
    values = seen_by(view, model.config.inputs)
    found = class_planes(model, values)
    rows = view.shape()[0]
    pixel_m = resolution_m(view.scene.grid) * view.scene.grid.shape[0] / rows
    nodata = ~with_data(values)
    bits = cast_only(bits_of(found, model.config.settings, values), pixel_m, sun=mean_sun(view.scene))
    bits[nodata] = np.uint16(Quality.NODATA)
    return SceneMask(bits, np.where(nodata, np.float32(np.nan), found["cloud"]))


def seen_by(view: View, inputs: tuple[str, ...]) -> Floats:
    """TOA of those common names from afar, (band, y, x), NaN where missing."""
    shape = view.shape()
    values = np.full((len(inputs), *shape), np.nan, dtype=np.float32)
    for plane, role in zip(values, inputs, strict=True):
        band = view.band_of(role)
        if band is not None:
            plane[:] = view.toa(band, shape)
    return values


def class_planes(model: "Segmenter", values: Floats) -> Mapping[str, Floats]:
    """Probability of every statement, 0 .. 1, (y, x) each, of TOA reflectance (band, y, x)."""
    from undersky.inference.sliding import class_probabilities  # noqa: PLC0415  loads torch

    found = class_probabilities(model, rooted(values), window=_WINDOW)
    return dict(zip(model.config.classes, found, strict=True))


def rooted(toa: Floats) -> Floats:
    """What the network reads of a reflectance: its root, which shows shadow and cirrus as well as cloud."""
    return np.asarray(np.sqrt(np.maximum(toa, 0.0)), dtype=np.float32)


def bits_of(found: Mapping[str, Floats], settings: Mapping[str, float], toa: Floats) -> QualityBits:
    """The statements that are more likely than their threshold, uint16 (y, x).

    Where there is cloud, nothing is said of shadow and water below it; where no cirrus band was seen, nothing
    of cirrus.

    Args:
        found: Probabilities by class.
        settings: `threshold_<class>` where it is not a half, and of shadow not `shadow_threshold`.
        toa: What was looked at, (band, y, x), NaN where missing; the last band is that of cirrus.
    """
    seen, has_cirrus = with_data(toa), bool(np.isfinite(toa[-1]).any())
    thresholds = {f"threshold_{name}": _DEFAULT_THRESHOLD for name in found} | dict(settings)
    if "threshold_cloud_shadow" not in settings:
        certain = found["cloud"] > thresholds["threshold_cloud"]
        thresholds["threshold_cloud_shadow"] = shadow_threshold(found["cloud_shadow"], certain, seen)
    likely = {name: plane > thresholds[f"threshold_{name}"] for name, plane in found.items()}
    cloud = likely["cloud"]
    said: Mapping[Quality, Bools] = {
        Quality.CLOUD: cloud,
        Quality.CLOUD_SHADOW: likely["cloud_shadow"] & ~cloud,
        Quality.CIRRUS: likely["cirrus"] & has_cirrus,
        Quality.SNOW: likely["snow"] & ~cloud,
        Quality.WATER: likely["water"] & ~cloud,
    }
    bits = np.zeros(cloud.shape, dtype=np.uint16)
    for flag, where in said.items():
        bits[where] |= np.uint16(flag)
    return bits


def with_data(toa: Floats) -> Bools:
    """True where every band but that of cirrus has data, (y, x)."""
    return np.asarray(np.isfinite(toa[:-1]).all(axis=0))


def shadow_threshold(shadow: Floats, cloud: Bools, seen: Bools) -> float:
    """The probability beyond which as much ground is in shadow as clouds leave to be seen in it.

    The sun's rays are parallel, so clouds shade as much level ground as they cover, a share a; where they are
    strewn by chance a share a of that lies below a cloud again: a (1 - a) of the scene is in shadow and seen.

    Args:
        shadow: Probability, (y, x).
        cloud: True on cloud, (y, x).
        seen: True where there is data, (y, x).
    """
    least, most = _SHADOW_THRESHOLDS
    ground = shadow[seen & ~cloud]
    if not len(ground):
        return most
    clear = len(ground) / np.count_nonzero(seen)
    # of the ground that is seen, a (1 - a) / (1 - a)
    return float(np.clip(np.quantile(ground, clear), least, most))


def cast_only(bits: QualityBits, pixel_m: float, *, sun: tuple[float, float]) -> QualityBits:
    """The bits without shadows that no cloud throws, and without water in those that stay: both are dark.

    Args:
        bits: (y, x); not changed.
        pixel_m: Ground size of a pixel.
        sun: Zenith and azimuth, degrees.
    """
    cloud = (bits & np.uint16(Quality.CLOUD)) != 0
    shadow = (bits & np.uint16(Quality.CLOUD_SHADOW)) != 0
    if not bool(shadow.any()):
        return bits
    reach = shadow_reach(cloud, pixel_m, heights_m=CLOUD_HEIGHTS_M, beside_m=_NEAR_CLOUD_M, sun=sun)
    without = {flag: bits & np.uint16(0xFFFF ^ int(flag)) for flag in (Quality.CLOUD_SHADOW, Quality.WATER)}
    said = np.where(shadow & ~reach, without[Quality.CLOUD_SHADOW], bits)
    return np.where(shadow & reach, without[Quality.WATER], said)
