"""Which pixels show the ground: simple threshold tests on a reduced-resolution view of the scene.

    TOA at ~80 m --> cloud, cirrus, snow, water --> shadows: clouds moved along the sun, kept where dark

The thresholds are those of Fmask's potential-cloud, snow and water tests (Zhu and Woodcock 2012, RSE 118,
83-94, equations 1-5 and 20; Zhu et al. 2015, RSE 159 for the cirrus band), without its probability stage.
They decide where no quality model is given (`undersky correct --quality thresholds`), and are the baseline
that the learned mask (`inference/mask.py`) is measured against.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from undersky.grid import Floats, resample_nodes, resolution_m
from undersky.inference.view import View
from undersky.quality import Quality, QualityBits
from undersky.scene import Bools, Scene

_ROLES = ("blue", "green", "red", "swir16", "swir22")
_NIR = ("nir08", "nir")
_CLOUD_HEIGHTS_M = (300.0, 4000.0)
_CIRRUS_TOA = 0.012
_GROWTH_M = 120.0


@dataclass(frozen=True, slots=True)
class Look:
    """The scene seen at the mask's resolution: TOA reflectance by common name, (y, x), NaN at nodata."""

    toa: Mapping[str, Floats]
    """blue green red nir swir16 swir22, and cirrus where the sensor delivered it."""
    pixel_m: float
    """Ground size of one pixel."""


def look(view: View) -> Look:
    """What the tests need, averaged to the view's resolution. A band that is absent is left out."""
    shape = view.shape()
    present = {band.common_name for band in view.scene.sensor.bands if band.name in view.scene.bands}
    nir = next((name for name in _NIR if name in present), None)
    wanted = {name: name for name in (*_ROLES, "cirrus") if name in present} | ({"nir": nir} if nir else {})
    toa = {role: view.toa(str(view.band_of(name)), shape) for role, name in wanted.items()}
    return Look(toa, resolution_m(view.scene.grid) * view.scene.grid.shape[0] / shape[0])


def scene_mask(scene: Scene, view: View | None = None) -> QualityBits:
    """Our own tests of a scene as bits CLOUD .. WATER and NODATA, uint16, of the view's shape."""
    sun_zenith, sun_azimuth = mean_sun(scene)
    return classify(look(view or View(scene)), sun_zenith=sun_zenith, sun_azimuth=sun_azimuth)


def mean_sun(scene: Scene) -> tuple[float, float]:
    """Zenith and azimuth of the sun over the scene, degrees."""
    sun_zenith = resample_nodes(scene.angles.sun_zenith, (2, 2)).mean()
    azimuths = np.radians(scene.angles.sun_azimuth)
    sun_azimuth = np.degrees(np.arctan2(np.sin(azimuths).mean(), np.cos(azimuths).mean()))
    return float(sun_zenith), float(sun_azimuth)


def classify(seen: Look, *, sun_zenith: float, sun_azimuth: float) -> QualityBits:
    """The tests themselves, pure: bits of `Quality`, uint16 (y, x). Angles in degrees."""
    toa = seen.toa
    nodata = np.any([np.isnan(band) for band in toa.values()], axis=0)
    filled = {name: np.where(nodata, 0.0, band).astype(np.float32) for name, band in toa.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        snow = _is_snow(filled)
        water = _is_water(filled) & ~snow
        cloud = _is_cloud(filled) & ~snow
    cloud = _grow(_without_specks(cloud), seen.pixel_m) & ~nodata
    cirrus = (filled["cirrus"] > _CIRRUS_TOA) & ~nodata if "cirrus" in filled else np.zeros_like(nodata)
    reach = shadow_reach(cloud, seen.pixel_m, sun=(sun_zenith, sun_azimuth))
    shadow = reach & _is_dark(filled, ~(nodata | cloud | snow | water)) & ~cloud & ~nodata
    statements = {
        Quality.NODATA: nodata,
        Quality.CLOUD: cloud,
        Quality.CLOUD_SHADOW: shadow,
        Quality.CIRRUS: cirrus,
        Quality.SNOW: snow & ~nodata,
        Quality.WATER: water & ~nodata & ~cloud,
    }
    bits = np.zeros(nodata.shape, dtype=np.uint16)
    for bit, where in statements.items():
        bits[where] |= np.uint16(bit)
    return bits


def _difference_index(first: Floats, second: Floats) -> Floats:
    return np.asarray(np.nan_to_num((first - second) / (first + second)), dtype=np.float32)


def _is_cloud(toa: Mapping[str, Floats]) -> Bools:
    """Potential cloud (equations 1-4) that is also brighter in the blue than ground under a clear sky."""
    visible = np.stack([toa[name] for name in ("blue", "green", "red")])
    mean = visible.mean(axis=0)
    whiteness = np.nan_to_num(np.abs(visible - mean).sum(axis=0) / mean, nan=9.0)
    ndsi, ndvi = _difference_index(toa["green"], toa["swir16"]), _difference_index(toa["nir"], toa["red"])
    basic = (toa["swir22"] > 0.03) & (ndsi < 0.8) & (ndvi < 0.8)
    haze = toa["blue"] - 0.5 * toa["red"] - 0.08 > 0.02
    rock = np.nan_to_num(toa["nir"] / toa["swir16"]) > 0.75
    return np.asarray(basic & (whiteness < 0.7) & haze & rock & (toa["blue"] > 0.18))


def _is_snow(toa: Mapping[str, Floats]) -> Bools:
    """Equation 20: bright in the visible, dark at 1.6 um."""
    ndsi = _difference_index(toa["green"], toa["swir16"])
    return np.asarray((ndsi > 0.4) & (toa["nir"] > 0.11) & (toa["green"] > 0.1) & (toa["swir16"] < 0.2))


def _is_water(toa: Mapping[str, Floats]) -> Bools:
    """Equation 5."""
    ndvi = _difference_index(toa["nir"], toa["red"])
    return np.asarray(((ndvi < 0.01) & (toa["nir"] < 0.11)) | ((ndvi < 0.1) & (toa["nir"] < 0.05)))


def _is_dark(toa: Mapping[str, Floats], land: Bools) -> Bools:
    """Darker in the near infrared, and at 1.6 um, than two thirds of the clear land around has it."""
    dark = np.ones(land.shape, dtype=np.bool_)
    for name in ("nir", "swir16"):
        typical = float(np.median(toa[name][land])) if land.any() else 0.0
        dark &= toa[name] < 0.67 * typical
    return dark


def _without_specks(mask: Bools) -> Bools:
    """Single pixels are roofs and glints more often than clouds."""
    return np.asarray(ndimage.median_filter(mask.astype(np.uint8), size=3) > 0)


def _grow(mask: Bools, pixel_m: float) -> Bools:
    """Clouds have thin edges: the mask reaches some pixels further, none where a pixel is already large."""
    steps = int(_GROWTH_M // pixel_m)
    return np.asarray(ndimage.binary_dilation(mask, iterations=steps)) if steps and mask.any() else mask


def shadow_reach(
    cloud: Bools,
    pixel_m: float,
    *,
    sun: tuple[float, float],
    heights_m: tuple[float, float] = _CLOUD_HEIGHTS_M,
    beside_m: float = 0.0,
) -> Bools:
    """Where any cloud could throw its shadow: opposite the sun, height * tan(sun zenith) away, (y, x).

    Args:
        cloud: Where there is cloud, (y, x).
        pixel_m: Ground size of a pixel.
        sun: Zenith and azimuth, degrees.
        heights_m: Of the lowest and the highest cloud.
        beside_m: How far beside that line, and around the cloud itself, a shadow may still lie.
    """
    zenith, azimuth = sun
    low, high = (height * np.tan(np.radians(zenith)) / pixel_m for height in heights_m)
    steps = int(beside_m // pixel_m)
    if steps and cloud.any():
        cloud = np.asarray(ndimage.binary_dilation(cloud, iterations=steps))
    reach = cloud.copy() if steps else np.zeros_like(cloud)
    for distance in np.arange(low, max(high, low + 1.0)):
        rows = round(distance * np.cos(np.radians(azimuth)))
        cols = round(-distance * np.sin(np.radians(azimuth)))
        reach |= _moved(cloud, rows, cols)
    return reach


def _moved(mask: Bools, rows: int, cols: int) -> Bools:
    """The mask shifted by whole pixels; what leaves the frame is gone."""
    moved = np.zeros_like(mask)
    height, width = mask.shape
    if abs(rows) >= height or abs(cols) >= width:
        return moved
    arrive = _overlap(rows, height), _overlap(cols, width)
    leave = _overlap(-rows, height), _overlap(-cols, width)
    moved[arrive] = mask[leave]
    return moved


def _overlap(shift: int, size: int) -> slice:
    return slice(max(shift, 0), size + min(shift, 0))
