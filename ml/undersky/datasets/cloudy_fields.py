"""Shapes without a colour for clouded scenes: fields that repeat at their edges, so any shift fits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats
from undersky.synth.fractal import Frame
from undersky.synth.parcels import divide

FIELD_PX = 256
"""Pixels along each side of a field."""
WAVELENGTHS_PX = (6.0, 10.0, 16.0, 26.0, 42.0, 68.0, 110.0)
"""Size of the largest billows, one bank each."""

Halves = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class FieldBank:
    """Fields of zero mean and unit variance."""

    billows: Halves
    """Clouds and ground, (wavelength, count, FIELD_PX, FIELD_PX), each repeating at its edges."""
    streaks: Halves
    """Cirrus, drawn out along the columns, (count, FIELD_PX, FIELD_PX)."""
    parcels: Halves
    """Fields with sharp edges, (count, FIELD_PX, FIELD_PX); they do not repeat."""

    @staticmethod
    def window(field: Floats, corner: npt.NDArray[np.int64], size: int) -> Floats:
        """The square of that size whose upper left pixel is `corner`; past an edge the other side follows."""
        rows, cols = ((int(first) + np.arange(size)) % FIELD_PX for first in corner)
        return field[np.ix_(rows, cols)]

    def clouds(self, wavelength_px: float, chance: np.random.Generator) -> Floats:
        """A whole field, its billows of about that size, turned anyhow."""
        apart = np.abs(np.log(np.array(WAVELENGTHS_PX) / wavelength_px))
        bank = self.billows[int(apart.argmin())]
        return _turned(bank[int(chance.integers(len(bank)))].astype(np.float32), chance)

    def cirrus(self, size: int, chance: np.random.Generator) -> Floats:
        """A window on streaks."""
        field = _turned(self.streaks[int(chance.integers(len(self.streaks)))].astype(np.float32), chance)
        return self.window(field, chance.integers(0, FIELD_PX, 2), size)

    def ground(self, count: int, size: int, chance: np.random.Generator) -> Floats:
        """That many windows on billows and parcels, (count, size, size)."""
        out = np.empty((count, size, size), dtype=np.float32)
        for row in out:
            if chance.random() < 0.25:
                field = self.parcels[int(chance.integers(len(self.parcels)))]
                corner = chance.integers(0, FIELD_PX - size, 2)
            else:
                bank = self.billows[int(chance.integers(len(self.billows)))]
                field, corner = bank[int(chance.integers(len(bank)))], chance.integers(0, FIELD_PX, 2)
            row[:] = self.window(field, corner, size)
        return out


def draw_fields(count: int, generator: np.random.Generator) -> FieldBank:
    """Banks with that many fields for each wavelength."""
    billows = [[_billows(length, generator) for _ in range(count)] for length in WAVELENGTHS_PX]
    streaks = [_spectral(generator.uniform(12.0, 40.0), 2.6, generator, stretch=5.0) for _ in range(count)]
    parcels = [_parcels(generator) for _ in range(count)]
    return FieldBank(*(np.array(bank, dtype=np.float16) for bank in (billows, streaks, parcels)))


def _billows(length: float, generator: np.random.Generator) -> Floats:
    """Heaped tops, ragged at the edges, some smoother and some with lumps."""
    slope = float(generator.uniform(2.2, 3.4))
    heaps = _spectral(length, slope, generator)
    lumps = np.abs(_spectral(max(0.35 * length, 4.0), 2.4, generator))
    return _normalised(heaps + np.float32(generator.uniform(0.0, 0.6)) * lumps)


def _spectral(length: float, slope: float, generator: np.random.Generator, *, stretch: float = 1.0) -> Floats:
    """Noise whose power falls as frequency**-slope beyond 1 / length, and is flat below."""
    white = np.fft.rfft2(generator.standard_normal((FIELD_PX, FIELD_PX), dtype=np.float32))
    rows, cols = np.fft.fftfreq(FIELD_PX)[:, None], stretch * np.fft.rfftfreq(FIELD_PX)[None, :]
    frequency = np.hypot(rows, cols) * length
    return _normalised(np.fft.irfft2(white * (1.0 + frequency**2) ** (-slope / 2.0)))


def _parcels(generator: np.random.Generator) -> Floats:
    strip = float(generator.uniform(4.0, 16.0))
    salt = int(generator.integers(1 << 40))
    frame = Frame(FIELD_PX, FIELD_PX, 1.0)
    level = divide(frame, district_m=5.0 * strip, strip_m=strip, salt=salt).draw(salt + 11)
    rough = _spectral(8.0, 2.4, generator)
    return _normalised(np.sqrt(12.0) * (level - 0.5) + 0.3 * rough)


def _normalised(field: npt.NDArray[np.floating]) -> Floats:
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def _turned(field: Floats, chance: np.random.Generator) -> Floats:
    turned = np.rot90(field, int(chance.integers(4)))
    return turned[:, ::-1] if chance.random() < 0.5 else turned
