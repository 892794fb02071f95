"""Acquisitions made by hand: small, quick, and independent of the simulation's physics."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from undersky.atmosphere.state import AtmosphereState, Geometry
from undersky.bands import SENSORS
from undersky.quality import Quality
from undersky.scene import Angles, AtmospherePrior
from undersky.synth.acquisition import Acquisition, Request
from undersky.synth.geometry import Detector
from undersky.synth.tile_angles import continued, continued_azimuth

ORIGIN = (699_960.0, 5_000_040.0)
NODES = (3, 4)


def _grid(size_m: int, resolution: int, origin: tuple[float, float] = ORIGIN) -> GeoBox:
    size = size_m // resolution
    affine = Affine(resolution, 0, origin[0], 0, -resolution, origin[1])
    return GeoBox((size, size), affine, "EPSG:32632")


def _plane(low: float, high: float, shape: tuple[int, int] = NODES) -> np.ndarray:
    rows, cols = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    return (low + (high - low) * (0.3 * rows + 0.7 * cols)).astype(np.float32)


def _detectors(angles: Angles, size_m: int) -> dict[str, tuple[Detector, ...]]:
    """Two detectors that agree with the merged angles and meet along a slanted line."""
    left, top = ORIGIN
    right, bottom, middle = left + size_m, top - size_m, left + size_m * 0.6
    rings = {
        5: ((left, top), (middle, top), (middle - 300, bottom), (left, bottom), (left, top)),
        6: ((middle, top), (right, top), (right, bottom), (middle - 300, bottom), (middle, top)),
    }
    columns = {5: slice(0, 4), 6: slice(1, 9)}
    found: dict[str, tuple[Detector, ...]] = {}
    for band in angles.view_zenith:
        zenith = continued(angles.view_zenith[band], size_m=(size_m, size_m))
        azimuth = continued_azimuth(angles.view_azimuth[band], size_m=(size_m, size_m))
        strips = []
        for number, ring in rings.items():
            seen = np.zeros(zenith.shape, bool)
            seen[:9, columns[number]] = True
            strips.append(
                Detector(
                    number,
                    np.where(seen, np.clip(zenith, 0.1, 14.0), np.nan).astype(np.float32),
                    np.where(seen, azimuth, np.nan).astype(np.float32),
                    ring,
                )
            )
        found[band] = tuple(strips)
    return found


@pytest.fixture(scope="session")
def handmade() -> Callable[..., Acquisition]:
    """A function that makes an acquisition of a sensor, `size_m` metres a side, from a seed."""

    def make(sensor: str = "S2A", *, size_m: int = 1_800, seed: int = 0, edge: bool = False) -> Acquisition:
        rng = np.random.default_rng(seed)
        bands = SENSORS[sensor].bands
        grids = {band.name: _grid(size_m, band.resolution_m) for band in bands}
        finest = grids["B02" if sensor.startswith("S2") else "B2"]
        surface, toa = {}, {}
        for band in bands:
            ground = rng.uniform(0.01, 0.4, grids[band.name].shape).astype(np.float32)
            surface[band.name] = ground
            toa[band.name] = (ground * 0.8 + 0.05).astype(np.float32)
            if band.role == "cirrus":
                toa[band.name] = np.full(ground.shape, 0.002, np.float32)
            if edge:
                toa[band.name][:, : ground.shape[1] // 6] = np.nan
        quality = np.zeros(finest.shape, np.uint16)
        third = finest.shape[0] // 3
        quality[:third, :third] |= np.uint16(Quality.CLOUD)
        quality[third : 2 * third, :third] |= np.uint16(Quality.CIRRUS)
        quality[-third:, -third:] |= np.uint16(Quality.SNOW)
        if edge:
            quality[:, : finest.shape[1] // 6] = np.uint16(Quality.NODATA)
        sun_zenith, sun_azimuth = _plane(31.0, 30.9), _plane(148.0, 148.4)
        views = {band.name: _plane(5.0 + 0.1 * n, 6.0 + 0.1 * n) for n, band in enumerate(bands)}
        azimuths = {band.name: _plane(359.0, 361.5) % 360.0 for band in bands}
        angles = Angles(sun_zenith, sun_azimuth, views, azimuths)
        return Acquisition(
            request=Request(sensor=sensor),
            sensor=SENSORS[sensor],
            acquired=datetime(2025, 6, 13, 10, 15, 42, 120_000, tzinfo=UTC),
            tile="32TQM" if sensor.startswith("S2") else "192028",
            grids=grids,
            grid=finest,
            toa=toa,
            surface={name: value for name, value in surface.items() if name not in ("B10", "B9")},
            quality=quality,
            state=AtmosphereState(
                aot_550=_plane(0.1, 0.3).astype(np.float64),
                water_vapour=_plane(1.5, 2.0).astype(np.float64),
                ozone_dobson=_plane(310, 320).astype(np.float64),
                pressure_hpa=_plane(990, 1000).astype(np.float64),
                aerosol_fractions=np.stack(
                    [_plane(0.7, 0.6), _plane(0.3, 0.4), *([np.zeros(NODES)] * 3)]
                ).astype(np.float64),
            ),
            geometry=Geometry(
                sun_zenith=sun_zenith, view_zenith=views[bands[0].name], relative_azimuth=_plane(140, 141)
            ),
            angles=angles,
            detectors=_detectors(angles, size_m) if sensor.startswith("S2") else {},
            prior=AtmospherePrior(
                "AUX_ECMWFT+AUX_CAMSFO",
                water_vapour=_plane(1.4, 2.2),
                ozone_dobson=_plane(305, 318),
                sea_level_pressure_hpa=_plane(1012, 1016),
                altitude_m=_plane(300, 340),
                aot_550=_plane(0.12, 0.28),
                aot_550_by_species={
                    "sea_salt": _plane(0.02, 0.08),
                    "dust": _plane(0.02, 0.04),
                    "organic_matter": _plane(0.04, 0.08),
                    "black_carbon": _plane(0.01, 0.02),
                    "sulphate": _plane(0.03, 0.06),
                },
            ),
            elevation_m=np.full(finest.shape, 120.0, np.float32),
            surface_class=np.zeros(finest.shape, np.uint8),
            cloud_percent=11.5,
        )

    return make
