"""Files and layers of a product, finished."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from undersky.grid import Grid
from undersky.raster.commit import sha256_of
from undersky.raster.encoding import Layer


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished file of a product."""

    path: Path
    """Where it lies; its name is the asset's href."""
    size: int
    """Bytes."""
    sha256: str
    """Hex digest of its bytes."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """The file as it lies on the disk."""
        return cls(path, path.stat().st_size, sha256_of(path))


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """A finished layer of a product."""

    layer: Layer
    """What is stored and how."""
    grid: Grid
    """Where its pixels lie."""
    file: WrittenFile
    """The COG."""
    statistics: Mapping[str, float] = field(default_factory=dict)
    """minimum, maximum, mean, stddev of its stored values; empty where every pixel is nodata."""
