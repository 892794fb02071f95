"""Observations and atmospheres that several tests need."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from undersky.atmosphere.state import Coefficients
from undersky.bands import SENSORS
from undersky.datasets.observation import Observation, Place
from undersky.evaluation.correctors import Corrected

PLACE = Place(45.0, 9.0, datetime(2024, 4, 15, 10, 30, tzinfo=UTC), 20.0)


def observation(sensor="S2A", *, bands=None, shape=(8, 8), level=(0.1, 0.4), **changes) -> Observation:
    """A random scene between two levels of reflectance."""
    known = SENSORS[sensor]
    names = bands or tuple(band.name for band in known.corrected_bands)
    toa = np.random.default_rng(2).uniform(*level, (len(names), *shape)).astype(np.float32)
    whole = Observation("test", known, names, toa, 40.0, 5.0, 70.0, 310.0, 0.4, PLACE)
    return replace(whole, **changes)


@dataclass(frozen=True)
class StubAtmosphere:
    """A stand-in for the emulator: grey air, and water vapour that darkens B09 alone."""

    bands: tuple[str, ...]

    def __call__(self, state, geometry):
        shape = np.broadcast_shapes(np.shape(state.aot_550), np.shape(geometry.sun_zenith))
        absorption = np.array([0.3 if name == "B09" else 0.0 for name in self.bands])

        def row(values):
            return np.broadcast_to(np.reshape(values, (-1, *[1] * len(shape))), (len(self.bands), *shape))

        return Coefficients(
            path=row(np.full(len(self.bands), 0.02)) + 0.1 * np.asarray(state.aot_550),
            transmittance=row(np.full(len(self.bands), 0.9)),
            spherical_albedo=row(np.full(len(self.bands), 0.1)),
            gas_transmittance=np.exp(-row(absorption) * np.sqrt(np.asarray(state.water_vapour))),
            outside=np.zeros(shape, dtype=bool),
        )


def stub(sensor, bands):
    return StubAtmosphere(bands)


@dataclass(frozen=True)
class Offset:
    """A method that knows the top of the atmosphere and adds a constant."""

    by: float
    name: str = "offset"
    sigma: float | None = None
    aot_550: float | None = None

    def correct(self, seen):
        surface = seen.toa + np.float32(self.by)
        sigma = None if self.sigma is None else np.full_like(surface, self.sigma)
        return Corrected(surface, sigma, aot_550=self.aot_550)
