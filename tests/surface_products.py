"""Small surface products on the disk, and a land-cover package nobody trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine

from undersky.bands import SENSORS
from undersky.grid import Grid
from undersky.landcover import SLUGS
from undersky.models.package import ModelPackage, save_package
from undersky.models.segmentation import SegmentationConfig, SegmentationNetwork, segmentation_package
from undersky.raster.cog import write_cog
from undersky.raster.encoding import QUALITY, encode, reflectance_layer

SIDE_M = 1920
INPUTS = (
    "blue", "green", "red", "nir", "swir16", "swir22", "rededge071", "rededge075", "rededge078",
)  # fmt: skip


def write_surface(
    out: Path, key: str = "S2A", *, side_m: int = SIDE_M, quality: np.ndarray | None = None, seed: int = 0
) -> Path:
    """A surface product of smooth hills with noise, its bands at native resolution, and its Item."""
    sensor = SENSORS[key]
    tile = "33UXP" if key.startswith("S2") else "191027"
    folder = out / f"{key}_{tile}_20240503T100601_SR_0a1b2c3d"
    folder.mkdir(parents=True)
    assets: dict[str, Any] = {}
    for number, band in enumerate(sensor.corrected_bands):
        grid = grid_of(band.resolution_m, side_m)
        rows, cols = grid.shape
        generator = np.random.default_rng((seed, number))
        y, x = np.mgrid[0:rows, 0:cols] * (band.resolution_m / 10.0)
        values = 0.2 + 0.1 * np.sin(y / 31.0 + number) * np.cos(x / 23.0)
        values += 0.02 * generator.standard_normal((rows, cols))
        layer = reflectance_layer(band)
        write_cog(folder / f"{layer.key}.tif", encode(values, layer), grid=grid, layer=layer)
        assets[layer.key] = {"href": f"./{layer.key}.tif", "roles": ["data"]}
    finest = grid_of(min(band.resolution_m for band in sensor.corrected_bands), side_m)
    bits = np.zeros(finest.shape.yx, dtype=np.uint16) if quality is None else quality
    write_cog(folder / "quality.tif", bits, grid=finest, layer=QUALITY)
    assets["quality"] = {"href": "./quality.tif", "roles": ["metadata"]}
    (folder / f"{folder.name}.json").write_text(json.dumps(item_of(folder.name, key, assets)))
    return folder


def grid_of(pixel_m: int, side_m: int = SIDE_M) -> Grid:
    pixels = side_m // pixel_m
    return Grid((pixels, pixels), Affine(pixel_m, 0, 600000, 0, -pixel_m, 5300040), "EPSG:32633")


def item_of(name: str, key: str, assets: dict[str, Any]) -> dict[str, Any]:
    """What a map takes from the Item of its surface product."""
    sensor = SENSORS[key]
    ring = [[16.3, 47.8], [16.4, 47.8], [16.4, 47.9], [16.3, 47.9], [16.3, 47.8]]
    return {
        "type": "Feature",
        "id": name,
        "collection": sensor.collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [16.3, 47.8, 16.4, 47.9],
        "links": [{"rel": "license", "href": "https://example.org/terms", "title": "free"}],
        "properties": {
            "datetime": "2024-05-03T10:06:01Z",
            "platform": sensor.platform,
            "constellation": sensor.constellation,
            "instruments": [sensor.instrument],
            "grid:code": "MGRS-33UXP",
            "proj:code": "EPSG:32633",
            "attribution": "Contains modified Copernicus Sentinel data 2024",
            "undersky:digest": "5" * 64,
            "undersky:source_sha256": {"MTD.xml": "0" * 64},
        },
        "assets": assets,
    }


def cover_package(folder: Path, *, seed: int = 0, name: str = "landcover") -> ModelPackage:
    """A saved package of random weights: it maps nonsense, but the same nonsense everywhere."""
    config = SegmentationConfig(
        inputs=INPUTS, classes=SLUGS, mean=(0.2,) * 9, std=(0.08,) * 9, pixel_m=10.0, optional=INPUTS[6:],
        features=(8, 12, 16),
    )  # fmt: skip
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = SegmentationNetwork(config)
    return save_package(segmentation_package(name, "random-1", network.eval(), {}), folder)
