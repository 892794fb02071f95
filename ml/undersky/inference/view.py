"""A scene seen from afar: its bands at reduced resolution, each read once whoever asks.

The quality tests, the water vapour and the network look at the same pixels; decoding them is what costs.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats, resolution_m, whole
from undersky.scene import Scene

Scalar = TypeVar("Scalar", bound=np.generic)

RESOLUTION_M = 80.0
"""Ground size of a pixel from afar, unless the scene's own are coarser (JPEG 2000 halves: 10, 20, 40, 80)."""


class View:
    """One scene from afar."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._read: dict[tuple[str, tuple[int, int]], Floats] = {}

    def toa(self, band: str, shape: tuple[int, int]) -> Floats:
        """Top-of-atmosphere reflectance of a band over the footprint, (y, x) of that shape, NaN at nodata.

        Raises:
            DataError: The pixels cannot be decoded.
        """
        key = (band, shape)
        if key not in self._read:
            source = self.scene.bands[band]
            self._read[key] = source.toa_reflectance(whole(source.grid), shape=shape)
        return self._read[key]

    def shape(self, pixel_m: float = RESOLUTION_M) -> tuple[int, int]:
        """Rows and columns at about that pixel size: whole multiples of the scene's own."""
        rows, cols = self.scene.grid.shape
        step = max(1, round(pixel_m / resolution_m(self.scene.grid)))
        return -(-rows // step), -(-cols // step)

    def band_of(self, role: str) -> str | None:
        """The scene's band of that common name; a broad near infrared stands in for a missing narrow one."""
        bands = self.scene.sensor.bands
        by_role = {band.common_name: band.name for band in bands if band.name in self.scene.bands}
        return by_role.get(role, by_role.get("nir") if role == "nir08" else None)


class Views:
    """The view of the scene that is being worked on; the last one only, since it is large."""

    def __init__(self) -> None:
        self._last: View | None = None

    def of(self, scene: Scene) -> View:
        """Its view."""
        if self._last is None or self._last.scene is not scene:
            self._last = View(scene)
        return self._last

    def forget(self) -> None:
        """The memory is free again."""
        self._last = None


def at_shape(values: npt.NDArray[Scalar], shape: tuple[int, int]) -> npt.NDArray[Scalar]:
    """A mask or field (y, x) over the same footprint at another shape, by the nearest pixel."""
    rows, cols = (
        np.minimum(((np.arange(want) + 0.5) * have / want).astype(int), have - 1)
        for have, want in zip(values.shape, shape, strict=True)
    )
    return values[np.ix_(rows, cols)]
