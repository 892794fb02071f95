"""Cuts a suite by what a pooled number hides: aerosol, surface, sensor, sun zenith, AOD."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

Dimension = Literal["all", "aerosol", "surface", "sensor", "sun_zenith", "aot_550"]

DIMENSIONS: tuple[Dimension, ...] = ("all", "aerosol", "surface", "sensor", "sun_zenith", "aot_550")
"""In the order of the report."""

MINIMUM_PIXELS = 10_000
"""A slice with fewer pixels is not shown: it would be one scene's luck."""

SUN_ZENITH_EDGES = (15.0, 35.0, 50.0, 60.0, 70.0)
"""Degrees."""
AOT_EDGES = (0.0, 0.1, 0.2, 0.4, 0.6, 1.0)
"""Optical depth at 550 nm."""


def interval(value: float, edges: tuple[float, ...]) -> str:
    """The interval above its lower edge, up to and with its upper, that holds the value: `0.1-0.2`.

    Values beyond the edges belong to the first or last interval.
    """
    index = int(np.clip(np.searchsorted(edges, value, side="left") - 1, 0, len(edges) - 2))
    return f"{edges[index]:g}-{edges[index + 1]:g}"


def scene_slices(
    *, aerosol: str | None, sensor: str, sun_zenith: float, aot_550: float
) -> Iterator[tuple[Dimension, str]]:
    """Every slice that a whole scene belongs to; surface is decided per pixel.

    A scene of unknown aerosol (None) or optical depth (NaN) belongs to no slice of it.
    """
    yield "all", "all"
    if aerosol is not None:
        yield "aerosol", aerosol
    yield "sensor", sensor
    yield "sun_zenith", interval(sun_zenith, SUN_ZENITH_EDGES)
    if np.isfinite(aot_550):
        yield "aot_550", interval(aot_550, AOT_EDGES)
