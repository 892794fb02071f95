"""One simulated acquisition: a known ground under a known sky, seen by a known sensor.

Request --> simulate --> Acquisition   (the writers of SAFE and Collection 2 folders read it)

tile, time --> grids, sun, track          landscape.py geometry.py detectors.py
weather    --> state, clouds              weather.py sky.py
per band       ground -> atmosphere -> cloud -> cirrus -> noise -> swath edge      radiation.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, get_args

import numpy as np
import numpy.typing as npt

from undersky.atmosphere.emulator import Emulator
from undersky.atmosphere.state import AtmosphereState, Coefficients, Geometry, fold_azimuth
from undersky.bands import SENSORS, Sensor
from undersky.errors import ConfigError
from undersky.grid import Floats, Grid, node_count
from undersky.quality import Quality, QualityBits
from undersky.scene import Angles, AtmospherePrior
from undersky.synth.detectors import COUNT, band_angles, tile_detectors
from undersky.synth.fractal import Frame, area_mean
from undersky.synth.geometry import (
    HALF_SWATH_KM,
    Detector,
    Doubles,
    Track,
    grid_at,
    lonlat,
    node_positions,
    sun_position,
    track_over,
)
from undersky.synth.landscape import Landscape, landscape
from undersky.synth.library import Split
from undersky.synth.radiation import Column, band_toa
from undersky.synth.sky import Directions, Sky, make_sky
from undersky.synth.weather import Weather, draw_state, forecast
from undersky.tiles import Site, site

SUMMER_MORNING = datetime(2023, 7, 14, 10, 20, 31, 24_000, tzinfo=UTC)
"""Sensing time where none is asked for."""
NODE_SPACING_M = 2000.0
"""About the distance of the nodes on which angles and atmosphere are given."""

Array = npt.NDArray[np.floating[Any]]


class Atmosphere(Protocol):
    """What turns state and geometry into coefficients of every band: the emulator, or a test's stand-in."""

    def __call__(self, state: AtmosphereState[Array], geometry: Geometry[Array], /) -> Coefficients[Array]:
        """Coefficients (band, y, x), bands in the sensor's order."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be simulated. Equal requests give equal arrays.

    Raises:
        ConfigError: An unknown sensor or split, a time without its zone, a share that is none.
    """

    sensor: str = "S2A"
    """Sensor key: S2A S2B S2C L8 L9."""
    tile: str = "32TQM"
    """MGRS tile for Sentinel-2, path and row (`195028`) for Landsat: fixes UTM zone and place."""
    acquired: datetime = SUMMER_MORNING
    """Sensing time (UTC, aware): fixes sun and season; `geometry.overpass_time` gives a plausible one."""
    seed: int = 0
    """Of the ground. The same seed and place is the same ground for every sensor and date."""
    weather: int | None = None
    """Seed of atmosphere, clouds, orbit and noise; when None it follows from seed, sensor and time."""
    theme: str | None = None
    """Kind of landscape, one of `landscape.THEMES`; drawn from the seed when None."""
    split: Split = "train"
    """Which half of the spectral library the ground is made of: `train` or `test`."""
    cloud_cover: float = 0.15
    """Share of the footprint under opaque cloud, 0 .. 1."""
    cirrus: float = 0.0
    """Share of the footprint under thin cirrus, 0 .. 1."""
    weather_values: Weather = Weather()  # noqa: RUF009  # frozen, so sharing one default is safe
    """Values of the atmosphere that are wanted; what is None is drawn."""
    detector_seam: bool = False
    """True when the border of two Sentinel-2 detectors crosses the footprint; else one sees all of it."""
    nodata_edge: bool = False
    """True when the swath's edge crosses the footprint: NaN beyond it."""
    noise: bool = True
    """True when the sensor's noise is added."""
    adjacency: bool = False
    """True when the light of a pixel's surroundings reaches it through the atmosphere."""
    size_m: int = 10_980
    """Side of the square footprint at the tile's upper-left corner, a multiple of 180 m."""
    origin_m: tuple[float, float] | None = None
    """Upper-left corner (x, y) in the tile's CRS when it should not be the tile's own."""

    def __post_init__(self) -> None:
        if self.sensor not in SENSORS:
            raise ConfigError(f"no sensor {self.sensor!r}; there are {' '.join(SENSORS)}")
        if self.split not in get_args(Split):
            raise ConfigError(f"no split {self.split!r}; spectra are for {' or '.join(get_args(Split))}")
        if self.acquired.tzinfo is None:
            raise ConfigError(f"{self.acquired} names no time zone; give a sensing time in UTC")
        for name in ("cloud_cover", "cirrus"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} {getattr(self, name)} is no share; give 0 to 1")


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Everything known of one simulated acquisition. Bands are at native resolution, keyed by their name."""

    request: Request
    """What was asked for."""
    sensor: Sensor
    """The instrument."""
    acquired: datetime
    """Sensing time, UTC."""
    tile: str
    """As asked for."""
    grids: Mapping[str, Grid]
    """Raster grid of every band."""
    grid: Grid
    """The finest corrected grid (10 m, Landsat 30 m): quality and classes live on it."""
    toa: Mapping[str, Floats]
    """Top-of-atmosphere reflectance of every reflective band, float32 (y, x), NaN beyond the swath."""
    surface: Mapping[str, Floats]
    """True surface reflectance of all bands but cirrus, float32 (y, x), under cloud and past the swath."""
    quality: QualityBits
    """True bits on `grid`: NODATA, CLOUD, CLOUD_SHADOW, CIRRUS, SNOW, WATER."""
    state: AtmosphereState[Array]
    """The true atmosphere, (y, x) on edge-to-edge nodes."""
    geometry: Geometry[Array]
    """Angles on the same nodes as `state`, per band: exactly what the simulation used."""
    angles: Angles
    """The same angles as a scene carries them, detectors merged."""
    detectors: Mapping[str, tuple[Detector, ...]]
    """Sentinel-2: per band, the detectors that see the tile, with their angle grids; empty for Landsat."""
    prior: AtmospherePrior
    """A forecast of the state as a product would carry it: smooth, biased, noisy."""
    elevation_m: Floats
    """True elevation on `grid`."""
    surface_class: npt.NDArray[np.uint8]
    """`landscape.SurfaceClass` on `grid`."""
    cloud_percent: float
    """Share of the valid pixels under opaque cloud, 0 .. 100."""


def simulate(request: Request, *, atmosphere: Atmosphere | None = None) -> Acquisition:
    """The acquisition that the request describes.

    Args:
        request: What to simulate.
        atmosphere: State and geometry to coefficients; the emulator of the request's sensor when None.

    Raises:
        ConfigError: An unknown tile or theme, a size that does not divide, or a sun too low.
    """
    scene = _lay_out(request)
    ground = landscape(
        request.seed,
        Frame.of(scene.finest),
        theme=request.theme,
        day=scene.season_day,
        split=request.split,
    )
    elevation = _on(ground.elevation_m, scene.grid)
    state = draw_state(request.weather_values, elevation, nodes=scene.nodes, generator=scene.generator)
    sky = make_sky(
        Frame.of(scene.finest),
        scene.directions,
        cloud_cover=request.cloud_cover,
        cirrus_cover=request.cirrus,
        generator=scene.generator,
    )
    emulate = atmosphere or Emulator.load(scene.sensor.key)
    toa, surface = _bands(scene, ground=ground, sky=sky, column=Column(state, emulate(state, scene.geometry)))
    quality = _quality(scene, ground=ground, sky=sky)
    valid = (quality & np.uint16(Quality.NODATA)) == 0
    cloudy = (quality & np.uint16(Quality.CLOUD)) != 0
    return Acquisition(
        request=request,
        sensor=scene.sensor,
        acquired=request.acquired,
        tile=request.tile,
        grids=scene.grids,
        grid=scene.grid,
        toa=toa,
        surface=surface,
        quality=quality,
        state=state,
        geometry=scene.geometry,
        angles=scene.angles,
        detectors=tile_detectors(scene.sensor, scene.track, site=scene.site, grid=scene.grid),
        prior=forecast(state, elevation, generator=scene.generator),
        elevation_m=elevation,
        surface_class=_classes_on(ground, scene.grid),
        cloud_percent=float(100.0 * cloudy[valid].mean()) if bool(valid.any()) else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where, when and in which directions, before anything is painted."""

    request: Request
    sensor: Sensor
    site: Site
    grids: dict[str, Grid]
    grid: Grid
    finest: Grid
    track: Track
    nodes: tuple[int, int]
    angles: Angles
    geometry: Geometry[Array]
    season_day: int
    generator: np.random.Generator

    @property
    def directions(self) -> Directions:
        """Sun and sensor in the middle, for the sky."""
        view = self.sensor.bands[3].name
        fields = (
            self.angles.sun_zenith,
            self.angles.sun_azimuth,
            self.angles.view_zenith[view],
            self.angles.view_azimuth[view],
        )
        return Directions(*(float(field[self.nodes[0] // 2, self.nodes[1] // 2]) for field in fields))


def _lay_out(request: Request) -> _Scene:
    sensor, generator = SENSORS[request.sensor], _generator(request)
    place = site(request.tile)
    if request.origin_m is not None:
        place = Site(place.epsg, *request.origin_m)
    sizes = {band.resolution_m for band in sensor.bands}
    by_size = {size: grid_at(place, resolution_m=size, size_m=request.size_m) for size in sizes}
    grid = by_size[min(band.resolution_m for band in sensor.corrected_bands)]
    nodes = node_count(grid, spacing_m=NODE_SPACING_M)
    x, y = node_positions(grid, nodes)
    longitude, latitude = lonlat(place.epsg, x, y)
    track = _track(
        request, sensor, middle=(float(x.mean()), float(y.mean()), float(latitude.mean())), rng=generator
    )
    sun = sun_position(request.acquired, longitude, latitude)
    if float(sun[0].max()) > 80.0:
        raise ConfigError(
            f"the sun stands {90.0 - float(sun[0].max()):.1f} degrees high over {request.tile} at "
            f"{request.acquired.isoformat()}; take a time between mid-morning and noon there"
        )
    angles, geometry = _directions(sensor, sun=sun, view=band_angles(sensor, track, x=x, y=y))
    day = request.acquired.timetuple().tm_yday + (0 if float(latitude.mean()) >= 0 else 182)
    return _Scene(
        request=request,
        sensor=sensor,
        site=place,
        grids={band.name: by_size[band.resolution_m] for band in sensor.bands},
        grid=grid,
        finest=by_size[min(sizes)],
        track=track,
        nodes=nodes,
        angles=angles,
        geometry=geometry,
        season_day=(day - 1) % 365 + 1,
        generator=generator,
    )


def _generator(request: Request) -> np.random.Generator:
    """Of everything but the ground."""
    if request.weather is not None:
        return np.random.default_rng(request.weather)
    key = list(SENSORS).index(request.sensor), round(request.acquired.timestamp())
    return np.random.default_rng([request.seed, *key])


def _track(
    request: Request, sensor: Sensor, *, middle: tuple[float, float, float], rng: np.random.Generator
) -> Track:
    """A pass that sees the middle through a detector's middle, its border, or near the swath's edge."""
    half = HALF_SWATH_KM[sensor.constellation]
    width = 2.0 * half / COUNT
    detector = int(rng.integers(1, COUNT - 1))
    across = -half + width * (detector + (0.0 if request.detector_seam else 0.5))
    if request.nodata_edge:
        across = half - float(rng.uniform(-0.1, 0.2)) * request.size_m / 1000.0
    x, y, latitude = middle
    return track_over(x, y, latitude=latitude, across_km=across, constellation=sensor.constellation)


def _directions(
    sensor: Sensor, *, sun: tuple[Doubles, Doubles], view: tuple[Doubles, Doubles]
) -> tuple[Angles, Geometry[Array]]:
    """The angles as a scene carries them, and exactly the same ones as the atmosphere wants them."""
    sun_zenith, sun_azimuth = (field.astype(np.float32) for field in sun)
    zenith, azimuth = (field.astype(np.float32) for field in view)
    names = [band.name for band in sensor.bands]
    angles = Angles(
        sun_zenith, sun_azimuth, dict(zip(names, zenith, strict=True)), dict(zip(names, azimuth, strict=True))
    )
    return angles, Geometry(sun_zenith, zenith, fold_azimuth(sun_azimuth, azimuth), per_band=True)


def _bands(
    scene: _Scene, *, ground: Landscape, sky: Sky, column: Column
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """What is measured and what is true, per band at its own resolution."""
    toa: dict[str, Floats] = {}
    surface: dict[str, Floats] = {}
    for resolution in sorted({band.resolution_m for band in scene.sensor.bands}):
        of_size = [i for i, band in enumerate(scene.sensor.bands) if band.resolution_m == resolution]
        truth = ground.surface_reflectance(scene.sensor.key, pixel_m=resolution, bands=of_size)
        coarse_sky = sky.seen_by(round(resolution / ground.frame.pixel_m))
        beyond = _beyond_swath(scene, scene.grids[scene.sensor.bands[of_size[0]].name])
        for index, rho in zip(of_size, truth, strict=True):
            band = scene.sensor.bands[index]
            if band.role != "cirrus":
                surface[band.name] = rho
            generator = scene.generator if scene.request.noise else None
            measured = band_toa(
                rho,
                sky=coarse_sky,
                column=column.of_band(scene.sensor, index, geometry=scene.geometry),
                adjacency_m=resolution if scene.request.adjacency else None,
                generator=generator,
            )
            toa[band.name] = np.where(beyond, np.float32(np.nan), measured)
    return toa, surface


def _beyond_swath(scene: _Scene, grid: Grid) -> npt.NDArray[np.bool_]:
    east, north = Frame.of(grid).centres()
    across = scene.track.across_km(east[None, :], north[:, None])
    return np.asarray(np.abs(across) > scene.track.half_swath_km)


def _quality(scene: _Scene, *, ground: Landscape, sky: Sky) -> QualityBits:
    bits = sky.seen_by(round(scene.grid.affine.a / ground.frame.pixel_m)).quality()
    bits = bits | np.where(_on(ground.water, scene.grid) > 0.5, np.uint16(Quality.WATER), np.uint16(0))
    bits = bits | np.where(_on(ground.snow, scene.grid) > 0.5, np.uint16(Quality.SNOW), np.uint16(0))
    beyond = _beyond_swath(scene, scene.grid)
    return np.where(beyond, np.uint16(Quality.NODATA), bits).astype(np.uint16)


def _on(field: Floats, grid: Grid) -> Floats:
    """A field of the finest grid, averaged to a coarser one."""
    factor = field.shape[0] // grid.shape[0]
    return field if factor == 1 else area_mean(field, factor)


def _classes_on(ground: Landscape, grid: Grid) -> npt.NDArray[np.uint8]:
    factor = ground.frame.rows // grid.shape[0]
    return ground.surface_class[factor // 2 :: factor, factor // 2 :: factor]
