"""`undersky simulate`: one simulated acquisition as a product, with its truth beside it.

Order --> synth.simulate --> product under its true name     DIR/S2B_MSIL1C_....SAFE
                         --> truth beside it                 DIR/S2B_MSIL1C_....truth/
          kind of damage --> malformed product               DIR/<kind>/S2B_MSIL1C_....SAFE
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from undersky.errors import ConfigError
from undersky.synth.acquisition import SUMMER_MORNING, Acquisition, Atmosphere, Request
from undersky.synth.acquisition import simulate as simulate_acquisition
from undersky.synth.geometry import overpass_time
from undersky.synth.landsat import write_landsat
from undersky.synth.malformed import MALFORMED, malform
from undersky.synth.safe import write_safe
from undersky.synth.safe_variants import write_tile_folder, write_zip
from undersky.synth.truth import write_truth

Layout = Literal["folder", "zip", "tile"]

_SAFE_LAYOUTS: MappingProxyType[Layout, Callable[..., Path]] = MappingProxyType(
    {"folder": write_safe, "zip": write_zip, "tile": write_tile_folder}
)


@dataclass(frozen=True, slots=True)
class Order:
    """What `undersky simulate` was asked for. Equal orders give equal bytes."""

    request: Request = field(default_factory=Request)
    """The acquisition."""
    baseline: str = "05.11"
    """Sentinel-2 processing baseline; `02.09` has neither offsets nor raster masks. Landsat has none."""
    layout: Layout = "folder"
    """`folder` (SAFE or Collection 2), `zip`, `tile` (the tile folder AWS keeps); Landsat: `folder` only."""
    malformed: str | None = None
    """A kind of `MALFORMED`, to get a spoilt product instead of a good one."""

    def __post_init__(self) -> None:
        is_landsat = self.request.sensor.startswith("L")
        if is_landsat and self.layout != "folder":
            raise ConfigError(f"Landsat products are simulated as folders, not as {self.layout!r}")
        if self.malformed is None:
            return
        if self.malformed not in MALFORMED:
            kinds = " ".join(MALFORMED)
            raise ConfigError(f"{self.malformed!r} is no kind of malformed product; choose one of {kinds}")
        if (MALFORMED[self.malformed].family == "landsat") != is_landsat or self.layout != "folder":
            family = MALFORMED[self.malformed].family
            raise ConfigError(
                f"{self.malformed} is made from a {family} folder; choose its sensor and layout"
            )


@dataclass(frozen=True, slots=True)
class Simulated:
    """Where everything was put."""

    product: Path
    """The product: a folder or an archive."""
    truth: Path
    """The folder of surface reflectance, quality, `state.json` and `request.json`."""


def simulate(out: Path, *, order: Order, atmosphere: Atmosphere | None = None) -> Simulated:
    """The ordered product and its truth below `out`; products of the same name are replaced.

    A killed run leaves nothing that looks finished: all is made in a hidden folder and moved at the end.

    Args:
        out: Made when it does not exist.
        order: What to simulate.
        atmosphere: In place of the sensor's emulator, as `synth.acquisition.simulate` takes it.

    Raises:
        ConfigError: The order describes nothing that ever flew, or a kind of damage that does not apply.
    """
    out.mkdir(parents=True, exist_ok=True)
    acquisition = simulate_acquisition(order.request, atmosphere=atmosphere)
    with tempfile.TemporaryDirectory(prefix=".simulate-", dir=out) as hidden:
        product = _write(acquisition, Path(hidden), order=order)
        truth = write_truth(acquisition, product)
        if order.malformed is not None:
            product = malform(product, order.malformed, out=Path(hidden) / "spoilt")
            placed = _move(product, out / order.malformed / product.name)
            return Simulated(placed, _move(truth, placed.parent / truth.name))
        placed = _move(product, out / product.relative_to(hidden))
        return Simulated(placed, _move(truth, out / truth.relative_to(hidden)))


def _write(acquisition: Acquisition, folder: Path, *, order: Order) -> Path:
    if acquisition.sensor.constellation == "landsat":
        return write_landsat(acquisition, folder)
    return _SAFE_LAYOUTS[order.layout](acquisition, folder, baseline=order.baseline)


def _move(source: Path, target: Path) -> Path:
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    return source.rename(target)


def request_for(
    sensor: str,
    *,
    tile: str | None = None,
    day: date | None = None,
    seed: int = 0,
    theme: str | None = None,
    cloud_percent: float = 15.0,
    size_m: int | None = None,
) -> Request:
    """A request from what a person says: a day instead of a second, a tile that suits the sensor.

    Raises:
        ConfigError: An unknown tile, or clouds outside 0 .. 100 percent.
    """
    if not 0.0 <= cloud_percent <= 100.0:
        raise ConfigError(f"cloud cover {cloud_percent} is no percentage: give 0 to 100")
    place = tile or ("192029" if sensor.startswith("L") else "32TQM")
    acquired = overpass_time(place, day or SUMMER_MORNING.date(), sensor=sensor)
    request = Request(
        sensor, place, acquired=acquired, seed=seed, theme=theme, cloud_cover=cloud_percent / 100.0
    )
    return request if size_m is None else replace(request, size_m=size_m)
