"""Sun and view directions of an acquisition on the nodes of its whole tile, as MTD_TL.xml carries them.

An acquisition knows its angles on edge-to-edge nodes over its own footprint; the tile's grids are 23 x 23
nodes, 5 km apart, from the same upper-left corner. Inside the footprint they are interpolated, beyond it
continued straight, so that whoever reads the document back finds the acquisition's own angles.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from undersky.grid import Floats, Grid, resolution_m
from undersky.scene import Angles
from undersky.synth.geometry import Detector

NODES = 23
"""Nodes a side."""
STEP_M = 5000.0
"""Between neighbouring nodes."""


@dataclass(frozen=True, slots=True)
class TileAngles:
    """The angles of MTD_TL.xml, degrees."""

    sun_zenith: Floats
    """(23, 23)."""
    sun_azimuth: Floats
    """(23, 23), clockwise from north."""
    mean_sun: tuple[float, float]
    """Zenith and azimuth in the middle of the footprint."""
    detectors: Mapping[str, tuple[Detector, ...]]
    """Per band, the detectors that see the tile."""
    mean_view: Mapping[str, tuple[float, float]]
    """Per band, zenith and azimuth averaged over the footprint."""


def tile_angles(angles: Angles, detectors: Mapping[str, tuple[Detector, ...]], *, grid: Grid) -> TileAngles:
    """The document's angles of an acquisition whose footprint is that grid's."""
    rows, cols = grid.shape
    size_m = (rows * resolution_m(grid), cols * resolution_m(grid))
    return TileAngles(
        sun_zenith=continued(angles.sun_zenith, size_m=size_m),
        sun_azimuth=continued_azimuth(angles.sun_azimuth, size_m=size_m),
        mean_sun=(float(angles.sun_zenith.mean()), mean_azimuth(angles.sun_azimuth)),
        detectors=detectors,
        mean_view={
            band: (float(np.nanmean(zenith)), mean_azimuth(angles.view_azimuth[band]))
            for band, zenith in angles.view_zenith.items()
        },
    )


def continued(field: Floats, *, size_m: tuple[float, float]) -> Floats:
    """The field of edge-to-edge nodes over a footprint of that height and width, on the tile's nodes."""
    rows = _weights(field.shape[0], size_m[0])
    cols = _weights(field.shape[1], size_m[1])
    return (rows @ field.astype(np.float64) @ cols.T).astype(np.float32)


def continued_azimuth(azimuth: Floats, *, size_m: tuple[float, float]) -> Floats:
    """As `continued`, through north without a jump; 0 to 360."""
    middle = mean_azimuth(azimuth)
    offset = ((azimuth - middle + 180.0) % 360.0 - 180.0).astype(np.float32)
    return ((continued(offset, size_m=size_m) + middle) % 360.0).astype(np.float32)


def _weights(nodes: int, size_m: float) -> npt.NDArray[np.float64]:
    """(23, nodes): between two nodes bilinear, beyond the last ones the straight continuation."""
    position = np.arange(NODES) * STEP_M / size_m * (nodes - 1)
    left = np.clip(position.astype(int), 0, nodes - 2)
    weights = np.zeros((NODES, nodes))
    index = np.arange(NODES)
    weights[index, left] = 1.0 - (position - left)
    weights[index, left + 1] = position - left
    return weights


def mean_azimuth(azimuth: Floats) -> float:
    """The mean direction, 0 to 360; NaN does not count."""
    radians = np.radians(azimuth.astype(np.float64))
    return float(np.degrees(np.arctan2(np.nanmean(np.sin(radians)), np.nanmean(np.cos(radians)))) % 360.0)
