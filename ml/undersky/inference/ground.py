"""How high the ground lies, and so how much air stands above it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from undersky.errors import ConfigError
from undersky.grid import Floats, Grid, node_grid, resample_nodes
from undersky.models.physics import PhysicsConfig
from undersky.scene import AtmospherePrior


@dataclass(frozen=True, slots=True)
class Ground:
    """Ground height at the nodes and where it came from."""

    altitude_m: Floats
    """Above sea level, (y, x)."""
    sigma_m: float
    """1-sigma of it."""
    source: str
    """`dem`, `stated`, `prior`, `assumed`: for provenance."""


@dataclass(frozen=True, slots=True)
class GroundOptions:
    """What the user says of the ground; at most one of the two."""

    dem: Path | None = None
    """A raster of heights in metres that covers the scene, in any CRS."""
    altitude_m: float | None = None
    """One height for the whole scene."""

    def __post_init__(self) -> None:
        if self.dem is not None and self.altitude_m is not None:
            raise ConfigError("both a DEM and one altitude were given: give one of them")


def find_ground(
    grid: Grid,
    nodes: tuple[int, int],
    *,
    options: GroundOptions,
    prior: AtmospherePrior | None,
    config: PhysicsConfig,
) -> Ground:
    """The best statement available: a DEM, a stated height, the prior's orography, an assumption.

    Raises:
        ConfigError: The DEM cannot be read or does not cover the scene.
    """
    if options.dem is not None:
        return Ground(_from_dem(options.dem, grid, nodes), config.stated_altitude_sigma_m, "dem")
    if options.altitude_m is not None:
        height = np.full(nodes, options.altitude_m, dtype=np.float32)
        return Ground(height, config.stated_altitude_sigma_m, "stated")
    if prior is not None and prior.altitude_m is not None:
        return Ground(resample_nodes(prior.altitude_m, nodes), config.prior_altitude_sigma_m, "prior")
    height = np.full(nodes, config.assumed_altitude_m, dtype=np.float32)
    return Ground(height, config.assumed_altitude_sigma_m, "assumed")


def _from_dem(path: Path, grid: Grid, nodes: tuple[int, int]) -> Floats:
    """Heights averaged around each node, (y, x)."""
    fitted = node_grid(grid, nodes)
    try:
        with (
            rasterio.open(path) as dem,
            WarpedVRT(
                dem,
                crs=str(grid.crs),
                transform=fitted.affine,
                height=nodes[0],
                width=nodes[1],
                resampling=Resampling.average,
                nodata=np.nan,
                dtype="float32",
            ) as view,
        ):
            height = view.read(1)
    except RasterioError as error:
        raise ConfigError(f"the DEM {path} cannot be read: {error}") from error
    missing = float(np.isnan(height).mean())
    if missing > 0.0:
        raise ConfigError(
            f"the DEM {path.name} leaves {missing:.0%} of the scene without a height: "
            "give one that covers it, or one altitude"
        )
    return np.asarray(height, dtype=np.float32)
