"""Which scenes the frozen suites hold: the distributions that are part of the correction's bars.

    direct-6s          200 scenes, climatological: half continental, AOD lognormal
                       + slice `mixture`: blends of 6S's own aerosol components
    direct-6s-stress   200 scenes, four aerosol types in equal shares, AOD uniform 0.02 to 0.6
                       + slices `aod 0.6-1.0`, `snow`, `water`

Every marginal is stratified (Latin hypercube), so that two hundred scenes follow it without a lucky draw.
The slices `snow` and `water` put other ground under the atmospheres of the main scenes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, qmc

from undersky.atmosphere.sixs import SixsCase
from undersky.errors import ConfigError

Array = npt.NDArray[np.float64]

Surface = Literal["land", "snow", "water"]

SUITES = ("direct-6s", "direct-6s-stress")
"""The frozen suites by name."""

MAIN = "main"
"""The slice whose scenes make the bars; every other slice is reported by itself."""

SENSOR_KEYS = ("S2A", "S2B", "S2C", "L8", "L9")
"""Sensors in turn, so that each has a fifth of the scenes."""

_MAIN_SCENES = 200
_SLICE_SCENES = 20
_CLIMATOLOGY = {"continental": 0.50, "maritime": 0.20, "urban": 0.15, "desert": 0.15}
_EQUAL = {"continental": 0.25, "maritime": 0.25, "urban": 0.25, "desert": 0.25}

# Volume shares of dust-like, water-soluble, oceanic and soot particles in 6S's models (6S manual, part 2).
_COMPONENTS = np.array([[0.70, 0.29, 0.00, 0.01], [0.00, 0.05, 0.95, 0.00], [0.17, 0.61, 0.00, 0.22]])


@dataclass(frozen=True, slots=True)
class SceneDesign:
    """One scene of a suite before 6S has seen it."""

    id: str
    """Unique in its suite: `main-017`."""
    slice: str
    """`main`, or the slice of its own that it belongs to."""
    sensor: str
    """`S2A` .. `L9`."""
    case: SixsCase
    """State and geometry."""
    surface: Surface
    """What kind of ground lies below."""
    seed: int
    """Of the ground's texture and the sensor's noise."""


def design(suite: str) -> tuple[SceneDesign, ...]:
    """All scenes of a suite, the same on every call.

    Raises:
        ConfigError: No such suite.
    """
    if suite == "direct-6s":
        return (*_climatological(), *_mixtures())
    if suite == "direct-6s-stress":
        main = tuple(_scenes(MAIN, _MAIN_SCENES, shares=_EQUAL, aot=(0.02, 0.6), seed=20))
        thick = _scenes("aod 0.6-1.0", _SLICE_SCENES, shares=_EQUAL, aot=(0.6, 1.0), seed=30)
        return (*main, *thick, *_regrounded(main, "snow", seed=40), *_regrounded(main, "water", seed=50))
    raise ConfigError(f"no suite {suite!r}; there are {' '.join(SUITES)}")


def _climatological() -> Iterator[SceneDesign]:
    yield from _scenes(MAIN, _MAIN_SCENES, shares=_CLIMATOLOGY, aot=None, seed=10)


def _mixtures() -> Iterator[SceneDesign]:
    """Blends of the continental, maritime and urban models by volume, uniform on their simplex."""
    weights = np.random.default_rng(61).dirichlet(np.ones(3), _SLICE_SCENES)
    scenes = _scenes("mixture", _SLICE_SCENES, shares={"continental": 1.0}, aot=None, seed=60)
    for scene, weight in zip(scenes, weights, strict=True):
        shares = tuple(round(float(share), 5) for share in weight @ _COMPONENTS)
        yield replace(scene, case=replace(scene.case, aerosol="mixture", components=shares))


def _regrounded(main: tuple[SceneDesign, ...], surface: Surface, *, seed: int) -> Iterator[SceneDesign]:
    """Other ground under a tenth of the main atmospheres, drawn without a pattern."""
    chosen = np.random.default_rng(seed).choice(len(main), _SLICE_SCENES, replace=False)
    for index, source in enumerate(np.sort(chosen)):
        below = replace(main[source], id=f"{surface}-{index:03d}", slice=surface, surface=surface)
        yield replace(below, seed=seed * 1000 + index)


def _scenes(
    name: str, count: int, *, shares: dict[str, float], aot: tuple[float, float] | None, seed: int
) -> Iterator[SceneDesign]:
    points = qmc.LatinHypercube(7, rng=np.random.default_rng(seed)).random(count)
    aerosols = np.repeat(list(shares), [round(share * count) for share in shares.values()])
    np.random.default_rng(seed + 1).shuffle(aerosols)
    for index, (point, aerosol) in enumerate(zip(points, aerosols, strict=True)):
        yield SceneDesign(
            id=f"{name.replace(' ', '-')}-{index:03d}",
            slice=name,
            sensor=SENSOR_KEYS[index % len(SENSOR_KEYS)],
            case=_case(point, str(aerosol), aot=_aot(point[6], aot)),
            surface="land",
            seed=seed * 1000 + index,
        )


def _aot(quantile: float, limits: tuple[float, float] | None) -> float:
    """Uniform between the limits; without any lognormal, median 0.13, sigma 0.75, clipped to 0.01 .. 0.6."""
    if limits is not None:
        return limits[0] + (limits[1] - limits[0]) * float(quantile)
    return float(np.clip(0.13 * np.exp(0.75 * norm.ppf(quantile)), 0.01, 0.6))


def _case(point: Array, aerosol: str, *, aot: float) -> SixsCase:
    """Values rounded to what 6S is told, so that the record is the case."""
    low, high = np.cos(np.radians([70.0, 15.0]))
    return SixsCase(
        sun_zenith=round(float(np.degrees(np.arccos(low + (high - low) * point[0]))), 4),
        view_zenith=round(12.0 * float(point[1]), 4),
        relative_azimuth=round(180.0 * float(point[2]), 4),
        aot_550=round(aot, 5),
        aerosol=aerosol,
        water_vapour=round(0.4 + 4.2 * float(point[3]), 4),
        ozone_dobson=round(200.0 + 250.0 * float(point[4]), 2),
        altitude_km=round(2.0 * float(point[5]), 4),
    )
