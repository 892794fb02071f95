r"""Clouds with their shadows where the sun throws them, and thin cirrus above.

sun                        A layer is one field high above the ground. A pixel p sees the cloud at
  \        [cloud]         p + height * tan(view zenith) towards the sensor, and lies in the shadow of
   \      /  |             the cloud at p + height * tan(sun zenith) towards the sun. Both are the same
 shadow  p               field on a moved frame, so a cloud outside the scene throws its shadow in.
"""

import math
from dataclasses import dataclass

import numpy as np

from undersky.grid import Floats
from undersky.quality import Quality, QualityBits
from undersky.synth.fractal import Frame, area_mean, fractal


@dataclass(frozen=True, slots=True)
class Directions:
    """Where sun and sensor stand, seen from the scene's middle, degrees."""

    sun_zenith: float
    """0 at the zenith."""
    sun_azimuth: float
    """Clockwise from north."""
    view_zenith: float
    """0 at the zenith."""
    view_azimuth: float
    """Clockwise from north."""


@dataclass(frozen=True, slots=True)
class Sky:
    """What hangs between ground and sensor, on one frame, each (y, x)."""

    opacity: Floats
    """Share of the pixel's light that comes from the cloud, 0 .. 1."""
    thickness: Floats
    """0 at a cloud's edge, 1 in its thick middle: how bright it is."""
    shadow: Floats
    """Share of the direct sunlight kept from the ground, 0 .. 1."""
    cirrus: Floats
    """Reflectance of the cirrus, 0 where there is none."""
    top_m: float
    """Height of the clouds' tops."""
    cirrus_top_m: float
    """Height of the cirrus."""

    def seen_by(self, factor: int) -> "Sky":
        """The same sky in pixels that many times as large."""
        if factor == 1:
            return self
        return Sky(
            opacity=area_mean(self.opacity, factor),
            thickness=area_mean(self.thickness, factor),
            shadow=area_mean(self.shadow, factor),
            cirrus=area_mean(self.cirrus, factor),
            top_m=self.top_m,
            cirrus_top_m=self.cirrus_top_m,
        )

    def quality(self) -> QualityBits:
        """True CLOUD, CLOUD_SHADOW and CIRRUS bits."""
        cloud = self.opacity > 0.1
        bits = np.zeros(cloud.shape, dtype=np.uint16)
        bits[(self.shadow > 0.15) & ~cloud] |= np.uint16(Quality.CLOUD_SHADOW)
        bits[(self.cirrus > 0.005) & ~cloud] |= np.uint16(Quality.CIRRUS)
        bits[cloud] = np.uint16(Quality.CLOUD)
        return bits


def make_sky(
    frame: Frame,
    directions: Directions,
    *,
    cloud_cover: float,
    cirrus_cover: float,
    generator: np.random.Generator,
) -> Sky:
    """A sky with about these shares of the frame under cloud and under cirrus.

    Args:
        frame: The pixels.
        directions: Sun and sensor.
        cloud_cover: Share of the frame, 0 .. 1.
        cirrus_cover: Share of the frame, 0 .. 1.
        generator: Draws heights, sizes and shapes.
    """
    salt, top_m = int(generator.integers(1 << 62)), float(generator.uniform(900.0, 3200.0))
    size_m, cirrus_top_m = float(generator.uniform(1500.0, 4200.0)), float(generator.uniform(8500.0, 11500.0))
    seen = frame.moved(*_towards(top_m, directions.view_zenith, directions.view_azimuth))
    sunlit = frame.moved(*_towards(top_m, directions.sun_zenith, directions.sun_azimuth))
    field = _billows(seen, size_m=size_m, salt=salt)
    level = _level(field, cloud_cover)
    thickness = np.asarray(np.clip((field - level) / 1.1, 0.0, 1.0), dtype=np.float32)
    shadow = _cover(_billows(sunlit, size_m=size_m, salt=salt), level)
    veil = frame.moved(*_towards(cirrus_top_m, directions.view_zenith, directions.view_azimuth))
    return Sky(
        opacity=_cover(field, level),
        thickness=thickness,
        shadow=shadow,
        cirrus=_cirrus(veil, cover=cirrus_cover, salt=salt + 1),
        top_m=top_m,
        cirrus_top_m=cirrus_top_m,
    )


def _towards(height_m: float, zenith: float, azimuth: float) -> tuple[float, float]:
    """Eastward and northward distance from a pixel to the point of a layer in that direction, metres."""
    reach, turn = height_m * math.tan(math.radians(zenith)), math.radians(azimuth)
    return reach * math.sin(turn), reach * math.cos(turn)


def _billows(frame: Frame, *, size_m: float, salt: int) -> Floats:
    """Cumulus: heaped tops of a fractal, ragged at the edges."""
    heaps = fractal(frame, size_m, salt=salt, persistence=0.55)
    lumps = np.float32(0.35) * np.abs(fractal(frame, 0.35 * size_m, salt=salt + 11, persistence=0.6))
    return np.asarray(heaps + lumps, dtype=np.float32)


def _level(field: Floats, cover: float) -> float:
    """The value above which lies that share of the field."""
    if cover <= 0.0:
        return math.inf
    return float(np.quantile(field, 1.0 - min(cover, 1.0))) - (10.0 if cover >= 1.0 else 0.0)


def _cover(field: Floats, level: float) -> Floats:
    """Opaque above the level, thinning out over a soft edge."""
    t = np.clip((field - (level - 0.12)) / 0.34, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def _cirrus(frame: Frame, *, cover: float, salt: int) -> Floats:
    """Long thin streaks, up to a tenth of reflectance."""
    if cover <= 0.0:
        return np.zeros(frame.shape, dtype=np.float32)
    streaks = fractal(frame, 1800.0, salt=salt, persistence=0.6, stretch=5.0)
    above = np.maximum(streaks - _level(streaks, cover), 0.0)
    return np.asarray(0.1 * (1.0 - np.exp(-0.9 * above)) + 0.006 * (above > 0), dtype=np.float32)


_WAVELENGTH_NM = (400.0, 1000.0, 1300.0, 1375.0, 1610.0, 2200.0)
_CLOUD = (1.0, 0.98, 0.90, 0.70, 0.72, 0.50)
_CIRRUS = (1.0, 1.0, 0.95, 0.85, 0.60, 0.55)


def cloud_reflectance(thickness: Floats, wavelength_nm: float) -> Floats:
    """Reflectance of a cloud's top: white in the visible, darker where its droplets absorb.

    A stated simplification: the shape over wavelength is that of a thick water cloud with droplets of 10 um
    (King et al. 1990, J. Atmos. Sci. 47, 894), scaled from 0.30 at the edge to 0.85 in the middle.
    """
    colour = np.float32(np.interp(wavelength_nm, _WAVELENGTH_NM, _CLOUD))
    return np.asarray(colour * (np.float32(0.30) + np.float32(0.55) * np.sqrt(thickness)), dtype=np.float32)


def cirrus_reflectance(cirrus: Floats, wavelength_nm: float) -> Floats:
    """Reflectance of the cirrus in a band; ice absorbs in the short-wave infrared."""
    return np.asarray(
        cirrus * np.float32(np.interp(wavelength_nm, _WAVELENGTH_NM, _CIRRUS)), dtype=np.float32
    )
