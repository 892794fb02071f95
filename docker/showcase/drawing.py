"""A scene before and after: `drawing SCENE ITEM OUT`, a child process."""

import json
import os
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "archive"))

import numpy as np
import rasterio
from upstream.products import find_products

from undersky.grid import Floats, Window
from undersky.raster.browse import before_after, write_picture
from undersky.scene import BandSource
from undersky.sensors import open_scene

COLOURS = ("red", "green", "blue")
MOST_PIXELS = 900


def draw(scene_id: str, item_url: str, out: Path) -> None:
    """The picture lies there: top of atmosphere beside surface reflectance, as anybody reads it."""
    folders = tuple(
        Path(name) for name in (os.environ["UPSTREAM"], os.environ.get("UNDERSKY_SAMPLES")) if name
    )
    product = next(p for p in find_products(folders) if p.scene == scene_id)
    scene = open_scene(product.path)
    with urllib.request.urlopen(item_url) as reply:  # noqa: S310  our own server
        item = json.load(reply)
    named = {band.common_name: band.name for band in scene.sensor.bands}
    surface = [_surface(item, item_url, named[colour]) for colour in COLOURS]
    toa = [_toa(scene.bands[named[colour]], surface[0].shape) for colour in COLOURS]
    write_picture(out, before_after((toa[0], toa[1], toa[2]), (surface[0], surface[1], surface[2])))


def _toa(band: BandSource, shape: tuple[int, int]) -> Floats:
    rows, cols = band.grid.shape
    return band.toa_reflectance(Window(0, 0, rows, cols), shape=shape)


def _surface(item: dict[str, Any], item_url: str, band: str) -> Floats:
    href = urllib.parse.urljoin(item_url, item["assets"][band]["href"])
    with rasterio.open(f"/vsicurl/{href}") as raster:
        samples = raster.read(1, masked=True, out_shape=_reduced(raster.shape)).astype("float32")
        values = samples * raster.scales[0] + raster.offsets[0]
    return np.asarray(values.filled(np.nan), dtype=np.float32)


def _reduced(shape: tuple[int, int]) -> tuple[int, int]:
    step = max(1.0, max(shape) / MOST_PIXELS)
    return round(shape[0] / step), round(shape[1] / step)


if __name__ == "__main__":
    draw(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
