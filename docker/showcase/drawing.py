"""A scene before and after: `drawing SCENE OUT CAPTION=ITEM ...`, a child process."""

import json
import os
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "archive"), str(HERE.parent)]

import numpy as np
import rasterio
from upstream.products import find_products

from showcase.telling import reflectance_asset
from undersky.grid import Floats, Window
from undersky.raster.browse import side_by_side, true_colour, write_picture
from undersky.scene import BandSource
from undersky.sensors import open_scene
from undersky.synth.truth import read_truth, truth_folder

COLOURS = ("red", "green", "blue")
MOST_PIXELS = 900


def draw(scene_id: str, items: Mapping[str, str], out: Path) -> dict[str, float]:
    """The picture lies there: top of atmosphere beside surface reflectance, as anybody reads it.

    Args:
        scene_id: Of the delivered product.
        items: Caption to address of the Item; where there are two, the truth of a simulated scene is beside.
        out: The picture.

    Returns:
        Caption to the mean absolute error against the truth over the clear pixels, of a simulated scene.
    """
    folders = tuple(
        Path(name) for name in (os.environ["UPSTREAM"], os.environ.get("UNDERSKY_SAMPLES")) if name
    )
    product = next(p for p in find_products(folders) if p.scene == scene_id)
    scene = open_scene(product.path)
    names = {band.common_name: band.name for band in scene.sensor.bands}
    bands = [names[colour] for colour in COLOURS]
    surfaces = {caption: [_surface(url, colour) for colour in COLOURS] for caption, url in items.items()}
    shape = next(iter(surfaces.values()))[0].shape
    toa = [_toa(scene.bands[band], shape) for band in bands]
    panels = {"top of atmosphere": true_colour(*toa)}
    panels |= {caption: true_colour(*surface) for caption, surface in surfaces.items()}
    errors = {}
    if len(items) > 1 and truth_folder(product.path).is_dir():
        truth = read_truth(truth_folder(product.path))
        true = [_thinned(truth.surface[band], shape) for band in bands]
        clear = _thinned(truth.quality, shape) == 0
        panels["truth"] = true_colour(*true)
        errors = {caption: _error(surface, true, clear) for caption, surface in surfaces.items()}
    write_picture(out, side_by_side(panels))
    return errors


def _error(surface: list[Floats], true: list[Floats], clear: np.ndarray) -> float:
    apart = np.abs(np.stack(surface) - np.stack(true))[:, clear]
    return float(np.nanmean(apart))


def _thinned(values: Any, shape: tuple[int, int]) -> Any:
    """The nearest pixels of a raster at another shape."""
    rows, cols = (
        np.minimum(((np.arange(wanted) + 0.5) * there / wanted).astype(int), there - 1)
        for wanted, there in zip(shape, values.shape, strict=True)
    )
    return values[np.ix_(rows, cols)]


def _toa(band: BandSource, shape: tuple[int, int]) -> Floats:
    rows, cols = band.grid.shape
    return band.toa_reflectance(Window(0, 0, rows, cols), shape=shape)


def _surface(item_url: str, colour: str) -> Floats:
    with urllib.request.urlopen(item_url) as reply:  # noqa: S310  our own server
        item: dict[str, Any] = json.load(reply)
    href = urllib.parse.urljoin(item_url, reflectance_asset(item, colour)["href"])
    with rasterio.open(f"/vsicurl/{href}") as raster:
        samples = raster.read(1, masked=True, out_shape=_reduced(raster.shape)).astype("float32")
        values = samples * raster.scales[0] + raster.offsets[0]
    return np.asarray(values.filled(np.nan), dtype=np.float32)


def _reduced(shape: tuple[int, int]) -> tuple[int, int]:
    step = max(1.0, max(shape) / MOST_PIXELS)
    return round(shape[0] / step), round(shape[1] / step)


if __name__ == "__main__":
    _, SCENE, OUT, *PAIRS = sys.argv
    print(json.dumps(draw(SCENE, dict(pair.split("=", 1) for pair in PAIRS), Path(OUT))))  # noqa: T201
