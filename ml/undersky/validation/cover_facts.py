"""Facts of a finished land-cover map: every pixel counted, held against what its surface product knows."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from undersky.landcover import BY_CODE, BY_SLUG, CODES, NODATA, SNOW_ICE, WATER
from undersky.raster.encoding import COVER, COVER_CONFIDENCE, COVER_LAYERS
from undersky.validation.files import GDAL_OPTIONS, file_facts, layer_facts, name_of
from undersky.validation.map_facts import FinishedMap, SurfaceEvidence, bytes_of, described
from undersky.validation.rules import Facts

STRIP_ROWS = 1024
MANGROVES_NORTH, MANGROVES_SOUTH = 33.0, -39.0
"""Degrees: where the last ones grow."""
EXPLAINS_PERCENT = 50.0
"""So much of the ground that was seen has the mask's flag where it explains a map of one class."""
_NAN = float("nan")
_BARE = BY_SLUG["bare"].code
_MANGROVES = BY_SLUG["mangroves"].code
_EXPLAINED_BY = {WATER: "water", SNOW_ICE: "snow"}


@dataclass(slots=True)
class Counted:
    """How often each stored number occurs."""

    classes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    """Of the map, by code."""
    confidence: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    """Of the confidence, by stored hundredths."""
    apart: int = 0
    """Pixels with a class and no confidence, or the other way round."""

    @property
    def pixels(self) -> int:
        """All of them."""
        return int(self.classes.sum())

    @property
    def mapped(self) -> int:
        """Those with a class."""
        return self.pixels - int(self.classes[NODATA])


def cover_facts(product: FinishedMap) -> Facts:
    """The facts of a finished land-cover map; what cannot be read is a fact too."""
    assets = product.item["assets"]
    layers = {layer.key: layer for layer in COVER_LAYERS if layer.key in assets}
    rows = {key: layer_facts(product.folder, product.item, layer) for key, layer in layers.items()}
    counted = None
    if all((rows.get(layer.key) or {}).get("opens") for layer in COVER_LAYERS):
        try:
            counted = _counted(*(product.folder / name_of(assets[layer.key]) for layer in COVER_LAYERS))
        except (RasterioError, OSError, ValueError):
            rows[COVER.key]["opens"] = False
    for key, row in rows.items():
        row["surface_grid_agrees"] = _on_surface_grid(row, product.surface)
        if key == COVER.key and row["opens"]:
            row["colours_agree"] = _colours_agree(product.folder / name_of(assets[key]))
        if key == COVER_CONFIDENCE.key and counted is not None:
            row["beyond_percent"] = _percent(counted.confidence[101:255].sum(), counted.pixels)
    others = [file_facts(product.folder, key, asset) for key, asset in assets.items() if key not in layers]
    bands = (*rows.values(), *others)
    expected = (*(layer.key for layer in COVER_LAYERS), "thumbnail")
    scene = described(product, expected) | {"bytes": bytes_of(bands)}
    if counted is not None:
        scene |= _of_values(counted, product)
    return Facts("map", product.family, str(product.item["id"]), scene, bands)


def _counted(cover: Path, confidence: Path) -> Counted:
    """Every pixel of both layers, strip by strip."""
    counted = Counted()
    with (
        rasterio.Env(**GDAL_OPTIONS),
        rasterio.open(cover, driver="GTiff") as classes,
        rasterio.open(confidence, driver="GTiff") as sure,
    ):
        if classes.shape != sure.shape:
            raise ValueError(f"{cover.name} has {classes.shape} pixels, {confidence.name} {sure.shape}")
        for row in range(0, classes.height, STRIP_ROWS):
            window = Window(0, row, classes.width, min(STRIP_ROWS, classes.height - row))
            codes, steps = classes.read(1, window=window), sure.read(1, window=window)
            counted.classes += np.bincount(codes.ravel(), minlength=256)
            counted.confidence += np.bincount(steps.ravel(), minlength=256)
            counted.apart += int(((codes == NODATA) != (steps == COVER_CONFIDENCE.nodata)).sum())
    return counted


def _of_values(counted: Counted, product: FinishedMap) -> dict[str, Any]:
    """Of classes and confidence; empty of a share where nothing is mapped."""
    valid = _percent(counted.mapped, counted.pixels)
    unknown = [code for code in np.flatnonzero(counted.classes).tolist() if code not in (NODATA, *CODES)]
    facts: dict[str, Any] = {
        "valid_percent": valid,
        "unknown": " ".join(map(str, unknown)),
        "unknown_percent": _percent(counted.classes[unknown].sum(), counted.pixels),
        "apart_percent": _percent(counted.apart, counted.pixels),
        "unmapped_percent": _unmapped(valid, product.surface),
    }
    if not counted.mapped:
        return facts
    shares = 100.0 * counted.classes / counted.mapped
    shares[NODATA] = 0.0
    code = int(shares.argmax())
    cover, dominant = BY_CODE.get(code), round(float(shares[code]), 4)
    _, south, _, north = product.item["bbox"]
    latitude = (south + north) / 2
    belongs = MANGROVES_SOUTH <= latitude <= MANGROVES_NORTH
    return facts | {
        "classes": float(sum(1 for known in CODES if counted.classes[known])),
        "dominant": cover.name if cover else f"code {code}",
        "dominant_percent": dominant,
        "unexplained_percent": _NAN if _is_explained(code, product.surface) else dominant,
        "mean_confidence": _mean_confidence(counted),
        "latitude": round(float(latitude), 2),
        "misplaced_mangroves_percent": 0.0 if belongs else round(float(shares[_MANGROVES]), 4),
        **{f"{known.slug}_percent": round(float(shares[known.code]), 4) for known in BY_CODE.values()},
    }


def _is_explained(code: int, surface: SurfaceEvidence | None) -> bool:
    """Whether ground of that one class alone is to be believed.

    Open sea and snow fields fill whole tiles, and the quality mask, another algorithm on other bands, knows
    them. Deserts do too, and no flag knows bare ground: bare alone is always believed. Where the mask is not
    at hand, water and snow are.
    """
    if code == _BARE:
        return True
    flag = _EXPLAINED_BY.get(code)
    if flag is None or surface is None:
        return flag is not None
    return surface.percent(flag) >= EXPLAINS_PERCENT / 100.0 * surface.seen_percent


def _unmapped(valid: float, surface: SurfaceEvidence | None) -> float:
    """Percent of the tile that is clear ground, at least, and has no class."""
    if surface is None:
        return _NAN
    seen = surface.seen_percent * surface.valid_percent / 100.0
    return _NAN if np.isnan(seen) else round(max(0.0, seen - valid), 4)


def _mean_confidence(counted: Counted) -> float:
    """Of the pixels that have one, 0 .. 1."""
    steps = np.arange(255) * COVER_CONFIDENCE.scale
    total = counted.confidence[:255].sum()
    return round(float((counted.confidence[:255] * steps).sum() / total), 4) if total else _NAN


def _on_surface_grid(row: dict[str, Any], surface: SurfaceEvidence | None) -> bool | None:
    """Whether the layer has the surface product's finest grid; None where either is not known."""
    grid = surface.grid if surface is not None else None
    if not row["opens"] or grid is None or surface is None:
        return None
    (rows, cols), transform = grid
    code = surface.item["properties"].get("proj:code")
    return bool(row["grid"] == f"{code} {list(transform)} {(rows, cols)}")


def _colours_agree(path: Path) -> bool:
    with rasterio.Env(**GDAL_OPTIONS), rasterio.open(path, driver="GTiff") as dataset:
        try:
            table = dataset.colormap(1)
        except ValueError:
            return False
    return all(tuple(table.get(code, ()))[:3] == cover.colour for code, cover in BY_CODE.items())


def _percent(part: float, whole: float) -> float:
    return round(100.0 * float(part) / whole, 4) if whole else 0.0
